//! All env modes with all kinds of containers. The tests compare the env of the running process.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::images::{DISTROLESS, ENTRYPOINT, KIT, PROBE};
use bootlace_cluster::node::ADDRESS;
use bootlace_cluster::scenario::{Namespace, Process, Scenario, scenario, state};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::https_server::HttpsServer;

/// The modes, as values of the annotation `bootlace.dev/env-mode`.
pub(crate) const MODES: [&str; 4] = ["Launch", "Secret", "File", "Hook"];

/// The value of the variable in the source.
pub(crate) const VALUE: &str = "from \"boot\", $(not) a reference";

/// The home folder of each task, where the mode `Hook` writes its file.
const HOME: &str = "/home/task";

/// A profile with one variable, and with the command of the image that has an entrypoint.
fn profile() -> String {
    let image = json!({"image": ENTRYPOINT, "entrypoint": ["/probe"], "cmd": ["argv", "environ"]});
    json!({
        "env": {"images": [image], "file": {"keys": ["GIVEN"]}},
        "sources": [{"name": "settings", "inline": {"env": {"GIVEN": VALUE}}}],
    })
    .to_string()
}

/// A task that prints its env. In the mode `Hook` it prints the file, because an image without a shell cannot
/// source it.
pub(crate) fn pod(namespace: &Namespace, mode: &str, image: &str) -> Value {
    let mut args = vec!["argv".to_owned(), "environ".to_owned(), "status".to_owned()];
    if mode == "Hook" {
        args.extend([format!("await={HOME}/.env"), format!("file={HOME}/.env")]);
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": mode.to_lowercase(),
            "labels": {"bootlace.dev/task": namespace.name()},
            "annotations": {"bootlace.dev/env-mode": mode},
        },
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main", "image": image, "command": ["/probe"], "args": args,
                "env": [{"name": "HOME", "value": HOME}],
                "volumeMounts": [{"name": "home", "mountPath": HOME}, {"name": "shared", "mountPath": "/shared"}],
            }],
            "volumes": [{"name": "home", "emptyDir": {}}, {"name": "shared", "emptyDir": {}}],
        },
    })
}

/// Checks that the variable is in the env of the process, or in the mode `Hook` in the file.
pub(crate) fn arrived(mode: &str, process: &Process) -> Result<()> {
    if mode == "Hook" {
        let file = String::from_utf8(process.file(&format!("{HOME}/.env"))?.to_vec())?;
        ensure!(file == format!("export GIVEN='{VALUE}'\n"), "{file}");
        return Ok(());
    }
    let actual = process.env("GIVEN").map(<[u8]>::escape_ascii).map(|value| value.to_string());
    ensure!(process.env("GIVEN") == Some(VALUE.as_bytes()), "GIVEN is {actual:?}");
    Ok(())
}

/// Runs a task in each mode, after `change`, and calls `check` for its main container.
async fn in_each_mode(
    scenario: Scenario,
    image: &str,
    change: impl Fn(&mut Value),
    check: impl Fn(&Pod, &Process) -> Result<()>,
) -> Result<()> {
    scenario
        .run(async |namespace| {
            namespace.profile(&profile()).await?;
            for mode in MODES {
                let mut pod = pod(namespace, mode, image);
                change(&mut pod);
                namespace.create(&pod.to_string()).await.with_context(|| format!("with {mode}"))?;
            }
            for mode in MODES {
                let context = || format!("with {mode}");
                let name = mode.to_lowercase();
                let pod = namespace.pod_succeeded(&name).await.with_context(context)?;
                let process = namespace.process(&name, "main").await.with_context(context)?;
                arrived(mode, &process).and_then(|()| check(&pod, &process)).with_context(context)?;
            }
            Ok(())
        })
        .await
}

fn nothing(_: &mut Value) {}

fn main_container(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["containers"][0]
}

/// A security context that meets the pod security standard `restricted`.
fn restricted_context() -> Value {
    json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"},
    })
}

#[tokio::test]
async fn busybox_with_a_command() -> Result<()> {
    in_each_mode(scenario("env-modes-busybox"), KIT, nothing, |_, process| {
        assert_eq!(process.env("OF_IMAGE"), Some(&b"image"[..]));
        assert_eq!(process.status("Pid")?, "1");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_image_that_names_its_own_entrypoint() -> Result<()> {
    let change =
        |pod: &mut Value| drop(main_container(pod).as_object_mut().map(|main| main.remove("command")));
    in_each_mode(scenario("env-modes-entrypoint"), ENTRYPOINT, change, |_, process| {
        assert_eq!(process.argv.first().map(Vec::as_slice), Some(&b"/probe"[..]));
        assert_eq!(
            process.argv.get(3).map(Vec::as_slice),
            Some(&b"status"[..]),
            "the pod's args replace CMD"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_image_whose_entrypoint_the_annotation_names() -> Result<()> {
    let change = |pod: &mut Value| {
        drop(main_container(pod).as_object_mut().map(|main| main.remove("command")));
        pod["metadata"]["annotations"]["bootlace.dev/entrypoint"] = json!(r#"["/probe"]"#);
    };
    in_each_mode(scenario("env-modes-annotation"), PROBE, change, |_, _| Ok(())).await
}

#[tokio::test]
async fn a_distroless_image_with_its_user() -> Result<()> {
    in_each_mode(scenario("env-modes-distroless"), DISTROLESS, nothing, |_, process| {
        assert_eq!(process.status("Uid")?, "65532 65532 65532 65532");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_scratch_image_with_one_static_program() -> Result<()> {
    in_each_mode(scenario("env-modes-scratch"), PROBE, nothing, |_, _| Ok(())).await
}

#[tokio::test]
async fn a_read_only_root() -> Result<()> {
    let change = |pod: &mut Value| {
        main_container(pod)["securityContext"] = json!({"readOnlyRootFilesystem": true});
        main_container(pod)["args"].as_array_mut().unwrap().push(json!("write=/file"));
    };
    in_each_mode(scenario("env-modes-read-only"), PROBE, change, |_, process| {
        assert_eq!(process.write("/file")?, "read-only filesystem or storage medium");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_user_and_a_group_of_the_pods_own() -> Result<()> {
    let change = |pod: &mut Value| {
        pod["spec"]["securityContext"] = json!({"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000});
    };
    in_each_mode(scenario("env-modes-group"), KIT, change, |_, process| {
        assert_eq!(
            (process.status("Uid")?, process.status("Gid")?),
            ("1000 1000 1000 1000", "3000 3000 3000 3000")
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_restricted_namespace() -> Result<()> {
    let scenario = scenario("env-modes-restricted")
        .label("pod-security.kubernetes.io/enforce", "restricted")
        .label("pod-security.kubernetes.io/enforce-version", "latest");
    let change = |pod: &mut Value| main_container(pod)["securityContext"] = restricted_context();
    in_each_mode(scenario, PROBE, change, |_, process| {
        assert_eq!(process.status("CapEff")?, "0000000000000000");
        Ok(())
    })
    .await
}

/// Secrets of operators have keys that are not names of shell variables. In the mode `Hook`, the profile must
/// exclude them.
#[tokio::test]
async fn names_that_no_shell_supports() -> Result<()> {
    const ODD: [&str; 3] = ["connectionString.standard", "db-user", "2fa"];
    scenario("env-modes-names")
        .run(async |namespace| {
            let data: serde_json::Map<_, _> = ODD.map(|key| (key.to_owned(), json!(key))).into_iter().collect();
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "operators"}, "stringData": data,
            });
            namespace.create(&secret.to_string()).await?;
            let spec = |exclude: &[&str]| {
                let secret = json!({"name": "operators", "into": "Env", "exclude": exclude});
                let sources = json!([
                    {"name": "settings", "inline": {"env": {"GIVEN": VALUE}}}, {"name": "operator", "secret": secret},
                ]);
                let keys: Vec<_> = ["GIVEN"].into_iter().chain(ODD).collect();
                json!({"env": {"file": {"keys": keys}}, "sources": sources}).to_string()
            };
            let without = format!("{}-without", namespace.name());
            namespace.profile(&spec(&[])).await?;
            namespace.profile_called(&without, &spec(&["*.*", "db-user", "2fa"])).await?;
            for mode in MODES {
                namespace.create(&pod(namespace, mode, PROBE).to_string()).await?;
            }
            let mut second = pod(namespace, "Hook", PROBE);
            second["metadata"]["name"] = json!("hook-without");
            second["metadata"]["labels"]["bootlace.dev/task"] = json!(without);
            namespace.create(&second.to_string()).await?;
            for mode in MODES.into_iter().filter(|mode| *mode != "Hook") {
                let context = || format!("with {mode}");
                let name = mode.to_lowercase();
                namespace.pod_succeeded(&name).await.with_context(context)?;
                let process = namespace.process(&name, "main").await.with_context(context)?;
                arrived(mode, &process).with_context(context)?;
                for key in ODD {
                    assert_eq!(process.env(key), Some(key.as_bytes()), "{key} with {mode}");
                }
            }
            namespace.pod_failed("hook").await?;
            let log = namespace.log("hook", "bootlace-boot").await?;
            ensure!(log.contains("[BL2402]") && log.contains("exclude it"), "{log}");
            namespace.pod_succeeded("hook-without").await?;
            arrived("Hook", &namespace.process("hook-without", "main").await?)?;
            let log = namespace.log("hook-without", "bootlace-boot").await?;
            ensure!(log.contains("excluded: \"2fa\", \"connectionString.standard\", \"db-user\""), "{log}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn two_task_containers() -> Result<()> {
    scenario("env-modes-two")
        .run(async |namespace| {
            namespace.profile(&profile()).await?;
            for mode in MODES {
                let mut pod = pod(namespace, mode, PROBE);
                let mut second = main_container(&mut pod).clone();
                second["name"] = json!("second");
                // Each container has a separate home, because each hook writes a file to it.
                second["volumeMounts"][0]["name"] = json!("shared");
                second["volumeMounts"].as_array_mut().unwrap().pop();
                pod["spec"]["containers"].as_array_mut().unwrap().push(second);
                pod["metadata"]["annotations"]["bootlace.dev/containers"] = json!("main,second");
                namespace.create(&pod.to_string()).await.with_context(|| format!("with {mode}"))?;
            }
            for mode in MODES {
                let name = mode.to_lowercase();
                namespace.pod_succeeded(&name).await.with_context(|| format!("with {mode}"))?;
                for container in ["main", "second"] {
                    let process = namespace.process(&name, container).await?;
                    arrived(mode, &process).with_context(|| format!("with {mode}, in {container}"))?;
                }
            }
            Ok(())
        })
        .await
}

/// Adds a handler to the task, which waits for the file that the handler creates.
fn with_handler(pod: &mut Value, handler: &Value) {
    let main = main_container(pod);
    main["lifecycle"] = json!({"postStart": handler});
    main["args"].as_array_mut().unwrap().push(json!("await=/shared/handled"));
}

#[tokio::test]
async fn a_post_start_of_the_pods_own_that_runs_a_command() -> Result<()> {
    let change = |pod: &mut Value| {
        let script = "touch /shared/handled";
        with_handler(pod, &json!({"exec": {"command": ["sh", "-c", script]}}));
    };
    in_each_mode(scenario("env-modes-post-exec"), KIT, change, |_, _| Ok(())).await
}

#[tokio::test]
async fn a_post_start_of_the_pods_own_that_asks_over_http() -> Result<()> {
    let change = |pod: &mut Value| {
        with_handler(pod, &json!({"httpGet": {"port": 8080, "path": "/cgi-bin/handled"}}));
        let script = r#"
            mkdir /shared/cgi-bin
            printf '#!/bin/sh\ntouch /shared/handled\nprintf "Content-Type: text/plain\n\nok\n"\n' > /shared/cgi-bin/handled
            chmod 755 /shared/cgi-bin/handled
            exec httpd -f -p 8080 -h /shared
        "#;
        // The server starts before the task, because the hook sends its request immediately after the start
        // of the task.
        pod["spec"]["initContainers"] = json!([{
            "name": "server", "image": KIT, "restartPolicy": "Always", "command": ["sh", "-c", script],
            "startupProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 60},
            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        }]);
    };
    in_each_mode(scenario("env-modes-post-http"), KIT, change, |_, _| Ok(())).await
}

/// With an unprivileged user, a read-only root file system, and without a shell.
#[tokio::test]
async fn a_post_start_of_the_pods_own_that_asks_over_https() -> Result<()> {
    scenario("env-modes-post-https")
        .label("pod-security.kubernetes.io/enforce", "restricted")
        .label("pod-security.kubernetes.io/enforce-version", "latest")
        .run(async |namespace| {
            let mut server = HttpsServer::start()?;
            namespace.profile(&profile()).await?;
            for mode in MODES {
                let mut pod = pod(namespace, mode, DISTROLESS);
                let get = json!({
                    "host": ADDRESS, "port": server.port, "scheme": "HTTPS", "path": format!("/{mode}?now=1"),
                    "httpHeaders": [{"name": "X-From", "value": "a pod"}],
                });
                with_handler(&mut pod, &json!({"httpGet": get}));
                main_container(&mut pod)["securityContext"] = restricted_context();
                // The server runs outside of the pod, so this container creates the file that the task waits
                // for.
                pod["spec"]["initContainers"] = json!([{
                    "name": "aside", "image": KIT, "restartPolicy": "Always", "command": ["sleep", "3600"],
                    "securityContext": restricted_context(),
                    "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
                }]);
                namespace.create(&pod.to_string()).await.with_context(|| format!("with {mode}"))?;
            }
            let mut requests = BTreeSet::new();
            for _ in MODES {
                let head = server.next_request().await?;
                let (line, headers) = head.split_once("\r\n").context("the request has no headers")?;
                ensure!(headers.contains("X-From: a pod\r\n"), "{head}");
                ensure!(headers.contains(&format!("Host: {ADDRESS}:{}\r\n", server.port)), "{head}");
                requests.insert(line.to_owned());
            }
            assert_eq!(requests, MODES.map(|mode| format!("GET /{mode}?now=1 HTTP/1.1")).into());
            for mode in MODES {
                let context = || format!("with {mode}");
                let name = mode.to_lowercase();
                let touched = namespace
                    .exec(&name, "aside", &["touch", "/shared/handled"])
                    .await
                    .with_context(context)?;
                ensure!(touched.succeeded, "with {mode}: {touched:?}");
                namespace.pod_succeeded(&name).await.with_context(context)?;
                let process = namespace.process(&name, "main").await.with_context(context)?;
                arrived(mode, &process).with_context(context)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_post_start_of_the_pods_own_that_sleeps() -> Result<()> {
    let change = |pod: &mut Value| {
        main_container(pod)["lifecycle"] = json!({"postStart": {"sleep": {"seconds": 1}}});
    };
    in_each_mode(scenario("env-modes-post-sleep"), PROBE, change, |_, _| Ok(())).await
}

#[tokio::test]
async fn a_terminal_standard_input_and_a_folder_of_the_pods_own() -> Result<()> {
    let change = |pod: &mut Value| {
        let script = r#"[ -t 0 ] && [ -t 1 ] && [ "$(pwd)" = /shared ] || exit 9; exec /probe "$@""#;
        let main = main_container(pod);
        main["command"] = json!(["sh", "-c", script, "sh"]);
        for (field, value) in [("tty", json!(true)), ("stdin", json!(true)), ("workingDir", json!("/shared"))]
        {
            main[field] = value;
        }
    };
    in_each_mode(scenario("env-modes-terminal"), KIT, change, |_, process| {
        assert_eq!(process.status("Pid")?, "1");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_task_that_crashes_and_is_started_again() -> Result<()> {
    let change = |pod: &mut Value| {
        pod["spec"]["restartPolicy"] = json!("OnFailure");
        let script = r#"[ -e /shared/once ] && exec /probe "$@"; touch /shared/once; exit 3"#;
        main_container(pod)["command"] = json!(["sh", "-c", script, "sh"]);
    };
    in_each_mode(scenario("env-modes-crash"), KIT, change, |pod, _| {
        assert_eq!(state::restarts(pod, "main"), 1);
        Ok(())
    })
    .await
}
