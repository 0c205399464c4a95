//! Pipes as the API server lists them: page by page, with a bound on the bytes that are held at once, because whoever may
//! write Pipes decides how large they are.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures::AsyncReadExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::{ListParams, Request};
use kube::{Client, Resource as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::server::memory;
use bootlace_core::names;
use bootlace_core::output::Pipe;

/// Pipes in a page. An ordinary one has a kilobyte or two.
const PAGE: u32 = 100;
/// The part of a page that is asked for then.
const FEWER: u32 = 10;
/// Lists Pipes. Clones share the bound.
#[derive(Clone)]
pub struct PipePages {
    client: Client,
    turns: Arc<Semaphore>,
}

/// A page, of which nothing but its metadata is read yet.
#[derive(Deserialize)]
struct Page<'a> {
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
}

/// What is read of each Pipe.
#[derive(Clone, Copy)]
enum Read {
    Whole,
    /// The metadata alone, which is smaller.
    Metadata,
}

impl PipePages {
    /// Lists with the rights of `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, turns: Arc::new(Semaphore::new(memory::PAGES)) }
    }

    /// Shows `visit` every Pipe of `namespace`, or of all namespaces, that carries the label `run`, or any, until it breaks.
    /// Without a resource version the answer is the newest that there is. One Pipe is held at a time, beside the page.
    pub(in crate::store) async fn each(
        &self,
        namespace: Option<&str>,
        run: Option<&str>,
        mut visit: impl FnMut(Pipe) -> ControlFlow<()>,
    ) -> Result<(), kube::Error> {
        let mut place = Place::default();
        while self.page(namespace, run, &mut place, &mut visit).await?.is_continue() {}
        Ok(())
    }

    /// The page at `place`, which is then at the next. Breaks where there is none, or `visit` breaks.
    pub(in crate::store) async fn page(
        &self,
        namespace: Option<&str>,
        run: Option<&str>,
        place: &mut Place,
        mut visit: impl FnMut(Pipe) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, kube::Error> {
        let (flow, metadata) = self
            .read(namespace, run, place, Read::Whole, |page| -> Result<_, kube::Error> {
                for item in page.items {
                    let pipe = serde_json::from_str(item.get()).map_err(kube::Error::SerdeError)?;
                    if visit(pipe).is_break() {
                        return Ok((ControlFlow::Break(()), page.metadata));
                    }
                }
                Ok((ControlFlow::Continue(()), page.metadata))
            })
            .await??;
        place.rest = metadata.continue_.filter(|rest| !rest.is_empty());
        Ok(if place.rest.is_some() { flow } else { ControlFlow::Break(()) })
    }

    /// How many Pipes there are; where there are more than `most`, possibly fewer than that, but more than `most`.
    pub(in crate::store) async fn count(
        &self,
        namespace: &str,
        run: Option<&str>,
        most: u32,
    ) -> Result<i64, kube::Error> {
        let mut place = Place { limit: most.saturating_add(1).min(PAGE), rest: None };
        let mut count = 0;
        loop {
            let counted = |page: Page<'_>| (page.items.len(), page.metadata);
            let (items, metadata) =
                self.read(Some(namespace), run, &mut place, Read::Metadata, counted).await?;
            count += i64::try_from(items).unwrap_or(i64::MAX);
            // Given where nothing is selected by a label.
            if let Some(remaining) = metadata.remaining_item_count {
                return Ok(count + remaining);
            }
            place.rest = metadata.continue_.filter(|rest| !rest.is_empty());
            if place.rest.is_none() || count > i64::from(most) {
                return Ok(count);
            }
        }
    }

    async fn read<T>(
        &self,
        namespace: Option<&str>,
        run: Option<&str>,
        place: &mut Place,
        what: Read,
        use_page: impl FnOnce(Page<'_>) -> T,
    ) -> Result<T, kube::Error> {
        let _turn = self.turns.acquire().await;
        let bytes = loop {
            if let Some(bytes) = self.fetch(namespace, &place.params(run), what).await? {
                break bytes;
            }
            if place.limit == 1 {
                return Err(kube::Error::Service("a Pipe is larger than any can be".into()));
            }
            // For the rest of them too.
            place.limit = (place.limit / FEWER).max(1);
        };
        Ok(use_page(serde_json::from_slice(&bytes).map_err(kube::Error::SerdeError)?))
    }

    /// The bytes of a page; none where there are too many of them.
    async fn fetch(
        &self,
        namespace: Option<&str>,
        params: &ListParams,
        what: Read,
    ) -> Result<Option<Vec<u8>>, kube::Error> {
        let request = Request::new(Pipe::url_path(&(), namespace));
        let request = match what {
            Read::Whole => request.list(params),
            Read::Metadata => request.list_metadata(params),
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        let stream = self.client.request_stream(request).await?;
        let mut bytes = Vec::new();
        let limit = memory::PAGE_BYTES as u64 + 1;
        stream
            .take(limit)
            .read_to_end(&mut bytes)
            .await
            .map_err(|error| kube::Error::Service(error.into()))?;
        Ok((bytes.len() <= memory::PAGE_BYTES).then_some(bytes))
    }
}

/// How far a list has been read.
pub(in crate::store) struct Place {
    limit: u32,
    rest: Option<String>,
}

impl Default for Place {
    fn default() -> Self {
        Self { limit: PAGE, rest: None }
    }
}

impl Place {
    fn params(&self, run: Option<&str>) -> ListParams {
        let params = match run {
            Some(run) => ListParams::default().labels(&format!("{}={run}", names::LABEL_PIPE_RUN)),
            None => ListParams::default(),
        };
        let params = params.limit(self.limit);
        match &self.rest {
            Some(rest) => params.continue_token(rest),
            None => params,
        }
    }
}
