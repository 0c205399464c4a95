//! Addresses in logs and errors.

use reqwest::Url;

/// A URL for logs and errors: without user and query, which can contain credentials. The path is decoded,
/// because the library of object stores encodes even the slashes of keys.
pub(crate) fn display_url(url: &Url) -> String {
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy();
    format!("{}{}", url.origin().ascii_serialization(), path.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_readable_and_contains_no_credentials() {
        for (url, shown) in [
            ("https://user:hunter2@a.example:8443/b?token=hunter2#hunter2", "https://a.example:8443/b"),
            ("https://a.example", "https://a.example/"),
            ("https://a.example/b%2Fc%20d/%C3%A4", "https://a.example/b/c d/ä"),
            ("https://a.example/b%0Abootlace:%20c%1b", "https://a.example/b\\nbootlace: c\\u{1b}"),
            ("https://a.example/%ff", "https://a.example/\u{fffd}"),
        ] {
            assert_eq!(display_url(&url.parse().unwrap()), shown);
        }
    }
}
