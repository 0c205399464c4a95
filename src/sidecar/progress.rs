//! Passes the progress of tasks to the store: the last lines of files that the tasks write.
//!
//! The task may write a million lines or none, rubbish, or something else than a file. So only the end of a
//! regular file is read, a few times a minute, and only a line that has changed is sent. Progress is a
//! convenience: nothing of it fails or delays a task.

use std::convert::Infallible;
use std::fs::{File, Permissions};
use std::future::Future;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use bootlace_launch::handover::Folder;
use reqwest::Method;
use tokio::time::sleep;

use crate::store_client::StoreClient;
use crate::store_client::protocol::{PATH_PROGRESS, ProgressRequest};
use bootlace_core::code::Coded as _;
use bootlace_core::names;
use bootlace_core::output::{ProgressFile, SidecarConfig};
use bootlace_core::progress;

/// How often the files are read, and so the shortest time between two requests: each changes the pod, which
/// goes to every watcher of pods.
const INTERVAL: Duration = Duration::from_secs(5);
/// Timeout of a request. The next one contains newer progress.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Timeout of the last request, which delays the end of the pod.
const LAST_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes at the end of a file that are read.
const TAIL_BYTES: u64 = 4096;
/// A file with more bytes is emptied after it was read, because it is in memory.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Does `work`, and passes on the progress of the tasks until it is done.
pub(super) async fn report_during<T>(
    config: &SidecarConfig<'_>,
    token: &Path,
    work: impl Future<Output = T>,
) -> T {
    if config.progress.is_empty() {
        return work.await;
    }
    let client = match StoreClient::new(&config.store, token) {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!("failed to set up reports of progress: {error} [{}]", error.code());
            return work.await;
        }
    };
    let mut reporter = Reporter::new(&config.progress, RemoteProgress(client));
    let done = {
        let mut reporting = std::pin::pin!(reporter.run());
        let mut work = std::pin::pin!(work);
        tokio::select! {
            done = &mut work => done,
            never = &mut reporting => match never {},
        }
    };
    // The tasks have written their last lines.
    reporter.report(LAST_TIMEOUT).await;
    done
}

/// Where progress is sent.
trait ProgressStore {
    /// Sends a line within `time`.
    async fn send(&self, line: &str, time: Duration) -> Sent;
}

/// What came of a line that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// It is stored.
    Stored,
    /// It is not stored, and the next one may be.
    NotNow,
    /// No line of the pod will be stored.
    Never,
}

struct RemoteProgress<'a>(StoreClient<'a>);

impl ProgressStore for RemoteProgress<'_> {
    async fn send(&self, line: &str, time: Duration) -> Sent {
        let body = serde_json::to_vec(&ProgressRequest { line: line.to_owned() }).unwrap_or_default();
        match self.0.request(Method::PUT, PATH_PROGRESS, body.into(), time).await {
            Ok(_) => Sent::Stored,
            Err(error) if error.is_refusal() => {
                tracing::warn!("the store accepts no progress of this pod: {error} [{}]", error.code());
                Sent::Never
            }
            Err(error) => {
                tracing::debug!("failed to report progress: {error} [{}]", error.code());
                Sent::NotNow
            }
        }
    }
}

/// Reads the files and sends what has changed.
struct Reporter<'f, S> {
    files: Vec<Watched<'f>>,
    store: S,
    /// The last line that was stored.
    sent: Option<String>,
    is_refused: bool,
}

impl<'f, S: ProgressStore> Reporter<'f, S> {
    fn new(files: &'f [ProgressFile], store: S) -> Self {
        let files = files.iter().map(Watched::new).collect();
        Self { files, store, sent: None, is_refused: false }
    }

    async fn run(&mut self) -> Infallible {
        loop {
            self.report(TIMEOUT).await;
            sleep(INTERVAL).await;
        }
    }

    /// Sends the line that has changed last, if it is not the one that was sent last.
    async fn report(&mut self, time: Duration) {
        if self.is_refused {
            return;
        }
        // All files are read, so that each is emptied if it is large.
        let changed: Vec<_> = self.files.iter_mut().filter_map(Watched::changed).collect();
        let Some(line) = changed.into_iter().next_back() else { return };
        if self.sent.as_deref() == Some(&line) {
            return;
        }
        match self.store.send(&line, time).await {
            Sent::Stored => self.sent = Some(line),
            Sent::NotNow => self.files.iter_mut().for_each(Watched::forget),
            Sent::Never => self.is_refused = true,
        }
    }
}

/// A file of a task.
struct Watched<'f> {
    file: &'f ProgressFile,
    /// The line that was read last.
    line: Option<String>,
    /// The file, if this process has created it.
    own: Option<File>,
}

impl<'f> Watched<'f> {
    fn new(file: &'f ProgressFile) -> Self {
        let own = if file.folder == names::MOUNT_PROGRESS { create(file).ok() } else { None };
        Self { file, line: None, own }
    }

    /// The last line of the file, if it has changed.
    fn changed(&mut self) -> Option<String> {
        let line = self.read().ok().flatten()?;
        if self.line.as_ref() == Some(&line) {
            return None;
        }
        self.line = Some(line.clone());
        Some(line)
    }

    /// Makes the line count as changed again.
    fn forget(&mut self) {
        self.line = None;
    }

    /// The last line of the file. A file that does not exist yet is an error like any other: the task decides
    /// what exists.
    fn read(&self) -> io::Result<Option<String>> {
        let mut file = open(self.file)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let size = metadata.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut tail)?;
        if size > MAX_FILE_BYTES
            && let Some(own) = &self.own
            && is_same(&metadata, &own.metadata()?)
        {
            own.set_len(0)?;
        }
        let line = progress::last_line(&tail);
        Ok(line.filter(|line| !self.file.counts_only || progress::is_count(line)))
    }
}

/// Creates the file of a task, so that a task with any user and umask can write to it, and this process can
/// read it.
fn create(file: &ProgressFile) -> io::Result<File> {
    let created = Folder::open(Path::new(&file.folder))?.create(&file.name)?;
    created.set_permissions(Permissions::from_mode(0o666))?;
    Ok(created)
}

/// Opens a file in its folder, never through a link: a task could link to the token of this container.
fn open(file: &ProgressFile) -> io::Result<File> {
    let mut folder = Folder::open(Path::new(&file.folder))?;
    let mut parts = file.name.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return folder.file(part);
        }
        folder = folder.folder(part)?;
    }
    Err(io::ErrorKind::InvalidInput.into())
}

fn is_same(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A store that records what it is sent.
    #[derive(Default)]
    struct Recorded {
        lines: RefCell<Vec<String>>,
        /// What it answers, from the last to the first, and then that it has stored the line.
        answers: RefCell<Vec<Sent>>,
    }

    impl ProgressStore for &Recorded {
        async fn send(&self, line: &str, _: Duration) -> Sent {
            self.lines.borrow_mut().push(line.to_owned());
            self.answers.borrow_mut().pop().unwrap_or(Sent::Stored)
        }
    }

    fn file(folder: &Path, name: &str, counts_only: bool) -> ProgressFile {
        let folder = folder.to_str().unwrap().to_owned();
        ProgressFile { folder, name: name.to_owned(), counts_only }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_sent_when_it_has_changed() {
        let (folder, store) = (tempfile::tempdir().unwrap(), Recorded::default());
        let files = [file(folder.path(), "main", false), file(folder.path(), "run/argo", true)];
        let mut reporter = Reporter::new(&files, &store);
        reporter.report(TIMEOUT).await;
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("main", "1/3 a\n2/3 b\n");
        for _ in 0..3 {
            reporter.report(TIMEOUT).await;
        }
        write("main", "1/3 a\n2/3 b\n3/3 c\n");
        reporter.report(TIMEOUT).await;
        // The file of a scheduler, in which only counts are progress.
        std::fs::create_dir(folder.path().join("run")).unwrap();
        write("run/argo", "4/5 x");
        reporter.report(TIMEOUT).await;
        write("run/argo", "4/5");
        reporter.report(TIMEOUT).await;
        assert_eq!(*store.lines.borrow(), ["2/3 b", "3/3 c", "4/5"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_was_not_stored_is_sent_again_and_a_refusal_is_final() {
        let (folder, store) = (tempfile::tempdir().unwrap(), Recorded::default());
        store.answers.borrow_mut().extend([Sent::Never, Sent::NotNow]);
        let files = [file(folder.path(), "main", false)];
        let mut reporter = Reporter::new(&files, &store);
        std::fs::write(folder.path().join("main"), "a").unwrap();
        for _ in 0..4 {
            reporter.report(TIMEOUT).await;
        }
        assert_eq!(*store.lines.borrow(), ["a", "a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_have_an_interval_however_often_a_task_writes() {
        let (folder, store) = (tempfile::tempdir().unwrap(), Recorded::default());
        let files = [file(folder.path(), "main", false)];
        let mut reporter = Reporter::new(&files, &store);
        let task = async {
            for number in 0..600 {
                std::fs::write(folder.path().join("main"), format!("{number}/600")).unwrap();
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = task => {}
            never = reporter.run() => match never {},
        }
        let sent = store.lines.borrow().len();
        assert!((11..=13).contains(&sent), "{sent} requests in a minute");
    }

    #[test]
    fn a_million_lines_are_read_in_bounded_memory_and_the_file_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path(), "main", false);
        let own = create(&file).unwrap();
        let mut watched = Watched { file: &file, line: None, own: Some(own) };
        let path = folder.path().join("main");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        let mut task = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        for part in 0..1000 {
            let mut lines = Vec::new();
            for line in 0..1000 {
                writeln!(lines, "{}/1000000", part * 1000 + line).unwrap();
            }
            task.write_all(&lines).unwrap();
        }
        assert_eq!(watched.changed().as_deref(), Some("999999/1000000"));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        task.write_all(b"1000000/1000000\n").unwrap();
        assert_eq!(watched.changed().as_deref(), Some("1000000/1000000"));
        // A task that does not append leaves a hole.
        own_hole(&path);
        assert_eq!(watched.changed().as_deref(), Some("after"));
    }

    fn own_hole(path: &Path) {
        let mut task = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        task.seek(SeekFrom::Start(1 << 20)).unwrap();
        task.write_all(b"after\n").unwrap();
    }

    #[test]
    fn only_regular_files_below_the_folder_are_read() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("token"), "secret").unwrap();
        let path = |name: &str| folder.path().join(name);
        symlink(outside.path().join("token"), path("link")).unwrap();
        symlink(outside.path(), path("folder")).unwrap();
        std::fs::create_dir(path("directory")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        for name in ["link", "folder/token", "directory", "pipe", "missing", "../x", "", "directory/.."] {
            let file = file(folder.path(), name, false);
            let mut watched = Watched { file: &file, line: None, own: None };
            assert_eq!(watched.changed(), None, "{name}");
        }
    }
}
