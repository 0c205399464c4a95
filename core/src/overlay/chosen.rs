//! The overlays that a pod gets: those that are not optional, in the order of the profile, then the optional
//! ones that its annotation names, in the order of the annotation.

use super::compiled::{Overlay, Overlays};
use super::error::OverlayError;
use crate::names;
use crate::pod::Pod;

pub(super) fn overlays<'o>(
    all: &'o Overlays,
    pod: &Pod<'_>,
    profile: &str,
) -> Result<Vec<&'o Overlay>, OverlayError> {
    let mut chosen: Vec<_> = all.all.iter().filter(|overlay| !overlay.is_optional).collect();
    let Some(list) = pod.annotations.get(names::ANNOTATION_OVERLAYS) else { return Ok(chosen) };
    let optional = || all.all.iter().filter(|overlay| overlay.is_optional);
    let required = chosen.len();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let Some(overlay) = optional().find(|overlay| overlay.name == name) else {
            let known = optional().map(|overlay| overlay.name.clone()).collect();
            return Err(OverlayError::Unknown { name: name.to_owned(), profile: profile.to_owned(), known });
        };
        if chosen.iter().any(|earlier| earlier.name == name) {
            return Err(OverlayError::NamedTwice { name: name.to_owned() });
        }
        chosen.push(overlay);
    }
    if chosen.len() == required {
        return Err(OverlayError::NoneNamed);
    }
    Ok(chosen)
}
