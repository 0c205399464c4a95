//! The preStop handler of a task container: the `preKill` hooks of the profile, and the handler of the pod,
//! which the launcher runs because it replaces it.

use super::{PlanError, launcher};
use crate::pod::{Container, LifecycleHandler, Pod};
use crate::profile::hooks::CommandHook;

/// Default of `terminationGracePeriodSeconds` in the API server.
pub(super) const GRACE_SECONDS: u32 = 30;
/// Seconds of the grace period for the task to end after the handler of the pod.
const MARGIN_SECONDS: u32 = 2;

/// The preStop handler of a container.
#[derive(Debug)]
pub(super) struct Prestop {
    /// The command.
    pub(super) command: Vec<String>,
    /// The warning for the author of the pod, if the hooks may not have enough time.
    pub(super) warning: Option<String>,
}

/// The grace period of a pod, in seconds.
pub(super) fn grace_seconds(pod: &Pod<'_>) -> u32 {
    pod.grace_seconds.map_or(GRACE_SECONDS, |seconds| u32::try_from(seconds).unwrap_or_default())
}

/// The handler, if the profile has `preKill` hooks. `grace` is the grace period of the pod in seconds.
pub(super) fn plan(
    container: &Container<'_>,
    hooks: &[CommandHook],
    grace: u32,
) -> Result<Option<Prestop>, PlanError> {
    if hooks.is_empty() || container.ends_before_tasks() {
        return Ok(None);
    }
    let budget = budget(container, grace);
    let wanted = hooks.iter().fold(0_u32, |sum, hook| sum.saturating_add(hook.timeout_seconds));
    let warning = (wanted > budget).then(|| {
        format!(
            "bootlace: the preKill hooks of container {:?} can take up to {wanted} s, but they get {budget} s of the grace period \
             of the pod ({grace} s), so that its preStop handler and the task have time to end: increase \
             terminationGracePeriodSeconds, or lower timeoutSeconds of the hooks",
            container.name
        )
    });
    let mut command = launcher::role_command("prestop", container);
    command.extend(launcher::hooks(hooks));
    command.push(format!("--timeout={budget}"));
    command.push(format!("--grace={grace}"));
    command.extend(launcher::handler(container, "preStop", container.pre_stop.as_ref())?);
    Ok(Some(Prestop { command, warning }))
}

/// The seconds for all hooks together: half of the grace period, or what a `sleep` of the pod leaves of it.
/// The rest is for the handler of the pod and the task.
fn budget(container: &Container<'_>, grace: u32) -> u32 {
    let sleep = container.pre_stop.as_ref().map_or(0, LifecycleHandler::sleep_seconds);
    (grace / 2).min(grace.saturating_sub(sleep).saturating_sub(MARGIN_SECONDS)).max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::Json;

    fn planned(lifecycle: &Value, timeout: u32, grace: u32) -> Result<Option<Prestop>, PlanError> {
        let pod = json!({"metadata": {}, "spec": {"containers": [{"name": "main", "lifecycle": lifecycle}]}});
        let json = Json::from(&pod);
        let pod = Pod::read(&json).unwrap();
        let hook = json!([{"name": "drain", "exec": ["drain", "--all"], "timeoutSeconds": timeout}]);
        plan(&pod.containers[0], &serde_json::from_value::<Vec<_>>(hook).unwrap(), grace)
    }

    #[test]
    fn the_handler_of_the_pod_follows_the_hooks() {
        for (lifecycle, end) in [
            (json!({}), &["--timeout=15", "--grace=30"][..]),
            (json!({"preStop": {"exec": {"command": ["sh", "-c", "x"]}}}), &["--", "sh", "-c", "x"]),
            (json!({"preStop": {"sleep": {"seconds": 20}}}), &["--timeout=8", "--grace=30", "--sleep=20"]),
            (
                json!({"preStop": {"httpGet": {"port": 80, "path": "/stop"}}}),
                &["--timeout=15", "--grace=30", "--http=http://:80/stop"],
            ),
        ] {
            let prestop = planned(&lifecycle, 5, 30).unwrap().unwrap();
            assert_eq!(
                prestop.command[..5],
                [
                    "/bootlace/bin/launch",
                    "prestop",
                    "--container=main",
                    "--hook=drain:5:fail",
                    "--argument=drain"
                ]
            );
            assert!(prestop.command.ends_with(&end.iter().map(ToString::to_string).collect::<Vec<_>>()));
            assert_eq!(prestop.warning, None);
        }
        let error = planned(&json!({"preStop": {"tcpSocket": {"port": 80}}}), 5, 30).unwrap_err();
        assert!(matches!(error, PlanError::Handler { field: "preStop", .. }), "{error}");
    }

    #[test]
    fn hooks_that_may_not_have_enough_time_are_a_warning() {
        assert!(planned(&json!({}), 16, 30).unwrap().unwrap().warning.unwrap().contains("15 s"));
        let prestop = planned(&json!({}), 5, 0).unwrap().unwrap();
        assert!(prestop.command.contains(&"--timeout=1".to_owned()));
    }
}
