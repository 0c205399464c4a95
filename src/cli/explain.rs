//! `bootlace explain`: why a pod is or is not injected, and what each part is for.
//!
//! A pod that is injected already is explained from what it carries, so `kubectl get pod … -o yaml | bootlace
//! explain` needs neither profiles nor a cluster; any other is injected first, in memory.

mod inputs;
mod outputs;
mod words;

use anyhow::bail;

use super::manifest::{self, Found};
use super::offline::{warnings, why};
use crate::admission::{self, Decision};
use crate::selection::Skip;

/// Arguments of `bootlace explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    offline: super::offline::Offline,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let recipes = args.offline.load()?;
    let mut any = false;
    for file in &args.offline.files {
        let text = manifest::read(file)?;
        for document in manifest::documents(&text)? {
            let mut value = document.value;
            for found in manifest::pods(&mut value) {
                any = true;
                let decision = admission::admit(found.pod.clone(), found.namespace.as_str(), &recipes);
                println!("{}", explain(&found, decision)?);
            }
        }
    }
    if !any {
        bail!("there is no Pod and no pod template in what was read: give a manifest that holds one");
    }
    Ok(())
}

fn explain(found: &Found<'_>, decision: Decision) -> anyhow::Result<String> {
    let place = &found.place;
    match decision {
        Decision::Inject(injection) => {
            let warnings = warnings(found, &injection);
            let words = words::describe(&injection.pod, &injection.left, &warnings)?;
            Ok(format!("{place} becomes a booted task\n{words}"))
        }
        Decision::Skip(Skip::AlreadyInjected) => {
            Ok(format!("{place} is a booted task\n{}", words::describe(found.pod, &[], &[])?))
        }
        Decision::Skip(skip) => Ok(format!("{place} is left alone: {skip}\n")),
        Decision::Refuse(refusal) => Ok(format!("{place} is refused: {}\n", why(found, &refusal))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::{Recipes, Settings, Version};
    use crate::profile::init_image::{AllowedImage, InitImage};
    use crate::profile::{Profile, Profiles};
    use crate::told::Store;

    fn recipes() -> Recipes {
        let mut profile = Profile { name: "default".to_owned(), ..Profile::default() };
        let (registry, repository) = ("r.example.com".to_owned(), "data/*".to_owned());
        let allow = vec![AllowedImage { registry, repository, digest_only: false }];
        profile.spec.boot.init_image = Some(InitImage { allow, ..InitImage::default() });
        Recipes::new(Profiles::from_iter([profile]), &Settings::default()).unwrap()
    }

    #[test]
    fn a_boot_image_of_the_pods_own_is_told_before_and_after_injection() {
        let pod = json!({
            "metadata": {
                "name": "etl", "labels": {"bootlace.dev/task": "true"},
                "annotations": {"bootlace.dev/init-image": "r.example.com/data/boot:1"},
            },
            "spec": {"containers": [{"name": "main", "command": ["run"]}]},
        });
        let Decision::Inject(injection) = admission::admit(pod.clone(), "etl", &recipes()) else {
            panic!("it is a task");
        };
        let injected = injection.pod.clone();
        let of = |mut pod: Value, decision| {
            let (place, namespace) = ("pod etl".to_owned(), "etl".to_owned());
            explain(&Found { place, namespace, template_of: None, pod: &mut pod }, decision).unwrap()
        };
        let before = of(pod, Decision::Inject(injection));
        let after = of(injected, Decision::Skip(Skip::AlreadyInjected));
        for text in [before, after] {
            for part in [
                "+ init container bootlace-install  puts the launcher onto the volume",
                "+ init container bootlace-init  runs the pod's own boot image r.example.com/data/boot:1, for 120 s at most:",
                "- /bootlace-init\n",
                "+ init container bootlace-boot  runs registry.example.com/bootlace:",
                "- init-image: env and files that bootlace-init left, which win over all above",
            ] {
                assert!(text.contains(part), "{part:?} is not in:\n{text}");
            }
        }
    }

    #[test]
    fn a_hook_that_sends_a_request_is_told_with_the_launcher_that_it_takes() {
        let get = json!({"port": 8443, "path": "/up", "scheme": "HTTPS"});
        let pod = json!({
            "metadata": {"name": "etl", "labels": {"bootlace.dev/task": "true"}},
            "spec": {"containers": [{
                "name": "main", "command": ["run"], "lifecycle": {"postStart": {"httpGet": get}},
            }]},
        });
        let Decision::Inject(injection) = admission::admit(pod, "etl", &recipes()) else {
            panic!("it is a task");
        };
        let text = words::describe(&injection.pod, &injection.left, &injection.warnings).unwrap();
        for part in [
            "(limit 64Mi), read-only for the task\n      - the launcher there is the one with TLS, 1.7 MB, because",
            ", then runs the pod's own handler: GET https://:8443/up\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    /// The default profile, where there is a store.
    fn with_store() -> Recipes {
        let profile = Profile { name: "default".to_owned(), ..Profile::default() };
        let store = Some(Store { url: "https://store".to_owned(), ca: String::new() });
        let settings = Settings { store, kubernetes: Version::read("1", "36"), ..Settings::default() };
        Recipes::new([profile].into_iter().collect(), &settings).unwrap()
    }

    #[test]
    fn pipes_are_told_before_and_after_injection() {
        let recipes = with_store();
        let pod = json!({
            "metadata": {
                "name": "etl", "labels": {"bootlace.dev/task": "true"},
                "annotations": {
                    "bootlace.dev/run": "r1",
                    "bootlace.dev/pipe-out": "- {key: Report, file: /out/r.json, kind: ConfigMap, optional: true}",
                    "bootlace.dev/pipe-in": "- {key: Cert, mountPath: /etc/tls}",
                },
            },
            "spec": {"containers": [{"name": "main", "command": ["run"]}]},
        });
        let Decision::Inject(injection) = admission::admit(pod, "etl", &recipes) else {
            panic!("it is a task")
        };
        let text = words::describe(&injection.pod, &injection.left, &injection.warnings).unwrap();
        for part in [
            "+ sidecar bootlace-pipe  runs beside the task, and has the store keep its outputs for later tasks of the run, \
             for 7 d where",
            "- Report of container main becomes a ConfigMap, where it is written: the launcher hands it over after exit 0",
            "- what it hands over to the sidecar at /bootlace-run",
            "- launcher in front of its command",
            "+ pipe mount /etc/tls takes pipe Cert of run r1: the webhook looks it up when the pod is created",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    #[test]
    fn a_wait_is_told_as_the_injected_pod_has_it() {
        let recipes = with_store();
        let pod = json!({
            "metadata": {
                "name": "etl", "labels": {"bootlace.dev/task": "true"},
                "annotations": {
                    "bootlace.dev/run": "r1",
                    "bootlace.dev/pipe-in": "- {key: Cert, mountPath: /etc/tls, wait: 300, kind: Secret, task: gencert}",
                },
            },
            "spec": {"containers": [{"name": "main", "command": ["run"]}]},
        });
        let run = crate::identity::Identity {
            scheduler: Some("annotation".to_owned()),
            run: Some("r1".to_owned()),
            ..Default::default()
        };
        let mut pipes = crate::input::Answers::default();
        pipes.add(run, Ok(Vec::new()));
        let found = admission::Found { pipes: Some(pipes), ..Default::default() };
        let Ok(Decision::Inject(injection)) = admission::admit_with(pod, "etl", &recipes, &found) else {
            panic!("it is a task")
        };
        let text = words::describe(&injection.pod, &[], &injection.warnings).unwrap();
        for part in [
            "+ init container bootlace-wait  waits until the store has:\n      - pipe Cert by task gencert, run r1, as Secret \
             r1.gencert.cert-awaited-",
            ", for 300 s at most\n  + init container bootlace-look  sees to it that the kubelet",
            "+ warning bootlace: pipe Cert by task gencert, run r1 is not stored yet: the pod waits for it, 300 s at most",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }
}
