//! The Pipe of an output, and the object with its content. Pure functions.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};

use super::owner;
use bootlace_core::names;
use bootlace_core::output::pipe::Producer;
use bootlace_core::output::{
    Awaited, ContentHash, DeclaredOutput, ObjectData, ObjectKind, OutputIdentity, Pipe, PipeSpec,
    SidecarConfig, data, run_label,
};

/// The Pipe of an output of `pod`. It has no status yet.
#[must_use]
pub fn pipe(
    pod: &Pod,
    config: &SidecarConfig<'_>,
    declared: &DeclaredOutput,
    files: &ObjectData,
    size: u32,
    now: Timestamp,
) -> Pipe {
    let DeclaredOutput { key, kind, container, .. } = declared;
    let content = ContentHash::from_files(files.iter().map(|(name, value)| (&**name, &*value.0)));
    let name = OutputIdentity { task: &config.task, container, key, kind: *kind, content }.object();
    let awaited = declared.awaited.then(|| Awaited { task: &config.task, key, kind: *kind }.object());
    let owner = owner::run_owner(pod, config);
    let expires = owner.is_none().then(|| expires(config.time_to_live_seconds, now));
    let (pod, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
    Pipe {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels(run_label(&config.task))),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: PipeSpec {
            key: key.clone(),
            kind: *kind,
            object: name,
            size,
            files: files.keys().cloned().collect(),
            hash: content.to_string(),
            awaited,
            producer: Producer::new(&config.task, &pod, &uid, container),
            expires,
        },
        status: None,
    }
}

/// The object with the content of an output.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputObjectBody {
    /// For a [`ObjectKind::ConfigMap`].
    ConfigMap(ConfigMap),
    /// For a [`ObjectKind::Secret`].
    Secret(Secret),
}

impl OutputObjectBody {
    /// The same object with another name.
    #[must_use]
    pub fn renamed(mut self, name: &str) -> Self {
        let metadata = match &mut self {
            Self::ConfigMap(map) => &mut map.metadata,
            Self::Secret(secret) => &mut secret.metadata,
        };
        metadata.name = Some(name.to_owned());
        self
    }
}

/// The object with the content of an output, which is immutable and is deleted with its Pipe. The Pipe must
/// exist already.
#[must_use]
pub fn object(pipe: &Pipe, files: ObjectData) -> OutputObjectBody {
    let metadata = ObjectMeta {
        name: Some(pipe.spec.object.clone()),
        labels: Some(labels(pipe.labels().get(names::LABEL_PIPE_RUN).cloned().unwrap_or_default())),
        owner_references: Some(vec![OwnerReference {
            api_version: Pipe::api_version(&()).into_owned(),
            kind: Pipe::kind(&()).into_owned(),
            name: pipe.name_any(),
            uid: pipe.uid().unwrap_or_default(),
            ..OwnerReference::default()
        }]),
        ..ObjectMeta::default()
    };
    match pipe.spec.kind {
        ObjectKind::Secret => OutputObjectBody::Secret(Secret {
            metadata,
            type_: Some("Opaque".to_owned()),
            immutable: Some(true),
            data: Some(files),
            ..Secret::default()
        }),
        ObjectKind::ConfigMap => {
            let (mut texts, mut binary) = (BTreeMap::new(), BTreeMap::new());
            for (name, value) in files {
                match data::text(&value.0) {
                    Some(text) => drop(texts.insert(name, text.to_owned())),
                    None => drop(binary.insert(name, value)),
                }
            }
            OutputObjectBody::ConfigMap(ConfigMap {
                metadata,
                immutable: Some(true),
                data: (!texts.is_empty()).then_some(texts),
                binary_data: (!binary.is_empty()).then_some(binary),
            })
        }
    }
}

/// A time in the format of Pipes. All have the same length, so that their lexical order is their order in
/// time.
#[must_use]
pub fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

fn expires(seconds: u64, now: Timestamp) -> String {
    let after = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    // The maximum for a very long time to live.
    time(now.checked_add(after).unwrap_or(Timestamp::MAX))
}

fn labels(run: String) -> BTreeMap<String, String> {
    let managed = (names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned());
    BTreeMap::from([managed, (names::LABEL_PIPE_RUN.to_owned(), run)])
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use k8s_openapi::ByteString;
    use serde_json::{Value, json};

    use super::*;
    use bootlace_core::injected_config::{ProfileRef, StoreEndpoint};
    use bootlace_core::output::{Quota, SidecarLifetime};

    fn config(seconds: u64) -> SidecarConfig<'static> {
        SidecarConfig {
            task: serde_json::from_value(
                json!({"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load", "attempt": "2"}),
            )
            .unwrap(),
            profile: ProfileRef { name: "default".to_owned(), generation: 1 },
            store: Cow::Owned(StoreEndpoint { url: String::new(), ca: String::new() }),
            outputs: Vec::new(),
            progress: Vec::new(),
            time_to_live_seconds: seconds,
            deadline_seconds: 60,
            grace_seconds: 20,
            ends: SidecarLifetime::default(),
            quota: Quota::default(),
            run_owners: vec!["batch/Job".to_owned()],
            supervised: Vec::new(),
        }
    }

    fn declared(kind: ObjectKind) -> DeclaredOutput {
        DeclaredOutput {
            key: "Cert".to_owned(),
            kind,
            container: "base".to_owned(),
            shared_file: None,
            optional: false,
            awaited: false,
        }
    }

    fn files(pairs: &[(&str, &[u8])]) -> ObjectData {
        pairs.iter().map(|(name, bytes)| ((*name).to_owned(), ByteString(bytes.to_vec()))).collect()
    }

    fn built(owners: &Value, kind: ObjectKind, seconds: u64) -> Pipe {
        let metadata = json!({"name": "load-1", "uid": "u-1", "ownerReferences": owners});
        let pod = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        let files = files(&[("tls.crt", b"x")]);
        pipe(&pod, &config(seconds), &declared(kind), &files, 8, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_pipe_contains_its_producer_and_is_owned_by_its_run() {
        let job =
            json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u-2", "controller": true}]);
        let pipe = serde_json::to_value(built(&job, ObjectKind::Secret, 60)).unwrap();
        let name = pipe["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with("etl.r1.load.cert-"), "{name}");
        let expected = json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "Pipe",
            "metadata": {
                "name": name, "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u-2"}],
                "labels": {"app.kubernetes.io/managed-by": "bootlace",
                           "bootlace.dev/pipe-run": run_label(&config(0).task)},
            },
            "spec": {
                "key": "Cert", "kind": "Secret", "object": name, "size": 8, "files": ["tls.crt"], "hash": pipe["spec"]["hash"],
                "producer": {
                    "scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load", "attempt": "2",
                    "pod": "load-1", "podUid": "u-1", "container": "base",
                },
            },
        });
        assert_eq!(pipe, expected);
    }

    #[test]
    fn a_job_that_is_one_of_several_in_a_run_does_not_own_its_pipes() {
        let job =
            json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u-2", "controller": true}]);
        let pod = serde_json::from_value(json!({"metadata": {"name": "p", "ownerReferences": job}})).unwrap();
        let mut config = config(60);
        let built = |config: &SidecarConfig<'_>| {
            pipe(
                &pod,
                config,
                &declared(ObjectKind::Secret),
                &files(&[("a", b"1")]),
                2,
                Timestamp::UNIX_EPOCH,
            )
        };
        assert!(built(&config).metadata.owner_references.is_some());
        config.task.scheduler = Some("annotation".to_owned());
        let joined = built(&config);
        assert!(joined.metadata.owner_references.is_none() && joined.spec.expires.is_some());
    }

    #[test]
    fn without_an_owner_it_expires() {
        let pod = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true}]);
        let expires = |seconds| built(&pod, ObjectKind::Secret, seconds).spec.expires.unwrap();
        assert_eq!(expires(90), "1970-01-01T00:01:30.000000Z");
        assert!(expires(u64::MAX).starts_with("9999-12-"), "{}", expires(u64::MAX));
        assert_eq!(built(&pod, ObjectKind::Secret, 1).metadata.owner_references, None);
    }

    #[test]
    fn the_object_is_immutable_and_owned_by_the_pipe() {
        let mut pipe = built(&json!([]), ObjectKind::Secret, 60);
        pipe.metadata.uid = Some("u-9".to_owned());
        let OutputObjectBody::Secret(secret) = object(&pipe, files(&[("a", b"1")])) else {
            panic!("a Secret")
        };
        let secret = serde_json::to_value(secret).unwrap();
        assert_eq!(
            secret["metadata"]["ownerReferences"],
            json!([{"apiVersion": "bootlace.dev/v1alpha1", "kind": "Pipe", "name": pipe.name_any(), "uid": "u-9"}])
        );
        assert_eq!((&secret["immutable"], &secret["type"]), (&json!(true), &json!("Opaque")));
        assert_eq!(secret["metadata"]["name"], json!(pipe.name_any()));
    }

    #[test]
    fn binary_files_stay_binary() {
        let pipe = built(&json!([]), ObjectKind::ConfigMap, 60);
        let files = files(&[("text", "ü\n".as_bytes()), ("binary", b"\xff\0"), ("empty", b"")]);
        let OutputObjectBody::ConfigMap(map) = object(&pipe, files) else { panic!("a ConfigMap") };
        let map = serde_json::to_value(map).unwrap();
        assert_eq!(map["data"], json!({"text": "ü\n", "empty": ""}));
        assert_eq!(map["binaryData"], json!({"binary": "/wA="}));
        assert_eq!(map["immutable"], json!(true));
    }
}
