//! Fetches all sources concurrently, within the time limit of the profile.

use std::time::Duration;

use futures::future;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::error::{BootError, SourceFailure};
use super::event::LogEvent;
use super::report::BootLog;
use super::sink::{Sink, SourceContent};
use super::source::{NamedSource, SourceError};
use super::volume::Volume;
use bootlace_core::plan::BootSpec;

/// The content of a source.
pub(crate) struct Fetched<'a> {
    /// The name of the source in the profile.
    pub(crate) name: &'a str,
    /// Its content.
    pub(crate) content: SourceContent,
}

/// The event loop of a boot. One thread is enough, because boot only waits.
pub(crate) fn runtime() -> Result<Runtime, BootError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BootError::Start)
}

/// Fetches `sources` and returns their content, in the same order.
///
/// # Errors
/// The first error of any source; the other fetches are cancelled.
pub(crate) async fn all<'a>(
    sources: &'a [NamedSource<'a>],
    spec: &BootSpec<'_>,
    volume: &Volume,
    report: &BootLog<'_>,
) -> Result<Vec<Fetched<'a>>, BootError> {
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(spec.timeout_seconds.into());
    let fetch = async |NamedSource { name, optional, limits, source }: &'a NamedSource<'a>| {
        let mut sink = Sink::new(volume, *limits).allowing(&spec.allow).renaming(source.rename());
        let result = tokio::time::timeout_at(deadline, source.fetch(&mut sink)).await;
        let timed_out =
            || SourceError::timed_out(spec.timeout_seconds, "boot.timeoutSeconds", source.in_progress());
        match result.unwrap_or_else(|_| Err(timed_out())) {
            Ok(()) => {}
            Err(error) if *optional && error.is_unavailable() => {
                sink.clear();
                sink.note(format!("skipped because it is optional: {error}"));
            }
            Err(error) => return Err(failure(name, source.title(), spec, error)),
        }
        let content = sink.into_content();
        let kind = source.title();
        for note in &content.notes {
            report.log(&LogEvent::Noted { source: name, kind: &kind, note });
        }
        let milliseconds = begun.elapsed().into();
        report.log(&LogEvent::Fetched { source: name, kind: &kind, amount: content.amount(), milliseconds });
        Ok(Fetched { name, content })
    };
    future::try_join_all(sources.iter().map(fetch)).await
}

fn failure(name: &str, title: String, spec: &BootSpec<'_>, error: SourceError) -> BootError {
    let profile = spec.profile.name.clone();
    BootError::Source(Box::new(SourceFailure { name: name.to_owned(), title, profile, error }))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use futures::FutureExt;
    use futures::future::LocalBoxFuture;
    use tokio::sync::Notify;

    use super::*;
    use crate::boot::source::FetchSource;
    use bootlace_core::entry::Rename;
    use bootlace_core::identity::Identity;
    use bootlace_core::injected_config::ProfileRef;

    /// A source whose fetch is a closure.
    struct Fake<F>(F);

    impl<F: AsyncFn(&mut Sink<'_>) -> Result<(), SourceError>> FetchSource for Fake<F> {
        fn title(&self) -> String {
            "fake".to_owned()
        }

        fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
            async { (self.0)(sink).await }.boxed_local()
        }

        fn rename(&self) -> Rename {
            Rename::Keys
        }
    }

    fn named<'a>(
        name: &'a str,
        fetch: impl AsyncFn(&mut Sink<'_>) -> Result<(), SourceError> + 'a,
    ) -> NamedSource<'a> {
        NamedSource { name, optional: false, limits: None, source: Box::new(Fake(fetch)) }
    }

    fn fetch(sources: &[NamedSource<'_>], timeout_seconds: u32) -> (Result<Vec<String>, BootError>, String) {
        let profile = ProfileRef { name: "default".to_owned(), generation: 1 };
        let spec = BootSpec::minimal(Identity::default(), profile, timeout_seconds);
        let root = tempfile::tempdir().unwrap();
        let volume = Volume::open(root.path(), "default").unwrap();
        let mut log = Vec::new();
        let report = BootLog::new(&mut log);
        let fetched = runtime().unwrap().block_on(all(sources, &spec, &volume, &report));
        let names = fetched.map(|all| all.iter().map(|one| one.name.to_owned()).collect());
        (names, String::from_utf8(log).unwrap())
    }

    #[test]
    fn sources_are_fetched_concurrently_and_keep_their_order() {
        let reached = Rc::new(Notify::new());
        let waits = Rc::clone(&reached);
        let sources = [
            named("first", async move |_: &mut Sink<'_>| {
                waits.notified().await;
                Ok(())
            }),
            named("second", async move |sink: &mut Sink<'_>| {
                reached.notify_one();
                sink.env("A", Vec::new())
            }),
        ];
        let (names, log) = fetch(&sources, 60);
        assert_eq!(names.unwrap(), ["first", "second"]);
        let lines: Vec<_> = log.lines().collect();
        assert!(lines[0].starts_with(r#"source "second" (fake): 1 variable, 0 files, 0 B in "#), "{log}");
        assert!(lines[1].starts_with(r#"source "first" (fake): 0 variables"#), "{log}");
    }

    #[test]
    fn a_source_that_never_responds_times_out_with_its_name() {
        let sources = [
            named("quick", async |_: &mut Sink<'_>| Ok(())),
            named("hangs", async |_: &mut Sink<'_>| std::future::pending().await),
        ];
        let error = fetch(&sources, 0).0.unwrap_err();
        assert_eq!(error.exit_code(), 75);
        assert_eq!(
            error.to_string(),
            r#"source "hangs" (fake) of BootProfile "default": timed out after 0 s: raise boot.timeoutSeconds, or check why the source is slow"#
        );
    }

    #[test]
    fn one_failure_cancels_the_other_fetches() {
        let dropped = Cell::new(false);
        let sources = [
            named("hangs", async |_: &mut Sink<'_>| {
                let _guard = Guard(&dropped);
                std::future::pending().await
            }),
            named("fails", async |_: &mut Sink<'_>| Err(SourceError::Missing("it is gone".to_owned()))),
        ];
        let error = fetch(&sources, 60).0.unwrap_err();
        assert_eq!(error.exit_code(), 69);
        assert!(error.to_string().ends_with("it is gone"), "{error}");
        assert!(dropped.get());
    }

    /// Records that it was dropped.
    struct Guard<'a>(&'a Cell<bool>);

    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
}
