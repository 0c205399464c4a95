//! The messages of `bootlace wait`, the container that waits for an output.

use std::time::Duration;

use bootlace_core::code::Coded as _;

use super::Messages;
use crate::wait::WaitError;

pub(super) fn messages() -> Messages {
    let awaited = || "pipe Cert by task gencert of shop, run r1".to_owned();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let errors = [
        WaitError::NoSpec,
        WaitError::Spec("missing field `store` at line 1 column 2".to_owned()),
        WaitError::Start(anyhow::anyhow!("too many open files")),
        WaitError::Ended,
        WaitError::TooLate { awaited: awaited(), seconds: 60, so_far: Vec::new() },
        WaitError::TooLate { awaited: awaited(), seconds: 60, so_far: texts(&["Log", "Report"]) },
        WaitError::Never {
            awaited: awaited(),
            reason: "it is a ConfigMap, and the pod needs a Secret".to_owned(),
        },
        WaitError::NoFile {
            awaited: awaited(),
            file: "ca.crt".to_owned(),
            files: texts(&["tls.crt", "tls.key"]),
        },
        WaitError::NotMounted {
            awaited: awaited(),
            volume: "cert".to_owned(),
            missing: "tls.key".to_owned(),
            seconds: Duration::from_mins(3).as_secs(),
        },
    ];
    errors.iter().map(|error| (error.code(), format!("bootlace: {error}"))).collect()
}
