//! Templates of profiles, rendered for a pod with untrusted labels and annotations. A valid template renders
//! within its limits, and a value does not change the structure around it.
#![no_main]

use bootlace_core::identity::Schedulers;
use bootlace_core::pod::{Json, Pod};
use bootlace_core::template::{self, Context, Slot};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

const SLOTS: [Slot; 9] = [
    Slot::Text,
    Slot::UrlPath,
    Slot::Form,
    Slot::Json,
    Slot::FilePath,
    Slot::ImageReference,
    Slot::Header,
    Slot::Name,
    Slot::Attribute,
];

fuzz_target!(|text: &str| {
    let (template, value) = text.split_once('\0').unwrap_or((text, "value"));
    let pod = json!({
        "metadata": {"name": "task", "labels": {"team": value}, "annotations": {"note": value}},
        "spec": {"containers": [{"name": "main", "env": [{"name": "WHO", "value": value}]}]},
    });
    let pod = Json::from(&pod);
    let Ok(pod) = Pod::read(&pod) else { return };
    let context = Context::new(&pod, "etl", pod.containers.first(), Schedulers::built_in().detect(&pod));
    for slot in SLOTS {
        if template::check(template, slot).is_err() {
            continue;
        }
        let Ok(rendered) = template::render(template, &context, slot) else { continue };
        assert!(rendered.len() <= 256 * 1024, "a rendered template exceeds the limit");
        if slot == Slot::Header {
            assert!(!rendered.contains(['\r', '\n']), "the value of a header contains a line break");
        }
    }
});
