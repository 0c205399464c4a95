//! What a profile adds to the description of a task in `task.json`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::{self, Context, InvalidTemplateSyntax, RenderError, Slot};

/// Maximum number of entries.
const MAX_ENTRIES: usize = 64;
/// Maximum characters of a name.
const MAX_NAME_CHARS: usize = 63;

/// The description of a task, which boot writes to `task.json`.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TaskInfo {
    /// Information about the task, by name. The task finds it in the field `info` of `task.json`. Each value
    /// can be a template. At most 64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub info: BTreeMap<String, String>,
}

impl TaskInfo {
    /// Whether it is the default.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.info.is_empty()
    }

    /// Whether it needs values of a pod.
    #[must_use]
    pub fn is_templated(&self) -> bool {
        self.info.values().any(|text| template::is_one(text))
    }

    /// Checks the entries of a profile.
    ///
    /// # Errors
    /// The first entry that cannot work for any pod.
    pub fn check(&self) -> Result<(), InvalidTaskInfo> {
        for (position, (name, text)) in self.info.iter().enumerate() {
            let invalid = |problem| InvalidTaskInfo { name: name.clone(), problem };
            if position >= MAX_ENTRIES {
                return Err(invalid(TaskInfoProblem::TooMany { count: self.info.len() }));
            }
            if !is_name(name) {
                return Err(invalid(TaskInfoProblem::Name));
            }
            template::check(text, Slot::Text).map_err(|error| invalid(error.into()))?;
        }
        Ok(())
    }

    /// The entries for a pod.
    ///
    /// # Errors
    /// If a template cannot be rendered.
    pub fn render(&self, context: &Context) -> Result<BTreeMap<String, String>, InvalidTaskInfo> {
        let render = |(name, text): (&String, &String)| {
            let value = template::render(text, context, Slot::Text);
            let value =
                value.map_err(|error| InvalidTaskInfo { name: name.clone(), problem: error.into() })?;
            Ok((name.clone(), value))
        };
        self.info.iter().map(render).collect()
    }
}

/// Programs read the entries as fields of a JSON object.
fn is_name(name: &str) -> bool {
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || [b'_', b'-', b'.', b'/'].contains(&byte);
    name.len() <= MAX_NAME_CHARS
        && name.bytes().all(is_character)
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Why an entry is invalid, or cannot be rendered for a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task.info[{name:?}]: {problem}")]
pub struct InvalidTaskInfo {
    /// Name of the entry.
    pub name: String,
    /// What is wrong with it.
    pub problem: TaskInfoProblem,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskInfoProblem {
    /// The profile has too many entries.
    #[error("there are {count} entries, the limit is {MAX_ENTRIES}: remove some")]
    TooMany {
        /// Their number.
        count: usize,
    },
    /// The name is invalid.
    #[error(
        "the name must consist of letters, digits, `_`, `-`, `.` and `/`, start with a letter, digit or `_`, and have at most \
         {MAX_NAME_CHARS} characters: rename it"
    )]
    Name,
    /// The template cannot work for any pod.
    #[error(transparent)]
    Template(#[from] InvalidTemplateSyntax),
    /// The template cannot be rendered for a pod.
    #[error(transparent)]
    Render(#[from] RenderError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str) -> Result<(), TaskInfoProblem> {
        let info = TaskInfo { info: [(name.to_owned(), text.to_owned())].into() };
        info.check().map_err(|error| error.problem)
    }

    #[test]
    fn names_and_templates_are_checked() {
        for name in ["owner", "costCenter", "example.com/cost-center", "_a", "1"] {
            assert_eq!(check(name, "{{ workflow | default('none') }}"), Ok(()), "{name}");
        }
        for name in ["", "-a", "a b", "ä", "a\n", &"x".repeat(64)] {
            assert_eq!(check(name, "x"), Err(TaskInfoProblem::Name), "{name}");
        }
        assert!(matches!(check("a", "{{ teem }}"), Err(TaskInfoProblem::Template(_))));
        let info = (0..65).map(|number| (format!("a{number}"), String::new())).collect();
        assert_eq!(TaskInfo { info }.check().unwrap_err().problem, TaskInfoProblem::TooMany { count: 65 });
    }
}
