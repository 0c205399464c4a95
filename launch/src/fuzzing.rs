//! Access for the fuzz targets in `fuzz/` to private code: the parsers for URLs in the spec of a pod, and for
//! responses of servers.

use std::io::{self, Cursor, Read, Write};
use std::time::Duration;

use crate::deadline::Deadline;
use crate::hook::{http, url::Url};

/// A server that sends bytes, a few at a time, and accepts any request.
struct Server<'a>(Cursor<&'a [u8]>, usize);

impl Read for Server<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let max = into.len().min(self.1.max(1));
        self.0.read(into.get_mut(..max).unwrap_or_default())
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

/// Parses a response, which arrives in parts of `chunk` bytes, and resolves its location relative to `url`.
pub fn http(url: &[u8], response: &[u8], chunk: usize) {
    let mut server = Server(Cursor::new(response), chunk);
    let location = http::location(&mut server, Deadline::after(Duration::from_secs(10)));
    let Ok(url) = Url::parse(url) else { return };
    url.shown();
    if let Some(Ok(target)) = location.map(|location| url.join(&location)) {
        target.shown();
    }
}
