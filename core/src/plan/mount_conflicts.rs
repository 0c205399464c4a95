//! Conflicts between the mounts of the pod and those that Bootlace adds to its containers.
//!
//! The container runtime creates the mount point, a folder or a file, if it does not exist in the container.
//! It cannot create it in a read-only mount. The runtime then fails to create the container again and again,
//! with errors that do not mention Bootlace. Such a pod is therefore refused:
//!
//! | mount of the pod | mount of Bootlace | result |
//! |---|---|---|
//! | at the path of a mount of Bootlace | | refused: one would hide the other |
//! | below a mount of Bootlace | read-only | refused |
//! | below a mount of Bootlace | writable (layout `Optimus`) | mount point in the volume of Bootlace |
//! | read-only, above a mount of Bootlace | | refused |
//! | writable, above a mount of Bootlace | | mount point in the volume of the pod; a warning if it outlives the pod |
//!
//! If several mounts are above a path, the innermost one counts. Block devices and the file of the
//! termination message are mounts too, and the runtime adds its own mounts.

use std::collections::BTreeMap;

use super::PlanError;
use super::task_mounts::AddedMount;
use crate::names;
use crate::pod::{Container, Keeps, Pod, Volume};

/// A conflict between two mounts of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountConflict {
    /// The two mounts and the problem.
    pub(super) problem: String,
    /// How to resolve it.
    remedy: String,
}

impl MountConflict {
    pub(super) fn into_error(self, container: &Container<'_>) -> PlanError {
        let Self { problem, remedy } = self;
        PlanError::Mounts { container: container.name.to_owned(), problem, remedy }
    }
}

/// A mount point in a container.
struct MountPoint<'m> {
    /// The components of its path.
    path: Vec<&'m str>,
    owner: MountOwner<'m>,
    /// Whether nothing can be created below it.
    closed: bool,
}

/// The owner of a mount.
#[derive(Clone, Copy)]
enum MountOwner<'m> {
    Added(&'m AddedMount<'m>),
    Pod { volume: &'m str, path: &'m str, lasting: bool },
    TerminationMessage(&'m str),
    Runtime(&'static str),
}

/// The mounts of every container runtime, and whether nothing can be created below them. `/dev/shm` is
/// omitted, because a volume can replace it.
const RUNTIME: [(&str, bool); 6] = [
    ("/proc", true),
    ("/sys", true),
    ("/dev", false),
    ("/etc/hosts", true),
    ("/etc/hostname", true),
    ("/etc/resolv.conf", true),
];

/// The volumes of the pod, by name.
pub(super) type Volumes<'a> = BTreeMap<&'a str, Keeps>;

/// The volumes of the pod. Computed once for all its containers.
pub(super) fn volumes<'a>(pod: &Pod<'a>) -> Volumes<'a> {
    pod.volumes.iter().flatten().map(|Volume { name, keeps }| (*name, *keeps)).collect()
}

/// Checks the mounts of `container` together with the mounts that Bootlace adds to it. Returns warnings for
/// the author of the pod.
pub(super) fn check(
    container: &Container<'_>,
    added: &[AddedMount<'_>],
    volumes: &Volumes<'_>,
    profile: &str,
) -> Result<Vec<String>, MountConflict> {
    let mut places = places(container, added, volumes);
    // Sorted, so that a path is followed by all paths below it.
    places.sort_by(|one, other| one.path.cmp(&other.path));
    let mut parents: Vec<&MountPoint<'_>> = Vec::new();
    let mut warnings = Vec::new();
    for place in &places {
        while parents.last().is_some_and(|above| !place.path.starts_with(&above.path)) {
            parents.pop();
        }
        if let Some(above) = parents.last() {
            let (same, has_bootlace) =
                (above.path == place.path, above.owner.is_bootlace() || place.owner.is_bootlace());
            if has_bootlace && (same || above.closed) {
                return Err(conflict(above, place, same, profile));
            }
            if let (MountOwner::Pod { volume, path, lasting: true }, MountOwner::Added(added)) =
                (above.owner, place.owner)
            {
                warnings.push(format!(
                    "bootlace: container {:?} mounts volume {volume:?} at {path}, and Bootlace mounts a volume below it at {}: the \
                     container runtime creates that folder in volume {volume:?}, where it remains",
                    container.name, added.path
                ));
            }
        }
        parents.push(place);
    }
    Ok(warnings)
}

fn places<'m>(
    container: &'m Container<'_>,
    added: &'m [AddedMount<'m>],
    volumes: &Volumes<'_>,
) -> Vec<MountPoint<'m>> {
    let mut places: Vec<_> = added
        .iter()
        .map(|added| MountPoint {
            path: folders(&added.path),
            owner: MountOwner::Added(added),
            closed: added.read_only,
        })
        .collect();
    places.extend(container.mounts.iter().flatten().map(|mount| {
        let keeps = volumes.get(mount.volume).copied().unwrap_or(Keeps::ForThePod);
        let lasting = keeps == Keeps::Lasting;
        let owner = MountOwner::Pod { volume: mount.volume, path: mount.path, lasting };
        MountPoint { path: folders(mount.path), owner, closed: mount.read_only || keeps == Keeps::Nothing }
    }));
    // Devices and the termination message are files.
    places.extend(container.devices.iter().map(|device| {
        let owner = MountOwner::Pod { volume: device.volume, path: device.path, lasting: false };
        MountPoint { path: folders(device.path), owner, closed: true }
    }));
    places.extend(container.termination_message_path.map(|path| MountPoint {
        path: folders(path),
        owner: MountOwner::TerminationMessage(path),
        closed: true,
    }));
    places.extend(RUNTIME.map(|(path, closed)| MountPoint {
        path: folders(path),
        owner: MountOwner::Runtime(path),
        closed,
    }));
    places
}

/// The components of a path as the runtime resolves it: `/a//b/./c/../` is `/a/b`.
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

impl MountOwner<'_> {
    fn is_bootlace(self) -> bool {
        match self {
            Self::Added(_) => true,
            // Mounted for the annotation pipe-in, which contains the path.
            Self::Pod { volume, .. } => volume.starts_with(names::VOLUME_PIPE_PREFIX),
            Self::TerminationMessage(_) | Self::Runtime(_) => false,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Added(added) => format!("the Bootlace volume {:?} at {}", added.volume, added.path),
            Self::Pod { volume, path, .. } => format!("volume {volume:?} at {path}"),
            Self::TerminationMessage(path) => format!("the termination message file at {path}"),
            Self::Runtime(path) => format!("the mount of the container runtime at {path}"),
        }
    }

    /// How to mount it elsewhere; `None` if it is not possible.
    fn remedy(self, profile: &str) -> Option<String> {
        match self {
            Self::Added(AddedMount { movable: true, .. }) => {
                Some(format!("set another assets.mountPath in BootProfile {profile:?}"))
            }
            Self::Added(_) | Self::Runtime(_) => None,
            Self::Pod { volume, .. } if self.is_bootlace() => Some(format!(
                "set another mountPath for volume {volume:?} in annotation {}",
                names::ANNOTATION_PIPE_IN
            )),
            Self::Pod { volume, .. } => Some(format!("mount volume {volume:?} elsewhere")),
            Self::TerminationMessage(_) => Some("set another terminationMessagePath".to_owned()),
        }
    }
}

fn conflict(above: &MountPoint<'_>, below: &MountPoint<'_>, same: bool, profile: &str) -> MountConflict {
    let problem = if same {
        match [above.owner, below.owner].into_iter().find(|owner| matches!(owner, MountOwner::Pod { .. })) {
            Some(MountOwner::Pod { volume, path, .. }) => {
                format!("mounts volume {volume:?} at {path}, where Bootlace also mounts a volume")
            }
            _ => format!("cannot mount both {} and {}", above.owner.describe(), below.owner.describe()),
        }
    } else {
        let reason = match above.owner {
            MountOwner::Added(_) | MountOwner::Pod { .. } => "read-only",
            MountOwner::TerminationMessage(_) | MountOwner::Runtime(_) => {
                "not a folder that can contain mounts"
            }
        };
        format!("cannot mount {} below {}, which is {reason}", below.owner.describe(), above.owner.describe())
    };
    // The change that the author of the pod can make is first.
    let mut both = [above.owner, below.owner];
    both.sort_by_key(|owner| matches!(owner, MountOwner::Added(_)));
    let remedies: Vec<_> = both.into_iter().filter_map(|owner| owner.remedy(profile)).collect();
    MountConflict { problem, remedy: remedies.join(", or ") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::task_mounts::task_mounts;
    use crate::pod::Json;
    use crate::profile::BootProfileSpec;
    use crate::profile::spec::Layout;

    /// Checks a container with these fields, in a pod with a volume of each kind.
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
        let added: Vec<_> = task_mounts(&profile).collect();
        check(&pod.containers[0], &added, &volumes(&pod), "etl")
            .map_err(|conflict| conflict.into_error(&pod.containers[0]).to_string())
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
    fn mounts_without_a_conflict_are_accepted() {
        for added in [
            &[("empty", "/var"), ("empty", "/var/lib")][..],
            &[("empty", "/var/assets-of-mine"), ("empty", "/var/assetsx/y"), ("config", "/bootlacex")],
            &[("config", "/etc/app"), ("claim:ro", "/data"), ("empty", "/var/./")],
        ] {
            assert_eq!(checked(&mounts(added), |_| {}), Ok(Vec::new()), "{added:?}");
        }
        let within = mounts(&[("config", "/opt"), ("empty", "/opt/dags")]);
        assert_eq!(checked(&within, at("/opt/dags/assets")), Ok(Vec::new()), "the innermost counts");
    }

    #[test]
    fn a_mount_point_that_remains_in_a_volume_of_the_pod_is_reported() {
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
    fn a_writable_layout_allows_mounts_in_its_folder_but_not_among_the_files() {
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
    fn a_mount_for_the_annotation_is_described_as_such() {
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
