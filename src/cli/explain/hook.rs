//! How the boot env gets into a task container, and its postStart hook, in words.

use std::fmt::Write as _;

use serde_json::Value;

use super::render::is_launcher;
use bootlace_core::profile::hook::HookWhen;
use bootlace_core::profile::spec::Layout;

/// What an injected container tells about how the boot env gets into it.
pub(super) struct EnvArguments<'a> {
    /// The launcher is in front of its command.
    pub(super) launched: bool,
    /// The Secret that it takes the env from.
    pub(super) secret: Option<&'a str>,
    /// The kubelet reads variables from boot's file.
    pub(super) by_file: bool,
    /// The profile's layout.
    pub(super) layout: Layout,
    /// The `--env` of its hook.
    pub(super) told: Option<&'a str>,
}

/// How the env gets into a container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way<'a> {
    Launcher,
    Secret(&'a str),
    File,
    Home,
    Sourced,
    None,
}

impl<'a> EnvArguments<'a> {
    fn way(&self) -> Way<'a> {
        match (self.secret, self.told) {
            _ if self.launched => Way::Launcher,
            (Some(secret), _) => Way::Secret(secret),
            (None, Some("home")) => Way::Home,
            (None, Some("file")) => Way::File,
            (None, Some("sourced")) => Way::Sourced,
            (None, _) if self.by_file => Way::File,
            // A container without a hook. In this layout nothing else is left.
            (None, None) if self.layout == Layout::Optimus => Way::Sourced,
            (None, _) => Way::None,
        }
    }

    pub(super) fn describe(&self) -> String {
        let words = match self.way() {
            Way::Launcher => {
                "launcher in front of its command: loads the boot env, then execs the command (same PID, no shell)"
            }
            Way::Secret(secret) => {
                return format!(
                    "env from Secret {secret}, which the store creates of the boot env before the task starts"
                );
            }
            Way::File => "the kubelet reads the boot env from a file, variable by variable (fileKeyRef)",
            Way::Home => "its entrypoint is to source $HOME/.env, which the hook writes",
            Way::Sourced => {
                "no launcher, because its command is not known: the image's entrypoint sources .env and .secret itself"
            }
            Way::None => "no launcher, because its command is not known: the boot env is not loaded",
        };
        words.to_owned()
    }
}

/// The hook of a container.
pub(super) struct Hook<'a> {
    words: Vec<&'a str>,
}

impl<'a> Hook<'a> {
    /// Reads it from a container's `lifecycle.postStart`; none where that is the pod's own handler.
    pub(super) fn read(post_start: &'a Value) -> Option<Self> {
        let words = post_start.pointer("/exec/command")?.as_array()?.iter().filter_map(Value::as_str);
        let words: Vec<_> = words.collect();
        let is_ours = matches!(&*words, [program, "hook", ..] if is_launcher(program));
        is_ours.then_some(Self { words })
    }

    fn flags(&self) -> impl Iterator<Item = &'a str> {
        self.words.iter().copied().take_while(|word| *word != "--")
    }

    /// What it is told of the env; none where the launcher or the kubelet puts it into the process.
    pub(super) fn env(&self) -> Option<&'a str> {
        self.flags().find_map(|word| word.strip_prefix("--env="))
    }

    /// What it does, and why it is there.
    pub(super) fn describe(&self, when: HookWhen, env: &EnvArguments<'_>) -> String {
        let limit = self.flags().find_map(|word| word.strip_prefix("--timeout=")).unwrap_or("its");
        let does = match env.way() {
            Way::Home => format!("writes $HOME/.env within {limit} s"),
            Way::Sourced => {
                format!("proves nothing, as the image loads the boot env itself, and ends within {limit} s")
            }
            Way::None => format!(
                "fails the container within {limit} s where boot gives it variables, as nothing loads them"
            ),
            Way::Launcher | Way::Secret(_) | Way::File => {
                format!("proves within {limit} s that the process holds the boot env")
            }
        };
        let mut text =
            format!("postStart hook (hook.when is {}{}): {does}", when.as_str(), self.reason(when, env));
        // Writing to a String cannot fail.
        for program in self.flags().filter_map(|word| word.strip_prefix("--command=")) {
            let _ = write!(text, ", then runs the profile's {program}");
        }
        if let Some(handler) = self.handler() {
            let _ = write!(text, ", then runs the pod's own handler: {handler}");
        }
        text
    }

    /// Why it is there, where the profile leaves that to the container.
    fn reason(&self, when: HookWhen, env: &EnvArguments<'_>) -> &'static str {
        match (when, env.way()) {
            (HookWhen::Always | HookWhen::Never, _) => "",
            (HookWhen::Auto, Way::Home) => ", and the hook writes the env",
            (HookWhen::Auto, Way::Secret(_) | Way::File) => ", and no launcher loads the env",
            (HookWhen::Auto, _) if self.handler().is_some() => ", and the pod has a handler of its own",
            (HookWhen::Auto, Way::None) => ", and nothing loads the env",
            (HookWhen::Auto, Way::Launcher | Way::Sourced) => ", and the profile has hook.commands",
        }
    }

    /// The pod's own handler.
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

/// Why a container has no hook.
pub(super) fn describe_absent(when: HookWhen, env: &EnvArguments<'_>, has_handler: bool) -> String {
    let because = match (when, env.way()) {
        (HookWhen::Never, _) if has_handler => "hook.when is Never; the pod's own handler stays as it is",
        (HookWhen::Never, _) => "hook.when is Never",
        (HookWhen::Always, _) => {
            "hook.when is Always, so something has removed it since Bootlace injected the pod"
        }
        (HookWhen::Auto, Way::Launcher) => {
            "hook.when is Auto, and the launcher does not start the task without the boot env"
        }
        (HookWhen::Auto, Way::Sourced) => {
            "hook.when is Auto, and no hook can prove what the image loads itself"
        }
        (HookWhen::Auto, Way::Secret(_) | Way::File | Way::Home | Way::None) => {
            "hook.when is Auto, and the profile's sources give no env"
        }
    };
    format!("no postStart hook: {because}")
}
