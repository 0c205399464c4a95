//! What a namespace enforces: pod security standards, and a team's quota and limit range.

use std::fmt;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::Api;
use kube::api::DeleteParams;

/// What pods have to keep to in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rules {
    /// What every pod has to.
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

/// The account that some pods run as.
const ACCOUNT: &str = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: worker}}";

/// As a team would have them. A `BestEffort` pod is given the defaults of the limit range.
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

/// What pods of the corpus name that is no namespace's.
const OF_CLUSTER: &str = "
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

/// Makes what pods of the corpus need in a namespace, and what it enforces.
pub(super) async fn prepare(namespace: &Namespace, rules: Rules) -> Result<()> {
    namespace.create(ACCOUNT).await?;
    if rules != Rules::Quota {
        return Ok(());
    }
    namespace.create(TEAM).await?;
    // Nothing is held against a quota before its controller has counted.
    until_async(LIMIT, "the quota is not counted", async || {
        let quota = namespace.api::<ResourceQuota>().get("team").await?;
        ensure!(quota.status.is_some_and(|status| status.hard.is_some()), "it has no status");
        Ok(())
    })
    .await
}

/// Makes what pods of the corpus name that is no namespace's, for as long as `body` runs.
pub(super) async fn with_objects_of_the_cluster(body: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    scenario("corpus-cluster")
        .run(async |namespace| {
            namespace.create(OF_CLUSTER).await?;
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
