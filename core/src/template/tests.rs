use serde_json::{Value, json};

use super::*;
use crate::identity::Schedulers;
use crate::pod::{Json, Pod};

fn pod() -> Value {
    json!({
        "metadata": {
            "generateName": "load-",
            "labels": {
                "kubernetes_pod_operator": "True", "dag_id": "etl", "task_id": "../load",
                "run_id": "scheduled__2024-01-01T0000000000-654f198ec", "team": "a&b=c/d", "none": "",
            },
            "annotations": {"evil": "x\"}\n@host:80/?#%2e", "dots": "..", "dot": "."},
        },
        "spec": {"containers": [{"name": "base", "env": [
            {"name": "REGION", "value": "eu"}, {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
            {"name": "EXPANDED", "value": "$(REGION)-1"}, {"name": "PW", "value": "pa$word"},
            {"name": "OF_SECRET", "value": "$(SECRET)"}, {"name": "OF_LATER", "value": "$(LATER)"},
            {"name": "LATER", "value": "x"},
        ]}]},
    })
}

fn render(text: &str, slot: Slot) -> Result<String, String> {
    let value = pod();
    let json = Json::from(&value);
    let pod = Pod::read(&json).unwrap();
    let context = Context::new(&pod, "team-a", pod.containers.first(), Schedulers::built_in().detect(&pod));
    check(text, slot).map_err(|error| error.to_string())?;
    super::render(text, &context, slot).map_err(|error| error.to_string())
}

#[test]
fn variables_come_from_the_pod() {
    for (text, expected) in [
        ("{{ scheduler }}/{{ workflow }}/{{ namespace }}\n", "airflow/etl/team-a\n"),
        ("{{ scheduledTime[:10] }}", "2024-01-01"),
        ("{{ labels.dag_id }}-{{ labels[\"dag_id\"] | upper }}", "etl-ETL"),
        ("{{ env.REGION }}", "eu"),
        ("{{ env.PW | default(\"unset\") }}", "pa$word"),
        ("{{ env.EXPANDED }}", "eu-1"),
        ("{{ env.OF_SECRET | default(\"unset\") }}", "unset"),
        ("{{ mapIndex | default(\"0\") }}", "0"),
        ("{{ labels.none | default(\"empty\") }}", "empty"),
        ("{% if env.REGION == \"eu\" %}near{% else %}far{% endif %}", "near"),
        ("{% raw %}{{ as is }}{% endraw %}", "{{ as is }}"),
        ("{{ annotations.dots }}", ".."),
    ] {
        assert_eq!(render(text, Slot::Text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_missing_is_named_with_the_place() {
    for (text, variable, reason) in [
        ("{{ mapIndex }}", "mapIndex", "that Airflow's KubernetesPodOperator sets"),
        ("{{ pod }}", "pod", "generateName"),
        ("{{ labels.none }}", "labels[\"none\"]", "looked in metadata.labels"),
        ("{{ annotations.absent | upper }}", "annotations[\"absent\"]", "metadata.annotations"),
        ("{{ env.NONE }}", "env[\"NONE\"]", "looked in env of container \"base\""),
        ("{{ env.SECRET }}", "env[\"SECRET\"]", "its value comes from valueFrom"),
        ("{{ env.OF_SECRET }}", "env[\"OF_SECRET\"]", "it refers to $(SECRET), "),
        ("{{ env.OF_LATER }}", "env[\"OF_LATER\"]", "it refers to $(LATER), "),
        ("{% if labels.absent %}a{% endif %}", "labels[\"absent\"]", "metadata.labels"),
    ] {
        let message = render(text, Slot::Text).unwrap_err();
        assert!(
            message.contains(&format!("variable {variable} is")) && message.contains(reason),
            "{text}: {message}"
        );
    }
}

/// An annotation sets the run for every creator of the pod.
#[test]
fn the_error_for_an_unknown_run_names_the_annotation() {
    let message = |metadata: Value, text: &str| {
        let value = json!({"metadata": metadata, "spec": {"containers": [{"name": "main", "envFrom": []}]}});
        let json = Json::from(&value);
        let pod = Pod::read(&json).unwrap();
        let context =
            Context::new(&pod, "team-a", pod.containers.first(), Schedulers::built_in().detect(&pod));
        super::render(text, &context, Slot::Text).map_err(|error| error.to_string())
    };
    let flow = json!({
        "name": "fan-out-1", "labels": {"flows.example.com/workflow": "fan-out"},
        "ownerReferences": [{"kind": "Flow", "name": "fan-out"}],
    });
    for (text, remedy) in [
        ("{{ run }}", "set annotation bootlace.dev/run of the pod, or"),
        ("{{ workflow }}", "set annotations bootlace.dev/workflow and bootlace.dev/run of the pod"),
        (
            "{{ task }}",
            "set annotation bootlace.dev/run of the pod, so that the task has the name of the pod",
        ),
        ("{{ attempt }}", "use labels[\"…\"]"),
        ("{{ env.A }}", "container \"main\", whose envFrom is only read when it starts"),
    ] {
        let error = message(flow.clone(), text).unwrap_err();
        assert!(error.contains(remedy), "{text}: {error}");
    }
    // The remedies of the messages work.
    let mut named = flow;
    named["annotations"] = json!({"bootlace.dev/run": "r1"});
    assert_eq!(message(named.clone(), "{{ run }}/{{ task }}"), Ok("r1/fan-out-1".to_owned()));
    let error = message(named.clone(), "{{ workflow }}").unwrap_err();
    assert!(error.contains("set annotation bootlace.dev/workflow of the pod, or"), "{error}");
    named["annotations"]["bootlace.dev/workflow"] = json!("fan-out");
    assert_eq!(message(named, "{{ workflow }}"), Ok("fan-out".to_owned()));
}

#[test]
fn a_value_stays_one_thing_where_it_lands() {
    let evil = "{{ annotations.evil }}";
    let encoded = "x%22%7D%0A%40host%3A80%2F%3F%23%252e";
    assert_eq!(render(&format!("/a/{evil}/b"), Slot::UrlPath), Ok(format!("/a/{encoded}/b")));
    assert_eq!(render(evil, Slot::Form).as_deref(), Ok(encoded));
    // Autoescape of the template does not change this.
    let loud = "{% autoescape false %}{{ annotations.evil }}{% endautoescape %}";
    assert_eq!(render(loud, Slot::Form).as_deref(), Ok(encoded));
    let json = render(&format!("{{\"a\": \"{evil}\"}}"), Slot::Json).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), json!({"a": "x\"}\n@host:80/?#%2e"}));
    assert_eq!(render("sql/{{ workflow }}.sql", Slot::FilePath).as_deref(), Ok("sql/etl.sql"));
}

#[test]
fn no_value_leaves_its_folder() {
    for (text, slot) in [
        ("a/{{ labels.task_id }}", Slot::FilePath),
        ("a/{{ annotations.dots }}/b", Slot::FilePath),
        ("a/{{ annotations.dots }}/b", Slot::UrlPath),
        ("a/{{ annotations.dot }}{{ annotations.dot }}", Slot::UrlPath),
        ("a/%2E{{ annotations.dot }}/b", Slot::UrlPath),
        ("a\\{{ annotations.dots }}", Slot::UrlPath),
        ("a/.{{ annotations.dot }}/b", Slot::FilePath),
    ] {
        let message = render(text, slot).unwrap_err();
        assert!(message.contains("slash") || message.contains("leave the folder"), "{text}: {message}");
    }
}

#[test]
fn what_no_pod_could_make_work_is_found_when_it_is_read() {
    for (text, hint) in [
        ("a\n{{ workflow | shout }}", "line 2: filter \"shout\" not found"),
        ("{% if false %}{{ run | tojson }}{% endif %}", "filter \"tojson\" not found"),
        ("{% filter shout %}a{% endfilter %}", "filter \"shout\" not found"),
        ("{{ run | safe }}", "filter \"safe\" not found"),
        ("{{ wrkflow }}", "variable \"wrkflow\" not found"),
        ("{{ workflow", "line 1"),
        ("{% include \"/etc/passwd\" %}", "line 1"),
        ("{{ \"a\" * 1000000000 }}", "a multiplication"),
        ("{{ range(10) }}", "range"),
        ("{{ labels.items() }}", "a function call"),
        // Each of these could double a value with each line.
        ("{% set a = run ~ run %}{{ a }}", "a concatenation in set or with"),
        ("{% set a = run %}{% set a = a + a %}{{ a }}", "a concatenation in set or with"),
        ("{% with a = run ~ run %}{{ a }}{% endwith %}", "a concatenation in set or with"),
        ("{% set a %}{{ run }}{{ run }}{% endset %}{{ a }}", "a set block"),
        ("{% set a = [run, run] %}{{ a | join }}", "a list in set or with"),
        ("{% set a = {\"b\": run} %}{{ a.b }}", "a map in set or with"),
        ("{% filter upper %}{{ run }}{% endfilter %}", "a filter block"),
        (&format!("{{{{ run{} }}}}", " ~ run".repeat(65)), "more than 64 concatenations"),
    ] {
        let message = check(text, Slot::Text).unwrap_err().to_string();
        assert!(message.contains(hint), "{text}: {message}");
    }
}

#[test]
fn a_template_ends() {
    let nested = format!(
        "{{% for a in labels.dag_id %}}{{% for b in \"{}\" %}}{{{{ workflow }}}}{{% endfor %}}{{% endfor %}}",
        "x".repeat(40_000)
    );
    assert_eq!(render(&nested, Slot::Text).unwrap_err(), RenderError::TooLarge.to_string());
    let long = "x".repeat(MAX_BYTES) + "{{ workflow }}";
    assert_eq!(render(&long, Slot::Text).unwrap_err(), RenderError::TooLarge.to_string());
}

#[test]
fn what_does_not_grow_can_be_kept_in_a_name() {
    for (text, rendered) in [
        ("{% set t = labels[\"dag_id\"] | upper %}{{ t }}", "ETL"),
        ("{% set n = (\"2\" | int) + 1 %}{{ n }}", "3"),
        ("{{ workflow ~ \"/\" ~ namespace }}", "etl/team-a"),
        ("{{ \"a.b.c\" | split(\".\") | join(\"-\") }}", "a-b-c"),
        ("{{ \"a.b.c\" | replace(\".\", \"\") }}", "abc"),
        ("{{ [1, \"x\"] | join }}", "1x"),
    ] {
        assert_eq!(render(text, Slot::Text).as_deref(), Ok(rendered), "{text}");
    }
}

/// Annotations can have 256 KiB, and a filter must not produce their square.
#[test]
fn the_result_of_a_filter_is_limited_like_a_template() {
    let long = "a".repeat(2_000);
    for text in [
        format!("{{{{ \"{long}\" | replace(\"a\", \"{long}\") | length }}}}"),
        format!("{{{{ \"{long}\" | split(\"a\") | join(\"{long}\") | length }}}}"),
    ] {
        assert_eq!(render(&text, Slot::Text).unwrap_err(), RenderError::TooLarge.to_string());
    }
    assert!(render("{{ [[1], [2]] | join }}", Slot::Text).unwrap_err().contains("a list or a map"));
}

#[test]
fn a_list_is_no_text() {
    let message = render("{{ labels }}", Slot::Text).unwrap_err();
    assert!(message.contains("is not a string"), "{message}");
}

#[test]
fn a_header_is_one_line_and_a_name_is_one() {
    let evil = "{{ annotations.evil }}";
    assert!(render(evil, Slot::Header).unwrap_err().contains("a line break"));
    assert!(render("team\r\nX: {{ labels.team }}", Slot::Header).unwrap_err().contains("a line break"));
    assert_eq!(render("team {{ labels.team }}", Slot::Header).as_deref(), Ok("team a&b=c/d"));
    for dots in ["{{ annotations.dots }}", "{{ annotations.dot }}", "{% if workflow == \"a\" %}b{% endif %}"]
    {
        assert!(render(dots, Slot::Name).unwrap_err().contains("not a valid name"), "{dots}");
    }
    assert_eq!(render("{{ labels.task_id }}", Slot::Name).as_deref(), Ok("../load"));
}

#[test]
fn in_an_images_reference_a_value_names_no_other_registry() {
    let reference = |value: &str| format!("registry.example.com/team/sql:{value}");
    assert_eq!(render(&reference("{{ workflow }}-1"), Slot::ImageReference), Ok(reference("etl-1")));
    for evil in ["{{ labels.team }}", "{{ annotations.evil }}", "{{ labels.task_id }}"] {
        let message = render(&reference(evil), Slot::ImageReference).unwrap_err();
        assert!(message.contains("not allowed in a tag"), "{evil}: {message}");
    }
}

#[test]
fn in_an_attribute_a_value_is_part_of_one_name() {
    for (text, expected) in [
        ("{{ workflow }}-login", "etl-login"),
        ("/export/{{ workflow }}", "/export/etl"),
        ("a{{ labels.none | default('') }}", "a"),
    ] {
        assert_eq!(render(text, Slot::Attribute).as_deref(), Ok(expected));
    }
    let above = render("a/../{{ workflow }}", Slot::Attribute).unwrap_err();
    assert!(above.contains("could leave the folder"), "{above}");
    for evil in ["team", "task_id"].map(|label| format!("{{{{ labels.{label} }}}}")) {
        let message = render(&evil, Slot::Attribute).unwrap_err();
        assert!(message.contains("meaning for the driver"), "{evil}: {message}");
    }
    for evil in ["evil", "dots", "dot"].map(|name| format!("a/{{{{ annotations.{name} }}}}")) {
        let message = render(&evil, Slot::Attribute).unwrap_err();
        assert!(message.contains("meaning for the driver"), "{evil}: {message}");
    }
}

#[test]
fn in_json_a_value_adds_nothing_but_text() {
    for (text, expected) in [
        (
            r#"{"a": "x {{ workflow }}\" {{ task }}", "n": {{ scheduledTime[:4] | int }}}"#,
            r#"{"a": "x etl\" ../load", "n": 2024}"#,
        ),
        (r#"[{% if mapIndex is defined %}"{{ mapIndex }}"{% endif %}]"#, "[]"),
    ] {
        assert_eq!(render(text, Slot::Json).as_deref(), Ok(expected));
    }
    for (text, hint) in [
        (r#"{"a": {{ labels.team }}}"#, "line 1: a value in JSON must be in a string"),
        ("{\"a\":\n{{ labels.n | int | string }}}", "line 2: a value in JSON must be in a string"),
        (r#"{"a\\": "b", "c": "d" {{ workflow }}}"#, "must be in a string"),
        (r#"{"a": "{{ workflow }}"#, "not valid JSON (line 1"),
    ] {
        let message = render(text, Slot::Json).unwrap_err();
        assert!(message.contains(hint), "{text}: {message}");
    }
}
