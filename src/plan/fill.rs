//! Fills a profile's templates in for one pod.

use super::boot_spec::{BootSource, From};
use super::{PlanError, Recipe};
use crate::profile::spec::Inline;
use crate::profile::templates::InlineTemplates;
use crate::template::{Context, RenderError, Slot, Template};

/// The recipe's sources with every template rendered.
pub(super) fn sources(recipe: &Recipe, context: &Context) -> Result<Vec<BootSource>, PlanError> {
    let mut sources = recipe.sources.clone();
    for templates in &recipe.templates {
        let Some(source) = sources.get_mut(templates.position) else { continue };
        let From::Inline(inline) = &mut source.from else { continue };
        fill(inline, templates, context).map_err(|(field, error)| PlanError::Template {
            profile: recipe.profile.name.clone(),
            source_name: source.name.clone(),
            field,
            error,
        })?;
    }
    Ok(sources)
}

fn fill(
    inline: &mut Inline,
    templates: &InlineTemplates,
    context: &Context,
) -> Result<(), (String, RenderError)> {
    for (name, template) in &templates.env {
        let field = |error| (format!("inline.env.{name}"), error);
        inline.env.insert(name.clone(), template.render(context, Slot::Text).map_err(field)?);
    }
    for file in &templates.files {
        let render = |template: &Option<Template>, slot, field: String| match template {
            Some(template) => template.render(context, slot).map(Some).map_err(|error| (field, error)),
            None => Ok(None),
        };
        let path = &file.path;
        let text = render(&file.content, Slot::Text, format!("inline.files[{path:?}]"))?;
        let new_path = render(&file.path_template, Slot::FilePath, format!("path {path:?} in inline.files"))?;
        if let Some(text) = text {
            inline.files.insert(path.clone(), text);
        }
        let Some(new_path) = new_path else { continue };
        let text = inline.files.remove(path).unwrap_or_default();
        if inline.files.insert(new_path.clone(), text).is_some() {
            let twice =
                RenderError::Refused(format!("{new_path:?} is the path of another file of this source too"));
            return Err((format!("path {path:?} in inline.files"), twice));
        }
    }
    Ok(())
}
