//! What cargo and Go build for a cluster, and how far they are.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bootlace_image::product;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use crate::command::output;
use crate::stage::Progress;

/// Builds the static binary `name` of the package of the same name, and returns its path.
///
/// # Errors
/// When cargo is not there or the build fails; what it said is in the message.
pub async fn cargo(root: &Path, profile: &str, name: &str, progress: &Progress) -> Result<PathBuf> {
    let mut cargo = Command::from(product::command(root, profile, name));
    // Its bar says out of how many.
    cargo.envs([("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "100")]);
    let said = followed(&mut cargo, |line| match cargo_progress(line) {
        Some(far) => {
            if !far.is_empty() {
                progress.set(format!("{name}, {far}"));
            }
            Line::Progress
        }
        None => Line::Said,
    });
    let stdout = said.await.with_context(|| format!("build {name} for {}", product::TARGET))?;
    product::executable(&stdout, name)
}

/// What a line of cargo's says of how far it is. `None` where it says something else.
fn cargo_progress(line: &str) -> Option<String> {
    let line = line.trim();
    let bar = |verb| line.strip_prefix(verb)?.split_once("] ").map(|(_, rest)| rest.trim());
    if let Some(count) = bar("Building [") {
        let (done, all) = count.split_once(':').unwrap_or((count, "")).0.split_once('/')?;
        return Some(format!("compiled {done} of {all} crates"));
    }
    if let Some(count) = bar("Fetch [") {
        return Some(format!("reading the registry's index: {count}"));
    }
    if let Some(left) = line.strip_prefix("Downloading ") {
        return Some(format!("fetching: {left} left"));
    }
    if let Some(fetched) = line.strip_prefix("Downloaded ") {
        // One line a crate, and one for all of them, which alone tells a size.
        return Some(fetched.split_once(") in ").map_or(String::new(), |(all, _)| format!("fetched {all})")));
    }
    ["Compiling ", "Updating ", "Locking "].iter().any(|verb| line.starts_with(verb)).then(String::new)
}

/// Builds `packages` of the Go module in `module` into the folder `into`.
///
/// # Errors
/// When Go is not there, a module cannot be had, or a package does not build; what Go said is in the message.
pub async fn go(
    module: &Path,
    flags: &[String],
    packages: &[&str],
    into: &Path,
    progress: &Progress,
) -> Result<()> {
    let total = go_fetch(module, flags, packages, progress).await?;
    let mut command = go_command(module);
    command.args(["build", "-v"]).args(flags).arg("-o").arg(into).args(packages);
    let mut build = std::pin::pin!(go_build(&mut command, total, progress));
    let mut looks = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            result = &mut build => return result.map(drop),
            _ = looks.tick() => {
                // Go says nothing of linking, which is the last minute's work.
                let linked = std::fs::read_dir(into).map_or(0, Iterator::count);
                if linked > 0 {
                    progress.set(format!("linked {linked} of {} programs", packages.len()));
                }
            }
        }
    }
}

/// Runs `go build -v`, or a script that does, for programs that are made of `total` packages, and returns what it prints on
/// standard output.
///
/// # Errors
/// When it fails; what Go said is in the message.
pub async fn go_build(build: &mut Command, total: usize, progress: &Progress) -> Result<String> {
    let mut compiled = 0;
    followed(build, |line| {
        if !is_package(line) {
            return Line::Said;
        }
        compiled += 1;
        // Those that an earlier build left in Go's cache are not named.
        progress.set(format!("compiled {compiled} of {total} packages"));
        Line::Progress
    })
    .await
}

/// Fetches what `packages` are built from, and returns how many packages that is.
///
/// # Errors
/// When Go is not there or a module cannot be had; what Go said is in the message.
pub async fn go_fetch(
    module: &Path,
    flags: &[String],
    packages: &[&str],
    progress: &Progress,
) -> Result<usize> {
    progress.set("looking up the modules");
    let folder = output(go_command(module).args(["env", "GOMODCACHE"])).await?;
    let folder = PathBuf::from(folder.trim());
    let mut list = go_command(module);
    list.args(["list", "-deps"]).args(flags).args(packages);
    let mut zips = Vec::new();
    let listed = followed(&mut list, |line| {
        let Some(zip) = zip(line) else { return Line::Said };
        zips.push(folder.join("cache/download").join(zip));
        // Those that are fetched now do not count yet.
        let bytes: u64 = zips.iter().filter_map(|zip| Some(zip.metadata().ok()?.len())).sum();
        progress.set(format!("fetched {} modules, {} MB", zips.len(), bytes / 1_000_000));
        Line::Progress
    });
    Ok(listed.await?.lines().count())
}

fn go_command(module: &Path) -> Command {
    let mut go = crate::command::command("go");
    go.current_dir(module).env("CGO_ENABLED", "0");
    go
}

/// Where Go keeps the module that a line says is being downloaded, below `cache/download`. `None` where it says something
/// else.
fn zip(line: &str) -> Option<PathBuf> {
    let (module, version) = line.strip_prefix("go: downloading ")?.trim().split_once(' ')?;
    // Capital letters are escaped, for file systems that do not tell them from small ones.
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

/// Whether a line of `go build -v` is the import path of a package that was compiled: anything else holds spaces.
fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.contains(' ') && !line.starts_with('#') && !line.contains(".go:")
}

/// What a line on standard error was.
enum Line {
    /// How far the program is: nobody reads it later.
    Progress,
    /// Something that tells why it failed.
    Said,
}

/// Runs the command to its end, gives each line of its standard error to `see`, and returns its standard output. A
/// carriage return ends a line too.
async fn followed(command: &mut Command, mut see: impl FnMut(&str) -> Line) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let program = command.as_std().get_program().display().to_string();
    let mut child = command.spawn().with_context(|| format!("start {program}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut stdout = stdout.context("its output is a pipe")?;
    let mut stderr = BufReader::new(stderr.context("its standard error is a pipe")?);
    let mut said = String::new();
    let lines = async {
        let mut line = Vec::new();
        loop {
            let buffer = stderr.fill_buf().await?;
            let read = buffer.len();
            for byte in buffer {
                if matches!(byte, b'\r' | b'\n') {
                    let text = String::from_utf8_lossy(&line);
                    if !text.trim().is_empty() && matches!(see(&text), Line::Said) {
                        said.push_str(&text);
                        said.push('\n');
                    }
                    line.clear();
                } else {
                    line.push(*byte);
                }
            }
            if read == 0 {
                said.push_str(&String::from_utf8_lossy(&line));
                return std::io::Result::Ok(());
            }
            stderr.consume(read);
        }
    };
    let mut printed = Vec::new();
    tokio::try_join!(lines, stdout.read_to_end(&mut printed)).context("read what it prints")?;
    let status = child.wait().await.with_context(|| format!("wait for {program}"))?;
    if !status.success() {
        bail!("{program} failed: {status}: {}", said.trim());
    }
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_how_far_it_is() {
        let far = |line| cargo_progress(line).unwrap();
        assert_eq!(
            far("    Building [=====>    ] 13/310: kube-client, nix(build)…"),
            "compiled 13 of 310 crates"
        );
        assert_eq!(far("    Building [=====>    ] 13/310"), "compiled 13 of 310 crates");
        assert_eq!(
            far(" Downloading 7 crates, remaining bytes: 1.2MiB  "),
            "fetching: 7 crates, remaining bytes: 1.2MiB left"
        );
        assert_eq!(
            far("  Downloaded 173 crates (17.4MiB) in 4.78s (largest was `k` at 3MiB)"),
            "fetched 173 crates (17.4MiB)"
        );
        assert_eq!(
            far("       Fetch [====>   ] 62 complete; 138 pending  "),
            "reading the registry's index: 62 complete; 138 pending"
        );
        assert_eq!(far("   Compiling nix v0.31.3"), "");
        assert_eq!(cargo_progress("error[E0425]: cannot find value `x` in this scope"), None);
        assert_eq!(cargo_progress("warning: unused"), None);
    }

    #[test]
    fn go_names_what_it_fetches_and_what_it_compiled() {
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
    fn what_a_program_says_is_read_by_line_and_told_where_it_fails() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = |script: &str| {
            let mut seen = Vec::new();
            let result = runtime.block_on(followed(Command::new("sh").args(["-c", script]), |line| {
                seen.push(line.to_owned());
                if line.starts_with("at ") { Line::Progress } else { Line::Said }
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
