//! The changes to a pod that deliver its inputs, as data: [`crate::patch`] alone writes operations.

use serde_json::{Map, Value, json};

use super::annotation::PipeIn;
use super::references::ObjectReference;
use super::resolve::PipeQuery;
use super::wait_spec::OutputVolume;
use super::{AwaitedOutput, InputError, Inputs, ResolvedInput, ResolvedPipe};
use crate::names;
use crate::output::{ObjectKind, Pipe};
use crate::pod::{Container, FieldPath, List, Pod};
use crate::quote::quoted;

/// The changes to a pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodEdits {
    /// Fields that contain the key of an output, and the object to name there.
    pub names: Vec<ObjectName>,
    /// Volumes to add.
    pub volumes: Vec<Value>,
    /// Containers to add something to, each once.
    pub containers: Vec<ContainerEdit>,
}

/// The name of an object, for a field that contains the key of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// The field.
    pub field: FieldPath,
    /// The name of the object.
    pub object: String,
    /// Value of the field `optional` next to it, if it must be set because the object does not exist yet.
    pub optional: Option<bool>,
}

/// What is added to one container.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerEdit {
    /// The list that the container is in.
    pub list: List,
    /// Its index in that list.
    pub index: usize,
    /// Entries for the end of `volumeMounts`.
    pub mounts: Vec<Value>,
    /// Entries for the end of `env`.
    pub env: Vec<Value>,
}

/// Collects the changes to one pod.
pub(super) struct EditsBuilder<'p, 'a> {
    pod: &'p Pod<'a>,
    tasks: &'p [&'p Container<'a>],
    inputs: Inputs,
    /// The volumes that are added, by their content.
    volumes: Vec<ResolvedInput>,
    /// Variables and paths that are added, by their container.
    used: Vec<(&'p str, String)>,
}

impl<'p, 'a> EditsBuilder<'p, 'a> {
    /// No changes, for a pod with these task containers.
    pub(super) fn new(pod: &'p Pod<'a>, tasks: &'p [&'p Container<'a>]) -> Self {
        Self { pod, tasks, inputs: Inputs::default(), volumes: Vec::new(), used: Vec::new() }
    }

    /// Replaces the key in a field with the name of the object.
    pub(super) fn set_object_name(
        &mut self,
        reference: &ObjectReference,
        query: &PipeQuery,
        resolved: ResolvedPipe<'_>,
    ) -> Result<(), InputError> {
        let input = self.record(&resolved);
        if input.kind != reference.kind {
            return Err(InputError::WrongKind {
                field: reference.field.to_string(),
                expected: reference.kind.as_str(),
                asked: query.describe(),
                found: input.kind,
            });
        }
        let optional = match resolved {
            ResolvedPipe::Stored(_) => None,
            ResolvedPipe::Awaited(awaits) => {
                self.wait_for_reference(reference, *awaits);
                // Optional volumes do not block the wait containers. Variables are required, so that they
                // are never omitted.
                Some(reference.volume.is_some())
            }
        };
        self.inputs.edits.names.push(ObjectName {
            field: reference.field.clone(),
            object: input.object,
            optional,
        });
        Ok(())
    }

    /// Adds the wait for an output that a field of the pod references.
    fn wait_for_reference(&mut self, reference: &ObjectReference, mut awaits: AwaitedOutput) {
        let volume = reference.volume.as_ref();
        let name = volume.and_then(|volume| Some(self.pod.volumes.as_ref()?.get(volume.index)?.name));
        let in_init = |name: &str| {
            let containers = self.pod.init_containers.iter();
            containers
                .flat_map(|container| container.mounts.iter().flatten())
                .any(|mount| mount.volume == name)
        };
        self.inputs.boot.wait_first |= reference.is_in_init_container() || name.is_some_and(in_init);
        let paths = volume.map(|volume| volume.paths.clone()).unwrap_or_default();
        awaits.files.extend(reference.files.iter().cloned());
        awaits.folders.extend(name.map(|name| OutputVolume { volume: name.to_owned(), paths }));
        self.add_awaited(awaits);
    }

    /// Adds the changes for an entry of the annotation.
    pub(super) fn add_entry(
        &mut self,
        position: usize,
        entry: &PipeIn,
        query: &PipeQuery,
        resolved: ResolvedPipe<'_>,
    ) -> Result<(), InputError> {
        let invalid = |message: String| InputError::Entry { position, message };
        let tasks = self.containers(entry).map_err(&invalid)?;
        let input = self.record(&resolved);
        let file = match &resolved {
            ResolvedPipe::Stored(pipe) => file(entry, query, pipe)?,
            ResolvedPipe::Awaited(_) => entry.file.as_deref(),
        };
        for container in tasks {
            if let Some(path) = &entry.mount_path {
                self.mount(container, path, file, &input, &invalid)?;
            } else if let (Some(name), Some(file)) = (&entry.env, file) {
                self.variable(container, name, file, &input, &invalid)?;
            }
        }
        if let ResolvedPipe::Awaited(mut awaits) = resolved {
            awaits.files.extend(file.map(str::to_owned));
            if entry.mount_path.is_some() {
                awaits.folders.push(OutputVolume { volume: self.volume(&input)?, paths: Vec::new() });
            }
            self.add_awaited(*awaits);
        }
        Ok(())
    }

    /// Adds an awaited output. Each object is only added once, with the shortest timeout.
    fn add_awaited(&mut self, awaits: AwaitedOutput) {
        let all = &mut self.inputs.boot.awaits;
        let Some(known) = all.iter_mut().find(|known| known.object == awaits.object) else {
            return all.push(awaits);
        };
        known.seconds = known.seconds.min(awaits.seconds);
        known.files.extend(awaits.files);
        for folder in awaits.folders {
            if !known.folders.contains(&folder) {
                known.folders.push(folder);
            }
        }
    }

    /// The containers of an entry, or the problem with it.
    fn containers(&self, entry: &PipeIn) -> Result<Vec<&'p Container<'a>>, String> {
        let Some(name) = &entry.container else { return Ok(self.tasks.to_vec()) };
        // Only init containers that are tasks can have inputs, because they run after the wait containers.
        let init = self.tasks.iter().copied().filter(|task| task.list == List::Init);
        let all = || self.pod.containers.iter().chain(init.clone());
        all().find(|container| container.name == name).map(|container| vec![container]).ok_or_else(|| {
            let known: Vec<_> = all().map(|container| container.name).collect();
            format!("container {name:?} does not exist in the pod: use one of {}", quoted(&known))
        })
    }

    fn mount(
        &mut self,
        container: &'p Container<'a>,
        path: &str,
        file: Option<&str>,
        input: &ResolvedInput,
        invalid: &impl Fn(String) -> InputError,
    ) -> Result<(), InputError> {
        let existing = container.mounts.iter().flatten().find(|mount| mount.is_at(path));
        if let Some(mount) = existing {
            return Err(invalid(format!(
                "container {:?} already mounts volume {:?} at {path}: set another mountPath",
                container.name, mount.volume
            )));
        }
        self.use_once(container, path.trim_end_matches('/'), invalid)?;
        let volume = self.volume(input)?;
        let mount = match file {
            None => json!({"name": volume, "mountPath": path, "readOnly": true}),
            Some(file) => json!({"name": volume, "mountPath": path, "subPath": file, "readOnly": true}),
        };
        self.edit(container, |edit| edit.mounts.push(mount));
        Ok(())
    }

    fn variable(
        &mut self,
        container: &'p Container<'a>,
        name: &str,
        file: &str,
        input: &ResolvedInput,
        invalid: &impl Fn(String) -> InputError,
    ) -> Result<(), InputError> {
        if container.env.contains(&name) {
            return Err(invalid(format!(
                "container {:?} already sets variable {name:?}: remove one of the two",
                container.name
            )));
        }
        self.use_once(container, name, invalid)?;
        let field = match input.kind {
            ObjectKind::Secret => "secretKeyRef",
            ObjectKind::ConfigMap => "configMapKeyRef",
        };
        let variable = json!({"name": name, "valueFrom": {field: {"name": input.object, "key": file}}});
        self.edit(container, |edit| edit.env.push(variable));
        Ok(())
    }

    /// Refuses a second entry for the same path or variable.
    fn use_once(
        &mut self,
        container: &'p Container<'a>,
        place: &str,
        invalid: &impl Fn(String) -> InputError,
    ) -> Result<(), InputError> {
        let used = (container.name, place.to_owned());
        if self.used.contains(&used) {
            return Err(invalid(format!("{place:?} is already used by an earlier entry: use another")));
        }
        self.used.push(used);
        Ok(())
    }

    /// The name of the volume with an input, which is added if it does not exist yet.
    fn volume(&mut self, input: &ResolvedInput) -> Result<String, InputError> {
        let known = self.volumes.iter().position(|known| known == input);
        let number = known.unwrap_or(self.volumes.len());
        let name = format!("{}{number}", names::VOLUME_PIPE_PREFIX);
        if known.is_none() {
            if self.pod.volumes.iter().flatten().any(|volume| volume.name == name) {
                return Err(InputError::NameTaken { name });
            }
            let (source, field) = match input.kind {
                ObjectKind::Secret => ("secret", "secretName"),
                ObjectKind::ConfigMap => ("configMap", "name"),
            };
            let mut settings = Map::from_iter([(field.to_owned(), input.object.clone().into())]);
            if input.awaited {
                // Optional volumes do not block the wait containers.
                settings.insert("optional".to_owned(), true.into());
            }
            let volume = json!({"name": name, source: settings});
            self.inputs.edits.volumes.push(volume);
            self.volumes.push(input.clone());
        }
        Ok(name)
    }

    /// Adds the input of a source of the profile.
    pub(super) fn add_source(&mut self, position: usize, pipe: &Pipe) {
        let input = self.record(&ResolvedPipe::Stored(pipe));
        self.inputs.boot.sources.push((position, Some(input)));
    }

    /// Adds an optional source whose output is not stored.
    pub(super) fn skip_source(&mut self, position: usize, name: &str, query: &PipeQuery) {
        self.inputs.boot.sources.push((position, None));
        self.inputs.warnings.push(format!(
            "bootlace: source {name:?} is skipped because it is optional and {} is not stored",
            query.describe()
        ));
    }

    pub(super) fn finish(self) -> Inputs {
        let mut inputs = self.inputs;
        let warning = |awaits: &AwaitedOutput| {
            let (output, seconds) = (awaits.describe(), awaits.seconds);
            format!("bootlace: {output} is not stored yet: the pod waits for it for up to {seconds} s")
        };
        inputs.warnings.extend(inputs.boot.awaits.iter().map(warning));
        inputs
    }

    /// Records an input in [`Inputs::resolved`].
    fn record(&mut self, resolved: &ResolvedPipe<'_>) -> ResolvedInput {
        let (key, kind, object, awaited) = match resolved {
            ResolvedPipe::Stored(pipe) => (&pipe.spec.key, pipe.spec.kind, &pipe.spec.object, false),
            ResolvedPipe::Awaited(awaits) => (&awaits.key, awaits.kind, &awaits.object, true),
        };
        let input = ResolvedInput { key: key.clone(), kind, object: object.clone(), awaited };
        if !self.inputs.resolved.contains(&input) {
            self.inputs.resolved.push(input.clone());
        }
        input
    }

    /// Changes one container.
    fn edit(&mut self, container: &Container<'_>, change: impl FnOnce(&mut ContainerEdit)) {
        let (list, index) = (container.list, container.index);
        let edits = &mut self.inputs.edits.containers;
        if let Some(edit) = edits.iter_mut().find(|edit| (edit.list, edit.index) == (list, index)) {
            return change(edit);
        }
        let mut edit = ContainerEdit { list, index, mounts: Vec::new(), env: Vec::new() };
        change(&mut edit);
        edits.push(edit);
    }
}

/// The file of the object that an entry selects; `None` for all files.
fn file<'e>(entry: &'e PipeIn, query: &PipeQuery, pipe: &'e Pipe) -> Result<Option<&'e str>, InputError> {
    let files = &pipe.spec.files;
    match (&entry.file, files.as_slice()) {
        (Some(file), files) if files.contains(file) => Ok(Some(file)),
        (None, _) if entry.env.is_none() => Ok(None),
        (None, [only]) => Ok(Some(only)),
        _ => Err(InputError::WhichFile { asked: query.describe(), files: files.clone() }),
    }
}
