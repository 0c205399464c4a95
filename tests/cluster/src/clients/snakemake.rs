//! Snakemake, whose pods all run on the cluster: one that runs a workflow, and those of its rules. Their
//! files are in an S3 server.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bootlace_image::archive::Config;
use serde_json::json;

use super::process::end;
use super::python::Environment;
use super::python_image;
use super::{Client, Demo, OptIn, app};
use crate::clients::debian;
use crate::command::{command, output};
use crate::scenario::{Namespace, servers};
use crate::stage::Progress;

const REQUIREMENTS: &str = include_str!("../../schedulers/snakemake/requirements.txt");
const ENVIRONMENT: Environment =
    Environment { name: "snakemake", title: "Snakemake", requirements: REQUIREMENTS };
/// The modules that its pods import.
const MODULES: [&str; 7] = [
    "pip._internal.cli.main",
    "pip._internal.commands.install",
    "snakemake.cli",
    "snakemake.scheduling.job_scheduler",
    "snakemake.workflow",
    "snakemake_executor_plugin_kubernetes",
    "snakemake_storage_plugin_s3",
];
/// The package that its pods install before they run a rule.
const STORAGE: &str = "snakemake-storage-plugin-s3";
/// The cluster has no package index. The image contains the package as a wheel, and what it depends on is in
/// the environment.
const PIP: [&str; 3] = ["PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels", "PIP_NO_DEPS=1"];
/// Snakemake lists the files of a workflow with `git ls-files`, which needs no other file of its package.
const GIT: &str = "/usr/bin/git";
const INSTALL: &str = include_str!("../../schedulers/snakemake/install.yaml");
const LAUNCH: &str = include_str!("../../schedulers/snakemake/launch.yaml");
/// The workflows, and the program that runs them.
const APP: [(&str, &str); 4] = [
    ("daily.smk", include_str!("../../schedulers/snakemake/daily.smk")),
    ("demo.smk", include_str!("../../schedulers/snakemake/demo.smk")),
    ("failing.smk", include_str!("../../schedulers/snakemake/failing.smk")),
    ("run.py", include_str!("../../schedulers/snakemake/run.py")),
];

/// Snakemake with its Kubernetes executor.
pub const CLIENT: Client = Client {
    name: "snakemake",
    requirements: &["git"],
    prepare: || {
        Box::pin(async {
            let inputs: Vec<_> = MODULES.into_iter().chain(PIP).chain([GIT]).collect();
            Ok(vec![ENVIRONMENT.prepare(&inputs, write_image).await?])
        })
    },
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Snakemake",
    file: "schedulers/snakemake/demo.smk",
    command: "snakemake --snakefile demo.smk --executor kubernetes --kubernetes-omit-job-cleanup   # to keep the pods",
    opt_in: OptIn::Namespace,
    run: |namespace| Box::pin(run_demo(namespace)),
};

async fn run_demo(namespace: &Namespace) -> Result<String> {
    servers::s3(namespace, "snakemake-storage", &json!({})).await?;
    let state = run_with(namespace, "demo.smk", &["--kubernetes-omit-job-cleanup"]).await?;
    if !state.starts_with("exit code 0,") {
        bail!("the workflow has ended with {state}:\n{}", end(&log(namespace).await?));
    }
    Ok(state)
}

/// Writes the image, with git, pip and the wheel that pods install.
async fn write_image(folder: &Path, progress: &Progress) -> Result<()> {
    let pin = REQUIREMENTS.lines().find(|line| line.starts_with(STORAGE));
    let pin = pin.with_context(|| format!("the requirements do not contain {STORAGE}"))?;
    progress.set(format!("downloading {pin}"));
    let (venv, wheels) = (folder.join("venv"), folder.join("wheels"));
    let mut download = command(venv.join("bin/pip"));
    download.args(["download", "--quiet", "--no-deps", pin, "--dest"]);
    output(download.arg(&wheels)).await?;
    progress.set("writing the image");
    let layer = python_image::layer(&venv, &MODULES, &[]).await?;
    let layer = debian::add_tree(layer, Path::new("/wheels"), &wheels)?;
    let mut python = command(venv.join("bin/python"));
    let pip = output(python.args(["-c", "import pip; print(pip.__path__[0])"])).await?;
    let pip = Path::new(pip.trim());
    let layer = debian::add_tree(layer, pip, pip)?;
    let program = venv.join("bin/pip");
    let layer = layer.program(&program.display().to_string(), &program)?.program(GIT, Path::new(GIT))?;
    let env = [python_image::path(&venv)].into_iter().chain(PIP.map(str::to_owned)).collect();
    super::write_image(folder, "snakemake", &layer, &Config { env, ..Config::default() })
}

/// Runs the workflow `workflow` in `tests/cluster/schedulers/snakemake` with the files in the bucket `assets`
/// of the S3 server `store`, and waits until it has ended. Returns its state (`exit code 0, 3 of 3 steps
/// done, 2 attempts`). A namespace can run one workflow.
///
/// # Errors
/// If it cannot be started, or does not end in time. A failed workflow is not an error.
pub async fn run(namespace: &Namespace, workflow: &str) -> Result<String> {
    run_with(namespace, workflow, &[]).await
}

/// As [`run`], with more options of Snakemake.
async fn run_with(namespace: &Namespace, workflow: &str, options: &[&str]) -> Result<String> {
    namespace.create(&app::config_map("snakemake-app", APP)).await?;
    namespace
        .create(&INSTALL.replace("namespace: NAMESPACE", &format!("namespace: {}", namespace.name())))
        .await?;
    let arguments = [&[workflow], options].concat().join(", ");
    namespace.create(&LAUNCH.replace("WORKFLOW", &arguments)).await?;
    app::result(namespace, "launch", "launch", "state").await
}

/// What Snakemake has printed, and the logs of the pods that failed.
///
/// # Errors
/// If the log cannot be read.
pub async fn log(namespace: &Namespace) -> Result<String> {
    namespace.log("launch", "launch").await
}
