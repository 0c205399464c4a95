//! Source `volume`: a projected volume, a claim, an image, and an ephemeral volume of a CSI driver on the
//! node.

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::images::{BUSYBOX, CSI_DRIVER, PROBE};
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::{self as core, Node, Pod};
use k8s_openapi::api::storage::v1::CSINode;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

/// The time that pods have which cannot start.
const SECONDS: u32 = 20;

/// A task of the team `sales` that prints its env and `files`. It meets the standard `restricted`.
fn task(profile: &str, name: &str, files: &[&str]) -> Value {
    let files: Vec<_> = files.iter().map(|path| format!("file={path}")).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": profile, "team": "sales"}},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "main", "image": PROBE, "command": ["/probe", "environ"], "args": files,
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// Checks that no container except boot mounts a volume of a source.
fn check_mounts(pod: &Pod) -> Result<()> {
    let spec = pod.spec.as_ref().context("the pod has no spec")?;
    let init = spec.init_containers.iter().flatten();
    for container in init.chain(&spec.containers).filter(|container| container.name != "bootlace-boot") {
        for mount in container.volume_mounts.iter().flatten() {
            ensure!(!mount.name.starts_with("bootlace-source-"), "{} mounts {}", container.name, mount.name);
        }
    }
    Ok(())
}

/// The namespace as the owner of an object that is not in it, so that both are removed together.
async fn owner(namespace: &Namespace) -> Result<Value> {
    let object = Api::<core::Namespace>::all(namespace.client()).get(namespace.name()).await?;
    let uid = object.uid().context("the namespace has no UID")?;
    Ok(json!([{"apiVersion": "v1", "kind": "Namespace", "name": namespace.name(), "uid": uid}]))
}

#[tokio::test]
async fn a_projected_volume_provides_variables_and_files() -> Result<()> {
    scenario("volume-projected")
        .label("pod-security.kubernetes.io/enforce", "restricted")
        .run(async |namespace| {
            for object in [
                json!({"kind": "Secret", "metadata": {"name": "login"}, "stringData": {"password": "pa$$ $(x)"}}),
                json!({"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"app.ini": "[app]\n"}}),
            ] {
                let mut object = object;
                object["apiVersion"] = json!("v1");
                namespace.create(&object.to_string()).await?;
            }
            namespace
                .profile(
                    "
                    sources:
                    - name: login
                      volume:
                        projected:
                          sources:
                          - secret: { name: login, items: [{ key: password, path: db/password }] }
                          - serviceAccountToken: { audience: vault, path: token }
                          - downwardAPI: { items: [{ path: team, fieldRef: { fieldPath: \"metadata.labels['team']\" } }] }
                        into: Env
                        items:
                        - { key: db/password, as: DB_PASSWORD }
                        - { key: token, as: TOKEN }
                        - { key: team, as: TEAM }
                    - name: settings
                      volume:
                        projected: { sources: [{ configMap: { name: settings, items: [{ key: app.ini, path: conf/app.ini }] } }] }
                        prefix: etc/
                    ",
                )
                .await?;
            let file = "/var/assets/etc/conf/app.ini";
            namespace.create(&task(namespace.name(), "task", &[file]).to_string()).await?;
            let pod = namespace.pod_succeeded("task").await?;
            check_mounts(&pod)?;
            let process = namespace.process("task", "main").await?;
            assert_eq!(process.env("DB_PASSWORD"), Some(&b"pa$$ $(x)"[..]));
            assert_eq!(process.env("TEAM"), Some(&b"sales"[..]));
            let token = process.env("TOKEN").context("no token")?;
            assert_eq!(token.split(|byte| *byte == b'.').count(), 3, "a JSON web token");
            assert_eq!(process.file(file)?, b"[app]\n");
            let log = namespace.log("task", "bootlace-boot").await?;
            assert!(log.contains("source \"login\" (projected volume): 3 variables (3 secret), 0 files"), "{log}");
            assert!(!log.contains("pa$$"), "{log}");
            Ok(())
        })
        .await
}

/// Creates a volume on a node, and the claim `data-sales` for it.
async fn create_claim(namespace: &Namespace) -> Result<()> {
    let nodes = Api::<Node>::all(namespace.client()).list(&ListParams::default()).await?;
    let mut free = nodes.iter().filter(|node| node.spec.as_ref().is_none_or(|spec| spec.taints.is_none()));
    let node = free.next().context("no node accepts all pods")?;
    let host = node.labels().get("kubernetes.io/hostname").context("the node has no hostname")?;
    let term =
        json!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]});
    let size = json!({"storage": "1Mi"});
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": namespace.name(), "ownerReferences": owner(namespace).await?},
        "spec": {
            "capacity": size, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": format!("/var/lib/bootlace-test/{}", namespace.name()), "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    });
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-sales"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": namespace.name(),
            "resources": {"requests": size},
        },
    });
    for object in [volume, claim] {
        namespace.create(&object.to_string()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_claim_provides_the_files_of_a_folder() -> Result<()> {
    scenario("volume-claim")
        .run(async |namespace| {
            create_claim(namespace).await?;
            let script = "mkdir -p /data/sql/daily /data/links /data/lost+found && cd /data && \
                          echo 'select 1' >sql/a.sql && echo 'select 2' >sql/daily/b.sql && echo x >sql/a.tmp && \
                          ln -s daily/b.sql sql/c.sql && ln -s /proc/self/environ links/environ";
            let writer = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer"},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{
                        "name": "main", "image": BUSYBOX, "command": ["sh", "-ec", script],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-sales"}}],
                },
            });
            namespace.create(&writer.to_string()).await?;
            namespace.pod_succeeded("writer").await?;
            let claim = json!({"claimName": "data-{{ labels.team }}"});
            let source = |path: &str| {
                let volume = json!({
                    "persistentVolumeClaim": claim, "path": path, "prefix": "q/", "exclude": ["*.tmp"],
                });
                json!({"sources": [{"name": "data", "volume": volume}]}).to_string()
            };
            namespace.profile(&source("sql")).await?;
            let links = format!("{}-links", namespace.name());
            namespace.profile_called(&links, &source("links")).await?;

            let files = ["/var/assets/q/a.sql", "/var/assets/q/daily/b.sql", "/var/assets/q/c.sql"];
            namespace.create(&task(namespace.name(), "task", &files).to_string()).await?;
            namespace.create(&task(&links, "links", &[]).to_string()).await?;
            check_mounts(&namespace.pod_succeeded("task").await?)?;
            let process = namespace.process("task", "main").await?;
            let content = ["select 1\n", "select 2\n", "select 2\n"];
            for (file, content) in files.into_iter().zip(content) {
                assert_eq!(process.file(file)?, content.as_bytes(), "{file}");
            }
            let log = namespace.log("task", "bootlace-boot").await?;
            for part in ["(PersistentVolumeClaim data-sales): 0 variables, 3 files", "excluded: \"a.tmp\""] {
                assert!(log.contains(part), "{part:?} is not in {log}");
            }

            let pod = namespace.pod_failed("links").await?;
            let message = state::message(&pod, "bootlace-boot")?;
            assert!(message.contains("\"environ\" is a link that leads out of the volume"), "{message}");
            assert!(message.contains("[BL2302]"), "{message}");
            Ok(())
        })
        .await
}

/// Whether the container runtime of all nodes mounts images: containerd since 2.1, CRI-O since 1.31.
async fn mounts_images(namespace: &Namespace) -> Result<bool> {
    let nodes = Api::<Node>::all(namespace.client()).list(&ListParams::default()).await?;
    let versions = nodes.iter().filter_map(|node| node.status.as_ref()?.node_info.as_ref());
    let mounts =
        |version: &str| !["containerd://1.", "containerd://2.0."].iter().any(|old| version.starts_with(old));
    Ok(versions.map(|info| &*info.container_runtime_version).all(mounts))
}

#[tokio::test]
async fn an_image_volume_provides_files_if_the_runtime_mounts_images() -> Result<()> {
    scenario("volume-image")
        .label("pod-security.kubernetes.io/enforce", "restricted")
        .run(async |namespace| {
            let image = json!({"reference": BUSYBOX, "pullPolicy": "IfNotPresent"});
            let items = json!([{"key": "passwd", "as": "passwd"}]);
            let volume = json!({"image": image, "path": "etc", "items": items});
            let profile = json!({
                "launch": {"startSeconds": SECONDS}, "sources": [{"name": "files", "volume": volume}],
            });
            namespace.profile(&profile.to_string()).await?;
            namespace.create(&task(namespace.name(), "task", &["/var/assets/passwd"]).to_string()).await?;
            if mounts_images(namespace).await? {
                check_mounts(&namespace.pod_succeeded("task").await?)?;
                let process = namespace.process("task", "main").await?;
                assert!(process.file("/var/assets/passwd")?.starts_with(b"root:"), "the file of the image");
                return Ok(());
            }
            let message = failed(namespace, "task", "StartTimeout").await?;
            println!("without support of the runtime: {message}");
            ensure!(message.contains("bootlace-boot"), "{message}");
            Ok(())
        })
        .await
}

/// Waits until the monitor has failed a pod with `reason`, and returns the message.
async fn failed(namespace: &Namespace, name: &str, reason: &str) -> Result<String> {
    let has_failed = |pod: &Pod| {
        pod.status
            .as_ref()
            .is_some_and(|status| status.phase.as_deref() == Some("Failed") && status.message.is_some())
    };
    let pod = namespace.pod(name, "Failed with a message", has_failed).await?;
    let status = pod.status.unwrap_or_default();
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some(reason), "{name}: {:?}: {message}", status.reason);
    Ok(message)
}

/// The kubelet waits for such volumes, and the monitor ends the wait with its reason.
#[tokio::test]
async fn a_volume_that_does_not_exist_fails_the_pod_with_the_reason_of_kubernetes() -> Result<()> {
    scenario("volume-missing")
        .run(async |namespace| {
            let limits = json!({"scheduleSeconds": SECONDS, "startSeconds": SECONDS});
            let cases = [
                (
                    "secret",
                    json!({"projected": {"sources": [{"secret": {"name": "login"}}]}}),
                    "StartTimeout",
                    ["FailedMount: ", "login"],
                ),
                (
                    "driver",
                    json!({"csi": {"driver": "missing.example.com"}}),
                    "StartTimeout",
                    ["FailedMount: ", "missing.example.com not found in the list of registered CSI drivers"],
                ),
                (
                    "claim",
                    json!({"persistentVolumeClaim": {"claimName": "data"}}),
                    "ScheduleTimeout",
                    ["persistentvolumeclaim", "\"data\" not found"],
                ),
            ];
            for (name, volume, ..) in &cases {
                let profile = format!("{}-{name}", namespace.name());
                let spec = json!({"launch": limits, "sources": [{"name": name, "volume": volume}]});
                namespace.profile_called(&profile, &spec.to_string()).await?;
                namespace.create(&task(&profile, name, &[]).to_string()).await?;
            }
            for (name, _, reason, parts) in cases {
                let message = failed(namespace, name, reason).await?;
                println!("{name}: {message}");
                for part in parts {
                    ensure!(message.contains(part), "{name}: {part:?} is not in {message}");
                }
            }
            Ok(())
        })
        .await
}

/// Starts the CSI driver `driver` on the node, and waits until the kubelet has registered it.
async fn start_driver(namespace: &Namespace, driver: &str) -> Result<()> {
    let object = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver",
        "metadata": {"name": driver, "ownerReferences": owner(namespace).await?},
        "spec": {"attachRequired": false, "podInfoOnMount": true, "volumeLifecycleModes": ["Ephemeral"]},
    });
    let classes = json!({"sales-login": {"user": "scott", "password": "pa$$ $(x)\n"}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "driver"},
        "spec": {
            "containers": [{
                "name": "main", "image": CSI_DRIVER,
                "env": [
                    {"name": "DRIVER", "value": driver},
                    // The kubelet would expand references in the value.
                    {"name": "CLASSES", "value": classes.to_string().replace('$', "$$")},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                ],
                "volumeMounts": [{"name": "kubelet", "mountPath": "/var/lib/kubelet"}],
            }],
            "volumes": [{"name": "kubelet", "hostPath": {"path": "/var/lib/kubelet", "type": "Directory"}}],
        },
    });
    for object in [object, pod] {
        namespace.create(&object.to_string()).await?;
    }
    namespace.pod_ready("driver").await?;
    let nodes = Api::<CSINode>::all(namespace.client());
    until_async(LIMIT, "the kubelet has not registered the CSI driver", async || {
        let nodes = nodes.list(&ListParams::default()).await?;
        let mut drivers = nodes.iter().flat_map(|node| &node.spec.drivers);
        ensure!(drivers.any(|registered| registered.name == driver), "no node has driver {driver}");
        Ok(())
    })
    .await
}

/// Deletes all pods, and waits until the kubelet has removed their volumes, for which it needs the driver.
async fn delete_pods(namespace: &Namespace) -> Result<()> {
    let pods = namespace.api::<Pod>();
    pods.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    until_async(LIMIT, "the pods are not deleted", async || {
        let left = pods.list(&ListParams::default()).await?.items;
        ensure!(left.is_empty(), "{:?}", left.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
        Ok(())
    })
    .await
}

async fn boot_from_driver(namespace: &Namespace, driver: &str) -> Result<()> {
    let csi =
        json!({"driver": driver, "volumeAttributes": {"secretProviderClass": "{{ labels.team }}-login"}});
    let items = json!([{"key": "password", "as": "DB_PASSWORD"}, {"key": "pod", "as": "OF_POD"}]);
    let profile = json!({
        "launch": {"startSeconds": SECONDS},
        "sources": [
            {"name": "login", "volume": {"csi": csi, "into": "Env", "items": items}},
            {"name": "files", "volume": {"csi": csi, "prefix": "login/", "exclude": ["pod"]}},
        ],
    });
    namespace.profile(&profile.to_string()).await?;
    let files = ["/var/assets/login/user", "/var/assets/login/password"];
    namespace.create(&task(namespace.name(), "task", &files).to_string()).await?;
    let mut unknown = task(namespace.name(), "unknown", &[]);
    unknown["metadata"]["labels"]["team"] = json!("nobody");
    namespace.create(&unknown.to_string()).await?;

    check_mounts(&namespace.pod_succeeded("task").await?)?;
    let process = namespace.process("task", "main").await?;
    assert_eq!(process.env("DB_PASSWORD"), Some(&b"pa$$ $(x)\n"[..]));
    assert_eq!(process.env("OF_POD"), Some(format!("{}/task", namespace.name()).as_bytes()));
    assert_eq!(process.file(files[0])?, b"scott");
    assert_eq!(process.file(files[1])?, b"pa$$ $(x)\n");
    let log = namespace.log("task", "bootlace-boot").await?;
    let line = format!("source \"login\" (CSI volume {driver}): 2 variables (2 secret), 0 files");
    assert!(log.contains(&line), "{log}");
    assert!(!log.contains("pa$$") && !log.contains("scott"), "{log}");

    let message = failed(namespace, "unknown", "StartTimeout").await?;
    println!("a class that does not exist: {message}");
    let part = format!("failed to get secretproviderclass {}/nobody-login", namespace.name());
    ensure!(message.contains(&part), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_csi_volume_of_a_driver_on_the_node_provides_variables_and_files() -> Result<()> {
    scenario("csi-driver")
        .run(async |drivers| {
            let driver = format!("{}.example.com", drivers.name());
            start_driver(drivers, &driver).await?;
            scenario("volume-csi")
                .label("pod-security.kubernetes.io/enforce", "restricted")
                .run(async |namespace| {
                    let booted = boot_from_driver(namespace, &driver).await;
                    delete_pods(namespace).await?;
                    booted
                })
                .await
        })
        .await
}
