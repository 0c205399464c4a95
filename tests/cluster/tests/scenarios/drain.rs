//! Replicas are replaced while pods are created.

use std::collections::BTreeSet;

use anyhow::Result;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{Namespace, scenario};
use kube::ResourceExt;
use serde_json::json;

#[tokio::test]
async fn no_pod_is_refused_while_the_webhook_is_restarted() -> Result<()> {
    let home = scenario("drain-home").label(LABEL, "home");
    let tasks = scenario("drain").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| restart(home, tasks).await).await).await
}

async fn restart(home: &Namespace, tasks: &Namespace) -> Result<()> {
    let values = json!({"replicas": 2, "webhook": selecting(&[tasks.name()])});
    let release = Release::install(home, tasks, &values.to_string()).await?;
    let names = async || -> Result<BTreeSet<_>> {
        Ok(release.replicas().await?.iter().map(ResourceExt::name_any).collect())
    };
    let before = names().await?;
    let mut rolled = std::pin::pin!(release.restart());
    let mut created = 0;
    loop {
        tokio::select! {
            biased;
            done = &mut rolled => { done?; break }
            injected = release.injects(tasks) => {
                assert!(injected?, "a pod was admitted without being injected");
                created += 1;
            }
        }
    }
    assert!(created > 20, "only {created} pods were created");
    let after = names().await?;
    assert!(after.len() == 2 && after.is_disjoint(&before), "{before:?} {after:?}");
    release.uninstall().await
}
