//! A boot volume without env, a hook that uses it, and servers.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bootlace_launch::code::Code;
use bootlace_launch::layout;

/// A valid response.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A boot volume for the container `base`, with the file of its termination message.
pub(crate) struct Boot(tempfile::TempDir);

impl Boot {
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keep = dir.path().join(layout::DIR_KEEP);
        fs::create_dir_all(&keep).unwrap();
        fs::write(keep.join("base"), "").unwrap();
        fs::write(dir.path().join(layout::FILE_ENVIRON), "").unwrap();
        fs::write(dir.path().join("termination-log"), "").unwrap();
        Self(dir)
    }

    /// `launch hook` with a handler `httpGet`.
    pub(crate) fn get(&self, timeout: u32, url: &str, headers: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace-launch-http"));
        command.env_clear().args(["hook", "--container=base"]);
        command.arg(format!("--root={}", self.0.path().display()));
        command.arg(format!("--termination-log={}", self.0.path().join("termination-log").display()));
        command.arg(format!("--timeout={timeout}")).arg(format!("--http={url}"));
        command.args(headers.iter().map(|header| format!("--header={header}"))).output().unwrap()
    }

    /// The message of a hook whose handler failed.
    #[track_caller]
    pub(crate) fn failed(&self, output: &Output) -> String {
        let message = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert_eq!(fs::read_to_string(self.0.path().join("termination-log")).unwrap(), message);
        assert!(message.starts_with("bootlace: container \"base\": "), "{message}");
        assert!(message.ends_with(&format!(" [{}]\n", Code::PostStartFailed)), "{message}");
        message
    }
}

/// A hook that must not fail.
#[track_caller]
pub(crate) fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Accepts a connection for each of `answers`, and returns their results.
pub(crate) fn serve<T: Send + 'static, A>(answers: Vec<A>) -> (u16, JoinHandle<Vec<T>>)
where
    A: FnOnce(std::net::TcpStream, u16) -> T + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move |answer: A| {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        answer(stream, port)
    };
    (port, thread::spawn(move || answers.into_iter().map(serve).collect()))
}

/// Reads the head of a request and sends a response. `PORT` in the response becomes the port of the server.
pub(crate) fn answer(mut stream: impl Read + Write, port: u16, response: &str) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    // The launcher can exit before it has read the whole response.
    let _ = stream.write_all(response.replace("PORT", &port.to_string()).as_bytes());
    let _ = stream.flush();
    String::from_utf8(head).unwrap()
}
