//! Running other programs: they end with us, and their failure says which of them it was.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// A command that is killed when the future which waits for it is dropped, and reads no input.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// This program, as it was started. Its file may be another by now: cargo replaces it when it builds the scenarios, and
/// what [`std::env::current_exe`] names is gone then.
#[must_use]
pub fn this_program() -> PathBuf {
    format!("/proc/{}/exe", std::process::id()).into()
}

/// Runs the command to its end; what it prints goes to standard error.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub async fn run(command: &mut Command) -> Result<()> {
    let name = name(command);
    let status = command.stdout(std::io::stderr()).status().await.with_context(|| format!("start {name}"))?;
    if !status.success() {
        bail!("{name} failed: {status}");
    }
    Ok(())
}

/// Runs the command to its end and returns what it printed on standard output.
///
/// # Errors
/// When it cannot be started or does not succeed; then what it printed on standard error is in the message.
pub async fn output(command: &mut Command) -> Result<String> {
    let name = name(command);
    let output = command.output().await.with_context(|| format!("start {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed: {}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program and its first argument, which is as a rule the verb. The rest may be long.
fn name(command: &Command) -> String {
    let command = command.as_std();
    let verb = command.get_args().next().unwrap_or_default();
    format!("{} {}", command.get_program().display(), verb.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_the_one_that_runs() {
        let tests = std::process::Command::new(this_program()).arg("--list").output().unwrap();
        let tests = String::from_utf8(tests.stdout).unwrap();
        assert!(tests.contains("this_program_is_the_one_that_runs: test"), "{tests}");
    }
}
