//! `httpGet` as the kubelet does it for a lifecycle hook (kubernetes/kubernetes 1.37,
//! `pkg/kubelet/lifecycle/handlers.go` and `pkg/probe/http/request.go`):
//!
//! - Any response is a success, whatever its status: only probes look at that.
//! - A redirect is followed up to ten times where it stays on the same host; one that leads elsewhere is not
//!   followed, and is a success.
//! - Without a host the request goes to the pod's own address ([`super::hosts`]).
//! - A server that answers a request for HTTPS in plain HTTP is asked again in plain HTTP, without the header
//!   `Authorization`.
//!
//! It is one request in HTTP/1.1 with `Connection: close`, which std's sockets are enough for, and the [`Tls`] that the
//! launcher was given.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::hook::hosts;
use crate::hook::url::{Url, UrlError};
use crate::tls::{Connection, Stream, Tls, TlsError};

const REDIRECTS: usize = 10;

/// How much of a response's head is read, in bytes; Go takes up to 10 MiB, but no server sends so much.
const HEAD_LIMIT: usize = 64 * 1024;

/// How much of a response's body is read so that the server can finish writing it, in bytes, as the kubelet.
const BODY_LIMIT: usize = 10 * 1024;

/// How long that may take: the handler has succeeded by then.
const BODY_TIME: Duration = Duration::from_secs(1);

/// Named like the kubelet, for servers that tell its requests apart.
const USER_AGENT: &str = concat!("kube-lifecycle (bootlace-launch/", env!("CARGO_PKG_VERSION"), ")");

/// A GET request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) headers: Vec<Header>,
}

/// A header that the pod's spec sets. Its value may be a secret.
#[derive(Clone)]
pub(crate) struct Header {
    name: String,
    value: Vec<u8>,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({})", self.name)
    }
}

impl Header {
    /// `None` where the name is no token (RFC 9110, 5.6.2) or the value would end the line.
    pub(crate) fn new(name: &[u8], value: &[u8]) -> Option<Self> {
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(token) || value.iter().any(|byte| b"\r\n\0".contains(byte)) {
            return None;
        }
        Some(Self { name: str::from_utf8(name).ok()?.to_owned(), value: value.trim_ascii().to_owned() })
    }
}

struct Response {
    status: u16,
    location: Option<Vec<u8>>,
}

impl Request {
    /// Sends the request and follows where it leads.
    pub(crate) fn send(&self, tls: Tls, deadline: Deadline) -> Result<(), HttpGetError> {
        match self.follow(tls, deadline) {
            Err(HttpGetError { url, cause: Cause::NoTls }) => {
                self.in_plain().follow(tls, deadline).map_err(|_| HttpGetError { url, cause: Cause::NoTls })
            }
            followed => followed,
        }
    }

    /// The request for a server that does not speak TLS, without what it must not see.
    fn in_plain(&self) -> Self {
        let may_be_seen = |header: &&Header| !header.name.eq_ignore_ascii_case("Authorization");
        Self {
            url: Url { https: false, ..self.url.clone() },
            headers: self.headers.iter().filter(may_be_seen).cloned().collect(),
        }
    }

    fn follow(&self, tls: Tls, deadline: Deadline) -> Result<(), HttpGetError> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS {
            let (response, host) = self
                .exchange(&url, tls, deadline)
                .map_err(|cause| HttpGetError { url: url.shown(), cause })?;
            let Some(location) = response.location.filter(|_| is_redirect(response.status)) else {
                return Ok(());
            };
            let next = url.join(&location);
            let next =
                next.map_err(|error| HttpGetError { url: url.shown(), cause: Cause::Location(error) })?;
            if next.host != url.host && next.host != host {
                return Ok(());
            }
            url = next;
        }
        Err(HttpGetError { url: url.shown(), cause: Cause::TooManyRedirects })
    }

    /// One request and its response, with the host that it went to.
    fn exchange(&self, url: &Url, tls: Tls, deadline: Deadline) -> Result<(Response, String), Cause> {
        let (tcp, host) = connect(url, deadline)?;
        let ends = Rc::new(Cell::new(deadline));
        let connection = Connection::new(tcp, Rc::clone(&ends));
        let mut stream: Box<dyn Stream> = if url.https {
            tls(connection, &host).map_err(|error| match error {
                TlsError::NotSpoken => Cause::NoTls,
                TlsError::Failed(error) => timed(error, deadline),
            })?
        } else {
            Box::new(connection)
        };
        let sent = stream.write_all(&self.bytes(url, &host)).and_then(|()| stream.flush());
        sent.map_err(|error| timed(error, deadline))?;
        let response = read_response(&mut *stream, deadline)?;
        ends.set(Deadline::after(BODY_TIME.min(deadline.left().unwrap_or_default())));
        discard_body(&mut *stream);
        Ok((response, host))
    }

    fn bytes(&self, url: &Url, host: &str) -> Vec<u8> {
        let set = |name: &str| self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        let mut bytes = format!("GET {} HTTP/1.1\r\nConnection: close\r\n", url.target).into_bytes();
        let mut line = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        };
        // As Go: an empty Host is not set, an empty User-Agent or Accept is not sent.
        match set("Host").filter(|header| !header.value.is_empty()) {
            Some(header) => line("Host", &header.value),
            None => line("Host", url.authority(host).as_bytes()),
        }
        match set("User-Agent") {
            Some(header) if header.value.is_empty() => {}
            Some(header) => line("User-Agent", &header.value),
            None => line("User-Agent", USER_AGENT.as_bytes()),
        }
        match set("Accept") {
            Some(header) if header.value.is_empty() => {}
            Some(header) => line("Accept", &header.value),
            None => line("Accept", b"*/*"),
        }
        let written = ["Host", "User-Agent", "Accept"];
        for header in &self.headers {
            if !written.iter().any(|name| header.name.eq_ignore_ascii_case(name)) {
                line(&header.name, &header.value);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Connects to the first address that takes the connection, and gives the host that it went to.
fn connect(url: &Url, deadline: Deadline) -> Result<(TcpStream, String), Cause> {
    let mut refused = Cause::NoAddress;
    for (address, host) in hosts::lookup(&url.host) {
        let left = deadline.left().ok_or(Cause::Deadline(deadline.limit()))?;
        match TcpStream::connect_timeout(&SocketAddr::new(address, url.port), left) {
            Ok(stream) => return Ok((stream, host)),
            Err(error) => refused = timed(error, deadline),
        }
    }
    Err(refused)
}

fn read_response(stream: &mut dyn Stream, deadline: Deadline) -> Result<Response, Cause> {
    let mut head = Vec::new();
    loop {
        while let Some(end) = head_end(&head) {
            let response = parse_head(head.get(..end).unwrap_or_default()).ok_or(Cause::NotHttp)?;
            // 1xx announces the real response, but for 101, which nobody asked for.
            if !(100..200).contains(&response.status) || response.status == 101 {
                return Ok(response);
            }
            head.drain(..end);
        }
        if head.len() > HEAD_LIMIT {
            return Err(Cause::NotHttp);
        }
        if read_some(stream, &mut head).map_err(|error| timed(error, deadline))? == 0 {
            return Err(Cause::Closed);
        }
    }
}

/// Where a response leads, if it is one and leads anywhere.
#[cfg(fuzzing)]
pub(crate) fn location(stream: &mut dyn Stream, deadline: Deadline) -> Option<Vec<u8>> {
    read_response(stream, deadline).ok()?.location
}

fn read_some(stream: &mut dyn Stream, into: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 4096];
    let count = match stream.read(&mut chunk) {
        // By TLS, of a server that closes the connection without a word.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
        read => read?,
    };
    into.extend_from_slice(chunk.get(..count).unwrap_or_default());
    Ok(count)
}

/// Until it ends, or its time does.
fn discard_body(stream: &mut dyn Stream) {
    let mut body = Vec::new();
    while body.len() < BODY_LIMIT && read_some(stream, &mut body).is_ok_and(|count| count > 0) {}
}

/// Just behind the empty line that ends a head.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let crlf = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    let lf = bytes.windows(2).position(|window| window == b"\n\n").map(|at| at + 2);
    crlf.into_iter().chain(lf).min()
}

fn parse_head(head: &[u8]) -> Option<Response> {
    let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let status_line = lines.next()?.strip_prefix(b"HTTP/1.")?;
    let status = status_line.split(|&byte| byte == b' ').nth(1)?;
    let status = str::from_utf8(status).ok().filter(|status| status.len() == 3)?.parse().ok()?;
    let location = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(line.iter().position(|&byte| byte == b':')?)?;
        let found = name.eq_ignore_ascii_case(b"Location");
        found.then(|| value.strip_prefix(b":").map(<[u8]>::trim_ascii).map(<[u8]>::to_vec)).flatten()
    });
    Some(Response { status, location })
}

/// Tells the deadline, which std reports as one of two kinds, from other errors.
fn timed(error: io::Error, deadline: Deadline) -> Cause {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if deadline.left().is_none() => {
            Cause::Deadline(deadline.limit())
        }
        _ => Cause::Io(error),
    }
}

/// Why there was no response.
#[derive(Debug)]
pub(crate) struct HttpGetError {
    /// Without its query.
    url: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    NoAddress,
    NoTls,
    Io(io::Error),
    Deadline(Duration),
    Closed,
    NotHttp,
    Location(UrlError),
    TooManyRedirects,
}

impl fmt::Display for HttpGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}: ", self.url)?;
        match &self.cause {
            Cause::NoAddress => f.write_str(
                "its host is neither an address nor a name in /etc/hosts; leave the host out, which means the \
                 pod itself, or name its address",
            ),
            Cause::NoTls => f.write_str("the server does not speak TLS"),
            Cause::Io(error) => error.fmt(f),
            Cause::Deadline(limit) => write!(
                f,
                "no response within the hook's limit of {} s; raise `hook.timeoutSeconds` of the BootProfile",
                limit.as_secs()
            ),
            Cause::Closed => f.write_str("the connection was closed before the response was complete"),
            Cause::NotHttp => f.write_str("the response is not HTTP/1"),
            Cause::Location(error) => write!(f, "it redirects to a URL that cannot be followed: {error}"),
            Cause::TooManyRedirects => write!(f, "it redirects more than {REDIRECTS} times"),
        }
    }
}

impl Error for HttpGetError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(headers: &[(&str, &str)]) -> String {
        let url = Url::parse(b"http://:8080/up?x=1").unwrap();
        let headers = headers.iter().map(|(n, v)| Header::new(n.as_bytes(), v.as_bytes()).unwrap()).collect();
        let bytes = Request { url: url.clone(), headers }.bytes(&url, "10.1.2.3");
        String::from_utf8(bytes).unwrap().replace("\r\n", "|")
    }

    #[test]
    fn sends_what_the_kubelet_sends() {
        assert_eq!(
            sent(&[]),
            format!(
                "GET /up?x=1 HTTP/1.1|Connection: close|Host: 10.1.2.3:8080|User-Agent: {USER_AGENT}|Accept: \
                 */*||"
            )
        );
    }

    #[test]
    fn the_specs_headers_win() {
        assert_eq!(
            sent(&[("host", "a.b"), ("user-agent", "x"), ("accept", "y"), ("X-A", " 1 "), ("X-A", "2")]),
            "GET /up?x=1 HTTP/1.1|Connection: close|Host: a.b|User-Agent: x|Accept: y|X-A: 1|X-A: 2||"
        );
        assert_eq!(
            sent(&[("Host", ""), ("User-Agent", ""), ("Accept", "")]),
            "GET /up?x=1 HTTP/1.1|Connection: close|Host: 10.1.2.3:8080||"
        );
    }

    #[test]
    fn refuses_headers_that_would_break_their_line() {
        assert!(Header::new(b"A", b"x\ny").is_none());
        assert!(Header::new(b"A B", b"x").is_none());
        assert!(Header::new(b"", b"x").is_none());
    }

    #[test]
    fn reads_a_head() {
        let parsed = |head: &[u8]| parse_head(head).map(|response| (response.status, response.location));
        assert_eq!(parsed(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, None)));
        assert_eq!(
            parsed(b"HTTP/1.0 301\r\nX: y\r\nlocation:  /z \r\n\r\n"),
            Some((301, Some(b"/z".to_vec())))
        );
        assert_eq!(parsed(b"HTTP/2 200\r\n\r\n"), None);
        assert_eq!(parsed(b"SSH-2.0-x\n\n"), None);
    }
}
