//! Error responses of Vault, and what to do about them.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::http::{self, HttpError};

/// Why a redirect is not followed. A standby node redirects to the active one if it cannot forward requests.
pub(super) const REDIRECT: &str = "boot sends its token only to the address in the profile; set vault.address to the active node, for \
                                   example to its Service, or let standby nodes forward requests";

const SEALED: &str = "unseal Vault, or check that it has an active node";

/// The message of an error response, in one line. The fields do not contain values of secrets.
pub(super) fn message(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Response {
        errors: Option<Vec<String>>,
        warnings: Option<Vec<String>>,
        data: Option<Data>,
    }
    #[derive(Deserialize)]
    struct Data {
        metadata: Option<Metadata>,
    }
    /// Of a version in the key-value engine of version 2.
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(default)]
        version: u64,
        #[serde(default)]
        deletion_time: String,
        #[serde(default)]
        destroyed: bool,
    }
    let Response { errors, warnings, data } = serde_json::from_slice(body).ok()?;
    let mut texts: Vec<String> = errors.into_iter().chain(warnings).flatten().collect();
    if let Some(Metadata { version, deletion_time, destroyed }) = data.and_then(|data| data.metadata) {
        if destroyed {
            texts.push(format!("version {version} is destroyed"));
        } else if !deletion_time.is_empty() {
            texts.push(format!("version {version} is deleted since {deletion_time}"));
        }
    }
    let words: Vec<&str> = texts.iter().flat_map(|text| text.split_whitespace()).collect();
    // "1 error occurred: * permission denied": the list of one adds nothing.
    let text = words.join(" ");
    let text = text.strip_prefix("1 error occurred: * ").unwrap_or(&text);
    (!text.is_empty()).then(|| text.to_owned())
}

/// A login that Vault has refused, in contrast to one that it could not process.
pub(super) fn refused_login(error: HttpError) -> HttpError {
    let refused = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    match &error {
        HttpError::Status { status, .. } if refused.contains(status) => {
            HttpError::Identity { error: Box::new(error), remedy: String::new() }
        }
        _ => error,
    }
}

pub(super) fn login_remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => {
            "correct vault.auth.role, or create the role for the service account of the pod"
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            // Vault also refuses a path at which no auth method is enabled.
            "let the role accept the service account and the namespace of the pod and the audience of vault.auth.token, or \
             correct vault.auth.mount and vault.namespace; with method Kubernetes, Vault also needs the right to create \
             TokenReviews"
        }
        StatusCode::NOT_FOUND => {
            "correct vault.auth.mount and vault.namespace, or enable the auth method there"
        }
        StatusCode::SERVICE_UNAVAILABLE => SEALED,
        status => http::remedy(status),
    }
}

pub(super) fn read_remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "let a policy of the role allow the path (capability read, or update for a secret with data), or correct mount, \
             path and vault.namespace"
        }
        StatusCode::NOT_FOUND => "correct mount, path and engine of the secret, or create it there",
        StatusCode::METHOD_NOT_ALLOWED => {
            "set data of the secret if the path must be written, or remove it if the path must be read"
        }
        StatusCode::SERVICE_UNAVAILABLE => SEALED,
        status => http::remedy(status),
    }
}

pub(super) fn revoke_remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "let a policy of the role allow update of auth/token/revoke-self, as the policy default does"
        }
        status => http::remedy(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_vault_are_in_one_line() {
        for (body, expected) in [
            (r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#, Some("permission denied")),
            (r#"{"errors":["Vault is sealed"]}"#, Some("Vault is sealed")),
            (r#"{"errors":["2 errors occurred:\n\t* a\n\t* b\n\n"]}"#, Some("2 errors occurred: * a * b")),
            (r#"{"errors":[]}"#, None),
            (
                r#"{"errors":[],"warnings":["Invalid path for a versioned K/V secrets engine."]}"#,
                Some("Invalid path for a versioned K/V secrets engine."),
            ),
            (
                r#"{"data":{"data":null,"metadata":{"deletion_time":"2026-11-30T17:00:00Z","destroyed":false,"version":2}}}"#,
                Some("version 2 is deleted since 2026-11-30T17:00:00Z"),
            ),
            (
                r#"{"data":{"data":null,"metadata":{"deletion_time":"","destroyed":true,"version":1}}}"#,
                Some("version 1 is destroyed"),
            ),
            (r#"{"data":{"password":"hunter2"}}"#, None),
            ("hunter2", None),
        ] {
            assert_eq!(message(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
