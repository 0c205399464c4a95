//! The permissions of the service account of the store: RBAC allows few verbs, and the admission policy
//! restricts the Secrets and `ConfigMaps` that it creates.

use anyhow::{Context, Result};
use bootlace_cluster::install;
use bootlace_cluster::scenario::{Namespace, kubeconfig, scenario};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

const ACCOUNT: &str = "bootlace-store";
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
const RESOURCES: [(&str, &str, &str); 23] = [
    ("", "secrets", ""),
    ("", "configmaps", ""),
    ("", "pods", ""),
    ("", "pods", "exec"),
    ("", "pods", "log"),
    ("", "pods", "status"),
    ("", "events", ""),
    ("", "nodes", ""),
    ("", "namespaces", ""),
    ("", "serviceaccounts", ""),
    ("", "serviceaccounts", "token"),
    ("events.k8s.io", "events", ""),
    ("authentication.k8s.io", "tokenreviews", ""),
    ("apps", "deployments", ""),
    ("batch", "jobs", ""),
    ("bootlace.dev", "bootprofiles", ""),
    ("bootlace.dev", "pipes", ""),
    ("bootlace.dev", "pipes", "status"),
    ("coordination.k8s.io", "leases", ""),
    ("rbac.authorization.k8s.io", "roles", ""),
    ("rbac.authorization.k8s.io", "clusterrolebindings", ""),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", ""),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", ""),
];

#[tokio::test]
async fn every_verb_but_those_it_needs_is_denied() -> Result<()> {
    scenario("store-rights")
        .run(async |namespace| {
            let mut allowed = Vec::new();
            // In any namespace and in its own, because its permissions are in a ClusterRole.
            for place in [namespace.name(), install::NAMESPACE] {
                for (group, resource, subresource) in RESOURCES {
                    for verb in VERBS {
                        if is_allowed(namespace, place, verb, (group, resource, subresource)).await? {
                            allowed.push(format!("{verb} {group}/{resource}/{subresource}"));
                        }
                    }
                }
            }
            let everywhere = [
                "create /secrets/",
                "create /configmaps/",
                "get /pods/",
                // With progress.enabled.
                "patch /pods/status",
                "create events.k8s.io/events/",
                "create authentication.k8s.io/tokenreviews/",
                "get bootlace.dev/pipes/",
                "list bootlace.dev/pipes/",
                "create bootlace.dev/pipes/",
                "patch bootlace.dev/pipes/",
                "delete bootlace.dev/pipes/",
                "patch bootlace.dev/pipes/status",
            ];
            // It can get and update only its own Lease, which is not included in a review without a name.
            let own_namespace = ["create coordination.k8s.io/leases/"];
            assert_eq!(allowed, [&everywhere[..], &everywhere, &own_namespace].concat());
            Ok(())
        })
        .await
}

async fn is_allowed(
    namespace: &Namespace,
    place: &str,
    verb: &str,
    (group, resource, subresource): (&str, &str, &str),
) -> Result<bool> {
    let some = |text: &str| Some(text.to_owned());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{}:{ACCOUNT}", install::NAMESPACE)),
            groups: Some(vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()]),
            resource_attributes: Some(ResourceAttributes {
                namespace: some(place),
                verb: some(verb),
                group: some(group),
                resource: some(resource),
                subresource: some(subresource).filter(|name| !name.is_empty()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(namespace.client());
    let reviewed = reviews.create(&PostParams::default(), &review).await?;
    Ok(reviewed.status.context("the review has no status")?.allowed)
}

/// A client with a token of the store, as an attacker would have who controls the store.
async fn client_of_store(namespace: &Namespace) -> Result<Client> {
    let accounts: Api<ServiceAccount> = Api::namespaced(namespace.client(), install::NAMESPACE);
    let spec = TokenRequestSpec { expiration_seconds: Some(600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let token = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await?;
    let token = token.status.and_then(|status| status.token).context("the API server returned no token")?;
    let kubeconfig = Kubeconfig::read_from(kubeconfig()?)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.auth_info =
        kube::config::AuthInfo { token: Some(token.into()), ..kube::config::AuthInfo::default() };
    Ok(Client::try_from(config)?)
}

#[tokio::test]
async fn of_pods_it_changes_only_the_progress() -> Result<()> {
    scenario("store-policy-progress")
        .run(async |namespace| {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "task", "labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["example.com/e"]},
                // Without a kubelet that could change it meanwhile.
                "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "main", "image": "a"}]},
            });
            namespace.create(&pod.to_string()).await?;
            let pods: Api<Pod> = Api::namespaced(client_of_store(namespace).await?, namespace.name());
            let params = PatchParams::default();
            let patch = async |change: Value| pods.patch_status("task", &params, &Patch::Merge(change)).await;
            let annotations = |key: &str, value: Value| json!({"metadata": {"annotations": {key: value}}});
            let changed = patch(annotations("bootlace.dev/progress", json!("1/2"))).await?;
            assert_eq!(changed.metadata.annotations.unwrap_or_default()["bootlace.dev/progress"], "1/2");
            for (change, message) in [
                (annotations("c", json!("x")), "annotations of pods other than"),
                (annotations("c", Value::Null), "annotations of pods other than"),
                (annotations("new", json!("x")), "annotations of pods other than"),
                (annotations("bootlace.dev/progress", json!("x".repeat(257))), "256 characters"),
                (json!({"metadata": {"labels": {"a": "x"}}}), "labels or finalizers"),
                (json!({"metadata": {"labels": {"new": "x"}}}), "labels or finalizers"),
                (json!({"metadata": {"finalizers": []}}), "labels or finalizers"),
                (json!({"status": {"phase": "Failed"}}), "the status of pods"),
                (json!({"status": {"reason": "Evicted"}}), "the status of pods"),
            ] {
                let error = patch(change.clone()).await.err().with_context(|| format!("{change} is allowed"))?;
                assert!(error.to_string().contains(message), "{change}: {error}");
            }
            // The garbage of this scenario.
            let clean = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            namespace.api::<Pod>().patch("task", &params, &clean).await?;
            Ok(())
        })
        .await
}

const NAME: &str = "bootlace-env-0123456789abcdef0123456789abcdef";

fn secret(change: impl FnOnce(&mut Value)) -> Secret {
    let mut secret = json!({
        "metadata": {
            "name": NAME, "labels": {"app.kubernetes.io/managed-by": "bootlace"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u-1"}],
        },
        "type": "Opaque", "immutable": true, "stringData": {"A": "1"},
    });
    change(&mut secret);
    serde_json::from_value(secret).expect("the object is a Secret")
}

/// The name of an output and of its Pipe, which ends with 16 hexadecimal digits.
const OUTPUT: &str = "etl.r1.load.cert-0123456789abcdef";
/// The label for the run of an output.
const RUN: &str = "0123456789abcdef0123456789abcdef";

fn output(change: impl FnOnce(&mut Value)) -> Value {
    let mut output = json!({
        "metadata": {
            "name": OUTPUT,
            "labels": {"app.kubernetes.io/managed-by": "bootlace", "bootlace.dev/pipe-run": RUN},
            "ownerReferences": [{"apiVersion": "bootlace.dev/v1alpha1", "kind": "Pipe", "name": OUTPUT, "uid": "u-1"}],
        },
        "immutable": true,
    });
    change(&mut output);
    output
}

#[tokio::test]
async fn of_outputs_it_makes_only_such_as_a_pipe_owns() -> Result<()> {
    scenario("store-policy-outputs").run(async |namespace| outputs(namespace).await).await
}

async fn outputs(namespace: &Namespace) -> Result<()> {
    let client = client_of_store(namespace).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace.name());
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace.name());
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    secrets.create(&dry, &serde_json::from_value(output(|_| ()))?).await?;
    maps.create(&dry, &serde_json::from_value(output(|_| ()))?).await?;
    // The second object of an awaited output, under the name that pods wait for.
    let awaited =
        output(|output| output["metadata"]["name"] = json!("etl.r1.load.cert-awaited-0123456789abcdef"));
    secrets.create(&dry, &serde_json::from_value(awaited.clone())?).await?;
    maps.create(&dry, &serde_json::from_value(awaited.clone())?).await?;
    let change = |field: &'static str, value: Value| output(move |output| output["metadata"][field] = value);
    let label = |key: &'static str, value: &'static str| {
        output(move |output| output["metadata"]["labels"][key] = json!(value))
    };
    let owner =
        |change: &dyn Fn(&mut Value)| output(|output| change(&mut output["metadata"]["ownerReferences"][0]));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u-1"});
    for (bad, hint) in [
        (change("name", json!("kube-root-ca.crt")), "must be either a Secret with a boot env"),
        (change("name", json!("etl.r1.load.other-0123456789abcdef")), "must be either"),
        (owner(&|owner| owner["name"] = json!("etl.r1.load.other-0123456789abcdef")), "must be either"),
        (
            output(|output| {
                *output = awaited.clone();
                output["metadata"]["ownerReferences"][0]["name"] = json!("no-pipe-of-ours");
            }),
            "must be either",
        ),
        (owner(&|owner| owner["kind"] = json!("BootProfile")), "must be either"),
        (owner(&|owner| owner["apiVersion"] = json!("evil.example/v1")), "must be either"),
        (owner(&|owner| *owner = pod.clone()), "must be either"),
        (change("labels", json!({"app.kubernetes.io/managed-by": "bootlace"})), "must be either"),
        (change("labels", json!({"bootlace.dev/pipe-run": RUN})), "must have the label"),
        (label("bootlace.dev/pipe-run", "default"), "must not have labels other than"),
        // Labels by which other programs select objects.
        (label("argocd.argoproj.io/secret-type", "repository"), "must not have labels other than"),
        (label("grafana_dashboard", "1"), "must not have labels other than"),
        (change("annotations", json!({"k8s-sidecar-target-directory": "/"})), "must not have annotations"),
        (change("finalizers", json!(["example.com/held"])), "must not have annotations or finalizers"),
        (change("ownerReferences", json!([])), "must have exactly one owner"),
        (output(|output| output["immutable"] = json!(false)), "must be immutable"),
    ] {
        for created in [
            secrets.create(&dry, &serde_json::from_value(bad.clone())?).await.map(drop),
            maps.create(&dry, &serde_json::from_value(bad)?).await.map(drop),
        ] {
            let error = created.expect_err(hint).to_string();
            assert!(error.contains("ValidatingAdmissionPolicy") && error.contains(hint), "{hint}: {error}");
        }
    }
    // The env of a pod must not be a ConfigMap.
    let env = serde_json::to_value(secret(|_| ()))?;
    let env = json!({"metadata": env["metadata"], "immutable": true});
    let error = maps.create(&dry, &serde_json::from_value(env)?).await.expect_err("an env").to_string();
    assert!(error.contains("must be either"), "{error}");
    let token = output(|output| output["type"] = json!("bootstrap.kubernetes.io/token"));
    let error = secrets.create(&dry, &serde_json::from_value(token)?).await.expect_err("a token").to_string();
    assert!(error.contains("must have the type Opaque"), "{error}");
    // The store can neither read nor delete existing objects.
    for result in [
        maps.get("kube-root-ca.crt").await.map(drop),
        maps.list(&ListParams::default()).await.map(drop),
        maps.delete("kube-root-ca.crt", &DeleteParams::default()).await.map(drop),
    ] {
        let error = result.expect_err("the store is allowed to").to_string();
        assert!(error.contains("cannot"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn of_secrets_it_makes_only_a_pods_env() -> Result<()> {
    scenario("store-policy").run(async |namespace| policy(namespace).await).await
}

async fn policy(namespace: &Namespace) -> Result<()> {
    let client = client_of_store(namespace).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace.name());
    // A dry run passes through admission. A valid Secret is admitted, so the policy is the reason for the
    // refusals below.
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    secrets.create(&dry, &secret(|_| ())).await?;
    let owner = |kind: &str| json!([{"apiVersion": "v1", "kind": kind, "name": "a", "uid": "u-1"}]);
    let two = json!([owner("Pod")[0], {"apiVersion": "v1", "kind": "Pod", "name": "b", "uid": "u-2"}]);
    for (bad, hint) in [
        (secret(|secret| secret["metadata"]["name"] = json!("db-login")), "32 hexadecimal digits"),
        (secret(|secret| secret["metadata"]["name"] = json!(format!("{NAME}0"))), "hexadecimal digits"),
        (
            secret(|secret| {
                secret["type"] = json!("kubernetes.io/service-account-token");
                secret["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "default"});
            }),
            "must have the type Opaque",
        ),
        (
            secret(|secret| secret["type"] = json!("bootstrap.kubernetes.io/token")),
            "must have the type Opaque",
        ),
        (secret(|secret| secret["immutable"] = json!(false)), "must be immutable"),
        (secret(|secret| secret["metadata"]["labels"] = json!({})), "must have the label"),
        (
            secret(|secret| {
                secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"] = json!("cluster");
            }),
            "must not have labels other than",
        ),
        (
            secret(|secret| secret["metadata"]["labels"]["bootlace.dev/pipe-run"] = json!(RUN)),
            "must be either",
        ),
        (
            secret(|secret| secret["metadata"]["annotations"] = json!({"example.com/managed": "true"})),
            "must not have annotations",
        ),
        (secret(|secret| secret["metadata"]["ownerReferences"] = json!([])), "must have exactly one owner"),
        (secret(|secret| secret["metadata"]["ownerReferences"] = owner("Node")), "owned by the pod, named"),
        (secret(|secret| secret["metadata"]["ownerReferences"] = two), "must have exactly one owner"),
    ] {
        let error = secrets.create(&dry, &bad).await.expect_err(hint).to_string();
        assert!(error.contains("ValidatingAdmissionPolicy") && error.contains(hint), "{hint}: {error}");
    }
    for place in ["kube-system", "kube-public", install::NAMESPACE] {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), place);
        let error = secrets.create(&dry, &secret(|_| ())).await.expect_err(place).to_string();
        assert!(error.contains("must not create objects in its own namespace"), "{place}: {error}");
    }

    // The store can neither read, change nor delete an existing Secret. It has no owner, because the garbage
    // collector would delete a Secret whose owner does not exist.
    let existing = secret(|secret| secret["metadata"]["ownerReferences"] = json!([]));
    namespace.api::<Secret>().create(&PostParams::default(), &existing).await?;
    let (patch, params) = (Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}})), PatchParams::default());
    for result in [
        secrets.get(NAME).await.map(drop),
        secrets.list(&ListParams::default()).await.map(drop),
        secrets.patch(NAME, &params, &patch).await.map(drop),
        secrets.delete(NAME, &DeleteParams::default()).await.map(drop),
    ] {
        let error = result.expect_err("the store is allowed to").to_string();
        assert!(error.contains("cannot"), "{error}");
    }
    // If it had the permission by mistake, the policy would still refuse.
    namespace.create(&grant(namespace.name()).to_string()).await?;
    namespace.create(&binding(namespace.name()).to_string()).await?;
    bootlace_cluster::wait::until_async(
        bootlace_cluster::scenario::LIMIT,
        "the new role has no effect",
        async || {
            let error =
                secrets.delete(NAME, &DeleteParams::default()).await.expect_err("the policy").to_string();
            anyhow::ensure!(error.contains("not change or delete them"), "{error}");
            Ok(())
        },
    )
    .await
}

fn grant(namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "too-much", "namespace": namespace},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}],
    })
}

fn binding(namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "too-much", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "too-much"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": install::NAMESPACE}],
    })
}
