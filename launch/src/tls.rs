//! The interface for TLS. This package has no implementation, which would multiply its size in the memory of
//! every task.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use crate::deadline::Deadline;

/// Starts TLS on a connection to the host of this name or address.
pub type Tls = fn(Connection, &str) -> Result<Box<dyn Stream>, TlsError>;

/// A stream for a request and its response.
pub trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// TLS cannot be started.
#[derive(Debug)]
pub enum TlsError {
    /// The response of the server is not TLS.
    NotSupported,
    /// The handshake failed.
    Failed(io::Error),
}

/// A connection with a deadline for all operations.
#[derive(Debug)]
pub struct Connection {
    tcp: TcpStream,
    deadline: Rc<Cell<Deadline>>,
}

impl Connection {
    pub(crate) fn new(tcp: TcpStream, deadline: Rc<Cell<Deadline>>) -> Self {
        Self { tcp, deadline }
    }

    fn left(&self) -> io::Result<Duration> {
        self.deadline.get().left().ok_or_else(|| ErrorKind::TimedOut.into())
    }
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(Some(self.left()?))?;
        self.tcp.read(into)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(Some(self.left()?))?;
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}
