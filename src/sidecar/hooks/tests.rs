use std::cell::{Cell, RefCell};
use std::fs;
use std::future::pending;
use std::path::Path;

use bootlace_launch::handover::{Attempt, Cause, Ended, Ending};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::*;
use crate::hook_request::HookError;
use crate::http::{HttpError, MountError};
use crate::store_client::protocol::EventKind;
use bootlace_core::abort::RenderedHook;
use bootlace_core::identity::Identity;
use bootlace_core::names;
use serde_json::json;

const GRACE: Duration = Duration::from_secs(20);

/// Services that record their requests.
#[derive(Default)]
struct Recording {
    sent: RefCell<Vec<String>>,
    records: RefCell<Vec<String>>,
    events: RefCell<Vec<String>>,
    /// Whether the servers of hooks refuse every request.
    refuses: bool,
    /// Whether the store never answers.
    store_hangs: Cell<bool>,
}

impl HookServices for Recording {
    async fn send(&self, hook: &RenderedHook, _: Instant) -> Result<(), HookError> {
        let body = hook.body.as_ref().map_or("", |(_, body)| body);
        self.sent
            .borrow_mut()
            .push(format!("{} {} {body}", hook.name, hook.url.path()).trim_end().to_owned());
        if self.refuses {
            let error = HttpError::Setup("refused".to_owned());
            return Err(HookError::Mount(MountError::Http(error)));
        }
        Ok(())
    }

    async fn record(&self, container: &str, start: u32, text: Option<&str>) -> bool {
        if self.store_hangs.get() {
            pending::<()>().await;
        }
        self.records.borrow_mut().push(format!("put {container} {start} {}", text.unwrap_or("-")));
        true
    }

    async fn forget(&self, container: &str) {
        self.records.borrow_mut().push(format!("delete {container}"));
    }

    async fn report(&self, kind: EventKind, note: String) {
        self.events.borrow_mut().push(format!("{kind:?} {note}"));
    }
}

/// A volume with handover folders.
struct Volume(tempfile::TempDir);

impl Volume {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn begin(&self) -> Attempt {
        let path = self.path().join("base");
        let attempt = Attempt::begin(&path).unwrap();
        attempt.create_abort_file(&path).unwrap();
        attempt
    }

    /// The task writes this text.
    fn leave(&self, attempt: &Attempt, text: &str) {
        fs::write(self.path().join(format!("base/{}/abort", attempt.number())), text).unwrap();
    }

    fn stop_pod(&self) {
        fs::write(self.path().join(names::FILE_STOPPING), "").unwrap();
    }

    async fn serve(&self, services: &Recording, until: impl Future<Output = ()>) -> bool {
        self.serve_that(SidecarLifetime::WhenTold, services, until).await
    }

    async fn serve_that(
        &self,
        ends: SidecarLifetime,
        services: &Recording,
        until: impl Future<Output = ()>,
    ) -> bool {
        let cancel = json!({"name": "cancel", "http": {"url": "https://spark.example.com", "path": "jobs/{{ abort }}"}});
        let told = json!({
            "name": "told", "onFailure": "Ignore",
            "http": {"url": "https://chat.example.com", "body": "\"{{ exitCode }} {{ signal }}\""},
        });
        let config: HooksConfig<'_> =
            serde_json::from_value(json!({"postKill": [told], "abort": [cancel]})).unwrap();
        let task = Identity { run: Some("r1".to_owned()), ..Identity::default() };
        let event = HookEvent { task, pod: "load".to_owned(), ..HookEvent::default() };
        let hooks = PodHooks { config: &config, event, grace_period: GRACE };
        serve(self.path(), &["base".to_owned()], ends, &hooks, services, until).await.unwrap()
    }
}

fn ended(cause: Cause, exit: u8, signal: u8) -> Ending {
    Ending::Ended(Ended { cause, exit, signal, milliseconds: 1000 })
}

async fn moment() {
    sleep(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_by_itself_is_not_aborted_and_its_record_is_removed() {
    for exit in [0, 1] {
        let (volume, services) = (Volume::new(), Recording::default());
        let attempt = volume.begin();
        let task = async {
            moment().await;
            volume.leave(&attempt, "job-17\n");
            moment().await;
            attempt.publish_ending(ended(Cause::Itself, exit, 0)).unwrap();
            moment().await;
            volume.stop_pod();
            moment().await;
        };
        assert!(!volume.serve(&services, task).await);
        assert_eq!(*services.sent.borrow(), [format!("told / \"{exit} 0\"")]);
        assert_eq!(*services.records.borrow(), ["put base 1 job-17", "delete base"]);
        assert!(services.events.borrow().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_stopped_is_aborted_at_once_and_only_once() {
    let (volume, services) = (Volume::new(), Recording::default());
    let attempt = volume.begin();
    let task = async {
        volume.leave(&attempt, "job-17");
        moment().await;
        attempt.publish_ending(Ending::Stopping { signal: 15 }).unwrap();
        let begun = Instant::now();
        while services.sent.borrow().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
        volume.stop_pod();
        moment().await;
        attempt.publish_ending(ended(Cause::Others, 143, 15)).unwrap();
        moment().await;
    };
    volume.serve(&services, task).await;
    assert_eq!(*services.sent.borrow(), ["cancel /jobs/job-17", "told / \"143 15\""]);
    assert_eq!(*services.records.borrow(), ["put base 1 job-17", "delete base"]);
    assert_eq!(
        *services.events.borrow(),
        ["Aborted container base: the task was stopped by signal 15; abort hooks sent: cancel"]
    );
    // A sidecar that restarts sends no request.
    volume.serve(&services, moment()).await;
    assert_eq!(services.sent.borrow().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_the_launcher_takes_back_aborts_nothing() {
    let (volume, services) = (Volume::new(), Recording::default());
    let attempt = volume.begin();
    volume.leave(&attempt, "job-17");
    let task = async {
        moment().await;
        attempt.publish_ending(Ending::Stopping { signal: 15 }).unwrap();
        sleep(Duration::from_millis(10)).await;
        attempt.publish_ending(ended(Cause::Itself, 0, 0)).unwrap();
        moment().await;
    };
    volume.serve(&services, task).await;
    assert_eq!(*services.sent.borrow(), ["told / \"0 0\""]);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_launcher_was_killed_is_aborted() {
    let (volume, services) = (Volume::new(), Recording::default());
    let attempt = volume.begin();
    volume.leave(&attempt, "job-17");
    let task = async {
        moment().await;
        drop(attempt);
        moment().await;
    };
    volume.serve(&services, task).await;
    assert_eq!(*services.sent.borrow(), ["cancel /jobs/job-17", "told / \"137 9\""]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_runs_on_when_the_pod_is_stopped_is_aborted_after_a_moment() {
    let (volume, services) = (Volume::new(), Recording::default());
    let attempt = volume.begin();
    volume.leave(&attempt, "job-17");
    let task = async {
        moment().await;
        volume.stop_pod();
        sleep(Duration::from_millis(900)).await;
        assert!(services.sent.borrow().is_empty());
        sleep(Duration::from_millis(200)).await;
        assert_eq!(services.sent.borrow().len(), 1);
        moment().await;
        attempt.publish_ending(ended(Cause::Others, 143, 15)).unwrap();
    };
    volume.serve(&services, task).await;
    assert_eq!(*services.sent.borrow(), ["cancel /jobs/job-17", "told / \"143 15\""]);
    assert!(services.events.borrow()[0].contains("still ran when the pod was stopped"));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_runs_when_the_sidecar_is_terminated_is_aborted() {
    let (volume, services) = (Volume::new(), Recording::default());
    let attempt = volume.begin();
    volume.leave(&attempt, "job-17");
    volume.serve(&services, moment()).await;
    assert_eq!(services.sent.borrow()[0], "cancel /jobs/job-17");
    drop(attempt);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_left_nothing_is_not_aborted() {
    for text in ["", " \n", &"x".repeat(2000)] {
        let (volume, services) = (Volume::new(), Recording::default());
        let attempt = volume.begin();
        volume.leave(&attempt, text);
        let task = async {
            moment().await;
            attempt.publish_ending(ended(Cause::Others, 137, 9)).unwrap();
            moment().await;
        };
        volume.serve(&services, task).await;
        assert_eq!(*services.sent.borrow(), ["told / \"137 9\""]);
        assert!(services.records.borrow().is_empty() && services.events.borrow().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_failed_stays_recorded_and_is_an_event() {
    let (volume, services) = (Volume::new(), Recording { refuses: true, ..Recording::default() });
    let attempt = volume.begin();
    volume.leave(&attempt, "job-17");
    let task = async {
        moment().await;
        volume.leave(&attempt, "job-18");
        attempt.publish_ending(ended(Cause::Others, 143, 15)).unwrap();
        moment().await;
    };
    volume.serve(&services, task).await;
    assert_eq!(*services.records.borrow(), ["put base 1 job-17", "put base 1 job-18"]);
    let events = services.events.borrow();
    assert!(
        events[0].starts_with("AbortFailed container base: the task was killed by signal 15; abort hook ")
    );
    // The failure of the other hook is ignored.
    assert!(events[0].ends_with("[BL4203]") && events.len() == 1, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_delay_the_abort() {
    let (volume, services) = (Volume::new(), Recording::default());
    services.store_hangs.set(true);
    let attempt = volume.begin();
    volume.leave(&attempt, "job-17");
    let task = async {
        moment().await;
        attempt.publish_ending(Ending::Stopping { signal: 15 }).unwrap();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(services.sent.borrow().len(), 1);
        drop(attempt);
        moment().await;
    };
    volume.serve(&services, task).await;
}

#[tokio::test(start_paused = true)]
async fn each_start_of_a_container_is_an_attempt_of_its_own() {
    let (volume, services) = (Volume::new(), Recording::default());
    let task = async {
        let first = volume.begin();
        volume.leave(&first, "job-1");
        moment().await;
        drop(first);
        let second = volume.begin();
        volume.leave(&second, "job-2");
        moment().await;
        second.publish_ending(ended(Cause::Itself, 0, 0)).unwrap();
        moment().await;
    };
    volume.serve(&services, task).await;
    assert_eq!(*services.sent.borrow(), ["cancel /jobs/job-1", "told / \"137 9\"", "told / \"0 0\""]);
    assert_eq!(
        *services.records.borrow(),
        ["put base 1 job-1", "delete base", "put base 2 job-2", "delete base"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_sidecar_ends_with_the_task_after_its_hooks() {
    let (volume, services) = (Volume::new(), Recording::default());
    let attempt = volume.begin();
    let (done, ended_at) = oneshot::channel();
    let task = async {
        moment().await;
        attempt.publish_ending(ended(Cause::Itself, 0, 0)).unwrap();
        drop(attempt);
        done.send(Instant::now()).unwrap();
    };
    let (over, ()) = tokio::join!(volume.serve_that(SidecarLifetime::WithTasks, &services, pending()), task);
    assert!(over && ended_at.await.unwrap().elapsed() < Duration::from_millis(100));
    assert_eq!(*services.sent.borrow(), ["told / \"0 0\""]);
}
