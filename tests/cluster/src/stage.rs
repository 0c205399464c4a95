//! Reports stages, the slow steps of a run: their start, progress and duration.
//!
//! All output goes to standard error, because standard output belongs to the command that runs on the
//! cluster.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::Result;

/// The interval at which the progress line is updated on a terminal.
const FRAME: Duration = Duration::from_millis(250);
/// The interval at which a progress line is printed otherwise.
const LINE: Duration = Duration::from_secs(15);

/// The progress of a stage, which the work of the stage sets.
#[derive(Clone, Default)]
pub struct Progress(Arc<Mutex<String>>);

impl Progress {
    /// Replaces the progress text.
    pub fn set(&self, text: impl Into<String>) {
        *lock(&self.0) = text.into();
    }

    fn get(&self) -> String {
        lock(&self.0).clone()
    }
}

/// All stages, running and finished.
struct Board {
    running: Vec<Running>,
    ended: Vec<(String, Duration)>,
    next: usize,
    /// When the first stage started.
    started: Option<Instant>,
    /// When the last line was printed.
    printed: Option<Instant>,
    /// Whether the last line is a progress line on a terminal, which the next line replaces.
    is_progress_line: bool,
}

struct Running {
    number: usize,
    name: String,
    started: Instant,
    progress: Progress,
}

static BOARD: Mutex<Board> = Mutex::new(Board {
    running: Vec::new(),
    ended: Vec::new(),
    next: 0,
    started: None,
    printed: None,
    is_progress_line: false,
});

/// Runs `work` as the stage `name`, and prints its start and its duration. Stages can run concurrently.
///
/// # Errors
/// The errors of `work`.
pub async fn stage<T>(name: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    progressing(name, async |_| work.await).await
}

/// As [`stage`], for work that reports its progress.
///
/// # Errors
/// The errors of `work`.
pub async fn progressing<T>(name: &str, work: impl AsyncFnOnce(&Progress) -> Result<T>) -> Result<T> {
    let progress = Progress::default();
    let on_board = OnBoard { number: lock(&BOARD).start(name, &progress) };
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
pub fn print(line: &str) {
    lock(&BOARD).line(line);
}

/// Prints the duration of each stage, and that of the whole run, called `name`: since the start of `make`
/// (`BOOTLACE_STARTED`, in seconds since the epoch), or since the first stage.
pub fn print_times(name: &str) {
    let mut board = lock(&BOARD);
    let started = std::env::var("BOOTLACE_STARTED").ok().and_then(|seconds| seconds.parse().ok());
    let started = started.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    let total = started.and_then(|started| started.elapsed().ok());
    let total = total.or_else(|| Some(board.started?.elapsed())).unwrap_or_default();
    let lines: Vec<_> =
        board.ended.iter().map(|(name, took)| format!("    {}: {name}", Took(*took))).collect();
    board.line(&format!("\n{name} took {}. Some of these stages ran at the same time:", Took(total)));
    for line in lines {
        board.line(&line);
    }
}

/// Removes a stage from the board when its work ends or is dropped.
struct OnBoard {
    number: usize,
}

impl Drop for OnBoard {
    fn drop(&mut self) {
        lock(&BOARD).remove(self.number);
    }
}

impl Board {
    fn start(&mut self, name: &str, progress: &Progress) -> usize {
        self.line(&format!("==> {name}"));
        self.started.get_or_insert_with(Instant::now);
        let number = self.next;
        self.next += 1;
        let (name, progress) = (name.to_owned(), progress.clone());
        self.running.push(Running { number, name, started: Instant::now(), progress });
        number
    }

    fn remove(&mut self, number: usize) -> Option<Running> {
        let at = self.running.iter().position(|stage| stage.number == number)?;
        Some(self.running.remove(at))
    }

    fn end(&mut self, number: usize, succeeded: bool) {
        let Some(stage) = self.remove(number) else { return };
        let took = stage.started.elapsed();
        let result = if succeeded { "done in" } else { "failed after" };
        // If no other stage runs, the line above is that of this stage and contains its name.
        let suffix = if self.running.is_empty() { String::new() } else { format!(": {}", stage.name) };
        self.line(&format!("    {result} {}{suffix}", Took(took)));
        self.ended.push((stage.name, took));
    }

    /// Prints the progress of the running stages, at most once per interval.
    fn show(&mut self) {
        let terminal = std::io::stderr().is_terminal();
        let pause = if terminal { FRAME } else { LINE };
        let Some(first) = self.running.first() else { return };
        if self.printed.is_some_and(|printed| printed.elapsed() < pause) {
            return;
        }
        let line = format!("    {}", progress_line(first.started.elapsed(), &self.running));
        if terminal {
            let width = width();
            eprint!("\r\u{1b}[K{}", line.chars().take(width).collect::<String>());
        } else {
            eprintln!("{line}");
        }
        (self.printed, self.is_progress_line) = (Some(Instant::now()), terminal);
    }

    fn line(&mut self, line: &str) {
        let clear = if self.is_progress_line { "\r\u{1b}[K" } else { "" };
        eprintln!("{clear}{line}");
        (self.printed, self.is_progress_line) = (Some(Instant::now()), false);
    }
}

/// One line with the progress of all `stages`. The name of a single stage is omitted, because it is in the
/// line above.
fn progress_line(elapsed: Duration, stages: &[Running]) -> String {
    let parts = stages.iter().map(|stage| {
        let progress = stage.progress.get();
        match (stages.len(), progress.as_str()) {
            (1, "") => "in progress".to_owned(),
            (1, _) => progress,
            (_, "") => stage.name.clone(),
            _ => format!("{}: {progress}", stage.name),
        }
    });
    format!("{}: {}", Took(elapsed), parts.collect::<Vec<_>>().join("; "))
}

/// The width of the terminal, or 80.
fn width() -> usize {
    static WIDTH: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *WIDTH.get_or_init(|| {
        let size = std::fs::File::open("/dev/tty").and_then(|terminal| {
            let stty = std::process::Command::new("stty").arg("size").stdin(terminal).output()?;
            Ok(String::from_utf8_lossy(&stty.stdout).into_owned())
        });
        let size = size.unwrap_or_default();
        // A terminal that does not know its width reports 0.
        size.split_whitespace()
            .nth(1)
            .and_then(|columns| columns.parse().ok())
            .filter(|n| *n > 0)
            .unwrap_or(80)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The board is only used for output, so it is usable even after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Displays a duration as `0.4s`, `12.0s` or `6m41s`.
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
    fn durations_have_minutes_and_seconds() {
        let took = |millis| Took(Duration::from_millis(millis)).to_string();
        assert_eq!(took(420), "0.4s");
        assert_eq!(took(401_000), "6m41s");
        assert_eq!(took(3_605_000), "60m05s");
    }

    #[test]
    fn one_line_shows_the_progress_of_all_stages() {
        let running = |name: &str, progress: &str| {
            let stage = Running {
                number: 0,
                name: name.to_owned(),
                started: Instant::now(),
                progress: Progress::default(),
            };
            stage.progress.set(progress);
            stage
        };
        let elapsed = Duration::from_secs(75);
        let mut stages = vec![running("Kubernetes", "compiled 12 of 2793 packages")];
        assert_eq!(progress_line(elapsed, &stages), "1m15s: compiled 12 of 2793 packages");
        stages.push(running("Airflow", ""));
        assert_eq!(
            progress_line(elapsed, &stages),
            "1m15s: Kubernetes: compiled 12 of 2793 packages; Airflow"
        );
        assert_eq!(progress_line(elapsed, &[running("starting the cluster", "")]), "1m15s: in progress");
    }

    #[test]
    fn a_stage_leaves_the_board_when_it_ends_and_when_it_is_dropped() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let is_running = |name: &str| lock(&BOARD).running.iter().any(|stage| stage.name == name);
        runtime.block_on(async {
            let running = stage("a test that ends", async { Ok(is_running("a test that ends")) });
            assert!(running.await.unwrap());
            assert!(!is_running("a test that ends"));
            assert!(lock(&BOARD).ended.iter().any(|(name, _)| name == "a test that ends"));
            let never = stage("a test that is dropped", std::future::pending::<Result<()>>());
            tokio::time::timeout(Duration::from_millis(10), never).await.unwrap_err();
            assert!(!is_running("a test that is dropped"));
        });
    }
}
