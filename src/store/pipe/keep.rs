//! Makes a Pipe and its object, in an order in which whoever is killed leaves nothing for good:
//!
//! 1. The Pipe. It says nothing of being stored, so no task takes it.
//! 2. The object, owned by the Pipe: from here on it goes when the Pipe goes.
//! 3. The Pipe says that it is stored. Only then the sidecar hears of it.
//!
//! A Pipe that stays at the first or second step is removed after a while ([`crate::store::expiry`]), and the API server
//! removes its object.
//!
//! The store may not read objects, its own included. So an object counts only for the request that has made it: where one
//! of the name is there already, another request may have made it and been killed, or it may be left from a Pipe that was
//! deleted, or be a stranger's. Then the Pipe is removed, with it the object if it is the Pipe's, and the sidecar asks
//! again.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::make::{self, Object};
use super::quota;
use crate::names;
use crate::output::{Data, Kind, Pipe, Quota, Record};
use crate::store::denial::Denial;

/// Keeps outputs.
#[derive(Clone)]
pub struct Keeper {
    client: Client,
}

impl Keeper {
    /// Keeps them with the rights of `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Stores an output as `wanted`, which [`make::pipe`] made of it, and tells whether anything had to be created. The
    /// same again changes nothing; where another attempt of the task wrote the same, the Pipe names that one from now on.
    ///
    /// # Errors
    /// Where the API server or the quota refuses; where another request is at it too, or what an earlier one left has
    /// to go first, and the caller should ask again.
    pub async fn keep(
        &self,
        namespace: &str,
        wanted: &Pipe,
        files: Data,
        quota: Quota,
        now: Timestamp,
    ) -> Result<bool, Denial> {
        let one = One {
            pipes: Api::namespaced(self.client.clone(), namespace),
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
            one.refresh(&pipe, now).await?;
            return Ok(false);
        }
        one.check_quota(&pipe, quota).await?;
        one.fill(&pipe, files).await?;
        let stored = json!({"stored": make::time(now)});
        one.patch(&pipe, "status", json!({"status": stored})).await?;
        Ok(true)
    }
}

/// One output that is being stored.
struct One<'a> {
    pipes: Api<Pipe>,
    client: &'a Client,
    namespace: &'a str,
    wanted: &'a Pipe,
}

impl One<'_> {
    /// The Pipe that is there.
    async fn found(&self) -> Result<Pipe, Denial> {
        let found = self.pipes.get_opt(&self.wanted.name_any()).await;
        match found.map_err(|error| self.denied("cannot be read", &error))? {
            Some(found) if found.metadata.deletion_timestamp.is_none() => {
                if is_same(&found, self.wanted) {
                    return Ok(found);
                }
                Err(Denial::conflict(format!(
                    "{} is there already, and tells of something else: delete it, for nothing of Bootlace's has its name",
                    self.pipe()
                )))
            }
            _ => Err(Denial::unavailable(format!("{} is being deleted: try again", self.pipe()))),
        }
    }

    /// The output is stored already: names who wrote it last.
    async fn refresh(&self, found: &Pipe, now: Timestamp) -> Result<(), Denial> {
        let (was, is) = (&found.spec.producer, &self.wanted.spec.producer);
        if (&was.pod_uid, &was.container) == (&is.pod_uid, &is.container)
            || is_later(was.attempt(), is.attempt())
        {
            return Ok(());
        }
        // First the time, then the rest, by which is seen that it is done.
        let stored = json!({"stored": make::time(now)});
        let found = self.patch(found, "status", json!({"status": stored})).await?;
        // All that is left out is taken away where it says null.
        let Pipe { metadata, spec, .. } = self.wanted;
        let owners = json!({"ownerReferences": metadata.owner_references});
        let changed = json!({"metadata": owners, "spec": {"producer": is, "expires": spec.expires}});
        self.patch(&found, "", changed).await.map(drop)
    }

    async fn check_quota(&self, pipe: &Pipe, quota: Quota) -> Result<(), Denial> {
        let run = pipe.labels().get(names::LABEL_PIPE_RUN).map_or("", String::as_str);
        let checked = quota::check(&self.pipes, self.namespace, run, quota).await;
        if checked.as_ref().is_err_and(Denial::is_final) {
            self.give_up(pipe).await?;
        }
        checked
    }

    /// Makes the object.
    async fn fill(&self, pipe: &Pipe, files: Data) -> Result<(), Denial> {
        let params = PostParams::default();
        let created = match make::object(pipe, files) {
            Object::ConfigMap(map) => {
                let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace);
                maps.create(&params, &map).await.map(drop)
            }
            Object::Secret(secret) => {
                let secrets: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace);
                secrets.create(&params, &secret).await.map(drop)
            }
        };
        let Err(error) = created else { return Ok(()) };
        let object = format!("{} {}/{}", pipe.spec.kind.as_str(), self.namespace, pipe.spec.object);
        let denial = match &error {
            kube::Error::Api(status) if status.code == 409 => {
                self.give_up(pipe).await?;
                return Err(Denial::unavailable(format!(
                    "{object} is there already, left by an earlier attempt: it is being removed, try again; where that is \
                     of no use, it is somebody else's, so delete it"
                )));
            }
            kube::Error::Api(status) if status.message.contains("exceeded quota") => {
                Denial::quota(format!("{object} cannot be created: {}", status.message))
            }
            error => Denial::of_api(&format!("{object} cannot be created"), error),
        };
        if denial.is_final() {
            self.give_up(pipe).await?;
        }
        Err(denial)
    }

    /// Removes a Pipe that is not stored. Its object goes with it.
    async fn give_up(&self, pipe: &Pipe) -> Result<(), Denial> {
        let params = DeleteParams::default().preconditions(exactly(pipe));
        match self.pipes.delete(&pipe.name_any(), &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(self.changed()),
            Err(error) => Err(self.denied("cannot be removed", &error)),
        }
    }

    /// Changes the Pipe, if nobody else has.
    async fn patch(&self, pipe: &Pipe, subresource: &str, mut change: Value) -> Result<Pipe, Denial> {
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

    fn pipe(&self) -> String {
        format!("Pipe {}/{}", self.namespace, self.wanted.name_any())
    }

    fn denied(&self, doing: &str, error: &kube::Error) -> Denial {
        let doing = format!("{} {doing}", self.pipe());
        Denial { message: super::failed(&doing, error), ..Denial::of_api(&doing, error) }
    }

    fn changed(&self) -> Denial {
        Denial::unavailable(format!("{} was changed meanwhile: try again", self.pipe()))
    }
}

/// Whether a Pipe that is there tells of the output that is to be stored. The names of others end with another hash; but
/// whoever may write Pipes can write any name.
fn is_same(found: &Pipe, wanted: &Pipe) -> bool {
    fn facts(spec: &Record) -> (&str, Kind, &str, u32, &str) {
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
