//! The trace of a run, in the format of W3C Trace Context: <https://www.w3.org/TR/trace-context/>.
//!
//! The tasks of a run start in different pods, at different times, and often in different programs. So none
//! of them can create the trace and pass it to the others. Its IDs are a digest of the run instead, which
//! every admission of a pod of the run computes again.

use super::RunKey;

/// Bytes of the ID of a trace, and of the ID of a span.
const TRACE_BYTES: usize = 16;
const SPAN_BYTES: usize = 8;

/// The value of `TRACEPARENT` for the tasks of a run: its trace, and a span that is the parent of their
/// spans. `is_sampled` is whether they record the trace, if their sampler follows the parent, which is the
/// default of SDKs.
#[must_use]
pub fn parent(run: &RunKey<'_>, is_sampled: bool) -> String {
    let digest = run.digest(b"bootlace trace\0");
    let (trace, rest) = digest.split_at(TRACE_BYTES);
    let span = rest.get(..SPAN_BYTES).unwrap_or(rest);
    format!("00-{}-{}-{:02x}", id(trace), id(span), u8::from(is_sampled))
}

/// The digits of an ID. An ID of zeros is invalid.
fn id(bytes: &[u8]) -> String {
    let digits = hex::encode(bytes);
    if digits.bytes().all(|digit| digit == b'0') { digits.replacen('0', "1", 1) } else { digits }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const RUN: RunKey<'_> = RunKey {
        cluster: None,
        namespace: "etl",
        scheduler: Some("argo"),
        workflow: Some("daily"),
        run: "daily-x7k2p",
    };

    #[test]
    fn the_ids_stay_what_they_are_from_release_to_release() {
        assert_eq!(parent(&RUN, true), "00-86593d2f9727e3af88e28f83afa72836-d6250c07244e740e-01");
        assert_eq!(parent(&RUN, false), "00-86593d2f9727e3af88e28f83afa72836-d6250c07244e740e-00");
    }

    #[test]
    fn every_part_of_a_run_counts() {
        let runs = [
            RUN,
            RunKey { cluster: Some("prod"), ..RUN },
            RunKey { namespace: "ml", ..RUN },
            RunKey { scheduler: None, ..RUN },
            RunKey { workflow: None, ..RUN },
            RunKey { workflow: Some(""), ..RUN },
            RunKey { run: "daily-x7k2q", ..RUN },
            RunKey { workflow: Some("dailyd"), run: "aily-x7k2p", ..RUN },
        ];
        let parents: BTreeSet<_> = runs.iter().map(|run| parent(run, true)).collect();
        assert_eq!(parents.len(), runs.len());
    }

    #[test]
    fn an_id_is_never_zero() {
        assert_eq!(id(&[0; SPAN_BYTES]), "1000000000000000");
        assert_eq!(id(&[0, 255]), "00ff");
    }

    proptest! {
        /// The pattern of the specification, for version 00.
        #[test]
        fn every_value_is_valid(namespace in "[a-z]{1,8}", workflow in proptest::option::of(".*"), run in ".+") {
            let run = RunKey { namespace: &namespace, workflow: workflow.as_deref(), run: &run, ..RUN };
            let value = parent(&run, true);
            let parts: Vec<_> = value.split('-').collect();
            let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
            prop_assert_eq!(lengths, [2, 32, 16, 2]);
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            prop_assert!(parts.iter().all(|part| part.bytes().all(is_digit)), "{}", value);
            prop_assert!(parts[1..3].iter().all(|id| id.bytes().any(|digit| digit != b'0')), "{}", value);
        }
    }
}
