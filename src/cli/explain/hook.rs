//! Describes how the boot env is delivered to a task container, and its postStart hook.

use std::fmt::Write as _;

use serde_json::Value;

use super::render::is_launcher;
use bootlace_core::profile::hook::HookWhen;
use bootlace_core::profile::spec::Layout;

/// The fields of an injected container that show how the boot env is delivered.
pub(super) struct EnvArguments<'a> {
    /// Whether the launcher starts its command.
    pub(super) launched: bool,
    /// The Secret with its env.
    pub(super) secret: Option<&'a str>,
    /// Whether the kubelet reads variables from the file of boot.
    pub(super) by_file: bool,
    /// The layout of the profile.
    pub(super) layout: Layout,
    /// The `--env` of its hook.
    pub(super) hook_env: Option<&'a str>,
}

/// How the boot env is delivered to a container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EnvDelivery<'a> {
    Launcher,
    Secret(&'a str),
    File,
    Home,
    Sourced,
    None,
}

impl<'a> EnvArguments<'a> {
    fn delivery(&self) -> EnvDelivery<'a> {
        match (self.secret, self.hook_env) {
            _ if self.launched => EnvDelivery::Launcher,
            (Some(secret), _) => EnvDelivery::Secret(secret),
            (None, Some("home")) => EnvDelivery::Home,
            (None, Some("file")) => EnvDelivery::File,
            (None, Some("sourced")) => EnvDelivery::Sourced,
            (None, _) if self.by_file => EnvDelivery::File,
            // A container without a hook. No other delivery is possible in this layout.
            (None, None) if self.layout == Layout::Optimus => EnvDelivery::Sourced,
            (None, _) => EnvDelivery::None,
        }
    }

    pub(super) fn describe(&self) -> String {
        let text = match self.delivery() {
            EnvDelivery::Launcher => {
                "the launcher loads the boot env, then executes the command (same PID, no shell)"
            }
            EnvDelivery::Secret(secret) => {
                return format!(
                    "env from Secret {secret}, which the store creates from the boot env before the task starts"
                );
            }
            EnvDelivery::File => "the kubelet reads the boot env from a file (fileKeyRef)",
            EnvDelivery::Home => "the hook writes $HOME/.env, which the entrypoint must source",
            EnvDelivery::Sourced => {
                "no launcher, because the command is unknown: the entrypoint of the image sources .env and .secret"
            }
            EnvDelivery::None => "no launcher, because the command is unknown: the boot env is not loaded",
        };
        text.to_owned()
    }
}

/// The hook of a container.
pub(super) struct Hook<'a> {
    words: Vec<&'a str>,
}

impl<'a> Hook<'a> {
    /// Parses `lifecycle.postStart` of a container. `None` if it is a handler of the pod.
    pub(super) fn parse(post_start: &'a Value) -> Option<Self> {
        let words = post_start.pointer("/exec/command")?.as_array()?.iter().filter_map(Value::as_str);
        let words: Vec<_> = words.collect();
        let is_ours = matches!(&*words, [program, "hook", ..] if is_launcher(program));
        is_ours.then_some(Self { words })
    }

    fn flags(&self) -> impl Iterator<Item = &'a str> {
        self.words.iter().copied().take_while(|word| *word != "--")
    }

    /// Its flag `--env`. `None` if the launcher or the kubelet sets the env of the process.
    pub(super) fn env(&self) -> Option<&'a str> {
        self.flags().find_map(|word| word.strip_prefix("--env="))
    }

    /// What the hook does, and its reason.
    pub(super) fn describe(&self, when: HookWhen, env: &EnvArguments<'_>) -> String {
        let limit = self.flags().find_map(|word| word.strip_prefix("--timeout=")).unwrap_or("?");
        let action = match env.delivery() {
            EnvDelivery::Home => format!("writes $HOME/.env within {limit} s"),
            EnvDelivery::Sourced => {
                format!(
                    "verifies nothing, because the image loads the boot env itself, and ends within {limit} s"
                )
            }
            EnvDelivery::None => format!(
                "fails the container within {limit} s if the boot env is not empty, because nothing loads it"
            ),
            EnvDelivery::Launcher | EnvDelivery::Secret(_) | EnvDelivery::File => {
                format!("verifies within {limit} s that the process has the boot env")
            }
        };
        let mut text =
            format!("postStart hook (hook.when is {}{}): {action}", when.as_str(), self.reason(when, env));
        // Writing to a String cannot fail.
        for program in self.flags().filter_map(|word| word.strip_prefix("--command=")) {
            let _ = write!(text, ", then runs {program} of hook.commands");
        }
        if let Some(handler) = self.handler() {
            let _ = write!(text, ", then runs the postStart handler of the pod: {handler}");
        }
        text
    }

    /// The reason for the hook, if it depends on the container.
    fn reason(&self, when: HookWhen, env: &EnvArguments<'_>) -> &'static str {
        match (when, env.delivery()) {
            (HookWhen::Always | HookWhen::Never, _) => "",
            (HookWhen::Auto, EnvDelivery::Home) => ", and the hook writes the env",
            (HookWhen::Auto, EnvDelivery::Secret(_) | EnvDelivery::File) => {
                ", and the env is not loaded by the launcher"
            }
            (HookWhen::Auto, _) if self.handler().is_some() => ", and the pod has a postStart handler",
            (HookWhen::Auto, EnvDelivery::None) => ", and nothing loads the env",
            (HookWhen::Auto, EnvDelivery::Launcher | EnvDelivery::Sourced) => {
                ", and the profile has hook.commands"
            }
        }
    }

    /// The postStart handler of the pod.
    fn handler(&self) -> Option<String> {
        if let Some(end) = self.words.iter().position(|word| *word == "--") {
            return Some(self.words.get(end + 1..).unwrap_or_default().join(" "));
        }
        self.flags().find_map(|word| {
            let sleep = word.strip_prefix("--sleep=").map(|seconds| format!("sleep {seconds} s"));
            sleep.or_else(|| word.strip_prefix("--http=").map(|url| format!("GET {url}")))
        })
    }
}

/// Describes why a container has no hook.
pub(super) fn describe_absent(when: HookWhen, env: &EnvArguments<'_>, has_handler: bool) -> String {
    let reason = match (when, env.delivery()) {
        (HookWhen::Never, _) if has_handler => {
            "hook.when is Never; the postStart handler of the pod is unchanged"
        }
        (HookWhen::Never, _) => "hook.when is Never",
        (HookWhen::Always, _) => "it was removed after the injection, because hook.when is Always",
        (HookWhen::Auto, EnvDelivery::Launcher) => {
            "hook.when is Auto, and the launcher starts the task only with the boot env"
        }
        (HookWhen::Auto, EnvDelivery::Sourced) => {
            "hook.when is Auto, and a hook cannot verify an env that the image loads itself"
        }
        (
            HookWhen::Auto,
            EnvDelivery::Secret(_) | EnvDelivery::File | EnvDelivery::Home | EnvDelivery::None,
        ) => "hook.when is Auto, and the sources of the profile provide no env",
    };
    format!("no postStart hook: {reason}")
}
