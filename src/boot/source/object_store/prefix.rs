//! Fetches many objects concurrently.

use std::cell::{Cell, RefCell};

use ::object_store::ObjectMeta;
use ::object_store::path::Path;
use futures::TryStreamExt;

use super::open::OpenStore;
use super::{errors, get};
use crate::boot::sink::Sink;
use crate::boot::source::SourceError;
use bootlace_core::profile::object_store::ObjectStore;

/// Fetches every object below `prefix`. `fetched` counts them.
pub(super) async fn fetch(
    store: &OpenStore,
    settings: &ObjectStore,
    prefix: &str,
    sink: &mut Sink<'_>,
    fetched: &Cell<usize>,
) -> Result<(), SourceError> {
    let written = prefix.trim_end_matches('/');
    let Some(base) = Path::parse(written).ok().filter(|path| path.as_ref() == written) else {
        return Err(SourceError::Content(format!(
            "the prefix {prefix:?} is not supported: must not contain an empty part, . or .., or a control character; \
             correct prefix in the profile"
        )));
    };
    let sink = RefCell::new(sink);
    let fetch_one = async |found: ObjectMeta| {
        if fetch_object(store, settings, &base, &found, &sink).await? {
            fetched.set(fetched.get() + 1);
        }
        Ok(())
    };
    let concurrency = usize::try_from(settings.client.concurrency).unwrap_or(1);
    let listed = store.objects.list(Some(&base)).map_err(|error| errors::convert(store.kind, &error));
    listed.try_for_each_concurrent(concurrency, fetch_one).await?;
    if fetched.get() == 0 {
        return Err(SourceError::Missing(format!(
            "no objects below {prefix:?} in {}: correct prefix in the profile, or upload the objects",
            settings.bucket_address()
        )));
    }
    Ok(())
}

/// Fetches one object, and returns whether it is one.
async fn fetch_object(
    store: &OpenStore,
    settings: &ObjectStore,
    base: &Path,
    found: &ObjectMeta,
    sink: &RefCell<&mut Sink<'_>>,
) -> Result<bool, SourceError> {
    let key = found.location.as_ref();
    let below = key.strip_prefix(base.as_ref()).unwrap_or(key).trim_start_matches('/');
    let got = match get(store, &found.location).await {
        // A folder that was created in a web console: an empty object whose key ends with a slash. The
        // library removes the slash when it lists objects, and fetched is no object without it.
        Err(SourceError::Http(error)) if found.size == 0 && error.is_not_found() => return Ok(false),
        got => got?,
    };
    let path =
        settings.folder.as_ref().map_or_else(|| below.to_owned(), |folder| format!("{folder}/{below}"));
    let mut file = sink.borrow_mut().create(&path)?;
    let mut content = got.into_stream();
    while let Some(chunk) = content.try_next().await.map_err(|error| errors::convert(store.kind, &error))? {
        file.write(&chunk)?;
    }
    sink.borrow_mut().finish(file)?;
    Ok(true)
}
