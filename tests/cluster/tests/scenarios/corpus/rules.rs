//! The rules that a namespace enforces: pod security standards, or a quota and a limit range.

use std::fmt;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::Api;
use kube::api::DeleteParams;

/// The rules of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rules {
    /// No additional rules.
    None,
    /// The pod security standard `baseline`.
    Baseline,
    /// The pod security standard `restricted`.
    Restricted,
    /// A quota and a limit range.
    Quota,
}

impl Rules {
    pub(super) const ALL: [Self; 4] = [Self::None, Self::Baseline, Self::Restricted, Self::Quota];

    /// The pod security standard that the namespace enforces.
    pub(super) fn standard(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Quota => None,
            Self::Baseline => Some("baseline"),
            Self::Restricted => Some("restricted"),
        }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "nothing",
            Self::Baseline => "`baseline`",
            Self::Restricted => "`restricted`",
            Self::Quota => "a quota and a limit range",
        })
    }
}

/// The service account of some pods.
const ACCOUNT: &str = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: worker}}";

/// A typical quota and limit range of a team. A `BestEffort` pod gets the defaults of the limit range.
const TEAM: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: { name: team }
spec:
  hard: { requests.cpu: '4', requests.memory: 8Gi, limits.cpu: '8', limits.memory: 16Gi, pods: '50' }
---
apiVersion: v1
kind: LimitRange
metadata: { name: team }
spec:
  limits:
  - type: Container
    default: { cpu: 500m, memory: 256Mi }
    defaultRequest: { cpu: 100m, memory: 128Mi }
    max: { cpu: '4', memory: 4Gi }
  - type: Pod
    max: { cpu: '6', memory: 8Gi }
";

/// The cluster-scoped objects that pods of the corpus name.
const CLUSTER_OBJECTS: &str = "
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: { name: corpus-high }
value: 1000
preemptionPolicy: Never
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: { name: corpus-overhead }
handler: runc
overhead: { podFixed: { cpu: 50m, memory: 32Mi } }
";

/// Creates the objects that pods of the corpus need in a namespace, and the rules.
pub(super) async fn prepare(namespace: &Namespace, rules: Rules) -> Result<()> {
    namespace.create(ACCOUNT).await?;
    if rules != Rules::Quota {
        return Ok(());
    }
    namespace.create(TEAM).await?;
    // A quota has no effect before its controller has set its status.
    until_async(LIMIT, "the quota is not active", async || {
        let quota = namespace.api::<ResourceQuota>().get("team").await?;
        ensure!(quota.status.is_some_and(|status| status.hard.is_some()), "the quota has no status");
        Ok(())
    })
    .await
}

/// Creates the cluster-scoped objects that pods of the corpus name, and deletes them after `body`.
pub(super) async fn with_objects_of_the_cluster(body: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    scenario("corpus-cluster")
        .run(async |namespace| {
            namespace.create(CLUSTER_OBJECTS).await?;
            let ended = body().await;
            let params = DeleteParams::default();
            let classes = Api::<PriorityClass>::all(namespace.client());
            classes.delete("corpus-high", &params).await.context("delete the priority class")?;
            let classes = Api::<RuntimeClass>::all(namespace.client());
            classes.delete("corpus-overhead", &params).await.context("delete the runtime class")?;
            ended
        })
        .await
}
