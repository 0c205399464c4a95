//! The commands that a user would write instead of a profile. bash runs each of them in an empty folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::hosts::{Azure, Bucket, S3};

/// The command line tools of the object stores.
pub(crate) struct Stores {
    bin: PathBuf,
    /// The home folder for their own files.
    home: tempfile::TempDir,
}

impl Stores {
    pub(crate) fn install() -> Self {
        let script = concat!(env!("BOOTLACE_ROOT"), "/hack/store-clients");
        let done = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(done.status.success(), "{script} failed");
        let folder = PathBuf::from(String::from_utf8(done.stdout).unwrap().trim());
        Self { bin: folder.join("bin"), home: tempfile::tempdir().unwrap() }
    }

    fn program(&self, name: &str) -> String {
        // Settings of the machine for other clouds and proxies must not affect the comparison.
        format!(
            "env -u AWS_CA_BUNDLE -u REQUESTS_CA_BUNDLE HOME='{}' {}/{name}",
            self.home.path().display(),
            self.bin.display()
        )
    }

    /// `aws s3 cp` of `path`.
    pub(crate) fn aws(&self, s3: &S3, path: &str, options: &str) -> String {
        let Bucket { name, endpoint } = &s3.bucket;
        format!(
            "AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} AWS_DEFAULT_REGION=us-east-1 {} \
             --endpoint-url {endpoint} s3 cp --only-show-errors {options} s3://{name}/{path} .",
            s3.key,
            s3.secret,
            self.program("aws")
        )
    }

    /// `gsutil cp` of `path`.
    pub(crate) fn gsutil(&self, gcs: &Bucket, ca: &Path, path: &str) -> String {
        let (host, port) = gcs.endpoint.trim_start_matches("https://").split_once(':').unwrap();
        format!(
            "{} -q -m -o Credentials:gs_json_host={host} -o Credentials:gs_json_port={port} \
             -o Boto:ca_certificates_file='{}' cp -r 'gs://{}/{path}' .",
            self.program("gsutil"),
            ca.display(),
            gcs.name
        )
    }

    /// `az storage blob …` of the container.
    pub(crate) fn az(&self, azure: &Azure, action: &str) -> String {
        let Azure { bucket: Bucket { name, endpoint }, account, key, .. } = azure;
        let connection = format!("AccountName={account};AccountKey={key};BlobEndpoint={endpoint}");
        let (program, container) =
            (self.program("az"), if action.contains("batch") { "--source" } else { "--container-name" });
        format!(
            "AZURE_CORE_COLLECT_TELEMETRY=0 AZURE_STORAGE_CONNECTION_STRING='{connection}' {program} storage blob \
             {action} {container} {name} --no-progress --only-show-errors --output none"
        )
    }
}

/// `rclone copy`, which supports all stores, of `path` in an S3 bucket.
pub(crate) fn rclone(s3: &S3, path: &str) -> String {
    let Bucket { name, endpoint } = &s3.bucket;
    format!(
        "env -u AWS_CA_BUNDLE rclone --config= --s3-provider=Other --s3-access-key-id={} \
         --s3-secret-access-key={} --s3-endpoint={endpoint} copy :s3:{name}/{path} .",
        s3.key, s3.secret
    )
}

/// The start of a curl command, which trusts `ca`.
pub(crate) fn curl(ca: &Path) -> String {
    format!("curl -fsS --cacert '{}'", ca.display())
}

/// A Python command that reads JSON and writes the files in the object at `key`.
pub(crate) fn unpack(key: &str) -> String {
    format!(
        "python3 -c '
import json, os, sys
for name, content in json.load(sys.stdin)[\"{key}\"].items():
    if os.path.dirname(name):
        os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, \"w\") as file:
        file.write(content)
'"
    )
}
