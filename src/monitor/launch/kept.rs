//! Keeps diagnoses after their pods were deleted: as ConfigMaps in the namespace of the monitor, so that it
//! needs no permission for those of tasks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use tracing::{debug, info, warn};

use crate::server::api_client::next_page;
use crate::server::liveness::Heartbeat;
use crate::server::watch_errors::describe_api_error;
use bootlace_core::names;

/// How often expired diagnoses are deleted.
const SWEEP_INTERVAL: Duration = Duration::from_mins(5);
/// Diagnoses that are kept at the same time, of at most 16 KiB each. Later ones are only in the annotations
/// of their pods.
const MAX_KEPT: usize = 1000;
/// ConfigMaps in a page of a list. Only their metadata is read.
const PAGE: u32 = 500;
/// The key of the diagnosis.
const KEY: &str = "diagnosis.json";

/// The kept diagnoses.
pub struct Kept {
    config_maps: Api<ConfigMap>,
    /// Their number, at most.
    count: AtomicUsize,
}

impl Kept {
    /// The diagnoses in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { config_maps: Api::namespaced(client, namespace), count: AtomicUsize::new(0) }
    }

    /// Keeps the diagnosis of a pod for `seconds`. Twice for the same pod changes nothing.
    ///
    /// # Errors
    /// The API server refuses the request or does not answer.
    pub async fn keep(
        &self,
        pod: &Pod,
        diagnosis: &str,
        seconds: u32,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let Ok(expires) = now.checked_add(Duration::from_secs(seconds.into())) else { return Ok(()) };
        if seconds == 0 || self.count.load(Ordering::Relaxed) >= MAX_KEPT {
            debug!(pod = pod.name_any(), "the diagnosis is only in the annotation of the pod");
            return Ok(());
        }
        let object = config_map(pod, diagnosis, expires);
        match self.config_maps.create(&PostParams::default(), &object).await {
            Ok(_) => {
                self.count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes expired diagnoses until the process ends. `now` is the clock.
    pub async fn run(&self, now: impl Fn() -> Timestamp, heartbeat: &Heartbeat) {
        loop {
            if let Err(error) = self.sweep(now()).await {
                warn!("{}; retrying", describe_api_error("failed to delete expired diagnoses", &error));
            }
            heartbeat.sleep(SWEEP_INTERVAL).await;
        }
    }

    /// Deletes the diagnoses that have expired at `now`, and returns their number.
    ///
    /// # Errors
    /// The API server refuses a request or does not answer.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, kube::Error> {
        let mut params = ListParams::default().labels(names::ANNOTATION_DIAGNOSIS).limit(PAGE);
        let (mut kept, mut deleted) = (0, 0);
        loop {
            let page = self.config_maps.list_metadata(&params).await?;
            for object in page.items {
                let expires = object.annotations().get(names::ANNOTATION_EXPIRES);
                let expires = expires.and_then(|expires| expires.parse::<Timestamp>().ok());
                if expires.is_none_or(|expires| expires > now) {
                    kept += 1;
                    continue;
                }
                let (uid, resource_version) = (object.uid(), None);
                let params = DeleteParams::default().preconditions(Preconditions { uid, resource_version });
                match self.config_maps.delete(&object.name_any(), &params).await {
                    Ok(_) => deleted += 1,
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                    Err(error) => return Err(error),
                }
            }
            match next_page(page.metadata) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        self.count.store(kept, Ordering::Relaxed);
        if deleted > 0 {
            info!(deleted, kept, "deleted expired diagnoses");
        }
        Ok(deleted)
    }
}

fn config_map(pod: &Pod, diagnosis: &str, expires: Timestamp) -> ConfigMap {
    let namespace = pod.namespace().unwrap_or_default();
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("launch-{}", pod.uid().unwrap_or_default())),
            labels: Some(
                [
                    (names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned()),
                    (names::ANNOTATION_DIAGNOSIS.to_owned(), namespace),
                ]
                .into(),
            ),
            annotations: Some([(names::ANNOTATION_EXPIRES.to_owned(), expires.to_string())].into()),
            ..ObjectMeta::default()
        },
        data: Some([(KEY.to_owned(), diagnosis.to_owned())].into()),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}
