//! Starts a throwaway cluster, to look at (`up`) or to run a command on (`run`).

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};
use bootlace_cluster::cluster::Cluster;
use bootlace_cluster::command::{command, run, this_program};
use bootlace_cluster::run::RunDir;
use bootlace_cluster::scenario::scenario;
use bootlace_cluster::stage::stage;
use bootlace_cluster::tools::{self, Kubernetes};
use bootlace_cluster::{
    airflow, bench, demo, images, install, interrupt, keeper, kill, node, prerequisites, store,
};
use bootlace_image::product;
use clap::{Args, Parser, ValueEnum};
use tokio::process::Command;

/// A throwaway single-node Kubernetes cluster in namespaces of its own.
#[derive(Parser)]
#[command(version)]
enum Arguments {
    /// Check what the machine must have and install the Debian packages that are missing.
    Prerequisites,
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
    Demo,
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
    Story {
        /// The program that explains.
        #[arg(long)]
        bootlace: PathBuf,
    },
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
        Arguments::Prerequisites => prerequisites::ensure().await?,
        Arguments::Prepare(release) => {
            prerequisites::ensure().await?;
            tools::prepare(release.kubernetes).await?;
            airflow::prepare().await?;
            store::prepare().await?;
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
        Arguments::Demo => demo::run(&start(Kubernetes::Newest, false, false).await?).await?,
        Arguments::Story { bootlace } => demo::tell(&bootlace).await?,
        Arguments::Test { release, names } => {
            // Built first: the cluster's network has no way to the registries, and cargo says more clearly what is
            // wrong with the code.
            stage("building the scenarios", async { run(scenarios().arg("--no-run")).await }).await?;
            let cluster = start(release.kubernetes, false, false).await?;
            let tests = scenarios();
            let mut inside = cluster.command("cargo");
            inside.args(tests.as_std().get_args()).arg("--offline").arg("--").args(names);
            // Scenarios wait more than they work, but for Airflow's: more of them at once starve the webhook on two cores, so
            // that reviews outlast the API server's patience.
            let status = inside.env("RUST_TEST_THREADS", "3").status().await;
            return Ok(exit_code(status.context("start cargo")?));
        }
        Arguments::Image { output } => image(&output)?,
        Arguments::Tool { name } => {
            let tool = tools::prepare(Kubernetes::Newest).await?.join(name);
            if !tool.exists() {
                bail!("{} is not one of the cluster's programs", tool.display());
            }
            println!("{}", tool.display());
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
    scenario("kill").run(async |namespace| kill::run(namespace, terms).await).await
}

/// The test binary of `tests/scenarios`.
fn scenarios() -> Command {
    let mut cargo = command("cargo");
    cargo.args(["test", "--quiet", "--locked", "--package", "bootlace-cluster"]);
    cargo.args(["--features", "scenarios", "--test", "scenarios"]);
    cargo
}

fn image(output: &Path) -> Result<()> {
    if let Some(folder) = output.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let reference = concat!("localhost/bootlace:", env!("CARGO_PKG_VERSION"));
    let digest = product::write(&images::root()?, "dist", reference, output)?;
    println!("{reference} {digest} {}", output.display());
    Ok(())
}

/// Everything from a fresh machine to a cluster that is ready.
async fn start(kubernetes: Kubernetes, bare: bool, revive: bool) -> Result<Cluster> {
    prerequisites::ensure().await?;
    let tools = tools::prepare(kubernetes).await?;
    airflow::prepare().await?;
    let store = store::prepare().await?;
    let run = RunDir::create()?;
    stage("building the images", images::build(&run.images(), &store, !bare)).await?;
    if !bare {
        images::copy_command_line(&run.bootlace())?;
    }
    let cluster = stage("starting the cluster", Cluster::start(run, &tools, revive)).await?;
    if !bare {
        stage("installing Bootlace with Helm", install::install(&cluster)).await?;
    }
    Ok(cluster)
}

/// As a shell has it: the exit code, or 128 and the signal's number.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code =
        status.code().or_else(|| Some(128 + status.signal()?)).and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
