//! Env in a Secret: the changes to the pod, and what neither the pod nor its annotations can influence.

use bootlace_core::admission::{self, Decision, Injection};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::names;
use bootlace_core::plan::{
    AdmissionContext, BootSpec, InjectedAnnotation, InstallationSettings, PreparedProfiles,
};
use bootlace_core::profile::env::EnvMode;
use bootlace_core::profile::{Inline, Profile, Source};
use serde_json::{Value, json};

const UID: &str = "6f0a3c9e-8d55-4b0e-9f57-0f9a2f3c1b7d";

fn recipes(mode: EnvMode, store: bool) -> PreparedProfiles {
    let mut profile = Profile { name: "default".to_owned(), generation: 3, ..Profile::default() };
    let env = [("A".to_owned(), "1".to_owned())].into();
    let inline = Some(Inline { env, ..Inline::default() });
    profile.spec.sources = vec![Source { name: "settings".to_owned(), inline, ..Source::default() }];
    profile.spec.env.mode = mode;
    let store =
        store.then(|| StoreEndpoint { url: "https://store.bootlace.svc".to_owned(), ca: "PEM\n".to_owned() });
    PreparedProfiles::new(
        [profile].into_iter().collect(),
        &InstallationSettings { store, ..InstallationSettings::default() },
    )
    .unwrap()
}

fn pod(containers: &Value) -> Value {
    json!({
        "metadata": {"name": "load", "labels": {names::LABEL_TASK: "true"}},
        "spec": {"containers": containers},
    })
}

fn admit(pod: &Value, uid: Option<&str>, recipes: &PreparedProfiles) -> Result<Injection, String> {
    match admission::admit(pod.clone(), AdmissionContext { namespace: "etl", uid }, recipes) {
        Decision::Inject(injection) => Ok(*injection),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Refuse(refusal) => Err(refusal.message),
    }
}

fn inject(pod: &Value, recipes: &PreparedProfiles) -> Injection {
    admit(pod, Some(UID), recipes).unwrap()
}

fn mark(pod: &Value) -> InjectedAnnotation {
    let annotation = pod["metadata"]["annotations"][names::ANNOTATION_INJECTED].as_str().unwrap();
    serde_json::from_str(annotation).unwrap()
}

fn boot_spec(pod: &Value) -> BootSpec<'static> {
    let env = pod["spec"]["initContainers"][0]["env"].as_array().unwrap();
    let value = |name: &str| {
        let variable = env.iter().find(|variable| variable["name"] == name)?;
        variable["value"].as_str().map(str::to_owned)
    };
    BootSpec::from_env(value).unwrap()
}

#[test]
fn with_an_unknown_command_the_env_secret_is_the_first_env_from() {
    let own = json!([{"configMapRef": {"name": "own"}}]);
    let containers = json!([
        {"name": "plain", "image": "i"},
        {"name": "own", "image": "i", "envFrom": own},
    ]);
    let mut before = pod(&containers);
    before["metadata"]["annotations"] = json!({names::ANNOTATION_CONTAINERS: "plain, own"});
    let injection = inject(&before, &recipes(EnvMode::Auto, true));
    let [plain, of_own] = &injection.warnings[..] else { panic!("{:?}", injection.warnings) };
    assert!(plain.contains("container \"plain\" has no command"), "{plain}");
    assert_eq!(*of_own, plain.replace("plain", "own"));
    let pod = injection.pod;
    let name = mark(&pod).env_secret.unwrap();
    assert!(names::is_env_secret(&name), "{name}");
    let entry = json!({"secretRef": {"name": name}});
    assert_eq!(pod["spec"]["containers"][0]["envFrom"], json!([entry]));
    assert_eq!(pod["spec"]["containers"][1]["envFrom"], json!([entry, own[0]]));
    assert_eq!(pod["spec"]["containers"][0].get("command"), None);
    let spec = boot_spec(&pod);
    assert_eq!(spec.env_secret.as_deref(), Some(&*name));
    assert_eq!(spec.store.unwrap().url, "https://store.bootlace.svc");
    crate::pods::kept(&before, &pod, "").unwrap();
}

#[test]
fn the_token_is_mounted_in_boot_and_nowhere_else() {
    let pod = inject(&pod(&json!([{"name": "main", "image": "i"}])), &recipes(EnvMode::Auto, true)).pod;
    let mounts = |container: &Value| container["volumeMounts"].to_string().contains(names::VOLUME_STORE);
    assert!(mounts(&pod["spec"]["initContainers"][0]));
    assert!(!mounts(&pod["spec"]["containers"][0]));
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == names::VOLUME_STORE).unwrap();
    let token = &volume["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(token, &json!({"audience": "bootlace", "expirationSeconds": 600, "path": "token"}));
}

#[test]
fn a_name_is_the_reviews_own() {
    let recipes = recipes(EnvMode::Auto, true);
    let before = pod(&json!([{"name": "main", "image": "i"}]));
    let name = |uid| mark(&admit(&before, Some(uid), &recipes).unwrap().pod).env_secret.unwrap();
    assert_eq!(name(UID), name(UID));
    assert_ne!(name(UID), name("another"));
    assert!(!name(UID).contains(UID.split('-').next().unwrap()));
    let refused = admit(&before, None, &recipes).err().unwrap();
    assert!(refused.ends_with("[BL1309]"), "{refused}");
    // If it is called again for the same pod, the webhook does not change it, whatever the UID is.
    let once = inject(&before, &recipes).pod;
    let twice = admission::admit(once, AdmissionContext { namespace: "etl", uid: Some("another") }, &recipes);
    assert!(matches!(twice, Decision::Skip(bootlace_core::selection::SkipReason::AlreadyInjected)));
}

#[test]
fn a_known_command_is_launched_unless_the_profile_says_otherwise() {
    let before = pod(&json!([{"name": "main", "image": "i", "command": ["run"]}]));
    let launched = inject(&before, &recipes(EnvMode::Auto, true)).pod;
    assert_eq!(mark(&launched).env_secret, None);
    assert_eq!(launched["spec"]["containers"][0].get("envFrom"), None);
    // Also without a review, because no Secret must be named.
    admit(&before, None, &recipes(EnvMode::Auto, true)).unwrap();
    let by_secret = inject(&before, &recipes(EnvMode::Secret, true)).pod;
    assert_eq!(by_secret["spec"]["containers"][0]["command"], json!(["run"]));
    assert!(by_secret["spec"]["containers"][0].get("envFrom").is_some());
}

#[test]
fn without_a_store_auto_warns_and_secret_is_refused() {
    let before = pod(&json!([{"name": "main", "image": "i"}]));
    let injection = inject(&before, &recipes(EnvMode::Auto, false));
    assert!(injection.warnings[0].contains("has no command"), "{:?}", injection.warnings);
    assert!(!injection.pod.to_string().contains(names::VOLUME_STORE));
    let refused = admit(&before, Some(UID), &recipes(EnvMode::Secret, false)).err().unwrap();
    assert!(refused.ends_with("[BL1308]"), "{refused}");
}

/// Annotations of a pod never set an address, an image, a privilege or a Secret.
#[test]
fn a_forged_annotation_is_replaced() {
    let forged = json!({
        "profile": "root", "generation": 1, "version": "9", "containers": ["main"], "envMode": "secret",
        "envSecret": "db-login", "store": {"url": "https://evil"}, "image": "evil", "privileged": true,
    });
    let mut before = pod(&json!([{"name": "main", "image": "i"}]));
    let honest = inject(&before, &recipes(EnvMode::Auto, true)).pod;
    before["metadata"]["annotations"] = json!({names::ANNOTATION_INJECTED: forged.to_string()});
    let injected = inject(&before, &recipes(EnvMode::Auto, true)).pod;
    assert_eq!(injected["spec"], honest["spec"]);
    assert_eq!(mark(&injected), mark(&honest));
}

#[test]
fn the_stores_own_volume_name_is_reserved() {
    let mut before = pod(&json!([{"name": "main", "image": "i"}]));
    before["spec"]["volumes"] = json!([{"name": names::VOLUME_STORE, "emptyDir": {}}]);
    let refused = admit(&before, Some(UID), &recipes(EnvMode::Auto, true)).err().unwrap();
    assert!(refused.contains(names::VOLUME_STORE) && refused.ends_with("[BL1206]"), "{refused}");
}

#[test]
fn a_pod_that_cannot_look_up_services_is_warned_where_it_needs_the_store() {
    let warnings = |dns: &Value, mode: EnvMode| {
        let mut pod = pod(&json!([{"name": "main", "image": "i", "command": ["x"]}]));
        pod["spec"].as_object_mut().unwrap().extend(dns.as_object().unwrap().clone());
        let warnings = inject(&pod, &recipes(mode, true)).warnings;
        warnings.into_iter().filter(|warning| warning.contains("ClusterFirstWithHostNet")).collect::<Vec<_>>()
    };
    for (dns, field) in [
        (json!({"dnsPolicy": "Default"}), "dnsPolicy: Default"),
        (json!({"hostNetwork": true}), "hostNetwork: true"),
        (json!({"hostNetwork": true, "dnsPolicy": "ClusterFirst"}), "hostNetwork: true"),
    ] {
        let warned = warnings(&dns, EnvMode::Secret);
        assert!(warned.len() == 1 && warned[0].contains(field), "{dns}: {warned:?}");
        // The launcher does not use the store.
        assert_eq!(warnings(&dns, EnvMode::Launch), Vec::<String>::new(), "{dns}");
    }
    for dns in [
        json!({}),
        json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}),
        json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.96.0.10"]}}),
    ] {
        assert_eq!(warnings(&dns, EnvMode::Secret), Vec::<String>::new(), "{dns}");
    }
}

/// GitLab Runner starts its scripts with exec or attaches to a shell, depending on its settings.
#[test]
fn a_scheduler_that_uses_exec_gets_the_env_from_a_secret() {
    let runner = crate::scheduler_pods::pod("by-source/gitlab-runner-attach.json");
    let way = |mode: EnvMode, store: bool| {
        let injection = inject(&runner, &recipes(mode, store));
        let injected = mark(&injection.pod);
        let warned = injection.warnings.iter().any(|warning| warning.contains("starts the task with exec"));
        (injected.env_mode.as_str(), injected.reason.contains("starts the task with exec"), warned)
    };
    assert_eq!(way(EnvMode::Auto, true), ("secret", true, false));
    // What the platform requests explicitly is used, with a warning.
    assert_eq!(way(EnvMode::Launch, true), ("launch", false, true));
    assert_eq!(way(EnvMode::Auto, false), ("launch", false, true));
}
