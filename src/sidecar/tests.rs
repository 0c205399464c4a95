use std::cell::RefCell;
use std::fs;
use std::future::pending;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use bootlace_launch::handover::{self, Attempt, Kind, Manifest, OneLine, Outcome, Output, StoreResult};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::*;

/// A store that records its requests.
#[derive(Default)]
struct RecordingStore {
    put: RefCell<Vec<String>>,
    reported: RefCell<Vec<String>>,
    /// The key that it refuses.
    refuses: Option<&'static str>,
    /// Whether it never answers.
    hangs: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the quota is used up")]
struct QuotaError;

impl Coded for QuotaError {
    fn code(&self) -> Code {
        Code::PipeQuotaExceeded
    }
}

impl OutputStore for RecordingStore {
    async fn put(&self, object: OutputObject) -> Result<(), OutputError> {
        let OutputObject { container, key, kind, files } = &object;
        let file = |file: &OutputFile| format!("{}={}", file.name, String::from_utf8_lossy(&file.bytes));
        let files: Vec<_> = files.iter().map(file).collect();
        self.put.borrow_mut().push(format!("{container} {key} {} {}", kind.as_str(), files.join(" ")));
        if self.hangs {
            pending::<()>().await;
        }
        if self.refuses == Some(key) { Err(OutputError::new(&QuotaError)) } else { Ok(()) }
    }

    async fn report_failure(&self, container: &str, message: &OneLine) {
        self.reported.borrow_mut().push(format!("{container}: {message}"));
    }
}

/// A volume with handover folders, and the launchers that write to it.
struct Volume(tempfile::TempDir);

impl Volume {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn begin(&self, container: &str) -> Attempt {
        Attempt::begin(&self.0.path().join(container)).unwrap()
    }

    /// Serves `base` and `other` until `until` completes.
    async fn serve(&self, store: &RecordingStore, until: impl Future<Output = ()>) {
        assert!(!self.serve_that(SidecarLifetime::WhenTold, store, until).await);
    }

    async fn serve_that(
        &self,
        ends: SidecarLifetime,
        store: &RecordingStore,
        until: impl Future<Output = ()>,
    ) -> bool {
        let containers = ["base".to_owned(), "other".to_owned()];
        serve(self.0.path(), &containers, ends, store, until, Duration::from_secs(20)).await.unwrap()
    }
}

/// Publishes files, each as a separate output.
fn hand_over(attempt: &Attempt, exit: u8, outputs: &[(&str, &str)]) {
    for (index, (_, content)) in outputs.iter().enumerate() {
        attempt.create(index).unwrap().write_all(content.as_bytes()).unwrap();
    }
    let output = |(key, content): &(&str, &str)| Output {
        key: (*key).to_owned(),
        kind: Kind::Secret,
        files: vec![handover::FileEntry { name: "file".to_owned(), size: content.len() as u64 }],
    };
    let outcome = Outcome::Outputs(outputs.iter().map(output).collect());
    attempt.publish(&Manifest::new(exit, outcome).unwrap()).unwrap();
}

async fn result(attempt: &Attempt) -> StoreResult {
    loop {
        if let Some(result) = attempt.result().unwrap() {
            return result;
        }
        sleep(POLL_INTERVAL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn outputs_are_stored_while_the_launcher_waits() {
    let (volume, store) = (Volume::new(), RecordingStore::default());
    volume
        .serve(&store, async {
            // The launcher starts later than the sidecar, and its task runs for a while.
            sleep(Duration::from_mins(1)).await;
            let attempt = volume.begin("base");
            sleep(Duration::from_mins(1)).await;
            hand_over(&attempt, 0, &[("A", "one"), ("B", "two")]);
            let handed_over = Instant::now();
            assert_eq!(result(&attempt).await, StoreResult::Stored);
            assert!(handed_over.elapsed() <= 3 * POLL_INTERVAL);
            sleep(Duration::from_mins(1)).await;
        })
        .await;
    assert_eq!(*store.put.borrow(), ["base A Secret file=one", "base B Secret file=two"]);
    assert!(store.reported.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_result_for_the_launcher_and_an_event() {
    let (volume, store) = (Volume::new(), RecordingStore { refuses: Some("A"), ..RecordingStore::default() });
    let attempt = volume.begin("base");
    hand_over(&attempt, 0, &[("A", "one"), ("B", "two")]);
    volume.serve(&store, async {}).await;
    let sentence = "output \"A\": the quota is used up [BL5303]";
    assert_eq!(attempt.result().unwrap(), Some(StoreResult::Failed(OneLine::new(sentence))));
    assert_eq!(*store.reported.borrow(), [format!("base: {sentence}")]);
    assert_eq!(store.put.borrow().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_launcher_is_recorded_as_an_event() {
    let (volume, store) = (Volume::new(), RecordingStore::default());
    let attempt = volume.begin("base");
    let refused = Outcome::Refused(OneLine::new("output A: out is a folder"));
    attempt.publish(&Manifest::new(0, refused).unwrap()).unwrap();
    volume.serve(&store, sleep(Duration::from_mins(1))).await;
    assert_eq!(*store.reported.borrow(), ["base: output A: out is a folder"]);
    assert!(store.put.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_outputs_of_a_failed_task_are_stored_if_there_are_any() {
    let (volume, store) = (Volume::new(), RecordingStore::default());
    volume.begin("base").publish(&Manifest::nothing(1)).unwrap();
    let log = volume.begin("other");
    hand_over(&log, 3, &[("Log", "words")]);
    volume.serve(&store, async {}).await;
    assert_eq!(*store.put.borrow(), ["other Log Secret file=words"]);
    assert_eq!(log.result().unwrap(), Some(StoreResult::Stored));
}

#[tokio::test(start_paused = true)]
async fn one_container_does_not_wait_for_another() {
    let (volume, store) = (Volume::new(), RecordingStore { hangs: true, ..RecordingStore::default() });
    for container in ["base", "other"] {
        hand_over(&volume.begin(container), 0, &[("A", "one")]);
    }
    volume.serve(&store, async {}).await;
    assert_eq!(store.put.borrow().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn outputs_are_stored_in_the_grace_period_after_the_tasks_have_ended() {
    let (volume, store) = (Volume::new(), RecordingStore { hangs: true, ..RecordingStore::default() });
    let (terminate, terminated) = oneshot::channel();
    let attempt = volume.begin("base");
    let begun = Instant::now();
    let served = volume.serve(&store, async { terminated.await.unwrap() });
    hand_over(&attempt, 0, &[("A", "one")]);
    terminate.send(()).unwrap();
    served.await;
    assert_eq!(*store.put.borrow(), ["base A Secret file=one"]);
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_sidecar_continues() {
    let (volume, store) = (Volume::new(), RecordingStore { hangs: true, ..RecordingStore::default() });
    let attempt = volume.begin("base");
    hand_over(&attempt, 0, &[("A", "one")]);
    // Killed while it stores.
    timeout(Duration::from_secs(1), volume.serve(&store, pending())).await.unwrap_err();
    assert_eq!(attempt.result().unwrap(), None);

    let store = RecordingStore::default();
    volume.serve(&store, async {}).await;
    assert_eq!(attempt.result().unwrap(), Some(StoreResult::Stored));
    volume.serve(&store, async {}).await;
    assert_eq!(store.put.borrow().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_container_is_served_again() {
    let (volume, store) = (Volume::new(), RecordingStore::default());
    volume
        .serve(&store, async {
            for content in ["first", "second"] {
                let attempt = volume.begin("base");
                hand_over(&attempt, 0, &[("A", content)]);
                assert_eq!(result(&attempt).await, StoreResult::Stored);
            }
        })
        .await;
    assert_eq!(*store.put.borrow(), ["base A Secret file=first", "base A Secret file=second"]);
}

#[tokio::test(start_paused = true)]
async fn only_regular_files_of_the_manifest_are_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file-0"), "one").unwrap();
    for spoil in [
        (|file, outside| symlink(outside, file).unwrap()) as fn(&Path, &Path),
        |file, _| fs::create_dir(file).unwrap(),
        |file, _| fs::write(file, "more than one").unwrap(),
        |file, _| fs::write(file, "").unwrap(),
        |file, _| fs::File::create(file).unwrap().set_len(1 << 31).unwrap(),
        |file, _| {
            let made = std::process::Command::new("mkfifo").arg(file).status().unwrap();
            assert!(made.success());
        },
        |_, _| {},
    ] {
        let (volume, store) = (Volume::new(), RecordingStore::default());
        let attempt = volume.begin("base");
        hand_over(&attempt, 0, &[("A", "one")]);
        let file = volume.0.path().join("base/1/file-0");
        fs::remove_file(&file).unwrap();
        spoil(&file, &outside.path().join("file-0"));
        volume.serve(&store, async {}).await;
        assert!(store.put.borrow().is_empty());
        assert!(
            matches!(attempt.result().unwrap(), Some(StoreResult::Failed(message)) if message.as_str().starts_with("output \"A\": "))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_its_task_damaged_is_ignored() {
    let (volume, store) = (Volume::new(), RecordingStore::default());
    let elsewhere = Volume::new();
    hand_over(&elsewhere.begin("other"), 0, &[("A", "one")]);
    // A link to the handover folder of another container, instead of the own folder.
    symlink(elsewhere.0.path().join("other"), volume.0.path().join("base")).unwrap();
    fs::create_dir(volume.0.path().join("other")).unwrap();
    fs::write(volume.0.path().join("other/attempt"), "../1").unwrap();
    volume.serve(&store, sleep(Duration::from_secs(1))).await;
    assert!(store.put.borrow().is_empty() && store.reported.borrow().is_empty());

    // An invalid manifest has a result, because the launcher may wait for it.
    let attempt = elsewhere.begin("base");
    fs::write(elsewhere.0.path().join("base/1/manifest"), "bootlace-handover 9\nend\n").unwrap();
    elsewhere.serve(&store, async {}).await;
    assert!(
        matches!(attempt.result().unwrap(), Some(StoreResult::Failed(message)) if message.as_str().ends_with("[BL4109]"))
    );
}

/// The launcher of a container publishes a manifest without outputs, and exits.
fn ends(volume: &Volume, container: &str, exit: u8) {
    let attempt = volume.begin(container);
    attempt.publish(&Manifest::nothing(exit)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_sidecar_ends_with_the_tasks_if_the_pod_does() {
    let (volume, store) = (Volume::new(), RecordingStore::default());
    let launchers = async {
        ends(&volume, "other", 3);
        let attempt = volume.begin("base");
        hand_over(&attempt, 0, &[("A", "one")]);
        assert_eq!(result(&attempt).await, StoreResult::Stored);
        // It has a result, but has not exited.
        sleep(Duration::from_mins(1)).await;
        drop(attempt);
        Instant::now()
    };
    let (over, ended) =
        tokio::join!(volume.serve_that(SidecarLifetime::WithTasks, &store, pending()), launchers);
    assert!(over && ended.elapsed() <= POLL_INTERVAL, "{:?} after the last task", ended.elapsed());
    assert_eq!(*store.put.borrow(), ["base A Secret file=one"]);
}

#[tokio::test(start_paused = true)]
async fn the_sidecar_waits_for_failed_tasks_that_restart() {
    let (volume, store) = (Volume::new(), RecordingStore { refuses: Some("A"), ..RecordingStore::default() });
    let launchers = async {
        ends(&volume, "other", 0);
        ends(&volume, "base", 3);
        sleep(Duration::from_mins(1)).await;
        // The task has succeeded, but its output is not stored, so the container fails.
        let attempt = volume.begin("base");
        hand_over(&attempt, 0, &[("A", "one")]);
        assert!(matches!(result(&attempt).await, StoreResult::Failed(_)));
        drop(attempt);
        sleep(Duration::from_mins(1)).await;
        ends(&volume, "base", 0);
        Instant::now()
    };
    let (over, ended) =
        tokio::join!(volume.serve_that(SidecarLifetime::WithSuccess, &store, pending()), launchers);
    assert!(over && ended.elapsed() <= 2 * POLL_INTERVAL, "{:?} after the last task", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_sidecar_waits_for_the_signal_if_a_launcher_was_killed() {
    let (volume, store) = (Volume::new(), RecordingStore::default());
    drop(volume.begin("base"));
    ends(&volume, "other", 0);
    assert!(!volume.serve_that(SidecarLifetime::WithTasks, &store, sleep(Duration::from_mins(1))).await);
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_restarts_after_all_tasks_have_ended_exits_at_once() {
    let (volume, store) = (Volume::new(), RecordingStore::default());
    ends(&volume, "other", 0);
    let attempt = volume.begin("base");
    hand_over(&attempt, 0, &[("A", "one")]);
    attempt.write_result(&StoreResult::Stored).unwrap();
    drop(attempt);
    let begun = Instant::now();
    assert!(volume.serve_that(SidecarLifetime::WithSuccess, &store, pending()).await);
    assert!(begun.elapsed() <= POLL_INTERVAL && store.put.borrow().is_empty());
}
