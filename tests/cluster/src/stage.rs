//! One line for each slow thing that is done, how far it is, and how long it took.
//!
//! All of it goes to standard error, because standard output belongs to whatever command is run on the cluster.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::Result;

/// On a terminal, the line that says how far the stages are changes this often.
const FRAME: Duration = Duration::from_millis(250);
/// Elsewhere, a line is added this often.
const LINE: Duration = Duration::from_secs(15);

/// How far a stage is, for whoever waits: the stage's work sets it.
#[derive(Clone, Default)]
pub struct Progress(Arc<Mutex<String>>);

impl Progress {
    /// Replaces what is shown beside the stage's name.
    pub fn set(&self, text: impl Into<String>) {
        *lock(&self.0) = text.into();
    }

    fn get(&self) -> String {
        lock(&self.0).clone()
    }
}

/// The stages that run, and those that have ended.
struct Board {
    running: Vec<Running>,
    ended: Vec<(String, Duration)>,
    next: usize,
    /// When the first stage began.
    began: Option<Instant>,
    /// When something was printed last.
    printed: Option<Instant>,
    /// Whether the last line is one that the next replaces.
    changing: bool,
}

struct Running {
    number: usize,
    what: String,
    started: Instant,
    progress: Progress,
}

static BOARD: Mutex<Board> = Mutex::new(Board {
    running: Vec::new(),
    ended: Vec::new(),
    next: 0,
    began: None,
    printed: None,
    changing: false,
});

/// Says `what` is being done, does it, and says how long it took. Stages may run at the same time.
///
/// # Errors
/// Those of `work`.
pub async fn stage<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    progressing(what, async |_| work.await).await
}

/// As [`stage`], for work that says how far it is.
///
/// # Errors
/// Those of `work`.
pub async fn progressing<T>(what: &str, work: impl AsyncFnOnce(&Progress) -> Result<T>) -> Result<T> {
    let progress = Progress::default();
    let on_board = OnBoard { number: lock(&BOARD).begin(what, &progress) };
    let mut work = std::pin::pin!(work(&progress));
    let mut frames = tokio::time::interval(FRAME);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            _ = frames.tick() => lock(&BOARD).show(),
        }
    };
    lock(&BOARD).end(on_board.number, result.is_ok());
    result
}

/// Prints a line between those of the stages.
pub fn say(line: &str) {
    lock(&BOARD).line(line);
}

/// Says how long each stage took, and `what` as a whole: since `make` began (`BOOTLACE_STARTED`, in seconds of the epoch), or
/// since the first stage did.
pub fn say_times(what: &str) {
    let mut board = lock(&BOARD);
    let began = std::env::var("BOOTLACE_STARTED").ok().and_then(|seconds| seconds.parse().ok());
    let began = began.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    let whole = began.and_then(|began| began.elapsed().ok());
    let whole = whole.or_else(|| Some(board.began?.elapsed())).unwrap_or_default();
    let lines: Vec<_> =
        board.ended.iter().map(|(what, took)| format!("    {}: {what}", Took(*took))).collect();
    board.line(&format!("\n{what} took {}. Some of it was done at the same time:", Took(whole)));
    for line in lines {
        board.line(&line);
    }
}

/// A stage's place on the board, which is free again when its work is dropped.
struct OnBoard {
    number: usize,
}

impl Drop for OnBoard {
    fn drop(&mut self) {
        lock(&BOARD).remove(self.number);
    }
}

impl Board {
    fn begin(&mut self, what: &str, progress: &Progress) -> usize {
        self.line(&format!("==> {what}"));
        self.began.get_or_insert_with(Instant::now);
        let number = self.next;
        self.next += 1;
        let (what, progress) = (what.to_owned(), progress.clone());
        self.running.push(Running { number, what, started: Instant::now(), progress });
        number
    }

    fn remove(&mut self, number: usize) -> Option<Running> {
        let at = self.running.iter().position(|stage| stage.number == number)?;
        Some(self.running.remove(at))
    }

    fn end(&mut self, number: usize, succeeded: bool) {
        let Some(stage) = self.remove(number) else { return };
        let took = stage.started.elapsed();
        let how = if succeeded { "done in" } else { "failed after" };
        // Which of several it was; of one alone the line above says it.
        let which = if self.running.is_empty() { String::new() } else { format!(": {}", stage.what) };
        self.line(&format!("    {how} {}{which}", Took(took)));
        self.ended.push((stage.what, took));
    }

    /// Says how far the stages are, where it is time to.
    fn show(&mut self) {
        let terminal = std::io::stderr().is_terminal();
        let pause = if terminal { FRAME } else { LINE };
        let Some(first) = self.running.first() else { return };
        if self.printed.is_some_and(|printed| printed.elapsed() < pause) {
            return;
        }
        let line = format!("    {}", far(first.started.elapsed(), &self.running));
        if terminal {
            let width = width();
            eprint!("\r\u{1b}[K{}", line.chars().take(width).collect::<String>());
        } else {
            eprintln!("{line}");
        }
        (self.printed, self.changing) = (Some(Instant::now()), terminal);
    }

    fn line(&mut self, line: &str) {
        let clear = if self.changing { "\r\u{1b}[K" } else { "" };
        eprintln!("{clear}{line}");
        (self.printed, self.changing) = (Some(Instant::now()), false);
    }
}

/// One line for all of them. Of one alone the name stands above.
fn far(elapsed: Duration, stages: &[Running]) -> String {
    let parts = stages.iter().map(|stage| {
        let progress = stage.progress.get();
        match (stages.len(), progress.as_str()) {
            (1, "") => "at work".to_owned(),
            (1, _) => progress,
            (_, "") => stage.what.clone(),
            _ => format!("{}: {progress}", stage.what),
        }
    });
    format!("{}: {}", Took(elapsed), parts.collect::<Vec<_>>().join("; "))
}

/// The terminal's, or what is usual.
fn width() -> usize {
    static WIDTH: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *WIDTH.get_or_init(|| {
        let size = std::fs::File::open("/dev/tty").and_then(|terminal| {
            let stty = std::process::Command::new("stty").arg("size").stdin(terminal).output()?;
            Ok(String::from_utf8_lossy(&stty.stdout).into_owned())
        });
        let size = size.unwrap_or_default();
        // A terminal may not know, and say 0.
        size.split_whitespace()
            .nth(1)
            .and_then(|columns| columns.parse().ok())
            .filter(|n| *n > 0)
            .unwrap_or(80)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic left is shown all the same.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A duration as people write it: `0.4s`, `12.0s`, `6m41s`.
pub(crate) struct Took(pub(crate) Duration);

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            write!(f, "{:.1}s", self.0.as_secs_f64())
        } else {
            write!(f, "{}m{:02}s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let took = |millis| Took(Duration::from_millis(millis)).to_string();
        assert_eq!(took(420), "0.4s");
        assert_eq!(took(401_000), "6m41s");
        assert_eq!(took(3_605_000), "60m05s");
    }

    #[test]
    fn one_line_says_how_far_every_stage_is() {
        let running = |what: &str, progress: &str| {
            let stage = Running {
                number: 0,
                what: what.to_owned(),
                started: Instant::now(),
                progress: Progress::default(),
            };
            stage.progress.set(progress);
            stage
        };
        let elapsed = Duration::from_secs(75);
        let mut stages = vec![running("Kubernetes", "compiled 12 of 2793 packages")];
        assert_eq!(far(elapsed, &stages), "1m15s: compiled 12 of 2793 packages");
        stages.push(running("Airflow", ""));
        assert_eq!(far(elapsed, &stages), "1m15s: Kubernetes: compiled 12 of 2793 packages; Airflow");
        assert_eq!(far(elapsed, &[running("starting the cluster", "")]), "1m15s: at work");
    }

    #[test]
    fn a_stage_leaves_the_board_when_it_ends_and_when_it_is_dropped() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let is_running = |what: &str| lock(&BOARD).running.iter().any(|stage| stage.what == what);
        runtime.block_on(async {
            let running = stage("a test that ends", async { Ok(is_running("a test that ends")) });
            assert!(running.await.unwrap());
            assert!(!is_running("a test that ends"));
            assert!(lock(&BOARD).ended.iter().any(|(what, _)| what == "a test that ends"));
            let never = stage("a test that is dropped", std::future::pending::<Result<()>>());
            tokio::time::timeout(Duration::from_millis(10), never).await.unwrap_err();
            assert!(!is_running("a test that is dropped"));
        });
    }
}
