//! Records what the abort of a task needs, in one `Abort` for each container, until the task has ended by
//! itself or its sidecar has sent the abort.
//!
//! An `Abort` has no owner: it must outlive a pod that is deleted by force. The
//! [garbage collector](super::garbage_collector) removes those that are left.

use bootlace_launch::handover::MAX_ABORT_BYTES;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::json;

use super::api_error::ApiError;
use super::caller::PodIdentity;
use super::crd_error;
use super::newest::Newest;
use crate::store_client::protocol::AbortRequest;
use bootlace_core::abort::record::AbortProfile;
use bootlace_core::abort::{Abort, AbortSpec};
use bootlace_core::code::Code;
use bootlace_core::names;
use bootlace_core::output::SidecarConfig;

/// The resource of aborts.
pub(super) const PLURAL: &str = "aborts";
/// How often one replica records an abort for a pod: each is a write of the API server. The sidecar sends a
/// change at most once a second, and a task leaves an ID once for each remote job.
const MAX_CHANGES: u32 = 512;
/// The changes of this many pods are counted, those of the newest.
const MAX_PODS: usize = 4096;

/// Records aborts.
pub struct AbortRecorder {
    client: Client,
    changes: Mutex<Changes>,
}

/// The number of changes by the UID of the pod.
type Changes = Newest<String, u32, MAX_PODS>;

impl AbortRecorder {
    /// Records with the permissions of `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, changes: Mutex::default() }
    }

    /// Records an abort, and returns whether it was created. A record of an earlier start of the container is
    /// replaced.
    ///
    /// # Errors
    /// The content is too large, the pod changes it too often, or the API server refuses the request.
    pub async fn record(
        &self,
        id: &PodIdentity,
        config: &SidecarConfig<'_>,
        container: &str,
        request: AbortRequest,
    ) -> Result<bool, ApiError> {
        check_size(&request)?;
        count(&mut self.changes.lock(), &id.uid)?;
        let aborts: Api<Abort> = Api::namespaced(self.client.clone(), &id.namespace);
        let wanted = abort(id, config, container, request);
        match aborts.create(&PostParams::default(), &wanted).await {
            Ok(_) => return Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(failed("create", id, container, &error)),
        }
        // A text that is not set any more is removed.
        let change = json!({"spec": {"start": wanted.spec.start, "text": wanted.spec.text}});
        let name = Abort::name_for(&id.uid, container);
        aborts
            .patch(&name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .map_err(|error| failed("change", id, container, &error))?;
        Ok(false)
    }

    /// Removes a record, and returns whether it existed.
    ///
    /// # Errors
    /// The API server refuses the request.
    pub async fn remove(&self, id: &PodIdentity, container: &str) -> Result<bool, ApiError> {
        let aborts: Api<Abort> = Api::namespaced(self.client.clone(), &id.namespace);
        match aborts.delete(&Abort::name_for(&id.uid, container), &DeleteParams::default()).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(failed("delete", id, container, &error)),
        }
    }
}

/// Counts a change of a pod.
fn count(changes: &mut Changes, uid: &str) -> Result<(), ApiError> {
    match changes.get_mut(uid) {
        Some(count) if *count >= MAX_CHANGES => return Err(quota_exceeded()),
        Some(count) => *count += 1,
        None => changes.add(uid.to_owned(), 1),
    }
    Ok(())
}

pub(crate) fn quota_exceeded() -> ApiError {
    let message = format!(
        "the pod has changed the records of its aborts {MAX_CHANGES} times, which is the limit: write the file in {} once for \
         each remote job",
        names::ENV_ABORT
    );
    ApiError::new(Code::AbortQuotaExceeded, message)
}

fn check_size(request: &AbortRequest) -> Result<(), ApiError> {
    let bytes = request.text.as_deref().unwrap_or_default().len() as u64;
    if bytes > MAX_ABORT_BYTES {
        return Err(too_large(bytes));
    }
    Ok(())
}

pub(crate) fn too_large(bytes: u64) -> ApiError {
    let message = format!(
        "the text of the abort has {bytes} bytes, the limit is {MAX_ABORT_BYTES}: leave a shorter one"
    );
    ApiError::new(Code::ContentTooLarge, message)
}

/// Checks that the webhook configured hooks for this container.
///
/// # Errors
/// The profile of the pod has no hooks for it.
pub fn check_container(config: &SidecarConfig<'_>, container: &str) -> Result<(), ApiError> {
    if config.supervised.iter().any(|supervised| supervised == container) {
        return Ok(());
    }
    let shown: String = container.chars().take(63).collect();
    Err(ApiError::new(
        Code::RequestNotAllowed,
        format!("the profile of the pod has no hooks for the end of container {shown:?}"),
    ))
}

/// The record of an abort. Identity and profile come from the signed configuration of the pod.
#[must_use]
pub fn abort(id: &PodIdentity, config: &SidecarConfig<'_>, container: &str, request: AbortRequest) -> Abort {
    let AbortRequest { start, text } = request;
    Abort {
        metadata: ObjectMeta {
            name: Some(Abort::name_for(&id.uid, container)),
            labels: Some([(names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: AbortSpec {
            pod: id.name.clone(),
            pod_uid: id.uid.clone(),
            container: container.to_owned(),
            start: start.max(1),
            profile: AbortProfile {
                name: config.profile.name.clone(),
                generation: config.profile.generation,
            },
            task: config.task.clone(),
            text,
        },
        status: None,
    }
}

fn failed(verb: &str, id: &PodIdentity, container: &str, error: &kube::Error) -> ApiError {
    let problem =
        format!("failed to {verb} the Abort of container {container:?} of pod {}/{}", id.namespace, id.name);
    crd_error::api_error(PLURAL, &problem, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_changes_its_record_again_and_again_is_refused() {
        let mut changes = Changes::default();
        assert!((0..MAX_CHANGES).all(|_| count(&mut changes, "a").is_ok()));
        let error = count(&mut changes, "a").unwrap_err();
        assert!(error.is_final() && error.code == Code::AbortQuotaExceeded, "{error}");
        for pod in 0..10_000 {
            count(&mut changes, &pod.to_string()).unwrap();
        }
        assert!(changes.len() <= MAX_PODS);
    }

    #[test]
    fn a_text_over_the_limit_is_refused() {
        let request = |bytes| AbortRequest { start: 1, text: Some("x".repeat(bytes)) };
        check_size(&request(1024)).unwrap();
        assert_eq!(check_size(&request(1025)).unwrap_err().status, 413);
        check_size(&AbortRequest { start: 1, text: None }).unwrap();
    }
}
