//! Tests `hack/machine`, as the Makefile calls it, on machines with missing requirements. Its `PATH` contains
//! only fake programs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Programs that the script expects on every machine.
const BASIC_PROGRAMS: [&str; 22] = [
    "awk", "bash", "cat", "chmod", "cmp", "cut", "dirname", "env", "flock", "grep", "head", "id", "mkdir",
    "mktemp", "paste", "printf", "rm", "sed", "sort", "tail", "touch", "tr",
];

/// A fake rustup. As in the real one, the name of the program decides what it does. Its toolchain consists of
/// files in `state`.
const RUSTUP: &str = r#"
echo "$name $*" >> "$state/calls"
case $name in
rustup)
  [ ! -e "$state/offline" ] || {
    echo "info: syncing" >&2
    echo "error: could not download file: error sending request: tcp connect error: Connection refused" >&2
    exit 1
  }
  mkdir -p "$state/lib"
  touch "$state/toolchain" "$state/clippy" "$state/rustfmt" "$state/lib/libstd-1.rlib"
  ;;
*)
  # rustup installs the toolchain itself, unless RUSTUP_AUTO_INSTALL is 0.
  [ -e "$state/toolchain" ] || [ "${RUSTUP_AUTO_INSTALL:-1}" = 0 ] || echo "$name installed by itself" >> "$state/calls"
  [ -e "$state/toolchain" ] || exit 1
  ;;
esac
case "$name $*" in
"rustc --version") echo "rustc $(cat "$state/version") (59807616e 2026-04-14)" ;;
"rustc --print target-libdir"*) echo "$state/lib" ;;
"cargo clippy"*) [ -e "$state/clippy" ] ;;
"rustfmt"*) [ -e "$state/rustfmt" ] ;;
esac
"#;
/// A fake apt-get, which installs all packages, unless it is offline.
const APT: &str = r#"
echo "$name $*" >> "$state/calls"
[ ! -e "$state/offline" ] || { echo "E: Unable to fetch some archives" >&2; exit 100; }
for word in "$@"; do echo "installed $word" >> "$state/packages"; done
"#;

/// A machine, as the script sees it.
struct Machine {
    folder: TempDir,
}

/// The result of the script.
struct ScriptResult {
    succeeded: bool,
    stdout: String,
    stderr: String,
}

impl Machine {
    /// A machine with only the basic programs of Debian.
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(machine.path("bin")).unwrap();
        for program in BASIC_PROGRAMS {
            let real = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
            symlink(real.iter().find(|path| path.exists()).unwrap(), machine.path("bin").join(program))
                .unwrap();
        }
        fs::write(machine.path("packages"), "").unwrap();
        fs::write(machine.path("version"), "1.95.0").unwrap();
        machine.program("dpkg-query", "cat \"$state/packages\"");
        machine.program("apt-get", APT);
        machine
    }

    /// A machine with rustup and a C compiler.
    fn with_rustup() -> Self {
        let machine = Self::with_cargo();
        machine.program("rustup", RUSTUP);
        machine
    }

    /// A machine whose cargo was installed without rustup.
    fn with_cargo() -> Self {
        let machine = Self::new();
        for name in ["cargo", "rustc", "rustfmt"] {
            machine.program(name, RUSTUP);
        }
        machine.program("cc", "");
        machine.has("packages", "installed libc6-dev\n");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let file = self.path("bin").join(name);
        let state = self.folder.path().display();
        // The file is the same for all programs, as with rustup.
        fs::write(&file, format!("#!/bin/bash\nname=${{0##*/}} state={state}\n{script}")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn has_all(&self, names: &[&str]) {
        for name in names {
            self.has(name, "");
        }
    }

    fn has(&self, name: &str, content: &str) {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn run(&self, needs: &[&str], env: &[(&str, &str)]) -> ScriptResult {
        let script = Path::new(env!("BOOTLACE_ROOT")).join("hack/machine");
        let mut command = Command::new(script);
        command.args(needs).env_clear().env("PATH", self.path("bin")).env("POLICY_RC_D", self.path("policy"));
        let output = command.envs(env.iter().copied()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        ScriptResult {
            succeeded: output.status.success(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }
}

/// The command that adds missing parts. rustup installs only the parts that are missing.
const INSTALL: &str = "rustup toolchain install 1.95.0 --profile minimal --no-self-update --component clippy,rustfmt \
                       --target x86_64-unknown-linux-musl";

#[test]
fn what_the_toolchain_lacks_is_added_whatever_rustup_auto_install_says() {
    let (whole, no_target): (&[&str], &[&str]) =
        (&["toolchain", "clippy", "rustfmt", "lib/libstd-1.rlib"], &["toolchain", "clippy", "rustfmt"]);
    let cases: [(&[&str], &str); 5] = [
        (no_target, "target x86_64-unknown-linux-musl"),
        (&["toolchain", "rustfmt", "lib/libstd-1.rlib"], "component clippy"),
        (&["toolchain", "clippy", "lib/libstd-1.rlib"], "component rustfmt"),
        (&["toolchain"], "target x86_64-unknown-linux-musl, component clippy, component rustfmt"),
        (&[], "toolchain"),
    ];
    for auto_install in [Some("0"), Some("1"), None] {
        let env: Vec<_> = auto_install.map(|value| ("RUSTUP_AUTO_INSTALL", value)).into_iter().collect();
        for (has, lacks) in cases {
            let machine = Machine::with_rustup();
            machine.has_all(has);
            let done = machine.run(&["rust"], &env);
            assert!(done.succeeded, "{}", done.stderr);
            assert_eq!(done.stdout, format!("==> adding to Rust 1.95.0: {lacks}\n"));
            assert!(machine.calls().contains(INSTALL), "{}", machine.calls());
            assert!(!machine.calls().contains("by itself"), "{}", machine.calls());
        }
        let machine = Machine::with_rustup();
        machine.has_all(whole);
        let done = machine.run(&["rust", "lints"], &env);
        assert!(done.succeeded, "{}", done.stderr);
        assert_eq!(done.stdout, "");
        assert!(!machine.calls().contains("rustup "), "a whole toolchain was changed: {}", machine.calls());
    }
}

#[test]
fn the_toolchain_that_the_user_chose_is_the_one_that_is_completed() {
    let machine = Machine::with_rustup();
    machine.has("toolchain", "");
    let done = machine.run(&["rust"], &[("RUSTUP_TOOLCHAIN", "beta")]);
    assert!(done.succeeded, "{}", done.stderr);
    assert!(machine.calls().contains("rustup toolchain install beta "), "{}", machine.calls());
}

/// Checks that the script prints one line that contains `parts`, and installs nothing.
fn refused(machine: &Machine, needs: &[&str], parts: &[&str]) {
    let done = machine.run(needs, &[]);
    assert!(!done.succeeded);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    for part in parts {
        assert!(done.stderr.contains(part), "{}", done.stderr);
    }
    assert!(!machine.calls().contains("apt-get"), "{}", machine.calls());
}

#[test]
fn without_a_network_one_sentence_says_why_and_what_to_run() {
    for has in [&["offline", "toolchain"][..], &["offline"]] {
        let machine = Machine::with_rustup();
        machine.has_all(has);
        refused(&machine, &["rust"], &["tcp connect error: Connection refused", INSTALL]);
    }
}

#[test]
fn a_rust_that_is_not_rustups_does_where_it_has_the_target() {
    let machine = Machine::with_cargo();
    machine.has("toolchain", "");
    refused(
        &machine,
        &["rust"],
        &["not installed by rustup", "target x86_64-unknown-linux-musl", "https://rustup.rs"],
    );
    machine.has("lib/libstd-1.rlib", "");
    let done = machine.run(&["rust"], &[]);
    assert!(done.succeeded, "{}", done.stderr);
    // Only `lints` needs these components.
    refused(&machine, &["rust", "lints"], &["component clippy, component rustfmt"]);
    machine.has("version", "1.94.1");
    refused(&machine, &["rust"], &["Rust 1.94.1 is too old", "1.95"]);
}

#[test]
fn without_rust_or_go_one_sentence_says_what_to_install() {
    refused(&Machine::new(), &["rust"], &["Rust not found", "https://rustup.rs", "1.95.0"]);
    refused(&Machine::new(), &["go", "rust", "cluster"], &["Go not found", "Go 1.26.0"]);
    let machine = Machine::with_rustup();
    machine.program(
        "go",
        "echo 'go: go.mod requires go >= 1.26.0 (running go 1.19.8; GOTOOLCHAIN=local)' >&2; exit 1",
    );
    refused(&machine, &["go", "rust"], &["running go 1.19.8", "GOTOOLCHAIN=auto"]);
}

#[test]
fn packages_are_installed_that_are_missing_and_no_others() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can install packages. For other users, the script prints an error.
        refused(&Machine::new(), &["rclone"], &["only root can install them", "apt-get install rclone"]);
        return;
    }
    let machine = Machine::new();
    machine.has("packages", "installed python3-venv\n");
    // A program that was not installed as a package.
    machine.program("npm", "");
    let done = machine.run(&["rclone", "npm", "python3-venv", "unzip"], &[]);
    assert!(done.succeeded, "{} {}", done.stdout, done.stderr);
    assert!(done.stdout.starts_with("==> installing Debian packages rclone unzip\n"), "{}", done.stdout);
    assert!(
        machine.calls().contains("install --yes --no-install-recommends rclone unzip\n"),
        "{}",
        machine.calls()
    );

    let machine = Machine::new();
    machine.has("offline", "");
    let done = machine.run(&["rclone"], &[]);
    assert!(!done.succeeded);
    assert!(done.stdout.contains("Unable to fetch"), "{}", done.stdout);
    assert!(done.stderr.contains("apt-get install rclone"), "{}", done.stderr);

    let machine = Machine::new();
    fs::remove_file(machine.path("bin/apt-get")).unwrap();
    refused(&machine, &["rclone"], &["apt-get is not available"]);
}

/// Each target of the Makefile starts with a call of the script, so that it fails before it compiles.
#[test]
fn every_command_of_the_makefile_makes_sure_of_what_it_needs() {
    let text = fs::read_to_string(Path::new(env!("BOOTLACE_ROOT")).join("Makefile")).unwrap();
    let mut commands = 0;
    for command in text.split(".PHONY: ").skip(1) {
        let (name, recipe) = command.split_once('\n').unwrap();
        // `help` has no requirements, and `test` consists of two other targets.
        if ["help", "test"].contains(&name) {
            continue;
        }
        let first = recipe.lines().nth(1).unwrap();
        assert!(
            first.contains("$(call harness,") || first.contains("hack/machine"),
            "make {name} begins with {first}"
        );
        commands += 1;
    }
    assert!(commands > 8, "{text}");
}
