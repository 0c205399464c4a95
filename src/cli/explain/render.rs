//! Writes an explanation as text.

use std::fmt::Write as _;

use super::explanation::{Explanation, Mount, MountContent, Task, TaskHook};
use super::hook;
use super::source;
use bootlace_core::input::AwaitedOutput;
use bootlace_core::names;
use bootlace_core::output::DeclaredOutput;
use bootlace_core::plan::{EnvDelivery, InjectedAnnotation};
use bootlace_core::pod::List;
use bootlace_core::profile::launch::OnSidecarFailure;

/// Describes each injected part of a pod.
pub(super) fn describe(pod: &Explanation) -> String {
    let mut out = Lines(String::new());
    summary(&mut out, pod);
    out.gap();
    for overlay in &pod.overlays {
        out.part("overlay", &overlay.name, "changes the pod before boot is added:");
        for change in &overlay.changes {
            out.detail(change);
        }
    }
    wait(&mut out, pod);
    boot(&mut out, pod);
    sidecar(&mut out, pod);
    for container in &pod.tasks {
        task(&mut out, container, &pod.annotation);
    }
    for container in &pod.others {
        out.part("init container", &container.name, "is not a task, but mounts files of boot:");
        for mount in &container.mounts {
            out.detail(&describe_mount(mount));
        }
    }
    for reference in &pod.unresolved {
        out.part("pipe", reference, "");
    }
    for warning in &pod.warnings {
        out.part("warning", warning, "");
    }
    out.0
}

/// Describes the pod as a whole.
fn summary(out: &mut Lines, pod: &Explanation) {
    let scheduler = pod.scheduler.as_deref().unwrap_or("unknown");
    match pod.task.describe() {
        task if task.is_empty() => out.line("scheduler", scheduler),
        task => out.line("scheduler", &format!("{scheduler}: {task}")),
    }
    out.line("task because", &pod.reason.to_string());
    let InjectedAnnotation { profile, generation, version, env_mode, reason, overlays, .. } = &pod.annotation;
    out.line("profile", &format!("{profile}, generation {generation} (Bootlace {version})"));
    if !overlays.is_empty() {
        out.line("overlays", &overlays.join(", "));
    }
    for (name, link) in &pod.links {
        out.line("link", &format!("{name}: {link}"));
    }
    if !reason.is_empty() {
        out.line("env mode", &format!("{}: {reason}", env_mode.as_str()));
    }
    for limit in limits(&pod.annotation) {
        out.line("monitor", &limit);
    }
}

/// When the monitor fails the pod.
fn limits(annotation: &InjectedAnnotation) -> Vec<String> {
    let InjectedAnnotation { launch, on_sidecar_failure, .. } = annotation;
    let schedule =
        launch.schedule_seconds.map(|seconds| format!("fails the pod if it has no node after {seconds} s"));
    let start = launch.start_seconds.map(|seconds| {
        format!("fails the pod if a task has not started {seconds} s after the pod got its node")
    });
    let sidecar = (*on_sidecar_failure == OnSidecarFailure::Fail)
        .then(|| "fails the pod if another container fails before the tasks have ended".to_owned());
    [schedule, start, sidecar].into_iter().flatten().collect()
}

/// Describes the containers that wait for outputs of earlier tasks.
fn wait(out: &mut Lines, pod: &Explanation) {
    if !pod.awaits.is_empty() {
        out.part("init container", names::CONTAINER_WAIT, "waits until the store has:");
        for awaits in &pod.awaits {
            let AwaitedOutput { kind, object, seconds, .. } = awaits;
            out.detail(&format!("{}, as {kind} {object}, with a timeout of {seconds} s", awaits.describe()));
        }
    }
    if pod.waits_for_volumes {
        let text = "waits until the kubelet has updated the volumes of the pod";
        out.part("init container", names::CONTAINER_VOLUME_WAIT, text);
    }
}

/// Describes the containers that boot the pod, and their volume.
fn boot(out: &mut Lines, pod: &Explanation) {
    if let Some(init) = &pod.init_image {
        out.part(
            "init container",
            names::CONTAINER_INSTALL,
            "copies the launcher to the volume, for the timeout of the next container",
        );
        let image = image(&init.image);
        let text = format!("runs the custom boot image {image} with a timeout of {} s:", pod.timeout_seconds);
        out.part("init container", names::CONTAINER_INIT, &text);
        out.detail(&init.command.join(" "));
    }
    let text = format!("runs {} before the task and fetches, in order:", image(&pod.boot_image));
    out.part("init container", names::CONTAINER_BOOT, &text);
    if pod.sources.is_empty() {
        out.detail("nothing: the profile has no sources");
    }
    for source in &pod.sources {
        out.detail(&format!("{}: {}", source.name, source::describe(source)));
    }
    let size = pod.volume_size.as_deref().unwrap_or("no");
    out.part(
        "volume",
        names::VOLUME,
        &format!("contains the results of boot, in memory (limit {size}), read-only for the task"),
    );
    if pod.http_get {
        out.detail("contains the launcher with TLS (1.7 MB), because a lifecycle handler is an httpGet");
    }
}

/// An image, for a container that can have been changed since.
fn image(image: &str) -> &str {
    if image.is_empty() { "(no image)" } else { image }
}

/// Describes the sidecar and the outputs that it stores.
fn sidecar(out: &mut Lines, pod: &Explanation) {
    let Some(sidecar) = &pod.sidecar else { return };
    if sidecar.outputs.is_empty() {
        out.part("sidecar", names::CONTAINER_PIPE, "runs hooks for the end of the task:");
        return sidecar.hooks.iter().for_each(|hook| out.detail(hook));
    }
    let text = format!(
        "sends the outputs of the task to the store, which keeps them for later tasks of the run, for {} if no object of the \
         run owns them:",
        duration(sidecar.time_to_live_seconds)
    );
    out.part("sidecar", names::CONTAINER_PIPE, &text);
    for output in &sidecar.outputs {
        out.detail(&describe_output(output));
    }
    sidecar.hooks.iter().for_each(|hook| out.detail(hook));
}

fn describe_output(output: &DeclaredOutput) -> String {
    let DeclaredOutput { key, kind, container, shared_file, optional, awaited } = output;
    let twice = if *awaited { ", twice, so that pods can wait for it" } else { "" };
    let kind = format!("{}{twice}", kind.as_str());
    let optional = if *optional { ", if the task writes it" } else { "" };
    match shared_file {
        None => format!(
            "{key} of container {container} becomes a {kind}{optional}: the launcher passes it to the sidecar after exit code 0, \
             and exits when it is stored"
        ),
        Some(file) => format!(
            "{key} of container {container} becomes a {kind}{optional}: the sidecar reads {file} when the task has exited. The task \
             does not wait for it"
        ),
    }
}

/// Seconds, in the largest unit without a remainder.
fn duration(seconds: u64) -> String {
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "min")] {
        if seconds > 0 && seconds.is_multiple_of(unit) {
            return format!("{} {name}", seconds / unit);
        }
    }
    format!("{seconds} s")
}

/// Describes a task container.
fn task(out: &mut Lines, task: &Task, annotation: &InjectedAnnotation) {
    let kind = match task.list {
        List::Init => "init container",
        List::App => "container",
    };
    out.part(kind, &task.name, "runs the task:");
    for mount in &task.mounts {
        out.detail(&describe_mount(mount));
    }
    out.detail(&describe_delivery(task.delivery, annotation));
    let when = annotation.hook_when;
    match &task.hook {
        TaskHook::Hook(hook) => out.detail(&hook.describe(when, task.delivery)),
        TaskHook::None { has_handler } => {
            out.detail(&hook::describe_absent(when, task.delivery, *has_handler));
        }
        TaskHook::NotSupported => {
            out.detail("no postStart hook, because init containers cannot have one: the env is not verified");
        }
    }
    if !task.pre_launch.is_empty() {
        out.detail(&format!(
            "the launcher runs preLaunch hooks before the task: {}",
            task.pre_launch.join(", ")
        ));
    }
    if !task.pre_kill.is_empty() {
        let names = task.pre_kill.join(", ");
        out.detail(&format!("preStop handler: runs preKill hooks before the handler of the pod: {names}"));
    }
    let overrides = &task.overrides;
    if !overrides.kept.is_empty() {
        out.detail(&format!(
            "variables of the pod that override the boot env: {}",
            overrides.kept.join(", ")
        ));
    }
    if overrides.env_from {
        out.detail("its envFrom overrides the boot env, too: boot reads the names");
    }
    if overrides.references > 0 {
        let texts = overrides.references;
        out.detail(&format!("the launcher resolves $(NAME) in {texts} of its arguments and variables"));
    }
}

fn describe_mount(Mount { content, path }: &Mount) -> String {
    let content = match content {
        MountContent::Assets => "the assets",
        MountContent::BootVolume => "the boot volume",
        MountContent::Writable => "a writable directory around the assets",
        MountContent::Outputs => "the volume for its outputs",
        MountContent::Input => "an output of an earlier task",
    };
    format!("mounts {content} at {path}")
}

fn describe_delivery(delivery: EnvDelivery, annotation: &InjectedAnnotation) -> String {
    let text = match delivery {
        EnvDelivery::Launch => {
            "the launcher loads the boot env, then executes the command (same PID, no shell)"
        }
        EnvDelivery::Secret => {
            return format!(
                "env from Secret {}, which the store creates from the boot env before the task starts",
                annotation.env_secret.as_deref().unwrap_or_default()
            );
        }
        EnvDelivery::File => "the kubelet reads the boot env from a file (fileKeyRef)",
        EnvDelivery::Hook => "the hook writes $HOME/.env, which the entrypoint must source",
        EnvDelivery::Sourced => {
            "no launcher, because the command is unknown: the entrypoint of the image sources .env and .secret"
        }
        EnvDelivery::None => "no launcher, because the command is unknown: the boot env is not loaded",
    };
    text.to_owned()
}

/// Text in two columns.
struct Lines(String);

impl Lines {
    // Writing to a String cannot fail.
    fn line(&mut self, title: &str, text: &str) {
        let _ = writeln!(self.0, "  {title:<15} {text}");
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }

    fn part(&mut self, kind: &str, name: &str, text: &str) {
        let _ = writeln!(self.0, "  + {kind} {name}  {text}");
    }

    fn detail(&mut self, text: &str) {
        let _ = writeln!(self.0, "      - {text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_whole_units() {
        for (seconds, text) in
            [(604_800, "7 d"), (7_200, "2 h"), (90, "90 s"), (120, "2 min"), (0, "0 s"), (86_460, "1441 min")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
