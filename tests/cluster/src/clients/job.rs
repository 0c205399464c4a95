//! Jobs and `CronJob`s, whose controllers are part of every cluster.

use anyhow::Result;

use super::{Client, Demo, OptIn};
use crate::scenario::Namespace;

/// The client, which is never built.
pub const CLIENT: Client = Client {
    name: "job",
    requirements: &[],
    prepare: || Box::pin(async { Ok(Vec::new()) }),
    short: true,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "a Kubernetes Job",
    file: "schedulers/job/demo.yaml",
    command: "kubectl create --filename demo.yaml",
    opt_in: OptIn::PodLabel,
    run: |namespace| Box::pin(run_demo(namespace)),
};

/// The name in the table of results.
pub const TITLE: &str = "Kubernetes 1.37.1";

async fn run_demo(namespace: &Namespace) -> Result<String> {
    namespace.create(include_str!("../../schedulers/job/demo.yaml")).await?;
    namespace.job_completed("etl").await?;
    Ok("Complete".to_owned())
}
