//! The launcher in a container with `tty`: the task has the terminal.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use crate::support::{Boot, Lines, PATH, until};

const OUTPUT: &str = "--optional-output=Report:ConfigMap:report.txt";

/// A launcher that leads the session of a terminal, like the first process of a container.
struct Terminal {
    child: Child,
    keys: File,
    screen: Lines,
}

impl Terminal {
    fn new(launch: &Command, script: &str) -> Self {
        let (child, keys) = start(launch, script);
        Self { child, screen: Lines::of(keys.try_clone().unwrap()), keys }
    }

    fn types(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }

    fn ended(&mut self) -> Option<i32> {
        until("the launcher's end", || self.child.try_wait().unwrap()).code()
    }
}

/// Kills the launcher, and so the task, if a test fails.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the launcher, and the other end of its terminal.
fn start(launch: &Command, script: &str) -> (Child, File) {
    // Closed on exec, because a process with this file would prevent the hangup of the terminal.
    let keys = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&keys).unwrap();
    unlockpt(&keys).unwrap();
    let mut open = OpenOptions::new();
    open.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
    let slave = open.open(ptsname_r(&keys).unwrap()).unwrap();
    // Without echo, so that only the task writes.
    let mut mode = tcgetattr(&slave).unwrap();
    mode.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&slave, SetArg::TCSANOW, &mode).unwrap();
    let stdio = || Stdio::from(slave.try_clone().unwrap());
    let mut command = Command::new("setsid");
    // A shell cannot trap a signal that it inherits as ignored, as background processes do.
    command.args(["--ctty", "env", "--default-signal", "--ignore-environment", &format!("PATH={PATH}")]);
    command.arg(launch.get_program()).args(launch.get_args()).args(["sh", "-c", script]);
    let child = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().unwrap();
    (child, OwnedFd::from(keys).into())
}

/// Prints whether the shell leads its process group, which is in the foreground of the terminal.
const FOREGROUND: &str =
    "set -- $(cat /proc/$$/stat); [ $$ = $5 ] && [ $5 = $8 ] && tty >/dev/null && echo foreground";

#[test]
fn exec_leaves_the_terminal_to_the_task() {
    let boot = Boot::empty();
    let mut terminal = Terminal::new(&boot.exec(), &format!("{FOREGROUND}; read x; echo $x; exit 4"));
    assert_eq!(terminal.screen.next(), "foreground");
    terminal.types(b"typed\n");
    assert_eq!(terminal.screen.next(), "typed");
    assert_eq!(terminal.ended(), Some(4));
}

#[test]
fn run_moves_the_task_to_the_foreground_of_the_terminal() {
    let boot = Boot::empty();
    let mut terminal = Terminal::new(&boot.run(&[OUTPUT]), &format!("{FOREGROUND}; read x; echo $x; exit 4"));
    assert_eq!(terminal.screen.next(), "foreground");
    terminal.types(b"typed\n");
    assert_eq!(terminal.screen.next(), "typed");
    assert_eq!(terminal.ended(), Some(4));
}

#[test]
fn the_task_gets_signals_of_the_terminal_once() {
    let boot = Boot::empty();
    let script = "trap 'echo INT' INT; trap 'echo QUIT' QUIT; echo ready; while :; do read x; done";
    let mut terminal = Terminal::new(&boot.run(&[OUTPUT]), script);
    assert_eq!(terminal.screen.next(), "ready");
    for (key, line) in [(b"\x03", "INT"), (b"\x1c", "QUIT"), (b"\x03", "INT"), (b"\x1c", "QUIT")] {
        terminal.types(key);
        assert_eq!(terminal.screen.next(), line);
    }
}

#[test]
fn a_task_that_does_not_handle_ctrl_c_ends() {
    let boot = Boot::empty();
    let mut terminal = Terminal::new(&boot.run(&[OUTPUT]), "echo ready; exec sleep 60");
    assert_eq!(terminal.screen.next(), "ready");
    terminal.types(b"\x03");
    assert_eq!(terminal.ended(), Some(130));
}

#[test]
fn ctrl_z_does_not_stop_the_task() {
    let boot = Boot::empty();
    let mut terminal = Terminal::new(&boot.run(&[OUTPUT]), "echo ready; exec cat");
    assert_eq!(terminal.screen.next(), "ready");
    for line in ["one", "two"] {
        terminal.types(b"\x1a");
        terminal.types(format!("{line}\n").as_bytes());
        assert_eq!(terminal.screen.next(), line);
    }
    terminal.types(b"\x04");
    assert_eq!(terminal.ended(), Some(0));
}

#[test]
fn a_hangup_of_the_terminal_ends_the_task() {
    let boot = Boot::empty();
    let ready = boot.path().join("ready");
    let script = format!("touch {}; exec sleep 60", ready.display());
    let (mut child, keys) = start(&boot.run(&[OUTPUT]), &script);
    until("the task", || ready.exists().then_some(()));
    drop(keys);
    assert_eq!(until("the launcher's end", || child.try_wait().unwrap()).code(), Some(129));
}
