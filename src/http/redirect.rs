//! The rules for redirects, and for other addresses that a server names: not to another scheme, and not to
//! addresses of the node.

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode, Url};

use super::address_class::NetworkZone;
use super::display::display_url;
use super::error::{AuthChallenge, HttpError};

/// The target of a redirect in the response to `url`, if it is one.
pub(super) fn target(url: &Url, response: &Response, from: NetworkZone) -> Result<Option<Url>, HttpError> {
    let followed = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let Some(location) = response.headers().get(LOCATION).filter(|_| followed) else {
        return Ok(None);
    };
    resolve(url, location.to_str().unwrap_or_default(), from).map(Some)
}

impl AuthChallenge {
    /// Resolves an address that the challenge names.
    ///
    /// # Errors
    /// If the address has another scheme or belongs to the node.
    pub(crate) fn resolve(&self, address: &str) -> Result<Url, HttpError> {
        resolve(&self.url, address, self.zone)
    }
}

/// Resolves an address that the response to `url` names.
fn resolve(url: &Url, address: &str, from: NetworkZone) -> Result<Url, HttpError> {
    let Some(target) = url.join(address).ok().filter(|_| !address.is_empty()) else {
        return Err(refused_as(url, "an invalid address", "set the final address in the profile"));
    };
    check(url, &target, from)?;
    Ok(target)
}

fn check(url: &Url, target: &Url, from: NetworkZone) -> Result<(), HttpError> {
    let origin = target.origin().ascii_serialization();
    if target.scheme() != url.scheme() {
        let reason = "it has another scheme; set the final address in the profile";
        return Err(refused_as(
            url,
            &format!("{}://{}", target.scheme(), target.host_str().unwrap_or_default()),
            reason,
        ));
    }
    let literal = target.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
    match literal {
        Some(address) if !from.may_lead_to(NetworkZone::new(address)) => {
            let reason = "it is an address of the node; set the final address in the profile";
            Err(refused_as(url, &origin, reason))
        }
        _ => Ok(()),
    }
}

/// The error for more redirects than the profile allows.
pub(super) fn too_many(url: &Url, target: &Url, limit: u32) -> HttpError {
    let reason = format!(
        "there were {limit} redirects already; set the final address in the profile, or raise client.redirects"
    );
    refused(url, target, &reason)
}

/// The error for a redirect from `url` to `target`.
pub(super) fn refused(url: &Url, target: &Url, reason: &str) -> HttpError {
    refused_as(url, &target.origin().ascii_serialization(), reason)
}

/// The same, with the target as it is shown.
fn refused_as(url: &Url, target: &str, reason: &str) -> HttpError {
    HttpError::Redirect { address: display_url(url), target: target.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_redirect_leads_to_another_scheme_or_to_the_node() {
        let check = |from, url: &str, target: &str| {
            check(&url.parse().unwrap(), &target.parse().unwrap(), from).map_err(|error| error.to_string())
        };
        let url = "https://assets.example.com/a?token=hunter2";
        for target in ["https://10.0.0.7/b", "https://cdn.example.com/", "https://[2001:db8::1]/"] {
            assert_eq!(check(NetworkZone::Network, url, target), Ok(()));
        }
        for (target, shown) in [
            ("http://assets.example.com/a?hunter2", "http://assets.example.com "),
            ("file:///etc/passwd", "file:// "),
            ("https://169.254.169.254/?hunter2", "https://169.254.169.254 "),
            ("https://2852039166/", "https://169.254.169.254 "),
            ("https://127.1:8443/", "https://127.0.0.1:8443 "),
            ("https://[::1]/", "https://[::1] "),
            ("https://[::ffff:a9fe:a9fe]/", "https://[::ffff:a9fe:a9fe] "),
        ] {
            let error = check(NetworkZone::Network, url, target).unwrap_err();
            assert!(error.starts_with("https://assets.example.com/a: ") && error.contains(shown), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert_eq!(check(NetworkZone::Loopback, "https://127.0.0.1:1/", "https://127.0.0.1:2/"), Ok(()));
    }
}
