//! Files that the sidecar reads in a volume that it shares with a task: outputs of tasks that the launcher
//! does not start, and the progress in files of schedulers.

use super::PipesError;
use crate::names;
use crate::pod::{Container, Mount};
use crate::profile::pipes::Output;

/// The volumes that the sidecar shares with tasks.
#[derive(Debug, Default)]
pub(in crate::plan) struct SharedVolumes<'a>(Vec<(&'a str, Option<&'a str>)>);

impl<'a> SharedVolumes<'a> {
    /// The path of the file of `output` in the sidecar. `reason` is why the launcher does not start
    /// `container`, which writes the file.
    pub(super) fn file(
        &mut self,
        output: &Output,
        container: &Container<'a>,
        reason: &str,
    ) -> Result<String, PipesError> {
        let Some((mount, rest)) = find_mount(container, &output.file) else {
            return Err(PipesError::NotShared {
                key: output.key.clone(),
                container: container.name.to_owned(),
                file: output.file.clone(),
                reason: reason.to_owned(),
            });
        };
        if mount.sub_path_expr {
            return Err(PipesError::SubPathExpression {
                key: output.key.clone(),
                container: container.name.to_owned(),
                file: output.file.clone(),
                volume: mount.volume.to_owned(),
            });
        }
        Ok(format!("{}{rest}", self.add(mount)))
    }

    /// The volume that contains a file of `container`, as a path in the sidecar, and the path of the file in
    /// it; `None` if the sidecar cannot share it.
    pub(in crate::plan) fn find(
        &mut self,
        container: &Container<'a>,
        file: &str,
    ) -> Option<(String, String)> {
        let (mount, rest) = find_mount(container, file).filter(|(mount, _)| !mount.sub_path_expr)?;
        let name = rest.trim_start_matches('/');
        let is_below = name.split('/').all(|part| !["", ".", ".."].contains(&part));
        is_below.then(|| (self.add(mount), name.to_owned()))
    }

    /// Shares a volume. Returns its path in the sidecar.
    fn add(&mut self, mount: &Mount<'a>) -> String {
        let volume = (mount.volume, mount.sub_path);
        let index = self.0.iter().position(|known| *known == volume).unwrap_or_else(|| {
            self.0.push(volume);
            self.0.len() - 1
        });
        path(index)
    }

    /// The volumes, each with its `subPath` and its mount path in the sidecar.
    pub(super) fn mounts(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>, String)> {
        self.0.iter().enumerate().map(|(index, (volume, sub_path))| (*volume, *sub_path, path(index)))
    }
}

fn path(index: usize) -> String {
    format!("{}/{index}", names::MOUNT_SHARED)
}

/// The innermost mount of the container that contains a file, and the path of the file in it.
fn find_mount<'c, 'a, 'f>(container: &'c Container<'a>, file: &'f str) -> Option<(&'c Mount<'a>, &'f str)> {
    let below = |mount: &'c Mount<'a>| {
        let rest = file.strip_prefix(mount.path.trim_end_matches('/'))?;
        rest.starts_with('/').then_some((mount, rest))
    };
    container.mounts.iter().flatten().filter_map(below).min_by_key(|(_, rest)| rest.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::code::{Code, Coded as _};
    use crate::output::ObjectKind;
    use crate::pod::{Json, Pod};

    #[test]
    fn a_file_is_found_in_the_innermost_volume() {
        let pod = json!({"spec": {"containers": [{"name": "main", "volumeMounts": [
            {"name": "out", "mountPath": "/out/"},
            {"name": "deep", "mountPath": "/out/deep", "subPath": "a/b"},
            {"name": "named", "mountPath": "/named", "subPathExpr": "$(POD)"},
        ]}]}});
        let pod = Json::from(&pod);
        let pod = Pod::read(&pod).unwrap();
        let mut shared = SharedVolumes::default();
        let mut file = |file: &str| {
            let (key, file) = ("A".to_owned(), file.to_owned());
            let output = Output {
                key,
                file,
                kind: ObjectKind::Secret,
                container: None,
                optional: false,
                awaited: false,
            };
            shared.file(&output, &pod.containers[0], "it is so")
        };
        assert_eq!(file("/out/a.txt").unwrap(), "/bootlace-shared/0/a.txt");
        assert_eq!(file("/out/deep/*.txt").unwrap(), "/bootlace-shared/1/*.txt");
        assert_eq!(file("/out/deeper/x").unwrap(), "/bootlace-shared/0/deeper/x");
        for (path, code) in [
            ("/tmp/a", Code::OutputVolumeNotShared),
            ("/out", Code::OutputVolumeNotShared),
            ("/outer/a", Code::OutputVolumeNotShared),
            ("/named/a", Code::OutputSubPathExpression),
        ] {
            assert_eq!(file(path).unwrap_err().code(), code, "{path}");
        }
        let mounts: Vec<_> = shared.mounts().collect();
        assert_eq!(
            mounts,
            [
                ("out", None, "/bootlace-shared/0".to_owned()),
                ("deep", Some("a/b"), "/bootlace-shared/1".to_owned()),
            ]
        );
    }
}
