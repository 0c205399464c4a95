//! Errors of object stores, and what to do about them.

use std::error::Error;

use ::object_store::path::Error as PathError;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::boot::source::SourceError;
use crate::http::{self, HttpError, ServerError};

/// The XML error of S3, Google Cloud Storage and Azure; the token service of AWS wraps it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Xml {
    code: String,
    message: String,
    /// The region of the bucket, which S3 reports to clients in another region.
    region: String,
    error: Option<Box<Xml>>,
}

/// The JSON error of token servers, RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Json {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// The server's error message in headers or body.
pub(super) fn server_error(headers: &HeaderMap, body: &[u8]) -> Option<ServerError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut error = xml(body).or_else(|| json(body)).or_else(|| {
        header("x-ms-error-code").map(|code| ServerError { code: code.to_owned(), message: String::new() })
    });
    if let Some(region) = header("x-amz-bucket-region") {
        let code = "the bucket is in another region".to_owned();
        error.get_or_insert(ServerError { code, message: String::new() }).message =
            format!("its region is {region}");
    }
    error
}

fn xml(body: &[u8]) -> Option<ServerError> {
    let mut xml: Xml = quick_xml::de::from_reader(body).ok()?;
    if let Some(inner) = xml.error.take() {
        xml = *inner;
    }
    let Xml { code, mut message, region, .. } = xml;
    if !region.is_empty() {
        message = format!("the bucket's region is {region}");
    }
    Some(ServerError { code, message }).filter(|error| !error.code.is_empty())
}

fn json(body: &[u8]) -> Option<ServerError> {
    let Json { error, error_description } = serde_json::from_slice(body).ok()?;
    Some(ServerError { code: error, message: error_description })
}

/// What to do about an error.
pub(super) fn remedy(status: StatusCode, code: &str) -> &'static str {
    match code {
        "NoSuchBucket" | "ContainerNotFound" => {
            "correct the bucket's name in the profile, or create the bucket"
        }
        "NoSuchKey" | "BlobNotFound" => "correct object in the profile, or upload the object",
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            "correct the keys in the Secret of credentials.secret, and s3.region if the store has several"
        }
        "AuthenticationFailed" => {
            "correct or renew the credentials in the Secret of credentials.secret; if they are valid, set the clock of the node"
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "ExpiredTokenException" => {
            "renew the temporary keys in the Secret of credentials.secret"
        }
        "RequestTimeTooSkewed" => "set the clock of the node: signatures are only valid for a few minutes",
        "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" => {
            "set s3.region to the region of the bucket, and s3.endpoint, if set, to an endpoint of that region"
        }
        "AuthenticationRequired" | "NoAuthenticationInformation" | "PublicAccessNotPermitted" => {
            "the store requires credentials: set credentials.secret, or remove credentials if the pod has a workload \
             identity"
        }
        "AccessDenied" => {
            "grant the credentials the rights to read and to list the object: without the right to list, S3 also denies \
             access to objects that do not exist"
        }
        "InvalidObjectState" | "BlobArchived" => "restore the object from the archive tier",
        _ => status_remedy(status),
    }
}

fn status_remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            "set credentials.secret, correct the credentials in it, or configure a workload identity for the pod's \
             service account"
        }
        StatusCode::FORBIDDEN => "grant the credentials the rights to read and to list the object",
        StatusCode::NOT_FOUND => "correct endpoint, bucket and key in the profile, or upload the object",
        status if status.is_redirection() => {
            "redirects of a store are not followed: correct endpoint and region in the profile"
        }
        status => http::remedy(status),
    }
}

/// Converts an error of the library; `kind` is the kind of store.
pub(super) fn convert(kind: &str, error: &::object_store::Error) -> SourceError {
    if let Some(error) = transport_error(error) {
        return error.into();
    }
    if let ::object_store::Error::InvalidPath { source } = error {
        let key = match source {
            PathError::EmptySegment { path } | PathError::BadSegment { path, .. } => path.as_str(),
            _ => "",
        };
        return SourceError::Content(format!(
            "the key of object {key:?} is not a valid file name: must not contain an empty part, . or .., or a control \
             character; rename it, or set another prefix"
        ));
    }
    SourceError::Content(unexpected_response(kind))
}

/// Converts an error in the middle of an object.
pub(super) fn convert_body_error(
    kind: &'static str,
    address: &str,
    error: &::object_store::Error,
) -> HttpError {
    transport_error(error).unwrap_or_else(|| HttpError::Interrupted {
        address: address.to_owned(),
        reason: unexpected_response(kind),
    })
}

/// The error for credentials or settings that the library refuses.
pub(super) fn invalid_setting(name: &str) -> SourceError {
    HttpError::Setup(format!("{name} of the boot container or the profile is invalid: correct it")).into()
}

fn unexpected_response(kind: &str) -> String {
    format!("the response is not a response of {kind}: check that endpoint is the address of such a store")
}

/// The error of the transport, which the library wraps in its own errors.
fn transport_error(error: &::object_store::Error) -> Option<HttpError> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return Some(error.clone());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(headers: &[(&'static str, &'static str)], body: &str) -> Option<(String, String)> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        server_error(&headers.collect(), body.as_bytes()).map(|error| (error.code, error.message))
    }

    #[test]
    fn the_error_messages_of_each_store_are_parsed() {
        let error = |code: &str, message: &str| Some((code.to_owned(), message.to_owned()));
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>It's &lt;gone&gt;.\
                   </Message><Key>a</Key></Error>";
        assert_eq!(parsed(&[], xml), error("NoSuchKey", "It's <gone>."));
        let sts = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>\
                   ExpiredTokenException</Code><Message>Token expired</Message></Error><RequestId>1</RequestId>\
                   </ErrorResponse>";
        assert_eq!(parsed(&[], sts), error("ExpiredTokenException", "Token expired"));
        let region = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>x</Message><Region>eu-west-1</Region></Error>";
        assert_eq!(
            parsed(&[], region),
            error("AuthorizationHeaderMalformed", "the bucket's region is eu-west-1")
        );
        let json = r#"{"error": "invalid_grant", "error_description": "Bad Request"}"#;
        assert_eq!(parsed(&[], json), error("invalid_grant", "Bad Request"));
        assert_eq!(parsed(&[("x-ms-error-code", "BlobNotFound")], ""), error("BlobNotFound", ""));
        let moved = parsed(&[("x-amz-bucket-region", "eu-west-1")], "");
        assert_eq!(moved, error("the bucket is in another region", "its region is eu-west-1"));
        for body in ["", "<html><body>Bad Gateway</body></html>", "{}", "hunter2", "<Error></Error>"] {
            assert_eq!(parsed(&[], body), None, "{body}");
        }
    }
}
