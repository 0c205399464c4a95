//! The life of an installation, with the default values of the chart and the commands of its README:
//! installed, upgraded, changed, rolled back, uninstalled, installed again and removed. Once with server-side
//! apply, as in Helm 4, and once as in Helm 3.
//!
//! It differs from the installation of a user in the names, the image, the selected namespaces, and the name
//! of the profile, because `default` belongs to the shared release. The CRDs are shared too, so the command
//! that deletes them is not run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::command::{command, output};
use bootlace_cluster::images::{self, PROBE};
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::discovery::{ApiGroup, Discovery, verbs};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::sync::Mutex;

const README: &str = include_str!("../../../../charts/bootlace/README.md");
const CRDS: [&str; 3] = ["bootprofiles.bootlace.dev", "pipes.bootlace.dev", "aborts.bootlace.dev"];
/// Locked while a test upgrades or removes the CRDs, which belong to the release that upgraded them last.
static CRDS_RELEASE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn an_installation_lives_with_server_side_apply() -> Result<()> {
    with("life-server", "--server-side=true", life).await
}

#[tokio::test]
async fn an_installation_lives_with_client_side_apply() -> Result<()> {
    with("life-client", "--server-side=false", life).await
}

#[tokio::test]
async fn the_release_before_is_upgraded_with_server_side_apply() -> Result<()> {
    with("before-server", "--server-side=true", from_the_release_before).await
}

#[tokio::test]
async fn the_release_before_is_upgraded_with_client_side_apply() -> Result<()> {
    with("before-client", "--server-side=false", from_the_release_before).await
}

async fn with(
    name: &'static str,
    apply_flag: &'static str,
    body: impl AsyncFnOnce(&Installation<'_>) -> Result<()>,
) -> Result<()> {
    let home = scenario(name).label(LABEL, "home");
    let tasks = scenario(name).label(LABEL, "tasks");
    home.run(async |home| {
        tasks.run(async |tasks| body(&Installation::new(home, tasks, apply_flag)?).await).await
    })
    .await
}

async fn life(installation: &Installation<'_>) -> Result<()> {
    let before = installation.objects().await?;

    installation.install("charts/bootlace").await?;
    installation.serves(5).await?;
    let ca = installation.ca().await?;
    installation.has_replicas(2, 2).await?;

    installation.upgrade().await?;
    installation.serves(5).await?;

    let changed =
        ["--set", "webhook.timeoutSeconds=7", "--set", "log.level=debug", "--set", "store.replicas=1"];
    installation.helm("upgrade", &[&Installation::chart("charts/bootlace")?], &changed).await?;
    installation.serves(7).await?;
    installation.has_replicas(2, 1).await?;
    let replica =
        installation.release.replicas().await?.first().context("the webhook has no replica")?.name_any();
    let log = installation.home.log(&replica, "webhook").await?;
    assert!(log.contains("DEBUG"), "{log}");

    // An upgrade with other values keeps the earlier ones.
    installation
        .helm("upgrade", &[&Installation::chart("charts/bootlace")?], &["--set", "replicas=1"])
        .await?;
    installation.serves(7).await?;
    installation.has_replicas(1, 1).await?;

    installation.helm("rollback", &["2"], &[]).await?;
    installation.serves(5).await?;
    assert_eq!(installation.ca().await?, ca);
    installation.runs_a_task().await?;

    let removal = installation.commands("## Upgrade and removal", 1)?;
    let [uninstall, runtime_objects, diagnoses, crds_release, crds] =
        removal.try_into().expect("the README has five commands");
    installation.run(&uninstall).await?;
    let (name, full_name) = (installation.home.name(), installation.release.full_name());
    let left = [
        format!("Secret {name}/{full_name}-tls"),
        format!("Secret {name}/{full_name}-signing"),
        format!("Secret {name}/{full_name}-store-tls"),
        // The release of the CRDs.
        format!("Secret {name}/sh.helm.release.v1.{name}-crds.v1"),
    ];
    installation.leaves(&before, &left).await?;

    // A new installation uses the remaining Secrets.
    installation.install("charts/bootlace").await?;
    installation.serves(5).await?;
    assert_eq!(installation.ca().await?, ca);
    installation.run(&uninstall).await?;
    installation.run(&runtime_objects).await?;
    installation.run(&diagnoses).await?;
    {
        let _lock = CRDS_RELEASE.lock().await;
        installation.run(&crds_release).await?;
        let definitions = Api::<CustomResourceDefinition>::all(installation.home.client());
        for name in CRDS {
            let crd = definitions.get(name).await?;
            assert!(crd.metadata.deletion_timestamp.is_none(), "{name} is deleted with its release");
        }
    }
    installation.leaves(&before, &[]).await?;
    // Running this command would delete the profiles of all scenarios.
    assert_eq!(
        crds,
        [
            "kubectl",
            "delete",
            "crd/bootprofiles.bootlace.dev",
            "crd/pipes.bootlace.dev",
            "crd/aborts.bootlace.dev"
        ]
    );
    Ok(())
}

async fn from_the_release_before(installation: &Installation<'_>) -> Result<()> {
    let before = installation.objects().await?;
    // Without the store: the old chart does not mount the folder from which the store in the current image
    // reads keys.
    installation.values(&json!({"store": {"enabled": false}}))?;
    installation.install("tests/cluster/previous/bootlace.tgz").await?;
    installation.serves(5).await?;

    // The new chart needs values that the defaults of the old chart do not contain, and its error names the
    // remedy.
    let chart = Installation::chart("charts/bootlace")?;
    let mut helm = installation.release.command("helm");
    let refused = output(helm.args(["upgrade", installation.home.name(), &chart, "--reuse-values"])).await;
    let error = format!("{:#}", refused.expect_err("the values of another version were accepted"));
    assert!(error.contains("--reset-then-reuse-values"), "{error}");

    installation.upgrade().await?;
    installation.serves(5).await?;
    installation.runs_a_task().await?;

    installation.helm("rollback", &["1"], &[]).await?;
    installation.serves(5).await?;

    let removal = installation.commands("## Upgrade and removal", 1)?;
    let _lock = CRDS_RELEASE.lock().await;
    for command in removal.iter().take(4) {
        installation.run(command).await?;
    }
    installation.leaves(&before, &[]).await
}

/// An installation with the name of its namespace.
struct Installation<'n> {
    home: &'n Namespace,
    tasks: &'n Namespace,
    release: Release<'n>,
    /// The flag for server-side or client-side apply of the first revision. Later revisions use the same.
    apply_flag: &'static str,
    /// The values that a user sets.
    values: NamedTempFile,
}

impl<'n> Installation<'n> {
    fn new(home: &'n Namespace, tasks: &'n Namespace, apply_flag: &'static str) -> Result<Self> {
        let values = json!({
            "image": {"repository": "localhost/bootlace", "tag": "dev", "pullPolicy": "Never"},
            "boot": {"imagePullPolicy": "Never"},
            "webhook": selecting(&[tasks.name()]),
            "profiles": {"default": null, (home.name()): {}},
        });
        let file = NamedTempFile::new().context("create a file for the values")?;
        std::fs::write(file.path(), values.to_string()).context("write the values")?;
        Ok(Self { home, tasks, release: Release::new(home), apply_flag, values: file })
    }

    /// Adds values, or replaces existing ones.
    fn values(&self, more: &Value) -> Result<()> {
        let mut values: Value = serde_json::from_slice(&std::fs::read(self.values.path())?)?;
        for (name, value) in more.as_object().context("the values are not an object")? {
            values[name] = value.clone();
        }
        std::fs::write(self.values.path(), values.to_string()).context("write the values")
    }

    /// Installs a chart with the command of the README.
    async fn install(&self, chart: &str) -> Result<()> {
        let [mut install] =
            self.commands("# Bootlace chart", 0)?.try_into().expect("the README has one command");
        let path = Self::chart("charts/bootlace")?;
        let argument =
            install.iter_mut().find(|word| **word == path).context("the command does not name the chart")?;
        *argument = Self::chart(chart)?;
        // Helm 4 applies `crds/` of the chart at each installation, and the CRDs of the old chart would
        // affect all scenarios.
        let flags = ["--skip-crds", self.apply_flag, "--values"].map(str::to_owned);
        install.extend(flags.into_iter().chain([self.values.path().display().to_string()]));
        self.run(&install).await?;
        self.is_deployed().await
    }

    /// Upgrades the installation with the commands of the README.
    async fn upgrade(&self) -> Result<()> {
        let [crds, upgrade] =
            self.commands("## Upgrade and removal", 0)?.try_into().expect("the README has two commands");
        {
            let _lock = CRDS_RELEASE.lock().await;
            self.run(&crds).await?;
        }
        self.run(&upgrade).await?;
        self.is_deployed().await
    }

    /// Runs another command of Helm. An upgrade uses the flag of the README, with additional values.
    async fn helm(&self, verb: &str, arguments: &[&str], more: &[&str]) -> Result<()> {
        let mut helm = self.release.command("helm");
        helm.args([verb, self.home.name()]).args(arguments).args(more).arg("--wait");
        if verb == "upgrade" {
            helm.arg("--reset-then-reuse-values");
        }
        output(&mut helm).await?;
        self.is_deployed().await
    }

    async fn is_deployed(&self) -> Result<()> {
        let mut helm = self.release.command("helm");
        let status = output(helm.args(["status", self.home.name(), "--output", "json"])).await?;
        let status: Value = serde_json::from_str(&status).context("parse the status of the release")?;
        assert_eq!(status["info"]["status"], "deployed", "{status}");
        Ok(())
    }

    /// The commands in a code block of the README, as words, for this installation instead of `bootlace`.
    fn commands(&self, heading: &str, block: usize) -> Result<Vec<Vec<String>>> {
        let section = README
            .split_once(&format!("{heading}\n"))
            .with_context(|| format!("the README has no heading {heading:?}"))?
            .1;
        let section = section.split("\n## ").next().unwrap_or_default();
        let block = section.split("```sh\n").nth(block + 1).and_then(|rest| rest.split("```").next());
        let text = block
            .with_context(|| format!("section {heading:?} has too few code blocks"))?
            .replace("\\\n", " ");
        text.lines().map(|line| line.split_whitespace().map(|word| self.word(word)).collect()).collect()
    }

    /// A word of the README, for this installation.
    fn word(&self, word: &str) -> Result<String> {
        let (name, full_name) = (self.home.name(), self.release.full_name());
        Ok(match word {
            "bootlace" => name.to_owned(),
            "bootlace-crds" => format!("{name}-crds"),
            "image.repository=registry.example.com/bootlace" => {
                "image.repository=localhost/bootlace".to_owned()
            }
            path if path.starts_with("charts/") => Self::chart(path)?,
            object if ["secret/", "lease/"].iter().any(|kind| object.starts_with(kind)) => {
                object.replace("/bootlace", &format!("/{full_name}"))
            }
            other => other.to_owned(),
        })
    }

    fn chart(path: &str) -> Result<String> {
        let path: PathBuf = images::root().join(path);
        ensure!(path.exists(), "{} not found", path.display());
        Ok(path.display().to_string())
    }

    async fn run(&self, words: &[String]) -> Result<()> {
        let (program, arguments) = words.split_first().context("the command is empty")?;
        output(command(program).args(arguments)).await.map(drop).with_context(|| words.join(" "))
    }

    /// Checks the timeout of the webhooks, and waits until the API server sends pods to the installation.
    async fn serves(&self, timeout: i32) -> Result<()> {
        let configurations = Api::<MutatingWebhookConfiguration>::all(self.home.client());
        let configuration = configurations.get(&self.release.full_name()).await?;
        for webhook in configuration.webhooks.unwrap_or_default() {
            assert_eq!(webhook.timeout_seconds, Some(timeout));
        }
        until_async(LIMIT, "the API server does not reach the webhook", async || {
            let created = self.tasks.dry_run(&self.task().to_string()).await?;
            let injected =
                created.iter().all(|pod| pod.object.annotations().contains_key("bootlace.dev/injected"));
            ensure!(injected, "a pod was not injected");
            Ok(())
        })
        .await
    }

    async fn runs_a_task(&self) -> Result<()> {
        self.tasks.create(&self.task().to_string()).await?;
        self.tasks.pod_succeeded("task").await?;
        // It contains the name of the installation, and would count as a remaining object.
        self.tasks.api::<Pod>().delete("task", &DeleteParams::default()).await?;
        Ok(())
    }

    fn task(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "task", "labels": {"bootlace.dev/task": self.home.name()}},
            "spec": {"restartPolicy": "Never", "containers": [
                {"name": "main", "image": PROBE, "command": ["/probe", "environ"]},
            ]},
        })
    }

    async fn ca(&self) -> Result<Vec<u8>> {
        let secret = self.home.api::<Secret>().get(&format!("{}-tls", self.release.full_name())).await?;
        Ok(secret.data.unwrap_or_default().remove("ca.crt").context("the Secret has no ca.crt")?.0)
    }

    /// Waits for this number of replicas of webhook and store. Replaced ones serve requests for a while.
    async fn has_replicas(&self, webhooks: usize, stores: usize) -> Result<()> {
        until_async(LIMIT, "unexpected number of replicas", async || {
            let replicas = (self.release.replicas().await?.len(), self.release.stores().await?.len());
            ensure!(replicas == (webhooks, stores), "replicas of webhook and store: {replicas:?}");
            Ok(())
        })
        .await
    }

    /// Waits until the objects of the installation are those in `before` and in `remaining`, and no others.
    async fn leaves(&self, before: &BTreeSet<String>, remaining: &[String]) -> Result<()> {
        let expected: BTreeSet<_> = before.iter().chain(remaining).cloned().collect();
        until_async(LIMIT, "unexpected objects remain", async || {
            let objects = self.objects().await?;
            let extra: Vec<_> = objects.difference(&expected).collect();
            let missing: Vec<_> = expected.difference(&objects).collect();
            ensure!(extra.is_empty() && missing.is_empty(), "unexpected: {extra:?}, missing: {missing:?}");
            Ok(())
        })
        .await
    }

    /// All objects of the cluster that contain the name of the installation or are in its namespace, except
    /// Events, which expire, and the CRDs, which all installations share.
    async fn objects(&self) -> Result<BTreeSet<String>> {
        let client = self.home.client();
        let discovery = Discovery::new(client.clone()).run().await?;
        let mut found = BTreeSet::new();
        for (resource, capabilities) in discovery.groups().flat_map(ApiGroup::recommended_resources) {
            let skipped = ["Event", "CustomResourceDefinition"].contains(&resource.kind.as_str());
            if skipped || !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
            let listed = api.list(&ListParams::default()).await;
            for object in listed.with_context(|| format!("list {}", resource.plural))? {
                if serde_json::to_string(&object)?.contains(self.home.name()) {
                    let namespace = object.namespace().map(|namespace| namespace + "/").unwrap_or_default();
                    found.insert(format!("{} {namespace}{}", resource.kind, object.name_any()));
                }
            }
        }
        Ok(found)
    }
}
