//! Overlays: what they change, what they keep, and what they are refused for.

use bootlace_core::admission::{self, Decision, Injection};
use bootlace_core::code::Code;
use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::profile::Profile;
use bootlace_core::review::Refusal;
use serde_json::{Value, json};

/// A profile with these overlays, if it is valid.
pub(crate) fn recipes(overlays: &Value) -> Result<PreparedProfiles, String> {
    let spec = serde_json::from_value(json!({"overlays": overlays})).map_err(|error| error.to_string())?;
    let profile = Profile::new("default", 1, spec).map_err(|error| error.to_string())?;
    Ok(PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap())
}

pub(crate) fn decide(pod: &Value, recipes: &PreparedProfiles) -> Result<Injection, Refusal> {
    match admission::admit(pod.clone(), "etl", recipes) {
        Decision::Inject(injection) => Ok(*injection),
        Decision::Refuse(refusal) => Err(refusal),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
    }
}

fn inject(pod: &Value, overlays: &Value) -> Value {
    decide(pod, &recipes(overlays).unwrap()).unwrap_or_else(|refusal| panic!("refused: {refusal}")).pod
}

fn refused(pod: &Value, overlays: &Value) -> Refusal {
    decide(pod, &recipes(overlays).unwrap()).map(|injection| injection.pod).unwrap_err()
}

/// A pod with a task container `main` and a sidecar.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true", "team": "a"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "main", "image": "busybox:1", "command": ["run"], "env": [{"name": "LEVEL", "value": "info"}],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                },
                {"name": "side", "image": "busybox:1", "command": ["side"]},
            ],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "x-future": {"list": [1, 2]},
        },
    })
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = pod();
    change(&mut pod);
    pod
}

/// One overlay with a partial pod.
fn overlay(pod: &Value) -> Value {
    json!([{"name": "one", "pod": pod}])
}

fn container<'v>(pod: &'v Value, name: &str) -> &'v Value {
    pod["spec"]["containers"].as_array().unwrap().iter().find(|container| container["name"] == name).unwrap()
}

fn names_in(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().filter_map(|element| element["name"].as_str()).collect()
}

#[test]
fn values_are_added_and_those_of_the_pod_stay() {
    let change = json!({
        "metadata": {"labels": {"team": "b", "cost": "{{ labels.team }}-{{ namespace }}"}},
        "spec": {"priorityClassName": "low", "restartPolicy": "Always", "x-future": {"other": true, "list": [3]}},
    });
    let injection = decide(&pod(), &recipes(&overlay(&change)).unwrap()).unwrap();
    let (labels, spec) = (&injection.pod["metadata"]["labels"], &injection.pod["spec"]);
    assert_eq!((&labels["team"], &labels["cost"]), (&json!("a"), &json!("a-etl")));
    assert_eq!((&spec["priorityClassName"], &spec["restartPolicy"]), (&json!("low"), &json!("Never")));
    assert_eq!(spec["x-future"], json!({"list": [1, 2], "other": true}));
    let [applied] = &*injection.overlays else { panic!("{:?}", injection.overlays) };
    assert_eq!(applied.kept, ["/metadata/labels/team", "/spec/restartPolicy", "/spec/x-future/list"]);
    let mark: Value = serde_json::from_str(
        injection.pod["metadata"]["annotations"][names::ANNOTATION_INJECTED].as_str().unwrap(),
    )
    .unwrap();
    assert_eq!(mark["overlays"], json!(["one"]));
}

#[test]
fn override_replaces_values() {
    let change = json!([{"name": "one", "override": true, "pod": {
        "metadata": {"labels": {"team": "b"}},
        "spec": {
            "volumes": [{"name": "data", "configMap": {"name": "c"}}],
            "containers": [{"name": "main", "image": "busybox:2", "env": [{"name": "LEVEL", "value": "debug"}]}],
        },
    }}]);
    let injected = inject(&pod(), &change);
    assert_eq!(injected["metadata"]["labels"]["team"], "b");
    // A volume of two kinds would be invalid.
    assert_eq!(injected["spec"]["volumes"][0], json!({"name": "data", "configMap": {"name": "c"}}));
    let main = container(&injected, "main");
    assert_eq!(
        (&main["image"], &main["env"]),
        (&json!("busybox:2"), &json!([{"name": "LEVEL", "value": "debug"}]))
    );
}

#[test]
fn a_star_is_every_task_container_and_no_other() {
    let change =
        json!({"spec": {"containers": [{"name": "*", "env": [{"name": "A", "value": "{{ env.LEVEL }}"}]}]}});
    let variables = |pod: &Value| {
        let injected = inject(pod, &overlay(&change));
        ["main", "side"].map(|name| {
            let env = container(&injected, name)["env"].as_array().cloned().unwrap_or_default();
            env.iter().any(|variable| *variable == json!({"name": "A", "value": "info"}))
        })
    };
    assert_eq!(variables(&pod()), [true, false]);
    let both = json!({names::ANNOTATION_CONTAINERS: "main,side"});
    assert_eq!(variables(&with(|pod| pod["metadata"]["annotations"] = both)), [true, true]);
}

/// Otherwise, an overlay could turn its own container into the task of some schedulers.
#[test]
fn the_task_containers_are_those_of_the_original_pod() {
    let proxy = json!({"name": "proxy", "image": "proxy:1", "command": ["proxy"]});
    let set = json!({"metadata": {"annotations": {names::ANNOTATION_DEFAULT_CONTAINER: "proxy"}},
                     "spec": {"containers": [proxy]}});
    let injected = inject(&pod(), &overlay(&set));
    let boots = |name| container(&injected, name)["command"][0] == "/bootlace/bin/launch";
    assert_eq!(["main", "side", "proxy"].map(boots), [true, false, false]);
    assert_eq!(names_in(&injected["spec"]["containers"]), ["main", "side", "proxy"]);
}

#[test]
fn each_overlay_sees_the_result_of_the_one_before() {
    let chain = json!([
        {"name": "first", "pod": {"metadata": {"labels": {"queue": "gpu"}}}},
        {"name": "second", "when": "labels.queue == 'gpu'", "pod": {"metadata": {"annotations": {"from": "{{ labels.queue }}"}}}},
        {"name": "third", "when": "annotations.from != 'gpu'", "pod": {"spec": {"priorityClassName": "never"}}},
        {"name": "fourth", "pod": {"spec": {"priorityClassName": "high"}}},
        {"name": "fifth", "pod": {"spec": {"priorityClassName": "low"}}},
    ]);
    let injection = decide(&pod(), &recipes(&chain).unwrap()).unwrap();
    let applied: Vec<_> = injection.overlays.iter().map(|overlay| overlay.name.as_str()).collect();
    assert_eq!(applied, ["first", "second", "fourth", "fifth"]);
    assert_eq!(injection.pod["metadata"]["annotations"]["from"], "gpu");
    assert_eq!(injection.pod["spec"]["priorityClassName"], "high");
    assert_eq!(injection.overlays[3].kept, ["/spec/priorityClassName"]);
}

#[test]
fn a_name_that_is_taken_is_refused_with_both_sides_or_renamed() {
    let volume = |content: Value| json!([{"name": "data", "configMap": content}]);
    let mounts = json!([{"name": "data", "mountPath": "/config"}]);
    let change = json!({"spec": {"volumes": volume(json!({"name": "c"})), "containers": [{"name": "*", "volumeMounts": mounts}]}});
    let refusal = refused(&pod(), &overlay(&change));
    assert_eq!(refusal.message_code, Code::OverlayNameTaken);
    for part in ["overlay \"one\"", "/spec/volumes", "\"data\"", "the pod"] {
        assert!(refusal.message.contains(part), "{part} is not in: {refusal}");
    }

    let chain = json!([
        {"name": "one", "pod": {"spec": {"volumes": [{"name": "tmp", "emptyDir": {}}]}}},
        {"name": "two", "pod": {"spec": {"volumes": [{"name": "tmp", "configMap": {"name": "c"}}]}}},
    ]);
    let refusal = refused(&pod(), &chain);
    assert!(
        refusal.message.contains("overlay \"two\"") && refusal.message.contains("set by overlay \"one\""),
        "{refusal}"
    );

    let renamed = json!([{"name": "one", "rename": true, "pod": change}]);
    let injected = inject(&pod(), &renamed);
    let volumes = names_in(&injected["spec"]["volumes"]);
    assert!(volumes.starts_with(&["data", "data-2"]), "{volumes:?}");
    let mounts = container(&injected, "main")["volumeMounts"].as_array().unwrap();
    let mount = |name, path| json!({"name": name, "mountPath": path});
    assert_eq!(mounts[..2], [mount("data", "/data"), mount("data-2", "/config")]);
}

/// The API server adds defaults to the pod before it calls webhooks.
#[test]
fn the_same_content_is_no_conflict() {
    let change = json!({"spec": {
        "volumes": [{"name": "c", "configMap": {"name": "c"}}],
        "containers": [{"name": "proxy", "image": "proxy:1", "ports": [{"containerPort": 80}]}],
    }});
    let mut has_all = pod();
    has_all["spec"]["volumes"] = json!([{"name": "c", "configMap": {"name": "c", "defaultMode": 420}}]);
    has_all["spec"]["containers"].as_array_mut().unwrap().push(json!({
        "name": "proxy", "image": "proxy:1", "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "terminationMessagePath": "/dev/termination-log",
    }));
    has_all["spec"]["containers"][0].as_object_mut().unwrap().remove("volumeMounts");
    for conflicts in [json!({}), json!({"rename": true}), json!({"override": true})] {
        let mut overlay = json!({"name": "one", "pod": change});
        overlay.as_object_mut().unwrap().extend(conflicts.as_object().unwrap().clone());
        let injection = decide(&has_all, &recipes(&json!([overlay])).unwrap()).unwrap();
        assert_eq!(injection.overlays[0].operations, 0, "{:?}", injection.patch);
    }
}

#[test]
fn containers_are_amended_added_and_renamed() {
    let amend = overlay(&json!({"spec": {"containers": [{"name": "side", "imagePullPolicy": "Always"}]}}));
    assert_eq!(container(&inject(&pod(), &amend), "side")["imagePullPolicy"], "Always");

    let unknown = overlay(&json!({"spec": {"containers": [{"name": "base", "imagePullPolicy": "Always"}]}}));
    let refusal = refused(&pod(), &unknown);
    assert_eq!(refusal.message_code, Code::OverlayContainerUnknown);
    assert!(refusal.message.contains("\"main\", \"side\""), "{refusal}");

    // Names are unique among both lists.
    let other = json!({"spec": {"initContainers": [{"name": "side", "image": "proxy:1", "restartPolicy": "Always",
        "env": [{"name": "M", "valueFrom": {"resourceFieldRef": {"containerName": "side", "resource": "limits.memory"}}}]}]}});
    assert_eq!(refused(&pod(), &overlay(&other)).message_code, Code::OverlayNameTaken);
    let injected = inject(&pod(), &json!([{"name": "one", "rename": true, "pod": other}]));
    let added = &injected["spec"]["initContainers"][0];
    assert_eq!(added["name"], "side-2");
    assert_eq!(added["env"][0]["valueFrom"]["resourceFieldRef"]["containerName"], "side-2");
    assert_eq!(injected["spec"]["initContainers"][1]["name"], names::CONTAINER_BOOT);
}

#[test]
fn optional_overlays_are_named_by_the_pod_in_its_order() {
    let label = |value: &str| json!({"metadata": {"labels": {"x": value}}});
    let chain = json!([
        {"name": "a", "optional": true, "pod": label("a")},
        {"name": "b", "optional": true, "pod": label("b")},
        {"name": "c", "optional": true, "when": "labels.team == 'none'", "pod": label("c")},
        {"name": "all", "pod": {"metadata": {"labels": {"y": "all"}}}},
    ]);
    let recipes = recipes(&chain).unwrap();
    let asked = |list: &str| {
        decide(
            &with(|pod| pod["metadata"]["annotations"] = json!({names::ANNOTATION_OVERLAYS: list})),
            &recipes,
        )
    };
    let applied = |injection: &Injection| -> Vec<String> {
        injection.overlays.iter().map(|overlay| overlay.name.clone()).collect()
    };
    let none = decide(&pod(), &recipes).unwrap();
    assert_eq!(
        (applied(&none), &none.pod["metadata"]["labels"]["x"]),
        (vec!["all".to_owned()], &json!(null))
    );
    for (list, expected, x) in [("a, b", ["all", "a", "b"], "a"), ("b,a", ["all", "b", "a"], "b")] {
        let injection = asked(list).unwrap();
        assert_eq!(applied(&injection), expected);
        assert_eq!(injection.pod["metadata"]["labels"]["x"], x);
    }
    let not_met = asked("c").unwrap();
    assert_eq!(applied(&not_met), ["all"]);
    assert!(
        not_met.warnings.iter().any(|warning| warning.contains("overlay \"c\"")),
        "{:?}",
        not_met.warnings
    );
    for (list, code) in [
        ("d", Code::OverlayUnknown),
        ("all", Code::OverlayUnknown),
        ("a,a", Code::OverlaysInvalid),
        (" , ", Code::OverlaysInvalid),
    ] {
        let refusal = asked(list).map(|injection| injection.pod).unwrap_err();
        assert_eq!(refusal.message_code, code, "{list}");
    }
    let refusal = asked("d").map(|injection| injection.pod).unwrap_err();
    assert!(refusal.message.contains("use one of \"a\", \"b\", \"c\""), "{refusal}");
}

#[test]
fn a_condition_must_be_known_for_the_pod() {
    let chain =
        |when: &str| json!([{"name": "one", "when": when, "pod": {"spec": {"priorityClassName": "a"}}}]);
    for (when, is_met) in [
        ("labels.team == 'a' and namespace == 'etl'", true),
        ("labels.queue is defined", false),
        ("labels.queue | default('') in ['gpu', 'spot']", false),
        ("not (labels.team in ['b', 'c'])", true),
        ("true", true),
    ] {
        let class = &inject(&pod(), &chain(when))["spec"]["priorityClassName"];
        assert_eq!(!class.is_null(), is_met, "{when}");
    }
    for (when, part) in [
        ("labels.queue == 'gpu'", "variable labels[\"queue\"] is undefined"),
        ("labels.queue", "variable labels[\"queue\"] is undefined"),
        ("labels.team", "instead of true or false"),
        ("mapIndex == '1'", "variable mapIndex is undefined"),
    ] {
        let refusal = refused(&pod(), &chain(when));
        assert_eq!(refusal.message_code, Code::OverlayNotEvaluated, "{when}");
        assert!(refusal.message.contains(part), "{part} is not in: {refusal}");
    }
}

#[test]
fn a_json_patch_adds_tests_and_copies() {
    let patch = |operations: &Value| json!([{"name": "one", "jsonPatch": operations}]);
    let chain = patch(&json!([
        {"op": "test", "path": "/spec/restartPolicy", "value": "Never"},
        {"op": "add", "path": "/metadata/labels/cost", "value": "{{ labels.team }}"},
        {"op": "add", "path": "/spec/containers/0/env/-", "value": {"name": "A", "value": "{{ namespace }}"}},
        {"op": "add", "path": "/spec/containers/-", "value": {"name": "proxy", "image": "proxy:1"}},
        {"op": "copy", "from": "/spec/containers/0/image", "path": "/metadata/annotations"},
    ]));
    assert!(recipes(&chain).unwrap_err().contains("jsonPatch[4].path"), "a place that cannot change");
    let mut operations = chain[0]["jsonPatch"].as_array().unwrap().clone();
    operations[4]["path"] = json!("/spec/x-future/image");
    let injected = inject(&pod(), &patch(&Value::Array(operations)));
    assert_eq!(injected["metadata"]["labels"]["cost"], "a");
    assert_eq!(container(&injected, "main")["env"][1], json!({"name": "A", "value": "etl"}));
    assert_eq!(container(&injected, "proxy")["image"], "proxy:1");
    assert_eq!(injected["spec"]["x-future"]["image"], "busybox:1");
    for (operation, code) in [
        (json!({"op": "add", "path": "/spec/tolerations/-", "value": {}}), Code::OverlayPathNotFound),
        (json!({"op": "copy", "from": "/spec/nothing", "path": "/spec/x-a"}), Code::OverlayPathNotFound),
        (json!({"op": "test", "path": "/spec/restartPolicy", "value": "Always"}), Code::OverlayTestFailed),
        (
            json!({"op": "add", "path": "/spec/volumes/-", "value": {"name": "data", "hostPath": {}}}),
            Code::OverlayNameTaken,
        ),
        (
            json!({"op": "add", "path": "/spec/initContainers/-", "value": {"name": "side", "image": "x"}}),
            Code::OverlayNameTaken,
        ),
    ] {
        let pod = with(|pod| pod["spec"]["initContainers"] = json!([{"name": "init", "image": "busybox:1"}]));
        assert_eq!(refused(&pod, &patch(&json!([operation]))).message_code, code, "{operation}");
    }
    let replaces = json!([{"name": "one", "override": true, "jsonPatch": [
        {"op": "replace", "path": "/spec/restartPolicy", "value": "OnFailure"},
    ]}]);
    assert_eq!(inject(&pod(), &replaces)["spec"]["restartPolicy"], "OnFailure");
}

/// The plan checks the pod with its overlays, and names them.
#[test]
fn the_result_passes_the_checks_of_the_pod() {
    let change = json!({"spec": {
        "volumes": [{"name": "own", "emptyDir": {}}],
        "containers": [{"name": "*", "volumeMounts": [{"name": "own", "mountPath": "/var/assets"}]}],
    }});
    let refusal = refused(&pod(), &overlay(&change));
    assert_eq!(refusal.message_code, Code::MountConflict);
    assert!(refusal.message.contains("pod task with overlay \"one\": container \"main\""), "{refusal}");
    let arch = overlay(&json!({"spec": {"nodeSelector": {"kubernetes.io/arch": "s390x"}}}));
    assert_eq!(refused(&pod(), &arch).message_code, Code::ArchitectureNotSupported);
    let label = overlay(&json!({"metadata": {"labels": {"team-of": "{{ namespace }}/{{ labels.team }}"}}}));
    assert_eq!(refused(&pod(), &label).message_code, Code::OverlayLabelInvalid);
    let list = json!({"metadata": {}, "spec": {"x-future": ["a"]}});
    assert_eq!(refused(&pod(), &overlay(&list)).message_code, Code::OverlayTypeDiffers);
}

/// The env of the pod wins over that of boot, and an overlay is part of the pod.
#[test]
fn variables_of_an_overlay_win_over_those_of_boot() {
    let spec = json!({
        "sources": [{"name": "a", "inline": {"env": {"REGION": "of-boot", "OTHER": "x"}}}],
        "overlays": overlay(&json!({"spec": {"containers": [{"name": "*", "env": [{"name": "REGION", "value": "eu"}]}]}})),
    });
    let profile = Profile::new("default", 1, serde_json::from_value(spec).unwrap()).unwrap();
    let recipes =
        PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
    let injected = decide(&pod(), &recipes).unwrap().pod;
    let boot = injected["spec"]["initContainers"][0]["env"][0]["value"].as_str().unwrap();
    let boot: bootlace_core::plan::BootSpec<'_> = serde_json::from_str(boot).unwrap();
    assert_eq!(serde_json::to_value(&boot.keep["main"]).unwrap(), json!(["REGION"]));
}

/// Overlays that cannot work for any pod, with a part of the message of their profile.
fn assert_invalid(overlays: &[(Value, &str)]) {
    for (overlay, part) in overlays {
        let mut named = json!({"name": "one"});
        named.as_object_mut().unwrap().extend(overlay.as_object().unwrap().clone());
        let problem = recipes(&json!([named])).map(|_| ()).unwrap_err();
        assert!(problem.contains(part), "{part:?} is not in: {problem}");
    }
}

#[test]
fn a_profile_with_an_invalid_overlay_does_not_become_active() {
    let spec = |spec: Value| json!({"pod": {"spec": spec}});
    let deep = (0..30).fold(json!({}), |inner, _| json!({ "a": inner }));
    assert_invalid(&[
        (
            json!({"when": "lables.team == 'a'", "pod": {}}),
            "when: variable \"lables\" not found: use one of scheduler",
        ),
        (json!({"when": "labels.team ==", "pod": {}}), "when: not a valid condition"),
        (json!({"when": "{{ labels.team }}", "pod": {}}), "when: not a valid condition"),
        (json!({"when": "labels.team | shout == 'A'", "pod": {}}), "filter \"shout\" not found"),
        (json!({"when": "range(9) | length > 1", "pod": {}}), "not found"),
        (
            spec(json!({"priorityClassName": "{{ queue }}"})),
            "pod.spec.priorityClassName: variable \"queue\" not found",
        ),
        (
            json!({"pod": {"metadata": {"labels": {"bootlace.dev/task": "x"}}}}),
            "pod.metadata.labels.bootlace.dev/task: \"bootlace.dev/task\" is reserved",
        ),
        (
            json!({"pod": {"metadata": {"annotations": {"a.bootlace.dev/b": "x"}}}}),
            "is reserved for Bootlace",
        ),
        (json!({"pod": {"metadata": {"name": "x"}}}), "pod.metadata.name: overlays cannot change this field"),
        (json!({"pod": {"status": {}}}), "overlays cannot change this field"),
        (json!({"pod": {"metadata": {"labels": {"{{ task }}": "x"}}}}), "a template is not allowed here"),
        (json!({"pod": {"metadata": {"labels": {"a": "b c"}}}}), "is not a valid label value"),
        (
            spec(json!({"containers": [{"name": "bootlace-boot", "image": "x"}]})),
            "spec.containers[0].name: \"bootlace-boot\" is reserved",
        ),
        (spec(json!({"volumes": [{"name": "bootlace"}]})), "is reserved for Bootlace"),
        (
            spec(json!({"containers": [{"name": "*", "env": [{"name": "BOOTLACE_SPEC"}]}]})),
            "is reserved for Bootlace",
        ),
        (
            spec(
                json!({"containers": [{"name": "*", "volumeMounts": [{"name": "bootlace-store", "mountPath": "/x"}]}]}),
            ),
            "is reserved",
        ),
        (spec(json!({"initContainers": [{"name": "*"}]})), "is not a valid container name"),
        (spec(json!({"containers": [{"name": "{{ task }}"}]})), "it identifies the element"),
        (spec(json!({"containers": [{"image": "a"}]})), "the element has no name"),
        (spec(json!({"volumes": [{"name": "a"}, {"name": "a"}]})), "\"a\" occurs twice"),
        (spec(json!({"priorityClassName": null})), "remove the null"),
        (spec(json!({"$patch": "replace"})), "remove the directive"),
        (spec(json!({"ephemeralContainers": []})), "overlays cannot change this field"),
        (spec(json!({"containers": "x"})), "spec.containers must be an array"),
        (spec(deep), "exceed the limit of 24"),
        (spec((0..5000).map(|n| (format!("f{n}"), json!(1))).collect()), "exceed the limit of 4000"),
        (spec((0..200).map(|n| (format!("f{n}"), json!("{{ task }}"))).collect()), "exceed the limit of 128"),
        (spec(json!({"a": "x".repeat(200_000)})), "exceed the limit of 131072"),
        (json!({}), "must have exactly one kind"),
        (json!({"pod": {}, "override": true, "rename": true}), "override replaces what rename would keep"),
    ]);
    let twice = json!([{"name": "one", "pod": {}}, {"name": "one", "pod": {}}]);
    assert!(recipes(&twice).unwrap_err().contains("Duplicate value"));
}

#[test]
fn a_profile_with_an_invalid_json_patch_does_not_become_active() {
    let patch = |op: Value| json!({"jsonPatch": [op]});
    assert_invalid(&[
        (
            patch(json!({"op": "add", "path": "/status/x", "value": 1})),
            "jsonPatch[0].path: overlays cannot change",
        ),
        (patch(json!({"op": "add", "path": "/spec", "value": {}})), "overlays cannot change"),
        (patch(json!({"op": "add", "path": "/spec/containers", "value": []})), "overlays cannot change"),
        (patch(json!({"op": "add", "path": "/spec/containers/0", "value": {}})), "only added at the end"),
        (patch(json!({"op": "add", "path": "/spec/a~2", "value": {}})), "is not a valid JSON pointer"),
        (patch(json!({"op": "add", "path": "/spec/{{ task }}", "value": {}})), "a template is not allowed"),
        (
            patch(json!({"op": "add", "path": "/spec/volumes/-", "value": {"name": "bootlace-x"}})),
            "is reserved",
        ),
        (
            patch(json!({"op": "add", "path": "/metadata/labels/bootlace.dev~1task", "value": "x"})),
            "is reserved",
        ),
        (patch(json!({"op": "add", "path": "/spec/containers/0/env", "value": "x"})), "must be an array"),
        (patch(json!({"op": "add", "path": "/spec/x"})), "have a value and no field from"),
        (patch(json!({"op": "copy", "path": "/spec/x", "value": 1})), "copy has the field from"),
        (patch(json!({"op": "replace", "path": "/spec/x", "value": 1})), "requires override"),
        (patch(json!({"op": "remove", "path": "/spec/x"})), "unknown variant `remove`"),
    ]);
}

#[test]
fn what_is_added_is_bounded_for_all_task_containers_together() {
    let containers: Vec<_> =
        (0..200).map(|n| json!({"name": format!("c{n}"), "image": "x", "command": ["run"]})).collect();
    let all: Vec<_> = (0..200).map(|n| format!("c{n}")).collect();
    let pod = with(|pod| {
        pod["spec"]["containers"] = json!(containers);
        pod["metadata"]["annotations"] = json!({names::ANNOTATION_CONTAINERS: all.join(",")});
    });
    let env: Vec<_> = (0..100).map(|n| json!({"name": format!("V{n}"), "value": "x"})).collect();
    let change = overlay(&json!({"spec": {"containers": [{"name": "*", "env": env}]}}));
    assert_eq!(refused(&pod, &change).message_code, Code::OverlaysTooLarge);
}
