//! What the fuzz targets of `fuzz/` reach of the launcher that is private: what a pod's spec and the servers that it
//! names say to the hook.

use std::io::{self, Cursor, Read, Write};
use std::time::Duration;

use crate::deadline::Deadline;
use crate::hook::{http, url::Url};

/// A server that sends `bytes`, a few at a time, and takes anything.
struct Server<'a>(Cursor<&'a [u8]>, usize);

impl Read for Server<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.1.max(1));
        self.0.read(into.get_mut(..most).unwrap_or_default())
    }
}

impl Write for Server<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a server's response, which comes `chunk` bytes at a time, and follows where it leads from `url`.
pub fn http(url: &[u8], response: &[u8], chunk: usize) {
    let mut server = Server(Cursor::new(response), chunk);
    let location = http::location(&mut server, Deadline::after(Duration::from_secs(10)));
    let Ok(url) = Url::parse(url) else { return };
    url.shown();
    if let Some(Ok(target)) = location.map(|location| url.join(&location)) {
        target.shown();
    }
}
