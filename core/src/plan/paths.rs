//! Whether Bootlace's mounts and the pod's own can be made in one container.
//!
//! The runtime makes the mount point of each where the container has none: a folder, or a file. It cannot do so on what is
//! mounted read-only. The container is then created again and again and never starts, and nobody names Bootlace:
//!
//! | a mount of the pod is | Bootlace's is | |
//! |---|---|---|
//! | at the path of one of Bootlace's | | refused: one would hide the other |
//! | below one of Bootlace's | read-only | refused |
//! | below one of Bootlace's | writable (the layout `Optimus`) | made, in Bootlace's volume |
//! | read-only, above one of Bootlace's | | refused |
//! | writable, above one of Bootlace's | | made, in the pod's volume; a warning where that outlives the pod |
//!
//! Of several mounts above one the innermost counts. Block devices and the termination message are mounted too, and the
//! runtime has mounts of its own.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::PlanError;
use crate::names;
use crate::pod::{Container, Keeps, Pod, Volume};
use crate::profile::BootProfileSpec;

/// A mount that Bootlace adds to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodPaths<'p> {
    /// The volume.
    pub(super) volume: &'static str,
    /// Where it is mounted.
    pub(super) path: Cow<'p, str>,
    /// The folder of the volume, where it is not all of it.
    pub(super) sub_path: Option<&'static str>,
    /// Whether the container may only read it.
    pub(super) read_only: bool,
    /// Whether `assets.mountPath` says where.
    pub(super) movable: bool,
}

/// What boot leaves beside the assets: the launcher, the boot env, who the task is.
pub(super) const BOOTED: PodPaths<'static> = PodPaths {
    volume: names::VOLUME,
    path: Cow::Borrowed(names::MOUNT),
    sub_path: None,
    read_only: true,
    movable: false,
};

/// Where a task hands its outputs over. Each container gets its own folder of the volume.
pub(super) const HANDOVER: PodPaths<'static> = PodPaths {
    volume: names::VOLUME_RUN,
    path: Cow::Borrowed(names::MOUNT_RUN),
    sub_path: None,
    read_only: false,
    movable: false,
};

/// The files that boot fetched, by subPath, so that a container sees them only, at the path that its image expects.
pub(super) fn assets(profile: &BootProfileSpec) -> PodPaths<'_> {
    PodPaths {
        volume: names::VOLUME,
        path: profile.assets.files(),
        sub_path: Some(names::DIR_ASSETS),
        read_only: true,
        movable: true,
    }
}

/// The folder around them that a task can write to, in layouts that have one.
pub(super) fn data(profile: &BootProfileSpec) -> Option<PodPaths<'_>> {
    profile.assets.writable().map(|path| PodPaths {
        volume: names::VOLUME_DATA,
        path: path.into(),
        sub_path: None,
        read_only: false,
        movable: true,
    })
}

/// Two mounts that one container cannot have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountConflict {
    /// The two, and what is wrong with them.
    pub(super) what: String,
    /// What to change.
    remedy: String,
}

impl MountConflict {
    pub(super) fn refuse(self, container: &Container<'_>) -> PlanError {
        let Self { what, remedy } = self;
        PlanError::Mounts { container: container.name.to_owned(), what, remedy }
    }
}

/// A place in a container that something is mounted at.
struct Place<'m> {
    /// The folders of its path.
    path: Vec<&'m str>,
    by: By<'m>,
    /// Whether nothing can be made below it.
    closed: bool,
}

/// Who mounts something.
#[derive(Clone, Copy)]
enum By<'m> {
    Own(&'m PodPaths<'m>),
    Pod { volume: &'m str, path: &'m str, lasting: bool },
    TerminationMessage(&'m str),
    Runtime(&'static str),
}

/// What every runtime mounts by itself, and whether nothing can be made below it. `/dev/shm` is left out, as a volume may
/// take its place.
const RUNTIME: [(&str, bool); 6] = [
    ("/proc", true),
    ("/sys", true),
    ("/dev", false),
    ("/etc/hosts", true),
    ("/etc/hostname", true),
    ("/etc/resolv.conf", true),
];

/// The pod's volumes, by name.
pub(super) type Volumes<'a> = BTreeMap<&'a str, Keeps>;

/// Of a pod, once for all its containers.
pub(super) fn volumes<'a>(pod: &Pod<'a>) -> Volumes<'a> {
    pod.volumes.iter().flatten().map(|Volume { name, keeps }| (*name, *keeps)).collect()
}

/// Checks the mounts of `container` beside those that Bootlace adds. Gives what the pod's author should know.
pub(super) fn check(
    container: &Container<'_>,
    own: &[PodPaths<'_>],
    volumes: &Volumes<'_>,
    profile: &str,
) -> Result<Vec<String>, MountConflict> {
    let mut places = places(container, own, volumes);
    // Everything below a place comes right behind it.
    places.sort_by(|one, other| one.path.cmp(&other.path));
    let mut around: Vec<&Place<'_>> = Vec::new();
    let mut warnings = Vec::new();
    for place in &places {
        while around.last().is_some_and(|above| !place.path.starts_with(&above.path)) {
            around.pop();
        }
        if let Some(above) = around.last() {
            let (same, ours) = (above.path == place.path, above.by.is_ours() || place.by.is_ours());
            if ours && (same || above.closed) {
                return Err(conflict(above, place, same, profile));
            }
            if let (By::Pod { volume, path, lasting: true }, By::Own(own)) = (above.by, place.by) {
                warnings.push(format!(
                    "bootlace: container {:?} mounts volume {volume:?} at {path}, and Bootlace mounts a volume below it at {}: the \
                     container runtime creates that folder in volume {volume:?}, where it remains",
                    container.name, own.path
                ));
            }
        }
        around.push(place);
    }
    Ok(warnings)
}

fn places<'m>(
    container: &'m Container<'_>,
    own: &'m [PodPaths<'m>],
    volumes: &Volumes<'_>,
) -> Vec<Place<'m>> {
    let mut places: Vec<_> = own
        .iter()
        .map(|own| Place { path: folders(&own.path), by: By::Own(own), closed: own.read_only })
        .collect();
    places.extend(container.mounts.iter().flatten().map(|mount| {
        let keeps = volumes.get(mount.volume).copied().unwrap_or(Keeps::ForThePod);
        let lasting = keeps == Keeps::Lasting;
        let by = By::Pod { volume: mount.volume, path: mount.path, lasting };
        Place { path: folders(mount.path), by, closed: mount.read_only || keeps == Keeps::Nothing }
    }));
    // A device and a message are files.
    places.extend(container.devices.iter().map(|device| {
        let by = By::Pod { volume: device.volume, path: device.path, lasting: false };
        Place { path: folders(device.path), by, closed: true }
    }));
    places.extend(container.termination_message_path.map(|path| Place {
        path: folders(path),
        by: By::TerminationMessage(path),
        closed: true,
    }));
    places.extend(RUNTIME.map(|(path, closed)| Place { path: folders(path), by: By::Runtime(path), closed }));
    places
}

/// The folders of a path as the runtime reads it: `/a//b/./c/../` is `/a/b`.
fn folders(path: &str) -> Vec<&str> {
    let mut folders = Vec::new();
    for folder in path.split('/') {
        match folder {
            "" | "." => {}
            ".." => drop(folders.pop()),
            folder => folders.push(folder),
        }
    }
    folders
}

impl By<'_> {
    fn is_ours(self) -> bool {
        match self {
            Self::Own(_) => true,
            // By the annotation pipe-in, which names a path as well.
            Self::Pod { volume, .. } => volume.starts_with(names::VOLUME_PIPE_PREFIX),
            Self::TerminationMessage(_) | Self::Runtime(_) => false,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Own(own) => format!("the Bootlace volume {:?} at {}", own.volume, own.path),
            Self::Pod { volume, path, .. } => format!("volume {volume:?} at {path}"),
            Self::TerminationMessage(path) => format!("the termination message file at {path}"),
            Self::Runtime(path) => format!("the mount of the container runtime at {path}"),
        }
    }

    /// How to put it elsewhere; none where that cannot be done.
    fn remedy(self, profile: &str) -> Option<String> {
        match self {
            Self::Own(PodPaths { movable: true, .. }) => {
                Some(format!("set another assets.mountPath in BootProfile {profile:?}"))
            }
            Self::Own(_) | Self::Runtime(_) => None,
            Self::Pod { volume, .. } if self.is_ours() => Some(format!(
                "set another mountPath for volume {volume:?} in annotation {}",
                names::ANNOTATION_PIPE_IN
            )),
            Self::Pod { volume, .. } => Some(format!("mount volume {volume:?} elsewhere")),
            Self::TerminationMessage(_) => Some("set another terminationMessagePath".to_owned()),
        }
    }
}

fn conflict(above: &Place<'_>, below: &Place<'_>, same: bool, profile: &str) -> MountConflict {
    let what = if same {
        match [above.by, below.by].into_iter().find(|by| matches!(by, By::Pod { .. })) {
            Some(By::Pod { volume, path, .. }) => {
                format!("mounts volume {volume:?} at {path}, where Bootlace also mounts a volume")
            }
            _ => format!("cannot mount both {} and {}", above.by.describe(), below.by.describe()),
        }
    } else {
        let open = match above.by {
            By::Own(_) | By::Pod { .. } => "read-only",
            By::TerminationMessage(_) | By::Runtime(_) => "not a folder that can contain mounts",
        };
        format!("cannot mount {} below {}, which is {open}", below.by.describe(), above.by.describe())
    };
    // What the pod's author can do stands first.
    let mut both = [above.by, below.by];
    both.sort_by_key(|by| matches!(by, By::Own(_)));
    let remedies: Vec<_> = both.into_iter().filter_map(|by| by.remedy(profile)).collect();
    MountConflict { what, remedy: remedies.join(", or ") }
}

/// Refuses a pod that mounts Bootlace's own volumes: they hold the pod's token, its sources' Secrets, and what nobody but
/// boot may write. Asked of the pod as it came, which does not have them yet.
pub(super) fn check_volumes_are_not_mounted(pod: &Pod<'_>) -> Result<(), PlanError> {
    let reserved = |name: &str| {
        name.strip_prefix(names::VOLUME).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let mut declared = None;
    for container in pod.all_containers() {
        let mounts = container.mounts.iter().flatten().map(|mount| (mount.volume, mount.path));
        let devices = container.devices.iter().map(|device| (device.volume, device.path));
        for (volume, path) in mounts.chain(devices).filter(|(volume, _)| reserved(volume)) {
            let declared = declared.get_or_insert_with(|| {
                pod.volumes.iter().flatten().map(|volume| volume.name).collect::<BTreeSet<_>>()
            });
            // One that the pod declares is its own, or is refused for its name.
            if !declared.contains(volume) {
                return Err(PlanError::VolumeOfOurs {
                    container: container.name.to_owned(),
                    volume: volume.to_owned(),
                    path: path.to_owned(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::Json;
    use crate::profile::spec::Layout;

    /// What becomes of a container with these fields, in a pod with a volume of each kind.
    fn checked(container: &Value, change: impl FnOnce(&mut BootProfileSpec)) -> Result<Vec<String>, String> {
        let mut profile = BootProfileSpec::default();
        change(&mut profile);
        let mut container = container.clone();
        container["name"] = json!("main");
        let pod = json!({"spec": {"containers": [container], "volumes": [
            {"name": "empty", "emptyDir": {}},
            {"name": "config", "configMap": {"name": "a"}},
            {"name": "claim", "persistentVolumeClaim": {"claimName": "a"}},
            {"name": "read-only-claim", "persistentVolumeClaim": {"claimName": "a", "readOnly": true}},
        ]}});
        let pod = Json::from(&pod);
        let pod = Pod::read(&pod).unwrap();
        let own: Vec<_> = [BOOTED, assets(&profile)].into_iter().chain(data(&profile)).collect();
        check(&pod.containers[0], &own, &volumes(&pod), "etl")
            .map_err(|conflict| conflict.refuse(&pod.containers[0]).to_string())
    }

    fn mounts(mounts: &[(&str, &str)]) -> Value {
        let mount = |(name, path): &(&str, &str)| match name.strip_suffix(":ro") {
            Some(name) => json!({"name": name, "mountPath": path, "readOnly": true}),
            None => json!({"name": name, "mountPath": path}),
        };
        json!({"volumeMounts": mounts.iter().map(mount).collect::<Vec<_>>()})
    }

    fn at(path: &str) -> impl FnOnce(&mut BootProfileSpec) {
        let path = path.to_owned();
        |profile| profile.assets.mount_path = Some(path)
    }

    #[test]
    fn mounts_that_can_be_made_are_left_alone() {
        for own in [
            &[("empty", "/var"), ("empty", "/var/lib")][..],
            &[("empty", "/var/assets-of-mine"), ("empty", "/var/assetsx/y"), ("config", "/bootlacex")],
            &[("config", "/etc/app"), ("claim:ro", "/data"), ("empty", "/var/./")],
        ] {
            assert_eq!(checked(&mounts(own), |_| {}), Ok(Vec::new()), "{own:?}");
        }
        let within = mounts(&[("config", "/opt"), ("empty", "/opt/dags")]);
        assert_eq!(checked(&within, at("/opt/dags/assets")), Ok(Vec::new()), "the innermost counts");
    }

    #[test]
    fn a_folder_that_stays_in_a_volume_of_the_pods_is_told() {
        let warnings = checked(&mounts(&[("claim", "/work/")]), at("/work/in/assets")).unwrap();
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        for detail in ["container \"main\"", "volume \"claim\" at /work/", "/work/in/assets"] {
            assert!(warning.contains(detail), "{warning}");
        }
    }

    #[test]
    fn mounts_that_cannot_be_made_are_refused_with_both_of_them_and_a_remedy() {
        const MOVE: &str = "or set another assets.mountPath in BootProfile \"etl\"";
        let below = "below the Bootlace volume \"bootlace\" at /var/assets, which is read-only";
        for (path, parts) in [
            ("/var/assets/cache", ["\"empty\" at /var/assets/cache below the Bootlace volume", below, MOVE]),
            ("/var//assets/./cache/", ["\"empty\" at /var//assets/./cache/ below", below, MOVE]),
            ("/opt/../var/assets/a/b", ["\"empty\" at /opt/../var/assets/a/b below", below, MOVE]),
            (
                "/var/assets/",
                [
                    "mounts volume \"empty\" at /var/assets/, where Bootlace also",
                    "mount volume \"empty\" elsewhere",
                    MOVE,
                ],
            ),
            (
                "/bootlace/bin",
                [
                    "\"empty\" at /bootlace/bin below the Bootlace volume \"bootlace\" at /bootlace,",
                    "mount",
                    "elsewhere",
                ],
            ),
            ("/bootlace/../bootlace", ["where Bootlace also", "mount volume \"empty\"", "elsewhere"]),
        ] {
            let refused = checked(&mounts(&[("empty", path)]), |_| {}).unwrap_err();
            assert!(refused.starts_with("container \"main\" "), "{refused}");
            for part in parts {
                assert!(refused.contains(part), "{path}: {part:?} is not in {refused:?}");
            }
        }
        for volume in ["empty:ro", "claim:ro", "config", "read-only-claim"] {
            let name = volume.trim_end_matches(":ro");
            let refused = checked(&mounts(&[(volume, "/opt/airflow/dags")]), at("/opt/airflow/dags/assets"));
            let refused = refused.unwrap_err();
            let both = format!(
                "the Bootlace volume \"bootlace\" at /opt/airflow/dags/assets below volume {name:?} at /opt/airflow/dags, which \
                 is read-only"
            );
            assert!(refused.contains(&both) && refused.ends_with(MOVE), "{refused}");
        }
    }

    #[test]
    fn a_layout_with_a_folder_to_write_to_takes_mounts_in_it_but_not_among_the_files() {
        let optimus = |profile: &mut BootProfileSpec| profile.assets.layout = Layout::Optimus;
        assert_eq!(
            checked(&mounts(&[("empty", "/data/out"), ("config", "/data/inner")]), optimus),
            Ok(Vec::new())
        );
        for (path, part) in [
            ("/data/in/a", "\"empty\" at /data/in/a below the Bootlace volume \"bootlace\" at /data/in"),
            ("/data/in", "mounts volume \"empty\" at /data/in, where Bootlace also"),
            ("/data/", "mounts volume \"empty\" at /data/, where Bootlace also"),
        ] {
            let refused = checked(&mounts(&[("empty", path)]), optimus).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }

    #[test]
    fn devices_messages_and_the_runtimes_own_mounts_count_too() {
        let device = json!({"volumeDevices": [{"name": "claim", "devicePath": "/var/assets/disk"}]});
        let refused = checked(&device, |_| {}).unwrap_err();
        assert!(refused.contains("\"claim\" at /var/assets/disk below the Bootlace"), "{refused}");

        for (path, part) in [
            ("/var/assets/end", "the termination message file at /var/assets/end below the Bootlace volume"),
            ("/var/assets", "termination message file at /var/assets"),
        ] {
            let refused = checked(&json!({"terminationMessagePath": path}), |_| {}).unwrap_err();
            let remedy = "set another terminationMessagePath, or set another assets.mountPath";
            assert!(refused.contains(part) && refused.contains(remedy), "{refused}");
        }
        assert_eq!(checked(&json!({"terminationMessagePath": "/var/end"}), |_| {}), Ok(Vec::new()));

        for path in [
            "/proc/assets",
            "/sys/assets",
            "/dev",
            "/etc",
            "/etc/hosts",
            "/etc/hosts/a",
            "/bootlace/files",
            "/bootlace",
        ] {
            let refused = checked(&json!({}), at(path)).unwrap_err();
            assert!(
                refused.ends_with("set another assets.mountPath in BootProfile \"etl\""),
                "{path}: {refused}"
            );
        }
        assert_eq!(checked(&json!({}), at("/dev/assets")), Ok(Vec::new()));
    }

    #[test]
    fn a_mount_by_the_annotation_is_told_as_such() {
        let refused =
            checked(&mounts(&[("config", "/etc/app"), ("bootlace-pipe-0", "/etc/app/tls")]), |_| {});
        let refused = refused.unwrap_err();
        let remedy =
            "set another mountPath for volume \"bootlace-pipe-0\" in annotation bootlace.dev/pipe-in";
        assert!(
            refused.contains("\"bootlace-pipe-0\" at /etc/app/tls below volume \"config\" at /etc/app"),
            "{refused}"
        );
        assert!(refused.contains(remedy), "{refused}");
    }
}
