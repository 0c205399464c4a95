//! The one program of the test image that holds no shell: prints what its process really holds.
//!
//! `probe [ACTION…] [-- ARGUMENT…]`, actions in order: `argv`, `environ`, `status`, `file=PATH`, `write=PATH`,
//! `await=PATH` (goes on once there is such a file), `exit=CODE`, `wait`. One line each item, bytes that are not printable ASCII escaped as in a Rust byte string
//! ([`slice::escape_ascii`]), so that a newline or a non-UTF-8 value shows as what it is:
//!
//! ```text
//! argv 0 /probe
//! environ GREETING=two\nlines
//! status Uid 1000 1000 1000 1000
//! file /var/assets/query.sql select 1\n
//! write /tmp/file read-only filesystem or storage medium
//! end
//! ```
//!
//! `end` comes last, before the probe exits or waits: a log without it is not whole.

use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    for action in argv.iter().skip(1).take_while(|argument| argument.as_slice() != b"--") {
        let (action, value) = split(action);
        let done = match action {
            b"argv" => {
                print(argv.iter().enumerate().map(|(at, value)| (format!("argv {at} "), value.clone())))
            }
            b"environ" => environ(),
            b"status" => status(),
            b"file" => file(value),
            b"write" => write(value),
            b"await" => {
                wait_for(value);
                Ok(())
            }
            b"exit" => {
                end();
                return ExitCode::from(str::from_utf8(value).ok().and_then(|v| v.parse().ok()).unwrap_or(2));
            }
            b"wait" => {
                end();
                loop {
                    std::thread::park();
                }
            }
            _ => Err(std::io::Error::other("there is no such action")),
        };
        if let Err(error) = done {
            eprintln!("probe: {}={}: {error}", action.escape_ascii(), value.escape_ascii());
            return ExitCode::FAILURE;
        }
    }
    end();
    ExitCode::SUCCESS
}

/// The last line. Where it cannot be printed, whoever reads the log sees that it is missing.
fn end() {
    let mut out = std::io::stdout().lock();
    writeln!(out, "end").and_then(|()| out.flush()).unwrap_or_default();
}

/// `name=value` in two parts; the value is empty where there is none.
fn split(action: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = action.splitn(2, |byte| *byte == b'=');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// The process's own environ as the kernel holds it: duplicates and records without `=` included.
fn environ() -> std::io::Result<()> {
    let records = std::fs::read("/proc/self/environ")?;
    let records = records.strip_suffix(b"\0").unwrap_or(&records);
    print(records.split(|byte| *byte == 0).map(|record| ("environ ".to_owned(), record.to_vec())))
}

/// Who the process is and what it may do: its ids, groups, capabilities.
fn status() -> std::io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let fields = status.lines().filter_map(|line| line.split_once(':'));
    print(fields.map(|(field, value)| {
        let value: Vec<_> = value.split_whitespace().collect();
        (format!("status {field} "), value.join(" ").into_bytes())
    }))
}

fn file(path: &[u8]) -> std::io::Result<()> {
    let content = std::fs::read(std::ffi::OsStr::from_bytes(path))?;
    print([(format!("file {} ", path.escape_ascii()), content)])
}

/// Waits for a file that another process makes. Whoever waits for the probe has the deadline.
fn wait_for(path: &[u8]) {
    while !std::path::Path::new(std::ffi::OsStr::from_bytes(path)).exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Tries to make a file. That it cannot is nothing to fail for: it is what was asked.
fn write(path: &[u8]) -> std::io::Result<()> {
    let done = match std::fs::write(std::ffi::OsStr::from_bytes(path), "written by the probe") {
        Ok(()) => "done".to_owned(),
        Err(error) => error.kind().to_string(),
    };
    print([(format!("write {} ", path.escape_ascii()), done.into_bytes())])
}

/// One line each: the prefix, then the value escaped.
fn print(items: impl IntoIterator<Item = (String, Vec<u8>)>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (prefix, value) in items {
        writeln!(out, "{prefix}{}", value.escape_ascii())?;
    }
    out.flush()
}
