//! `KubeRay`: its operator, and an image of Ray from the Python Package Index.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bootlace_image::archive::Config;
use futures::FutureExt as _;
use tokio::sync::Mutex;

use super::controller::{Controller, Kind};
use super::python::Environment;
use super::{Client, crds, debian, python_image};
use crate::command::command;
use crate::go_module::{GoModule, name};
use crate::node::ADDRESS;

/// Its scenarios are in `schedulers::kuberay`.
pub const CLIENT: Client = Client {
    name: "kuberay",
    requirements: &[],
    prepare: || async { Ok(vec![MODULE.build(&[PACKAGE]).await?, prepare_image().await?]) }.boxed(),
    short: false,
    demo: None,
};
/// As the results name it.
pub const TITLE: &str = "KubeRay 1.5.0";

const MODULE: GoModule = GoModule {
    folder: "schedulers/kuberay",
    go_mod: include_str!("../../schedulers/kuberay/go.mod"),
    go_sum: include_str!("../../schedulers/kuberay/go.sum"),
    sources: &[],
};
const PACKAGE: &str = "github.com/ray-project/kuberay/ray-operator";
const RAY: Environment = Environment {
    name: "ray",
    title: "Ray",
    requirements: include_str!("../../schedulers/kuberay/requirements.txt"),
};
/// Has changed if the content of the image has.
const IMAGE_VERSION: &str = "1";
static KIND: Kind =
    Kind { name: "kuberay", health_port: 9530, webhook_port: 9531, one: Mutex::const_new(()) };

/// Starts the operator.
///
/// # Errors
/// As [`Controller::start`].
pub async fn start() -> Result<Controller> {
    let (folder, source) = (MODULE.built().await?, MODULE.source_of(PACKAGE).await?);
    crds::apply(&source.join("config/crd/bases")).await?;
    Controller::start(&KIND, |_| {
        let mut program = command(folder.join(name(PACKAGE)));
        program.args(["--enable-leader-election=false", "--metrics-addr=0"]);
        // It runs on the node, which does not resolve the names of Services.
        program.arg("--use-kubernetes-proxy");
        program.arg(format!("--health-probe-bind-address={ADDRESS}:{}", KIND.health_port));
        Ok(program)
    })
    .await
}

/// The image `localhost/ray:test`: Python, Ray, bash and wget, which the probes of `KubeRay` run.
async fn prepare_image() -> Result<PathBuf> {
    RAY.prepare(&[IMAGE_VERSION], async |folder, progress| {
        progress.set("writing the image");
        write_image(folder).await
    })
    .await
}

async fn write_image(folder: &Path) -> Result<()> {
    let venv = folder.join("venv");
    // At the same path as on this machine, because programs in the environment contain it.
    let layer = debian::add_tree(debian::layer(&["python3", "wget"]).await?, &venv, &venv)?;
    let config = Config { env: vec![python_image::path(&venv)], ..Config::default() };
    super::write_image(folder, "ray", &layer, &config)
}
