//! The steps of planning a pod. Each returns a value that the next steps read.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::context::TaskInPod;
use super::entrypoint::{self, ContainerCommand, EntrypointAnnotation};
use super::env_from::{self, EnvFromMirror};
use super::env_mode::RequestedMode;
use super::init_image::ChosenInitImage;
use super::links::{self, Links};
use super::mount_conflicts::{self, Volumes};
use super::pipes::{self, Outputs, Sidecar, StoreContainer, TaskOutputs};
use super::resources::{self, PodLimits};
use super::task::TaskPod;
use super::{
    AdmissionContext, AwaitedPipe, BootSpec, EnvDelivery, ImageConfigs, ImageQuery, InjectedAnnotation, Plan,
    PlanError, PreparedProfile, SelectedTask, TaskContainer, boot_config, container_parts, containers,
    context, env_secret, hooks, prestop, progress, signed, sources, task,
};
use crate::identity::{self, Scheduler};
use crate::input::BootInputs;
use crate::names;
use crate::output::SidecarConfig;
use crate::pod::{Container, Pod};
use crate::profile::ContainerResources;
use crate::template::Context;

/// The values that all steps read.
pub(super) struct Planner<'p, 'a> {
    pod: &'p Pod<'a>,
    origin: AdmissionContext<'p>,
    prepared: &'p PreparedProfile,
    init_image: Option<ChosenInitImage<'p>>,
    /// The scheduler that created the pod.
    scheduler: Option<&'p Arc<Scheduler>>,
    /// The task containers.
    containers: Vec<&'p Container<'a>>,
    mode: RequestedMode,
    outputs: Outputs,
    /// The volumes of the pod.
    volumes: Volumes<'a>,
    /// The variables of templates. Most profiles need none.
    context: OnceCell<Context>,
}

/// The commands of the task containers, in order.
pub(super) enum Commands {
    /// The commands, as far as they can be determined.
    Known(Vec<ContainerCommand>),
    /// A lookup in a registry is needed first.
    Query(ImageQuery),
}

/// The configuration of the boot container.
pub(super) struct BootConfig<'p> {
    spec: BootSpec<'p>,
    /// The env of the task containers that boot gets too.
    mirror: EnvFromMirror,
    /// The volumes of sources that are specific to the pod.
    volumes: sources::PodVolumes,
    /// Warnings about sources.
    warnings: Vec<String>,
}

/// The init containers to add.
pub(super) struct AddedContainers<'p> {
    /// Those that wait for outputs of earlier tasks.
    wait: Vec<Value>,
    /// Those that boot the pod, followed by the sidecar.
    boot: Vec<Value>,
    /// Their volumes that are specific to this pod.
    volumes: Vec<Value>,
    /// The configuration of the sidecar.
    sidecar: Option<SidecarConfig<'p>>,
    /// Warnings about outputs, the store and resources.
    warnings: Vec<String>,
}

impl<'p, 'a> Planner<'p, 'a> {
    pub(super) fn new(
        pod: &'p Pod<'a>,
        origin: AdmissionContext<'p>,
        (prepared, task): (&'p PreparedProfile, &SelectedTask<'p>),
        init_image: Option<ChosenInitImage<'p>>,
    ) -> Result<Self, PlanError> {
        let (scheduler, containers) = (task.scheduler, task.containers_in(pod));
        let mode = RequestedMode::new(pod, &prepared.profile, scheduler)?;
        let outputs = Outputs::declared(pod, &containers, &prepared.profile)?;
        Ok(Self {
            pod,
            origin,
            prepared,
            init_image,
            scheduler,
            containers,
            mode,
            outputs,
            volumes: mount_conflicts::volumes(pod),
            context: OnceCell::new(),
        })
    }

    /// The command of each task container. `registry` contains the results of lookups so far; without it, no
    /// registry can be queried.
    pub(super) fn commands(&self, registry: Option<&ImageConfigs>) -> Result<Commands, PlanError> {
        let annotation = EntrypointAnnotation::parse(self.pod, &self.containers)?;
        let registry = registry.filter(|_| self.mode.needs_command(self.prepared));
        let table = &self.prepared.profile.spec.env.images;
        let command =
            |container: &&Container<'_>| entrypoint::command(container, &annotation, table, registry);
        let commands: Vec<_> = self.containers.iter().map(command).collect();
        let unknown = self.containers.iter().zip(&commands);
        let unknown = unknown.filter(|(_, command)| **command == ContainerCommand::Lookup);
        let images: BTreeSet<_> = unknown.map(|(container, _)| container.image.to_owned()).collect();
        if images.is_empty() {
            return Ok(Commands::Known(commands));
        }
        Ok(Commands::Query(ImageQuery {
            namespace: self.origin.namespace.to_owned(),
            pull_secrets: self.pod.pull_secrets.iter().flatten().map(|&name| name.to_owned()).collect(),
            architecture: match self.pod.architectures.as_deref() {
                Some([only]) => Some((*only).to_owned()),
                _ => None,
            },
            images,
        }))
    }

    /// The changes to each task container.
    pub(super) fn tasks(&self, commands: Vec<ContainerCommand>) -> Result<Vec<TaskContainer>, PlanError> {
        let grace = prestop::grace_seconds(self.pod);
        let pod = TaskPod { volumes: &self.volumes, outputs: &self.outputs, grace };
        let containers = self.containers.iter().zip(commands);
        containers
            .map(|(container, command)| task::plan(container, pod, command, self.mode, self.prepared))
            .collect()
    }

    /// The configuration of the boot container.
    pub(super) fn boot_config(
        &self,
        tasks: &[TaskContainer],
        inputs: &BootInputs,
    ) -> Result<BootConfig<'p>, PlanError> {
        let (pod, prepared) = (self.pod, self.prepared);
        let mut mirror = self.env_mirror()?;
        let prefixes = std::mem::take(&mut mirror.prefixes);
        let task = identity::identify(pod, self.scheduler);
        let mut spec = boot_config::spec(task, &self.containers, tasks, prefixes, prepared);
        if tasks.iter().any(|task| task.delivery == EnvDelivery::Secret) {
            let reason = || self.mode.why_secret(prepared);
            spec.env_secret = Some(env_secret::secret_name(self.origin, reason)?);
        }
        let mut warnings = Vec::new();
        let mut volumes = sources::PodVolumes::default();
        if !prepared.per_pod.is_empty() {
            let task = TaskInPod {
                pod,
                namespace: self.origin.namespace,
                identity: &spec.task,
                scheduler: self.scheduler.map(|scheduler| &**scheduler),
                containers: &self.containers,
                variables: self.context(),
            };
            let sources = spec.sources.to_mut();
            let profile = &prepared.profile;
            warnings = sources::render(sources, &prepared.per_pod, profile, &task, &mut volumes)?;
        }
        sources::set_deadline(&mut spec.sources, pod);
        let profile = &prepared.profile;
        if !profile.spec.task.is_empty() {
            spec.info = profile
                .spec
                .task
                .render(self.context())
                .map_err(|error| PlanError::TaskInfo { profile: profile.name.clone(), error })?;
        }
        if !inputs.sources.is_empty() {
            sources::add_inputs(spec.sources.to_mut(), &inputs.sources, pod, &mut volumes)?;
        }
        if let Some(chosen) = &self.init_image {
            chosen.set_in(&mut spec);
        }
        Ok(BootConfig { spec, mirror, volumes, warnings })
    }

    /// The variables of templates.
    fn context(&self) -> &Context {
        self.context.get_or_init(|| {
            let container = self.containers.first().copied();
            Context::new(self.pod, self.origin.namespace, container, self.scheduler)
        })
    }

    /// The env of the task containers that boot gets to find the names of their variables; empty if the
    /// sources of the profile provide no env.
    fn env_mirror(&self) -> Result<EnvFromMirror, PlanError> {
        if self.prepared.env_names.is_empty() {
            return Ok(EnvFromMirror::default());
        }
        Ok(env_from::mirror(&self.containers, self.prepared.profile.spec.boot.position)?)
    }

    /// The init containers to add.
    pub(super) fn added_containers(
        &self,
        tasks: &[TaskContainer],
        config: &mut BootConfig<'_>,
        inputs: &BootInputs,
    ) -> Result<AddedContainers<'p>, PlanError> {
        let boot = self.boot_container(config)?;
        let store = StoreContainer {
            spec: &self.prepared.profile.spec,
            profile: config.spec.profile.clone(),
            store: self.prepared.store.as_deref(),
            kubernetes: self.prepared.kubernetes,
            run_as_user: self.prepared.run_as_user,
            boot: &self.prepared.boot,
            scheduler: self.scheduler,
        };
        let wait = pipes::wait::containers(&inputs.awaits, &store)?;
        let sidecar = self.sidecar(tasks, config, &store)?;
        let mut boot = match &self.init_image {
            Some(chosen) => chosen.containers(self.origin.namespace, &config.spec, boot)?.into(),
            None => vec![boot],
        };
        let mut volumes = std::mem::take(&mut config.volumes.volumes);
        let mut warnings = Vec::new();
        if config.spec.env_secret.is_some() || sidecar.is_some() || !wait.is_empty() {
            warnings.extend(env_secret::unreachable(self.pod));
        }
        let sidecar = sidecar.map(|sidecar| {
            boot.push(sidecar.container);
            volumes.extend(sidecar.volumes);
            warnings.extend(sidecar.warnings);
            let warning = self.scheduler.and_then(|found| found.output_warning());
            warnings.extend(warning.map(|text| format!("bootlace: {text}")));
            sidecar.config
        });
        let mut added = AddedContainers { wait, boot, volumes, sidecar, warnings };
        self.set_resources(&mut added)?;
        for container in added.wait.iter_mut().chain(&mut added.boot) {
            container_parts::avoid_root(container, self.pod);
        }
        if let (Some(keys), Some(_)) = (&self.prepared.keys, &self.prepared.store) {
            signed::sign(keys, self.pod, self.origin, &mut added.boot, &added.wait);
        }
        Ok(added)
    }

    /// The boot container, with its configuration in its env.
    fn boot_container(&self, config: &mut BootConfig<'_>) -> Result<Value, PlanError> {
        let mut boot = self.prepared.boot.clone();
        if let Some(container) = boot.as_object_mut() {
            let mut env = boot_config::env(&config.spec, &self.prepared.profile.name)?;
            env.append(&mut config.mirror.env);
            for variable in context::pod_fields(&config.spec.sources) {
                env.push(container_parts::json(&variable)?);
            }
            container.insert("env".to_owned(), env.into());
            if !config.mirror.env_from.is_empty() {
                container.insert("envFrom".to_owned(), std::mem::take(&mut config.mirror.env_from).into());
            }
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.append(&mut config.volumes.mounts);
            }
        }
        Ok(boot)
    }

    fn sidecar(
        &self,
        tasks: &[TaskContainer],
        config: &BootConfig<'_>,
        store: &StoreContainer<'p>,
    ) -> Result<Option<Sidecar<'p>>, PlanError> {
        let outputs = self.containers.iter().zip(tasks).map(|(container, task)| TaskOutputs {
            container,
            unlaunched: (task.delivery != EnvDelivery::Launch).then_some(task.reason.as_str()),
        });
        let outputs: Vec<_> = outputs.collect();
        let (profile, namespace) = (&self.prepared.profile, self.origin.namespace);
        hooks::check_templates(profile, &config.spec.task, namespace, self.scheduler)?;
        Sidecar::plan(self.pod, &outputs, &self.outputs, &config.spec.task, self.prepared, store)
    }

    /// Sets the resources of the containers that are added.
    fn set_resources(&self, added: &mut AddedContainers<'_>) -> Result<(), PlanError> {
        let spec = &self.prepared.profile.spec;
        let limits = PodLimits::new(self.pod, &self.prepared.profile.name)?;
        let boot = limits.init_container(
            names::CONTAINER_BOOT,
            &spec.boot.resources,
            self.prepared.memory.need(),
        )?;
        let image = self.init_image.as_ref().map(|chosen| chosen.resources(&limits)).transpose()?;
        let (mut wait, mut sidecar) = (None, None);
        for container in added.wait.iter_mut().chain(&mut added.boot) {
            let resources = match container.get("name").and_then(Value::as_str) {
                Some(names::CONTAINER_INIT) => image.as_ref().unwrap_or(&boot),
                Some(names::CONTAINER_WAIT | names::CONTAINER_VOLUME_WAIT) => {
                    &*wait.insert(limits.init_container(
                        names::CONTAINER_WAIT,
                        &ContainerResources::default(),
                        resources::min_memory(),
                    )?)
                }
                Some(names::CONTAINER_PIPE) => {
                    let resources = spec.pipes.resources.as_ref();
                    &*sidecar.insert(limits.sidecar(resources.unwrap_or(&ContainerResources::default())))
                }
                _ => &boot,
            };
            resources.set(container);
        }
        let ends: Vec<_> = [Some(&boot), image.as_ref(), wait.as_ref()].into_iter().flatten().collect();
        added.warnings.extend(limits.warnings(&self.prepared.memory, &ends, sidecar.as_ref()));
        Ok(())
    }

    /// The plan, from the values of all steps.
    pub(super) fn plan(
        &self,
        tasks: Vec<TaskContainer>,
        config: BootConfig<'p>,
        added: AddedContainers<'p>,
        inputs: &'p BootInputs,
    ) -> Result<Plan<'p>, PlanError> {
        let (profile, spec) = (&self.prepared.profile, config.spec);
        let mut warnings: Vec<_> = tasks.iter().flat_map(|task| task.warnings.iter().cloned()).collect();
        warnings.extend(containers::missing_tasks_warning(self.pod, &self.containers));
        warnings
            .extend(self.scheduler.and_then(|found| found.warning()).map(|text| format!("bootlace: {text}")));
        let init_mounts = task::init_mounts(self.pod, &self.volumes, &tasks, profile, &mut warnings)?;
        warnings.extend(config.warnings);
        warnings.extend(added.warnings);
        let Links { links, warnings: left_out } = links::plan(self.pod, profile, || self.context());
        warnings.extend(left_out);
        warnings.extend(progress::warning(self.prepared));
        Ok(Plan {
            boot: added.boot,
            wait: added.wait,
            wait_first: inputs.wait_first,
            position: profile.spec.boot.position,
            volumes: Arc::clone(&self.prepared.volumes),
            pull_secrets: self.prepared.pull_secrets.missing_in(self.pod),
            pod_volumes: added.volumes,
            mounts: Arc::clone(&self.prepared.mounts),
            injected: InjectedAnnotation {
                env_secret: spec.env_secret.clone(),
                init_image: self.init_image.as_ref().map(ChosenInitImage::image),
                awaits: inputs.awaits.iter().map(AwaitedPipe::from).collect(),
                links: links.keys().cloned().collect(),
                ..InjectedAnnotation::new(profile, &tasks)
            },
            links,
            env_from: spec.env_secret.as_deref().map(env_secret::env_from),
            warnings,
            config: spec,
            sidecar: added.sidecar,
            awaits: &inputs.awaits,
            tasks,
            init_mounts,
        })
    }
}
