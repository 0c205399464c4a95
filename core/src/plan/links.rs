//! The links of a profile for a pod.
//!
//! A link helps people and does nothing for the task, so one that cannot be rendered is left out with a
//! warning. It does not refuse the pod.

use std::collections::BTreeMap;

use crate::code::Coded as _;
use crate::names;
use crate::pod::Pod;
use crate::profile::Profile;
use crate::profile::links::{self, LinkLeftOut};
use crate::template::Context;

/// The links that a pod gets.
pub(super) struct Links {
    /// By their names.
    pub(super) links: BTreeMap<String, String>,
    /// About those that are left out.
    pub(super) warnings: Vec<String>,
}

/// Renders the links of `profile` for `pod`. An annotation of the pod with the name of a link stays.
pub(super) fn plan<'c>(pod: &Pod<'_>, profile: &Profile, context: impl Fn() -> &'c Context) -> Links {
    let mut planned = Links { links: BTreeMap::new(), warnings: Vec::new() };
    for (name, text) in &profile.spec.links {
        if pod.annotations.get(&names::link_annotation(name)).is_some() {
            continue;
        }
        match links::render(text, context()) {
            Ok(link) => {
                planned.links.insert(name.clone(), link);
            }
            Err(problem) => {
                let left_out = LinkLeftOut { profile: profile.name.clone(), name: name.clone(), problem };
                planned.warnings.push(format!("bootlace: {left_out} [{}]", left_out.code()));
            }
        }
    }
    planned
}
