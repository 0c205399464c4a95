//! Which hooks of an attempt have run, in a file outside of the folders of the tasks.

use std::io;

use bootlace_launch::handover::Folder;

use bootlace_core::profile::templates::HookList;

/// The line of an attempt whose hooks have all run.
const COMPLETE: &str = "complete";

/// The maximum size of the file: each list has up to 16 hooks with names of up to 63 bytes.
const MAX_BYTES: u64 = 4096;

/// The hooks of one attempt that have run.
pub(crate) struct CompletedHooks<'a> {
    root: &'a Folder,
    file: String,
    lines: Vec<String>,
}

impl<'a> CompletedHooks<'a> {
    /// Reads those of an earlier process of this sidecar. No container is called like the file,
    /// because the name of a container has no dot.
    pub(crate) fn read(root: &'a Folder, container: &str, number: u32) -> Self {
        let file = format!("{container}.{number}");
        let bytes = root.read(&file, MAX_BYTES).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        Self { root, file, lines: text.lines().map(str::to_owned).collect() }
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_finished(&self) -> bool {
        self.lines.iter().any(|line| line == COMPLETE)
    }

    /// Whether a hook has run successfully.
    pub(crate) fn has_run(&self, list: HookList, hook: &str) -> bool {
        self.lines.contains(&line(list, hook))
    }

    /// A hook has run successfully.
    pub(crate) fn ran(&mut self, list: HookList, hook: &str) {
        self.add(line(list, hook));
    }

    /// Nothing is left to do.
    pub(crate) fn finish(&mut self) {
        self.add(COMPLETE.to_owned());
    }

    fn add(&mut self, line: String) {
        self.lines.push(line);
        if let Err(error) = self.write() {
            // A sidecar that restarts can send the hook again, which is idempotent.
            tracing::warn!(%error, "failed to write down which hooks have run");
        }
    }

    fn write(&self) -> io::Result<()> {
        let text: String = self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        self.root.replace(&self.file, text.as_bytes())
    }
}

fn line(list: HookList, hook: &str) -> String {
    format!("{} {hook}", list.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_run_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let root = Folder::open(dir.path()).unwrap();
        let mut completed = CompletedHooks::read(&root, "base", 1);
        assert!(!completed.has_run(HookList::Abort, "cancel") && !completed.is_finished());
        completed.ran(HookList::Abort, "cancel");
        completed.finish();
        let read = CompletedHooks::read(&root, "base", 1);
        assert!(read.has_run(HookList::Abort, "cancel") && read.is_finished());
        assert!(!read.has_run(HookList::PostKill, "cancel"));
        assert!(!CompletedHooks::read(&root, "base", 2).is_finished());
    }
}
