//! The existing cluster of the current context of the kubeconfig. Bootlace is installed on it, and removed at
//! the end.

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
use crate::stage::{print, progressing};
use crate::tools;
use crate::wait::until_async;
use context::Context;
use load::Loader;

/// The programs that use the cluster.
const CLIENTS: [&str; 2] = ["kubectl", "helm"];

/// The timeout for the service account of a new namespace.
const ACCOUNT: Duration = Duration::from_secs(30);

/// The cluster. Dropping this value removes everything that the run has created on it.
pub struct Current {
    run: RunDir,
    /// The folder of the clients, if they were not installed.
    path: Option<PathBuf>,
    loader: Loader,
    /// The objects that this run creates in addition to Bootlace, as `namespace NAME` or `pod NAME`.
    objects: &'static [&'static str],
    /// Whether the run may have created objects.
    used: bool,
}

impl Current {
    /// Checks the cluster of the current context, and prints what `purpose` will create on it: Bootlace and
    /// `objects` (`namespace NAME` or `pod NAME`). With `registry`, images are pushed there.
    ///
    /// # Errors
    /// If the cluster cannot be reached, an object with the same name exists on it, or images cannot be
    /// loaded into its nodes.
    pub async fn check(
        purpose: &str,
        objects: &'static [&'static str],
        registry: Option<String>,
    ) -> Result<Self> {
        let run = RunDir::create()?;
        // A copy, so that all commands use this cluster even if the current context changes.
        let context = Context::load()?;
        context.write(&run.kubeconfig())?;
        let cluster = context.cluster_info().await?;
        let loader = Loader::choose(&context, &cluster, registry)?;
        print(&format!(
            "{purpose} will run on the cluster of context {:?}, {}:",
            context.name, context.server
        ));
        print(&format!("    {} with Kubernetes {}", plural(cluster.nodes.len(), "node"), cluster.version));
        print("These objects will be created, and removed at the end:");
        print("    namespace bootlace, with the Helm release bootlace");
        print("    CustomResourceDefinitions and cluster roles of Bootlace");
        print("    a MutatingWebhookConfiguration for pods and namespaces with labels of bootlace.dev");
        for object in objects {
            print(&format!("    {object}"));
        }
        print(&format!(
            "The images localhost/* will be loaded into the nodes with {loader}, and not be removed."
        ));
        let mut current = Self { run, path: None, loader, objects, used: false };
        let missing: Vec<_> = CLIENTS.into_iter().filter(|name| !is_on_path(name)).collect();
        if !missing.is_empty() {
            current.path = Some(tools::prepare_only(&missing).await?);
        }
        current.check_no_conflicts().await?;
        Ok(current)
    }

    /// The folder of this run.
    #[must_use]
    pub fn run(&self) -> &RunDir {
        &self.run
    }

    /// The requirements for loading images, as arguments of `hack/machine`.
    #[must_use]
    pub fn needs(&self) -> &'static [&'static str] {
        self.loader.needs()
    }

    /// The values of the chart that differ on this cluster.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        self.loader.values()
    }

    /// Loads the images in the folder of this run into all nodes, and checks that a pod can use one.
    ///
    /// # Errors
    /// If the tool fails, or the pod cannot use the image.
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
            for (number, command_line) in commands.iter().enumerate() {
                progress.set(format!("{} of {} images", number, commands.len()));
                let (program, arguments) = command_line.split_first().context("no command")?;
                output(command(program).args(arguments)).await?;
            }
            Ok(())
        })
        .await?;
        self.used = true;
        self.check_images().await
    }

    /// Runs a pod with one of the images, which the node must not pull.
    async fn check_images(&self) -> Result<()> {
        let image = images::with_registry(images::BUSYBOX);
        let policy = if self.loader.is_registry() { "IfNotPresent" } else { "Never" };
        let create = ["create", "namespace", install::NAMESPACE];
        output(self.command("kubectl").args(create)).await?;
        // Pods cannot be created in a new namespace before it has a service account.
        until_async(ACCOUNT, "failed to create a pod in namespace bootlace", async || {
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
                "a pod cannot use the image {image}, which was loaded with {}: {}: set a registry that the nodes pull from \
                 (REGISTRY=host:port/path)",
                self.loader,
                state.unwrap_or_default()
            );
        }
        let delete = ["--namespace", install::NAMESPACE, "delete", "pod", "images", "--wait=false"];
        output(self.command("kubectl").args(delete)).await.map(drop)
    }

    /// Fails if an object exists that this run would change or remove.
    async fn check_no_conflicts(&self) -> Result<()> {
        let objects = [&[install::NAMESPACE], self.objects].concat();
        let mut conflicts = Vec::new();
        for object in objects {
            let (kind, name) = match object.strip_prefix("pod ") {
                Some(pod) => ("pod", pod),
                None => ("namespace", object.strip_prefix("namespace ").unwrap_or(object)),
            };
            let get = ["get", kind, name, "--ignore-not-found", "--output", "name"];
            conflicts.push(output(self.command("kubectl").args(get)).await?);
        }
        let get = ["get", "customresourcedefinitions", "--output", "name"];
        let crds = output(self.command("kubectl").args(get)).await?;
        conflicts.extend(crds.lines().filter(|name| name.ends_with(".bootlace.dev")).map(str::to_owned));
        conflicts.retain(|name| !name.trim().is_empty());
        ensure!(
            conflicts.is_empty(),
            "the cluster already has {}, which would be changed and removed: uninstall Bootlace first, or use another cluster",
            conflicts.iter().map(|name| name.trim()).collect::<Vec<_>>().join(", ")
        );
        Ok(())
    }

    /// The commands that remove everything, in order.
    fn removal(&self) -> Vec<Vec<String>> {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let quiet = "--ignore-not-found --timeout 90s";
        let mut commands = vec![words(&format!("kubectl delete namespaces --selector {NAMESPACES} {quiet}"))];
        for object in self.objects {
            commands.push(words(&format!("kubectl delete {object} {quiet}")));
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
            "kubectl delete customresourcedefinitions bootprofiles.bootlace.dev pipes.bootlace.dev aborts.bootlace.dev {quiet}"
        )));
        commands
    }
}

impl Reachable for Current {
    /// A command with `KUBECONFIG` set, and with the clients in its `PATH`. It is killed when this process
    /// ends.
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
        print("==> removing everything from the cluster");
        for command_line in self.removal() {
            let Some((program, arguments)) = command_line.split_first() else { continue };
            let mut command = std::process::Command::new(program);
            // A separate process group, so that Ctrl-C does not stop the removal.
            command.args(arguments).envs(self.env()).process_group(0).stdin(Stdio::null());
            match command.output() {
                Ok(output) if output.status.success() => {}
                Ok(output) => {
                    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
                    print(&format!("    {}: {}", command_line.join(" "), stderr.trim()));
                }
                Err(error) => print(&format!("    {}: {error}", command_line.join(" "))),
            }
        }
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
