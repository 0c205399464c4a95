//! Reads pods in bounded memory, because anyone who creates a pod decides how large it is. Only the parts of
//! the spec that Bootlace wrote are kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::api::{GetParams, Request};
use kube::{Client, Resource as _};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::server::{api_client, memory};
use bootlace_core::names;

/// The containers that have a configuration, and the prefixes of the variables that contain it.
const CONTAINERS: [&str; 3] = [names::CONTAINER_BOOT, names::CONTAINER_PIPE, names::CONTAINER_WAIT];
const CONFIG_VARIABLES: [&str; 4] =
    [names::ENV_BOOT_SPEC, names::ENV_SIGNATURE, names::ENV_PIPES, names::ENV_WAIT];

/// Reads pods, a few concurrently, and one of each namespace at a time: large pods of one namespace do not
/// delay other namespaces for long.
pub(super) struct Pods {
    client: Client,
    permits: Semaphore,
    queues: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Pods {
    /// Reads with the permissions of `client`.
    pub(super) fn new(client: Client) -> Self {
        Self { client, permits: Semaphore::new(memory::PODS), queues: Mutex::default() }
    }

    /// The queue of a namespace, which exists as long as a request waits in it.
    fn queue(&self, namespace: &str) -> Arc<Semaphore> {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get(namespace).and_then(Weak::upgrade) {
            return queue;
        }
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::new(Semaphore::new(1));
        queues.insert(namespace.to_owned(), Arc::downgrade(&queue));
        queue
    }

    /// The pod; `None` if it does not exist.
    pub(super) async fn get(&self, namespace: &str, name: &str) -> Result<Option<core::Pod>, kube::Error> {
        let path = core::Pod::url_path(&(), Some(namespace));
        let request =
            Request::new(path).get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
        let queue = self.queue(namespace);
        let _queue_permit = queue.acquire().await;
        let _permit = self.permits.acquire().await;
        let bytes = match api_client::read_limited(&self.client, request, memory::POD_BYTES).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            bytes => bytes?,
        };
        let Some(bytes) = bytes else {
            return Err(kube::Error::Service("the pod is larger than the limit of an object".into()));
        };
        parse(&bytes).map(Some).map_err(kube::Error::SerdeError)
    }
}

#[derive(Deserialize)]
struct Pod<'a> {
    metadata: Metadata,
    #[serde(borrow, default)]
    spec: Spec<'a>,
    #[serde(borrow, default)]
    status: Status<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    generate_name: Option<String>,
    uid: Option<String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    owner_references: Option<Vec<OwnerReference>>,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec<'a> {
    #[serde(borrow)]
    containers: Option<&'a RawValue>,
    #[serde(borrow)]
    init_containers: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status<'a> {
    #[serde(borrow)]
    init_container_statuses: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    env: Option<&'a RawValue>,
    #[serde(borrow)]
    env_from: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Variable<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvFrom<'a> {
    #[serde(borrow)]
    secret_ref: Option<Reference<'a>>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

/// The value of the annotation that the webhook sets.
#[derive(Default)]
struct Annotations(Option<String>);

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Injected;

        impl<'de> Visitor<'de> for Injected {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let mut injected = None;
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if name == names::ANNOTATION_INJECTED {
                        injected = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Annotations(injected))
            }
        }

        deserializer.deserialize_map(Injected)
    }
}

fn parse(json: &[u8]) -> Result<core::Pod, serde_json::Error> {
    let Pod { metadata, spec, status } = serde_json::from_slice(json)?;
    let mut containers = Vec::new();
    each(spec.containers, |container: Container<'_>| keep(&mut containers, &container))?;
    let mut init_containers = Vec::new();
    each(spec.init_containers, |container: Container<'_>| keep(&mut init_containers, &container))?;
    let mut statuses = Vec::new();
    each(status.init_container_statuses, |status: core::ContainerStatus| {
        if status.name == names::CONTAINER_BOOT && statuses.is_empty() {
            statuses.push(status);
        }
    })?;
    let annotations = metadata.annotations.0;
    Ok(core::Pod {
        metadata: ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            generate_name: metadata.generate_name,
            uid: metadata.uid,
            creation_timestamp: metadata.creation_timestamp,
            deletion_timestamp: metadata.deletion_timestamp,
            owner_references: metadata.owner_references,
            annotations: annotations
                .map(|injected| BTreeMap::from([(names::ANNOTATION_INJECTED.to_owned(), injected)])),
            ..ObjectMeta::default()
        },
        spec: Some(core::PodSpec {
            containers,
            init_containers: Some(init_containers),
            ..core::PodSpec::default()
        }),
        status: Some(core::PodStatus {
            init_container_statuses: Some(statuses),
            ..core::PodStatus::default()
        }),
    })
}

/// Keeps the parts of a container that Bootlace injected, if there are any.
fn keep(kept: &mut Vec<core::Container>, container: &Container<'_>) {
    let (mut env, mut env_from) = (Vec::new(), Vec::new());
    // The webhook did not write what cannot be parsed, so it is ignored.
    let _ = each(container.env_from, |source: EnvFrom<'_>| {
        let name = source.secret_ref.and_then(|reference| reference.name);
        if let Some(name) = name.filter(|name| names::is_env_secret(name) && env_from.is_empty()) {
            let reference = core::SecretEnvSource { name: name.into_owned(), ..Default::default() };
            env_from.push(core::EnvFromSource { secret_ref: Some(reference), ..Default::default() });
        }
    });
    if CONTAINERS.contains(&&*container.name) {
        let _ = each(container.env, |variable: Variable<'_>| {
            let is_config = CONFIG_VARIABLES.iter().any(|prefix| variable.name.starts_with(prefix));
            if let Some(value) = variable.value.filter(|_| is_config) {
                let (name, value) = (variable.name.into_owned(), Some(value.into_owned()));
                env.push(core::EnvVar { name, value, ..core::EnvVar::default() });
            }
        });
    }
    if !env.is_empty() || !env_from.is_empty() {
        let (env, env_from) = (Some(env), Some(env_from));
        let name = container.name.clone().into_owned();
        kept.push(core::Container { name, env, env_from, ..core::Container::default() });
    }
}

/// Visits the items of a list, one after another.
fn each<'de, T: Deserialize<'de>>(
    list: Option<&'de RawValue>,
    visit: impl FnMut(T),
) -> Result<(), serde_json::Error> {
    struct Items<T, F>(F, PhantomData<T>);

    impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Items<T, F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
            while let Some(item) = items.next_element()? {
                (self.0)(item);
            }
            Ok(())
        }
    }

    let Some(list) = list else { return Ok(()) };
    serde_json::Deserializer::from_str(list.get()).deserialize_seq(Items(visit, PhantomData))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str = "bootlace-env-0123456789abcdef0123456789abcdef";

    #[test]
    fn the_parts_of_a_pod_that_bootlace_wrote_are_kept() {
        let variable = |name: &str, value: &str| json!({"name": name, "value": value});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "p", "generateName": "p-", "namespace": "etl", "uid": "u", "labels": {"a": "b"},
                "creationTimestamp": "2026-11-21T10:00:00Z", "managedFields": [{"manager": "m"}],
                "annotations": {"bootlace.dev/injected": "{}", "other": "x"},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "v"}],
            },
            "spec": {
                "containers": [
                    {"name": "main", "env": [variable("A", "1"), variable("BOOTLACE_SPEC", "2")],
                     "envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": OURS}}]},
                    {"name": "other", "envFrom": [{"secretRef": {"name": "theirs"}}]},
                ],
                "initContainers": [
                    {"name": "bootlace-boot", "env": [
                        variable("BOOTLACE_SPEC", "\u{20ac}\n"), variable("BOOTLACE_SPEC_1", "b"), variable("BOOTLACE_HELD_0_A", "c"),
                        {"name": "FIELD", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                        variable("BOOTLACE_SIGNATURE", "s"),
                    ]},
                    {"name": "migrate", "env": [variable("BOOTLACE_SPEC", "2")]},
                ],
            },
            "status": {"initContainerStatuses": [
                {"name": "migrate", "restartCount": 7, "image": "i", "imageID": "", "ready": true},
                {"name": "bootlace-boot", "restartCount": 1, "image": "i", "imageID": "", "ready": true},
            ]},
        });
        let parsed = parse(pod.to_string().as_bytes()).unwrap();
        let kept = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "p", "generateName": "p-", "namespace": "etl", "uid": "u",
                "creationTimestamp": "2026-11-21T10:00:00Z", "annotations": {"bootlace.dev/injected": "{}"},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "v"}],
            },
            "spec": {
                "containers": [{"name": "main", "env": [], "envFrom": [{"secretRef": {"name": OURS}}]}],
                "initContainers": [{"name": "bootlace-boot", "envFrom": [], "env": [
                    variable("BOOTLACE_SPEC", "\u{20ac}\n"), variable("BOOTLACE_SPEC_1", "b"), variable("BOOTLACE_SIGNATURE", "s"),
                ]}],
            },
            "status": {"initContainerStatuses": [
                {"name": "bootlace-boot", "restartCount": 1, "image": "i", "imageID": "", "ready": true},
            ]},
        });
        assert_eq!(serde_json::to_value(parsed).unwrap(), kept);
    }

    #[test]
    fn a_pod_without_most_fields_is_parsed() {
        for pod in
            [json!({"metadata": {}}), json!({"metadata": {"name": "p"}, "spec": {"initContainers": null}})]
        {
            parse(pod.to_string().as_bytes()).unwrap();
        }
        assert!(parse(b"{\"metadata\": {}, \"spec\": {\"containers\": [{}]}}").is_err());
    }
}
