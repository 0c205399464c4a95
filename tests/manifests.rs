//! Checks that the rendered manifests use the same names as the code.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use bootlace::profile_files;
use bootlace_core::identity::Identity;
use bootlace_core::names;
use bootlace_core::output::{Pipe, awaited, name, run_label};
use bootlace_core::plan::InstallationSettings;
use kube::Resource as _;
use serde_json::{Value, json};

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn webhooks() -> Vec<Value> {
    let manifests = documents(include_str!("../manifests/install.yaml"));
    let configuration = manifests
        .iter()
        .find(|document| document.pointer("/kind").unwrap() == "MutatingWebhookConfiguration")
        .expect("manifests/install.yaml has no MutatingWebhookConfiguration");
    configuration.pointer("/webhooks").unwrap().as_array().unwrap().clone()
}

/// The API server adds defaults to existing profiles when it reads them. The CRD is upgraded first, and the
/// webhook of the previous version accepts no profile with a field that it does not know. So a new field must
/// have no default in the CRD: `skip_serializing_if` removes it from the schema.
#[test]
fn no_new_field_of_the_profile_has_a_default_in_the_crd() {
    let crds = documents(include_str!("../charts/bootlace/crds/bootprofiles.yaml"));
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let fields = crds.iter().find_map(|crd| crd.pointer(spec)?.as_object()).unwrap();
    let with_default: Vec<_> =
        fields.iter().filter(|(_, schema)| schema.get("default").is_some()).map(|(name, _)| name).collect();
    assert_eq!(with_default, ["assets", "boot", "env", "hook", "pipes", "sources", "volume"]);
}

#[test]
fn the_api_server_selects_by_the_names_that_the_code_reads() {
    let [task, scheduler] = webhooks().try_into().expect("the configuration has two webhooks");
    assert_eq!(
        task.pointer("/objectSelector/matchExpressions").unwrap(),
        &json!([
            {"key": names::LABEL_TASK, "operator": "Exists"},
            {"key": names::LABEL_TASK, "operator": "NotIn", "values": [names::TASK_OFF]},
        ])
    );
    assert_eq!(
        scheduler.pointer("/objectSelector/matchExpressions").unwrap(),
        &json!([{"key": names::LABEL_TASK, "operator": "DoesNotExist"}])
    );
    let opted_in =
        json!({"key": names::LABEL_SCHEDULERS, "operator": "In", "values": [names::SCHEDULERS_ENABLED]});
    let expressions = scheduler.pointer("/namespaceSelector/matchExpressions").unwrap();
    assert!(expressions.as_array().unwrap().contains(&opted_in), "{expressions}");
    for webhook in [task, scheduler] {
        assert_eq!(webhook.pointer("/clientConfig/service/path").unwrap(), "/mutate");
        assert_eq!(
            webhook.pointer("/rules").unwrap(),
            &json!([{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
                "scope": "Namespaced",
            }])
        );
        assert_eq!(webhook.pointer("/clientConfig/caBundle"), None, "it would change with each rendering");
    }
}

/// The scenario `reviewed` compares the decisions of the conditions with the code. This test compares the
/// names.
#[test]
fn the_match_conditions_hold_the_names_that_the_code_writes() {
    for webhook in webhooks() {
        let conditions = webhook.pointer("/matchConditions").unwrap().as_array().unwrap().clone();
        let done = conditions.iter().find(|condition| condition["name"] == "is-not-done").unwrap();
        let done = done["expression"].as_str().unwrap();
        for part in [
            names::ANNOTATION_INJECTED,
            names::INJECTED_FIRST,
            names::CONTAINER_BOOT,
            names::CONTAINER_PIPE,
            names::ENV_SIGNATURE,
        ] {
            assert!(done.contains(&format!("'{part}'")), "{part} is not in {done}");
        }
    }
}

#[test]
fn the_deployment_runs_the_binary_as_the_images_user() {
    let manifests = documents(include_str!("../manifests/install.yaml"));
    let deployments: Vec<_> =
        manifests.iter().filter(|document| document.pointer("/kind").unwrap() == "Deployment").collect();
    assert_eq!(deployments.len(), 2);
    for deployment in deployments {
        let pod = deployment.pointer("/spec/template/spec").unwrap();
        let user = pod
            .pointer("/containers/0/securityContext/runAsUser")
            .or_else(|| pod.pointer("/securityContext/runAsUser"))
            .unwrap();
        assert_eq!(user, names::USER);
    }
}

#[test]
fn the_admission_policy_binds_the_store_by_the_names_that_the_code_writes() {
    let manifests = documents(include_str!("../manifests/install.yaml"));
    let policy = manifests
        .iter()
        .find(|document| document.pointer("/kind").unwrap() == "ValidatingAdmissionPolicy")
        .expect("manifests/install.yaml has no ValidatingAdmissionPolicy");
    let rules = policy.pointer("/spec/validations").unwrap().to_string();
    let run = run_label(&Identity::default()).len();
    for part in [
        format!("'^{}[0-9a-f]{{{}}}$'", names::SECRET_ENV_PREFIX, names::SECRET_ENV_DIGITS),
        format!("object.metadata.labels['{}'] == '{}'", names::LABEL_MANAGED_BY, names::MANAGED_BY),
        format!("'-[0-9a-f]{{{}}}$'", name::HASH_DIGITS),
        format!("'-{}-[0-9a-f]{{{}}}$'", awaited::MARK, name::HASH_DIGITS),
        format!("'{}' in object.metadata.labels", names::LABEL_PIPE_RUN),
        format!("all(key, key == '{}'", names::LABEL_MANAGED_BY),
        format!(
            "key == '{}' && object.metadata.labels[key].matches('^[0-9a-f]{{{run}}}$')",
            names::LABEL_PIPE_RUN
        ),
        format!("owner.apiVersion == '{}' && owner.kind == '{}'", Pipe::api_version(&()), Pipe::kind(&())),
    ] {
        assert!(rules.contains(&part), "{part} is not in {rules}");
    }
}

#[test]
fn the_examples_profiles_can_be_read() {
    for folder in [
        "examples",
        "examples/airflow",
        "examples/boot-image",
        "examples/context",
        "examples/hooks",
        "examples/links",
        "examples/monitor",
        "examples/optimus",
        "examples/schedulers",
        "examples/vault",
        "examples/volumes",
    ] {
        let profiles = profile_files::read(std::path::Path::new(folder)).unwrap();
        assert!(profiles.iter().next().is_some(), "{folder}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let chart: Value = serde_saphyr::from_str(include_str!("../charts/bootlace/Chart.yaml")).unwrap();
    assert_eq!(chart.pointer("/appVersion").unwrap(), env!("CARGO_PKG_VERSION"));
    assert!(InstallationSettings::default().boot_image.ends_with(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_reference_contains_every_name() {
    let reference = include_str!("../docs/reference.md");
    for name in [
        names::LABEL_TASK,
        names::LABEL_SCHEDULERS,
        names::SCHEDULERS_ENABLED,
        names::LABEL_PROFILE,
        names::ANNOTATION_INJECTED,
        names::ANNOTATION_CONTAINERS,
        names::ANNOTATION_ENTRYPOINT,
        names::ANNOTATION_ENV_MODE,
        names::ANNOTATION_DEFAULT_CONTAINER,
        names::ANNOTATION_INIT_IMAGE,
        names::ANNOTATION_LINK_PREFIX,
        names::ANNOTATION_PROGRESS,
        names::CONTAINER_BOOT,
        names::CONTAINER_INSTALL,
        names::CONTAINER_INIT,
        names::VOLUME,
        names::VOLUME_DATA,
        names::VOLUME_SOURCE_PREFIX,
        names::VOLUME_STORE,
        names::VOLUME_OUT,
        names::VOLUME_SECRET_PREFIX,
        names::MOUNT,
        names::MOUNT_SOURCES,
        names::MOUNT_STORE,
        names::AUDIENCE,
        names::SECRET_ENV_PREFIX,
        names::EVENT_CONTROLLER,
        names::EVENT_CONTROLLER_PIPE,
        names::FILE_LAUNCHER,
        names::FILE_ENV,
        names::DIR_ENV_KEEP,
        names::DIR_ENV_REFERENCES,
        names::DIR_ENV_FILE,
        names::DIR_ASSETS,
        names::FILE_OPTIMUS_ENV,
        names::FILE_OPTIMUS_SECRET,
        names::FILE_TASK,
        names::ENV_BOOT_SPEC,
        names::ENV_SIGNATURE,
        names::ENV_HELD_PREFIX,
        names::ANNOTATION_PIPE_OUT,
        names::ANNOTATION_PIPE_IN,
        names::ANNOTATION_RUN,
        names::ANNOTATION_WORKFLOW,
        names::CONTAINER_PIPE,
        names::VOLUME_RUN,
        names::VOLUME_PROGRESS,
        names::MOUNT_PROGRESS,
        names::ENV_PROGRESS,
        names::VOLUME_PIPE_PREFIX,
        names::MOUNT_RUN,
        names::MOUNT_SHARED,
        names::ENV_PIPES,
        names::CONTAINER_WAIT,
        names::CONTAINER_VOLUME_WAIT,
        names::ENV_WAIT,
        names::MOUNT_AWAITED,
        names::EVENT_CONTROLLER_WAIT,
        names::EVENT_CONTROLLER_HOOKS,
        names::ENV_HOOKS,
        names::ENV_POD_UID,
        names::ENV_ABORT,
        names::VOLUME_HOOK_PREFIX,
        names::MOUNT_HOOKS,
    ] {
        assert!(reference.contains(name), "docs/reference.md does not hold {name}");
    }
}

#[test]
fn the_contract_of_boot_images_contains_every_name() {
    use bootlace_launch::layout;
    let contract = include_str!("../docs/boot-images.md");
    for name in [
        names::ANNOTATION_INIT_IMAGE,
        names::CONTAINER_INSTALL,
        names::CONTAINER_INIT,
        names::CONTAINER_BOOT,
        names::IMAGE_INIT,
        names::MOUNT_OUT,
        names::MOUNT_SECRETS,
        names::FILE_TASK,
        names::ENV_OUT,
        names::ENV_SECRETS,
        names::ENV_TIMEOUT,
        names::ENV_PROFILE,
        names::ENV_NAMESPACE,
        names::ENV_POD,
        names::ENV_SCHEDULER,
        names::ENV_WORKFLOW,
        names::ENV_RUN,
        names::ENV_TASK,
        names::ENV_ATTEMPT,
        names::ENV_MAP_INDEX,
        names::ENV_SCHEDULED_TIME,
        layout::OUT_ENV,
        layout::OUT_ENVIRON,
        layout::OUT_FILES,
        layout::OUT_TMP,
    ] {
        assert!(contract.contains(name), "docs/boot-images.md does not contain {name}");
    }
}
