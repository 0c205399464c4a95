//! The command line of the harness: it starts temporary clusters, and runs the scenarios, the demo and the
//! benchmarks on them.

mod arguments;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};
use bootlace_cluster::cluster::{Cluster, Reachable};
use bootlace_cluster::command::{command, run, this_program};
use bootlace_cluster::current::Current;
use bootlace_cluster::prepare::{Prepared, prepare};
use bootlace_cluster::previous::{self, Previous};
use bootlace_cluster::run::RunDir;
use bootlace_cluster::scenario::{needs, scenario};
use bootlace_cluster::stage::{self, progressing, stage};
use bootlace_cluster::tools::{self, Kubernetes};
use bootlace_cluster::{
    abort, airflow, bench, clients, demo, images, install, interrupt, keeper, kill, machine, node, store,
};
use bootlace_image::product;
use clap::{Parser as _, ValueEnum};
use k8s_openapi::jiff::Timestamp;
use tokio::process::Command;

use arguments::{AIRFLOW, Arguments, Bench, Kill, On, Which};

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
            // Dropping the future stops the cluster, on success, failure and interruption.
            runtime.block_on(interrupt::or_interrupted(work(arguments)))
        }
    }
}

async fn work(arguments: Arguments) -> Result<ExitCode> {
    match arguments {
        Arguments::Prepare { release, schedulers, names } => {
            prepare_all(release.kubernetes, schedulers, &names).await?;
        }
        Arguments::Up { release, bare } => keep_running(release.kubernetes, bare).await?,
        Arguments::Run { release, bare, command } => {
            return run_command(release.kubernetes, bare, &command).await;
        }
        Arguments::Bench(Bench { rounds, sections }) => {
            let names = sections.iter().filter_map(ValueEnum::to_possible_value);
            let names = names.map(|name| name.get_name().to_owned());
            let arguments = ["benched".to_owned(), format!("--rounds={rounds}")];
            return run_inside(false, arguments.into_iter().chain(names)).await;
        }
        Arguments::Benched(Bench { rounds, sections }) => {
            for (number, section) in sections.into_iter().enumerate() {
                if number > 0 {
                    println!();
                }
                scenario("bench").run(async |namespace| bench::run(section, namespace, rounds).await).await?;
            }
        }
        Arguments::Kill(Kill { runs, at_once, seed }) => {
            let seed = seed.map(|seed| format!("--seed={seed}"));
            let arguments = ["killings".to_owned(), format!("--runs={runs}"), format!("--at-once={at_once}")];
            return run_inside(true, arguments.into_iter().chain(seed)).await;
        }
        Arguments::Killings(kill) => run_kill_test(&kill).await?,
        Arguments::Abort(Kill { runs, at_once, seed }) => {
            let seed = seed.map(|seed| format!("--seed={seed}"));
            let arguments = ["aborts".to_owned(), format!("--runs={runs}"), format!("--at-once={at_once}")];
            return run_inside(false, arguments.into_iter().chain(seed)).await;
        }
        Arguments::Aborts(Kill { runs, at_once, seed }) => {
            let seed = seed.unwrap_or_else(|| fastrand::u64(..));
            println!("{runs} tasks, {at_once} at a time, --seed={seed}");
            let options = abort::Options { runs, at_once, seed };
            scenario("abort").run(async |namespace| abort::run(namespace, options).await).await?;
        }
        Arguments::Demo { on, scheduler } => run_demo(on, &scheduler).await?,
        Arguments::Story { scheduler: None } => demo::present().await?,
        Arguments::Story { scheduler: Some(name) } => demo::present_workflow(demo_client(&name)?).await?,
        Arguments::Test {
            release,
            on: On { cluster: Which::Own, .. },
            cert_manager,
            previous,
            schedulers,
            names,
        } => {
            let separate = Separate { cert_manager, previous, schedulers };
            return test(release.kubernetes, separate, &names).await;
        }
        Arguments::Test { on: On { registry, .. }, names, .. } => {
            return test_on_current(registry, &names).await;
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

/// Builds everything that a cluster needs, and the clients of schedulers if they are selected.
async fn prepare_all(kubernetes: Kubernetes, schedulers: bool, names: &[String]) -> Result<()> {
    let clients = if schedulers { selected_clients(true, names)? } else { Vec::new() };
    let requirements = clients.iter().flat_map(|client| client.requirements.iter().copied());
    machine::ensure(&machine::CLUSTER.into_iter().chain(requirements).collect::<Vec<_>>()).await?;
    prepare(kubernetes, true).await?;
    clients::prepare(&clients).await?;
    Ok(())
}

/// Starts a cluster, and keeps it running until this process is interrupted.
async fn keep_running(kubernetes: Kubernetes, bare: bool) -> Result<()> {
    let mut cluster = start(kubernetes, bare, false).await?;
    println!("The cluster is running. Use it from another terminal:");
    println!("    {} kubectl get pods --all-namespaces", cluster.enter().display());
    println!("    {} sh", cluster.enter().display());
    println!("Press Ctrl-C to stop it.");
    cluster.ended().await?;
    bail!("the cluster stopped unexpectedly: see the reason above");
}

/// Starts a cluster, and runs `command` in its network.
async fn run_command(kubernetes: Kubernetes, bare: bool, command: &[String]) -> Result<ExitCode> {
    let cluster = start(kubernetes, bare, false).await?;
    let (program, arguments) = command.split_first().context("no command")?;
    let mut command = cluster.command(program);
    let status = command.args(arguments).status().await.with_context(|| format!("start {program}"))?;
    Ok(exit_code(status))
}

/// Starts a cluster, and runs this program with `arguments` in its network. With `revive`, the programs of
/// the cluster are restarted when they exit.
async fn run_inside(revive: bool, arguments: impl Iterator<Item = String>) -> Result<ExitCode> {
    let cluster = start(Kubernetes::Newest, false, revive).await?;
    let mut inside = cluster.command(this_program());
    let status = inside.args(arguments).status().await;
    Ok(exit_code(status.context("start this program in the network of the cluster")?))
}

/// Runs the scenarios that need nothing but the API server, on the cluster of the current context.
async fn test_on_current(registry: Option<String>, names: &[String]) -> Result<ExitCode> {
    let current = install_on_current("The scenarios", &[], registry, build_scenarios()).await?;
    let unavailable: Vec<_> = needs::NODE.into_iter().chain([needs::MESH]).collect();
    let skipped = unavailable.iter().map(|(name, _)| *name).chain(needs::SEPARATE);
    let skipped: Vec<_> = skipped.chain([needs::SCHEDULERS]).collect();
    let result = run_scenarios(&current, names, &skipped, None).await;
    println!("Skipped, because they need more than the API server:");
    for (name, reason) in unavailable {
        println!("    {}: {reason}", name.trim_end_matches(':'));
    }
    result
}

/// The scenarios that need something that is built only for them.
#[derive(Clone, Copy)]
struct Separate {
    cert_manager: bool,
    previous: bool,
    schedulers: bool,
}

/// Runs scenarios on a temporary cluster: those in `separate`, or those whose names contain one of `names`.
async fn test(kubernetes: Kubernetes, separate: Separate, names: &[String]) -> Result<ExitCode> {
    let clients = selected_clients(separate.schedulers, names)?;
    let requirements = clients.iter().flat_map(|client| client.requirements.iter().copied());
    let requirements: Vec<_> =
        machine::CLUSTER.into_iter().chain(machine::SCENARIOS).chain(requirements).collect();
    machine::ensure(&requirements).await?;
    let previous = if separate.previous { Some(previous::prepare().await?) } else { None };
    tokio::try_join!(build_scenarios(), prepare(kubernetes, true))?;
    let mut archives = clients::prepare(&clients).await?;
    archives.extend([images::iptables().await?, images::csi_driver(&tools::csi_driver().await?)?]);
    let cert_manager = if separate.cert_manager { Some(tools::cert_manager().await?) } else { None };
    let cluster = start_with(kubernetes, false, false, previous.as_ref(), &archives).await?;
    if separate.schedulers {
        return run_clients(&cluster, &clients).await;
    }
    let skipped = clients::select(&[]).into_iter().filter(|client| !client.short);
    let skipped: Vec<_> = skipped.map(|client| format!("{}{}::", needs::SCHEDULERS, client.name)).collect();
    let skipped: Vec<_> = skipped.iter().map(String::as_str).chain(needs::SEPARATE.iter().copied()).collect();
    let (name, folder) = match (&cert_manager, &previous) {
        (Some(folder), _) => (needs::CERT_MANAGER, (needs::CERT_MANAGER_FOLDER, folder.as_path())),
        (_, Some(previous)) => (needs::PREVIOUS, (needs::PREVIOUS_SOURCE, previous.source())),
        _ => return run_scenarios(&cluster, names, &skipped, None).await,
    };
    run_scenarios(&cluster, &[name.to_owned()], &[], Some(folder)).await
}

/// Runs the kill test, on the cluster in whose network this process runs.
async fn run_kill_test(options: &Kill) -> Result<()> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("{} tasks, {} at a time, --seed={seed}", options.runs, options.at_once);
    let options =
        kill::Options { runs: options.runs, at_once: options.at_once, seed, victims: &kill::Victim::ALL };
    scenario("kill")
        .run(async |namespace| {
            kill::hooks::run(namespace).await?;
            kill::run(namespace, options).await
        })
        .await
}

/// Runs the demo of Airflow, or of another scheduler.
async fn run_demo(on: On, scheduler: &str) -> Result<()> {
    match on.cluster {
        Which::Current if scheduler != AIRFLOW => {
            bail!("--scheduler needs a cluster that this command creates: omit --cluster (CLUSTER)");
        }
        Which::Current => {
            let current =
                install_on_current("The demo", &demo::CREATES, on.registry, async { Ok(()) }).await?;
            demo::run(&current, None).await?;
        }
        Which::Own if scheduler == AIRFLOW => {
            demo::run(&start(Kubernetes::Newest, false, false).await?, None).await?;
        }
        Which::Own => {
            let client = demo_client(scheduler)?;
            machine::ensure(&[&machine::CLUSTER[..], client.requirements].concat()).await?;
            let archives = clients::prepare(&[client]).await?;
            let cluster = start_with(Kubernetes::Newest, false, false, None, &archives).await?;
            demo::run(&cluster, Some(client.demo_name())).await?;
        }
    }
    stage::print_times("The demo");
    Ok(())
}

/// The client for the demo of `scheduler`.
fn demo_client(scheduler: &str) -> Result<&'static clients::Client> {
    let all = clients::select(&[]).into_iter().filter(|client| client.demo.is_some());
    let all: Vec<_> = all.collect();
    all.iter().find(|client| client.demo_name() == scheduler).copied().with_context(|| {
        let names: Vec<_> = all.iter().map(|client| client.demo_name()).collect();
        format!(
            "there is no demo for scheduler {scheduler:?}: must be one of {AIRFLOW}, {}",
            names.join(", ")
        )
    })
}

/// The clients whose scenarios run: with `all`, those whose names contain one of `names`; otherwise those of
/// `make test`, if `names` selects their scenarios.
fn selected_clients(all: bool, names: &[String]) -> Result<Vec<&'static clients::Client>> {
    if !all {
        let wanted = names.is_empty() || names.iter().any(|name| name.contains("schedulers"));
        return Ok(if wanted { clients::short() } else { Vec::new() });
    }
    let selected = clients::select(names);
    if selected.is_empty() {
        let all: Vec<_> = clients::select(&[]).iter().map(|client| client.name).collect();
        bail!("no client is named {}: must be one of {}", names.join(" or "), all.join(", "));
    }
    Ok(selected)
}

/// Runs the scenarios of `clients`, and prints a table of their workflows.
async fn run_clients(cluster: &impl Reachable, clients: &[&clients::Client]) -> Result<ExitCode> {
    let results = tempfile::tempdir().context("create a folder for the results")?;
    let file = results.path().join("results");
    let names: Vec<_> =
        clients.iter().map(|client| format!("{}{}::", needs::SCHEDULERS, client.name)).collect();
    let code = run_scenarios(cluster, &names, &[], Some((clients::results::FILE, &file))).await?;
    let date = Timestamp::now().strftime("%Y-%m-%d").to_string();
    println!("{}", clients::results::table(&file, &date)?);
    clients::results::update(&images::root().join(clients::results::PAGE), &file, &date)?;
    Ok(code)
}

/// Builds the scenarios before the cluster starts: the network of the cluster has no route to the registries,
/// and compiler errors are easier to read here.
async fn build_scenarios() -> Result<()> {
    stage("building the scenarios", async { run(scenarios().arg("--no-run")).await }).await
}

/// Runs the scenarios whose names contain one of `names`, except those whose names contain one of `skipped`.
/// `folder` is a variable for scenarios that need a folder, and the folder.
async fn run_scenarios(
    cluster: &impl Reachable,
    names: &[String],
    skipped: &[&str],
    folder: Option<(&str, &Path)>,
) -> Result<ExitCode> {
    let tests = scenarios();
    let mut inside = cluster.command("cargo");
    inside.args(tests.as_std().get_args()).arg("--offline").arg("--").args(names);
    for name in skipped {
        inside.args(["--skip", name]);
    }
    inside.envs(folder);
    // Except those with Airflow, scenarios mostly wait. But with more of them at the same time, the webhook
    // gets so little CPU on two cores that its reviews exceed the timeout of the API server.
    let status = inside.env("RUST_TEST_THREADS", "3").status().await;
    Ok(exit_code(status.context("start cargo")?))
}

/// Installs Bootlace on the cluster of the current context. Runs `other_work` while cargo and Go build.
async fn install_on_current(
    purpose: &str,
    creates: &'static [&'static str],
    registry: Option<String>,
    other_work: impl Future<Output = Result<()>>,
) -> Result<Current> {
    machine::ensure(&["go"]).await?;
    let mut current = Current::check(purpose, creates, registry).await?;
    machine::ensure(&[&machine::IMAGES[..], current.needs()].concat()).await?;
    let programs =
        progressing("building the Bootlace image", async |progress| images::programs(true, progress).await);
    let (store, programs, _, ()) =
        tokio::try_join!(store::prepare(), programs, airflow::prepare(), other_work)?;
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
    let product = progressing("building the release image of Bootlace", async |progress| {
        images::product("dist", progress).await
    });
    let digest = product::write(&product.await?, reference, output)?;
    println!("{reference} {digest} {}", output.display());
    Ok(())
}

/// Prepares the machine, builds what is missing, and starts a cluster. With `bare`, Bootlace is not
/// installed. With `revive`, the programs of the cluster are restarted when they exit.
async fn start(kubernetes: Kubernetes, bare: bool, revive: bool) -> Result<Cluster> {
    start_with(kubernetes, bare, revive, None, &[]).await
}

/// As [`start`], with the image of the previous version and the images in `archives` on the node.
async fn start_with(
    kubernetes: Kubernetes,
    bare: bool,
    revive: bool,
    previous: Option<&Previous>,
    archives: &[PathBuf],
) -> Result<Cluster> {
    machine::ensure(&machine::CLUSTER).await?;
    let Prepared { tools, store, programs } = prepare(kubernetes, !bare).await?;
    let run = RunDir::create()?;
    stage("writing the images", images::write(&run.images(), &programs, &store)).await?;
    images::copy_command_line(&programs, &run.bootlace())?;
    if let Some(previous) = previous {
        previous.write_image(&run.images())?;
    }
    clients::add_images(archives, &run.images())?;
    let cluster = stage("starting the cluster", Cluster::start(run, &tools, revive)).await?;
    if !bare {
        stage("installing Bootlace with Helm", install::install(&cluster, &[])).await?;
    }
    Ok(cluster)
}

/// The exit code as a shell reports it: after a signal, 128 + its number.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code =
        status.code().or_else(|| Some(128 + status.signal()?)).and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
