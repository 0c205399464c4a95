//! Builds the launcher of the image.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The path of the static binary, built with the profile of the image.
pub(crate) fn launcher() -> PathBuf {
    let args = "build --quiet --profile=launch --target=x86_64-unknown-linux-musl --package=bootlace-launch \
                --bin=bootlace-launch --message-format=json";
    let output = Command::new(env!("CARGO"))
        .args(args.split_whitespace())
        .current_dir(env!("BOOTLACE_ROOT"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the shipped launcher does not build");
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let path = messages.split(r#""executable":""#).nth(1).and_then(|rest| rest.split('"').next());
    PathBuf::from(path.expect("cargo names the binary"))
}
