//! The source `vault` with the real Vault, which lets the API server of the cluster review the tokens of
//! tasks.

use anyhow::{Result, ensure};
use bootlace_cluster::clients::vault::{ADDRESS, CA, start, vault};
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use serde_json::{Value, json};

/// The password, which must not be in any log, Event or pod spec.
const PASSWORD: &str = "zq7Xv0hunter2";

/// Secrets, a policy, and a role for the service account `default` of the namespace.
async fn fill(namespace: &Namespace) -> Result<()> {
    let password = format!("password={PASSWORD}");
    let policy = "policy=path \"secret/data/etl/*\" { capabilities = [\"read\"] } path \"pki/issue/tasks\" { capabilities = [\"update\"] }";
    let namespaces = format!("bound_service_account_namespaces={}", namespace.name());
    let role = [
        "write",
        "auth/kubernetes/role/etl",
        "bound_service_account_names=default",
        &namespaces,
        "audience=vault",
        "token_policies=etl",
        "token_ttl=1h",
    ];
    let commands: [&[&str]; 6] = [
        &["kv", "put", "secret/etl/warehouse", "user=etl", &password],
        &["secrets", "enable", "pki"],
        &["write", "pki/root/generate/internal", "common_name=tests", "key_type=ec"],
        &[
            "write",
            "pki/roles/tasks",
            "allowed_domains=example.com",
            "allow_subdomains=true",
            "key_type=ec",
            "ttl=10m",
            "generate_lease=true",
        ],
        &["write", "sys/policies/acl/etl", policy],
        &role,
    ];
    for arguments in commands {
        vault(namespace, arguments).await?;
    }
    Ok(())
}

/// Creates a profile that reads `secrets`.
async fn profile(namespace: &Namespace, secrets: &Value) -> Result<()> {
    let settings = json!({
        "address": ADDRESS, "auth": {"role": "etl", "token": {"audience": "vault", "expirationSeconds": 600}},
        "secrets": secrets, "client": {"ca": {"configMap": CA}, "attempts": 2},
    });
    namespace.profile(&json!({"sources": [{"name": "secrets", "vault": settings}]}).to_string()).await
}

fn warehouse() -> Value {
    json!({"mount": "secret", "path": "etl/{{ labels.team }}", "into": "Env", "prefix": "DB_"})
}

/// A task with this name, and with more fields of its spec.
async fn create(namespace: &Namespace, name: &str, more: &Value) -> Result<()> {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": namespace.name(), "team": "warehouse"}},
        "spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": PROBE, "command": ["/probe", "environ"], "args": ["file=/var/assets/tls/tls.crt"]},
        ]},
    });
    for (field, value) in more.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    namespace.create(&pod.to_string()).await.map(drop)
}

/// The number of tokens, including that of the administrator.
async fn tokens(namespace: &Namespace) -> Result<usize> {
    let list = vault(namespace, &["list", "-format=json", "auth/token/accessors"]).await?;
    Ok(serde_json::from_str::<Vec<String>>(&list)?.len())
}

#[tokio::test]
async fn tasks_read_secrets_with_the_role_of_their_service_account() -> Result<()> {
    scenario("vault")
        .run(async |namespace| {
            start(namespace).await?;
            fill(namespace).await?;
            profile(namespace, &json!([warehouse()])).await?;
            let only_env =
                json!({"containers": [{"name": "main", "image": PROBE, "command": ["/probe", "environ"]}]});
            create(namespace, "reads", &only_env).await?;
            namespace.pod_succeeded("reads").await?;
            let process = namespace.process("reads", "main").await?;
            assert_eq!(process.env("DB_user"), Some(&b"etl"[..]));
            assert_eq!(process.env("DB_password"), Some(PASSWORD.as_bytes()));
            let log = namespace.log("reads", "bootlace-boot").await?;
            let line = format!("source \"secrets\" (Vault {ADDRESS}): 2 variables (2 secret), 0 files, ");
            assert!(log.contains(&line) && !log.contains(PASSWORD) && !log.contains("warning"), "{log}");
            let pod = serde_json::to_string(&namespace.api::<Pod>().get("reads").await?)?;
            assert!(!pod.contains(PASSWORD), "{pod}");
            assert_eq!(tokens(namespace).await?, 1, "the token of the task is not revoked");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_lease_that_ends_before_the_task_is_a_warning_and_stays_valid() -> Result<()> {
    scenario("vault-lease")
        .run(async |namespace| {
            start(namespace).await?;
            fill(namespace).await?;
            let certificate = json!({
                "mount": "pki", "path": "issue/tasks", "engine": "Dynamic",
                "data": {"common_name": "{{ labels.team }}.example.com"},
                "prefix": "tls/", "items": [{"key": "certificate", "as": "tls.crt"}],
            });
            profile(namespace, &json!([certificate])).await?;
            create(namespace, "issues", &json!({"activeDeadlineSeconds": 7200})).await?;
            namespace.pod_succeeded("issues").await?;
            let process = namespace.process("issues", "main").await?;
            assert!(process.file("/var/assets/tls/tls.crt")?.starts_with(b"-----BEGIN CERTIFICATE-----"));
            let log = namespace.log("issues", "bootlace-boot").await?;
            let warning = "warning: the lease of pki/issue/tasks ends after ";
            let needed = "but the task can need it for 7200 s (activeDeadlineSeconds of the pod): ";
            assert!([warning, needed, "[BL2207]"].iter().all(|part| log.contains(part)), "{log}");
            until_async(LIMIT, "the Event has no warning", async || {
                let params = ListParams::default().fields("involvedObject.name=issues");
                let events = namespace.api::<Event>().list(&params).await?;
                let texts: Vec<_> =
                    events.items.iter().filter_map(|event| event.message.as_deref()).collect();
                ensure!(
                    texts.iter().any(|text| text.contains(warning) && text.contains("[BL2207]")),
                    "{texts:?}"
                );
                Ok(())
            })
            .await?;
            assert_eq!(tokens(namespace).await?, 2, "the token with the lease is revoked");
            let leases =
                vault(namespace, &["list", "-format=json", "sys/leases/lookup/pki/issue/tasks"]).await?;
            assert_eq!(serde_json::from_str::<Vec<String>>(&leases)?.len(), 1);
            // A task that ends earlier.
            create(namespace, "short", &json!({"activeDeadlineSeconds": 300})).await?;
            namespace.pod_succeeded("short").await?;
            let log = namespace.log("short", "bootlace-boot").await?;
            assert!(!log.contains("warning"), "{log}");
            Ok(())
        })
        .await
}

/// Runs a task whose boot fails, and checks its exit code and parts of the message.
async fn fails(
    namespace: &Namespace,
    name: &str,
    more: &Value,
    exit_code: i32,
    parts: &[&str],
) -> Result<()> {
    create(namespace, name, more).await?;
    let pod = namespace.pod_failed(name).await?;
    let message = state::message(&pod, "bootlace-boot")?;
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    assert_eq!(state::ended(&pod, "bootlace-boot")?.exit_code, exit_code, "{message}");
    Ok(())
}

#[tokio::test]
async fn each_refusal_of_vault_names_what_to_change() -> Result<()> {
    scenario("vault-refused")
        .run(async |namespace| {
            start(namespace).await?;
            fill(namespace).await?;
            profile(namespace, &json!([warehouse()])).await?;
            let account =
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "other"}});
            namespace.create(&account.to_string()).await?;
            let other = json!({"serviceAccountName": "other"});
            let parts = [
                "source \"secrets\" (Vault https://vault:8443)",
                "/v1/auth/kubernetes/login: the server responded with 403 Forbidden",
                "let the role accept the service account and the namespace of the pod",
                "[BL2204]",
            ];
            fails(namespace, "other", &other, 69, &parts).await?;

            vault(namespace, &["delete", "auth/kubernetes/role/etl"]).await?;
            let parts = [
                "400 Bad Request (\"invalid role name \\\"etl\\\"\")",
                "correct vault.auth.role",
                "[BL2204]",
            ];
            fails(namespace, "revoked", &json!({}), 69, &parts).await?;

            vault(namespace, &["operator", "seal"]).await?;
            let parts = ["503 Service Unavailable (\"Vault is sealed\")", "unseal Vault", "[BL2205]"];
            fails(namespace, "sealed", &json!({}), 75, &parts).await
        })
        .await
}
