//! Templates of a profile, rendered at admission for pods that schedulers created.

use bootlace_core::admission::{self, Decision};
use bootlace_core::plan::{BootSpec, InstallationSettings, PreparedProfiles};
use bootlace_core::profile::{BootProfile, Profile};
use serde_json::{Value, json};

use super::scheduler_pods;

fn recipes(sources: &Value) -> PreparedProfiles {
    let profile: BootProfile = serde_json::from_value(json!({
        "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile", "metadata": {"name": "default"},
        "spec": {"sources": sources},
    }))
    .unwrap();
    let profile = Profile::try_from(profile).unwrap();
    PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap()
}

fn admit(pod: Value, sources: &Value) -> Result<Value, String> {
    match admission::admit(pod, "etl", &recipes(sources)) {
        Decision::Inject(injection) => {
            let boot = injection.pod["spec"]["initContainers"].as_array().unwrap().last().unwrap().clone();
            let spec: BootSpec<'_> = serde_json::from_str(boot["env"][0]["value"].as_str().unwrap()).unwrap();
            Ok(serde_json::to_value(spec.sources).unwrap())
        }
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Refuse(refusal) => Err(refusal.message),
    }
}

#[test]
fn env_files_and_paths_are_filled_in() {
    let sources = json!([
        {"name": "plain", "inline": {"env": {"A": "b"}}},
        {"name": "filled", "inline": {
            "env": {"DAY": "{{ scheduledTime[:10] }}", "PLAIN": "as it is"},
            "files": {"sql/{{ task }}.sql": "select * from {{ namespace }}.t -- {{ run }}\n", "b": "c"},
        }},
    ]);
    let filled = admit(scheduler_pods::pod("airflow-operator-scheduled.json"), &sources).unwrap();
    assert_eq!(filled[0], json!({"name": "plain", "from": {"inline": {"env": {"A": "b"}}}}));
    assert_eq!(
        filled[1]["from"]["inline"],
        json!({
            "env": {"DAY": "2026-01-02", "PLAIN": "as it is"},
            "files": {
                "b": "c",
                "sql/load.sql": "select * from etl.t -- scheduled__2026-01-02T030405.6000000000-aeca828f9\n",
            },
        })
    );
}

/// Like the kubelet: only `$(NAME)` is a reference, and only to an earlier variable.
#[test]
fn a_literal_dollar_is_no_reference() {
    let pod = |env: &Value| {
        json!({
            "metadata": {"name": "pw", "labels": {"bootlace.dev/task": "true"}},
            "spec": {"containers": [{"name": "main", "command": ["true"], "env": env}]},
        })
    };
    let value = |env: Value, text: &str| {
        let sources = json!([{"name": "s", "inline": {"env": {"X": text}}}]);
        admit(pod(&env), &sources).map(|sources| sources[0]["from"]["inline"]["env"]["X"].clone())
    };
    let default = "{{ env.PW | default('unset') }}";
    for (given, expected) in
        [("pa$word", "pa$word"), ("$", "$"), ("$$", "$"), ("$$(X)", "$(X)"), ("$(", "$("), ("a$", "a$")]
    {
        assert_eq!(value(json!([{"name": "PW", "value": given}]), default), Ok(json!(expected)), "{given}");
    }
    let refers = json!([{"name": "A", "value": "a$"}, {"name": "PW", "value": "$(A)b"}]);
    assert_eq!(value(refers.clone(), default), Ok(json!("a$b")));
    // The boot container gets the value unchanged, and nothing expands it.
    let later = json!([{"name": "PW", "value": "$(B)"}, {"name": "B", "value": "b"}]);
    assert_eq!(value(later.clone(), default), Ok(json!("unset")));
    let refusal = value(later, "{{ env.PW }}").unwrap_err();
    assert!(
        refusal.contains("variable env[\"PW\"] is") && refusal.contains("it refers to $(B)"),
        "{refusal}"
    );
}

#[test]
fn what_a_pod_does_not_tell_refuses_it_with_the_place() {
    let sources = json!([{"name": "settings", "inline": {"env": {"DAY": "{{ scheduledTime }}"}}}]);
    let message = admit(scheduler_pods::pod("airflow-operator-manual.json"), &sources).unwrap_err();
    for part in [
        "pod load:",
        "BootProfile \"default\", source \"settings\", inline.env[\"DAY\"]: ",
        "Airflow's KubernetesPodOperator",
        "scheduledTime | default",
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

#[test]
fn a_path_that_a_value_would_lead_astray_refuses_the_pod() {
    let sources = json!([{"name": "s", "inline": {"files": {"a/{{ labels.team }}": "x"}}}]);
    for evil in ["../../bin/launch", "..", "a/b"] {
        let mut pod = scheduler_pods::pod("airflow-operator-manual.json");
        pod["metadata"]["labels"]["team"] = json!(evil);
        let message = admit(pod, &sources).unwrap_err();
        assert!(message.contains("path \"a/{{ labels.team }}\" in inline.files"), "{message}");
    }
    let two = json!([{"name": "s", "inline": {"files": {"{{ task }}": "x", "load": "y"}}}]);
    let message = admit(scheduler_pods::pod("airflow-operator-manual.json"), &two).unwrap_err();
    assert!(message.contains("\"load\" is also the path of another file"), "{message}");
}

/// An `http` source.
fn http(more: &Value) -> Value {
    let mut http = json!({"url": "https://git.example.com/api", "file": "a"});
    http.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([{"name": "git", "http": http}])
}

fn oci(more: &Value) -> Value {
    let mut oci = json!({"reference": "r.example.com/a:v1"});
    oci.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([{"name": "assets", "oci": oci}])
}

fn optimus(more: &Value) -> Value {
    let mut optimus = json!({
        "host": "http://optimus:9100", "project": "sales", "job": "daily", "scheduledAt": "2026-01-02T00:00:00Z",
        "instanceName": "bq2bq",
    });
    optimus.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([{"name": "job", "optimus": optimus}])
}

fn store(more: &Value) -> Value {
    let mut store = json!({"s3": {"bucket": "assets"}, "prefix": "jobs"});
    store.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([{"name": "objects", "objectStore": store}])
}

/// A pod whose label `team` is `value`.
fn labelled(value: &str) -> Value {
    let mut pod = scheduler_pods::pod("airflow-operator-scheduled.json");
    pod["metadata"]["labels"]["team"] = json!(value);
    pod
}

#[test]
fn requests_are_filled_in_as_each_place_has_it() {
    let team = "a&b=c/d \"e\" %2e%2e";
    let sources = http(&json!({
        "method": "POST",
        "path": "{{ task }}/{{ labels.team }}.sql",
        "query": {"ref": "{{ labels.team }}", "x": "as it is"},
        "body": "{\"team\": \"{{ labels.team }}\", \"year\": {{ scheduledTime[:4] | int }}}",
        "file": "sql/{{ task }}.sql",
        "client": {"headers": [{"name": "X-Team", "value": "team {{ labels.team }}"}]},
    }));
    let filled = admit(labelled(team), &sources).unwrap();
    let request = &filled[0]["from"]["http"]["request"];
    assert_eq!(request["path"], "load/a%26b%3Dc%2Fd%20%22e%22%20%252e%252e.sql");
    // Boot encodes these.
    assert_eq!(request["query"], json!({"ref": team, "x": "as it is"}));
    let body: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
    assert_eq!(body, json!({"team": team, "year": 2026}));
    assert_eq!(request["file"], "sql/load.sql");
    assert_eq!(request["client"]["headers"], json!([{"name": "X-Team", "value": format!("team {team}")}]));
    assert_eq!(request["url"], "https://git.example.com/api");

    let form = http(&json!({
        "method": "POST", "contentType": "application/x-www-form-urlencoded; charset=utf-8",
        "body": "team={{ labels.team }}&x=1",
    }));
    let filled = admit(labelled(team), &form).unwrap();
    let body = &filled[0]["from"]["http"]["request"]["body"];
    assert_eq!(body, "team=a%26b%3Dc%2Fd%20%22e%22%20%252e%252e&x=1");

    let archive = http(&json!({
        "file": null, "archive": {"path": "dags/{{ workflow }}", "prefix": "{{ task }}/"},
    }));
    let filled = admit(labelled(team), &archive).unwrap();
    let archive = &filled[0]["from"]["http"]["request"]["archive"];
    assert_eq!(
        (&archive["path"], &archive["prefix"]),
        (&json!("dags/dailyreport-f9bb99ed0"), &json!("load/"))
    );

    let objects =
        store(&json!({"prefix": "jobs/{{ workflow }}/{{ scheduledTime[:10] }}", "folder": "in/{{ task }}"}));
    let filled = admit(labelled(team), &objects).unwrap();
    let request = &filled[0]["from"]["objectStore"]["request"];
    assert_eq!(
        (&request["prefix"], &request["folder"]),
        (&json!("jobs/dailyreport-f9bb99ed0/2026-01-02"), &json!("in/load"))
    );

    let job = optimus(&json!({
        "project": "{{ namespace }}", "job": "{{ labels.team }}", "scheduledAt": "{{ scheduledTime }}",
        "instanceName": "{{ task }}-{{ attempt }}",
    }));
    let filled = admit(labelled(team), &job).unwrap();
    let request = &filled[0]["from"]["optimus"]["request"];
    assert_eq!((&request["project"], &request["job"]), (&json!("etl"), &json!(team)));
    assert_eq!(request["scheduledAt"], "2026-01-02T03:04:05.6Z");
    assert_eq!(request["instanceName"], "load-2");

    let assets = oci(&json!({"reference": "r.example.com/{{ namespace }}/a:{{ task }}-{{ attempt }}"}));
    let filled = admit(labelled(team), &assets).unwrap();
    assert_eq!(filled[0]["from"]["oci"]["request"]["reference"], "r.example.com/etl/a:load-2");
}

#[test]
fn a_value_that_would_leave_its_place_refuses_the_pod() {
    let header = json!({"client": {"headers": [{"name": "X-Team", "value": "{{ labels.team }}"}]}});
    for (sources, evil, field) in [
        (http(&json!({"path": "a/{{ labels.team }}/b"})), "..", "http.path: the result \"a/../b\""),
        (http(&json!({"path": "a/%2e{{ labels.team }}"})), ".", "http.path: the result \"a/%2e.\""),
        (store(&json!({"prefix": "jobs/{{ labels.team }}"})), "a/b", "objectStore.prefix: value \"a/b\""),
        (store(&json!({"folder": "{{ labels.team }}"})), "..", "objectStore.folder: the result \"..\""),
        (http(&json!({"file": "sql/{{ labels.team }}"})), "a/b", "http.file: value \"a/b\""),
        (http(&json!({"file": "sql/{{ labels.team }}"})), "..", "http.file: the result \"sql/..\""),
        (http(&header), "a\r\nX-Admin: true", "client.headers[\"X-Team\"]: value \"a\\r\\nX-Admin: true\""),
        (optimus(&json!({"job": "{{ labels.team }}"})), "..", "optimus.job: the result \"..\""),
        (
            optimus(&json!({"project": "{{ labels.team }}"})),
            "",
            "optimus.project: template variable labels[\"team\"]",
        ),
        (
            oci(&json!({"reference": "r.example.com/{{ labels.team }}/a:v1"})),
            "b@evil",
            "oci.reference: value \"b@evil\"",
        ),
        (oci(&json!({"path": "sql/{{ labels.team }}"})), "a/b", "oci.path: value \"a/b\""),
    ] {
        let message = admit(labelled(evil), &sources).unwrap_err();
        assert!(message.contains(field), "{field} is not in: {message}");
    }
}

#[test]
fn a_profile_whose_templates_could_work_for_no_pod_does_not_come_into_force() {
    let body = |kind: &str| json!({"method": "POST", "contentType": kind, "body": "<a>{{ run }}</a>"});
    for (sources, problem) in [
        (
            http(&json!({"path": "{{ wrkflow }}"})),
            "source \"git\", http.path: variable \"wrkflow\" not found",
        ),
        (
            http(&json!({"query": {"q": "{{ run | shout }}"}})),
            "http.query[\"q\"]: line 1: filter \"shout\" not found",
        ),
        (http(&json!({"query": {"{{ run }}": "a"}})), "name in http.query: a template is not allowed here"),
        (http(&json!({"url": "https://{{run}}.example.com"})), "http.url: a template is not allowed here"),
        (
            http(&json!({"client": {"proxy": "http://{{run}}"}})),
            "client.proxy: a template is not allowed here",
        ),
        (http(&body("application/xml")), "http.body: a template is not allowed here"),
        (http(&body("application/json")), "http.body: line 1: a value in JSON"),
        (
            oci(&json!({"reference": "{{run}}.example.com/a:v1"})),
            "registry of oci.reference: a template is not allowed here",
        ),
        (
            oci(&json!({"reference": "{{run | replace('a/b', 'c')}}:v1"})),
            "registry of oci.reference: a template is not allowed here",
        ),
        (optimus(&json!({"host": "http://{{run}}:9100"})), "optimus.host: a template is not allowed here"),
        (
            store(&json!({"s3": {"bucket": "assets", "endpoint": "http://{{run}}"}})),
            "objectStore.s3.endpoint: a template is not allowed here",
        ),
        (store(&json!({"prefix": "{{ run | shout }}"})), "objectStore.prefix: line 1: filter \"shout\""),
        (optimus(&json!({"scheduledAt": "{{ run"})), "source \"job\", optimus.scheduledAt: line 1"),
    ] {
        let profile: BootProfile = serde_json::from_value(json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile", "metadata": {"name": "default"},
            "spec": {"sources": sources},
        }))
        .unwrap();
        let message = Profile::try_from(profile).unwrap_err().to_string();
        assert!(message.contains(problem), "{problem} is not in: {message}");
    }
}
