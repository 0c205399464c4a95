//! Creates a Pipe and its object, in an order in which a killed process leaves nothing behind permanently:
//!
//! 1. The Pipe, without `status.stored`, so that no task uses it.
//! 2. The object, owned by the Pipe, so that it is deleted with the Pipe.
//! 3. `status.stored` of the Pipe. Only then does the sidecar get a response.
//!
//! A Pipe that stays at the first or second step is removed later ([`crate::store::garbage_collector`]), and
//! the API server removes its object.
//!
//! The store has no permission to read objects, not even its own. So it can only be sure of an object that
//! the current request created. If an object with the name exists, another request that was killed may have
//! created it, a deleted Pipe may have left it behind, or it may have nothing to do with Bootlace. Then the
//! Pipe is removed, and with it the object if the Pipe owns it, and the sidecar retries.
//!
//! An output that is declared as awaited has a second object at the second step, whose name does not depend
//! on the content ([`bootlace_core::output::awaited`]). If another Pipe has the name, this Pipe is stored
//! nevertheless, and its status shows that it is not available under that name. Pods that wait then fail with
//! an error, and never get what an earlier attempt wrote.

use std::ops::ControlFlow;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::objects::{self, OutputObjectBody};
use super::pipe_quota;
use crate::server::api_client::exactly;
use crate::server::pipe_pages::PipePages;
use crate::store::api_error::ApiError;
use bootlace_core::code::Code;
use bootlace_core::names;
use bootlace_core::output::pipe::PipeStatus;
use bootlace_core::output::{AwaitedStatus, ObjectData, ObjectKind, Pipe, PipeSpec, Quota};

/// Stores outputs.
#[derive(Clone)]
pub struct PipeWriter {
    client: Client,
    pages: PipePages,
}

impl PipeWriter {
    /// Stores outputs with the permissions of `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { pages: super::pages(client.clone()), client }
    }

    /// The lists of Pipes.
    #[must_use]
    pub fn pages(&self) -> &PipePages {
        &self.pages
    }

    /// Stores an output as the Pipe `wanted` of [`objects::pipe`], and returns whether anything was created.
    /// Storing the same output again changes nothing. If another attempt of the task wrote the same content,
    /// the Pipe names that attempt from then on.
    ///
    /// # Errors
    /// The API server or a quota refuses the request. Or another request stores the same output at the same
    /// time, or objects of an earlier request must be removed first; then the caller can retry.
    pub async fn write(
        &self,
        namespace: &str,
        wanted: &Pipe,
        files: ObjectData,
        quota: Quota,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let write = Write {
            pipes: Api::namespaced(self.client.clone(), namespace),
            pages: &self.pages,
            client: &self.client,
            namespace,
            wanted,
        };
        let pipe = match write.pipes.create(&PostParams::default(), wanted).await {
            Ok(created) => created,
            Err(kube::Error::Api(status)) if status.code == 409 => write.existing().await?,
            Err(error) => return Err(write.failed("create", &error)),
        };
        if pipe.stored().is_some() {
            let pipe = write.update_producer(pipe, now).await?;
            if wanted.spec.awaited.is_some() && pipe.by_name().is_none() {
                write.add_awaited_object(pipe, files).await?;
            }
            return Ok(false);
        }
        write.check_quota(&pipe, quota).await?;
        let pipe = write.declare_awaited(pipe).await?;
        let awaited = write.create_objects(&pipe, files).await?;
        let conditions = PipeStatus::stored_conditions(&pipe.spec, pipe.status.as_ref(), now);
        let status = PipeStatus { conditions, stored: Some(objects::time(now)), awaited };
        write.patch(&pipe, "status", json!({"status": status})).await?;
        Ok(true)
    }
}

/// An output that is being stored.
struct Write<'a> {
    pipes: Api<Pipe>,
    pages: &'a PipePages,
    client: &'a Client,
    namespace: &'a str,
    wanted: &'a Pipe,
}

impl Write<'_> {
    /// Reads the existing Pipe.
    async fn existing(&self) -> Result<Pipe, ApiError> {
        let found = self.pipes.get_opt(&self.wanted.name_any()).await;
        match found.map_err(|error| self.failed("read", &error))? {
            Some(found) if found.metadata.deletion_timestamp.is_none() => {
                if is_same(&found, self.wanted) {
                    return Ok(found);
                }
                Err(conflict(&self.pipe()))
            }
            _ => Err(being_deleted(&self.pipe())),
        }
    }

    /// The output is stored already: sets the producer that wrote it last.
    async fn update_producer(&self, found: Pipe, now: Timestamp) -> Result<Pipe, ApiError> {
        let (old, new) = (&found.spec.producer, &self.wanted.spec.producer);
        if (&old.pod_uid, &old.container) == (&new.pod_uid, &new.container)
            || is_later(old.attempt(), new.attempt())
        {
            return Ok(found);
        }
        // The time first, because the producer shows that the update is complete.
        let conditions = PipeStatus::stored_conditions(&found.spec, found.status.as_ref(), now);
        let stored = json!({"stored": objects::time(now), "conditions": conditions});
        let found = self.patch(&found, "status", json!({"status": stored})).await?;
        // In a merge patch, null removes a field.
        let Pipe { metadata, spec, .. } = self.wanted;
        let owners = json!({"ownerReferences": metadata.owner_references});
        let changed = json!({"metadata": owners, "spec": {"producer": new, "expires": spec.expires}});
        self.patch(&found, "", changed).await
    }

    /// Sets the name under which the output is awaited, if an earlier attempt did not declare that.
    async fn declare_awaited(&self, pipe: Pipe) -> Result<Pipe, ApiError> {
        let Some(name) = self.wanted.spec.awaited.as_ref().filter(|_| pipe.spec.awaited.is_none()) else {
            return Ok(pipe);
        };
        let pipe = self.patch(&pipe, "", json!({"spec": {"awaited": name}})).await?;
        if pipe.spec.awaited.is_none() {
            // Helm installs CRDs only once, and the API server drops fields that an old CRD does not have.
            return Err(crd_outdated(&self.pipe()));
        }
        Ok(pipe)
    }

    async fn check_quota(&self, pipe: &Pipe, quota: Quota) -> Result<(), ApiError> {
        let run = pipe.labels().get(names::LABEL_PIPE_RUN).map_or("", String::as_str);
        let checked = pipe_quota::check(self.pages, self.namespace, run, quota).await;
        if checked.as_ref().is_err_and(ApiError::is_final) {
            self.remove(pipe).await?;
        }
        checked
    }

    /// Creates the object, and the awaited object.
    async fn create_objects(
        &self,
        pipe: &Pipe,
        files: ObjectData,
    ) -> Result<Option<AwaitedStatus>, ApiError> {
        let object = objects::object(pipe, files);
        if self.exists_already(pipe, &pipe.spec.object, &object).await? {
            return Err(self.remove_leftover(pipe, &pipe.spec.object).await);
        }
        let Some(name) = &pipe.spec.awaited else { return Ok(None) };
        let object = object.renamed(name);
        if !self.exists_already(pipe, name, &object).await? {
            return Ok(Some(AwaitedStatus::Stored));
        }
        if self.is_of_another_pipe(pipe, name).await? {
            return Ok(Some(AwaitedStatus::Taken));
        }
        Err(self.remove_leftover(pipe, name).await)
    }

    /// Creates the awaited object of an output that is stored already: an earlier attempt wrote the same
    /// bytes and did not declare the output as awaited. Pods can use the first object, so the Pipe is never
    /// removed here. If an object with the name exists, it can be of something else: pods that wait then
    /// fail, and never get other content.
    async fn add_awaited_object(&self, pipe: Pipe, files: ObjectData) -> Result<(), ApiError> {
        let pipe = self.declare_awaited(pipe).await?;
        let Some(name) = &pipe.spec.awaited else { return Ok(()) };
        let awaited = match self.create(&objects::object(&pipe, files).renamed(name)).await {
            Ok(()) => AwaitedStatus::Stored,
            Err(kube::Error::Api(status)) if status.code == 409 => AwaitedStatus::Taken,
            Err(error) => return Err(self.not_created(&pipe, name, &error)),
        };
        self.patch(&pipe, "status", json!({"status": {"awaited": awaited}})).await.map(drop)
    }

    async fn create(&self, object: &OutputObjectBody) -> Result<(), kube::Error> {
        let params = PostParams::default();
        match object {
            OutputObjectBody::ConfigMap(map) => {
                let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace);
                maps.create(&params, map).await.map(drop)
            }
            OutputObjectBody::Secret(secret) => {
                let secrets: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace);
                secrets.create(&params, secret).await.map(drop)
            }
        }
    }

    /// Creates an object, and returns whether one with its name existed already. If it can never be created,
    /// the Pipe is removed.
    async fn exists_already(
        &self,
        pipe: &Pipe,
        name: &str,
        object: &OutputObjectBody,
    ) -> Result<bool, ApiError> {
        let error = match self.create(object).await {
            Ok(()) => return Ok(false),
            Err(kube::Error::Api(status)) if status.code == 409 => return Ok(true),
            Err(error) => self.not_created(pipe, name, &error),
        };
        if error.is_final() {
            self.remove(pipe).await?;
        }
        Err(error)
    }

    fn not_created(&self, pipe: &Pipe, name: &str, error: &kube::Error) -> ApiError {
        not_created(&self.object(pipe, name), error)
    }

    /// Removes the Pipe, because an object with its name exists, probably of an earlier attempt. Returns the
    /// error of the request.
    async fn remove_leftover(&self, pipe: &Pipe, name: &str) -> ApiError {
        if let Err(error) = self.remove(pipe).await {
            return error;
        }
        leftover(&self.object(pipe, name))
    }

    /// Whether another Pipe of the run is awaited under this name: then it is of the same task, with other
    /// content.
    async fn is_of_another_pipe(&self, pipe: &Pipe, name: &str) -> Result<bool, ApiError> {
        let run = pipe.labels().get(names::LABEL_PIPE_RUN).map_or("", String::as_str);
        let is_another = |other: &Pipe| {
            other.metadata.uid != pipe.metadata.uid
                && other.metadata.deletion_timestamp.is_none()
                && other.spec.awaited.as_deref() == Some(name)
                && other.by_name() != Some(AwaitedStatus::Taken)
        };
        let mut found = false;
        let visit = |other: Pipe| {
            found = is_another(&other);
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let listed = self.pages.each(Some(self.namespace), Some(run), visit).await;
        listed.map_err(|error| {
            let problem = format!("failed to list the Pipes of the run of {}", self.pipe());
            super::api_error(&problem, &error)
        })?;
        Ok(found)
    }

    /// Removes a Pipe that is not stored, and with it its object.
    async fn remove(&self, pipe: &Pipe) -> Result<(), ApiError> {
        let params = DeleteParams::default().preconditions(exactly(&pipe.metadata));
        match self.pipes.delete(&pipe.name_any(), &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(changed(&self.pipe())),
            Err(error) => Err(self.failed("delete", &error)),
        }
    }

    /// Changes the Pipe, unless it was changed concurrently.
    async fn patch(&self, pipe: &Pipe, subresource: &str, mut change: Value) -> Result<Pipe, ApiError> {
        if let Some(change) = change.as_object_mut() {
            let metadata = change.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("uid".to_owned(), json!(pipe.metadata.uid));
                metadata.insert("resourceVersion".to_owned(), json!(pipe.metadata.resource_version));
            }
        }
        let (name, params, change) = (pipe.name_any(), PatchParams::default(), Patch::Merge(change));
        let patched = if subresource.is_empty() {
            self.pipes.patch(&name, &params, &change).await
        } else {
            self.pipes.patch_subresource(subresource, &name, &params, &change).await
        };
        patched.map_err(|error| match &error {
            kube::Error::Api(status) if matches!(status.code, 404 | 409) => changed(&self.pipe()),
            error => self.failed("update", error),
        })
    }

    fn object(&self, pipe: &Pipe, name: &str) -> String {
        format!("{} {}/{name}", pipe.spec.kind.as_str(), self.namespace)
    }

    fn pipe(&self) -> String {
        format!("Pipe {}/{}", self.namespace, self.wanted.name_any())
    }

    fn failed(&self, verb: &str, error: &kube::Error) -> ApiError {
        super::api_error(&format!("failed to {verb} {}", self.pipe()), error)
    }
}

pub(crate) fn conflict(pipe: &str) -> ApiError {
    ApiError::new(
        Code::PipeConflict,
        format!(
            "{pipe} already exists and describes another output: delete it, because Bootlace did not create it"
        ),
    )
}

pub(crate) fn being_deleted(pipe: &str) -> ApiError {
    ApiError::new(Code::PipeChanged, format!("{pipe} is being deleted: retry"))
}

pub(crate) fn changed(pipe: &str) -> ApiError {
    ApiError::new(Code::PipeChanged, format!("{pipe} was changed concurrently: retry"))
}

pub(crate) fn leftover(object: &str) -> ApiError {
    ApiError::new(
        Code::PipeChanged,
        format!(
            "{object} already exists, probably of an earlier attempt that is being removed: retry; if the error persists, \
             Bootlace did not create the object: delete it"
        ),
    )
}

pub(crate) fn crd_outdated(pipe: &str) -> ApiError {
    ApiError::new(
        Code::PipeCrdOutdated,
        format!(
            "failed to set spec.awaited of {pipe}: install the CRD of this version (crds/pipes.yaml in the chart)"
        ),
    )
}

pub(crate) fn not_created(object: &str, error: &kube::Error) -> ApiError {
    let problem = format!("failed to create {object}");
    match error {
        kube::Error::Api(status) if status.message.contains("exceeded quota") => {
            ApiError::new(Code::ResourceQuotaExceeded, format!("{problem}: {}", status.message))
        }
        error => ApiError::from_api(&problem, error),
    }
}

/// Whether an existing Pipe describes the output that is being stored. The names of other outputs end with
/// another hash, but anyone with permission to write Pipes can use any name.
fn is_same(found: &Pipe, wanted: &Pipe) -> bool {
    fn facts(spec: &PipeSpec) -> (&str, ObjectKind, &str, u32, &str) {
        (&spec.key, spec.kind, &spec.object, spec.size, &spec.hash)
    }
    let (one, two) = (&found.spec, &wanted.spec);
    facts(one) == facts(two) && one.producer.is_of_task(&two.producer)
}

/// Whether `one` is a later attempt than `other`, if the scheduler counts attempts.
fn is_later(one: Option<u64>, other: Option<u64>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one > other)
}
