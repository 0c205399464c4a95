//! Whether the hooks of a profile can run in a pod.

use std::sync::Arc;

use super::{EnvDelivery, HooksError, PlanError};
use crate::abort::HookEvent;
use crate::identity::{Identity, Scheduler};
use crate::pod::Container;
use crate::profile::Profile;
use crate::profile::hooks::Hooks;
use crate::profile::templates::{self, HookList};

/// Whether the sidecar has to know how the task of `container` ends. It starts after init containers have
/// ended.
pub(super) fn is_supervised(container: &Container<'_>, hooks: &Hooks) -> bool {
    hooks.need_sidecar() && !container.ends_before_tasks()
}

/// Refuses a task whose hooks need the launcher, if the launcher does not start it.
pub(super) fn check_launched(
    container: &Container<'_>,
    delivery: EnvDelivery,
    reason: &str,
    profile: &Profile,
) -> Result<(), HooksError> {
    let hooks = &profile.spec.hooks;
    let needed = match () {
        () if delivery == EnvDelivery::Launch => return Ok(()),
        () if !hooks.pre_launch.is_empty() => "hooks.preLaunch",
        () if !is_supervised(container, hooks) => return Ok(()),
        () if hooks.abort.is_empty() => "hooks.postKill",
        () => "hooks.abort",
    };
    Err(HooksError::NotLaunched {
        hooks: needed,
        profile: profile.name.clone(),
        container: container.name.to_owned(),
        reason: reason.to_owned(),
    })
}

/// The warning for an init container, for which only `preLaunch` hooks can run.
pub(super) fn warning(container: &Container<'_>, hooks: &Hooks) -> Option<String> {
    let Hooks { pre_launch: _, post_launch, pre_kill, post_kill, abort } = hooks;
    let others = [
        ("postLaunch", post_launch.is_empty()),
        ("preKill", pre_kill.is_empty()),
        ("postKill", post_kill.is_empty()),
        ("abort", abort.is_empty()),
    ];
    let others: Vec<_> = others.iter().filter(|(_, empty)| !empty).map(|(name, _)| *name).collect();
    (container.ends_before_tasks() && !others.is_empty()).then(|| {
        format!(
            "bootlace: the {} hooks of the BootProfile do not run for init container {:?}, which ends before the sidecar starts, \
             and in which Kubernetes runs no lifecycle hooks",
            others.join(", "),
            container.name
        )
    })
}

/// Checks that the hooks of the sidecar can be rendered for a task, whatever it writes and however it ends.
pub(super) fn check_templates(
    profile: &Profile,
    task: &Identity,
    namespace: &str,
    scheduler: Option<&Arc<Scheduler>>,
) -> Result<(), PlanError> {
    if !profile.spec.hooks.need_sidecar() {
        return Ok(());
    }
    let sample = HookEvent { task: task.clone(), namespace: namespace.to_owned(), ..HookEvent::sample() };
    let context = sample.context(scheduler);
    for list in [HookList::PostKill, HookList::Abort] {
        for hook in list.of(&profile.spec.hooks) {
            templates::fill_hook(list, &mut hook.clone(), &context)
                .map_err(|error| PlanError::Template { profile: profile.name.clone(), error })?;
        }
    }
    Ok(())
}
