//! Pods with a run annotation: Jobs, Deployments and bare pods that belong to one run although no controller
//! knows this.

use super::Identity;
use crate::names;
use crate::pod::Pod;

/// Scheduler name of tasks with a run annotation. It is the same for all creators of pods, because the
/// annotation is what they share.
pub(super) const NAME: &str = "annotation";

/// The identity of a task with a run annotation. `detected` is the identity from the scheduler.
pub(super) fn identity(pod: &Pod<'_>, detected: Identity) -> Identity {
    let annotation = |name| pod.annotations.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let Some(run) = annotation(names::ANNOTATION_RUN) else { return detected };
    // For its own pods a Job is a workflow; in the annotated run it is a task.
    let task = detected.task.or(detected.workflow).or_else(|| pod.name.map(str::to_owned));
    Identity {
        scheduler: Some(NAME.to_owned()),
        workflow: annotation(names::ANNOTATION_WORKFLOW),
        run: Some(run),
        task,
        ..detected
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::identity::{Identity, Schedulers};
    use crate::pod::{Json, Pod};

    fn identity(labels: &Value, annotations: &Value) -> Identity {
        let pod = json!({"metadata": {"name": "p", "labels": labels, "annotations": annotations}});
        Schedulers::built_in().identify(&Pod::read(&Json::from(&pod)).unwrap())
    }

    #[test]
    fn jobs_of_one_run_have_it_in_common_and_their_names_to_themselves() {
        let run = json!({"bootlace.dev/run": "deploy-7", "bootlace.dev/workflow": "shop"});
        let one = identity(
            &json!({"batch.kubernetes.io/job-name": "gencert", "batch.kubernetes.io/controller-uid": "u1"}),
            &run,
        );
        let two = identity(&json!({}), &run);
        assert_eq!(one.describe(), "task gencert of shop, run deploy-7");
        assert_eq!(two.describe(), "task p of shop, run deploy-7");
        assert_eq!(one.scheduler, two.scheduler);
    }

    #[test]
    fn a_workflow_alone_joins_nothing() {
        let labels = json!({"batch.kubernetes.io/job-name": "gencert"});
        let expected = identity(&labels, &json!({}));
        assert_eq!(identity(&labels, &json!({"bootlace.dev/workflow": "shop"})), expected);
        assert_eq!(identity(&labels, &json!({"bootlace.dev/run": ""})), expected);
    }
}
