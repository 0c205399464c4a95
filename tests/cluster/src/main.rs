//! Starts a throwaway cluster, to look at (`up`) or to run a command on (`run`).

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};
use bootlace_cluster::cluster::{Cluster, Reachable};
use bootlace_cluster::command::{command, run, this_program};
use bootlace_cluster::current::Current;
use bootlace_cluster::prepare::{Prepared, prepare};
use bootlace_cluster::run::RunDir;
use bootlace_cluster::scenario::{needs, scenario};
use bootlace_cluster::stage::{self, progressing, stage};
use bootlace_cluster::tools::{self, Kubernetes};
use bootlace_cluster::{
    airflow, bench, demo, images, install, interrupt, keeper, kill, machine, node, store,
};
use bootlace_image::product;
use clap::{Args, Parser, ValueEnum};
use tokio::process::Command;

/// A throwaway single-node Kubernetes cluster in namespaces of its own.
#[derive(Parser)]
#[command(version)]
enum Arguments {
    /// Build what is slow to build, so that later runs start at once.
    Prepare(Release),
    /// Start a cluster, say how to reach it, and end it on Ctrl-C.
    Up {
        #[command(flatten)]
        release: Release,
        /// Leave Bootlace out.
        #[arg(long)]
        bare: bool,
    },
    /// Start a cluster, run a command in its network with KUBECONFIG set, and end the cluster. The exit code is
    /// the command's.
    Run {
        #[command(flatten)]
        release: Release,
        /// Leave Bootlace out.
        #[arg(long)]
        bare: bool,
        /// The command and its arguments.
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    /// Start a cluster with Bootlace and run the scenarios on it.
    Test {
        #[command(flatten)]
        release: Release,
        #[command(flatten)]
        on: On,
        /// Build cert-manager, and run only the scenario that needs it.
        #[arg(long, conflicts_with = "names")]
        cert_manager: bool,
        /// Only scenarios whose names hold one of these.
        names: Vec<String>,
    },
    /// Build Bootlace's image as it is shipped, as an OCI archive, and print its name, digest and file.
    Image {
        /// The file to write.
        #[arg(long, default_value = "dist/bootlace.tar")]
        output: PathBuf,
    },
    /// Print the path of one of the cluster's programs (`helm`, `kubectl`), and build them where they are missing.
    Tool {
        /// The program.
        name: String,
    },
    /// Run an Airflow DAG on a cluster that has Bootlace, and show what happened.
    Demo(On),
    /// Start a cluster with Bootlace, run tasks with outputs on it, kill something in the life of each, and print what
    /// came of it.
    Kill(Kill),
    /// Start a cluster with Bootlace and measure what outputs and the hook cost a pod, as docs/figures.md tells it.
    Bench(Bench),
    /// Inside: the pods of `bench`.
    #[command(hide = true)]
    Benched(Bench),
    /// Inside: the tasks of `kill`.
    #[command(hide = true)]
    Killings(Kill),
    /// Inside: the demo's story.
    #[command(hide = true)]
    Story,
    /// Inside: the process that removes what a cluster leaves.
    #[command(hide = true)]
    Keeper(Inside),
    /// Inside: the node itself.
    #[command(hide = true)]
    Node(Inside),
}

/// The Kubernetes that the cluster is made of.
#[derive(Args)]
struct Release {
    /// The release.
    #[arg(long, value_enum, default_value_t)]
    kubernetes: Kubernetes,
}

/// The cluster that something is done on.
#[derive(Args)]
struct On {
    /// A cluster of its own, or the one that the kubeconfig's current context names.
    #[arg(long, value_enum, default_value_t)]
    cluster: Which,
    /// With `current`: a registry, `host:port/path`, that takes the images and that the nodes pull them from. Without it the
    /// tool that made the cluster loads them: kind, k3d, minikube, or ctr and nerdctl where the node is this machine
    /// (`CONTAINERD_ADDRESS` names another socket than containerd's usual one).
    #[arg(long, env = "REGISTRY")]
    registry: Option<String>,
}

/// Whose cluster.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Made for it, in namespaces of its own, and ended with it.
    #[default]
    Own,
    /// There already. Bootlace is installed on it, and removed at the end.
    Current,
}

/// How one of the cluster's own processes is told which cluster it belongs to.
#[derive(Args)]
struct Inside {
    /// The run's id.
    #[arg(long)]
    id: String,
    /// The folder of the cluster's programs.
    #[arg(long)]
    tools: PathBuf,
    /// Start programs again that end, instead of ending with them.
    #[arg(long)]
    revive: bool,
}

/// How much is killed.
#[derive(Args)]
struct Kill {
    /// Tasks, in each of which something is killed.
    #[arg(long, default_value_t = 200)]
    runs: u32,
    /// How many of them run at the same time.
    #[arg(long, default_value_t = 4)]
    at_once: usize,
    /// Where chance begins; a new one where it is not set.
    #[arg(long)]
    seed: Option<u64>,
}

/// How much is measured.
#[derive(Args)]
struct Bench {
    /// Pods of each shape.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// The sections to measure.
    #[arg(value_enum, default_values_t = [bench::Section::Outputs, bench::Section::Hook])]
    sections: Vec<bench::Section>,
}

fn main() -> ExitCode {
    main_or_error().unwrap_or_else(|error| {
        eprintln!("bootlace-cluster: {error:#}");
        ExitCode::FAILURE
    })
}

fn main_or_error() -> Result<ExitCode> {
    match Arguments::parse() {
        Arguments::Keeper(inside) => keeper::keep(&RunDir::open(inside.id), &inside.tools, inside.revive),
        Arguments::Node(inside) => node::start(&RunDir::open(inside.id), &inside.tools, inside.revive),
        arguments => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            // Dropping the work ends the cluster, whichever way this goes.
            runtime.block_on(interrupt::or(work(arguments)))
        }
    }
}

async fn work(arguments: Arguments) -> Result<ExitCode> {
    match arguments {
        Arguments::Prepare(release) => {
            machine::ensure(&machine::CLUSTER).await?;
            prepare(release.kubernetes, true).await?;
        }
        Arguments::Up { release, bare } => {
            let mut cluster = start(release.kubernetes, bare, false).await?;
            println!("The cluster is up. From another terminal:");
            println!("    {} kubectl get pods --all-namespaces", cluster.enter().display());
            println!("    {} sh", cluster.enter().display());
            println!("Ctrl-C ends it.");
            cluster.ended().await?;
            bail!("the cluster ended by itself: see the reason above");
        }
        Arguments::Run { release, bare, command } => {
            let cluster = start(release.kubernetes, bare, false).await?;
            let (program, arguments) = command.split_first().context("no command")?;
            let mut command = cluster.command(program);
            let status =
                command.args(arguments).status().await.with_context(|| format!("start {program}"))?;
            return Ok(exit_code(status));
        }
        Arguments::Bench(Bench { rounds, sections }) => {
            let cluster = start(Kubernetes::Newest, false, false).await?;
            let mut inside = cluster.command(this_program());
            inside.args(["benched", &format!("--rounds={rounds}")]);
            let words = sections.iter().filter_map(ValueEnum::to_possible_value);
            inside.args(words.map(|word| word.get_name().to_owned()));
            return Ok(exit_code(inside.status().await.context("start the bench")?));
        }
        Arguments::Benched(Bench { rounds, sections }) => {
            for (number, section) in sections.into_iter().enumerate() {
                if number > 0 {
                    println!();
                }
                scenario("bench").run(async |namespace| bench::run(section, namespace, rounds).await).await?;
            }
        }
        Arguments::Kill(kill) => {
            let cluster = start(Kubernetes::Newest, false, true).await?;
            let mut inside = cluster.command(this_program());
            inside.args([
                "killings",
                &format!("--runs={}", kill.runs),
                &format!("--at-once={}", kill.at_once),
            ]);
            inside.args(kill.seed.map(|seed| format!("--seed={seed}")));
            return Ok(exit_code(inside.status().await.context("start the kill test")?));
        }
        Arguments::Killings(kill) => killings(&kill).await?,
        Arguments::Demo(On { cluster: Which::Own, .. }) => {
            demo::run(&start(Kubernetes::Newest, false, false).await?).await?;
            stage::say_times("The demo");
        }
        Arguments::Demo(On { cluster: Which::Current, registry }) => {
            {
                let current = take("The demo", &demo::CREATES, registry, async { Ok(()) }).await?;
                demo::run(&current).await?;
            }
            stage::say_times("The demo");
        }
        Arguments::Story => demo::tell().await?,
        Arguments::Test { release, on: On { cluster: Which::Own, .. }, cert_manager, names } => {
            machine::ensure(&[&machine::CLUSTER[..], &machine::SCENARIOS[..]].concat()).await?;
            tokio::try_join!(build_scenarios(), prepare(release.kubernetes, true))?;
            let own = if cert_manager { Some(tools::cert_manager().await?) } else { None };
            let cluster = start(release.kubernetes, false, false).await?;
            let Some(own) = own else {
                return run_scenarios(&cluster, &names, &[needs::CERT_MANAGER], None).await;
            };
            return run_scenarios(&cluster, &[needs::CERT_MANAGER.to_owned()], &[], Some(&own)).await;
        }
        Arguments::Test { on: On { registry, .. }, names, .. } => {
            let current = take("The scenarios", &[], registry, build_scenarios()).await?;
            let skipped: Vec<_> =
                needs::NODE.iter().map(|(name, _)| *name).chain([needs::CERT_MANAGER]).collect();
            let ended = run_scenarios(&current, &names, &skipped, None).await;
            println!("Not run, because they need the node itself, and not only a kubeconfig:");
            for (name, reason) in needs::NODE {
                println!("    {}: {reason}", name.trim_end_matches(':'));
            }
            return ended;
        }
        Arguments::Image { output } => image(&output).await?,
        Arguments::Tool { name } => {
            machine::ensure(&["go"]).await?;
            println!("{}", tools::prepare_only(&[&name]).await?.join(&name).display());
        }
        Arguments::Keeper(_) | Arguments::Node(_) => bail!("handled in main"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The kill test, on the cluster that this was started in.
async fn killings(terms: &Kill) -> Result<()> {
    let seed = terms.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("{} tasks, {} at once, --seed={seed}", terms.runs, terms.at_once);
    let terms = kill::Terms { runs: terms.runs, at_once: terms.at_once, seed, victims: &kill::Victim::ALL };
    scenario("kill")
        .run(async |namespace| {
            kill::hooks::run(namespace).await?;
            kill::run(namespace, terms).await
        })
        .await
}

/// Built before there is a cluster: its network has no way to the registries, and cargo says more clearly what is wrong with
/// the code.
async fn build_scenarios() -> Result<()> {
    stage("building the scenarios", async { run(scenarios().arg("--no-run")).await }).await
}

/// Runs the scenarios whose names hold one of `names`, but those whose names hold one of `skipped`; with the folder of
/// cert-manager where one needs it.
async fn run_scenarios(
    on: &impl Reachable,
    names: &[String],
    skipped: &[&str],
    cert_manager: Option<&Path>,
) -> Result<ExitCode> {
    let tests = scenarios();
    let mut inside = on.command("cargo");
    inside.args(tests.as_std().get_args()).arg("--offline").arg("--").args(names);
    for name in skipped {
        inside.args(["--skip", name]);
    }
    inside.envs(cert_manager.map(|folder| (needs::CERT_MANAGER_FOLDER, folder)));
    // Scenarios wait more than they work, but for Airflow's: more of them at once starve the webhook on two cores, so
    // that reviews outlast the API server's patience.
    let status = inside.env("RUST_TEST_THREADS", "3").status().await;
    Ok(exit_code(status.context("start cargo")?))
}

/// Takes the cluster of the current context, and installs Bootlace on it. `also` is done while cargo and Go build.
async fn take(
    purpose: &str,
    creates: &'static [&'static str],
    registry: Option<String>,
    also: impl Future<Output = Result<()>>,
) -> Result<Current> {
    machine::ensure(&["go"]).await?;
    let mut current = Current::take(purpose, creates, registry).await?;
    machine::ensure(&[&machine::IMAGES[..], current.needs()].concat()).await?;
    let programs =
        progressing("building Bootlace's image", async |progress| images::programs(true, progress).await);
    let (store, programs, _, ()) = tokio::try_join!(store::prepare(), programs, airflow::prepare(), also)?;
    stage("writing the images", images::write(&current.run().images(), &programs, &store)).await?;
    images::copy_command_line(&programs, &current.run().bootlace())?;
    current.load().await?;
    let values = current.values();
    stage("installing Bootlace with Helm", install::install(&current, &values)).await?;
    Ok(current)
}

/// The test binary of `tests/scenarios`.
fn scenarios() -> Command {
    let mut cargo = command("cargo");
    cargo.args(["test", "--quiet", "--locked", "--package", "bootlace-cluster"]);
    cargo.args(["--features", "scenarios", "--test", "scenarios"]);
    cargo
}

async fn image(output: &Path) -> Result<()> {
    machine::ensure(&["rust"]).await?;
    if let Some(folder) = output.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let reference = concat!("localhost/bootlace:", env!("CARGO_PKG_VERSION"));
    let product = progressing("building Bootlace as it ships", async |progress| {
        images::product("dist", progress).await
    });
    let digest = product::write(&product.await?, reference, output)?;
    println!("{reference} {digest} {}", output.display());
    Ok(())
}

/// Everything from a fresh machine to a cluster that is ready.
async fn start(kubernetes: Kubernetes, bare: bool, revive: bool) -> Result<Cluster> {
    machine::ensure(&machine::CLUSTER).await?;
    let Prepared { tools, store, programs } = prepare(kubernetes, !bare).await?;
    let run = RunDir::create()?;
    stage("writing the images", images::write(&run.images(), &programs, &store)).await?;
    images::copy_command_line(&programs, &run.bootlace())?;
    let cluster = stage("starting the cluster", Cluster::start(run, &tools, revive)).await?;
    if !bare {
        stage("installing Bootlace with Helm", install::install(&cluster, &[])).await?;
    }
    Ok(cluster)
}

/// As a shell has it: the exit code, or 128 and the signal's number.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code =
        status.code().or_else(|| Some(128 + status.signal()?)).and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
