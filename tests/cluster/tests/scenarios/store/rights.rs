//! What the store's service account may do: few things, and of Secrets and `ConfigMaps` it makes only such as the
//! admission policy lets it.

use anyhow::{Context, Result};
use bootlace_cluster::install;
use bootlace_cluster::scenario::{Namespace, kubeconfig, scenario};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
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
            // Of every namespace, as of one's own: the rights are the cluster's.
            for place in [namespace.name(), install::NAMESPACE] {
                for (group, resource, subresource) in RESOURCES {
                    for verb in VERBS {
                        if may(namespace, place, verb, (group, resource, subresource)).await? {
                            allowed.push(format!("{verb} {group}/{resource}/{subresource}"));
                        }
                    }
                }
            }
            let everywhere = [
                "create /secrets/",
                "create /configmaps/",
                "get /pods/",
                "create events.k8s.io/events/",
                "create authentication.k8s.io/tokenreviews/",
                "get bootlace.dev/pipes/",
                "list bootlace.dev/pipes/",
                "create bootlace.dev/pipes/",
                "patch bootlace.dev/pipes/",
                "delete bootlace.dev/pipes/",
                "patch bootlace.dev/pipes/status",
            ];
            // Get and update are for its own Lease alone, which a question without a name does not ask for.
            let at_home = ["create coordination.k8s.io/leases/"];
            assert_eq!(allowed, [&everywhere[..], &everywhere, &at_home].concat());
            Ok(())
        })
        .await
}

async fn may(namespace: &Namespace, place: &str, verb: &str, what: (&str, &str, &str)) -> Result<bool> {
    let some = |text: &str| Some(text.to_owned());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{}:{ACCOUNT}", install::NAMESPACE)),
            groups: Some(vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()]),
            resource_attributes: Some(ResourceAttributes {
                namespace: some(place),
                verb: some(verb),
                group: some(what.0),
                resource: some(what.1),
                subresource: some(what.2).filter(|name| !name.is_empty()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(namespace.client());
    let reviewed = reviews.create(&PostParams::default(), &review).await?;
    Ok(reviewed.status.context("the API server answers")?.allowed)
}

/// A client with the store's own token: what it would be for whoever took the store over.
async fn as_the_store(namespace: &Namespace) -> Result<Client> {
    let accounts: Api<ServiceAccount> = Api::namespaced(namespace.client(), install::NAMESPACE);
    let spec = TokenRequestSpec { expiration_seconds: Some(600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let token = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await?;
    let token = token.status.and_then(|status| status.token).context("the API server made a token")?;
    let kubeconfig = Kubeconfig::read_from(kubeconfig()?)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.auth_info =
        kube::config::AuthInfo { token: Some(token.into()), ..kube::config::AuthInfo::default() };
    Ok(Client::try_from(config)?)
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
    serde_json::from_value(secret).expect("it is a Secret")
}

/// An output's name ends with 16 hexadecimal digits, and is that of its Pipe.
const OUTPUT: &str = "etl.r1.load.cert-0123456789abcdef";
/// The label of an output's run.
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
    let client = as_the_store(namespace).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace.name());
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace.name());
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    secrets.create(&dry, &serde_json::from_value(output(|_| ()))?).await?;
    maps.create(&dry, &serde_json::from_value(output(|_| ()))?).await?;
    // The same data again, under a name that pods can wait for.
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
        // What other programs find their own by.
        (label("argocd.argoproj.io/secret-type", "repository"), "must not have labels other than"),
        (label("grafana_dashboard", "1"), "must not have labels other than"),
        (change("annotations", json!({"k8s-sidecar-target-directory": "/"})), "must not have annotations"),
        (change("finalizers", json!(["example.com/held"])), "must not have annotations or finalizers"),
        (change("ownerReferences", json!([])), "must have exactly one owner"),
        (output(|output| output["immutable"] = json!(false)), "must be immutable"),
    ] {
        for made in [
            secrets.create(&dry, &serde_json::from_value(bad.clone())?).await.map(drop),
            maps.create(&dry, &serde_json::from_value(bad)?).await.map(drop),
        ] {
            let refused = made.expect_err(hint).to_string();
            assert!(
                refused.contains("ValidatingAdmissionPolicy") && refused.contains(hint),
                "{hint}: {refused}"
            );
        }
    }
    // An env is no ConfigMap, whatever its name.
    let env = serde_json::to_value(secret(|_| ()))?;
    let env = json!({"metadata": env["metadata"], "immutable": true});
    let refused = maps.create(&dry, &serde_json::from_value(env)?).await.expect_err("an env").to_string();
    assert!(refused.contains("must be either"), "{refused}");
    let token = output(|output| output["type"] = json!("bootstrap.kubernetes.io/token"));
    let refused =
        secrets.create(&dry, &serde_json::from_value(token)?).await.expect_err("a token").to_string();
    assert!(refused.contains("must have the type Opaque"), "{refused}");
    // Nor can it look at or remove what is there.
    for refused in [
        maps.get("kube-root-ca.crt").await.map(drop),
        maps.list(&ListParams::default()).await.map(drop),
        maps.delete("kube-root-ca.crt", &DeleteParams::default()).await.map(drop),
    ] {
        let refused = refused.expect_err("it may not").to_string();
        assert!(refused.contains("cannot"), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn of_secrets_it_makes_only_a_pods_env() -> Result<()> {
    scenario("store-policy").run(async |namespace| policy(namespace).await).await
}

async fn policy(namespace: &Namespace) -> Result<()> {
    let client = as_the_store(namespace).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace.name());
    // A dry run goes the whole way through admission. What the policy lets pass shows that it is the policy which refuses
    // the rest.
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
        let refused = secrets.create(&dry, &bad).await.expect_err(hint).to_string();
        assert!(refused.contains("ValidatingAdmissionPolicy") && refused.contains(hint), "{hint}: {refused}");
    }
    for place in ["kube-system", "kube-public", install::NAMESPACE] {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), place);
        let refused = secrets.create(&dry, &secret(|_| ())).await.expect_err(place).to_string();
        assert!(refused.contains("must not create objects in its own namespace"), "{place}: {refused}");
    }

    // Nor can it look at, change or remove the one that is there.
    // Nobody's: the owner of the others does not exist, and the garbage collector would take it away meanwhile.
    let left = secret(|secret| secret["metadata"]["ownerReferences"] = json!([]));
    namespace.api::<Secret>().create(&PostParams::default(), &left).await?;
    let (patch, params) = (Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}})), PatchParams::default());
    for refused in [
        secrets.get(NAME).await.map(drop),
        secrets.list(&ListParams::default()).await.map(drop),
        secrets.patch(NAME, &params, &patch).await.map(drop),
        secrets.delete(NAME, &DeleteParams::default()).await.map(drop),
    ] {
        let refused = refused.expect_err("it may not").to_string();
        assert!(refused.contains("cannot"), "{refused}");
    }
    // Were it granted the right by mistake, the policy would still say no.
    namespace.create(&grant(namespace.name()).to_string()).await?;
    namespace.create(&binding(namespace.name()).to_string()).await?;
    bootlace_cluster::wait::until_async(
        bootlace_cluster::scenario::LIMIT,
        "the grant is not seen",
        async || {
            let refused =
                secrets.delete(NAME, &DeleteParams::default()).await.expect_err("the policy").to_string();
            anyhow::ensure!(refused.contains("not change or delete them"), "{refused}");
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
