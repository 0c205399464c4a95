//! URL of a request of a profile.

use url::Url;

/// The fixed part of an address: scheme, host and the start of the path, without user and query.
pub(super) const BASE_PATTERN: &str = "^https?://[^/?#@\\s]+(/[^?#\\s]*)?$";
/// The rest of the path, which can contain expressions of templates.
pub(super) const PATH_PATTERN: &str = "^([^?#\\s]|[{][{%#][^}]*[}])*$";

/// A URL is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not a valid URL: {reason}")]
pub struct InvalidAddress {
    /// The URL.
    pub url: String,
    /// The problem.
    pub reason: String,
}

/// Joins the URL from its parts. `path` can come from a template, and can only extend the path of `base`.
///
/// # Errors
/// If the URL is invalid, or if `path` leaves `base`.
pub fn join<'q>(
    base: &str,
    path: &str,
    query: impl IntoIterator<Item = (&'q String, &'q String)>,
) -> Result<Url, InvalidAddress> {
    let joined = match path {
        "" => base.to_owned(),
        path => format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/')),
    };
    let invalid = |reason: String| InvalidAddress { url: joined.clone(), reason };
    let start = Url::parse(base).map_err(|error| invalid(error.to_string()))?;
    if !["http", "https"].contains(&start.scheme())
        || !start.username().is_empty()
        || start.password().is_some()
    {
        return Err(invalid(
            "must have the scheme http or https and a host, and credentials in client.headersFromSecret only"
                .to_owned(),
        ));
    }
    let mut url = start.clone();
    if !path.is_empty() {
        // Compared after parsing: the parser interprets `%2e%2e` and backslashes like browsers do.
        url = Url::parse(&joined).map_err(|error| invalid(error.to_string()))?;
        let base_path = start.path().trim_end_matches('/');
        let below = url.path().strip_prefix(base_path).is_some_and(|rest| rest.starts_with('/'));
        let has_dot_segments = url.path_segments().into_iter().flatten().count() != joined_segments(&joined);
        if url.origin() != start.origin()
            || !below
            || has_dot_segments
            || url.query().is_some()
            || url.fragment().is_some()
        {
            let reason = "the path must not contain \".\" or \"..\" as segments, and must not contain \"?\" or \"#\" unless \
                       percent-encoded";
            return Err(invalid(reason.to_owned()));
        }
    }
    let mut query = query.into_iter().peekable();
    if query.peek().is_some() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// Number of segments in the path of a URL, as written.
fn joined_segments(address: &str) -> usize {
    let without_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
    without_scheme.matches('/').count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_path_is_appended_to_the_address_of_the_profile() {
        let to = |base: &str, path: &str| join(base, path, &BTreeMap::new()).map(String::from);
        for (base, path, base_path) in [
            ("https://a.example", "", "https://a.example/"),
            ("https://a.example/v1", "", "https://a.example/v1"),
            ("https://a.example/v1", "b/c.tar.gz", "https://a.example/v1/b/c.tar.gz"),
            ("https://a.example/v1/", "/b", "https://a.example/v1/b"),
            ("https://a.example:8443", "a%2Fb%20c", "https://a.example:8443/a%2Fb%20c"),
            ("http://[::1]:80", "a@b:c", "http://[::1]/a@b:c"),
        ] {
            assert_eq!(to(base, path).unwrap(), base_path);
        }
    }

    #[test]
    fn a_path_leads_nowhere_else() {
        let to = |base: &str, path: &str| join(base, path, &BTreeMap::new()).map(String::from);
        for path in ["..", "../b", "a/../../b", "a/..", "./a", "%2e%2e/b", "a\\..\\..\\b", "a?x=1", "a#b"] {
            let error = to("https://a.example/v1", path).unwrap_err().to_string();
            assert!(error.contains("the path must not"), "{path}: {error}");
        }
        // In front of a path, these would be another host; here they are part of a segment.
        assert_eq!(to("https://a.example", "@evil.example").unwrap(), "https://a.example/@evil.example");
        assert_eq!(to("https://a.example", ".evil.example").unwrap(), "https://a.example/.evil.example");
        for base in ["a.example", "ftp://a.example", "https://user:hunter2@a.example", "https://"] {
            to(base, "").unwrap_err();
        }
    }

    #[test]
    fn query_values_are_encoded() {
        let query =
            BTreeMap::from([("ref".to_owned(), "a&b=c#d/é +".to_owned()), ("x".to_owned(), String::new())]);
        let url = join("https://a.example/v1", "b", &query).unwrap();
        assert_eq!(url.as_str(), "https://a.example/v1/b?ref=a%26b%3Dc%23d%2F%C3%A9+%2B&x=");
    }
}
