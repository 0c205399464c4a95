//! The templates of a profile, read once when it comes into force.

use super::spec::{BootProfileSpec, Inline};
use crate::template::{Template, Unreadable};

/// What the schema cannot catch: a template that no pod could make work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source {source_name:?}, {field}: {error}")]
pub struct InvalidTemplate {
    /// The source's name.
    pub source_name: String,
    /// The field below it: `inline.env.DAY`.
    pub field: String,
    /// What is wrong with it.
    pub error: Unreadable,
}

/// The templates of one inline source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineTemplates {
    /// The source's place in the profile.
    pub position: usize,
    /// Those in `env`, by the variable's name.
    pub env: Vec<(String, Template)>,
    /// Those in `files`, by the path as the profile writes it.
    pub files: Vec<FileTemplate>,
}

/// A file with a template in its path, its content or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTemplate {
    /// The path as the profile writes it.
    pub path: String,
    /// The path, where it is a template.
    pub path_template: Option<Template>,
    /// The content, where it is a template.
    pub content: Option<Template>,
}

/// Reads all templates of a profile; sources without one are not in the list.
///
/// # Errors
/// Where one cannot be read: the error names source and field.
pub fn read(spec: &BootProfileSpec) -> Result<Vec<InlineTemplates>, InvalidTemplate> {
    let mut all = Vec::new();
    for (position, source) in spec.sources.iter().enumerate() {
        let Some(inline) = &source.inline else { continue };
        let templates = inline_templates(position, &source.name, inline)?;
        if !(templates.env.is_empty() && templates.files.is_empty()) {
            all.push(templates);
        }
    }
    Ok(all)
}

fn inline_templates(
    position: usize,
    source: &str,
    inline: &Inline,
) -> Result<InlineTemplates, InvalidTemplate> {
    let parse = |text: &str, field: String| {
        if !Template::is_one(text) {
            return Ok(None);
        }
        let invalid = |error| InvalidTemplate { source_name: source.to_owned(), field, error };
        Template::parse(text).map(Some).map_err(invalid)
    };
    let mut templates = InlineTemplates { position, env: Vec::new(), files: Vec::new() };
    for (name, value) in &inline.env {
        if let Some(template) = parse(value, format!("inline.env.{name}"))? {
            templates.env.push((name.clone(), template));
        }
    }
    for (path, content) in &inline.files {
        let path_template = parse(path, format!("path {path:?} in inline.files"))?;
        let content = parse(content, format!("inline.files[{path:?}]"))?;
        if path_template.is_some() || content.is_some() {
            templates.files.push(FileTemplate { path: path.clone(), path_template, content });
        }
    }
    Ok(templates)
}
