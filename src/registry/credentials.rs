//! Pull secrets, matched with registries by the rules of the kubelet.
//! <https://kubernetes.io/docs/concepts/containers/images/#config-json>

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use wildmatch::WildMatchPattern;

use super::reference::{HUB, is_hub};
use super::{Digest, Reference};

/// The key of a Secret of type `kubernetes.io/dockerconfigjson`.
pub(crate) const KEY: &str = ".dockerconfigjson";

/// A user and a password. `Debug` omits them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RegistryCredentials {
    user: String,
    password: String,
}

/// The entries of one or several pull secrets.
#[derive(Clone, Default)]
pub(crate) struct Keyring {
    entries: Vec<(RegistryPattern, RegistryCredentials)>,
}

/// The pattern of an entry: `*.example.com`, `registry.example.com:5000/team`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegistryPattern {
    host: String,
    port: Option<String>,
    path: String,
}

/// Why a pull secret is invalid. The error does not quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPullSecret {
    /// Not JSON of the expected structure.
    #[error("is invalid: must be JSON like {{\"auths\": {{\"registry.example.com\": {{\"auth\": …}}}}}}")]
    Json,
    /// An entry's `auth` is not `user:password` in base64.
    #[error("is invalid: auth of each entry must be user:password in base64")]
    Auth,
}

impl RegistryCredentials {
    /// A hash that identifies these credentials without revealing them; `None` for an empty list.
    pub(crate) fn fingerprint(all: &[Self]) -> Option<Digest> {
        // Each field with its length, so that different lists have different texts.
        let field = |text: &String| format!("{}:{text}", text.len());
        let text: String = all.iter().flat_map(|one| [field(&one.user), field(&one.password)]).collect();
        (!all.is_empty()).then(|| Digest::of(text.as_bytes()))
    }

    /// The value of the header `Authorization`.
    pub(crate) fn basic(&self) -> Option<HeaderValue> {
        let pair = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let mut value = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for RegistryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Keyring {
    /// Adds the entries of `.dockerconfigjson`. Entries without a user are ignored, as by the kubelet.
    pub(crate) fn add(&mut self, json: &[u8]) -> Result<(), InvalidPullSecret> {
        #[derive(Deserialize)]
        struct Config {
            auths: BTreeMap<String, Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            username: String,
            #[serde(default)]
            password: String,
            #[serde(default)]
            auth: String,
        }
        let config: Config = serde_json::from_slice(json).map_err(|_| InvalidPullSecret::Json)?;
        for (key, entry) in config.auths {
            let credentials = if entry.auth.is_empty() {
                RegistryCredentials { user: entry.username, password: entry.password }
            } else {
                decode(&entry.auth).ok_or(InvalidPullSecret::Auth)?
            };
            if !credentials.user.is_empty() {
                self.entries.push((RegistryPattern::read(&key), credentials));
            }
        }
        Ok(())
    }

    /// The credentials for `reference`, with the longest path first: each may be tried.
    pub(crate) fn lookup(&self, reference: &Reference) -> Vec<RegistryCredentials> {
        let mut found: Vec<_> =
            self.entries.iter().filter(|(pattern, _)| pattern.is_for(reference)).collect();
        found.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.path.len()));
        let mut all: Vec<RegistryCredentials> = Vec::new();
        for (_, credentials) in found {
            if !all.contains(credentials) {
                all.push(credentials.clone());
            }
        }
        all
    }
}

fn decode(auth: &str) -> Option<RegistryCredentials> {
    let pair = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    // Some tools pad with NUL bytes.
    let password = password.trim_end_matches('\0');
    Some(RegistryCredentials { user: user.to_owned(), password: password.to_owned() })
}

impl RegistryPattern {
    pub(crate) fn read(key: &str) -> Self {
        let key = key.split_once("://").map_or(key, |(_, rest)| rest);
        let (authority, path) = key.split_once('/').unwrap_or((key, ""));
        // The version of the registry API, which Docker writes for Docker Hub.
        let path = path
            .strip_prefix("v1")
            .or_else(|| path.strip_prefix("v2"))
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .unwrap_or(path);
        let (host, port) = split(authority);
        let host = if is_hub(host) { HUB } else { host };
        Self { host: host.to_owned(), port: port.map(str::to_owned), path: path.trim_matches('/').to_owned() }
    }

    pub(crate) fn is_for(&self, reference: &Reference) -> bool {
        let (host, port) = split(reference.registry());
        let labels = || self.host.split('.').zip(host.split('.'));
        self.port.as_deref() == port
            && self.host.split('.').count() == host.split('.').count()
            && labels().all(|(pattern, label)| label_matches(label, pattern))
            && reference.repository().starts_with(&self.path)
    }
}

fn split(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Whether a label of a host name matches a pattern, in which `*` matches any text. A pull secret can contain
/// any pattern, so matching must need at most `pattern × label` steps: `wildmatch` only backtracks to the
/// last star.
fn label_matches(label: &str, pattern: &str) -> bool {
    if pattern.contains('*') {
        WildMatchPattern::<'*', '\0'>::new(pattern).matches(label)
    } else {
        label == pattern
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keyring(keys: &[&str]) -> Keyring {
        let auths: serde_json::Map<_, _> = keys
            .iter()
            .map(|key| ((*key).to_owned(), json!({"username": key, "password": "hunter2"})))
            .collect();
        let mut keyring = Keyring::default();
        keyring.add(json!({"auths": auths}).to_string().as_bytes()).unwrap();
        keyring
    }

    fn users(keys: &[&str], reference: &str) -> Vec<String> {
        let found = keyring(keys).lookup(&reference.parse().unwrap());
        found.into_iter().map(|credentials| credentials.user).collect()
    }

    /// The table in the documentation and tests of the kubelet.
    #[test]
    fn entries_are_matched_like_the_kubelet_does() {
        for (key, reference, fits) in [
            ("registry.example.com", "registry.example.com/a/b", true),
            ("https://registry.example.com/v1/", "registry.example.com/a", true),
            ("https://index.docker.io/v1/", "nginx", true),
            ("docker.io", "nginx", true),
            ("registry.example.com", "nginx", false),
            ("*.example.com", "registry.example.com/a", true),
            ("*.example.com", "a.registry.example.com/a", false),
            ("reg*.example.com", "registry.example.com/a", true),
            ("*", "registry.example.com/a", false),
            ("registry.example.com:5000", "registry.example.com:5000/a", true),
            ("registry.example.com", "registry.example.com:5000/a", false),
            ("*.example.com:5000", "registry.example.com:5000/a", true),
            ("registry.example.com/team", "registry.example.com/team/a", true),
            ("registry.example.com/team", "registry.example.com/other/a", false),
            ("registry.example.com/v2/team", "registry.example.com/team/a", true),
            ("registry.example.com/v2x", "registry.example.com/team/a", false),
        ] {
            assert_eq!(!users(&[key], reference).is_empty(), fits, "{key} for {reference}");
        }
        let keys = ["a.example", "a.example/team/sql", "a.example/team", "b.example"];
        assert_eq!(users(&keys, "a.example/team/sql"), ["a.example/team/sql", "a.example/team", "a.example"]);
    }

    /// If matching backtracked to every star, this would take 4·10^12 steps.
    #[test]
    fn a_pattern_of_many_stars_is_matched_in_linear_time() {
        let pattern = format!("{}x.example.com", "*a".repeat(100));
        let label = "a".repeat(60);
        assert!(users(&[&pattern], &format!("{label}.example.com/a")).is_empty());
        assert!(
            users(&[&format!("{}b.example.com", "*".repeat(100))], &format!("{label}.example.com/a"))
                .is_empty()
        );
    }

    #[test]
    fn both_forms_of_credentials_are_parsed_and_never_printed() {
        let auth = STANDARD.encode("etl:hunter:2\0");
        let json = json!({"auths": {"a.example": {"auth": auth}, "b.example": {"email": "x"}}});
        let mut keyring = Keyring::default();
        keyring.add(json.to_string().as_bytes()).unwrap();
        let found = keyring.lookup(&"a.example/x".parse().unwrap());
        assert_eq!(found[0].basic().unwrap(), format!("Basic {}", STANDARD.encode("etl:hunter:2")));
        assert_eq!(format!("{found:?}"), "[Credentials(…)]");
        assert!(keyring.lookup(&"b.example/x".parse().unwrap()).is_empty());
        for (json, error) in [
            ("{}", InvalidPullSecret::Json),
            ("hunter2", InvalidPullSecret::Json),
            (r#"{"auths": {"a": {"auth": "hunter2!"}}}"#, InvalidPullSecret::Auth),
            (r#"{"auths": {"a": {"auth": "aHVudGVyMg=="}}}"#, InvalidPullSecret::Auth),
        ] {
            assert_eq!(Keyring::default().add(json.as_bytes()).unwrap_err(), error, "{json}");
        }
    }
}
