//! Pods that name their run themselves, so that Jobs, Deployments and bare pods that belong together are one run to
//! each other: no controller of theirs knows that they do.

use super::Identity;
use crate::names;
use crate::pod::Pod;

/// The scheduler's short name of tasks whose run stands in an annotation. The same for all, whoever made the pod: what
/// joins them is the annotation.
pub(super) const NAME: &str = "annotation";

/// Who the task is, where its pod names its run; `told` is what its maker says.
pub(super) fn identity(pod: &Pod<'_>, told: Identity) -> Identity {
    let annotation = |name| pod.annotations.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let Some(run) = annotation(names::ANNOTATION_RUN) else { return told };
    // A Job is a workflow of its own to its pods, and a step of the run that it is joined to.
    let task = told.task.or(told.workflow).or_else(|| pod.name.map(str::to_owned));
    Identity {
        scheduler: Some(NAME.to_owned()),
        workflow: annotation(names::ANNOTATION_WORKFLOW),
        run: Some(run),
        task,
        ..told
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::identity::{Identity, identify};
    use crate::pod::{Json, Pod};

    fn identity(labels: &Value, annotations: &Value) -> Identity {
        let pod = json!({"metadata": {"name": "p", "labels": labels, "annotations": annotations}});
        identify(&Pod::read(&Json::from(&pod)).unwrap())
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
        let told = identity(&labels, &json!({}));
        assert_eq!(identity(&labels, &json!({"bootlace.dev/workflow": "shop"})), told);
        assert_eq!(identity(&labels, &json!({"bootlace.dev/run": ""})), told);
    }
}
