//! `bootlace explain`: why a pod is or is not injected, and what each part is for.
//!
//! A pod that is injected already is explained from what it carries, so `kubectl get pod … -o yaml | bootlace
//! explain` needs neither profiles nor a cluster; any other is injected first, in memory.

mod hook;
mod inputs;
mod outputs;
mod render;

use anyhow::bail;

use super::manifest::{self, PodInManifest};
use super::offline::{explain_refusal, warnings};
use bootlace_core::admission::{self, Decision};
use bootlace_core::identity::Schedulers;
use bootlace_core::selection::SkipReason;

/// Arguments of `bootlace explain`. It exits with 1 where a pod would be refused, as `inject` does.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    offline: super::offline::Offline,
}

pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<()> {
    let recipes = args.offline.load()?;
    let (mut all, mut refused) = (0, 0);
    for file in &args.offline.files {
        let text = manifest::read(file)?;
        for document in manifest::documents(&text)? {
            let mut value = document.value;
            for found in manifest::pods(&mut value) {
                let decision = admission::admit(found.pod.clone(), found.namespace.as_str(), &recipes);
                all += 1;
                refused += usize::from(matches!(decision, Decision::Refuse(_)));
                println!("{}", explain(&found, decision, recipes.schedulers())?);
            }
        }
    }
    match (all, refused) {
        (0, _) => {
            bail!("there is no Pod and no pod template in what was read: give a manifest that holds one")
        }
        (_, 0) => Ok(()),
        // The same exit code as that of `inject`, so that a pipeline can stop at it.
        _ => bail!("{refused} of {all} pods would be refused: standard output says why"),
    }
}

fn explain(found: &PodInManifest<'_>, decision: Decision, schedulers: &Schedulers) -> anyhow::Result<String> {
    let place = &found.place;
    match decision {
        Decision::Inject(injection) => {
            let warnings = warnings(found, &injection);
            let words = render::describe(&injection.pod, &injection.left, &warnings, schedulers)?;
            Ok(format!("{place} becomes a booted task\n{words}"))
        }
        Decision::Skip(SkipReason::AlreadyInjected) => {
            Ok(format!("{place} is a booted task\n{}", render::describe(found.pod, &[], &[], schedulers)?))
        }
        Decision::Reorder(reordering) => Ok(format!(
            "{place} is a booted task, and boots behind {}, which came later, when it is created\n{}",
            reordering.behind.join(", "),
            render::describe(&reordering.pod, &[], &[], schedulers)?
        )),
        Decision::Skip(skip) => Ok(format!("{place} is left alone: {skip}\n")),
        Decision::Refuse(refusal) => {
            Ok(format!("{place} is refused: {}\n", explain_refusal(found, &refusal)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use bootlace_core::injected_config::StoreEndpoint;
    use bootlace_core::plan::{InstallationSettings, PreparedProfiles, Version};
    use bootlace_core::profile::init_image::{AllowedImage, InitImage};
    use bootlace_core::profile::{Profile, Profiles};

    fn recipes() -> PreparedProfiles {
        let mut profile = Profile { name: "default".to_owned(), ..Profile::default() };
        let (registry, repository) = ("r.example.com".to_owned(), "data/*".to_owned());
        let allow = vec![AllowedImage { registry, repository, digest_only: false }];
        profile.spec.boot.init_image = Some(InitImage { allow, ..InitImage::default() });
        PreparedProfiles::new(Profiles::from_iter([profile]), &InstallationSettings::default()).unwrap()
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
            explain(
                &PodInManifest { place, namespace, template_of: None, pod: &mut pod },
                decision,
                &Schedulers::built_in(),
            )
            .unwrap()
        };
        let before = of(pod, Decision::Inject(injection));
        let after = of(injected, Decision::Skip(SkipReason::AlreadyInjected));
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
        let text =
            render::describe(&injection.pod, &injection.left, &injection.warnings, &Schedulers::built_in())
                .unwrap();
        for part in [
            "(limit 64Mi), read-only for the task\n      - the launcher there is the one with TLS, 1.7 MB, because",
            ", then runs the pod's own handler: GET https://:8443/up\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    /// What is said of the only task container of a pod, with a profile of this spec.
    fn explained(spec: &Value, container: &Value) -> String {
        let profile = Profile {
            name: "default".to_owned(),
            spec: serde_json::from_value(spec.clone()).unwrap(),
            ..Profile::default()
        };
        let recipes =
            PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
        let pod = json!({
            "metadata": {"name": "etl", "labels": {"bootlace.dev/task": "true"}},
            "spec": {"containers": [container]},
        });
        let Decision::Inject(injection) = admission::admit(pod, "etl", &recipes) else {
            panic!("it is a task");
        };
        render::describe(&injection.pod, &injection.left, &injection.warnings, &Schedulers::built_in())
            .unwrap()
    }

    #[test]
    fn each_container_is_told_whether_it_has_a_hook_and_why() {
        let known = json!({"name": "main", "command": ["run"]});
        let unknown = json!({"name": "main", "image": "i"});
        let own = json!({"exec": {"command": ["warm", "--up"]}});
        let own = json!({"name": "main", "command": ["run"], "lifecycle": {"postStart": own}});
        let sources = json!([{"name": "a", "inline": {"env": {"A": "x"}}}]);
        let with = |when: &str, more: Value| {
            let mut spec = json!({"sources": sources, "hook": {"when": when}});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            spec
        };
        let file = json!({"env": {"mode": "File", "file": {"keys": ["A"]}}});
        let proves = "proves within 30 s that the process holds the boot env";
        for (spec, container, line) in [
            (with("Always", json!({})), &known, format!("postStart hook (hook.when is Always): {proves}")),
            (
                with("Auto", json!({})),
                &known,
                "no postStart hook: hook.when is Auto, and the launcher does not start the task without the boot env"
                    .to_owned(),
            ),
            (
                with("Auto", file),
                &known,
                format!("postStart hook (hook.when is Auto, and no launcher loads the env): {proves}"),
            ),
            (
                with("Auto", json!({"env": {"mode": "Hook"}})),
                &known,
                "postStart hook (hook.when is Auto, and the hook writes the env): writes $HOME/.env within 30 s".to_owned(),
            ),
            (
                with("Auto", json!({})),
                &own,
                format!(
                    "postStart hook (hook.when is Auto, and the pod has a handler of its own): {proves}, then runs the \
                     pod's own handler: warm --up"
                ),
            ),
            (
                with("Auto", json!({"hook": {"when": "Auto", "commands": [["check"]]}})),
                &known,
                format!(
                    "postStart hook (hook.when is Auto, and the profile has hook.commands): {proves}, then runs the \
                     profile's check"
                ),
            ),
            (
                with("Auto", json!({})),
                &unknown,
                "postStart hook (hook.when is Auto, and nothing loads the env): fails the container within 30 s where \
                 boot gives it variables, as nothing loads them"
                    .to_owned(),
            ),
            (
                with("Auto", json!({"sources": []})),
                &unknown,
                "no postStart hook: hook.when is Auto, and the profile's sources give no env".to_owned(),
            ),
            (
                with("Auto", json!({"assets": {"layout": "Optimus"}})),
                &unknown,
                "no postStart hook: hook.when is Auto, and no hook can prove what the image loads itself".to_owned(),
            ),
            (with("Never", json!({})), &known, "no postStart hook: hook.when is Never".to_owned()),
            (
                with("Never", json!({})),
                &own,
                "no postStart hook: hook.when is Never; the pod's own handler stays as it is".to_owned(),
            ),
        ] {
            let text = explained(&spec, container);
            assert!(text.lines().any(|found| found == format!("      - {line}")), "{line:?} is not in:\n{text}");
        }
    }

    #[test]
    fn a_hook_that_was_removed_is_missed() {
        let Decision::Inject(injection) = admission::admit(
            json!({
                "metadata": {"name": "etl", "labels": {"bootlace.dev/task": "true"}},
                "spec": {"containers": [{"name": "main", "command": ["run"]}]},
            }),
            "etl",
            &recipes(),
        ) else {
            panic!("it is a task");
        };
        let mut pod = injection.pod;
        pod["spec"]["containers"][0]["lifecycle"] = json!({});
        let text = render::describe(&pod, &[], &[], &Schedulers::built_in()).unwrap();
        let line = "- no postStart hook: hook.when is Always, so something has removed it since Bootlace injected the pod\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn how_the_env_gets_into_a_container_is_told_without_a_hook_too() {
        let optimus = json!({"hook": {"when": "Auto"}, "assets": {"layout": "Optimus"}});
        let text = explained(&optimus, &json!({"name": "main", "image": "plugin"}));
        assert!(text.contains("the image's entrypoint sources .env and .secret itself\n"), "{text}");
        // The kubelet reads the file, and the profile's sources give none of its variables.
        let file = json!({"hook": {"when": "Auto"}, "env": {"mode": "File", "file": {"keys": ["A"]}}});
        let text = explained(&file, &json!({"name": "main", "image": "i"}));
        assert!(text.contains("from a file, variable by variable (fileKeyRef)\n"), "{text}");
    }

    #[test]
    fn init_containers_are_told_as_tasks_or_by_what_they_see() {
        use bootlace_core::profile::spec::{EnvMode, Position};
        let mut profile = Profile { name: "default".to_owned(), ..Profile::default() };
        profile.spec.boot.position = Position::First;
        profile.spec.env.file.keys = vec!["A".to_owned()];
        let text = |profile: &Profile| {
            let recipes = PreparedProfiles::new(
                [profile.clone()].into_iter().collect(),
                &InstallationSettings::default(),
            )
            .unwrap();
            let pod = json!({
                "metadata": {
                    "name": "etl", "labels": {"bootlace.dev/task": "true"},
                    "annotations": {"bootlace.dev/containers": "migrate"},
                },
                "spec": {
                    "initContainers": [{"name": "chown"}, {"name": "migrate", "command": ["run"]}],
                    "containers": [{"name": "main", "command": ["run"]}],
                },
            });
            let Decision::Inject(injection) = admission::admit(pod, "etl", &recipes) else {
                panic!("it is a task");
            };
            render::describe(&injection.pod, &injection.left, &injection.warnings, &Schedulers::built_in())
                .unwrap()
        };
        let launched = text(&profile);
        for part in [
            "+ init container migrate  runs the task:\n      - everything else at /bootlace\n      - its assets at /var/assets\n",
            "- launcher in front of its command",
            "- no postStart hook, because Kubernetes runs none in an init container: nothing is proven\n",
            "+ init container chown  is no task, and sees what boot fetched:\n      - its assets at /var/assets\n",
        ] {
            assert!(launched.contains(part), "{part:?} is not in:\n{launched}");
        }
        assert!(!launched.contains("container main"), "{launched}");
        profile.spec.env.mode = EnvMode::File;
        let by_file = text(&profile);
        assert!(by_file.contains("- the kubelet reads the boot env from a file"), "{by_file}");
    }

    #[test]
    fn a_pod_whose_boot_was_overtaken_is_told_so() {
        let pod = json!({
            "metadata": {"name": "etl", "labels": {"bootlace.dev/task": "true"}},
            "spec": {"containers": [{"name": "main", "command": ["run"]}]},
        });
        let Decision::Inject(injection) = admission::admit(pod, "etl", &recipes()) else {
            panic!("it is a task");
        };
        let mut pod = injection.pod;
        pod["spec"]["initContainers"].as_array_mut().unwrap().push(json!({"name": "mesh-proxy"}));
        let decision = admission::admit(pod.clone(), "etl", &recipes());
        let (place, namespace) = ("pod etl".to_owned(), "etl".to_owned());
        let text = explain(
            &PodInManifest { place, namespace, template_of: None, pod: &mut pod },
            decision,
            &Schedulers::built_in(),
        )
        .unwrap();
        assert!(
            text.starts_with("pod etl is a booted task, and boots behind mesh-proxy, which came later"),
            "{text}"
        );
    }

    /// The default profile, where there is a store.
    fn with_store() -> PreparedProfiles {
        let profile = Profile { name: "default".to_owned(), ..Profile::default() };
        let store = Some(StoreEndpoint { url: "https://store".to_owned(), ca: String::new() });
        let settings = InstallationSettings {
            store,
            kubernetes: Version::read("1", "36"),
            ..InstallationSettings::default()
        };
        PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap()
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
        let text =
            render::describe(&injection.pod, &injection.left, &injection.warnings, &Schedulers::built_in())
                .unwrap();
        for part in [
            "+ sidecar bootlace-pipe  runs beside the task, and has the store keep its outputs for later tasks of the run, \
             for 7 d where",
            "- Report of container main becomes a ConfigMap, where it is written: the launcher hands it over after exit 0",
            "- what it hands over to the sidecar at /bootlace-run",
            "- launcher in front of its command",
            "+ pipe mountPath \"/etc/tls\" uses pipe \"Cert\" of run r1, which the webhook looks up when the pod is created",
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
        let run = bootlace_core::identity::Identity {
            scheduler: Some("annotation".to_owned()),
            run: Some("r1".to_owned()),
            ..Default::default()
        };
        let mut pipes = bootlace_core::input::PipeAnswers::default();
        pipes.add(run, Ok(Vec::new()));
        let found = admission::LookupResults { pipes: Some(pipes), ..Default::default() };
        let Ok(Decision::Inject(injection)) = admission::admit_with(pod, "etl", &recipes, &found) else {
            panic!("it is a task")
        };
        let text =
            render::describe(&injection.pod, &[], &injection.warnings, &Schedulers::built_in()).unwrap();
        for part in [
            "+ init container bootlace-wait  waits until the store has:\n      - pipe Cert by task gencert, run r1, as Secret \
             r1.gencert.cert-awaited-",
            ", for 300 s at most\n  + init container bootlace-look  sees to it that the kubelet",
            "+ warning bootlace: pipe Cert by task gencert, run r1 is not stored yet",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }
}
