//! The postStart hook of a task container: its arguments, and the reason for it.

use std::fmt::Write as _;

use bootlace_core::names;
use bootlace_core::plan::EnvDelivery;
use bootlace_core::profile::hook::HookWhen;

/// The arguments of the hook.
#[derive(Debug, PartialEq)]
pub(super) struct Hook {
    /// The flag `--env`. `None` if the launcher or the kubelet sets the env of the process.
    pub(super) env: Option<String>,
    timeout_seconds: String,
    /// The names of the `postLaunch` hooks.
    post_launch: Vec<String>,
    /// The postStart handler of the pod.
    handler: Option<String>,
}

impl Hook {
    /// Parses the command of a postStart handler. `None` if it is a handler of the pod.
    pub(super) fn parse<'w>(words: impl IntoIterator<Item = &'w str>) -> Option<Self> {
        let words: Vec<_> = words.into_iter().collect();
        let [program, "hook", words @ ..] = &*words else { return None };
        if !is_launcher(program) {
            return None;
        }
        let end = words.iter().position(|word| *word == "--");
        let (flags, command) = match end.and_then(|end| words.split_at_checked(end)) {
            Some((flags, command)) => (flags, command.get(1..)),
            None => (words, None),
        };
        let values = |flag: &'static str| flags.iter().filter_map(move |word| word.strip_prefix(flag));
        let value = |flag| values(flag).next().map(str::to_owned);
        let handler = command.map(|words| words.join(" "));
        let handler = handler.or_else(|| value("--sleep=").map(|seconds| format!("sleep {seconds} s")));
        Some(Self {
            env: value("--env="),
            timeout_seconds: value("--timeout=").unwrap_or_else(|| "?".to_owned()),
            post_launch: values("--hook=").map(name).collect(),
            handler: handler.or_else(|| value("--http=").map(|url| format!("GET {url}"))),
        })
    }

    /// What the hook does, and its reason.
    pub(super) fn describe(&self, when: HookWhen, delivery: EnvDelivery) -> String {
        let limit = &self.timeout_seconds;
        let action = match delivery {
            EnvDelivery::Hook => format!("writes $HOME/.env within {limit} s"),
            EnvDelivery::Sourced => {
                format!(
                    "verifies nothing, because the image loads the boot env itself, and ends within {limit} s"
                )
            }
            EnvDelivery::None => format!(
                "fails the container within {limit} s if the boot env is not empty, because nothing loads it"
            ),
            EnvDelivery::Launch | EnvDelivery::Secret | EnvDelivery::File => {
                format!("verifies within {limit} s that the process has the boot env")
            }
        };
        let mut text = format!(
            "postStart hook (hook.when is {}{}): {action}",
            when.as_str(),
            self.reason(when, delivery)
        );
        // Writing to a String cannot fail.
        for name in &self.post_launch {
            let _ = write!(text, ", then runs the postLaunch hook {name}");
        }
        if let Some(handler) = &self.handler {
            let _ = write!(text, ", then runs the postStart handler of the pod: {handler}");
        }
        text
    }

    /// The reason for the hook, if it depends on the container.
    fn reason(&self, when: HookWhen, delivery: EnvDelivery) -> &'static str {
        match (when, delivery) {
            (HookWhen::Always | HookWhen::Never, _) => "",
            (HookWhen::Auto, EnvDelivery::Hook) => ", and the hook writes the env",
            (HookWhen::Auto, EnvDelivery::Secret | EnvDelivery::File) => {
                ", and the env is not loaded by the launcher"
            }
            (HookWhen::Auto, _) if self.handler.is_some() => ", and the pod has a postStart handler",
            (HookWhen::Auto, EnvDelivery::None) => ", and nothing loads the env",
            (HookWhen::Auto, EnvDelivery::Launch | EnvDelivery::Sourced) => {
                ", and the profile has hooks.postLaunch"
            }
        }
    }
}

/// The names of the hooks in a command of the launcher; empty if it is another command.
pub(super) fn hook_names<'w>(words: impl IntoIterator<Item = &'w str>) -> Vec<String> {
    let mut words = words.into_iter();
    if !words.next().is_some_and(is_launcher) {
        return Vec::new();
    }
    let flags = words.take_while(|word| *word != "--").filter_map(|word| word.strip_prefix("--hook="));
    flags.map(name).collect()
}

/// The name in the value of a flag `--hook`.
fn name(hook: &str) -> String {
    hook.split(':').next().unwrap_or_default().to_owned()
}

/// Describes why a container has no hook.
pub(super) fn describe_absent(when: HookWhen, delivery: EnvDelivery, has_handler: bool) -> String {
    let reason = match (when, delivery) {
        (HookWhen::Never, _) if has_handler => {
            "hook.when is Never; the postStart handler of the pod is unchanged"
        }
        (HookWhen::Never, _) => "hook.when is Never",
        (HookWhen::Always, _) => "it was removed after the injection, because hook.when is Always",
        (HookWhen::Auto, EnvDelivery::Launch) => {
            "hook.when is Auto, and the launcher starts the task only with the boot env"
        }
        (HookWhen::Auto, EnvDelivery::Sourced) => {
            "hook.when is Auto, and a hook cannot verify an env that the image loads itself"
        }
        (HookWhen::Auto, EnvDelivery::Secret | EnvDelivery::File | EnvDelivery::Hook | EnvDelivery::None) => {
            "hook.when is Auto, and the sources of the profile provide no env"
        }
    };
    format!("no postStart hook: {reason}")
}

/// Whether a word of a command is the path of the launcher.
pub(super) fn is_launcher(word: &str) -> bool {
    word.strip_prefix(names::MOUNT).and_then(|rest| rest.strip_prefix('/')) == Some(names::FILE_LAUNCHER)
}
