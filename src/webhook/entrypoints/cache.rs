//! What was asked, and what is being asked.
//!
//! A map of shared futures is a cache and the promise that nothing is asked twice at a time in one; a library for either
//! would bring more code than it takes the place of.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;

use super::LookupError;
use crate::registry::{Digest, ImageConfig, Platform, Reference, RegistryCredentials};

/// How many answers are kept, the lookups under way included.
const MAX_ENTRIES: usize = 1_000;
/// How many lookups may be under way.
const MAX_UNDER_WAY: usize = 32;

/// How long an answer is kept: of a digest, because it cannot change; of a tag, because it can, and then pods that are
/// admitted meanwhile start what the image started before.
const DIGEST: Duration = Duration::from_hours(24);
const TAG: Duration = Duration::from_mins(5);
/// … and an error: one that is mended in the registry or in a secret, and one that may be over at once.
const REFUSAL: Duration = Duration::from_mins(1);
const OUTAGE: Duration = Duration::from_secs(5);

/// What an answer is for. In whose name it was asked is a part of it: what one namespace may pull is not told to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    image: String,
    by_digest: bool,
    platform: String,
    asker: Option<Digest>,
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
            asker: RegistryCredentials::fingerprint(credentials),
        }
    }
}

/// An answer, as everybody gets it who waits for it.
pub(super) type CachedResult = Result<Arc<ImageConfig>, Arc<LookupError>>;
type Waiting = Shared<BoxFuture<'static, (CachedResult, Instant)>>;

/// Answers by what was asked.
#[derive(Debug, Default)]
pub(super) struct Cache {
    answers: Mutex<HashMap<Key, Waiting>>,
}

impl Cache {
    /// The answer, or the one to come. Where there is none yet, `lookup` is started.
    ///
    /// # Errors
    /// Where too many lookups are under way.
    pub(super) fn get<L>(
        &self,
        key: Key,
        lookup: impl FnOnce() -> L,
    ) -> Result<BoxFuture<'static, CachedResult>, Arc<LookupError>>
    where
        L: Future<Output = CachedResult> + Send + 'static,
    {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = answers.get(&key).filter(|waiting| !is_over(&key, waiting)).cloned();
        let waiting = if let Some(known) = known {
            known
        } else {
            make_room(&mut answers)?;
            // A task of its own: who began it may give up, and others may wait for it.
            let task = tokio::spawn(lookup());
            let waiting = async move {
                let answer = task.await.unwrap_or_else(|_| Err(Arc::new(LookupError::Busy(0))));
                (answer, Instant::now())
            };
            let waiting = waiting.boxed().shared();
            answers.insert(key, waiting.clone());
            waiting
        };
        Ok(waiting.map(|(answer, _)| answer).boxed())
    }
}

/// Whether an answer has been kept for long enough.
fn is_over(key: &Key, waiting: &Waiting) -> bool {
    let Some((answer, at)) = waiting.peek() else { return false };
    let life = match answer {
        Ok(_) if key.by_digest => DIGEST,
        Ok(_) => TAG,
        // The circuit itself says when it is worth asking again.
        Err(error) if matches!(**error, LookupError::CircuitOpen { .. } | LookupError::Busy(_)) => {
            Duration::ZERO
        }
        Err(error) if error.is_outage() => OUTAGE,
        Err(_) => REFUSAL,
    };
    at.elapsed() >= life
}

/// Makes room for one more answer.
fn make_room(answers: &mut HashMap<Key, Waiting>) -> Result<(), LookupError> {
    let under_way = answers.values().filter(|waiting| waiting.peek().is_none()).count();
    if under_way >= MAX_UNDER_WAY {
        return Err(LookupError::Busy(under_way));
    }
    if answers.len() < MAX_ENTRIES {
        return Ok(());
    }
    answers.retain(|key, waiting| !is_over(key, waiting));
    if answers.len() >= MAX_ENTRIES {
        let age = |waiting: &Waiting| waiting.peek().map(|(_, at)| *at);
        let oldest =
            answers.iter().filter_map(|(key, waiting)| Some((age(waiting)?, key))).min_by_key(|(at, _)| *at);
        if let Some(oldest) = oldest.map(|(_, key)| key.clone()) {
            answers.remove(&oldest);
        }
    }
    Ok(())
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

    /// Asks, and says how often a lookup was begun.
    async fn ask(cache: &Cache, image: &str, answer: CachedResult) -> (CachedResult, bool) {
        let mut begun = false;
        let lookup = || {
            begun = true;
            async move { answer }
        };
        let answer = cache.get(key(image), lookup).unwrap().await;
        (answer, begun)
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_kept_for_as_long_as_they_are_good() {
        let digest = format!("a.example/b@sha256:{}", "0".repeat(64));
        let outage = || LookupError::TimedOut { host: "a.example".to_owned(), after: Duration::from_secs(3) };
        let refusal = || LookupError::Image { image: "a.example/b".to_owned(), what: "no".to_owned() };
        for (image, answer, life) in [
            (digest.as_str(), Ok(config("a")), DIGEST),
            ("a.example/b:v1", Ok(config("a")), TAG),
            ("a.example/b:v2", Err(Arc::new(refusal())), REFUSAL),
            ("a.example/b:v3", Err(Arc::new(outage())), OUTAGE),
        ] {
            let cache = Cache::default();
            assert!(ask(&cache, image, answer.clone()).await.1);
            tokio::time::advance(life.checked_sub(Duration::from_millis(1)).unwrap()).await;
            let (kept, begun) = ask(&cache, image, Ok(config("another"))).await;
            assert!(!begun && kept.is_ok() == answer.is_ok(), "{image}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(ask(&cache, image, answer).await.1, "{image}");
        }
    }

    #[tokio::test]
    async fn what_is_being_asked_is_not_asked_again_and_goes_on_without_who_began_it() {
        let cache = Cache::default();
        let begun = AtomicUsize::new(0);
        let go = Arc::new(Notify::new());
        let ask = || {
            let go = Arc::clone(&go);
            let lookup = || {
                begun.fetch_add(1, Ordering::Relaxed);
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
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn neither_answers_nor_lookups_grow_without_bound() {
        let cache = Cache::default();
        for number in 0..MAX_ENTRIES + 10 {
            ask(&cache, &format!("a.example/b:{number}"), Ok(config("a"))).await.0.unwrap();
        }
        assert_eq!(cache.answers.lock().unwrap().len(), MAX_ENTRIES);
        assert!(!ask(&cache, "a.example/b:11", Ok(config("a"))).await.1, "a younger one is kept");
        assert!(ask(&cache, "a.example/b:0", Ok(config("a"))).await.1, "the oldest one went");

        let cache = Cache::default();
        for number in 0..MAX_UNDER_WAY {
            drop(cache.get(key(&format!("a.example/b:{number}")), std::future::pending).unwrap());
        }
        let refused = cache.get(key("a.example/b:x"), std::future::pending).err().unwrap();
        assert_eq!(
            refused.to_string(),
            format!("{MAX_UNDER_WAY} images are being looked up already: try again")
        );
    }

    #[test]
    fn who_asks_is_a_part_of_what_is_asked() {
        let reference: Reference = "a.example/b".parse().unwrap();
        let mut keyring = crate::registry::Keyring::default();
        keyring.add(br#"{"auths": {"a.example": {"username": "a", "password": "hunter2"}}}"#).unwrap();
        let (own, with) = (Platform::own(), keyring.lookup(&reference));
        assert_ne!(Key::new(&reference, &own, &[]), Key::new(&reference, &own, &with));
        assert_eq!(Key::new(&reference, &own, &with), Key::new(&reference, &own, &with));
        assert!(!format!("{:?}", Key::new(&reference, &own, &with)).contains("hunter2"));
    }
}
