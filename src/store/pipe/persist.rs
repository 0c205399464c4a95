//! Makes a Pipe and its object, in an order in which whoever is killed leaves nothing for good:
//!
//! 1. The Pipe. It says nothing of being stored, so no task takes it.
//! 2. The object, owned by the Pipe: from here on it goes when the Pipe goes.
//! 3. The Pipe says that it is stored. Only then the sidecar hears of it.
//!
//! A Pipe that stays at the first or second step is removed after a while ([`crate::store::garbage_collector`]), and the API server
//! removes its object.
//!
//! The store may not read objects, its own included. So an object counts only for the request that has made it: where one
//! of the name is there already, another request may have made it and been killed, or it may be left from a Pipe that was
//! deleted, or be a stranger's. Then the Pipe is removed, with it the object if it is the Pipe's, and the sidecar asks
//! again.
//!
//! An output that is declared as awaited has a second object at the second step, under a name that knows nothing of its
//! content ([`bootlace_core::output::awaited`]). Where another Pipe has it, this one is stored all the same, and says that it is not
//! to be had under that name: whoever waits is told so, and nobody is given what an earlier attempt wrote.

use std::ops::ControlFlow;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::objects::{self, OutputObjectBody};
use super::{PipePages, quota};
use crate::store::api_error::ApiError;
use bootlace_core::names;
use bootlace_core::output::pipe::PipeStatus;
use bootlace_core::output::{AwaitedStatus, ObjectData, ObjectKind, Pipe, PipeSpec, Quota};

/// Keeps outputs.
#[derive(Clone)]
pub struct PipeWriter {
    client: Client,
    pages: PipePages,
}

impl PipeWriter {
    /// Keeps them with the rights of `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { pages: PipePages::new(client.clone()), client }
    }

    /// How it lists Pipes.
    #[must_use]
    pub fn pages(&self) -> &PipePages {
        &self.pages
    }

    /// Stores an output as `wanted`, which [`objects::pipe`] made of it, and tells whether anything had to be created. The
    /// same again changes nothing; where another attempt of the task wrote the same, the Pipe names that one from now on.
    ///
    /// # Errors
    /// Where the API server or the quota refuses; where another request is at it too, or what an earlier one left has
    /// to go first, and the caller should ask again.
    pub async fn keep(
        &self,
        namespace: &str,
        wanted: &Pipe,
        files: ObjectData,
        quota: Quota,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let one = Write {
            pipes: Api::namespaced(self.client.clone(), namespace),
            pages: &self.pages,
            client: &self.client,
            namespace,
            wanted,
        };
        let pipe = match one.pipes.create(&PostParams::default(), wanted).await {
            Ok(made) => made,
            Err(kube::Error::Api(status)) if status.code == 409 => one.found().await?,
            Err(error) => return Err(one.denied("cannot be created", &error)),
        };
        if pipe.stored().is_some() {
            let pipe = one.refresh(pipe, now).await?;
            if wanted.spec.awaited.is_some() && pipe.by_name().is_none() {
                one.fill_later(pipe, files).await?;
            }
            return Ok(false);
        }
        one.check_quota(&pipe, quota).await?;
        let pipe = one.declare(pipe).await?;
        let awaited = one.fill(&pipe, files).await?;
        let conditions = PipeStatus::stored_conditions(&pipe.spec, pipe.status.as_ref(), now);
        let status = PipeStatus { conditions, stored: Some(objects::time(now)), awaited };
        one.patch(&pipe, "status", json!({"status": status})).await?;
        Ok(true)
    }
}

/// One output that is being stored.
struct Write<'a> {
    pipes: Api<Pipe>,
    pages: &'a PipePages,
    client: &'a Client,
    namespace: &'a str,
    wanted: &'a Pipe,
}

impl Write<'_> {
    /// The Pipe that is there.
    async fn found(&self) -> Result<Pipe, ApiError> {
        let found = self.pipes.get_opt(&self.wanted.name_any()).await;
        match found.map_err(|error| self.denied("cannot be read", &error))? {
            Some(found) if found.metadata.deletion_timestamp.is_none() => {
                if is_same(&found, self.wanted) {
                    return Ok(found);
                }
                Err(ApiError::conflict(format!(
                    "{} is there already, and tells of something else: delete it, for nothing of Bootlace's has its name",
                    self.pipe()
                )))
            }
            _ => Err(ApiError::unavailable(format!("{} is being deleted: try again", self.pipe()))),
        }
    }

    /// The output is stored already: names who wrote it last.
    async fn refresh(&self, found: Pipe, now: Timestamp) -> Result<Pipe, ApiError> {
        let (was, is) = (&found.spec.producer, &self.wanted.spec.producer);
        if (&was.pod_uid, &was.container) == (&is.pod_uid, &is.container)
            || is_later(was.attempt(), is.attempt())
        {
            return Ok(found);
        }
        // First the time, then the rest, by which is seen that it is done.
        let conditions = PipeStatus::stored_conditions(&found.spec, found.status.as_ref(), now);
        let stored = json!({"stored": objects::time(now), "conditions": conditions});
        let found = self.patch(&found, "status", json!({"status": stored})).await?;
        // All that is left out is taken away where it says null.
        let Pipe { metadata, spec, .. } = self.wanted;
        let owners = json!({"ownerReferences": metadata.owner_references});
        let changed = json!({"metadata": owners, "spec": {"producer": is, "expires": spec.expires}});
        self.patch(&found, "", changed).await
    }

    /// Says under which name it is awaited, where an earlier attempt did not declare that.
    async fn declare(&self, pipe: Pipe) -> Result<Pipe, ApiError> {
        let Some(name) = self.wanted.spec.awaited.as_ref().filter(|_| pipe.spec.awaited.is_none()) else {
            return Ok(pipe);
        };
        let pipe = self.patch(&pipe, "", json!({"spec": {"awaited": name}})).await?;
        if pipe.spec.awaited.is_none() {
            // Helm installs CRDs once, and the API server drops what an older one does not know.
            return Err(ApiError::forbidden(format!(
                "{} cannot say that it is awaited: install the CRD of this version (crds/pipes.yaml in the chart)",
                self.pipe()
            )));
        }
        Ok(pipe)
    }

    async fn check_quota(&self, pipe: &Pipe, quota: Quota) -> Result<(), ApiError> {
        let run = pipe.labels().get(names::LABEL_PIPE_RUN).map_or("", String::as_str);
        let checked = quota::check(self.pages, self.namespace, run, quota).await;
        if checked.as_ref().is_err_and(ApiError::is_final) {
            self.give_up(pipe).await?;
        }
        checked
    }

    /// Makes the object, and the one that is awaited.
    async fn fill(&self, pipe: &Pipe, files: ObjectData) -> Result<Option<AwaitedStatus>, ApiError> {
        let object = objects::object(pipe, files);
        if self.is_taken(pipe, &pipe.spec.object, &object).await? {
            return Err(self.left_behind(pipe, &pipe.spec.object).await);
        }
        let Some(name) = &pipe.spec.awaited else { return Ok(None) };
        let object = object.renamed(name);
        if !self.is_taken(pipe, name, &object).await? {
            return Ok(Some(AwaitedStatus::Stored));
        }
        if self.has_another(pipe, name).await? {
            return Ok(Some(AwaitedStatus::Taken));
        }
        Err(self.left_behind(pipe, name).await)
    }

    /// Makes the object that is awaited, where the other one has long been there: an earlier attempt wrote the same bytes,
    /// and did not declare them as awaited. Pods may hold that object, so the Pipe stays whatever happens, and what cannot
    /// be told from a stranger's object counts as one: who waits is turned away, and never given anything else.
    async fn fill_later(&self, pipe: Pipe, files: ObjectData) -> Result<(), ApiError> {
        let pipe = self.declare(pipe).await?;
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

    /// Creates an object, unless there is one of its name already, and tells whether there is. Where it can never be
    /// created, the Pipe is removed.
    async fn is_taken(&self, pipe: &Pipe, name: &str, object: &OutputObjectBody) -> Result<bool, ApiError> {
        let denial = match self.create(object).await {
            Ok(()) => return Ok(false),
            Err(kube::Error::Api(status)) if status.code == 409 => return Ok(true),
            Err(error) => self.not_created(pipe, name, &error),
        };
        if denial.is_final() {
            self.give_up(pipe).await?;
        }
        Err(denial)
    }

    fn not_created(&self, pipe: &Pipe, name: &str, error: &kube::Error) -> ApiError {
        let object = self.object(pipe, name);
        match error {
            kube::Error::Api(status) if status.message.contains("exceeded quota") => {
                ApiError::quota(format!("{object} cannot be created: {}", status.message))
            }
            error => ApiError::of_api(&format!("{object} cannot be created"), error),
        }
    }

    /// An object that an earlier attempt left, by all appearances: removes the Pipe, and says what is to be done.
    async fn left_behind(&self, pipe: &Pipe, name: &str) -> ApiError {
        if let Err(denial) = self.give_up(pipe).await {
            return denial;
        }
        ApiError::unavailable(format!(
            "{} is there already, left by an earlier attempt: it is being removed, try again; where that is of no use, it \
             is somebody else's, so delete it",
            self.object(pipe, name)
        ))
    }

    /// Whether another Pipe of the run is awaited under this name: one of the same task, then, with other content.
    async fn has_another(&self, pipe: &Pipe, name: &str) -> Result<bool, ApiError> {
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
        listed.map_err(|error| self.denied("cannot be compared with its run's", &error))?;
        Ok(found)
    }

    /// Removes a Pipe that is not stored. Its object goes with it.
    async fn give_up(&self, pipe: &Pipe) -> Result<(), ApiError> {
        let params = DeleteParams::default().preconditions(exactly(pipe));
        match self.pipes.delete(&pipe.name_any(), &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(self.changed()),
            Err(error) => Err(self.denied("cannot be removed", &error)),
        }
    }

    /// Changes the Pipe, if nobody else has.
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
            kube::Error::Api(status) if matches!(status.code, 404 | 409) => self.changed(),
            error => self.denied("cannot be changed", error),
        })
    }

    fn object(&self, pipe: &Pipe, name: &str) -> String {
        format!("{} {}/{name}", pipe.spec.kind.as_str(), self.namespace)
    }

    fn pipe(&self) -> String {
        format!("Pipe {}/{}", self.namespace, self.wanted.name_any())
    }

    fn denied(&self, doing: &str, error: &kube::Error) -> ApiError {
        let doing = format!("{} {doing}", self.pipe());
        ApiError { message: super::failed(&doing, error), ..ApiError::of_api(&doing, error) }
    }

    fn changed(&self) -> ApiError {
        ApiError::unavailable(format!("{} was changed meanwhile: try again", self.pipe()))
    }
}

/// Whether a Pipe that is there tells of the output that is to be stored. The names of others end with another hash; but
/// whoever may write Pipes can write any name.
fn is_same(found: &Pipe, wanted: &Pipe) -> bool {
    fn facts(spec: &PipeSpec) -> (&str, ObjectKind, &str, u32, &str) {
        (&spec.key, spec.kind, &spec.object, spec.size, &spec.hash)
    }
    let (one, two) = (&found.spec, &wanted.spec);
    facts(one) == facts(two) && one.producer.is_of_task(&two.producer)
}

/// Whether `one` is a later attempt than `other`, where the scheduler counts them.
fn is_later(one: Option<u64>, other: Option<u64>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one > other)
}

/// The Pipe as it was read, and no other of its name.
pub(in crate::store) fn exactly(pipe: &Pipe) -> Preconditions {
    Preconditions { uid: pipe.metadata.uid.clone(), resource_version: pipe.metadata.resource_version.clone() }
}
