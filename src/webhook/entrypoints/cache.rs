//! The cache of lookups: a map of shared futures, so that the same lookup never runs twice at the same time.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use super::LookupError;
use crate::registry::{Digest, ImageConfig, Platform, Reference, RegistryCredentials};
use crate::server::ttl_cache::{Ttl, TtlCache};

/// The maximum number of results, including lookups in progress.
const MAX_ENTRIES: usize = 1_000;
/// The maximum number of lookups in progress.
const MAX_IN_PROGRESS: usize = 32;

/// How long the result for a digest is cached, which cannot change, and that for a tag. If a tag changes,
/// pods use the old entrypoint until its result expires.
const DIGEST: Duration = Duration::from_hours(24);
const TAG: Duration = Duration::from_mins(5);
/// How long an error is cached: one that has to be corrected in the registry or a secret, and a temporary
/// one.
const REFUSAL: Duration = Duration::from_mins(1);
const OUTAGE: Duration = Duration::from_secs(5);

/// The key of a result. It includes the credentials, so that one namespace does not see the images of
/// another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    image: String,
    by_digest: bool,
    platform: String,
    credentials: Option<Digest>,
}

impl Key {
    pub(super) fn new(
        reference: &Reference,
        platform: &Platform,
        credentials: &[RegistryCredentials],
    ) -> Self {
        Self {
            image: reference.to_string(),
            by_digest: reference.digest().is_some(),
            platform: platform.to_string(),
            credentials: RegistryCredentials::fingerprint(credentials),
        }
    }
}

/// The result, shared by all callers that wait for it.
pub(super) type CachedResult = Result<Arc<ImageConfig>, Arc<LookupError>>;
type PendingResult = Shared<BoxFuture<'static, CachedResult>>;

/// Results by key. Lookups in progress are pinned.
#[derive(Debug)]
pub(super) struct Cache {
    results: Arc<Mutex<TtlCache<Key, PendingResult>>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { results: Arc::new(Mutex::new(TtlCache::new(MAX_ENTRIES))) }
    }
}

impl Cache {
    /// Returns the result, or a future for it. Starts `lookup` if the cache has no result.
    ///
    /// # Errors
    /// Too many lookups are in progress.
    pub(super) fn get<L>(
        &self,
        key: Key,
        lookup: impl FnOnce() -> L,
    ) -> Result<BoxFuture<'static, CachedResult>, Arc<LookupError>>
    where
        L: Future<Output = CachedResult> + Send + 'static,
    {
        let mut results = self.results.lock();
        if let Some(known) = results.get(&key) {
            return Ok(known.clone().boxed());
        }
        let in_progress = results.pinned();
        if in_progress >= MAX_IN_PROGRESS {
            return Err(LookupError::Busy(in_progress).into());
        }
        // In a separate task, because other callers can wait for it after this one has been cancelled.
        let task = tokio::spawn(finish(Arc::clone(&self.results), key.clone(), lookup()));
        let waiting = task.map(|result| result.unwrap_or_else(|_| Err(interrupted()))).boxed().shared();
        results.insert(key, waiting.clone(), Ttl::Pinned);
        Ok(waiting.boxed())
    }
}

/// Runs a lookup. When it ends, even by a panic, its result is no longer pinned.
async fn finish(
    results: Arc<Mutex<TtlCache<Key, PendingResult>>>,
    key: Key,
    lookup: impl Future<Output = CachedResult>,
) -> CachedResult {
    let result = AssertUnwindSafe(lookup).catch_unwind().await;
    let result = result.unwrap_or_else(|_| Err(interrupted()));
    results.lock().set_ttl(&key, Ttl::AtMost(lifetime(&key, &result)));
    result
}

/// The error of a lookup that did not end normally: another one can succeed.
fn interrupted() -> Arc<LookupError> {
    Arc::new(LookupError::Busy(0))
}

/// How long a result is cached.
fn lifetime(key: &Key, result: &CachedResult) -> Duration {
    match result {
        Ok(_) if key.by_digest => DIGEST,
        Ok(_) => TAG,
        // The circuit breaker decides when to try again.
        Err(error) if matches!(**error, LookupError::CircuitOpen { .. } | LookupError::Busy(_)) => {
            Duration::ZERO
        }
        Err(error) if error.is_outage() => OUTAGE,
        Err(_) => REFUSAL,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    fn key(image: &str) -> Key {
        Key::new(&image.parse().unwrap(), &Platform::own(), &[])
    }

    fn config(word: &str) -> Arc<ImageConfig> {
        Arc::new(ImageConfig { entrypoint: vec![word.to_owned()], ..ImageConfig::default() })
    }

    /// Gets a result, and returns whether a lookup was started.
    async fn ask(cache: &Cache, image: &str, answer: CachedResult) -> (CachedResult, bool) {
        let mut started = false;
        let lookup = || {
            started = true;
            async move { answer }
        };
        let answer = cache.get(key(image), lookup).unwrap().await;
        (answer, started)
    }

    #[tokio::test(start_paused = true)]
    async fn results_expire() {
        let digest = format!("a.example/b@sha256:{}", "0".repeat(64));
        let outage = || LookupError::TimedOut { host: "a.example".to_owned(), after: Duration::from_secs(3) };
        let refusal = || LookupError::Image { image: "a.example/b".to_owned(), problem: "no".to_owned() };
        for (image, answer, life) in [
            (digest.as_str(), Ok(config("a")), DIGEST),
            ("a.example/b:v1", Ok(config("a")), TAG),
            ("a.example/b:v2", Err(Arc::new(refusal())), REFUSAL),
            ("a.example/b:v3", Err(Arc::new(outage())), OUTAGE),
        ] {
            let cache = Cache::default();
            assert!(ask(&cache, image, answer.clone()).await.1);
            tokio::time::advance(life.checked_sub(Duration::from_millis(1)).unwrap()).await;
            let (kept, started) = ask(&cache, image, Ok(config("another"))).await;
            assert!(!started && kept.is_ok() == answer.is_ok(), "{image}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(ask(&cache, image, answer).await.1, "{image}");
        }
    }

    #[tokio::test]
    async fn a_lookup_in_progress_is_shared_and_continues_without_its_first_caller() {
        let cache = Cache::default();
        let started = AtomicUsize::new(0);
        let go = Arc::new(Notify::new());
        let ask = || {
            let go = Arc::clone(&go);
            let lookup = || {
                started.fetch_add(1, Ordering::Relaxed);
                async move {
                    go.notified().await;
                    Ok(config("a"))
                }
            };
            cache.get(key("a.example/b"), lookup).unwrap()
        };
        let (first, second, third) = (ask(), ask(), ask());
        drop(first);
        go.notify_one();
        assert_eq!(second.await.unwrap(), config("a"));
        assert_eq!(third.await.unwrap(), config("a"));
        assert_eq!(started.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn results_and_lookups_are_limited() {
        let cache = Cache::default();
        for number in 0..MAX_ENTRIES + 10 {
            ask(&cache, &format!("a.example/b:{number}"), Ok(config("a"))).await.0.unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(cache.results.lock().values().count(), MAX_ENTRIES);
        assert!(!ask(&cache, "a.example/b:11", Ok(config("a"))).await.1, "a newer result is kept");
        assert!(ask(&cache, "a.example/b:0", Ok(config("a"))).await.1, "the oldest result is removed");

        let cache = Cache::default();
        for number in 0..MAX_IN_PROGRESS {
            drop(cache.get(key(&format!("a.example/b:{number}")), std::future::pending).unwrap());
        }
        let error = cache.get(key("a.example/b:x"), std::future::pending).err().unwrap();
        assert!(matches!(*error, LookupError::Busy(MAX_IN_PROGRESS)), "{error}");
    }

    #[tokio::test]
    async fn a_lookup_without_a_caller_or_with_a_panic_does_not_count_as_in_progress() {
        async fn broken() -> CachedResult {
            panic!("a defect of the lookup")
        }
        let cache = Cache::default();
        drop(cache.get(key("a.example/b:1"), || async { Ok(config("a")) }).unwrap());
        let error = cache.get(key("a.example/b:2"), broken).unwrap().await.unwrap_err();
        assert!(matches!(*error, LookupError::Busy(0)), "{error}");
        let end = async {
            while cache.results.lock().pinned() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), end).await.unwrap();
        assert!(!ask(&cache, "a.example/b:1", Ok(config("another"))).await.1, "its result is kept");
        assert!(ask(&cache, "a.example/b:2", Ok(config("a"))).await.1, "the panic is not kept");
    }

    #[test]
    fn credentials_are_a_part_of_the_key() {
        let reference: Reference = "a.example/b".parse().unwrap();
        let mut keyring = crate::registry::Keyring::default();
        keyring.add(br#"{"auths": {"a.example": {"username": "a", "password": "hunter2"}}}"#).unwrap();
        let (own, credentials) = (Platform::own(), keyring.lookup(&reference));
        assert_ne!(Key::new(&reference, &own, &[]), Key::new(&reference, &own, &credentials));
        assert_eq!(Key::new(&reference, &own, &credentials), Key::new(&reference, &own, &credentials));
        assert!(!format!("{:?}", Key::new(&reference, &own, &credentials)).contains("hunter2"));
    }
}
