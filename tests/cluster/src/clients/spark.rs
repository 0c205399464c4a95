//! Spark on Kubernetes: `spark-submit` in cluster mode, and the operator of Kubeflow, which runs
//! `spark-submit` too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bootlace_image::archive::Config;
use bootlace_image::layer::Layer;
use futures::FutureExt as _;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::maven::{JAVA, JRE};
use super::process::{Process, end};
use super::python::Environment;
use super::{Client, Demo, OptIn, crds, debian};
use crate::command::command;
use crate::go_module::GoModule;
use crate::images;
use crate::node::{ADDRESS, API_PORT};
use crate::scenario::{Namespace, kubeconfig, state, temporary_folder};
use crate::stage::Progress;

/// The client.
pub const CLIENT: Client = Client {
    name: "spark",
    requirements: &[JRE],
    prepare: || {
        async {
            let jars = SKIPPED_JARS.join(" ");
            let inputs = [ENTRYPOINT, &jars];
            let (spark, operator) =
                tokio::try_join!(SPARK.prepare(&inputs, fill), OPERATOR.build(&[OPERATOR_PACKAGE]))?;
            Ok(vec![spark, operator])
        }
        .boxed()
    },
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Spark",
    file: "schedulers/spark/demo.py",
    command: "spark-submit --deploy-mode cluster --name etl local:///jobs/demo.py",
    opt_in: OptIn::Namespace,
    run: |namespace| Box::pin(run_demo(namespace)),
};

async fn run_demo(namespace: &Namespace) -> Result<String> {
    let log = Spark::new(namespace).await?.submit("etl", "demo.py", &[]).await?;
    let state = ended(namespace).await.with_context(|| end(&log))?;
    ensure!(state.starts_with("Succeeded"), "the driver has ended as {state}:\n{}", end(&log));
    Ok(state)
}

/// Spark 4.3.0. Its Python package contains the jars and `spark-submit`.
const SPARK: Environment = Environment {
    name: "spark",
    title: "Spark",
    requirements: include_str!("../../schedulers/spark/requirements.txt"),
};
const ENTRYPOINT: &str = include_str!("../../schedulers/spark/entrypoint.sh");
/// Jars that the image does not contain, by the start of their names: half of all bytes, for SQL state in
/// `RocksDB`, Hive, Spark Connect and machine learning.
const SKIPPED_JARS: [&str; 8] = [
    "connect-repl",
    "datanucleus-",
    "derby",
    "hive-",
    "rocksdbjni-",
    "spark-connect_",
    "spark-hive",
    "spark-mllib_",
];
/// The image of drivers and executors.
pub const IMAGE: &str = "localhost/spark:test";
/// The container of drivers.
pub const DRIVER: &str = "spark-kubernetes-driver";
/// The file with the kubeconfig of `spark-submit`.
const KUBECONFIG: &str = "kubeconfig";
/// The service account of `spark-submit`, and of drivers, which create executors.
const ACCOUNT: &str = "spark";
/// The time within which a job must end.
const LIMIT: Duration = Duration::from_mins(5);

const OPERATOR: GoModule = GoModule {
    folder: "schedulers/spark",
    go_mod: include_str!("../../schedulers/spark/go.mod"),
    go_sum: include_str!("../../schedulers/spark/go.sum"),
    sources: &[],
};
const OPERATOR_MODULE: &str = "github.com/kubeflow/spark-operator/v2";
const OPERATOR_PACKAGE: &str = "github.com/kubeflow/spark-operator/v2/cmd/operator";

/// Writes the image, with the files of Spark in `/opt/spark`.
async fn fill(folder: &Path, progress: &Progress) -> Result<()> {
    progress.set("writing the image of its pods");
    let mut layer = debian::layer(&[JRE, "python3"]).await?.file("/opt/entrypoint.sh", 0o755, ENTRYPOINT);
    let home = home(folder)?;
    for name in ["bin", "python/lib"] {
        layer = debian::add_tree(layer, &Path::new("/opt/spark").join(name), &home.join(name))?;
    }
    layer = add_jars(layer, &home.join("jars"))?;
    let java = Path::new(JAVA).ancestors().nth(2).context("the path of Java has no parent")?;
    let config = Config {
        env: vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            format!("JAVA_HOME={}", java.display()),
            "SPARK_HOME=/opt/spark".to_owned(),
        ],
        entrypoint: vec!["/opt/entrypoint.sh".to_owned()],
        ..Config::default()
    };
    super::write_image(folder, "spark", &layer, &config)
}

/// The folder of Spark in the environment, whose path contains the version of Python.
fn home(folder: &Path) -> Result<PathBuf> {
    let pythons = folder.join("venv/lib");
    let entries = std::fs::read_dir(&pythons).with_context(|| format!("list {}", pythons.display()))?;
    let homes = entries.filter_map(|entry| Some(entry.ok()?.path().join("site-packages/pyspark")));
    let home = homes.into_iter().find(|home| home.exists());
    home.with_context(|| format!("{} does not contain Spark", pythons.display()))
}

fn add_jars(mut layer: Layer, folder: &Path) -> Result<Layer> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if SKIPPED_JARS.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let content = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        layer = layer.file(&format!("/opt/spark/jars/{name}"), 0o644, content);
    }
    Ok(layer)
}

/// A Spark whose pods run in one namespace.
pub struct Spark {
    home: PathBuf,
    folder: TempDir,
    namespace: String,
}

impl Spark {
    /// Creates the service account of the drivers.
    ///
    /// # Errors
    /// If Spark is not in the cache, or an object is refused.
    pub async fn new(namespace: &Namespace) -> Result<Self> {
        let jars = SKIPPED_JARS.join(" ");
        let home = home(&SPARK.prepared(&[ENTRYPOINT, &jars]).await?)?;
        let folder = temporary_folder("spark-")?;
        namespace.create(&account(namespace.name())).await?;
        write_kubeconfig(namespace, &folder.path().join(KUBECONFIG)).await?;
        Ok(Self { home, folder, namespace: namespace.name().to_owned() })
    }

    /// The folder on the node that pods can mount, at `/shared`.
    #[must_use]
    pub fn shared(&self) -> &Path {
        self.folder.path()
    }

    /// Submits the script `script` in `tests/cluster/schedulers/spark`, and waits until `spark-submit` exits,
    /// which is after its driver. Returns what it printed. `options` are settings of Spark
    /// (`spark.name=value`).
    ///
    /// # Errors
    /// If `spark-submit` cannot be started or does not exit in time. A failed driver is not an error.
    pub async fn submit(&self, name: &str, script: &str, options: &[String]) -> Result<String> {
        let mut submit = self.command(&self.home.join("bin/spark-submit"))?;
        submit.args(["--master", &format!("k8s://https://{ADDRESS}:{API_PORT}")]);
        submit.args(["--deploy-mode", "cluster", "--name", name]);
        for option in self.options().iter().chain(options) {
            submit.args(["--conf", option]);
        }
        submit.arg(format!("local:///jobs/{script}"));
        let mut process = Process::start(name, submit, self.folder.path())?;
        Ok(process.ended_within(LIMIT).await?.1)
    }

    /// Starts the operator for the namespace.
    ///
    /// # Errors
    /// If its CRDs cannot be created, or it cannot be started.
    pub async fn operator(&self) -> Result<Process> {
        let folder = OPERATOR.built().await?;
        crds::apply(&OPERATOR.source_of(OPERATOR_MODULE).await?.join("config/crd/bases")).await?;
        let mut operator = self.command(&folder.join("operator"))?;
        operator.args(["controller", "start", &format!("--namespaces={}", self.namespace)]);
        operator.arg("--kubeconfig").arg(kubeconfig()?);
        // Several operators run at the same time, and nothing reads their health.
        operator.args(["--health-probe-bind-address=0", "--enable-ui-service=false"]);
        operator.env("KUBERNETES_SERVICE_HOST", ADDRESS);
        operator.env("KUBERNETES_SERVICE_PORT", API_PORT.to_string());
        Process::start("spark-operator", operator, self.folder.path())
    }

    /// A command with the environment of Spark.
    fn command(&self, program: &Path) -> Result<Command> {
        let java = Path::new(JAVA).ancestors().nth(2).context("the path of Java has no parent")?;
        let mut command = command(program);
        command.current_dir(self.folder.path()).env("KUBECONFIG", self.folder.path().join(KUBECONFIG));
        command.env("SPARK_HOME", &self.home).env("JAVA_HOME", java);
        Ok(command)
    }

    /// The settings of all jobs: small pods, and the scripts in `/jobs`.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let jobs = images::root().join("tests/cluster/schedulers/spark");
        let mount = |name: &str, mount: &str, path: &Path| {
            let prefix = format!("spark.kubernetes.driver.volumes.hostPath.{name}");
            [format!("{prefix}.mount.path={mount}"), format!("{prefix}.options.path={}", path.display())]
        };
        let mut options = vec![
            format!("spark.kubernetes.namespace={}", self.namespace),
            format!("spark.kubernetes.container.image={}", images::with_registry(IMAGE)),
            "spark.kubernetes.container.image.pullPolicy=Never".to_owned(),
            format!("spark.kubernetes.authenticate.driver.serviceAccountName={ACCOUNT}"),
            "spark.executor.instances=1".to_owned(),
            "spark.driver.memory=512m".to_owned(),
            "spark.executor.memory=512m".to_owned(),
            "spark.kubernetes.driver.request.cores=100m".to_owned(),
            "spark.kubernetes.executor.request.cores=100m".to_owned(),
            // Otherwise, the driver starts without executors after half a minute on a busy machine.
            "spark.scheduler.minRegisteredResourcesRatio=1.0".to_owned(),
            "spark.scheduler.maxRegisteredResourcesWaitingTime=3min".to_owned(),
            "spark.ui.enabled=false".to_owned(),
        ];
        options.extend(mount("jobs", "/jobs", &jobs));
        options.extend(mount("shared", "/shared", self.folder.path()));
        options
    }
}

/// Writes a kubeconfig with a token of the service account. `spark-submit` cannot read the key of the
/// administrator, because it reads every key in PKCS #8 as an RSA key.
async fn write_kubeconfig(namespace: &Namespace, file: &Path) -> Result<()> {
    let accounts = namespace.api::<ServiceAccount>();
    let spec = Some(TokenRequestSpec::default());
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let created = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await;
    let created = created.context("create a token for spark-submit")?;
    let token = created.status.and_then(|status| status.token);
    let token = token.context("the API server has returned no token")?;
    let from = kubeconfig()?;
    let text = std::fs::read_to_string(&from).with_context(|| format!("read {}", from.display()))?;
    let mut config: Value = serde_saphyr::from_str(&text).context("parse the kubeconfig")?;
    *config.pointer_mut("/users/0/user").context("the kubeconfig has no user")? = json!({"token": token});
    std::fs::write(file, config.to_string()).with_context(|| format!("write {}", file.display()))
}

/// The only driver in the namespace.
///
/// # Errors
/// If the number of drivers is not one.
pub async fn driver(namespace: &Namespace) -> Result<Pod> {
    let mut pods = namespace.pods("spark-role=driver").await?;
    ensure!(pods.len() == 1, "there are {} drivers", pods.len());
    pods.pop().context("there is no driver")
}

/// How the only driver in the namespace has ended: its phase and exit code.
///
/// # Errors
/// If it has not ended.
pub async fn ended(namespace: &Namespace) -> Result<String> {
    let pod = driver(namespace).await?;
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    Ok(format!("{phase}, exit code {}", state::ended(&pod, DRIVER)?.exit_code))
}

/// The service account of drivers, with the role of people who may edit the namespace.
fn account(namespace: &str) -> String {
    format!(
        "apiVersion: v1\n\
         kind: ServiceAccount\n\
         metadata: {{name: {ACCOUNT}}}\n\
         ---\n\
         apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: RoleBinding\n\
         metadata: {{name: {ACCOUNT}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}}\n\
         subjects: [{{kind: ServiceAccount, name: {ACCOUNT}, namespace: {namespace}}}]\n"
    )
}
