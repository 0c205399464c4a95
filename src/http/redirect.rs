//! The rules for redirects: not to another scheme, and not to addresses of the node.

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode, Url};

use super::address_class::NetworkZone;
use super::client::display_url;
use super::error::HttpError;

/// The target of a redirect in the response to `url`, if it is one.
pub(super) fn target(asked: &Url, answer: &Response, from: NetworkZone) -> Result<Option<Url>, HttpError> {
    let followed = matches!(
        answer.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let Some(location) = answer.headers().get(LOCATION).filter(|_| followed) else {
        return Ok(None);
    };
    lead(asked, location.to_str().unwrap_or_default(), from).map(Some)
}

/// Resolves an address that the response to `url` names.
pub(super) fn lead(asked: &Url, address: &str, from: NetworkZone) -> Result<Url, HttpError> {
    let Some(target) = asked.join(address).ok().filter(|_| !address.is_empty()) else {
        return Err(refused(asked, "an invalid address", "set the final address in the profile"));
    };
    check(asked, &target, from)?;
    Ok(target)
}

fn check(asked: &Url, target: &Url, from: NetworkZone) -> Result<(), HttpError> {
    let origin = target.origin().ascii_serialization();
    if target.scheme() != asked.scheme() {
        let why = "it has another scheme; set the final address in the profile";
        return Err(refused(
            asked,
            &format!("{}://{}", target.scheme(), target.host_str().unwrap_or_default()),
            why,
        ));
    }
    let literal = target.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
    match literal {
        Some(address) if !from.may_lead_to(NetworkZone::of(address)) => {
            let why = "it is an address of the node; set the final address in the profile";
            Err(refused(asked, &origin, why))
        }
        _ => Ok(()),
    }
}

/// The error for more redirects than the profile allows.
pub(super) fn too_many(asked: &Url, target: &Url, limit: u32) -> HttpError {
    let why = format!(
        "there were {limit} redirects already; set the final address in the profile, or raise client.redirects"
    );
    refused(asked, &target.origin().ascii_serialization(), &why)
}

fn refused(asked: &Url, target: &str, why: &str) -> HttpError {
    HttpError::Redirect { place: display_url(asked), target: target.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_redirect_leads_to_another_scheme_or_to_the_node() {
        let check = |from, asked: &str, target: &str| {
            check(&asked.parse().unwrap(), &target.parse().unwrap(), from).map_err(|error| error.to_string())
        };
        let asked = "https://assets.example.com/a?token=hunter2";
        for target in ["https://10.0.0.7/b", "https://cdn.example.com/", "https://[2001:db8::1]/"] {
            assert_eq!(check(NetworkZone::Network, asked, target), Ok(()));
        }
        for (target, why) in [
            (
                "http://assets.example.com/a?hunter2",
                "redirect to http://assets.example.com refused: it has another scheme",
            ),
            ("file:///etc/passwd", "redirect to file:// refused: it has another scheme"),
            (
                "https://169.254.169.254/?hunter2",
                "redirect to https://169.254.169.254 refused: it is an address of the node",
            ),
            ("https://2852039166/", "redirect to https://169.254.169.254 refused: it is an address"),
            ("https://127.1:8443/", "redirect to https://127.0.0.1:8443 refused: it is an address"),
            ("https://[::1]/", "redirect to https://[::1] refused: it is an address"),
            ("https://[::ffff:a9fe:a9fe]/", "it is an address of the node"),
        ] {
            let error = check(NetworkZone::Network, asked, target).unwrap_err();
            assert!(error.starts_with("https://assets.example.com/a: ") && error.contains(why), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert_eq!(check(NetworkZone::Loopback, "https://127.0.0.1:1/", "https://127.0.0.1:2/"), Ok(()));
    }
}
