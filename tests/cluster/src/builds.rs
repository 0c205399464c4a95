//! Builds with cargo and Go, and their progress.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bootlace_image::product;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use crate::command::output;
use crate::stage::Progress;

/// Builds the static binary `name` of the package with the same name, in the target folder `target` if it is
/// not that of the environment, and returns its path.
///
/// # Errors
/// If cargo is not installed or the build fails. The message contains the output of cargo.
pub async fn cargo(
    root: &Path,
    target: Option<&Path>,
    profile: &str,
    name: &str,
    progress: &Progress,
) -> Result<PathBuf> {
    let mut cargo = Command::from(product::command(root, profile, name));
    if let Some(target) = target {
        cargo.env("CARGO_TARGET_DIR", target);
    }
    // The progress bar contains the number of crates.
    cargo.envs([("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "100")]);
    let build = run_with_progress(&mut cargo, |line| match cargo_progress(line) {
        Some(text) => {
            if !text.is_empty() {
                progress.set(format!("{name}, {text}"));
            }
            Line::Progress
        }
        None => Line::Message,
    });
    let stdout = build.await.with_context(|| format!("build {name} for {}", product::TARGET))?;
    product::executable(&stdout, name)
}

/// The progress in a line of cargo. Empty if the line is part of the progress output but has no number,
/// `None` if it is a message.
fn cargo_progress(line: &str) -> Option<String> {
    let line = line.trim();
    let bar = |verb| line.strip_prefix(verb)?.split_once("] ").map(|(_, rest)| rest.trim());
    if let Some(count) = bar("Building [") {
        let (done, all) = count.split_once(':').unwrap_or((count, "")).0.split_once('/')?;
        return Some(format!("compiled {done} of {all} crates"));
    }
    if let Some(count) = bar("Fetch [") {
        return Some(format!("reading the index of the registry: {count}"));
    }
    if let Some(left) = line.strip_prefix("Downloading ") {
        return Some(format!("downloading: {left} left"));
    }
    if let Some(downloaded) = line.strip_prefix("Downloaded ") {
        // One line for each crate, and one for all of them. Only the last one contains a size.
        let total = downloaded.split_once(") in ");
        return Some(total.map_or(String::new(), |(total, _)| format!("downloaded {total})")));
    }
    ["Compiling ", "Updating ", "Locking "].iter().any(|verb| line.starts_with(verb)).then(String::new)
}

/// Builds `packages` of the Go module in the folder `module`, and writes the programs to the folder `into`.
///
/// # Errors
/// If Go is not installed, or a download or the build fails. The message contains the output of Go.
pub async fn go(
    module: &Path,
    flags: &[String],
    packages: &[&str],
    into: &Path,
    progress: &Progress,
) -> Result<()> {
    let total = go_download(module, flags, packages, progress).await?;
    let mut command = go_command(module);
    command.args(["build", "-v"]).args(flags).arg("-o").arg(into).args(packages);
    let mut build = std::pin::pin!(go_build(&mut command, total, progress));
    let mut polls = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            result = &mut build => return result.map(drop),
            _ = polls.tick() => {
                // Go does not report linking, which is most of the last minute.
                let linked = std::fs::read_dir(into).map_or(0, Iterator::count);
                if linked > 0 {
                    progress.set(format!("linked {linked} of {} programs", packages.len()));
                }
            }
        }
    }
}

/// Runs `go build -v`, or a script that runs it, for programs that consist of `total` packages, and returns
/// its standard output.
///
/// # Errors
/// If it fails. The message contains the output of Go.
pub async fn go_build(build: &mut Command, total: usize, progress: &Progress) -> Result<String> {
    let mut compiled = 0;
    run_with_progress(build, |line| {
        if !is_package(line) {
            return Line::Message;
        }
        compiled += 1;
        // Go does not print packages that are in its cache, so `compiled` can end below `total`.
        progress.set(format!("compiled {compiled} of {total} packages"));
        Line::Progress
    })
    .await
}

/// Downloads the modules of `packages` and their dependencies, and returns the number of packages.
///
/// # Errors
/// If Go is not installed or a download fails. The message contains the output of Go.
pub async fn go_download(
    module: &Path,
    flags: &[String],
    packages: &[&str],
    progress: &Progress,
) -> Result<usize> {
    progress.set("resolving the modules");
    let folder = output(go_command(module).args(["env", "GOMODCACHE"])).await?;
    let folder = PathBuf::from(folder.trim());
    let mut list = go_command(module);
    list.args(["list", "-deps"]).args(flags).args(packages);
    let mut zips = Vec::new();
    let listed = run_with_progress(&mut list, |line| {
        let Some(zip) = zip(line) else { return Line::Message };
        zips.push(folder.join("cache/download").join(zip));
        // The size does not include downloads in progress.
        let bytes: u64 = zips.iter().filter_map(|zip| Some(zip.metadata().ok()?.len())).sum();
        progress.set(format!("downloaded {} modules, {} MB", zips.len(), bytes / 1_000_000));
        Line::Progress
    });
    Ok(listed.await?.lines().count())
}

fn go_command(module: &Path) -> Command {
    let mut go = crate::command::command("go");
    go.current_dir(module).env("CGO_ENABLED", "0");
    go
}

/// The path below `cache/download` of the module that a line of Go names as being downloaded. `None` for
/// other lines.
fn zip(line: &str) -> Option<PathBuf> {
    let (module, version) = line.strip_prefix("go: downloading ")?.trim().split_once(' ')?;
    // Go escapes uppercase letters, for file systems that are not case-sensitive.
    let escape = |text: &str| {
        text.chars().fold(String::new(), |mut escaped, letter| {
            if letter.is_ascii_uppercase() {
                escaped.push('!');
            }
            escaped.push(letter.to_ascii_lowercase());
            escaped
        })
    };
    Some(format!("{}/@v/{}.zip", escape(module), escape(version)).into())
}

/// Whether a line of `go build -v` is the import path of a compiled package. Most other lines contain spaces.
fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.contains(' ') && !line.starts_with('#') && !line.contains(".go:")
}

/// The kind of a line on standard error.
enum Line {
    /// Progress output, which is discarded.
    Progress,
    /// A message, which becomes part of the error if the program fails.
    Message,
}

/// Runs the command until it exits, calls `on_line` for each line of its standard error, and returns its
/// standard output. A carriage return ends a line too.
async fn run_with_progress(command: &mut Command, mut on_line: impl FnMut(&str) -> Line) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let program = command.as_std().get_program().display().to_string();
    let mut child = command.spawn().with_context(|| format!("start {program}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut stdout = stdout.context("stdout is not a pipe")?;
    let mut stderr = BufReader::new(stderr.context("stderr is not a pipe")?);
    let mut messages = String::new();
    let lines = async {
        let mut line = Vec::new();
        loop {
            let buffer = stderr.fill_buf().await?;
            let read = buffer.len();
            for byte in buffer {
                if matches!(byte, b'\r' | b'\n') {
                    let text = String::from_utf8_lossy(&line);
                    if !text.trim().is_empty() && matches!(on_line(&text), Line::Message) {
                        messages.push_str(&text);
                        messages.push('\n');
                    }
                    line.clear();
                } else {
                    line.push(*byte);
                }
            }
            if read == 0 {
                messages.push_str(&String::from_utf8_lossy(&line));
                return std::io::Result::Ok(());
            }
            stderr.consume(read);
        }
    };
    let mut printed = Vec::new();
    tokio::try_join!(lines, stdout.read_to_end(&mut printed))
        .with_context(|| format!("read the output of {program}"))?;
    let status = child.wait().await.with_context(|| format!("wait for {program}"))?;
    if !status.success() {
        bail!("{program} failed: {status}: {}", messages.trim());
    }
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_of_cargo_is_parsed() {
        let progress = |line| cargo_progress(line).unwrap();
        assert_eq!(
            progress("    Building [=====>    ] 13/310: kube-client, nix(build)…"),
            "compiled 13 of 310 crates"
        );
        assert_eq!(progress("    Building [=====>    ] 13/310"), "compiled 13 of 310 crates");
        assert_eq!(
            progress(" Downloading 7 crates, remaining bytes: 1.2MiB  "),
            "downloading: 7 crates, remaining bytes: 1.2MiB left"
        );
        assert_eq!(
            progress("  Downloaded 173 crates (17.4MiB) in 4.78s (largest was `k` at 3MiB)"),
            "downloaded 173 crates (17.4MiB)"
        );
        assert_eq!(
            progress("       Fetch [====>   ] 62 complete; 138 pending  "),
            "reading the index of the registry: 62 complete; 138 pending"
        );
        assert_eq!(progress("   Compiling nix v0.31.3"), "");
        assert_eq!(cargo_progress("error[E0425]: cannot find value `x` in this scope"), None);
        assert_eq!(cargo_progress("warning: unused"), None);
    }

    #[test]
    fn the_downloads_and_packages_of_go_are_parsed() {
        assert_eq!(
            zip("go: downloading github.com/BurntSushi/toml v1.6.0").unwrap(),
            Path::new("github.com/!burnt!sushi/toml/@v/v1.6.0.zip")
        );
        assert_eq!(zip("go: updates to go.mod needed"), None);
        assert!(is_package("k8s.io/api/core/v1"));
        assert!(is_package("runtime"));
        for other in ["# k8s.io/api/core/v1", "../x.go:3:2: undefined: y", "go: no such module", ""] {
            assert!(!is_package(other), "{other}");
        }
    }

    #[test]
    fn standard_error_is_read_by_line_and_is_part_of_the_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = |script: &str| {
            let mut seen = Vec::new();
            let result =
                runtime.block_on(run_with_progress(Command::new("sh").args(["-c", script]), |line| {
                    seen.push(line.to_owned());
                    if line.starts_with("at ") { Line::Progress } else { Line::Message }
                }));
            (result, seen)
        };
        let (result, seen) = run(r"printf 'at 1\rat 2\r\nodd\n' >&2; echo out");
        assert_eq!(result.unwrap(), "out\n");
        assert_eq!(seen, ["at 1", "at 2", "odd"]);
        let (result, _) = run(r"printf 'at 1\rbad news\nthe end' >&2; exit 3");
        let error = format!("{:#}", result.unwrap_err());
        assert!(error.contains("exit status: 3: bad news\nthe end") && !error.contains("at 1"), "{error}");
    }
}
