//! Runs other programs. They end with this process, and their errors contain the name of the program.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// A command without input, which is killed when the future that waits for it is dropped.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// The path of this program, as it was started. Cargo replaces the file when it builds the scenarios, and
/// then [`std::env::current_exe`] returns a path that does not exist.
#[must_use]
pub fn this_program() -> PathBuf {
    format!("/proc/{}/exe", std::process::id()).into()
}

/// Runs the command until it exits, with its output on standard error.
///
/// # Errors
/// If it cannot be started or fails.
pub async fn run(command: &mut Command) -> Result<()> {
    let name = name(command);
    let status = command.stdout(std::io::stderr()).status().await.with_context(|| format!("start {name}"))?;
    if !status.success() {
        bail!("{name} failed: {status}");
    }
    Ok(())
}

/// Runs the command until it exits, and returns its standard output.
///
/// # Errors
/// If it cannot be started or fails. The message contains its standard error.
pub async fn output(command: &mut Command) -> Result<String> {
    let name = name(command);
    let output = command.output().await.with_context(|| format!("start {name}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed: {}: {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program and its first argument, which is usually the subcommand. The other arguments can be long.
fn name(command: &Command) -> String {
    let command = command.as_std();
    let verb = command.get_args().next().unwrap_or_default();
    format!("{} {}", command.get_program().display(), verb.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_the_running_program() {
        let tests = std::process::Command::new(this_program()).arg("--list").output().unwrap();
        let tests = String::from_utf8(tests.stdout).unwrap();
        assert!(tests.contains("this_program_is_the_running_program: test"), "{tests}");
    }
}
