//! Resource attributes of OpenTelemetry: what produced a span, a metric or a log record.
//!
//! The names are those of the semantic conventions, `k8s.…` and `service.…`:
//! <https://opentelemetry.io/docs/specs/semconv/resource/k8s/>. The conventions have none for the runs of
//! workflow schedulers, so those start with `bootlace.`.

use std::collections::BTreeMap;

use crate::identity::Identity;
use crate::names;
use crate::percent;
use crate::pod::Pod;

/// The attribute with the name of the service. SDKs read it from a separate variable.
pub const SERVICE_NAME: &str = "service.name";
/// The attribute with the name of the cluster.
pub const CLUSTER: &str = "k8s.cluster.name";
/// Maximum bytes of a name.
const MAX_NAME_BYTES: usize = 255;

/// Attributes by name.
pub type Attributes = BTreeMap<String, String>;

/// A field of the pod that is unknown at admission. The kubelet passes it to boot, which adds the attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodField {
    /// The variable of boot.
    pub variable: &'static str,
    /// The field.
    pub path: &'static str,
    /// The name of the attribute.
    pub attribute: &'static str,
}

/// All of them. The name of a pod may be generated after admission, too.
pub const POD_FIELDS: [PodField; 3] = [
    PodField { variable: names::ENV_POD, path: "metadata.name", attribute: "k8s.pod.name" },
    PodField { variable: names::ENV_POD_UID, path: "metadata.uid", attribute: "k8s.pod.uid" },
    PodField { variable: names::ENV_NODE, path: "spec.nodeName", attribute: "k8s.node.name" },
];

/// The attributes of a task of `pod` that are known at admission, without those in annotations of the pod.
/// `container` is the task container, if there is only one: all task containers of a pod have one boot env.
#[must_use]
pub fn of_task(pod: &Pod<'_>, namespace: &str, task: &Identity, container: Option<&str>) -> Attributes {
    let Identity { scheduler, workflow, run, task: name, attempt, map_index, scheduled_time } = task;
    let label = |name| pod.labels.get(name);
    let attributes = [
        ("service.namespace", Some(namespace)),
        ("k8s.namespace.name", Some(namespace)),
        ("k8s.container.name", container),
        // <https://kubernetes.io/docs/reference/labels-annotations-taints/#batch-kubernetes-io-job-name>
        ("k8s.job.name", label("batch.kubernetes.io/job-name")),
        ("k8s.job.uid", label("batch.kubernetes.io/controller-uid")),
        ("bootlace.scheduler", scheduler.as_deref()),
        ("bootlace.workflow", workflow.as_deref()),
        ("bootlace.run", run.as_deref()),
        ("bootlace.task", name.as_deref()),
        ("bootlace.attempt", attempt.as_deref()),
        ("bootlace.map_index", map_index.as_deref()),
        ("bootlace.scheduled_time", scheduled_time.as_deref()),
    ];
    let known = attributes.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.filter(|(_, value)| !value.is_empty()).map(owned).collect()
}

/// The attributes in annotations of a pod: `resource.opentelemetry.io/service.version`. The conventions give
/// them precedence over all others.
pub fn of_annotations<'a>(pod: &Pod<'a>) -> impl Iterator<Item = (String, String)> + use<'a> {
    let attributes = pod.annotations.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(names::ANNOTATION_RESOURCE_PREFIX)?;
        (is_name(name) && !value.is_empty()).then_some((name, value))
    });
    attributes.map(owned)
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Whether an attribute can have the name: SDKs do not decode names, so it contains no character that would
/// need an encoding.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || [b'.', b'_', b'-', b'/'].contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_character)
}

/// The value of `OTEL_RESOURCE_ATTRIBUTES`: pairs with percent-encoded values, separated by commas. The
/// specification requires the encoding of `,` and `=`, and of all characters outside of `baggage-octet`. More
/// characters can be encoded, and `+` must be, because some SDKs decode it as a space.
/// <https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable>
#[must_use]
pub fn encode(attributes: &Attributes) -> String {
    let pairs = attributes.iter().map(|(name, value)| format!("{name}={}", percent::encode(value)));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::pod::Json;

    #[test]
    fn a_task_has_the_names_of_the_conventions_and_its_identity() {
        let pod = json!({"metadata": {
            "labels": {"batch.kubernetes.io/job-name": "report-29412345"},
            "annotations": {
                "resource.opentelemetry.io/service.version": "1.2", "resource.opentelemetry.io/a,b": "x",
                "resource.opentelemetry.io/empty": "", "example.com/team": "data",
            },
        }});
        let json = Json::from(&pod);
        let pod = Pod::read(&json).unwrap();
        let task = Identity {
            scheduler: Some("cronjob".to_owned()),
            workflow: Some("report".to_owned()),
            run: Some("report-29412345".to_owned()),
            task: Some(String::new()),
            ..Identity::default()
        };
        assert_eq!(
            encode(&of_task(&pod, "etl", &task, Some("main"))),
            "bootlace.run=report-29412345,bootlace.scheduler=cronjob,bootlace.workflow=report,\
             k8s.container.name=main,k8s.job.name=report-29412345,k8s.namespace.name=etl,service.namespace=etl"
        );
        let annotated: Vec<_> = of_annotations(&pod).collect();
        assert_eq!(annotated, [("service.version".to_owned(), "1.2".to_owned())]);
    }

    #[test]
    fn names_need_no_encoding() {
        for name in ["k8s.pod.name", "A_b-c/d", &"x".repeat(255)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a,b", "a=b", "a b", "a;b", "a%b", "\u{e4}", "a\n", &"x".repeat(256)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_value_is_encoded() {
        let attributes = [("a".to_owned(), "2026-01-02T03:04:05+00:00, \"100 %\"; x=\u{e4}\\".to_owned())];
        assert_eq!(
            encode(&attributes.into()),
            "a=2026-01-02T03%3A04%3A05%2B00%3A00%2C%20%22100%20%25%22%3B%20x%3D%C3%A4%5C"
        );
    }

    proptest! {
        /// As an SDK decodes it.
        #[test]
        fn every_value_is_read_as_it_was(values in prop::collection::btree_map("[a-z.]{1,5}", ".*", 0..5)) {
            let text = encode(&values);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{}", text);
            let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
            let decoded = pairs.map(|(name, value)| {
                (name.to_owned(), percent_decode_str(value).decode_utf8().unwrap().into_owned())
            });
            prop_assert_eq!(decoded.collect::<Attributes>(), values);
        }
    }
}
