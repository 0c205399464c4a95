//! The URLs that an `httpGet` handler can have.
//!
//! Parsed by hand, because the url crate with its tables for international names is larger than this whole
//! binary.

use std::error::Error;
use std::fmt::{self, Write};

/// `http://HOST:PORT/PATH?QUERY`, or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) https: bool,
    /// A name or an address without brackets. Empty for the pod itself.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query as they are sent: starts with `/`, and contains only printable ASCII.
    pub(crate) target: String,
}

/// The URL is invalid. The message never contains the URL, whose query can contain a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UrlError(&'static str);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for UrlError {}

impl Url {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, UrlError> {
        let (scheme, rest) = split_at_str(text, b"://").ok_or(UrlError("the URL is not absolute"))?;
        let https = match scheme.to_ascii_lowercase().as_slice() {
            b"http" => false,
            b"https" => true,
            _ => return Err(UrlError("the scheme must be http or https")),
        };
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, b""));
        let (host, port) = host_and_port(authority)?;
        let port = port.unwrap_or(if https { 443 } else { 80 });
        Ok(Self { https, host, port, target: encode_target(target) })
    }

    /// Resolves the `Location` header of a response to this URL.
    pub(crate) fn join(&self, location: &[u8]) -> Result<Self, UrlError> {
        if has_scheme(location) {
            return Self::parse(location);
        }
        if location.starts_with(b"//") {
            return Self::parse(&[self.scheme().as_bytes(), b":", location].concat());
        }
        let path_end = self.target.find('?').unwrap_or(self.target.len());
        let path = self.target.get(..path_end).unwrap_or_default();
        let folder = path.rfind('/').and_then(|slash| path.get(..=slash)).unwrap_or("/");
        let base = match location.first() {
            Some(b'/') => "",
            Some(b'?') => path,
            _ => folder,
        };
        Ok(Self { target: encode_target(&[base.as_bytes(), location].concat()), ..self.clone() })
    }

    /// The URL without its query, for messages.
    pub(crate) fn shown(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.scheme(), self.authority(&self.host))
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// `HOST:PORT` for the given host, with an IPv6 address in brackets.
    pub(crate) fn authority(&self, host: &str) -> String {
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }
}

fn has_scheme(location: &[u8]) -> bool {
    let end = location.iter().position(|byte| b":/?#".contains(byte));
    end.is_some_and(|end| end > 0 && location.get(end) == Some(&b':'))
}

fn host_and_port(authority: &[u8]) -> Result<(String, Option<u16>), UrlError> {
    let authority = str::from_utf8(authority).map_err(|_| UrlError("the host is not UTF-8"))?;
    if !authority.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@') {
        return Err(UrlError("the host contains an invalid character"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(UrlError("the host has no closing bracket"))?,
        None => {
            authority.split_at_checked(authority.find(':').unwrap_or(authority.len())).unwrap_or_default()
        }
    };
    let port = match port.strip_prefix(':') {
        Some("") | None => None,
        Some(port) => Some(port.parse().map_err(|_| UrlError("the port must be a number from 0 to 65535"))?),
    };
    Ok((host.to_owned(), port))
}

/// Path and query without the fragment, with `%XX` for each byte that is not allowed in a request line, like
/// the URL type of Go in the kubelet.
fn encode_target(target: &[u8]) -> String {
    let end = target.iter().position(|&byte| byte == b'#').unwrap_or(target.len());
    let target = target.get(..end).unwrap_or(target);
    let mut encoded = String::new();
    if target.first() != Some(&b'/') {
        encoded.push('/');
    }
    for &byte in target {
        if byte.is_ascii_graphic() {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn split_at_str<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len()).position(|window| window == separator)?;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, u16, String) {
        let url = Url::parse(text.as_bytes()).unwrap();
        (url.host, url.port, url.target)
    }

    #[test]
    fn parses_urls_of_httpget() {
        for (text, host, port, target) in [
            ("http://:8080/up", "", 8080, "/up"),
            ("http://localhost:8080", "localhost", 8080, "/"),
            ("HTTP://example.com/a?b=c#d", "example.com", 80, "/a?b=c"),
            ("http://[fd00::1]:81/", "fd00::1", 81, "/"),
            ("http://10.0.0.1:80?q", "10.0.0.1", 80, "/?q"),
            ("http://a/two words/ü", "a", 80, "/two%20words/%C3%BC"),
            ("http://a/x\r\nHost: b", "a", 80, "/x%0D%0AHost:%20b"),
        ] {
            assert_eq!(parsed(text), (host.to_owned(), port, target.to_owned()), "{text}");
        }
    }

    #[test]
    fn rejects_urls_that_cannot_be_requested() {
        for text in ["", "/up", "ftp://a/", "http://a:99999/", "http://[::1/", "http://u:p@a/", "http://a b/"]
        {
            assert!(Url::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn follows_a_location() {
        let url = Url::parse(b"http://a:81/dir/page?x=1").unwrap();
        for (location, target) in [
            ("/other", "http://a:81/other"),
            ("next", "http://a:81/dir/next"),
            ("?y", "http://a:81/dir/page"),
            ("http://b/", "http://b:80/"),
            ("//b:82/z", "http://b:82/z"),
            ("https://a/", "https://a:443/"),
            ("a/b:c", "http://a:81/dir/a/b:c"),
        ] {
            assert_eq!(url.join(location.as_bytes()).unwrap().shown(), target, "{location}");
        }
        assert!(url.join(b"ftp://a/").is_err());
        let url = Url::parse(b"https://a/up").unwrap();
        assert_eq!(url.join(b"//b/z").unwrap().shown(), "https://b:443/z");
        assert_eq!(url.join(b"http://a/z").unwrap().shown(), "http://a:80/z");
    }

    #[test]
    fn shows_no_query() {
        assert_eq!(Url::parse(b"http://[::1]:81/a?token=x").unwrap().shown(), "http://[::1]:81/a");
    }
}
