//! Writes the result of boot to the volume.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;

use bootlace_launch::{environ, pod_env};

use super::error::BootError;
use super::layout::EnvFile;
use super::merge::MergedContent;
use super::per_container::ContainerFiles;
use super::volume::{Volume, VolumeError};
use bootlace_core::entry::check_name;
use bootlace_core::identity::Identity;
use bootlace_core::injected_config::ProfileRef;
use bootlace_core::names;
use bootlace_core::plan::BootSpec;

impl Volume {
    /// Writes everything to its final path: the launcher, the assets, the identity of the task, and the env
    /// last.
    pub(crate) fn write(
        &self,
        content: &MergedContent<'_>,
        env_files: &[EnvFile],
        spec: &BootSpec<'_>,
        containers: &[ContainerFiles<'_>],
        launcher: &Path,
    ) -> Result<(), BootError> {
        self.write_launcher(launcher)?;
        self.write_assets(content)?;
        for EnvFile { name, content } in env_files {
            self.write_file(&self.at(names::DIR_ASSETS).join(name), content)?;
        }
        self.write_task(spec)?;
        self.write_containers(containers)?;
        self.write_env(content)?;
        Ok(self.remove_staging()?)
    }

    fn write_launcher(&self, launcher: &Path) -> Result<(), BootError> {
        let unreadable = |error| BootError::Launcher { path: launcher.to_owned(), error };
        let mut program = File::open(launcher).map_err(unreadable)?;
        self.has_memory(program.metadata().map_err(unreadable)?.len())?;
        let staged = self.stage_program(&mut program)?;
        Ok(self.rename(&staged, &self.at(names::FILE_LAUNCHER))?)
    }

    fn write_assets(&self, content: &MergedContent<'_>) -> Result<(), VolumeError> {
        let assets = self.at(names::DIR_ASSETS);
        let mut made = HashSet::new();
        for (path, from) in content.files.iter() {
            for folder in path.folders() {
                if made.insert(folder) {
                    self.make_folder(&assets.join(folder))?;
                }
            }
            self.rename(&from.value, &assets.join(path.as_path()))?;
        }
        Ok(())
    }

    fn write_task(&self, spec: &BootSpec<'_>) -> Result<(), BootError> {
        #[derive(serde::Serialize)]
        struct Description<'a> {
            task: &'a Identity,
            profile: &'a ProfileRef,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            info: &'a BTreeMap<String, String>,
        }
        let target = self.at(names::FILE_TASK);
        let mut json =
            serde_json::to_vec(&Description { task: &spec.task, profile: &spec.profile, info: &spec.info })
                .map_err(|error| self.failed(&target)(error.into()))?;
        json.push(b'\n');
        Ok(self.write_file(&target, &json)?)
    }

    fn write_containers(&self, containers: &[ContainerFiles<'_>]) -> Result<(), BootError> {
        let [keep, references, file] =
            [names::DIR_ENV_KEEP, names::DIR_ENV_REFERENCES, names::DIR_ENV_FILE].map(|dir| self.at(dir));
        self.make_folder(&keep)?;
        for container in containers {
            check_name(container.name)
                .map_err(|error| BootError::Container { container: container.name.to_owned(), error })?;
            let kept = pod_env::encode(container.keep.iter().map(OsStr::new));
            self.write_file(&keep.join(container.name), &kept)?;
            for (folder, content) in [(&references, &container.references), (&file, &container.env_file)] {
                if let Some(content) = content {
                    self.make_folder(folder)?;
                    self.write_file(&folder.join(container.name), content)?;
                }
            }
        }
        Ok(())
    }

    fn write_env(&self, content: &MergedContent<'_>) -> Result<(), BootError> {
        let records = content.env.iter().map(|(name, from)| from.value.record(name));
        let records = records.collect::<Result<Vec<_>, _>>()?;
        Ok(self.write_file(&self.at(names::FILE_ENV), &environ::encode(records))?)
    }
}
