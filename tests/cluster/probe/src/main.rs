//! The only program of the test image without a shell. It prints the state of its process.
//!
//! `probe [ACTION…] [-- ARGUMENT…]` runs the actions in order: `argv`, `environ`, `status`, `file=PATH`,
//! `write=PATH`, `await=PATH` (waits until the file exists), `proxy=PORT` (see [`proxy`]), `exit=CODE`,
//! `wait`. It prints one line for each item, with all bytes that are not printable ASCII escaped as in a Rust
//! byte string ([`slice::escape_ascii`]), so that newlines and invalid UTF-8 are visible:
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
//! The last line is `end`, before the probe exits or waits. A log without it is incomplete.

mod proxy;

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
            b"proxy" => proxy::serve(value),
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
            _ => Err(std::io::Error::other("unknown action")),
        };
        if let Err(error) = done {
            eprintln!("probe: {}={}: {error}", action.escape_ascii(), value.escape_ascii());
            return ExitCode::FAILURE;
        }
    }
    end();
    ExitCode::SUCCESS
}

/// Prints the last line. An error is ignored, because the missing line shows it.
fn end() {
    let mut out = std::io::stdout().lock();
    writeln!(out, "end").and_then(|()| out.flush()).unwrap_or_default();
}

/// Splits `name=value`. The value is empty if there is no `=`.
fn split(action: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = action.splitn(2, |byte| *byte == b'=');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Prints the environment as the kernel stores it, including duplicates and records without `=`.
fn environ() -> std::io::Result<()> {
    let records = std::fs::read("/proc/self/environ")?;
    let records = records.strip_suffix(b"\0").unwrap_or(&records);
    print(records.split(|byte| *byte == 0).map(|record| ("environ ".to_owned(), record.to_vec())))
}

/// Prints `/proc/self/status`: IDs, groups, capabilities.
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

/// Waits for a file that another process creates, without a timeout: the scenario that waits for the probe
/// has one.
fn wait_for(path: &[u8]) {
    while !std::path::Path::new(std::ffi::OsStr::from_bytes(path)).exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Tries to create a file, and prints the result. A failure is a result, not an error.
fn write(path: &[u8]) -> std::io::Result<()> {
    let done = match std::fs::write(std::ffi::OsStr::from_bytes(path), "written by the probe") {
        Ok(()) => "done".to_owned(),
        Err(error) => error.kind().to_string(),
    };
    print([(format!("write {} ", path.escape_ascii()), done.into_bytes())])
}

/// Prints a line for each item: the prefix and the escaped value.
fn print(items: impl IntoIterator<Item = (String, Vec<u8>)>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (prefix, value) in items {
        writeln!(out, "{prefix}{}", value.escape_ascii())?;
    }
    out.flush()
}
