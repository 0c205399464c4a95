//! The place where a launcher that has TLS puts it around a connection. This package has none: it would be several times
//! its size, in the memory of every task.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use crate::deadline::Deadline;

/// Speaks TLS over a connection to the host of this name or address.
pub type Tls = fn(Connection, &str) -> Result<Box<dyn Stream>, TlsError>;

/// What a request and its response go over.
pub trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// Why there is no TLS.
#[derive(Debug)]
pub enum TlsError {
    /// What the server says is no TLS.
    NotSpoken,
    /// The handshake failed.
    Failed(io::Error),
}

/// A connection, with a deadline that no step passes.
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
