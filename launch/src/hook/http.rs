//! `httpGet` as the kubelet implements it for a lifecycle hook (kubernetes/kubernetes 1.37,
//! `pkg/kubelet/lifecycle/handlers.go` and `pkg/probe/http/request.go`):
//!
//! - Any response is a success, whatever its status. Only probes check the status.
//! - Up to ten redirects to the same host are followed. A redirect to another host is not followed, and is a
//!   success.
//! - Without a host, the request goes to the address of the pod ([`super::hosts`]).
//! - If a server responds to an HTTPS request in plain HTTP, the request is sent again in plain HTTP, without
//!   the header `Authorization`.
//!
//! Each request is HTTP/1.1 with `Connection: close`, for which the sockets of std and the [`Tls`] of the
//! launcher suffice.
//!
//! The head of a response is parsed by hand: httparse would save five lines and add 4 KB, and it needs a
//! limit on the number of headers, which the kubelet does not have.

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

/// The maximum size of the head of a response, in bytes. Go accepts 10 MiB, but no server sends that much.
const HEAD_LIMIT: usize = 64 * 1024;

/// How much of the body of a response is read, in bytes, so that the server can finish writing it. As in the
/// kubelet.
const BODY_LIMIT: usize = 10 * 1024;

/// The timeout for reading the body. The handler has already succeeded by then.
const BODY_TIME: Duration = Duration::from_secs(1);

/// Similar to the user agent of the kubelet, for servers that recognize its requests.
const USER_AGENT: &str = concat!("kube-lifecycle (bootlace-launch/", env!("CARGO_PKG_VERSION"), ")");

/// A GET request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) headers: Vec<Header>,
}

/// A header in the spec of the pod. Its value can be a secret.
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
    /// Returns `None` if the name is not a token (RFC 9110, 5.6.2) or the value contains the end of a line.
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
    /// Sends the request and follows redirects.
    pub(crate) fn send(&self, tls: Tls, deadline: Deadline) -> Result<(), HttpGetError> {
        match self.follow(tls, deadline) {
            Err(HttpGetError { url, cause: Cause::NoTls }) => self
                .without_tls()
                .follow(tls, deadline)
                .map_err(|_| HttpGetError { url, cause: Cause::NoTls }),
            followed => followed,
        }
    }

    /// The request for a server without TLS, without the header that must not be sent in plain text.
    fn without_tls(&self) -> Self {
        let is_public = |header: &&Header| !header.name.eq_ignore_ascii_case("Authorization");
        Self {
            url: Url { https: false, ..self.url.clone() },
            headers: self.headers.iter().filter(is_public).cloned().collect(),
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

    /// Sends one request. Returns the response and the host that sent it.
    fn exchange(&self, url: &Url, tls: Tls, deadline: Deadline) -> Result<(Response, String), Cause> {
        let (tcp, host) = connect(url, deadline)?;
        let ends = Rc::new(Cell::new(deadline));
        let connection = Connection::new(tcp, Rc::clone(&ends));
        let mut stream: Box<dyn Stream> = if url.https {
            tls(connection, &host).map_err(|error| match error {
                TlsError::NotSupported => Cause::NoTls,
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
        // As in Go: an empty Host is ignored, an empty User-Agent or Accept is not sent.
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

/// Connects to the first address that accepts a connection. Returns its host as well.
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
            // 1xx comes before the actual response, except 101, which the request does not ask for.
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

/// The location in a valid response, if it has one.
#[cfg(fuzzing)]
pub(crate) fn location(stream: &mut dyn Stream, deadline: Deadline) -> Option<Vec<u8>> {
    read_response(stream, deadline).ok()?.location
}

fn read_some(stream: &mut dyn Stream, into: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 4096];
    let count = match stream.read(&mut chunk) {
        // The error of TLS for a server that closes the connection without notice.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
        read => read?,
    };
    into.extend_from_slice(chunk.get(..count).unwrap_or_default());
    Ok(count)
}

/// Reads the body until it ends or times out.
fn discard_body(stream: &mut dyn Stream) {
    let mut body = Vec::new();
    while body.len() < BODY_LIMIT && read_some(stream, &mut body).is_ok_and(|count| count > 0) {}
}

/// The position after the empty line at the end of the head.
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

/// Distinguishes the deadline, for which std has two kinds of errors, from other errors.
fn timed(error: io::Error, deadline: Deadline) -> Cause {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if deadline.left().is_none() => {
            Cause::Deadline(deadline.limit())
        }
        _ => Cause::Io(error),
    }
}

/// There was no valid response.
#[derive(Debug)]
pub(crate) struct HttpGetError {
    /// The URL without its query.
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
                "host not found in /etc/hosts: use an IP address, or omit the host to send the request to the pod itself",
            ),
            Cause::NoTls => f.write_str("the server does not support TLS"),
            Cause::Io(error) => error.fmt(f),
            Cause::Deadline(limit) => write!(
                f,
                "no response within the hook timeout of {} s: increase hook.timeoutSeconds of the BootProfile",
                limit.as_secs()
            ),
            Cause::Closed => f.write_str("the connection was closed before the response was complete"),
            Cause::NotHttp => f.write_str("the response is not HTTP/1"),
            Cause::Location(error) => write!(f, "the server redirects to an invalid URL: {error}"),
            Cause::TooManyRedirects => write!(f, "the server redirects more than {REDIRECTS} times"),
        }
    }
}

impl Error for HttpGetError {}

#[cfg(test)]
impl HttpGetError {
    /// An error of each kind.
    pub(crate) fn examples() -> Vec<Self> {
        let causes = [
            Cause::NoAddress,
            Cause::NoTls,
            Cause::Io(io::Error::from_raw_os_error(111)),
            Cause::Deadline(Duration::from_secs(30)),
            Cause::Closed,
            Cause::NotHttp,
            Cause::TooManyRedirects,
        ];
        let locations =
            ["up", "ftp://a/", "http://a:99999/", "http://[::1/", "http://u:p@a/"].map(str::as_bytes);
        let locations = locations.into_iter().chain([&b"http://\xff/"[..]]);
        let locations = locations.filter_map(|url| Url::parse(url).err()).map(Cause::Location);
        let error = |cause| Self { url: "http://127.0.0.1:8080/up".to_owned(), cause };
        causes.into_iter().chain(locations).map(error).collect()
    }
}

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
    fn headers_of_the_spec_override_the_default() {
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
    fn rejects_headers_that_contain_the_end_of_a_line() {
        assert!(Header::new(b"A", b"x\ny").is_none());
        assert!(Header::new(b"A B", b"x").is_none());
        assert!(Header::new(b"", b"x").is_none());
    }

    #[test]
    fn parses_a_head() {
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
