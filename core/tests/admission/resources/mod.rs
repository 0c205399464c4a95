//! Resources of injected containers: a pod that a namespace accepts is also accepted after injection, with
//! the same QoS class.

mod kubernetes;
mod properties;

use bootlace_core::admission::{self, Decision, Injection};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles, Version};
use bootlace_core::profile::Profile;
use kubernetes::{class, invalid, pair};
use serde_json::{Value, json};

fn recipes(profile: &Value) -> PreparedProfiles {
    let spec = serde_json::from_value(profile.clone()).unwrap();
    let profile = Profile { name: "default".to_owned(), generation: 2, spec };
    let store = Some(StoreEndpoint { url: "https://store".to_owned(), ca: String::new() });
    let settings = InstallationSettings {
        store,
        kubernetes: Version::read("1", "37"),
        ..InstallationSettings::default()
    };
    PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap()
}

fn pod(outputs: bool, spec: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "etl", "labels": {names::LABEL_TASK: "true"}, "annotations": {names::ANNOTATION_RUN: "r1"}},
        "spec": spec,
    });
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            container["image"] = json!("etl");
            container["command"] = json!(["run"]);
        }
    }
    if outputs {
        pod["metadata"]["annotations"][names::ANNOTATION_PIPE_OUT] =
            json!("- {key: A, file: /a, kind: ConfigMap, container: main}");
    }
    pod
}

fn decide(pod: &Value, profile: &Value) -> Result<Injection, String> {
    match admission::admit(pod.clone(), "team", &recipes(profile)) {
        Decision::Inject(injection) => Ok(*injection),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Refuse(refusal) => Err(refusal.message),
    }
}

/// The resources of the injected container `name`.
fn resources<'a>(injection: &'a Injection, name: &str) -> &'a Value {
    let all = injection.pod["spec"]["initContainers"].as_array().unwrap();
    &all.iter().find(|container| container["name"] == name).unwrap()["resources"]
}

fn one(resources: &Value) -> Value {
    json!({"containers": [{"name": "main", "resources": resources}]})
}

#[test]
fn every_class_is_kept() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        name: String,
        class: String,
        #[serde(default)]
        outputs: bool,
        refused: Option<String>,
        spec: Value,
    }
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("../../../../tests/pods/resources.yaml")).unwrap();
    assert!(cases.len() > 30);
    for Case { name, class: expected, outputs, refused, spec } in cases {
        let pod = pod(outputs, &spec);
        assert_eq!(class(&pod), expected, "{name}");
        assert_eq!(invalid(&pod), None, "{name}");
        match (decide(&pod, &json!({})), refused) {
            (Ok(injection), None) => {
                assert_eq!(class(&injection.pod), expected, "{name}: {}", injection.pod["spec"]);
                assert_eq!(invalid(&injection.pod), None, "{name}: {}", injection.pod["spec"]);
            }
            (Err(message), Some(sentence)) => assert!(message.contains(&sentence), "{name}: {message}"),
            (decided, _) => panic!("{name}: {:?}", decided.map(|injection| injection.pod)),
        }
    }
}

#[test]
fn boot_has_what_the_largest_container_has() {
    let small =
        json!({"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}});
    let large = json!({"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "4Gi"}});
    let spec =
        json!({"containers": [{"name": "main", "resources": small}, {"name": "b", "resources": large}]});
    let injection = decide(&pod(false, &spec), &json!({})).unwrap();
    let expected =
        json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "4Gi"}});
    assert_eq!(resources(&injection, names::CONTAINER_BOOT), &expected);
    assert_eq!(injection.warnings, Vec::<String>::new());
    // Original text, without absent fields.
    let limits = json!({"limits": {"cpu": 1, "memory": "1024Mi"}});
    let injection = decide(&pod(false, &one(&limits)), &json!({})).unwrap();
    assert_eq!(
        resources(&injection, names::CONTAINER_BOOT),
        &json!({"limits": {"cpu": "1", "memory": "1024Mi"}})
    );
    assert_eq!(
        resources(&decide(&pod(false, &one(&json!({}))), &json!({})).unwrap(), names::CONTAINER_BOOT),
        &Value::Null
    );
}

#[test]
fn what_the_profile_says_counts_as_far_as_the_class_allows() {
    let profile = json!({"boot": {"resources": {
        "requests": {"cpu": "50m", "memory": "100Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"},
    }}});
    let boot = |spec: &Value, profile: &Value| {
        let injection = decide(&pod(false, spec), profile).unwrap();
        resources(&injection, names::CONTAINER_BOOT).clone()
    };
    let both = |cpu: &str, memory: &str| json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}});
    // Guaranteed: at least the requests, else at most the limits of the pod.
    assert_eq!(
        boot(&one(&json!({"limits": {"cpu": "100m", "memory": "256Mi"}})), &profile),
        both("100m", "256Mi")
    );
    assert_eq!(
        boot(&one(&json!({"limits": {"cpu": "10m", "memory": "64Mi"}})), &profile),
        both("50m", "100Mi")
    );
    assert_eq!(
        boot(&one(&json!({"limits": {"cpu": "4", "memory": "8Gi"}})), &profile),
        both("500m", "512Mi")
    );
    // Burstable and BestEffort: exactly as in the profile.
    let expected = &profile["boot"]["resources"];
    assert_eq!(&boot(&one(&json!({"requests": {"cpu": "1m"}})), &profile), expected);
    assert_eq!(&boot(&one(&json!({})), &profile), expected);
    // The pod-level resources are the bound.
    let own =
        json!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}, "containers": [{"name": "main"}]});
    assert_eq!(boot(&own, &profile), Value::Null);
    // If only one is set, the other is that of the container, adjusted to it.
    let burstable =
        json!({"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}});
    let half = |half: Value| {
        boot(&one(&burstable), &json!({"volume": {"sizeLimit": "8Mi"}, "boot": {"resources": half}}))
    };
    assert_eq!(
        half(json!({"requests": {"memory": "128Mi"}})),
        json!({"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}})
    );
    assert_eq!(
        half(json!({"limits": {"cpu": "50m", "memory": "24Mi"}})),
        json!({"requests": {"cpu": "50m", "memory": "24Mi"}, "limits": {"cpu": "50m", "memory": "24Mi"}})
    );
}

#[test]
fn a_pod_with_too_few_resources_gets_those_of_boot_and_a_warning() {
    let injection =
        decide(&pod(false, &one(&json!({"limits": {"cpu": "10m", "memory": "12Mi"}}))), &json!({})).unwrap();
    let expected =
        json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}});
    // Original text: the limit alone implies the request, except for the raised value.
    let boot = resources(&injection, names::CONTAINER_BOOT);
    assert_eq!(pair(&json!({"resources": boot}), "memory"), pair(&json!({"resources": expected}), "memory"));
    assert_eq!(boot["limits"]["cpu"], "10m");
    assert!(injection.warnings[0].contains("12Mi") && injection.warnings[0].contains("16Mi"));
    // A Burstable pod keeps its request.
    let spec = one(&json!({"requests": {"memory": "4Mi"}, "limits": {"memory": "12Mi"}}));
    let injection = decide(&pod(false, &spec), &json!({})).unwrap();
    let expected = json!({"requests": {"memory": "4Mi"}, "limits": {"memory": "16Mi"}});
    assert_eq!(resources(&injection, names::CONTAINER_BOOT), &expected);
    // Memory for inline sources is included.
    let files = json!({"big.txt": "x".repeat(400 << 10)});
    let profile = json!({"sources": [{"name": "a", "inline": {"files": files}}]});
    let error = decide(
        &pod(false, &json!({"resources": {"limits": {"memory": "16Mi"}}, "containers": [{"name": "main"}]})),
        &profile,
    );
    let error = error.map(drop).unwrap_err();
    for detail in ["pod etl", "16Mi", "\"bootlace-boot\"", "17Mi", "[BL1211]"] {
        assert!(error.contains(detail), "{error}");
    }
}

#[test]
fn a_volume_that_uses_much_memory_of_the_pod_causes_a_warning() {
    let network = |more: Value| {
        let mut source =
            json!({"name": "model", "http": {"url": "https://models.example.com", "file": "model.bin"}});
        for (name, value) in more.as_object().unwrap() {
            source[name] = value.clone();
        }
        json!({"sources": [{"name": "settings", "inline": {"env": {"A": "1"}}}, source]})
    };
    let warnings = |memory: &str, profile: &Value| {
        let tight =
            json!({"limits": {"memory": memory, "cpu": "1"}, "requests": {"memory": "32Mi", "cpu": "100m"}});
        decide(&pod(false, &one(&tight)), profile).unwrap().warnings
    };
    let [warning] = &warnings("64Mi", &network(json!({})))[..] else { panic!("one warning is expected") };
    for part in [
        "up to 64Mi",
        "source \"model\": 64Mi",
        "limit of the pod of 64Mi",
        "limits.size",
        "volume.sizeLimit",
    ] {
        assert!(warning.contains(part), "{part:?} is not in {warning}");
    }
    // There is no warning if there is enough memory, or if the sources are limited or small.
    let none = Vec::<String>::new();
    assert_eq!(warnings("256Mi", &network(json!({}))), none);
    assert_eq!(warnings("64Mi", &network(json!({"limits": {"size": "8Mi"}}))), none);
    let objects = json!({"sources": [{"name": "a", "secret": {"name": "a", "into": "Env"}}, {"name": "b", "configMap": {"name": "b"}}]});
    for profile in [json!({}), objects] {
        assert_eq!(warnings("64Mi", &profile), none, "{profile}");
        assert_eq!(warnings("32Mi", &profile), none, "{profile}");
    }
    // A limit of the boot container counts for the pod, and a container without a limit means that the pod
    // has none.
    let mut generous = network(json!({}));
    generous["boot"] = json!({"resources": {"limits": {"memory": "256Mi"}}});
    assert_eq!(warnings("64Mi", &generous), none);
    let free = json!({"containers": [{"name": "main", "resources": {"limits": {"memory": "64Mi"}}}, {"name": "free"}]});
    assert_eq!(decide(&pod(false, &free), &network(json!({}))).unwrap().warnings, none);
    // The pod-level limit counts too.
    let own =
        json!({"resources": {"limits": {"cpu": "1", "memory": "64Mi"}}, "containers": [{"name": "main"}]});
    assert_eq!(decide(&pod(false, &own), &network(json!({}))).unwrap().warnings.len(), 1);
}

#[test]
fn a_sidecar_asks_for_little_and_keeps_to_the_ratio_of_the_pods_containers() {
    let sidecar = |container: Value| {
        let injection = decide(&pod(true, &one(&container)), &json!({})).unwrap();
        resources(&injection, names::CONTAINER_PIPE).clone()
    };
    let of = |request: [&str; 2], limit: [&str; 2]| {
        let map = |of: [&str; 2]| json!({"cpu": of[0], "memory": of[1]});
        json!({"requests": map(request), "limits": map(limit)})
    };
    // Guaranteed: both are equal, and far below the limits of other pods.
    assert_eq!(
        sidecar(json!({"limits": {"cpu": "1", "memory": "1Gi"}})),
        of(["20m", "32Mi"], ["20m", "32Mi"])
    );
    assert_eq!(sidecar(of(["1", "1Gi"], ["2", "2Gi"])), of(["10m", "16Mi"], ["20m", "32Mi"]));
    assert_eq!(sidecar(of(["10m", "32Mi"], ["2", "2Gi"])), of(["5m", "16Mi"], ["200m", "64Mi"]));
    assert_eq!(sidecar(of(["10m", "8Mi"], ["100m", "48Mi"])), of(["5m", "16Mi"], ["50m", "48Mi"]));
    // If a container has no limit, limits are not restricted.
    assert_eq!(
        sidecar(json!({"requests": {"cpu": "1", "memory": "1Gi"}})),
        of(["5m", "16Mi"], ["200m", "64Mi"])
    );
    assert_eq!(
        sidecar(json!({"limits": {"cpu": "1"}})),
        json!({"requests": {"cpu": "20m"}, "limits": {"cpu": "20m"}})
    );
    assert_eq!(sidecar(json!({})), Value::Null);
}
