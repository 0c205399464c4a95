//! Templates of profiles, rendered for a pod whose labels and annotations somebody else wrote: what passes the check
//! renders within its bounds, and a value never leaves its place.
#![no_main]

use bootlace_core::identity::Schedulers;
use bootlace_core::pod::{Json, Pod};
use bootlace_core::template::{self, Context, Slot};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

const SLOTS: [Slot; 8] = [
    Slot::Text,
    Slot::UrlPath,
    Slot::Form,
    Slot::Json,
    Slot::FilePath,
    Slot::ImageReference,
    Slot::Header,
    Slot::Name,
];

fuzz_target!(|text: &str| {
    let (template, value) = text.split_once('\0').unwrap_or((text, "value"));
    let pod = json!({
        "metadata": {"name": "task", "labels": {"team": value}, "annotations": {"note": value}},
        "spec": {"containers": [{"name": "main", "env": [{"name": "WHO", "value": value}]}]},
    });
    let pod = Json::from(&pod);
    let Ok(pod) = Pod::read(&pod) else { return };
    let context = Context::new(&pod, "etl", pod.containers.first(), &Schedulers::built_in());
    for slot in SLOTS {
        if template::check(template, slot).is_err() {
            continue;
        }
        let Ok(rendered) = template::render(template, &context, slot) else { continue };
        assert!(rendered.len() <= 256 * 1024, "a template gave more than its limit");
        if slot == Slot::Header {
            assert!(!rendered.contains(['\r', '\n']), "a header's value ends its line");
        }
    }
});
