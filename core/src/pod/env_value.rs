//! The values in `env` of a container, if they are known before the container starts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bootlace_launch::expansion::{self, Piece};

use super::Container;

/// Maximum bytes of a value that is expanded. The longest variable that Linux supports (`MAX_ARG_STRLEN`).
const MAX_VALUE_BYTES: usize = 32 * 4096;
/// Maximum bytes of all values with references together. A few short variables can each repeat the one before
/// many times, so without a limit a small pod could use all memory.
const MAX_EXPANDED_BYTES: usize = 2 << 20;

/// Why the value of a variable is unknown before its container starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownValue<'a> {
    /// `valueFrom`: the kubelet reads the value.
    ValueFrom,
    /// The value refers to a variable with an unknown value.
    Reference {
        /// The name in `$(…)`.
        name: &'a str,
        /// Why this variable is unknown.
        reason: Unresolved,
    },
    /// The expanded value exceeds the maximum length of a variable.
    TooLong,
}

/// Why a reference cannot be resolved before the container starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unresolved {
    /// An earlier variable has that name, and its own value is not known.
    Earlier,
    /// A later variable has that name. The kubelet only resolves references to earlier ones.
    Later,
    /// No variable in `env` has that name: `envFrom`, a Service or the boot env may provide it.
    Elsewhere,
}

impl fmt::Display for UnknownValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ValueFrom => f.write_str("its value comes from valueFrom"),
            Self::Reference { name, reason } => {
                let reference = expansion::unresolved(name);
                match reason {
                    Unresolved::Earlier => {
                        write!(f, "it refers to {reference}, whose value is also unknown")
                    }
                    Unresolved::Later => {
                        write!(
                            f,
                            "it refers to {reference}, which is set later in env, and Kubernetes only resolves references \
                             to earlier variables"
                        )
                    }
                    Unresolved::Elsewhere => write!(f, "it refers to {reference}, which env does not set"),
                }
            }
            Self::TooLong => write!(f, "it exceeds {MAX_VALUE_BYTES} bytes with its references"),
        }
    }
}

/// The value of a variable, or why it is unknown.
type Value<'a> = Result<Cow<'a, str>, UnknownValue<'a>>;

impl<'a> Container<'a> {
    /// The values of `env` by name, expanded like the kubelet does: `$(NAME)` refers to an earlier variable,
    /// `$$` is one `$`, and any other `$` is literal. If a name occurs twice, the last one is used.
    #[must_use]
    pub fn env_values(&self) -> BTreeMap<&'a str, Result<Cow<'a, str>, UnknownValue<'a>>> {
        let mut values: BTreeMap<&'a str, Value<'a>> = BTreeMap::new();
        let mut remaining = MAX_EXPANDED_BYTES;
        // A set, because a search of the list for each variable would take quadratic time.
        let names: BTreeSet<&str> = self.env.iter().copied().collect();
        for variable in self.variables() {
            let value = match variable.text {
                None if variable.has_value_from => Err(UnknownValue::ValueFrom),
                None => Ok(Cow::Borrowed("")),
                Some(text) if !text.contains('$') => Ok(Cow::Borrowed(text)),
                Some(text) => {
                    expanded(text, &names, &values, remaining).inspect(|value| remaining -= value.len())
                }
            };
            values.insert(variable.name, value);
        }
        values
    }
}

/// Expands references to `earlier` variables in a value. `names` contains the names of all variables of the
/// container.
fn expanded<'a>(
    text: &'a str,
    names: &BTreeSet<&str>,
    earlier: &BTreeMap<&'a str, Value<'a>>,
    remaining: usize,
) -> Value<'a> {
    let limit = MAX_VALUE_BYTES.min(remaining);
    let mut expanded = String::new();
    for piece in expansion::pieces(text) {
        let part = match piece {
            Piece::Text(text) => text,
            // No variable has an empty name, so this reference is never resolved.
            Piece::Reference("") => "$()",
            Piece::Reference(name) => match earlier.get(name) {
                Some(Ok(value)) => value,
                Some(Err(_)) => return Err(UnknownValue::Reference { name, reason: Unresolved::Earlier }),
                None => {
                    let later = names.contains(name);
                    let reason = if later { Unresolved::Later } else { Unresolved::Elsewhere };
                    return Err(UnknownValue::Reference { name, reason });
                }
            },
        };
        if expanded.len().saturating_add(part.len()) > limit {
            return Err(UnknownValue::TooLong);
        }
        expanded.push_str(part);
    }
    Ok(Cow::Owned(expanded))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Document, json};

    use super::*;
    use crate::pod::{Json, Pod};

    fn values(env: &Document) -> BTreeMap<String, Result<String, String>> {
        let pod = json!({"spec": {"containers": [{"name": "main", "env": env}]}});
        let json = Json::from(&pod);
        let pod = Pod::read(&json).unwrap();
        let own = |value: Value<'_>| value.map(Cow::into_owned).map_err(|reason| reason.to_string());
        let values = pod.containers[0].env_values().into_iter();
        values.map(|(name, value)| (name.to_owned(), own(value))).collect()
    }

    #[test]
    fn a_value_is_what_the_kubelet_makes_of_it() {
        let values = values(&json!([
            {"name": "A", "value": "a"},
            {"name": "LONE", "value": "pa$word"},
            {"name": "LAST", "value": "cost 5$"},
            {"name": "OPEN", "value": "$(A"},
            {"name": "SHELL", "value": "${A} $A"},
            {"name": "EMPTY_NAME", "value": "$()"},
            {"name": "ESCAPED", "value": "$$(A)"},
            {"name": "DOUBLE", "value": "$$"},
            {"name": "TRIPLE", "value": "$$$(A)"},
            {"name": "REF", "value": "<$(A)$(LONE)>"},
            {"name": "with.dot", "value": "$(REF)"},
            {"name": "DOT", "value": "$(with.dot)"},
            {"name": "NOT_AGAIN", "value": "$(ESCAPED)"},
            {"name": "EMPTY", "value": ""},
            {"name": "OF_EMPTY", "value": "[$(EMPTY)]"},
            {"name": "PATH", "value": "/bin"},
            {"name": "PATH", "value": "$(PATH):/opt"},
        ]));
        for (name, expected) in [
            ("LONE", "pa$word"),
            ("LAST", "cost 5$"),
            ("OPEN", "$(A"),
            ("SHELL", "${A} $A"),
            ("EMPTY_NAME", "$()"),
            ("ESCAPED", "$(A)"),
            ("DOUBLE", "$"),
            ("TRIPLE", "$a"),
            ("REF", "<apa$word>"),
            ("DOT", "<apa$word>"),
            ("NOT_AGAIN", "$(A)"),
            ("EMPTY", ""),
            ("OF_EMPTY", "[]"),
            ("PATH", "/bin:/opt"),
        ] {
            assert_eq!(values[name].as_deref(), Ok(expected), "{name}");
        }
    }

    #[test]
    fn values_that_only_the_kubelet_knows_are_not_guessed() {
        let secret = json!({"secretKeyRef": {"name": "s", "key": "k"}});
        let values = values(&json!([
            {"name": "SECRET", "valueFrom": secret},
            {"name": "OF_SECRET", "value": "x$(SECRET)"},
            {"name": "OF_THAT", "value": "$(OF_SECRET)"},
            {"name": "OF_LATER", "value": "$(LATER)"},
            {"name": "LATER", "value": "1"},
            {"name": "OF_SERVICE", "value": "http://$(DB_SERVICE_HOST)"},
            {"name": "REPLACED", "value": "1"},
            {"name": "REPLACED", "valueFrom": secret},
            {"name": "SELF", "value": "$(SELF):1"},
        ]));
        for (name, reason) in [
            ("SECRET", "its value comes from valueFrom"),
            ("REPLACED", "its value comes from valueFrom"),
            ("OF_SECRET", "it refers to $(SECRET), whose value is also unknown"),
            ("OF_THAT", "it refers to $(OF_SECRET), whose value is also unknown"),
            ("OF_LATER", "it refers to $(LATER), which is set later in env"),
            ("OF_SERVICE", "it refers to $(DB_SERVICE_HOST), which env does not set"),
            ("SELF", "it refers to $(SELF), which"),
        ] {
            let error = values[name].as_deref().unwrap_err();
            assert!(error.starts_with(reason), "{name}: {error}");
        }
        assert_eq!(values["LATER"].as_deref(), Ok("1"));
    }

    /// Each variable is twice as long as the one before: without a limit, the last would have 16 GiB.
    #[test]
    fn values_that_repeat_each_other_take_bounded_memory() {
        let mut env = vec![json!({"name": "V0", "value": "x".repeat(1024)})];
        env.extend(
            (1..25).map(|n| json!({"name": format!("V{n}"), "value": format!("$(V{0})$(V{0})", n - 1)})),
        );
        // Many variables of the maximum length.
        env.extend((0..100).map(|n| json!({"name": format!("W{n}"), "value": "$(V6)"})));
        let values = values(&Document::from(env));
        assert_eq!(values["V6"].as_ref().map(String::len), Ok(64 * 1024));
        assert!(values["V8"].as_ref().unwrap_err().contains("131072 bytes"));
        let bytes: usize = values.values().flatten().map(String::len).sum();
        assert!(bytes < 3 << 20, "{bytes} bytes");
    }
}
