//! Lists Pipes page by page, in bounded memory, because anyone with permission to write Pipes decides how
//! large they are.

use std::ops::ControlFlow;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::{ListParams, Request};
use kube::{Client, Resource as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::api_client::next_page;
use super::{api_client, memory};
use bootlace_core::names;
use bootlace_core::output::Pipe;

/// If a page is too large, the next attempt requests this fraction of it.
const REDUCTION: u32 = 10;

/// Lists Pipes. Clones share the limit on concurrent pages.
#[derive(Clone)]
pub struct PipePages {
    client: Client,
    items: u32,
    permits: Arc<Semaphore>,
}

/// The limits on pages.
#[derive(Debug, Clone, Copy)]
pub struct PageLimits {
    /// Pipes in a page. Most have one or two kilobytes, and a page with more than [`memory::PAGE_BYTES`] is
    /// requested again with fewer.
    pub items: u32,
    /// Pages that are read concurrently.
    pub concurrent: usize,
}

/// A page whose items are not parsed yet.
#[derive(Deserialize)]
struct Page<'a> {
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
}

/// Which part of the Pipes to list.
#[derive(Clone, Copy)]
enum PageContent {
    Full,
    /// Only the metadata, which is smaller.
    Metadata,
}

impl PipePages {
    /// Lists with the permissions of `client`.
    #[must_use]
    pub fn new(client: Client, limits: PageLimits) -> Self {
        Self { client, items: limits.items, permits: Arc::new(Semaphore::new(limits.concurrent)) }
    }

    /// The position of the first page.
    pub(crate) fn start(&self) -> Cursor {
        Cursor { items: self.items, continue_token: None }
    }

    /// Calls `visit` with each Pipe of `namespace`, or of all namespaces, and of the run with the label value
    /// `run`, or of all runs, until it breaks. Without a resource version, the API server returns the newest
    /// state. Besides the page, only one parsed Pipe is in memory at a time.
    pub(crate) async fn each(
        &self,
        namespace: Option<&str>,
        run: Option<&str>,
        mut visit: impl FnMut(Pipe) -> ControlFlow<()>,
    ) -> Result<(), kube::Error> {
        let mut cursor = self.start();
        while self.page(namespace, run, &mut cursor, &mut visit).await?.is_continue() {}
        Ok(())
    }

    /// Visits the page at `cursor`, which is moved to the next page. Breaks if there is no next page, or
    /// `visit` breaks.
    pub(crate) async fn page(
        &self,
        namespace: Option<&str>,
        run: Option<&str>,
        cursor: &mut Cursor,
        mut visit: impl FnMut(Pipe) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, kube::Error> {
        let (flow, metadata) = self
            .list(namespace, run, cursor, PageContent::Full, |page| -> Result<_, kube::Error> {
                for item in page.items {
                    let pipe = serde_json::from_str(item.get()).map_err(kube::Error::SerdeError)?;
                    if visit(pipe).is_break() {
                        return Ok((ControlFlow::Break(()), page.metadata));
                    }
                }
                Ok((ControlFlow::Continue(()), page.metadata))
            })
            .await??;
        cursor.continue_token = next_page(metadata);
        Ok(if cursor.continue_token.is_some() { flow } else { ControlFlow::Break(()) })
    }

    /// The number of Pipes. If it exceeds `limit`, the result can be too low, but it also exceeds `limit`.
    pub(crate) async fn count(
        &self,
        namespace: &str,
        run: Option<&str>,
        limit: u32,
    ) -> Result<i64, kube::Error> {
        let mut cursor = Cursor { items: limit.saturating_add(1).min(self.items), continue_token: None };
        let mut count = 0;
        loop {
            let counted = |page: Page<'_>| (page.items.len(), page.metadata);
            let (items, metadata) =
                self.list(Some(namespace), run, &mut cursor, PageContent::Metadata, counted).await?;
            count += i64::try_from(items).unwrap_or(i64::MAX);
            // The API server sets it if there is no label selector.
            if let Some(remaining) = metadata.remaining_item_count {
                return Ok(count + remaining);
            }
            cursor.continue_token = next_page(metadata);
            if cursor.continue_token.is_none() || count > i64::from(limit) {
                return Ok(count);
            }
        }
    }

    async fn list<T>(
        &self,
        namespace: Option<&str>,
        run: Option<&str>,
        cursor: &mut Cursor,
        content: PageContent,
        use_page: impl FnOnce(Page<'_>) -> T,
    ) -> Result<T, kube::Error> {
        let _permit = self.permits.acquire().await;
        let bytes = loop {
            if let Some(bytes) = self.fetch(namespace, &cursor.params(run), content).await? {
                break bytes;
            }
            if cursor.items == 1 {
                return Err(kube::Error::Service("a Pipe is larger than the limit of an object".into()));
            }
            // Applies to the following pages too.
            cursor.items = (cursor.items / REDUCTION).max(1);
        };
        Ok(use_page(serde_json::from_slice(&bytes).map_err(kube::Error::SerdeError)?))
    }

    /// The bytes of a page; `None` if it is too large.
    async fn fetch(
        &self,
        namespace: Option<&str>,
        params: &ListParams,
        content: PageContent,
    ) -> Result<Option<Vec<u8>>, kube::Error> {
        let request = Request::new(Pipe::url_path(&(), namespace));
        let request = match content {
            PageContent::Full => request.list(params),
            PageContent::Metadata => request.list_metadata(params),
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        api_client::read_limited(&self.client, request, memory::PAGE_BYTES).await
    }
}

/// The position in a list.
pub(crate) struct Cursor {
    /// The number of items in the next page.
    items: u32,
    continue_token: Option<String>,
}

impl Cursor {
    fn params(&self, run: Option<&str>) -> ListParams {
        let params = match run {
            Some(run) => ListParams::default().labels(&format!("{}={run}", names::LABEL_PIPE_RUN)),
            None => ListParams::default(),
        };
        let params = params.limit(self.items);
        match &self.continue_token {
            Some(token) => params.continue_token(token),
            None => params,
        }
    }
}
