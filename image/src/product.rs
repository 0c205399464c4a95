//! The Bootlace image, which contains only three static binaries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::archive::{self, Config};
use crate::layer::Layer;

/// The target of all programs in images. They are linked statically, because the images have no libc.
pub const TARGET: &str = "x86_64-unknown-linux-musl";
/// The folder of the binaries in the image. The webhook writes these paths into pods (`names::IMAGE_…`).
const BIN: &str = "/usr/local/bin";
/// The user of the image, as numbers because `runAsNonRoot` cannot check names (`names::USER`).
const USER: &str = "65532:65532";

/// The env of the image, in addition to `PATH`. Tests and benches that measure memory set it too.
///
/// `MIMALLOC_PURGE_DELAY` is a setting of the allocator of `bootlace`: it returns freed pages to the kernel
/// at once, and not after a second. Otherwise the pages of consecutive large reviews add up to the memory
/// limit of the chart. It costs no CPU time that the benchmark `serve` can measure.
pub const ENV: [(&str, &str); 1] = [("MIMALLOC_PURGE_DELAY", "0")];

/// The cargo profile of the launchers, also in test images, so that tests run the released launcher.
const LAUNCHER_PROFILE: &str = "launch";

/// The binaries of the image.
pub struct Binaries {
    /// The program of the webhook, the store and the injected containers.
    pub bootlace: PathBuf,
    /// The launcher.
    pub launch: PathBuf,
    /// The launcher for pods whose postStart handler is an `httpGet`.
    pub launch_http: PathBuf,
}

impl Binaries {
    /// The builds for an image, with the cargo profile `profile` for `bootlace`: profiles and packages, in
    /// the order of the fields.
    #[must_use]
    pub fn builds(profile: &str) -> [(&str, &'static str); 3] {
        [
            (profile, "bootlace"),
            (LAUNCHER_PROFILE, "bootlace-launch"),
            (LAUNCHER_PROFILE, "bootlace-launch-http"),
        ]
    }
}

/// Writes the Bootlace image to `output`, and returns its digest.
///
/// # Errors
/// If a binary cannot be read or `output` cannot be written.
pub fn write(binaries: &Binaries, reference: &str, output: &Path) -> Result<String> {
    let layer = Layer::new()
        .program(&format!("{BIN}/bootlace"), &binaries.bootlace)?
        .program(&format!("{BIN}/bootlace-launch"), &binaries.launch)?
        .program(&format!("{BIN}/bootlace-launch-http"), &binaries.launch_http)?;
    let settings = ENV.iter().map(|(name, value)| format!("{name}={value}"));
    let config = Config {
        env: [format!("PATH={BIN}")].into_iter().chain(settings).collect(),
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

/// The cargo that builds the static binary `name` of the package of the same name. What it prints names the
/// binary: see [`executable`].
#[must_use]
pub fn command(root: &Path, profile: &str, name: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--locked", "--message-format=json-render-diagnostics"]);
    cargo.args(["--target", TARGET, "--profile", profile, "--package", name, "--bin", name]);
    // The few C files of the dependencies use no libc headers that differ, so the gcc of Debian works.
    if std::env::var_os("CC_x86_64_unknown_linux_musl").is_none() {
        cargo.env("CC_x86_64_unknown_linux_musl", "gcc");
    }
    cargo
}

/// The path of the binary `name`, from the standard output of its [`command`].
///
/// # Errors
/// If the output does not contain it.
pub fn executable(messages: &str, name: &str) -> Result<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name") == Some(&Value::from(name)))
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .with_context(|| format!("the output of cargo does not contain the path of {name}"))
}
