//! Checks the rules of all parts of a profile, like the API server. The rules are next to their types.

use serde_json::json;

use super::hooks::Hooks;
use super::pipes::Output;
use super::remote::{Archive, Client, JsonPart};
use super::rule::{self, BrokenRule};
use super::source::SourceOrigin;
use super::spec::BootProfileSpec;
use super::vault::Vault;

/// Checks `spec` like the API server.
///
/// # Errors
/// The first violated rule.
pub fn check(spec: &BootProfileSpec) -> Result<(), BrokenRule> {
    rule::check("spec", spec)?;
    rule::check("spec.boot.resources", &spec.boot.resources)?;
    if let Some(part) = &spec.boot.init_image {
        for (position, image) in part.allow.iter().enumerate() {
            rule::check(&format!("spec.boot.initImage.allow[{position}]"), image)?;
        }
        if let Some(resources) = &part.resources {
            rule::check("spec.boot.initImage.resources", resources)?;
        }
    }
    rule::check("spec.volume", &spec.volume)?;
    rule::check("spec.env", &spec.env)?;
    for (position, image) in spec.env.images.iter().enumerate() {
        rule::check(&format!("spec.env.images[{position}]"), image)?;
    }
    for (position, source) in spec.sources.iter().enumerate() {
        let field = format!("spec.sources[{position}]");
        if spec.sources.iter().take(position).any(|earlier| earlier.name == source.name) {
            return Err(twice(field, "name", &source.name));
        }
        rule::check(&field, source)?;
        let origin = source.origin();
        let field = format!("{field}.{}", origin.field());
        if let Some(settings) = origin.client() {
            client(&field, settings)?;
        }
        match origin {
            SourceOrigin::Inline(inline) => rule::check(&field, inline)?,
            SourceOrigin::ConfigMap(object) | SourceOrigin::Secret(object) => rule::check(&field, object)?,
            SourceOrigin::Http(http) => {
                rule::check(&field, http)?;
                check_target(&field, &http.json, http.archive.as_ref())?;
            }
            SourceOrigin::Optimus(_) => {}
            SourceOrigin::ObjectStore(store) => {
                rule::check(&field, store)?;
                check_target(&field, &store.json, store.archive.as_ref())?;
                rule::check_optional(&format!("{field}.credentials"), store.credentials.as_ref())?;
                rule::check_optional(&format!("{field}.client.ca"), store.client.ca.as_ref())?;
            }
            SourceOrigin::Oci(oci) => rule::check(&field, oci)?,
            SourceOrigin::Vault(vault) => check_vault(&field, vault)?,
            SourceOrigin::Pipe(pipe) => rule::check(&field, pipe)?,
            SourceOrigin::Context(context) => rule::check(&field, context)?,
            SourceOrigin::Volume(volume) => volume.check_rules(&field)?,
        }
    }
    for (position, overlay) in spec.overlays.iter().enumerate() {
        let field = format!("spec.overlays[{position}]");
        if spec.overlays.iter().take(position).any(|earlier| earlier.name == overlay.name) {
            return Err(twice(field, "name", &overlay.name));
        }
        rule::check(&field, overlay)?;
    }
    hooks(&spec.hooks)?;
    for (position, part) in spec.pipes.outputs.iter().enumerate() {
        let field = format!("spec.pipes.outputs[{position}]");
        if spec.pipes.outputs.iter().take(position).any(|earlier| earlier.key == part.key) {
            return Err(twice(field, "key", &part.key));
        }
        output(&field, part)?;
    }
    rule::check_optional("spec.pipes.resources", spec.pipes.resources.as_ref())
}

fn hooks(hooks: &Hooks) -> Result<(), BrokenRule> {
    let Hooks { pre_launch, post_launch, pre_kill, post_kill, abort } = hooks;
    for (list, steps) in [("preLaunch", pre_launch), ("postLaunch", post_launch), ("preKill", pre_kill)] {
        for (position, step) in steps.iter().enumerate() {
            let field = format!("spec.hooks.{list}[{position}]");
            if steps.iter().take(position).any(|earlier| earlier.name == step.name) {
                return Err(twice(field, "name", &step.name));
            }
            rule::check(&field, step)?;
        }
    }
    for (list, steps) in [("postKill", post_kill), ("abort", abort)] {
        for (position, step) in steps.iter().enumerate() {
            let field = format!("spec.hooks.{list}[{position}]");
            if steps.iter().take(position).any(|earlier| earlier.name == step.name) {
                return Err(twice(field, "name", &step.name));
            }
            rule::check(&field, step)?;
            if let Some(request) = &step.http {
                rule::check(&format!("{field}.http"), request)?;
                client(&format!("{field}.http"), &request.client)?;
            }
        }
    }
    Ok(())
}

/// Checks how boot logs in to Vault, and what it reads.
fn check_vault(field: &str, vault: &Vault) -> Result<(), BrokenRule> {
    rule::check(field, vault)?;
    rule::check(&format!("{field}.auth"), &vault.auth)?;
    let mut secrets = vault.secrets.iter().enumerate();
    secrets.try_for_each(|(position, secret)| rule::check(&format!("{field}.secrets[{position}]"), secret))
}

/// Checks how a response or an object is used.
fn check_target(field: &str, json: &[JsonPart], archive: Option<&Archive>) -> Result<(), BrokenRule> {
    for (position, part) in json.iter().enumerate() {
        rule::check(&format!("{field}.json[{position}]"), part)?;
    }
    rule::check_optional(&format!("{field}.archive"), archive)
}

/// Checks an output of a profile or a pod.
///
/// # Errors
/// The first violated rule.
pub fn output(field: &str, part: &Output) -> Result<(), BrokenRule> {
    rule::check(field, part)
}

fn client(field: &str, part: &Client) -> Result<(), BrokenRule> {
    for (position, header) in part.headers.iter().enumerate() {
        let field = format!("{field}.client.headers[{position}]");
        if part.headers.iter().take(position).any(|earlier| earlier.name == header.name) {
            return Err(twice(field, "name", &header.name));
        }
        rule::check(&field, header)?;
    }
    rule::check_optional(&format!("{field}.client.ca"), part.ca.as_ref())
}

/// Two entries of a list with the same `key`, with the message of the API server.
fn twice(field: String, key: &str, value: &str) -> BrokenRule {
    BrokenRule { field, message: format!("Duplicate value: {}", json!({ key: value })) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kube::CustomResourceExt as _;
    use serde_json::Value;

    use super::*;
    use crate::profile::BootProfile;

    /// A violation of a rule, with its field and message. The scenario `refused` sends the same to an API
    /// server.
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        field: String,
        message: String,
        spec: Value,
    }

    fn samples() -> Vec<Sample> {
        serde_saphyr::from_str(include_str!("../../tests/profiles/refused.yaml")).unwrap()
    }

    #[test]
    fn a_violation_of_a_rule_is_refused_with_its_message() {
        for Sample { field, message, spec } in samples() {
            let spec: BootProfileSpec = serde_json::from_value(spec).unwrap();
            assert_eq!(check(&spec), Err(BrokenRule { field, message }));
        }
    }

    /// Every rule of the CRD, at each of its places.
    #[test]
    fn each_rule_of_the_crd_has_an_equivalent_in_rust() {
        fn collect(schema: &Value, field: &str, rules: &mut BTreeSet<(String, String)>) {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                rules.insert((field.to_owned(), rule["message"].as_str().unwrap().to_owned()));
            }
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                collect(schema, &format!("{field}.{name}"), rules);
            }
            if schema["items"].is_object() {
                collect(&schema["items"], &format!("{field}[0]"), rules);
            }
        }
        let crd = serde_json::to_value(BootProfile::crd()).unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut rules = BTreeSet::new();
        collect(spec, "spec", &mut rules);
        assert!(rules.len() > 10, "{rules:?}");
        let known: BTreeSet<_> = samples().into_iter().map(|sample| (sample.field, sample.message)).collect();
        let missing: Vec<_> = rules.difference(&known).collect();
        assert!(
            missing.is_empty(),
            "core/tests/profiles/refused.yaml contains nothing that breaks {missing:#?}"
        );
    }
}
