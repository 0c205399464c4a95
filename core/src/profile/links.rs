//! Links to what else shows a task: its logs, a dashboard, the page of a remote job.
//!
//! A person opens a link because they trust its server. So the profile alone chooses the server: scheme and
//! host are literal text, and a value of a pod is (part of) one segment or one value after them.

use std::collections::BTreeMap;

use url::Url;

use crate::template::{self, Context, InvalidTemplateSyntax, RenderError, Slot};

/// Maximum number of links of a profile.
pub const MAX_LINKS: usize = 16;
/// Maximum bytes of a link, and of its template. Browsers and proxies accept about as many, and all
/// annotations of a pod together can have 256 KiB.
pub const MAX_LINK_BYTES: usize = 2048;
/// Maximum characters of the name of a link. The name of an annotation can have 63, of which `link.` needs 5.
const MAX_NAME_CHARS: usize = 58;

/// A link that cannot work for any pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("links[{name:?}]: {problem}")]
pub struct InvalidLink {
    /// Name of the link.
    pub name: String,
    /// What is wrong with it.
    pub problem: LinkProblem,
}

/// A link that a pod does not get.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("link {name:?} of BootProfile {profile:?} is left out: {problem}")]
pub struct LinkLeftOut {
    /// The profile.
    pub profile: String,
    /// Name of the link.
    pub name: String,
    /// Why.
    pub problem: LinkProblem,
}

/// What is wrong with a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkProblem {
    /// The profile has too many links.
    #[error("the profile has {count} links, the limit is {MAX_LINKS}: remove some")]
    TooMany {
        /// Their number.
        count: usize,
    },
    /// The name cannot be part of an annotation.
    #[error(
        "the name must consist of lowercase letters, digits and `-`, start and end with a letter or digit, and have at most \
         {MAX_NAME_CHARS} characters: rename the link"
    )]
    Name,
    /// The template cannot work for any pod.
    #[error(transparent)]
    Template(#[from] InvalidTemplateSyntax),
    /// The template cannot be rendered for a pod.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The template or the link is too long.
    #[error("it has {size} bytes, the limit is {MAX_LINK_BYTES}: shorten it")]
    TooLong {
        /// Its size.
        size: usize,
    },
    /// Scheme or host are not fixed.
    #[error(
        "scheme and host must be fixed, because a pod must not choose where the link leads: start with https://HOST/ or \
         http://HOST/, and use templates only after it"
    )]
    NotFixed,
    /// It contains credentials.
    #[error("it contains a user name or password, which everyone who sees the pod could read: remove it")]
    Credentials,
    /// It is not a URL.
    #[error("{reason}: write a URL such as https://HOST/PATH")]
    NotAUrl {
        /// Why.
        reason: String,
    },
    /// It contains a character that parsers of URLs treat differently.
    #[error("it contains a backslash, a line break or another control character: remove it")]
    Character,
}

/// Checks the links of a profile.
///
/// # Errors
/// The first link that cannot work for any pod.
pub fn check(links: &BTreeMap<String, String>) -> Result<(), InvalidLink> {
    for (position, (name, text)) in links.iter().enumerate() {
        let checked = if position < MAX_LINKS {
            check_one(name, text)
        } else {
            Err(LinkProblem::TooMany { count: links.len() })
        };
        checked.map_err(|problem| InvalidLink { name: name.clone(), problem })?;
    }
    Ok(())
}

fn check_one(name: &str, text: &str) -> Result<(), LinkProblem> {
    if !is_name(name) {
        return Err(LinkProblem::Name);
    }
    check_size(text)?;
    let server = server(text)?;
    if template::is_one(text) {
        return Ok(template::check(text, Slot::UrlPath)?);
    }
    below(&server, text).map(drop)
}

/// Renders a link of a profile for a pod.
///
/// # Errors
/// If a variable is undefined, or the result is not a link to the server of the profile.
pub fn render(text: &str, context: &Context) -> Result<String, LinkProblem> {
    let server = server(text)?;
    if !template::is_one(text) {
        return below(&server, text);
    }
    below(&server, &template::render(text, context, Slot::UrlPath)?)
}

/// Checks a link that an annotation contains: anyone who can change a pod can have written it.
///
/// # Errors
/// If it should not be shown as a link.
pub fn check_written(text: &str) -> Result<(), LinkProblem> {
    check_size(text)?;
    below(&server(text)?, text).map(drop)
}

fn check_size(text: &str) -> Result<(), LinkProblem> {
    let size = text.len();
    if size > MAX_LINK_BYTES { Err(LinkProblem::TooLong { size }) } else { Ok(()) }
}

/// Whether an annotation can have the name.
fn is_name(name: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_character = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let bytes = name.as_bytes();
    name.len() <= MAX_NAME_CHARS
        && name.bytes().all(is_character)
        && is_end(bytes.first())
        && is_end(bytes.last())
}

/// The server of a link: what precedes the path in the literal text before the first expression.
fn server(text: &str) -> Result<Url, LinkProblem> {
    let first = ["{{", "{%", "{#"].iter().filter_map(|start| text.find(start)).min();
    let literal = first.and_then(|end| text.get(..end)).unwrap_or(text);
    let scheme = ["https://", "http://"].into_iter().find(|scheme| literal.starts_with(scheme));
    let Some((scheme, rest)) = scheme.and_then(|scheme| Some((scheme, literal.strip_prefix(scheme)?))) else {
        return Err(LinkProblem::NotFixed);
    };
    let end = match (rest.find(['/', '?', '#']), first) {
        (Some(end), _) => end,
        (None, None) => rest.len(),
        // The host continues in the expression.
        (None, Some(_)) => return Err(LinkProblem::NotFixed),
    };
    let authority = rest.get(..end).unwrap_or_default();
    check_characters(authority)?;
    parse(&format!("{scheme}{authority}"))
}

/// The link `text` with what a URL encodes, if it leads to `server`.
fn below(server: &Url, text: &str) -> Result<String, LinkProblem> {
    check_characters(text)?;
    let url = parse(text)?;
    if url.origin() != server.origin() {
        return Err(LinkProblem::NotFixed);
    }
    let link = String::from(url);
    check_size(&link)?;
    Ok(link)
}

/// The parser of URLs ignores line breaks and reads a backslash as a slash, and other parsers do not.
fn check_characters(text: &str) -> Result<(), LinkProblem> {
    let is_wrong = |character: char| character.is_control() || character == '\\';
    if text.contains(is_wrong) { Err(LinkProblem::Character) } else { Ok(()) }
}

fn parse(text: &str) -> Result<Url, LinkProblem> {
    let url = Url::parse(text).map_err(|error| LinkProblem::NotAUrl { reason: error.to_string() })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(LinkProblem::Credentials);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::{Json, Pod};

    fn checked(text: &str) -> Result<(), LinkProblem> {
        check(&[("logs".to_owned(), text.to_owned())].into()).map_err(|error| error.problem)
    }

    fn rendered(text: &str, team: &str) -> Result<String, LinkProblem> {
        let pod = json!({"metadata": {"name": "load", "labels": {"team": team}}, "spec": {"containers": []}});
        let json = Json::from(&pod);
        let pod = Pod::read(&json).unwrap();
        render(text, &Context::new(&pod, "etl", None, None))
    }

    #[test]
    fn scheme_and_host_are_fixed_in_the_profile() {
        for text in [
            "https://logs.example.com",
            "https://logs.example.com/{{ namespace }}/{{ pod }}",
            "http://logs.example.com:8080?team={{ labels.team }}#{{ run }}",
            "https://[::1]/{% if labels.team is defined %}a{% endif %}",
        ] {
            assert_eq!(checked(text), Ok(()), "{text}");
        }
        for text in [
            "{{ labels.url }}",
            "https://{{ labels.host }}/",
            "https://logs{{ labels.host }}/",
            "https://logs.example.com{{ labels.path }}",
            "https://logs.example.com:{{ labels.port }}/",
            "https:{{ labels.path }}",
            "{% set a = 1 %}https://logs.example.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://logs.example.com/",
            "HTTPS://logs.example.com/",
            " https://logs.example.com/",
            "//logs.example.com/",
            "",
        ] {
            assert_eq!(checked(text), Err(LinkProblem::NotFixed), "{text}");
        }
        for text in ["https://", "https:///etl", "https://a b/", "https://logs.example.com:port/"] {
            assert!(matches!(checked(text), Err(LinkProblem::NotAUrl { .. })), "{text}");
        }
        for text in ["https://a:b@logs.example.com/", "https://a@logs.example.com/{{ run }}"] {
            assert_eq!(checked(text), Err(LinkProblem::Credentials), "{text}");
        }
        for text in ["https://logs.example.com\\@evil.example/", "https://logs.example.com/a\n"] {
            assert_eq!(checked(text), Err(LinkProblem::Character), "{text}");
        }
    }

    #[test]
    fn names_sizes_and_templates_are_checked() {
        let named = |name: &str| {
            let links = [(name.to_owned(), "https://a.example/".to_owned())].into();
            check(&links).map_err(|error| error.problem)
        };
        assert_eq!(named(&"x".repeat(58)), Ok(()));
        for name in ["", "Logs", "a.b", "a_b", "-a", "a-", "a/b", &"x".repeat(59)] {
            assert_eq!(named(name), Err(LinkProblem::Name), "{name}");
        }
        let many: BTreeMap<_, _> =
            (0..=MAX_LINKS).map(|number| (format!("a{number}"), "https://a.example/".to_owned())).collect();
        assert_eq!(check(&many).unwrap_err().problem, LinkProblem::TooMany { count: 17 });
        let long = format!("https://a.example/{}", "x".repeat(MAX_LINK_BYTES));
        assert_eq!(checked(&long), Err(LinkProblem::TooLong { size: long.len() }));
        for text in
            ["https://a.example/{{ teem }}", "https://a.example/{{", "https://a.example/{{ run | url }}"]
        {
            assert!(matches!(checked(text), Err(LinkProblem::Template(_))), "{text}");
        }
    }

    #[test]
    fn a_value_is_encoded_and_changes_nothing_around_it() {
        let text = "https://logs.example.com/{{ labels.team }}/ä?pod={{ pod }}&team={{ labels.team }}#x/{{ labels.team }}";
        assert_eq!(
            rendered(text, "a/b?c#d e@f:ü\n").unwrap(),
            "https://logs.example.com/a%2Fb%3Fc%23d%20e%40f%3A%C3%BC%0A/%C3%A4?pod=load&team=\
             a%2Fb%3Fc%23d%20e%40f%3A%C3%BC%0A#x/a%2Fb%3Fc%23d%20e%40f%3A%C3%BC%0A"
        );
        assert_eq!(rendered("https://logs.example.com", "").unwrap(), "https://logs.example.com/");
        let path = "https://logs.example.com/v1/{{ labels.team }}/x";
        for team in ["..", "."] {
            assert!(
                matches!(rendered(path, team), Err(LinkProblem::Render(RenderError::Refused(_)))),
                "{team}"
            );
        }
        let undefined = rendered("https://logs.example.com/{{ run }}", "a");
        assert!(matches!(undefined, Err(LinkProblem::Render(RenderError::Undefined { .. }))));
        let long = rendered(path, &"ü".repeat(400));
        assert!(matches!(long, Err(LinkProblem::TooLong { .. })), "{long:?}");
    }

    #[test]
    fn what_another_has_written_is_only_shown_if_it_is_a_link() {
        assert_eq!(check_written("https://a.example/b?c=d#e"), Ok(()));
        for text in [
            "javascript:alert(1)",
            "https://a:b@c.example/",
            "https://a.example/\u{1b}[31m",
            "https://a.example/\u{9b}31m",
            "https://",
            &format!("https://a.example/{}", "x".repeat(MAX_LINK_BYTES)),
        ] {
            assert!(check_written(text).is_err(), "{text}");
        }
    }
}
