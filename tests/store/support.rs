//! An output that a pod hands over, and what must hold of the cluster at any time.

use bootlace::output::{Data, Kind, Pipe, PipeSpec, Quota};
use bootlace::store::denial::Denial;
use bootlace::store::pipe::{Keeper, make};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use crate::cluster::Cluster;

pub(crate) const NAMESPACE: &str = "etl";

/// A task's try to hand something over.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) task: &'static str,
    pub(crate) number: &'static str,
    pub(crate) key: &'static str,
    pub(crate) content: &'static str,
    pub(crate) quota: Quota,
}

impl Default for Attempt {
    fn default() -> Self {
        Self { task: "load", number: "1", key: "Cert", content: "x", quota: Quota::default() }
    }
}

impl Attempt {
    pub(crate) fn files(&self) -> Data {
        [("file".to_owned(), ByteString(self.content.into()))].into()
    }

    /// What the store makes of it.
    pub(crate) fn pipe(&self, now: &str) -> Pipe {
        let told: PipeSpec<'_> = serde_json::from_value(json!({
            "task": {"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": self.task, "attempt": self.number},
            "profile": {"name": "default", "generation": 1}, "store": {"url": "", "ca": ""},
            "outputs": [{"key": self.key, "kind": "Secret", "container": "base"}],
            "timeToLiveSeconds": 3600, "deadlineSeconds": 60, "graceSeconds": 20,
        }))
        .unwrap();
        let name = format!("{}-{}", self.task, self.number);
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": name, "uid": format!("uid-{name}")}}))
                .unwrap();
        assert_eq!(told.outputs[0].kind, Kind::Secret);
        make::pipe(&pod, &told, &told.outputs[0], &self.files(), 8, time(now))
    }

    /// Has it stored at a time of the day.
    pub(crate) async fn store(&self, client: Client, now: &str) -> Result<bool, Denial> {
        Keeper::new(client).keep(NAMESPACE, &self.pipe(now), self.files(), self.quota, time(now)).await
    }

    /// The same, asking again as the sidecar does while the garbage collector works.
    pub(crate) async fn store_at_last(&self, cluster: &Cluster, now: &str) -> bool {
        for _ in 0..5 {
            match self.store(cluster.client(), now).await {
                Ok(created) => return created,
                Err(denial) => assert!(!denial.is_final(), "{denial}"),
            }
            consistent(cluster);
            cluster.collect();
        }
        panic!("it is not stored")
    }
}

pub(crate) fn time(of_day: &str) -> Timestamp {
    format!("2026-11-21T{of_day}Z").parse().unwrap()
}

/// Whoever sees a Pipe that is stored finds its object, and it is the Pipe's.
pub(crate) fn consistent(cluster: &Cluster) {
    let secrets = cluster.all("secrets");
    for pipe in cluster.all("pipes").iter().filter(|pipe| !pipe["status"]["stored"].is_null()) {
        let of_name = |secret: &&Value| secret["metadata"]["name"] == pipe["spec"]["object"];
        let secret = secrets.iter().find(of_name).expect("a stored Pipe has its object");
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], pipe["metadata"]["uid"]);
    }
}

/// One output is stored, and nothing else is there.
pub(crate) fn stored_once(cluster: &Cluster) {
    consistent(cluster);
    assert_eq!((cluster.all("pipes").len(), cluster.all("secrets").len()), (1, 1));
    assert!(!cluster.all("pipes")[0]["status"]["stored"].is_null());
}
