//! The context of a task: what connects it to its run in traces and in lineage. A value that the pod does not
//! determine is left out with a warning. It does not refuse the pod, because the task can run without it, and
//! it is never guessed: a wrong parent is worse than none.

use std::fmt::Display;

use k8s_openapi::api::core::v1 as core;

use super::boot_spec::{BootSource, ContextSource, SourceKind};
use super::container_parts::env_of_field;
use crate::identity::spec::LineageIds;
use crate::identity::{Identity, Scheduler};
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::context::{
    A_DATE, A_NUMBER, CLEAR_NUMBER, LOGICAL_DATE, OpenLineage, OpenTelemetry, RunContext, TraceParent,
};
use crate::profile::templates::{FieldError, InvalidField};
use crate::telemetry::airflow::{self, UnknownRun};
use crate::telemetry::{JobRun, Lineage, RunKey, lineage, resource, trace};
use crate::template::{self, Context, RenderError, Slot};

/// A task, with everything that its context depends on.
pub(super) struct TaskInPod<'p, 'a> {
    /// Its pod.
    pub(super) pod: &'p Pod<'a>,
    /// The namespace of the pod.
    pub(super) namespace: &'p str,
    /// Its identity.
    pub(super) identity: &'p Identity,
    /// The scheduler that created the pod.
    pub(super) scheduler: Option<&'p Scheduler>,
    /// The task containers.
    pub(super) containers: &'p [&'p Container<'a>],
    /// The variables of templates.
    pub(super) variables: &'p Context,
}

/// The context of a task.
#[derive(Debug, Default)]
pub(super) struct ResolvedContext {
    /// The configuration of boot.
    pub(super) source: ContextSource,
    /// What is left out, and why.
    left_out: Vec<(&'static str, ContextProblem)>,
}

/// A part of the context that a pod does not get.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source {name:?} of BootProfile {profile:?} leaves out {part}: {problem}")]
pub struct ContextLeftOut {
    /// The profile.
    pub profile: String,
    /// Name of the source.
    pub name: String,
    /// The part: a variable, or the run in lineage.
    pub part: &'static str,
    /// Why.
    pub problem: ContextProblem,
}

/// Why a part of the context is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextProblem {
    /// A field of the identity is unknown.
    #[error("{variable} is undefined or empty ({reason}): {remedy}")]
    Undefined {
        /// The field, as in a template.
        variable: String,
        /// The places that were searched, or why it is unknown.
        reason: String,
        /// How to define it.
        remedy: String,
    },
    /// The pod does not determine a run of Airflow.
    #[error(transparent)]
    Run(#[from] UnknownRun),
}

/// The run that starts the program of the task, in messages.
const PARENT: &str = "the parent run of OpenLineage";
/// The run at the top, in messages.
const ROOT: &str = "the root run of OpenLineage";

/// The context of a task. The templates of `settings` are rendered for its pod.
///
/// # Errors
/// If a value of the profile has another format for this pod.
pub(super) fn resolve(
    settings: &RunContext,
    task: &TaskInPod<'_, '_>,
) -> Result<ResolvedContext, InvalidField> {
    let mut resolved = ResolvedContext::default();
    if let Some(telemetry) = &settings.open_telemetry {
        resolved.add_telemetry(telemetry, task);
    }
    if let Some(lineage) = &settings.open_lineage {
        resolved.add_lineage(lineage, task)?;
    }
    Ok(resolved)
}

/// The variables of the boot container that sources with the context of a task need.
pub(super) fn pod_fields(sources: &[BootSource]) -> impl Iterator<Item = core::EnvVar> {
    let needs = |source: &BootSource| match &source.from {
        SourceKind::Context(from) => from.attributes.is_some(),
        _ => false,
    };
    let are_needed = sources.iter().any(needs);
    resource::POD_FIELDS
        .iter()
        .filter(move |_| are_needed)
        .map(|field| env_of_field(field.variable, field.path))
}

impl ResolvedContext {
    /// What is left out of the source `name` of a profile.
    pub(super) fn left_out(&self, profile: &str, name: &str) -> impl Iterator<Item = ContextLeftOut> {
        self.left_out.iter().map(move |(part, problem)| ContextLeftOut {
            profile: profile.to_owned(),
            name: name.to_owned(),
            part,
            problem: problem.clone(),
        })
    }

    fn set(&mut self, name: &str, value: String) {
        self.source.env.insert(name.to_owned(), value);
    }

    /// Leaves out a part that the author of the pod or profile can provide.
    fn leave_out(&mut self, part: &'static str, problem: ContextProblem) {
        self.note(part, &problem);
        self.left_out.push((part, problem));
    }

    /// Reports in the log of boot that a part is left out.
    fn note(&mut self, part: &str, reason: &dyn Display) {
        self.source.left_out.push(format!("{part} is left out: {reason}"));
    }

    fn add_telemetry(&mut self, settings: &OpenTelemetry, task: &TaskInPod<'_, '_>) {
        let container = match task.containers {
            [only] => Some(only.name),
            _ => None,
        };
        let mut attributes = resource::of_task(task.pod, task.namespace, task.identity, container);
        if let Some(cluster) = &settings.cluster {
            attributes.insert(resource::CLUSTER.to_owned(), cluster.clone());
        }
        attributes.extend(settings.attributes.clone());
        attributes.extend(resource::of_annotations(task.pod));
        attributes.retain(|_, value| !value.is_empty());
        let service = attributes.remove(resource::SERVICE_NAME);
        let service = service.or_else(|| settings.service_name.clone()).filter(|name| !name.is_empty());
        // An annotation can contain a NUL byte, but a variable cannot.
        let service = service.or_else(|| task.identity.workflow.clone());
        let service = service.filter(|name| !name.is_empty() && !name.contains('\0'));
        if let Some(service) = service {
            self.set(names::ENV_SERVICE_NAME, service);
        }
        self.source.attributes = Some(attributes);
        let is_sampled = match settings.trace_parent {
            TraceParent::Sampled => true,
            TraceParent::NotSampled => false,
            TraceParent::None => return,
        };
        match run_key(task, settings.cluster.as_deref()) {
            Ok(run) => self.set(names::ENV_TRACE_PARENT, trace::parent(&run, is_sampled)),
            Err(problem) => self.leave_out(names::ENV_TRACE_PARENT, problem),
        }
    }

    fn add_lineage(&mut self, settings: &OpenLineage, task: &TaskInPod<'_, '_>) -> Result<(), InvalidField> {
        if let Some((container, name)) = own_lineage(task) {
            // A client would combine the variables of the pod with the others.
            self.note(PARENT, &format_args!("container {container:?} sets {name} itself"));
            return Ok(());
        }
        let found = if is_of_airflow(task) {
            let found = airflow::lineage(task.pod, airflow_settings(settings)?);
            found.map_err(ContextProblem::from)
        } else {
            workflow_lineage(&settings.namespace, task).map(|lineage| (lineage, None))
        };
        match found {
            Ok((lineage, unknown_root)) => {
                self.set_lineage(&lineage);
                if let Some(problem) = unknown_root {
                    self.leave_out(ROOT, problem.into());
                }
            }
            Err(problem) => self.leave_out(PARENT, problem),
        }
        Ok(())
    }

    fn set_lineage(&mut self, lineage: &Lineage) {
        self.set(names::ENV_LINEAGE_CONTEXT, lineage.context());
        let Lineage { parent, root } = lineage;
        for (name, run) in
            [(names::ENV_LINEAGE_PARENT, Some(parent)), (names::ENV_LINEAGE_ROOT, root.as_ref())]
        {
            let Some(run) = run else { continue };
            if let Some(id) = run.id() {
                self.set(name, id);
            } else {
                let context = names::ENV_LINEAGE_CONTEXT;
                self.note(
                    name,
                    &format_args!("its namespace or job contains a slash, so only {context} contains it"),
                );
            }
        }
    }
}

/// The first variable of lineage that a task container sets itself, with the container.
fn own_lineage<'a>(task: &TaskInPod<'_, 'a>) -> Option<(&'a str, &'static str)> {
    let lineage = [names::ENV_LINEAGE_CONTEXT, names::ENV_LINEAGE_PARENT, names::ENV_LINEAGE_ROOT];
    let own = |container: &&Container<'a>| {
        let name = lineage.into_iter().find(|name| container.env.contains(name))?;
        Some((container.name, name))
    };
    task.containers.iter().find_map(own)
}

/// Whether the task belongs to a run of Airflow. A run annotation replaces that run.
fn is_of_airflow(task: &TaskInPod<'_, '_>) -> bool {
    let ids = task.scheduler.and_then(Scheduler::lineage);
    ids == Some(LineageIds::Airflow) && !task.identity.is_joined()
}

/// The run of a task, in `cluster`.
fn run_key<'p>(task: &TaskInPod<'p, '_>, cluster: Option<&'p str>) -> Result<RunKey<'p>, ContextProblem> {
    let Identity { scheduler, workflow, run, .. } = task.identity;
    let Some(run) = present(run.as_deref()) else { return Err(undefined("run", task)) };
    let key = RunKey {
        cluster,
        namespace: task.namespace,
        scheduler: scheduler.as_deref(),
        workflow: workflow.as_deref(),
        run,
    };
    Ok(match airflow::run(task.pod).filter(|_| is_of_airflow(task)) {
        Some((workflow, run)) => RunKey { workflow: Some(workflow), run, ..key },
        None => key,
    })
}

/// The runs of a task whose scheduler sends no events to OpenLineage: the run of the workflow is the parent,
/// and the root.
fn workflow_lineage(namespace: &str, task: &TaskInPod<'_, '_>) -> Result<Lineage, ContextProblem> {
    let run = run_key(task, None)?;
    let Some(workflow) = present(task.identity.workflow.as_deref()) else {
        return Err(undefined("workflow", task));
    };
    let parent = JobRun::of_workflow(namespace, workflow, &run);
    Ok(Lineage { root: Some(parent.clone()), parent })
}

/// The settings for runs of Airflow.
fn airflow_settings(settings: &OpenLineage) -> Result<airflow::Settings<'_>, InvalidField> {
    let parsed =
        |field, text: &str, expected| (field, FieldError::Format { value: text.to_owned(), expected });
    let logical_date = present(settings.airflow.logical_date.as_deref())
        .map(|text| lineage::instant(text).ok_or_else(|| parsed(LOGICAL_DATE, text, A_DATE)));
    let clear_number = present(settings.airflow.clear_number.as_deref())
        .map(|text| text.parse().map_err(|_| parsed(CLEAR_NUMBER, text, A_NUMBER)));
    Ok(airflow::Settings {
        namespace: &settings.namespace,
        logical_date: logical_date.transpose()?,
        clear_number: clear_number.transpose()?,
    })
}

fn present(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// Why a field of the identity is undefined, as in the message about a template.
fn undefined(field: &str, task: &TaskInPod<'_, '_>) -> ContextProblem {
    match template::render(&format!("{{{{ {field} }}}}"), task.variables, Slot::Text) {
        Err(RenderError::Undefined { variable, reason, remedy }) => {
            ContextProblem::Undefined { variable, reason, remedy }
        }
        _ => ContextProblem::Undefined {
            variable: field.to_owned(),
            reason: "looked in the pod".to_owned(),
            remedy: format!("set annotation {} of the pod", names::ANNOTATION_RUN),
        },
    }
}
