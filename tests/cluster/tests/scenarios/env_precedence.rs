//! The precedence of variables, and the values of `$(NAME)`: the same in every env mode.

use anyhow::{Context, Result};
use bootlace_cluster::images::KIT;
use bootlace_cluster::scenario::{Namespace, Process, scenario};
use serde_json::{Map, Value, json};

use crate::env_modes::MODES;

/// Variables that must have the same value in every mode: their names, the values in the source, and the
/// expected values.
struct Table {
    rows: Vec<(&'static str, String, String)>,
}

/// Values that all modes support.
fn common() -> Table {
    let row = |name, value: &str, expected: &str| (name, value.to_owned(), expected.to_owned());
    let lines = ["x".repeat(10_000), "é".repeat(5_000)].join("\n").repeat(5);
    Table {
        rows: vec![
            row("PLAIN", "boot", "boot"),
            row("BOTH", "boot", "boot"),
            row("POD", "boot", "pod"),
            row("POD_EMPTY", "boot", ""),
            row("FROM_MAP", "boot", "map"),
            row("PRE_FROM_MAP", "boot", "map"),
            row("FROM_SECRET", "boot", "secret"),
            row("MAP_AND_POD", "boot", "pod"),
            row("PERHAPS_HERE", "boot", "map"),
            row("PERHAPS_GONE", "boot", "boot"),
            row("PYTHONPATH", "/opt/lib", "/opt/lib"),
            row("LINES", "one\n  two\n\n", "one\n  two\n\n"),
            row("QUOTES", "\"double\" `back` \\ $HOME # =", "\"double\" `back` \\ $HOME # ="),
            row("REFERENCE", "$(POD) $$", "$(POD) $$"),
            row("UTF8", "grüße, 東京 🚀", "grüße, 東京 🚀"),
            ("LARGE", lines.clone(), lines),
        ],
    }
}

/// Values that the mode `File` does not support.
fn unsupported_by_file() -> Table {
    let same = |name, value: &str| (name, value.to_owned(), value.to_owned());
    Table {
        rows: vec![
            same("EMPTY", ""),
            same("SINGLE", "it's '' quoted'"),
            same("WINDOWS", "one\r\ntwo\r\n"),
            same("LARGE_LINE", &"x".repeat(100_000)),
        ],
    }
}

impl Table {
    fn profile(&self) -> String {
        let variables = self.rows.iter().map(|(name, value, _)| (*name, value.as_str())).chain([
            ("SELF", "boot"),
            ("SELF_OF_MAP", "boot"),
            ("POD_LATE", "boot"),
        ]);
        let env: Map<_, _> = variables.map(|(name, value)| (name.to_owned(), value.into())).collect();
        let keys: Vec<_> = env.keys().cloned().collect();
        json!({
            "env": {"allow": ["PYTHON*"], "file": {"keys": keys}},
            "sources": [{"name": "settings", "inline": {"env": env}}],
        })
        .to_string()
    }

    fn check(&self, process: &Process) {
        for (name, _, expected) in &self.rows {
            let actual = process.env(name).map(|value| String::from_utf8_lossy(value).into_owned());
            assert_eq!(actual.as_ref(), Some(expected), "{name}");
        }
    }
}

/// A task with variables of every kind, which prints its env and its arguments.
fn pod(namespace: &Namespace, mode: &str) -> Value {
    let value = |name: &str, value: &str| json!({"name": name, "value": value});
    let perhaps = |name: &str, key: &str| {
        let from = json!({"configMapKeyRef": {"name": "settings", "key": key, "optional": true}});
        json!({"name": name, "valueFrom": from})
    };
    // In the mode `Hook` the entrypoint must source the file.
    let command = match mode {
        "Hook" => {
            let script = r#"until [ -f ~/.env ]; do sleep 0.05; done; . ~/.env; exec /probe "$@""#;
            json!(["sh", "-c", script, "sh"])
        }
        _ => json!(["/probe"]),
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": mode.to_lowercase(),
            "labels": {"bootlace.dev/task": namespace.name()},
            "annotations": {"bootlace.dev/env-mode": mode},
        },
        "spec": {"restartPolicy": "Never", "containers": [{
            "name": "main", "image": KIT, "command": command,
            "args": ["argv", "environ", "--", "$(PLAIN)", "$$(PLAIN)", "$(URL)", "$(NONE)$(POD)", "$(FROM_MAP)"],
            "envFrom": [
                {"configMapRef": {"name": "settings"}},
                {"configMapRef": {"name": "settings"}, "prefix": "PRE_"},
                {"secretRef": {"name": "login"}},
                {"secretRef": {"name": "nobody-made-it", "optional": true}},
            ],
            "env": [
                value("POD", "pod"),
                value("POD_EMPTY", ""),
                value("MAP_AND_POD", "pod"),
                value("URL", "$(PLAIN)://$(POD):$(FROM_MAP)/$$(PLAIN)$(LATER)"),
                value("LINK", "<$(URL)>"),
                value("LATER", "later"),
                value("BUILT", "$(BUILT):$(OF_IMAGE)"),
                value("SELF", "$(SELF):pod"),
                value("SELF_OF_MAP", "$(SELF_OF_MAP):pod"),
                value("EARLY", "$(POD_LATE)"),
                value("POD_LATE", "pod"),
                value("LATE", "$(POD_LATE)"),
                perhaps("PERHAPS_HERE", "FROM_MAP"),
                perhaps("PERHAPS_GONE", "nobody-wrote-it"),
            ],
        }]},
    })
}

/// Checks the references in the arguments and variables of the pod. In the mode `Hook`, the variables of boot
/// are set too late for them.
fn check_references(mode: &str, process: &Process) {
    let plain = if mode == "Hook" { "$(PLAIN)" } else { "boot" };
    let url = format!("{plain}://pod:map/$(PLAIN)$(LATER)");
    let expected = [plain, "$(PLAIN)", &url, "$(NONE)pod", "map"];
    let argv: Vec<_> = process.argv.iter().map(|word| String::from_utf8_lossy(word)).collect();
    assert_eq!(argv.get(argv.len() - expected.len()..).unwrap(), expected);
    let env = |name: &str| process.env(name).map(|value| String::from_utf8_lossy(value).into_owned());
    assert_eq!(env("URL"), Some(url.clone()));
    assert_eq!(env("LINK"), Some(format!("<{url}>")));
    let boot_value = |name: &str| if mode == "Hook" { format!("$({name})") } else { "boot".to_owned() };
    assert_eq!(env("SELF"), Some(format!("{}:pod", boot_value("SELF"))));
    // Before the variable in `env`, a reference has the value of boot; after it, that of the pod.
    assert_eq!(env("EARLY"), Some(boot_value("POD_LATE")));
    assert_eq!((env("POD_LATE").as_deref(), env("LATE").as_deref()), (Some("pod"), Some("pod")));
    // `envFrom` overrides the value of boot in references too.
    assert_eq!(env("SELF_OF_MAP").as_deref(), Some("map:pod"));
    // The kubelet does not resolve references to variables of the image.
    assert_eq!(env("BUILT").as_deref(), Some("$(BUILT):$(OF_IMAGE)"));
    assert_eq!(env("OF_IMAGE").as_deref(), Some("image"));
}

async fn create_sources(namespace: &Namespace) -> Result<()> {
    let object = |kind: &str, name: &str, data: Value| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "stringData": data.clone(), "data": data});
    let mut map = object(
        "ConfigMap",
        "settings",
        json!({"FROM_MAP": "map", "MAP_AND_POD": "map", "SELF_OF_MAP": "map"}),
    );
    map.as_object_mut().unwrap().remove("stringData");
    let mut secret = object("Secret", "login", json!({"FROM_SECRET": "secret"}));
    secret.as_object_mut().unwrap().remove("data");
    for object in [map, secret] {
        namespace.create(&object.to_string()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_pods_own_wins_over_boot_and_boot_over_the_image() -> Result<()> {
    scenario("env-precedence")
        .run(async |namespace| {
            create_sources(namespace).await?;
            namespace.profile(&common().profile()).await?;
            for mode in MODES {
                let created = namespace.create(&pod(namespace, mode).to_string()).await;
                let created = created.with_context(|| format!("with {mode}"))?;
                let warned = created[0]
                    .warnings
                    .iter()
                    .any(|warning| warning.contains("refers to $(FROM_MAP), $(PLAIN),"));
                assert_eq!(warned, mode == "Hook", "with {mode}: {:?}", created[0].warnings);
            }
            for mode in MODES {
                let name = mode.to_lowercase();
                namespace.pod_succeeded(&name).await.with_context(|| format!("with {mode}"))?;
                let process =
                    namespace.process(&name, "main").await.with_context(|| format!("with {mode}"))?;
                println!("with {mode}");
                common().check(&process);
                check_references(mode, &process);
                assert!(process.env_names().iter().all(|name| !name.starts_with("BOOTLACE_")), "{mode}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_the_kubelets_file_cannot_hold_arrives_in_the_other_modes() -> Result<()> {
    scenario("env-precedence-odd")
        .run(async |namespace| {
            create_sources(namespace).await?;
            namespace.profile(&unsupported_by_file().profile()).await?;
            for mode in MODES {
                namespace
                    .create(&pod(namespace, mode).to_string())
                    .await
                    .with_context(|| format!("with {mode}"))?;
            }
            for mode in MODES {
                let name = mode.to_lowercase();
                if mode == "File" {
                    namespace.pod_failed(&name).await?;
                    let log = namespace.log(&name, "bootlace-boot").await?;
                    assert!(log.contains("[BL2402]"), "{log}");
                    continue;
                }
                namespace.pod_succeeded(&name).await.with_context(|| format!("with {mode}"))?;
                println!("with {mode}");
                unsupported_by_file().check(&namespace.process(&name, "main").await?);
            }
            Ok(())
        })
        .await
}
