//! Waits until the volumes of the pod contain the output.
//!
//! The volumes are optional and empty when the pod starts. The kubelet updates them when it next syncs the
//! pod (`SyncPod`, `ReprocessPod`), which the exit of an init container triggers. But it starts the next
//! container at the same time, so the task might start before its files exist.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::WaitError;
use bootlace_core::input::AwaitedOutput;

/// How often a volume is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Time limit for the kubelet, which syncs a pod once a minute (`syncFrequency`) with up to half of that as
/// jitter.
const TIME_LIMIT: Duration = Duration::from_mins(3);

/// Waits until every volume with the output contains all of its `files`.
///
/// # Errors
/// If the kubelet does not mount them in time.
pub(super) async fn wait_until_mounted(
    root: &Path,
    awaits: &AwaitedOutput,
    files: &[String],
) -> Result<(), WaitError> {
    let deadline = Instant::now() + TIME_LIMIT;
    for folder in &awaits.folders {
        let volume = root.join(&folder.volume);
        let paths = if folder.paths.is_empty() { files } else { &folder.paths };
        // For the first version, the kubelet creates the links one after the other.
        while let Some(missing) = paths.iter().find(|path| !volume.join(path).exists()) {
            if Instant::now() >= deadline {
                return Err(WaitError::NotMounted {
                    awaited: awaits.describe(),
                    volume: folder.volume.clone(),
                    missing: missing.clone(),
                    seconds: TIME_LIMIT.as_secs(),
                });
            }
            sleep(CHECK_INTERVAL).await;
        }
        tracing::info!(volume = folder.volume, files = paths.len(), "{} is mounted", awaits.describe());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootlace_core::identity::Identity;
    use bootlace_core::input::wait_spec::OutputVolume;
    use bootlace_core::output::ObjectKind;

    #[tokio::test(start_paused = true)]
    async fn a_missing_file_is_reported_with_its_volume() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("cert")).unwrap();
        std::fs::write(root.path().join("cert/tls.crt"), "hunter2").unwrap();
        let from = Identity { task: Some("gencert".to_owned()), ..Identity::default() };
        let mut awaits = AwaitedOutput::new("Cert", ObjectKind::Secret, from, 60);
        awaits.folders = vec![OutputVolume { volume: "cert".to_owned(), paths: Vec::new() }];
        let files = ["tls.crt", "tls.key"].map(str::to_owned);
        let error = wait_until_mounted(root.path(), &awaits, &files).await.unwrap_err();
        let message = "pipe Cert by task gencert is stored, but the kubelet did not populate volume \"cert\" with file \
                        \"tls.key\" within 180 s";
        assert!(error.exit_code() == 74 && error.to_string().contains(message), "{error}");
        wait_until_mounted(root.path(), &awaits, &files[..1]).await.unwrap();
    }
}
