//! Bootlace's own image: three static binaries and nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
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

/// Writes Bootlace's image to `output`, with the `bootlace` binary built by the cargo profile `profile`, and
/// returns its digest.
///
/// # Errors
/// When the binaries do not build or `output` cannot be written.
pub fn write(root: &Path, profile: &str, reference: &str, output: &Path) -> Result<String> {
    let bootlace = build(root, profile, "bootlace")?;
    let launch = build(root, LAUNCHER_PROFILE, "bootlace-launch")?;
    let launch_http = build(root, LAUNCHER_PROFILE, "bootlace-launch-http")?;
    let layer = Layer::new()
        .program(&format!("{BIN}/bootlace"), &bootlace)?
        .program(&format!("{BIN}/bootlace-launch"), &launch)?
        .program(&format!("{BIN}/bootlace-launch-http"), &launch_http)?;
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

/// Builds the static binary `name` of the package of the same name and returns its path.
///
/// # Errors
/// When cargo is not there or the build fails; its messages are on standard error.
pub fn build(root: &Path, profile: &str, name: &str) -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args([
        "build",
        "--quiet",
        "--locked",
        "--message-format=json-render-diagnostics",
    ]);
    cargo.args(["--target", TARGET, "--profile", profile, "--package", name, "--bin", name]);
    // The few C files among the dependencies use no libc headers that differ, so Debian's gcc will do.
    if std::env::var_os("CC_x86_64_unknown_linux_musl").is_none() {
        cargo.env("CC_x86_64_unknown_linux_musl", "gcc");
    }
    let output = cargo.stderr(Stdio::inherit()).output().context("start cargo")?;
    if !output.status.success() {
        bail!("cargo could not build {name} for {TARGET}: see its messages above");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name") == Some(&Value::from(name)))
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built {name} and named no executable"))
}
