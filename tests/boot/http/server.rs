//! A server with arbitrary responses, including invalid ones that an HTTP library would not send.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivatePkcs8KeyDer;
use time::OffsetDateTime;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: String,
    /// The header lines, with lower-case names.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// A response.
pub(crate) enum Reply {
    /// Status, header lines, body. The length is added.
    Whole(u16, Vec<String>, Vec<u8>),
    /// A body that ends with the connection.
    Unannounced(Vec<u8>),
    /// No response.
    Never,
    /// A body of spaces, sent one at a time until the client disconnects.
    Drip(Duration),
    /// The same, with header lines.
    DripAfter(Vec<String>, Duration),
    /// A body that is shorter than its length.
    Cut(Vec<u8>),
    /// The same, with header lines.
    CutAfter(Vec<String>, Vec<u8>),
}

pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Reply {
    Reply::Whole(200, Vec::new(), body.into())
}

pub(crate) fn status(status: u16, headers: &[&str], body: &str) -> Reply {
    Reply::Whole(status, headers.iter().map(ToString::to_string).collect(), body.into())
}

/// A running server, which stops when it is dropped.
pub(crate) struct Server {
    scheme: &'static str,
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<Stop>,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    stopping: Condvar,
    accepts: AtomicBool,
}

impl Stop {
    /// Waits at most `most`, or until the server stops. Returns whether it still runs.
    fn wait(&self, most: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap();
        !*self.stopping.wait_timeout_while(stopped, most, |stopped| !*stopped).unwrap().0
    }
}

struct Authority {
    pem: String,
    valid: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Not the name of its certificates: OpenSSL treats a certificate with the issuer's name as self-signed.
    params.distinguished_name.push(DnType::CommonName, "authority");
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let day = time::Duration::DAY;
    Authority {
        pem,
        valid: config(&issuer, OffsetDateTime::now_utc() + day),
        expired: config(&issuer, OffsetDateTime::now_utc() - day),
    }
});

fn config(issuer: &Issuer<'_, KeyPair>, until: OffsetDateTime) -> Arc<ServerConfig> {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = until - 30 * time::Duration::DAY;
    params.not_after = until;
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(
        builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key.into()).unwrap(),
    )
}

/// The CA of the servers' certificates in PEM.
pub(crate) fn ca() -> &'static str {
    &AUTHORITY.pem
}

impl Server {
    /// Starts a server with TLS. `answer` gets the request and the number of earlier ones.
    pub(crate) fn tls(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(Some(Arc::clone(&AUTHORITY.valid)), answer)
    }

    /// Starts a server with TLS and a certificate that expired yesterday.
    pub(crate) fn expired() -> Self {
        Self::start(Some(Arc::clone(&AUTHORITY.expired)), |_, _| ok(""))
    }

    /// Starts a server without TLS.
    pub(crate) fn plain(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, answer)
    }

    fn start(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, stop) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<Stop>::default());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Self { scheme, address, asked: Arc::clone(&asked), stop: Arc::clone(&stop) };
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for connection in listener.incoming() {
                if stop.accepts.load(Ordering::SeqCst) {
                    return;
                }
                let connection = connection.unwrap();
                let (tls, answer, asked, stop) =
                    (tls.clone(), Arc::clone(&answer), Arc::clone(&asked), Arc::clone(&stop));
                // Many of these tests have clients that disconnect early.
                thread::spawn(move || match tls {
                    Some(tls) => {
                        let tls = ServerConnection::new(tls).unwrap();
                        serve(StreamOwned::new(tls, connection), &*answer, &asked, &stop)
                    }
                    None => serve(connection, &*answer, &asked, &stop),
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.accepts.store(true, Ordering::SeqCst);
        *self.stop.stopped.lock().unwrap() = true;
        self.stop.stopping.notify_all();
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    mut stream: impl Read + Write,
    answer: &dyn Fn(&Asked, usize) -> Reply,
    asked: &Mutex<Vec<Asked>>,
    stop: &Stop,
) -> io::Result<()> {
    let request = read(&mut stream)?;
    let before = {
        let mut asked = asked.lock().unwrap();
        asked.push(request.clone());
        asked.len() - 1
    };
    match answer(&request, before) {
        Reply::Whole(status, headers, body) => {
            let headers = headers.into_iter().chain([String::new()]).collect::<Vec<_>>().join("\r\n");
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
            )?;
            stream.write_all(&body)?;
            stream.flush()
        }
        Reply::Unannounced(body) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            stream.write_all(&body)?;
            stream.flush()
        }
        Reply::Never => {
            while stop.wait(Duration::from_mins(1)) {}
            Ok(())
        }
        Reply::Drip(pace) => drip(stream, Vec::new(), pace, stop),
        Reply::DripAfter(headers, pace) => drip(stream, headers, pace, stop),
        Reply::Cut(body) => cut(stream, Vec::new(), &body),
        Reply::CutAfter(headers, body) => cut(stream, headers, &body),
    }
}

fn drip(mut stream: impl Write, headers: Vec<String>, pace: Duration, stop: &Stop) -> io::Result<()> {
    let headers = headers.into_iter().chain([String::new()]).collect::<Vec<_>>().join("\r\n");
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n{headers}\r\n")?;
    while stop.wait(pace) {
        stream.write_all(b" ")?;
        stream.flush()?;
    }
    Ok(())
}

fn cut(mut stream: impl Write, headers: Vec<String>, body: &[u8]) -> io::Result<()> {
    let headers = headers.into_iter().chain([String::new()]).collect::<Vec<_>>().join("\r\n");
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n", body.len() + 1)?;
    stream.write_all(body)?;
    stream.flush()
}

fn read(stream: &mut impl Read) -> io::Result<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().lines();
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<String> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            format!("{}: {value}", name.to_lowercase())
        })
        .collect();
    let length = headers.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    Ok(Asked { line, headers, body })
}
