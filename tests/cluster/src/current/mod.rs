//! A cluster that is not this harness's own: the one that the kubeconfig's current context names. Bootlace is installed on
//! it, and removed again.

mod context;
mod load;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::cluster::Reachable;
use crate::command::{command, output};
use crate::images;
use crate::install;
use crate::run::RunDir;
use crate::scenario::NAMESPACES;
use crate::stage::{progressing, say};
use crate::tools;
use crate::wait::until_async;
use context::Context;
use load::Loader;

/// The programs that a cluster is asked with.
const CLIENTS: [&str; 2] = ["kubectl", "helm"];

/// How long a new namespace may be without its service account.
const ACCOUNT: Duration = Duration::from_secs(30);

/// The cluster, while something of this run may be on it.
pub struct Current {
    run: RunDir,
    /// Where its clients are, if this machine had none.
    path: Option<PathBuf>,
    loader: Loader,
    /// The namespaces that this run may create.
    namespaces: &'static [&'static str],
    /// Whether there is anything to remove.
    used: bool,
}

impl Current {
    /// Takes the cluster of the current context for `purpose`, and says what will be done to it. `namespaces` are those that
    /// will be created, beside Bootlace's own. With `registry`, images are pushed there.
    ///
    /// # Errors
    /// When there is no such cluster, something of this run's names is on it already, or its nodes cannot be given images.
    pub async fn take(
        purpose: &str,
        namespaces: &'static [&'static str],
        registry: Option<String>,
    ) -> Result<Self> {
        let run = RunDir::create()?;
        // A copy, so that everything goes to this cluster, whatever becomes the current context meanwhile.
        let context = Context::read()?;
        context.write(&run.kubeconfig())?;
        let seen = context.look().await?;
        let loader = Loader::choose(&context, &seen, registry)?;
        say(&format!("{purpose} on the cluster of the context {}, {}:", context.name, context.server));
        say(&format!("    {} of Kubernetes {}", plural(seen.nodes.len(), "node"), seen.version));
        say("It creates there, and removes at the end:");
        say(
            "    namespace bootlace with the Helm release bootlace: CustomResourceDefinitions, cluster roles, and a",
        );
        say(
            "        MutatingWebhookConfiguration that looks at pods and namespaces with labels of bootlace.dev",
        );
        for namespace in namespaces {
            say(&format!("    {namespace}"));
        }
        say(&format!("Its images, localhost/*, are given to the nodes with {loader}, and stay there."));
        let mut current = Self { run, path: None, loader, namespaces, used: false };
        let missing: Vec<_> = CLIENTS.into_iter().filter(|name| !is_on_path(name)).collect();
        if !missing.is_empty() {
            current.path = Some(tools::prepare_only(&missing).await?);
        }
        current.nothing_in_the_way().await?;
        Ok(current)
    }

    /// The folder of this run.
    #[must_use]
    pub fn run(&self) -> &RunDir {
        &self.run
    }

    /// What else must be installed to give the nodes images, as `hack/machine` names it.
    #[must_use]
    pub fn needs(&self) -> &'static [&'static str] {
        self.loader.needs()
    }

    /// What of the images' names, and of Helm's values, is another here.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        self.loader.values()
    }

    /// Gives every node the images in this run's folder, and sees whether a pod gets them.
    ///
    /// # Errors
    /// When the tool fails, or a pod finds no image.
    pub async fn load(&mut self) -> Result<()> {
        let mut archives: Vec<_> = std::fs::read_dir(self.run.images())
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .context("list the images")?
            .iter()
            .map(std::fs::DirEntry::path)
            .collect();
        archives.sort();
        let commands = self.loader.commands(&archives)?;
        progressing(&format!("loading the images with {}", self.loader), async |progress| {
            for (number, words) in commands.iter().enumerate() {
                progress.set(format!("{} of {} images", number, commands.len()));
                let (program, arguments) = words.split_first().context("no command")?;
                output(command(program).args(arguments)).await?;
            }
            Ok(())
        })
        .await?;
        self.used = true;
        self.has_images().await
    }

    /// Starts a pod that must not pull.
    async fn has_images(&self) -> Result<()> {
        let image = images::with_registry(images::BUSYBOX);
        let policy = if self.loader.is_registry() { "IfNotPresent" } else { "Never" };
        let create = ["create", "namespace", install::NAMESPACE];
        output(self.command("kubectl").args(create)).await?;
        // A new namespace takes pods once it has its service account.
        until_async(ACCOUNT, "the namespace bootlace takes no pods", async || {
            let mut pod = self.command("kubectl");
            pod.args([
                "--namespace",
                install::NAMESPACE,
                "run",
                "images",
                "--restart=Never",
                "--image",
                &image,
            ]);
            output(pod.args(["--image-pull-policy", policy, "--", "true"])).await.map(drop)
        })
        .await?;
        let wait = ["wait", "pod/images", "--for", "jsonpath={.status.phase}=Succeeded", "--timeout", "60s"];
        let ran = output(self.command("kubectl").args(["--namespace", install::NAMESPACE]).args(wait)).await;
        let reason = ["get", "pod", "images", "--output", "jsonpath={.status.containerStatuses[0].state}"];
        if ran.is_err() {
            let mut get = self.command("kubectl");
            let state = output(get.args(["--namespace", install::NAMESPACE]).args(reason)).await;
            ensure!(
                false,
                "a pod does not get the image {image}, which {} gave to the nodes: {}. Name a registry that they pull \
                 from with REGISTRY",
                self.loader,
                state.unwrap_or_default()
            );
        }
        let delete = ["--namespace", install::NAMESPACE, "delete", "pod", "images", "--wait=false"];
        output(self.command("kubectl").args(delete)).await.map(drop)
    }

    /// Nothing that this run would change or remove may be there already.
    async fn nothing_in_the_way(&self) -> Result<()> {
        let namespaces = [&[install::NAMESPACE], self.namespaces].concat();
        let mut there = Vec::new();
        for namespace in namespaces {
            let (kind, name) = match namespace.strip_prefix("pod ") {
                Some(pod) => ("pod", pod),
                None => ("namespace", namespace.strip_prefix("namespace ").unwrap_or(namespace)),
            };
            let get = ["get", kind, name, "--ignore-not-found", "--output", "name"];
            there.push(output(self.command("kubectl").args(get)).await?);
        }
        let get = ["get", "customresourcedefinitions", "--output", "name"];
        let crds = output(self.command("kubectl").args(get)).await?;
        there.extend(crds.lines().filter(|name| name.ends_with(".bootlace.dev")).map(str::to_owned));
        there.retain(|name| !name.trim().is_empty());
        ensure!(
            there.is_empty(),
            "the cluster has {} already, and this would change and remove it: remove Bootlace first, or take another \
             cluster",
            there.iter().map(|name| name.trim()).collect::<Vec<_>>().join(", ")
        );
        Ok(())
    }

    /// What is run to remove everything, in that order.
    fn removal(&self) -> Vec<Vec<String>> {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let quiet = "--ignore-not-found --timeout 90s";
        let mut commands = vec![words(&format!("kubectl delete namespaces --selector {NAMESPACES} {quiet}"))];
        for what in self.namespaces {
            commands.push(words(&format!("kubectl delete {what} {quiet}")));
        }
        commands.push(words(
            "helm uninstall bootlace --namespace bootlace --ignore-not-found --wait --timeout 90s",
        ));
        commands.push(words(&format!(
            "kubectl delete mutatingwebhookconfigurations,clusterroles,clusterrolebindings,\
             validatingadmissionpolicies,validatingadmissionpolicybindings --selector \
             app.kubernetes.io/name=bootlace {quiet}"
        )));
        commands.push(words(&format!("kubectl delete namespace bootlace {quiet}")));
        commands.push(words(&format!(
            "kubectl delete customresourcedefinitions bootprofiles.bootlace.dev pipes.bootlace.dev {quiet}"
        )));
        commands
    }
}

impl Reachable for Current {
    /// A command with `KUBECONFIG` set and the cluster's clients on `PATH`. It is killed when this process ends.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = command("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).envs(self.env());
        command
    }
}

impl Current {
    fn env(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        let mut env = vec![("KUBECONFIG", self.run.kubeconfig().into_os_string())];
        if let Some(clients) = &self.path {
            let path = std::env::var_os("PATH").unwrap_or_default();
            env.push(("PATH", [clients.as_os_str(), &path].join(OsStr::new(":"))));
        }
        if let Some(registry) = self.loader.registry() {
            env.push((images::REGISTRY, registry.into()));
        }
        env
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        if !self.used {
            return;
        }
        say("==> removing everything from the cluster");
        for words in self.removal() {
            let Some((program, arguments)) = words.split_first() else { continue };
            let mut command = std::process::Command::new(program);
            // Ctrl-C ends what is under way, and not this.
            command.args(arguments).envs(self.env()).process_group(0).stdin(Stdio::null());
            match command.output() {
                Ok(output) if output.status.success() => {}
                Ok(output) => {
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    say(&format!("    {}: {}", words.join(" "), said.trim()));
                }
                Err(error) => say(&format!("    {}: {error}", words.join(" "))),
            }
        }
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
