//! Jobs whose pods wait for an output that another Job stores later.

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::jobs::{first_pod, job, shell};
use super::stored;

/// Creates a Job whose pod waits, and returns the pod when it waits.
async fn waiting(namespace: &Namespace, name: &str, pipe_in: &str, spec: &Value) -> Result<Pod> {
    let inputs = json!({"bootlace.dev/pipe-in": pipe_in});
    namespace.create(&job(name, true, &inputs, spec).to_string()).await?;
    let pod = first_pod(namespace, name).await?;
    namespace.pod(&pod, "waiting", |pod| runs(pod, "bootlace-wait")).await
}

pub(crate) fn runs(pod: &Pod, container: &str) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let mut matching = statuses.into_iter().filter(|status| status.name == container);
    matching.any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// Runs a Job that stores `outputs`.
async fn store_outputs(namespace: &Namespace, outputs: &str, script: &str) -> Result<()> {
    let out = json!({"bootlace.dev/pipe-out": outputs});
    let job = job("gencert", true, &out, &json!({"containers": [shell(script)]}));
    namespace.create(&job.to_string()).await?;
    namespace.job_completed("gencert").await.map(drop)
}

/// Waits until the wait of the pod has failed. Returns its exit code and its termination message, which must
/// also be in an Event.
async fn failed(namespace: &Namespace, pod: &Pod) -> Result<(i32, String)> {
    let pod = namespace.pod_failed(&pod.name_any()).await?;
    let message = state::message(&pod, "bootlace-wait")?.to_owned();
    let events = namespace.api::<Event>();
    until_async(LIMIT, "no Event contains the termination message", async || {
        let selector = ListParams::default().fields("reason=WaitFailed");
        let list = events.list(&selector).await?;
        let mut notes = list.items.into_iter().filter_map(|event| event.message);
        ensure!(notes.any(|note| message.contains(&note)), "{message}");
        Ok(())
    })
    .await?;
    Ok((state::ended(&pod, "bootlace-wait")?.exit_code, message))
}

#[tokio::test]
async fn what_comes_later_reaches_the_pod_that_waits_byte_for_byte() -> Result<()> {
    scenario("pipes-wait").run(async |namespace| bytes(namespace).await).await
}

async fn bytes(namespace: &Namespace) -> Result<()> {
    let pipe_in = "
- {key: Cert, mountPath: /tls, wait: 600, kind: Secret, task: gencert}
- {key: Cert, mountPath: /one/key.pem, file: tls.key, wait: 600, kind: Secret, task: gencert}
- {key: Cert, env: CERT, file: tls.crt, wait: 600, kind: Secret, task: gencert}
- {key: Settings, env: INI, file: settings.ini, wait: 600, kind: ConfigMap, task: gencert}
- {key: Settings, wait: 600, kind: ConfigMap, task: gencert}
";
    let script =
        "ls /tls; od -A n -t x1 /tls/tls.key /one/key.pem; echo \"$CERT/$INI\"; cat /own/named.ini; ls /own";
    let mut container = shell(script);
    container["volumeMounts"] = json!([{"name": "own", "mountPath": "/own"}]);
    let items = json!([{"key": "settings.ini", "path": "named.ini"}]);
    let volume = json!({"name": "own", "configMap": {"name": "pipe:Settings", "items": items}});
    let spec = json!({"containers": [container], "volumes": [volume]});
    let before = waiting(namespace, "myapp", pipe_in, &spec).await?;

    let outputs = "
- {key: Cert, file: '/out/*', kind: Secret, awaited: true}
- {key: Settings, file: /tmp/settings.ini, kind: ConfigMap, awaited: true}
";
    let script = "mkdir /out; printf '\\000\\377key' > /out/tls.key; printf cert > /out/tls.crt; printf a=1 > /tmp/settings.ini";
    store_outputs(namespace, outputs, script).await?;
    assert_eq!(stored(namespace).await?, ["Cert Secret by gencert", "Settings ConfigMap by gencert"]);

    let pods = namespace.job_completed("myapp").await?;
    let [after] = &pods[..] else { panic!("{} pods", pods.len()) };
    assert_eq!(before.uid(), after.uid(), "the pod that waited is not the one that ran");
    let log = namespace.log(&after.name_any(), "main").await?;
    let words: Vec<_> = log.split_whitespace().collect();
    let (key, own) = (["00", "ff", "6b", "65", "79"], ["cert/a=1", "a=1named.ini"]);
    assert_eq!(words, [&["tls.crt", "tls.key"][..], &key, &key, &own].concat(), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_pods_own_init_container_finds_what_it_waits_for() -> Result<()> {
    scenario("pipes-wait-init")
        .run(async |namespace| {
            let mut own = shell("cat /tls/tls.crt");
            own["name"] = json!("own");
            own["volumeMounts"] = json!([{"name": "cert", "mountPath": "/tls"}]);
            let spec = json!({
                "initContainers": [own], "containers": [shell("true")],
                "volumes": [{"name": "cert", "projected": {"sources": [{"secret": {"name": "pipe:Cert"}}]}}],
            });
            let pipe_in = "[{key: Cert, wait: 600, kind: Secret, task: gencert}]";
            let pod = waiting(namespace, "myapp", pipe_in, &spec).await?;
            let outputs = "[{key: Cert, file: /tmp/tls.crt, kind: Secret, awaited: true}]";
            store_outputs(namespace, outputs, "printf 'a certificate' > /tmp/tls.crt").await?;
            namespace.job_completed("myapp").await?;
            assert_eq!(namespace.log(&pod.name_any(), "own").await?, "a certificate");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_wait_that_passes_its_deadline_says_who_should_have_come() -> Result<()> {
    scenario("pipes-wait-late")
        .run(async |namespace| {
            let pipe_in = "[{key: Cert, mountPath: /tls, wait: 5, kind: Secret, task: gencert}]";
            let spec = json!({"containers": [shell("true")]});
            let pod = waiting(namespace, "myapp", pipe_in, &spec).await?;
            let (code, message) = failed(namespace, &pod).await?;
            let start = "bootlace: pipe Cert by task gencert of shop, run deploy-7 was not stored within 5 s";
            assert!(
                code == 75 && message.starts_with(start) && message.ends_with("[BL3101]"),
                "{code} {message}"
            );
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_producer_that_does_not_declare_it_as_awaited_ends_the_wait_with_a_sentence() -> Result<()> {
    scenario("pipes-wait-never")
        .run(async |namespace| {
            let pipe_in = "[{key: Cert, mountPath: /tls, wait: 3600, kind: Secret, task: gencert}]";
            let spec = json!({"containers": [shell("true")]});
            let pod = waiting(namespace, "myapp", pipe_in, &spec).await?;
            let outputs = "[{key: Cert, file: /tmp/tls.crt, kind: Secret}]";
            store_outputs(namespace, outputs, "printf cert > /tmp/tls.crt").await?;
            let (code, message) = failed(namespace, &pod).await?;
            assert!(code == 69 && message.contains("awaited: true"), "{code} {message}");
            // If the same pod is created now, it does not have to wait.
            let inputs = json!({"bootlace.dev/pipe-in": pipe_in});
            let again = job("again", true, &inputs, &json!({"containers": [shell("cat /tls/tls.crt")]}));
            namespace.create(&again.to_string()).await?;
            let pods = namespace.job_completed("again").await?;
            let pod = pods.first().context("the Job has no pod")?;
            assert_eq!(namespace.log(&pod.name_any(), "main").await?, "cert");
            Ok(())
        })
        .await
}
