//! The authentication challenge of a registry: the header `WWW-Authenticate`.
//! <https://distribution.github.io/distribution/spec/auth/token/>

use http_auth::{ChallengeParser, ChallengeRef};

/// An authentication challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password in each request.
    Basic,
    /// A token of a token server.
    Bearer {
        /// The address of the token server.
        realm: String,
        /// The service that the token is for.
        service: Option<String>,
        /// The rights of the token.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Parses the values of the header. If there is a choice, tokens are preferred, because then the password
    /// is sent less often.
    pub(crate) fn read<'v>(values: impl IntoIterator<Item = &'v str>) -> Option<Self> {
        let all = values.into_iter().flat_map(|value| ChallengeParser::new(value).map_while(Result::ok));
        let mut basic = None;
        for challenge in all {
            if challenge.scheme.eq_ignore_ascii_case("Basic") {
                basic = Some(Self::Basic);
            }
            if let Some(bearer) = bearer(&challenge) {
                return Some(bearer);
            }
        }
        basic
    }
}

fn bearer(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
    let param = |name: &str| {
        let found = challenge.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped())
    };
    challenge.scheme.eq_ignore_ascii_case("Bearer").then_some(())?;
    Some(Challenge::Bearer { realm: param("realm")?, service: param("service"), scope: param("scope") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_real_registries_are_parsed() {
        let bearer = |service: Option<&str>, scope: Option<&str>| {
            let (service, scope) = (service.map(str::to_owned), scope.map(str::to_owned));
            Some(Challenge::Bearer { realm: "https://auth.example/token".to_owned(), service, scope })
        };
        let hub = r#"Bearer realm="https://auth.example/token",service="registry.docker.io",scope="repository:a/b:pull""#;
        for (values, challenge) in [
            (vec![hub], bearer(Some("registry.docker.io"), Some("repository:a/b:pull"))),
            (vec![r#"Basic realm="x", bearer realm="https://auth.example/token""#], bearer(None, None)),
            (vec![r#"Basic realm="x""#, r#"Bearer realm="https://auth.example/token""#], bearer(None, None)),
            (vec!["Basic"], Some(Challenge::Basic)),
            (vec![r#"basic realm="Registry Realm""#], Some(Challenge::Basic)),
            (vec![r#"Negotiate, Bearer scope="x""#], None),
            (vec![], None),
            (vec!["\"\"=,"], None),
        ] {
            assert_eq!(Challenge::read(values.iter().copied()), challenge, "{values:?}");
        }
    }
}
