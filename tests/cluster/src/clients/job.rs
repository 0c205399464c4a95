//! Jobs and `CronJob`s, whose controllers are part of every cluster.

use super::Client;

/// The client, which is never built.
pub const CLIENT: Client = Client {
    name: "job",
    requirements: &[],
    prepare: || Box::pin(async { Ok(Vec::new()) }),
    short: true,
    demo: None,
};

/// The name in the table of results.
pub const TITLE: &str = "Kubernetes 1.37.1";
