//! Fills a profile's templates in for one pod.

use super::boot_spec::BootSource;
use super::{PlanError, PreparedProfile, boot};
use crate::profile::templates;
use crate::template::Context;

/// The recipe's sources with every template filled in.
pub(super) fn sources(recipe: &PreparedProfile, context: &Context) -> Result<Vec<BootSource>, PlanError> {
    let profile = &recipe.profile;
    let mut sources = recipe.sources.clone();
    for &position in &recipe.templated {
        let says = profile.spec.sources.get(position).cloned().zip(sources.get_mut(position));
        let Some((mut says, source)) = says else { continue };
        templates::fill(&mut says, context)
            .map_err(|error| PlanError::Template { profile: profile.name.clone(), error })?;
        *source = boot::source(&profile.spec, position, &says);
    }
    Ok(sources)
}
