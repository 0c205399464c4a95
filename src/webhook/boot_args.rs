//! Defaults of an installation for injected containers: flags of the webhook and of the offline tools.

use std::sync::Arc;

use bootlace_core::identity::Schedulers;
use bootlace_core::plan::InstallationSettings;
use bootlace_core::profile::pull_policy::PullPolicy;
use bootlace_core::profile::run_as_user::RunAsUser;

/// Settings of injected containers that a profile can override.
#[derive(Debug, Clone, clap::Args)]
pub struct BootArgs {
    /// Image of the boot container, unless the profile sets one.
    #[arg(
        long = "boot-image", env = "BOOTLACE_BOOT_IMAGE", value_name = "IMAGE",
        default_value_t = InstallationSettings::default().boot_image,
    )]
    image: String,
    /// Pull policy of that image: Always, IfNotPresent or Never. Defaults to the default of the API server.
    #[arg(long = "boot-image-pull-policy", env = "BOOTLACE_BOOT_IMAGE_PULL_POLICY", value_name = "POLICY")]
    image_pull_policy: Option<PullPolicy>,
    /// Pull secrets in the namespace of the task, separated by commas. They are added to the imagePullSecrets
    /// of every task pod, in addition to those in the profile.
    #[arg(
        long = "boot-image-pull-secrets", env = "BOOTLACE_BOOT_IMAGE_PULL_SECRETS", value_name = "NAMES",
        value_delimiter = ',', value_parser = secret_name,
    )]
    image_pull_secrets: Vec<String>,
    /// User ID of injected containers, unless the profile sets one: a number from 1, or platform, which does
    /// not set runAsUser. OpenShift requires platform.
    #[arg(
        long = "boot-run-as-user",
        env = "BOOTLACE_BOOT_RUN_AS_USER",
        value_name = "USER",
        default_value_t
    )]
    run_as_user: RunAsUser,
    /// Let tasks report their progress if their profile enables it. The store also needs --allow-progress.
    #[arg(long, env = "BOOTLACE_ALLOW_PROGRESS")]
    allow_progress: bool,
    /// File with more schedulers, as in the chart value schedulers.extra. Pods are compared with these before
    /// the built-in ones.
    #[arg(long, env = "BOOTLACE_SCHEDULERS", value_name = "FILE", value_parser = schedulers)]
    schedulers: Option<Arc<Schedulers>>,
}

impl BootArgs {
    /// The settings in these arguments. All others have their defaults.
    #[must_use]
    pub fn settings(&self) -> InstallationSettings {
        let Self { image, image_pull_policy, image_pull_secrets, run_as_user, allow_progress, schedulers } =
            self.clone();
        InstallationSettings {
            boot_image: image,
            boot_image_pull_policy: image_pull_policy,
            boot_image_pull_secrets: image_pull_secrets,
            boot_run_as_user: run_as_user,
            allows_progress: allow_progress,
            schedulers: schedulers.unwrap_or_else(Schedulers::built_in),
            ..InstallationSettings::default()
        }
    }
}

/// Reads the file when the command line is parsed, so that an invalid entry is reported before anything
/// starts.
fn schedulers(path: &str) -> Result<Arc<Schedulers>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("failed to read the file: {error}"))?;
    Schedulers::with_extra(&text).map_err(|error| error.to_string())
}

/// Validates the name of a Secret (`IsDNS1123Subdomain`). With an invalid name, the API server would reject
/// every task pod.
fn secret_name(name: &str) -> Result<String, String> {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && bytes.iter().all(|byte| edge(byte) || *byte == b'-')
    };
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(name.to_owned());
    }
    Err("must be names of Secrets, separated by commas without spaces: lowercase letters, digits, - and ., starting and \
         ending with a letter or digit"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: BootArgs,
    }

    fn parse(arguments: &[&str]) -> Result<InstallationSettings, String> {
        Command::try_parse_from(["webhook"].iter().chain(arguments))
            .map(|command| command.args.settings())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_the_settings_have_their_defaults() {
        assert_eq!(parse(&[]).unwrap(), InstallationSettings::default());
        assert_eq!(InstallationSettings::default().boot_run_as_user, RunAsUser::Id(65532));
    }

    #[test]
    fn each_flag_changes_the_settings() {
        let settings = parse(&[
            "--boot-image=r.example.com/b:1",
            "--boot-image-pull-policy=Never",
            "--boot-image-pull-secrets=a,b.c-d",
            "--boot-run-as-user=platform",
            "--allow-progress",
        ])
        .unwrap();
        let expected = InstallationSettings {
            boot_image: "r.example.com/b:1".to_owned(),
            boot_image_pull_policy: Some(PullPolicy::Never),
            boot_image_pull_secrets: vec!["a".to_owned(), "b.c-d".to_owned()],
            boot_run_as_user: RunAsUser::Platform,
            allows_progress: true,
            ..InstallationSettings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn an_invalid_scheduler_is_rejected_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("schedulers.yaml");
        let parse_text = |text: &str| {
            std::fs::write(&file, text).unwrap();
            parse(&[&format!("--schedulers={}", file.display())])
        };
        let settings = parse_text("[{name: nightshift, match: [{label: example.com/run}]}]").unwrap();
        assert_eq!(settings.schedulers.specs().next().unwrap().name, "nightshift");
        assert_eq!(parse_text("").unwrap(), InstallationSettings::default());
        for (text, hint) in [
            ("[{name: a, match: []}]", "scheduler \"a\": match is empty"),
            ("[{name: a, match: [{label: b}], task: c}]", "unknown field `task`"),
        ] {
            let error = parse_text(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
        assert!(parse(&["--schedulers=/none"]).unwrap_err().contains("--schedulers"));
    }

    #[test]
    fn invalid_values_are_rejected_at_the_start() {
        for (flag, hint) in [
            ("--boot-run-as-user=0", "a number from 1 to 2147483647, or platform"),
            ("--boot-run-as-user=nobody", "a number from 1 to 2147483647, or platform"),
            ("--boot-image-pull-secrets=a, b", "without spaces"),
            ("--boot-image-pull-secrets=a,", "must be names of Secrets"),
            ("--boot-image-pull-secrets=-a", "must be names of Secrets"),
            ("--boot-image-pull-secrets=A_b", "must be names of Secrets"),
            ("--boot-image-pull-policy=Sometimes", "IfNotPresent"),
        ] {
            let error = parse(&[flag]).unwrap_err();
            assert!(error.contains(hint), "{flag}: {error}");
        }
    }
}
