//! Common parts of the custom resources: conditions as in Kubernetes, and integer formats that the API server
//! supports.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// Condition that `kubectl wait` and kstatus evaluate: whether the object is ready.
pub const READY: &str = "Ready";
/// Condition that kstatus interprets as a failure: the object does not progress until someone changes it. It
/// only exists in this case.
pub const STALLED: &str = "Stalled";

/// Maximum bytes of the message of a condition (`maxLength` of the Kubernetes type).
const MAX_MESSAGE: usize = 32_768;

/// Creates a condition. It keeps the transition time of the condition in `before`, unless the status changes
/// `now`.
#[must_use]
pub fn condition(
    type_: &str,
    status: &str,
    reason: &str,
    mut message: String,
    before: &[Condition],
    now: Timestamp,
) -> Condition {
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    let same = find(before, type_).filter(|condition| condition.status == status);
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: same.map_or(Time(now), |condition| condition.last_transition_time.clone()),
        observed_generation: None,
    }
}

/// The condition with this type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Schema of a list of conditions: the markers of `metav1.Condition`, which its Rust type does not include.
/// <https://github.com/kubernetes/apimachinery/blob/master/pkg/apis/meta/v1/types.go>
#[must_use]
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "A condition of the object.",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {
                    "type": "string",
                    "description": "Type of the condition, in CamelCase. Required.",
                    "maxLength": 316,
                    "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?\
                                (([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
                "status": {
                    "type": "string",
                    "description": "Status of the condition: `True`, `False` or `Unknown`. Required.",
                    "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "type": "string",
                    "description": "Reason for the last transition, in CamelCase. Required.",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "type": "string",
                    "description": "Human-readable message. Required.",
                    "maxLength": MAX_MESSAGE,
                },
                "lastTransitionTime": {
                    "type": "string",
                    "description": "Time of the last transition (RFC 3339). Required.",
                    "format": "date-time",
                },
                "observedGeneration": {
                    "type": "integer",
                    "description": "The `metadata.generation` that the condition describes.",
                    "format": "int64",
                    "minimum": 0,
                },
            },
        },
    })
}

/// Replaces integer formats with those that the API server supports, `int32` and `int64`, and adds the bounds
/// of the Rust types unless the schema has its own. The API server warns about other formats and does not
/// validate any format.
pub fn known_integers(schema: &mut Schema) {
    schemars::transform::transform_subschemas(&mut known_integers, schema);
    let Some(format) = schema.get("format").and_then(Value::as_str) else { return };
    let (known, bounds) = match format {
        "int8" => ("int32", Some((i64::from(i8::MIN), i64::from(i8::MAX)))),
        "int16" => ("int32", Some((i64::from(i16::MIN), i64::from(i16::MAX)))),
        "uint8" => ("int32", Some((0, i64::from(u8::MAX)))),
        "uint16" => ("int32", Some((0, i64::from(u16::MAX)))),
        "uint32" => ("int64", Some((0, i64::from(u32::MAX)))),
        "uint64" | "uint" => ("int64", Some((0, i64::MAX))),
        "int" => ("int64", None),
        _ => return,
    };
    schema.insert("format".to_owned(), json!(known));
    let Some((minimum, maximum)) = bounds else { return };
    let object = schema.ensure_object();
    object.entry("minimum").or_insert(json!(minimum));
    // 64 bits are the maximum of the API server, and more than a number in a schema can represent exactly.
    if maximum != i64::MAX {
        object.entry("maximum").or_insert(json!(maximum));
    }
}

#[cfg(test)]
mod tests {
    use schemars::transform::Transform as _;

    use super::*;

    #[test]
    fn a_condition_changes_its_time_with_its_status_alone() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let one = condition(READY, "False", "Invalid", "one".to_owned(), &[], at(1));
        assert_eq!(one.last_transition_time, Time(at(1)));
        let two = condition(READY, "False", "Other", "two".to_owned(), std::slice::from_ref(&one), at(2));
        assert_eq!((&two.last_transition_time, &*two.message), (&Time(at(1)), "two"));
        let three = condition(READY, "True", "InForce", String::new(), &[two], at(3));
        assert_eq!(three.last_transition_time, Time(at(3)));
        // A condition of another type is not affected.
        let other = condition(STALLED, "True", "Invalid", String::new(), &[three], at(4));
        assert_eq!(other.last_transition_time, Time(at(4)));
    }

    #[test]
    fn a_message_is_no_longer_than_a_condition_may_have() {
        let long = condition(READY, "False", "Invalid", "ü".repeat(20_000), &[], Timestamp::UNIX_EPOCH);
        assert_eq!(long.message.len(), MAX_MESSAGE);
        let odd = format!("a{}", "ü".repeat(20_000));
        let long = condition(READY, "False", "Invalid", odd, &[], Timestamp::UNIX_EPOCH);
        assert_eq!(long.message.len(), MAX_MESSAGE - 1);
    }

    #[test]
    fn integers_get_formats_that_the_api_server_knows_and_keep_their_bounds() {
        let known = |mut schema: Schema| {
            known_integers.transform(&mut schema);
            schema.to_value()
        };
        for (format, expected) in [
            ("uint8", json!({"format": "int32", "minimum": 0, "maximum": 255})),
            ("int16", json!({"format": "int32", "minimum": -32768, "maximum": 32767})),
            ("uint32", json!({"format": "int64", "minimum": 0, "maximum": 4_294_967_295_u32})),
            ("uint64", json!({"format": "int64", "minimum": 0})),
            ("uint", json!({"format": "int64", "minimum": 0})),
            ("int64", json!({"format": "int64"})),
            ("date-time", json!({"format": "date-time"})),
        ] {
            assert_eq!(known(json_schema!({"format": format})), expected, "{format}");
        }
        let nested =
            json_schema!({"properties": {"a": {"items": {"format": "uint32", "minimum": 1, "maximum": 9}}}});
        let expected =
            json!({"properties": {"a": {"items": {"format": "int64", "minimum": 1, "maximum": 9}}}});
        assert_eq!(known(nested), expected);
    }
}
