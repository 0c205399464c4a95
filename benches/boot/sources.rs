//! All comparisons: a source of boot, and the command that a user would write instead.
//!
//! To add a kind of source, add a server to [`Servers`] and rows to [`rows`].

use serde_json::{Value, json};

use crate::clients::{self, Stores, curl, rclone, unpack};
use crate::content::{self, FILE, FILES, LARGE};
use crate::hosts::Servers;
use crate::server::Server;
use crate::support::Container;

/// A comparison.
pub(crate) struct Row {
    /// The content and the client.
    pub(crate) title: &'static str,
    /// The source in the configuration of boot.
    pub(crate) source: Value,
    /// The command that a user would write instead, run in an empty folder.
    pub(crate) plain: String,
}

fn row(title: &'static str, source: Value, plain: String) -> Row {
    Row { title, source, plain }
}

/// A source of `kind` with `request`, and with the mounted folder `folder`.
fn remote(servers: &Servers, kind: &str, request: &Value, folder: &str) -> Value {
    let limits = json!({"bytes": 2 * LARGE, "files": 2 * FILES});
    json!({"name": "fetched", "limits": limits, "from": {kind: {"request": request, "path": servers.mounted(folder)}}})
}

/// All comparisons. `mounts` contains the objects that the kubelet would mount.
pub(crate) fn rows(servers: &Servers, stores: &Stores, mounts: &Container) -> Vec<Row> {
    [http(servers), object_store(servers, stores), oci(servers), mounted(mounts)]
        .into_iter()
        .flatten()
        .collect()
}

fn http(servers: &Servers) -> Vec<Row> {
    let client = json!({"ca": {"configMap": "ca"}});
    let source = |server: &Server, format: &str, options: Value| {
        remote(servers, "http", &json!({"url": server.url(), "client": client, format: options}), "http")
    };
    let ca = servers.mounted("http").join("ca/ca.crt");
    let curl = |server: &Server| format!("{} {}", curl(&ca), server.url());
    let http = &servers.http;
    let job = json!({
        "host": http.optimus.url(), "project": "p", "job": "j", "scheduledAt": "2026-11-21T00:00:00Z",
        "instanceName": "i", "client": client,
    });
    vec![
        row(
            "`http`: 1,000 files in a tar.gz, compared with `curl \\| tar`",
            source(&http.tar, "archive", json!({})),
            format!("{} | tar xzf -", curl(&http.tar)),
        ),
        row(
            "`http`: 1,000 files in a zip, compared with `curl` and `unzip`",
            source(&http.zip, "archive", json!({})),
            format!("{} -o zip && unzip -q zip", curl(&http.zip)),
        ),
        row(
            "`http`: 100 MB, compared with `curl`",
            source(&http.large, "file", json!("large")),
            format!("{} -o large", curl(&http.large)),
        ),
        row(
            "`http`: 100 MB in a tar.gz, compared with `curl \\| tar`",
            source(&http.large_tar, "archive", json!({})),
            format!("{} | tar xzf -", curl(&http.large_tar)),
        ),
        row(
            "`http`: a file of 8.3 MB in JSON, compared with `curl` and Python",
            source(&http.json, "json", json!([{"pointer": "/files", "into": "Files"}])),
            format!("{} | {}", curl(&http.json), unpack("files")),
        ),
        row(
            "`optimus`: 1,000 files, compared with `curl` and Python",
            remote(servers, "optimus", &job, "http"),
            format!("{} -d '{{}}' | {}", curl(&http.optimus), unpack("files")),
        ),
    ]
}

fn object_store(servers: &Servers, stores: &Stores) -> Vec<Row> {
    let Servers { s3, gcs, azure, .. } = servers;
    let source = |bucket: Value, folder: &str, fields: Value| {
        let mut request = bucket;
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        remote(servers, "objectStore", &request, folder)
    };
    let (small, large) = (json!({"prefix": "small"}), json!({"object": "large", "file": "large"}));
    let in_s3 = |fields: &Value| source(servers.in_s3(), "s3", fields.clone());
    let in_azure = |fields: &Value| source(servers.in_azure(), "azure", fields.clone());
    let in_gcs = |fields: &Value| {
        let bucket = json!({
            "gcs": {"bucket": gcs.bucket.name, "endpoint": gcs.bucket.endpoint},
            "credentials": {"anonymous": true}, "client": {"ca": {"configMap": "ca"}},
        });
        source(bucket, "gcs", fields.clone())
    };
    vec![
        row(
            "S3: 1,000 objects, compared with `aws s3 cp`",
            in_s3(&small),
            stores.aws(s3, "small", "--recursive"),
        ),
        row("S3: 1,000 objects, compared with `rclone copy`", in_s3(&small), rclone(s3, "small")),
        row("S3: 100 MB, compared with `aws s3 cp`", in_s3(&large), stores.aws(s3, "large", "")),
        row("S3: 100 MB, compared with `rclone copy`", in_s3(&large), rclone(s3, "large")),
        row(
            "GCS: 1,000 objects, compared with `gsutil -m cp`",
            in_gcs(&small),
            stores.gsutil(&gcs.bucket, &gcs.ca(), "small/*"),
        ),
        row(
            "GCS: 100 MB, compared with `gsutil -m cp`",
            in_gcs(&large),
            stores.gsutil(&gcs.bucket, &gcs.ca(), "large"),
        ),
        row(
            "Azure: 1,000 blobs, compared with `az storage blob download-batch`",
            in_azure(&small),
            stores.az(azure, "download-batch --pattern 'small/*' --destination ."),
        ),
        row(
            "Azure: 100 MB, compared with `az storage blob download`",
            in_azure(&large),
            stores.az(azure, "download --name large --file large"),
        ),
    ]
}

fn oci(servers: &Servers) -> Vec<Row> {
    let oci = &servers.oci;
    let source = |tag: &str| {
        let reference = format!("{}/bench:{tag}", oci.registry.host());
        remote(servers, "oci", &json!({"reference": reference, "client": {"ca": {"configMap": "ca"}}}), "oci")
    };
    let curl = clients::curl(&servers.mounted("oci").join("ca/ca.crt"));
    // Boot and client both verify the digest.
    let pull = |tag: &str, blob: &bootlace_test_registry::Blob| {
        let url = format!("https://{}/v2/bench", oci.registry.host());
        let (accept, digest) = ("Accept: application/vnd.oci.image.manifest.v1+json", blob.digest());
        let hex = digest.trim_start_matches("sha256:");
        format!(
            "{curl} -H '{accept}' {url}/manifests/{tag} -o manifest && {curl} {url}/blobs/{digest} -o blob \
             && echo '{hex}  blob' | sha256sum --check --quiet"
        )
    };
    vec![
        row(
            "`oci`: an image layer with 1,000 files, compared with `curl`, `sha256sum` and `tar`",
            source("small"),
            format!("{} && tar xzf blob", pull("small", &oci.small)),
        ),
        row(
            "`oci`: an artifact of 100 MB, compared with `curl` and `sha256sum`",
            source("large"),
            pull("large", &oci.large),
        ),
    ]
}

fn mounted(mounts: &Container) -> Vec<Row> {
    let names: Vec<_> = (0..FILES).map(|number| format!("file-{number}")).collect();
    let folder = mounts.mount("object", names.iter().map(|name| (name.as_str(), FILE)));
    let object = json!({"kind": "ConfigMap", "name": "files", "path": folder, "into": "Files"});
    let tree = mounts.beside("tree");
    for number in 0..FILES {
        let file = tree.join(content::name(number));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, FILE).unwrap();
    }
    let volume = json!({"kind": "persistentVolumeClaim", "name": "files", "path": tree, "into": "Files"});
    let limits = json!({"bytes": 1 << 30, "files": 10_000});
    vec![
        row(
            "`configMap`: 1,000 keys, compared with `cp`",
            json!({"name": "fetched", "from": {"mounted": object}}),
            format!("cp -L '{}'/* .", folder.display()),
        ),
        row(
            "`volume`: 1,000 files in 10 folders, compared with `cp`",
            json!({"name": "fetched", "limits": limits, "from": {"volume": volume}}),
            format!("cp -R '{}'/* .", tree.display()),
        ),
    ]
}

/// Ten variables and ten files without a server.
pub(crate) fn inline() -> Value {
    let env: Value =
        (0..10).map(|n| (format!("VARIABLE_{n}"), "a value of some thirty characters")).collect();
    let files: Value = (0..10).map(|n| (content::name(n), content::text())).collect();
    json!({"name": "inline", "from": {"inline": {"env": env, "files": files}}})
}
