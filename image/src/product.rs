//! Bootlace's own image: three static binaries and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::archive::{self, Config};
use crate::layer::Layer;

/// The target of everything that runs in an image: no libc to find there, so it is linked in.
pub const TARGET: &str = "x86_64-unknown-linux-musl";
/// Where the image holds its binaries. The webhook writes these paths into pods (`names::IMAGE_…`).
const BIN: &str = "/usr/local/bin";
/// The image's user, by number because `runAsNonRoot` cannot check a name (`names::USER`).
const USER: &str = "65532:65532";

/// The launchers' own cargo profile, in every image: what runs in a task's container is what is shipped.
const LAUNCHER_PROFILE: &str = "launch";

/// The image's binaries.
pub struct Binaries {
    /// The webhook, the store, and what injected containers run.
    pub bootlace: PathBuf,
    /// The launcher.
    pub launch: PathBuf,
    /// The launcher for pods whose postStart is an `httpGet`.
    pub launch_http: PathBuf,
}

impl Binaries {
    /// What is built for an image whose `bootlace` is of the cargo profile `profile`: packages and their profiles, in the
    /// order of the fields.
    #[must_use]
    pub fn builds(profile: &str) -> [(&str, &'static str); 3] {
        [
            (profile, "bootlace"),
            (LAUNCHER_PROFILE, "bootlace-launch"),
            (LAUNCHER_PROFILE, "bootlace-launch-http"),
        ]
    }
}

/// Writes Bootlace's image to `output` and returns its digest.
///
/// # Errors
/// When a binary cannot be read or `output` cannot be written.
pub fn write(binaries: &Binaries, reference: &str, output: &Path) -> Result<String> {
    let layer = Layer::new()
        .program(&format!("{BIN}/bootlace"), &binaries.bootlace)?
        .program(&format!("{BIN}/bootlace-launch"), &binaries.launch)?
        .program(&format!("{BIN}/bootlace-launch-http"), &binaries.launch_http)?;
    let config = Config {
        env: vec![format!("PATH={BIN}")],
        entrypoint: vec![format!("{BIN}/bootlace")],
        user: USER.to_owned(),
        labels: [
            ("title", "bootlace"),
            ("description", "The boot process of task pods, injected at admission"),
            ("version", env!("CARGO_PKG_VERSION")),
            ("licenses", env!("CARGO_PKG_LICENSE")),
        ]
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned()))
        .into(),
        ..Config::default()
    };
    archive::write(output, reference, &layer, &config)
}

/// The cargo that builds the static binary `name` of the package of the same name. What it prints names the binary: see
/// [`executable`].
#[must_use]
pub fn command(root: &Path, profile: &str, name: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--locked", "--message-format=json-render-diagnostics"]);
    cargo.args(["--target", TARGET, "--profile", profile, "--package", name, "--bin", name]);
    // The few C files among the dependencies use no libc headers that differ, so Debian's gcc will do.
    if std::env::var_os("CC_x86_64_unknown_linux_musl").is_none() {
        cargo.env("CC_x86_64_unknown_linux_musl", "gcc");
    }
    cargo
}

/// The path of the binary `name`, in what its [`command`] printed on standard output.
///
/// # Errors
/// When it names none.
pub fn executable(messages: &str, name: &str) -> Result<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name") == Some(&Value::from(name)))
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built {name} and named no executable"))
}
