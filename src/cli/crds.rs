//! `bootlace crds`: the custom resource definitions, generated from the Rust types.

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt as _;
use serde_json::Value;

use bootlace_core::abort::Abort;
use bootlace_core::output::Pipe;
use bootlace_core::profile::{BootProfile, BootProfileSpec};

/// Print the custom resource definitions.
#[derive(Debug, clap::Args)]
pub(super) struct CrdsArgs {
    /// Print only the definition of this resource.
    #[arg(value_name = "PLURAL")]
    resource: Option<Resource>,
}

/// The plural name of a custom resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub(super) enum Resource {
    BootProfiles,
    Pipes,
    Aborts,
}

pub(super) fn run(args: &CrdsArgs) -> anyhow::Result<()> {
    let all = [Resource::BootProfiles, Resource::Pipes, Resource::Aborts];
    let selected = all.into_iter().filter(|resource| args.resource.is_none_or(|name| name == *resource));
    let definitions = selected.map(yaml).collect::<Result<Vec<_>, _>>()?;
    print!("{}", definitions.join("---\n"));
    Ok(())
}

fn definition(resource: Resource) -> anyhow::Result<CustomResourceDefinition> {
    match resource {
        Resource::BootProfiles => {
            let spec = serde_json::to_value(BootProfileSpec::default())
                .context("failed to serialize the default spec")?;
            Ok(with_optional_spec(BootProfile::crd(), &spec))
        }
        Resource::Pipes => Ok(Pipe::crd()),
        Resource::Aborts => Ok(Abort::crd()),
    }
}

/// Makes `spec` optional in a definition.
///
/// If a manifest with `spec: {}` is applied server-side, the API server adds defaults, and the second
/// application of the same manifest removes the spec, because the applier owns none of the defaults
/// (kubernetes/kubernetes#117447). A default for the spec itself restores it. It contains all fields, because
/// the API server validates it before it adds the defaults of the fields. Empty objects in `spec` stay
/// unchanged.
fn with_optional_spec(mut crd: CustomResourceDefinition, default: &Value) -> CustomResourceDefinition {
    let schemas = crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
        if let Some(spec) = schema.properties.as_mut().and_then(|properties| properties.get_mut("spec")) {
            spec.default = Some(JSON(default.clone()));
        }
        let required = schema.required.take().unwrap_or_default();
        let required: Vec<_> = required.into_iter().filter(|name| name != "spec").collect();
        schema.required = Some(required).filter(|required| !required.is_empty());
    }
    crd
}

/// Serializes a definition as YAML.
pub(super) fn yaml(resource: Resource) -> anyhow::Result<String> {
    serde_saphyr::to_string(&definition(resource)?)
        .with_context(|| format!("failed to serialize the CRD of {resource:?}"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
    };
    use serde_json::json;

    use super::{Resource, definition, yaml};

    const ALL: [Resource; 3] = [Resource::BootProfiles, Resource::Pipes, Resource::Aborts];

    fn schema(resource: Resource) -> JSONSchemaProps {
        let version = definition(resource).unwrap().spec.versions.remove(0);
        version.schema.unwrap().open_api_v3_schema.unwrap()
    }

    /// Calls `visit` with every schema in `schema`, including itself, and its path.
    fn walk(schema: &JSONSchemaProps, place: &str, visit: &mut impl FnMut(&str, &JSONSchemaProps)) {
        visit(place, schema);
        for (name, property) in schema.properties.iter().flatten() {
            walk(property, &format!("{place}.{name}"), visit);
        }
        match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => walk(items, &format!("{place}[]"), visit),
            Some(JSONSchemaPropsOrArray::Schemas(_)) => {
                panic!("{place}: the API server supports only one schema of items")
            }
            None => {}
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            walk(values, &format!("{place}.*"), visit);
        }
        let parts = [&schema.all_of, &schema.any_of, &schema.one_of];
        for part in parts.into_iter().flatten().flatten().chain(schema.not.as_deref()) {
            walk(part, place, visit);
        }
    }

    /// The API server ignores other formats with a warning (`supportedVersionedFormats` and
    /// `StripUnsupportedFormatsPostProcessorForVersion` in kubernetes/apiextensions-apiserver,
    /// `pkg/apiserver/validation/formats.go`). For strings, those that every version supports and that are
    /// used here.
    fn is_known(type_: &str, format: &str) -> bool {
        match type_ {
            "integer" => ["int32", "int64"].contains(&format),
            "number" => ["float", "double"].contains(&format),
            "string" => ["date-time", "duration", "uri", "ipv4", "ipv6", "byte"].contains(&format),
            _ => false,
        }
    }

    #[test]
    fn the_api_server_supports_all_formats() {
        for resource in ALL {
            let mut integers = 0;
            walk(&schema(resource), "", &mut |place, schema| {
                let (type_, format) = (schema.type_.as_deref(), schema.format.as_deref());
                if let Some(format) = format {
                    let type_ = type_.unwrap_or_default();
                    assert!(is_known(type_, format), "{resource:?}{place}: {type_} of format {format}");
                }
                if type_ == Some("integer") {
                    integers += 1;
                    assert!(
                        format.is_some(),
                        "{resource:?}{place}: an integer needs a format, which limits its size"
                    );
                }
            });
            assert!(integers > 1, "{resource:?} has {integers} integers");
        }
    }

    #[test]
    fn conditions_have_the_type_of_kubernetes() {
        for resource in [Resource::BootProfiles, Resource::Pipes] {
            let schema = schema(resource);
            let status = &schema.properties.as_ref().unwrap()["status"];
            let conditions = &status.properties.as_ref().unwrap()["conditions"];
            assert_eq!(conditions.x_kubernetes_list_type.as_deref(), Some("map"));
            assert_eq!(conditions.x_kubernetes_list_map_keys, Some(vec!["type".to_owned()]));
            let Some(JSONSchemaPropsOrArray::Schema(one)) = &conditions.items else {
                panic!("{conditions:?}")
            };
            let required = ["lastTransitionTime", "message", "reason", "status", "type"];
            assert_eq!(one.required.as_deref(), Some(&required.map(str::to_owned)[..]));
            let properties = one.properties.as_ref().unwrap();
            assert_eq!(properties["lastTransitionTime"].format.as_deref(), Some("date-time"));
            assert_eq!(properties["observedGeneration"].minimum, Some(0.0));
            assert!(properties["type"].pattern.is_some() && properties["reason"].pattern.is_some());
            let statuses = properties["status"].enum_.as_ref().unwrap().iter().map(|value| value.0.clone());
            assert_eq!(statuses.collect::<Vec<_>>(), ["True", "False", "Unknown"]);
        }
    }

    #[test]
    fn an_object_without_a_status_is_not_ready() {
        let default = |resource| {
            let status = schema(resource).properties.unwrap().remove("status").unwrap();
            status.default.unwrap().0
        };
        assert_eq!(default(Resource::BootProfiles), json!({"observedGeneration": -1}));
        let conditions = json!([{
            "type": "Ready", "status": "Unknown", "reason": "Pending", "message": "the output is not stored yet",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }]);
        assert_eq!(default(Resource::Pipes), json!({ "conditions": conditions }));
    }

    #[test]
    fn the_chart_contains_the_generated_definitions() {
        let differs = "differs from the types: run `make manifests` and commit the result";
        let chart = include_str!("../../charts/bootlace/crds/bootprofiles.yaml");
        assert!(chart == yaml(Resource::BootProfiles).unwrap(), "the CRD of core/src/profile {differs}");
        let chart = include_str!("../../charts/bootlace/crds/pipes.yaml");
        assert!(chart == yaml(Resource::Pipes).unwrap(), "the CRD of core/src/output/pipe.rs {differs}");
        let chart = include_str!("../../charts/bootlace/crds/aborts.yaml");
        assert!(chart == yaml(Resource::Aborts).unwrap(), "the CRD of core/src/abort/record.rs {differs}");
    }

    #[test]
    fn a_boot_profile_needs_no_spec() {
        use bootlace_core::profile::BootProfileSpec;
        let profile = serde_json::to_value(schema(Resource::BootProfiles)).unwrap();
        assert_eq!(profile["required"], json!(null));
        let spec = &profile["properties"]["spec"];
        let default: BootProfileSpec = serde_json::from_value(spec["default"].clone()).unwrap();
        assert_eq!(default, BootProfileSpec::default());
        // The rules of the spec can use every field that has a default.
        let fields = spec["properties"].as_object().unwrap();
        for (name, field) in fields.iter().filter(|(_, field)| !field["default"].is_null()) {
            assert_eq!(spec["default"][name], field["default"], "{name}");
        }
        // A Pipe needs a spec.
        let pipe = serde_json::to_value(schema(Resource::Pipes)).unwrap();
        assert_eq!(pipe["required"], json!(["spec"]));
        assert_eq!(pipe["properties"]["spec"]["default"], json!(null));
    }
}
