//! This version of Bootlace and the previous one work together, in both orders. The image of the previous
//! version is built from the commit in `tests/cluster/previous/commit`, and its chart is that of the commit.
//!
//! The CRDs are those of this version, because an upgrade starts with them and a rollback keeps them.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::images::{self, BUSYBOX, PROBE};
use bootlace_cluster::scenario::load::Load;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{LIMIT, Namespace, needs, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use crate::pipes::jobs::{first_pod, job, job_log, shell};
use crate::pipes::wait::runs;
use crate::pipes::{pipes, stored};
use crate::post_start;

/// A version of Bootlace.
#[derive(Clone, Copy)]
enum Version {
    Previous,
    This,
}

impl Version {
    fn image(self) -> &'static str {
        match self {
            Self::Previous => images::PREVIOUS,
            Self::This => images::PRODUCT,
        }
    }

    /// The values of a release of this version.
    fn values(self, tasks: &Namespace, replicas: u32) -> Result<String> {
        let tag = self.image().rsplit(':').next().context("the image has no tag")?;
        let values = json!({
            "image": {"tag": tag}, "replicas": replicas, "store": {"replicas": 1},
            "webhook": selecting(&[tasks.name()]),
        });
        Ok(values.to_string())
    }

    async fn install<'n>(self, home: &'n Namespace, tasks: &Namespace, replicas: u32) -> Result<Release<'n>> {
        let root = match self {
            Self::Previous => {
                let source = std::env::var_os(needs::PREVIOUS_SOURCE).map(PathBuf::from);
                source.context("the previous version was not found: run `make test-previous`")?
            }
            Self::This => images::root().to_owned(),
        };
        Release::install_from(&root, home, tasks, &self.values(tasks, replicas)?).await
    }
}

async fn with(
    name: &'static str,
    body: impl AsyncFnOnce(&Namespace, &Namespace) -> Result<()>,
) -> Result<()> {
    let home = scenario(name).label(LABEL, "home");
    let tasks = scenario(name).label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| body(home, tasks).await).await).await
}

#[tokio::test]
async fn the_previous_webhook_and_store_work_with_containers_of_this_version() -> Result<()> {
    with("previous-servers", async |home, tasks| mixed(home, tasks, Version::Previous, Version::This).await)
        .await
}

#[tokio::test]
async fn this_webhook_and_store_work_with_containers_of_the_previous_version() -> Result<()> {
    with("previous-pods", async |home, tasks| mixed(home, tasks, Version::This, Version::Previous).await)
        .await
}

#[tokio::test]
async fn an_upgrade_keeps_the_tasks_that_run() -> Result<()> {
    with("previous-upgrade", async |home, tasks| {
        let release = Version::Previous.install(home, tasks, 2).await?;
        profiles(tasks, None).await?;
        let running = Running::start(tasks, Version::Previous).await?;
        let load = Load::start(tasks)?;
        release.upgrade(&Version::This.values(tasks, 2)?).await?;
        is_replaced(&release, Version::This).await?;
        no_review_failed(load)?;
        running.finish(tasks, Version::This).await?;
        release.uninstall().await
    })
    .await
}

#[tokio::test]
async fn a_rollback_keeps_the_tasks_that_run() -> Result<()> {
    with("previous-rollback", async |home, tasks| {
        let release = Version::Previous.install(home, tasks, 2).await?;
        release.upgrade(&Version::This.values(tasks, 2)?).await?;
        is_replaced(&release, Version::This).await?;
        profiles(tasks, None).await?;
        let running = Running::start(tasks, Version::This).await?;
        let load = Load::start(tasks)?;
        release.rollback(1).await?;
        is_replaced(&release, Version::Previous).await?;
        no_review_failed(load)?;
        running.finish(tasks, Version::Previous).await?;
        release.uninstall().await
    })
    .await
}

/// Runs all tasks with webhook and store of the version `servers`, and injected containers of the version
/// `injected`.
async fn mixed(home: &Namespace, tasks: &Namespace, servers: Version, injected: Version) -> Result<()> {
    let release = servers.install(home, tasks, 1).await?;
    is_replaced(&release, servers).await?;
    profiles(tasks, Some(injected)).await?;
    Running::start(tasks, injected).await?.finish(tasks, injected).await?;
    release.uninstall().await
}

/// Waits until all pods of webhook and store have the version. Replaced ones serve requests for a while.
async fn is_replaced(release: &Release<'_>, version: Version) -> Result<()> {
    until_async(LIMIT, "webhook or store has another version", async || {
        let pods = [release.replicas().await?, release.stores().await?].concat();
        let containers = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| &spec.containers);
        let found: Vec<_> = containers.filter_map(|container| container.image.as_deref()).collect();
        ensure!(found.iter().all(|image| *image == version.image()), "images: {found:?}");
        Ok(())
    })
    .await
}

fn no_review_failed(load: Load) -> Result<()> {
    let outcome = load.stop();
    println!("reviews while webhook and store were replaced: {outcome}");
    ensure!(outcome.failures.is_empty() && outcome.reviews > 100, "{outcome}");
    Ok(())
}

/// Creates the default profile of the namespace, and one whose source does not exist. `image` is the version
/// of the injected containers, by default that of the webhook.
async fn profiles(tasks: &Namespace, image: Option<Version>) -> Result<()> {
    let login = "{apiVersion: v1, kind: Secret, metadata: {name: login}, stringData: {PASSWORD: secret}}";
    tasks.create(login).await?;
    let inline = json!({"env": {"GREETING": "hello"}, "files": {"query.sql": "select 1;"}});
    let mut spec = json!({
        "boot": image.map_or_else(|| json!({}), |version| json!({"image": version.image()})),
        // The scenario waits until the outputs have expired.
        "pipes": {"timeToLiveSeconds": 90},
        "sources": [
            {"name": "settings", "inline": inline},
            {"name": "login", "secret": {"name": "login", "into": "Env", "prefix": "LOGIN_"}},
        ],
    });
    tasks.profile(&spec.to_string()).await?;
    tasks.default_profile(tasks.name()).await?;
    spec["sources"] = json!([{"name": "tables", "configMap": {"name": "not-created"}}]);
    tasks.profile_called(&missing(tasks), &spec.to_string()).await
}

/// The name of the profile whose source does not exist.
fn missing(tasks: &Namespace) -> String {
    format!("{}-missing", tasks.name())
}

/// Tasks in the middle of their work: `early` writes its output once a file exists, and two other pods wait
/// for the output.
struct Running {
    early: String,
    /// The version of their injected containers.
    version: Version,
}

/// The output of `early`, from its env and its file.
const REPORT: &str = "hello, secret: select 1;";
/// The annotation of the pods that wait for it.
const WAIT: &str = "[{key: Report, mountPath: /in, wait: 600, kind: Secret, task: early}]";

impl Running {
    async fn start(tasks: &Namespace, version: Version) -> Result<Self> {
        let out = "[{key: Report, file: /tmp/report, kind: Secret, awaited: true}]";
        let script = "until [ -e /tmp/go ]; do sleep 0.2; done
            echo \"$GREETING, $LOGIN_PASSWORD: $(cat /var/assets/query.sql)\" > /tmp/report";
        let early = job(
            "early",
            true,
            &json!({"bootlace.dev/pipe-out": out}),
            &json!({"containers": [shell(script)]}),
        );
        // Its command is unknown, so boot asks the store for a Secret with the env, after the wait.
        let probe = json!({
            "name": "main", "image": PROBE, "args": ["environ", "file=/in/report", "file=/var/assets/query.sql"],
        });
        let waits =
            job("waits", true, &json!({"bootlace.dev/pipe-in": WAIT}), &json!({"containers": [probe]}));
        let fails = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "fails", "labels": {"bootlace.dev/task": missing(tasks)}, "annotations": {
                "bootlace.dev/workflow": "shop", "bootlace.dev/run": "deploy-7", "bootlace.dev/pipe-in": WAIT,
            }},
            "spec": {"restartPolicy": "Never", "containers": [
                {"name": "main", "image": BUSYBOX, "command": ["true"]},
            ]},
        });
        for object in [early, waits, fails] {
            tasks.create(&object.to_string()).await?;
        }
        let early = first_pod(tasks, "early").await?;
        has_injected(&tasks.pod_ready(&early).await?, version, &["bootlace-boot", "bootlace-pipe"]);
        let waits = first_pod(tasks, "waits").await?;
        for pod in [waits.as_str(), "fails"] {
            let pod = tasks.pod(pod, "waiting", |pod| runs(pod, "bootlace-wait")).await?;
            has_injected(&pod, version, &["bootlace-wait", "bootlace-look", "bootlace-boot"]);
        }
        Ok(Self { early, version })
    }

    /// Lets these tasks finish, runs later ones whose containers have the version `later`, and waits until
    /// nothing of them remains.
    async fn finish(self, tasks: &Namespace, later: Version) -> Result<()> {
        // On the heap, because the futures are large.
        Box::pin(self.end(tasks)).await?;
        Box::pin(run_later_tasks(tasks, later)).await?;
        Box::pin(nothing_remains(tasks)).await
    }

    async fn end(self, tasks: &Namespace) -> Result<()> {
        let touched = tasks.exec(&self.early, "main", &["touch", "/tmp/go"]).await?;
        ensure!(touched.succeeded, "{touched:?}");
        tasks.job_completed("early").await?;
        assert_eq!(stored(tasks).await?, ["Report Secret by early"]);

        let pods = tasks.job_completed("waits").await?;
        let [waits] = &pods[..] else { panic!("{} pods", pods.len()) };
        has_injected(waits, self.version, &["bootlace-wait", "bootlace-boot"]);
        let process = tasks.process(&waits.name_any(), "main").await?;
        assert_eq!(process.env("GREETING"), Some(&b"hello"[..]));
        assert_eq!(process.env("LOGIN_PASSWORD"), Some(&b"secret"[..]));
        assert_eq!(process.file("/var/assets/query.sql")?, b"select 1;");
        assert_eq!(process.file("/in/report")?, format!("{REPORT}\n").as_bytes());

        let failed = tasks.pod_failed("fails").await?;
        assert_eq!(state::ended(&failed, "bootlace-boot")?.exit_code, 69);
        has_event(tasks, "fails", "BootFailed").await
    }
}

/// Runs a task that uses the output of `early`, and one with a postStart handler.
async fn run_later_tasks(tasks: &Namespace, version: Version) -> Result<()> {
    let inputs = json!({"bootlace.dev/pipe-in": "[{key: Report, env: REPORT}]"});
    let script = "echo \"$GREETING $LOGIN_PASSWORD $REPORT\" | cat - /var/assets/query.sql";
    let late = job("late", true, &inputs, &json!({"containers": [shell(script)]}));
    tasks.create(&late.to_string()).await?;
    let log = job_log(tasks, "late").await?;
    let lines: Vec<_> = log.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, [format!("hello secret {REPORT}").as_str(), "select 1;"]);
    let pod = tasks.api::<Pod>().get(&first_pod(tasks, "late").await?).await?;
    has_injected(&pod, version, &["bootlace-boot"]);
    // Its hook is the program with TLS.
    post_start::calls_its_http_handler(tasks).await
}

/// Checks the image of all injected containers of a pod, and that it has those in `names`.
fn has_injected(pod: &Pod, version: Version, names: &[&str]) {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let injected: Vec<_> = containers.filter(|container| container.name.starts_with("bootlace-")).collect();
    for container in &injected {
        assert_eq!(container.image.as_deref(), Some(version.image()), "{}", container.name);
    }
    for name in names {
        assert!(injected.iter().any(|container| container.name == *name), "{} has no {name}", pod.name_any());
    }
}

/// Waits until the store has recorded an Event for the pod.
async fn has_event(tasks: &Namespace, pod: &str, reason: &str) -> Result<()> {
    until_async(LIMIT, "the pod has no Event of boot", async || {
        let selector = format!("involvedObject.name={pod},reason={reason}");
        let found = tasks.api::<Event>().list(&ListParams::default().fields(&selector)).await?;
        ensure!(!found.items.is_empty(), "no Event {reason} of pod {pod} found");
        Ok(())
    })
    .await
}

/// Deletes the tasks, and waits until the outputs have expired and nothing that Bootlace has created remains.
async fn nothing_remains(tasks: &Namespace) -> Result<()> {
    let (deletion, all) = (DeleteParams::background(), ListParams::default());
    tasks.api::<Job>().delete_collection(&deletion, &all).await?;
    tasks.api::<Pod>().delete_collection(&deletion, &all).await?;
    let managed = ListParams::default().labels("app.kubernetes.io/managed-by=bootlace");
    until_async(LIMIT, "objects remain after the tasks", async || {
        let pods = names(&tasks.api::<Pod>().list(&all).await?.items);
        let secrets = names(&tasks.api::<Secret>().list(&managed).await?.items);
        let config_maps = names(&tasks.api::<ConfigMap>().list(&managed).await?.items);
        let remaining = [pods, secrets, config_maps, names(&pipes(tasks).await?)].concat();
        ensure!(remaining.is_empty(), "{remaining:?}");
        Ok(())
    })
    .await
}

fn names<K: kube::ResourceExt>(objects: &[K]) -> Vec<String> {
    objects.iter().map(K::name_any).collect()
}
