//! The keys that sign configurations, in one Secret: `key-<seconds>` with the time at which the key was
//! created, and `since`, the time since which all pods are signed. The clock is an argument.

use std::collections::BTreeMap;
use std::fmt;

use ring::hmac;

/// Prefix of the name of a key in the Secret.
const PREFIX: &str = "key-";
/// Name of the entry with the time of the first key.
pub const SINCE: &str = "since";
/// Length of a key in bytes, as long as a SHA-256 digest.
pub const KEY_BYTES: usize = 32;
/// Number of valid keys: the newest, and the one before it.
const MAX_KEYS: usize = 2;
/// Age at which a new key is created. A signature is valid for at least as long.
const MAX_AGE_SECONDS: u64 = 90 * 24 * 3600;
/// Minimum age of a key for signing, if there is another one: after this time every replica of the store has
/// it. The kubelet updates it within about two minutes.
const MIN_SIGNING_AGE_SECONDS: u64 = 600;
/// How long after the first key pods without a signature are accepted: during an upgrade, replicas of a
/// version without signatures still admit pods.
const UPGRADE_SECONDS: u64 = 600;

/// A key.
#[derive(Clone)]
pub struct Key {
    id: String,
    made: u64,
    hmac: hmac::Key,
}

impl Key {
    /// ID of the key in signatures.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn hmac(&self) -> &hmac::Key {
        &self.hmac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.id).finish()
    }
}

/// The keys that are valid at a time.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    signing: Key,
    /// All keys, newest first.
    all: Vec<Key>,
    since: u64,
}

/// Compares by ID, because a key never changes.
impl PartialEq for SigningKeys {
    fn eq(&self, other: &Self) -> bool {
        let ids = |keys: &Self| keys.all.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
        (&self.signing.id, ids(self), self.since) == (&other.signing.id, ids(other), other.since)
    }
}

impl Eq for SigningKeys {}

/// Why keys are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// There is no key.
    #[error("no signing key found: add one named {PREFIX}SECONDS")]
    None,
    /// A key is invalid.
    #[error(
        "{0:?} is not a valid signing key: its name must be {PREFIX}SECONDS (seconds since 1970), and its value must have \
         {KEY_BYTES} bytes"
    )]
    Key(String),
}

impl SigningKeys {
    /// Parses the content of the Secret at `now`, in seconds since 1970. Other entries are ignored.
    ///
    /// # Errors
    /// If there is no key, or a key is invalid.
    pub fn read<N: AsRef<str>, B: AsRef<[u8]>>(
        data: impl IntoIterator<Item = (N, B)>,
        now: u64,
    ) -> Result<Self, KeysError> {
        let (mut all, mut since) = (Vec::new(), None);
        for (name, bytes) in data {
            let (name, bytes) = (name.as_ref(), bytes.as_ref());
            if name == SINCE {
                since = str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok());
            }
            let Some(id) = name.strip_prefix(PREFIX) else { continue };
            let made = id.parse().ok().filter(|_| bytes.len() == KEY_BYTES);
            let made = made.ok_or_else(|| KeysError::Key(name.chars().take(253).collect()))?;
            all.push(Key { id: id.to_owned(), made, hmac: hmac::Key::new(hmac::HMAC_SHA256, bytes) });
        }
        all.sort_by_key(|key| std::cmp::Reverse(key.made));
        all.truncate(MAX_KEYS);
        let published = |key: &&Key| key.made.saturating_add(MIN_SIGNING_AGE_SECONDS) <= now;
        let signing = all.iter().find(published).or(all.last()).cloned().ok_or(KeysError::None)?;
        let since = since.or(all.last().map(|key| key.made)).unwrap_or_default();
        Ok(Self { signing, all, since })
    }

    /// The key for new signatures.
    #[must_use]
    pub fn signing(&self) -> &Key {
        &self.signing
    }

    /// The key with this ID.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Key> {
        self.all.iter().find(|key| key.id == id)
    }

    /// Whether a key with this ID would be newer than all known ones.
    #[must_use]
    pub fn is_newer(&self, id: &str) -> bool {
        id.parse::<u64>().is_ok_and(|made| self.all.first().is_some_and(|newest| made > newest.made))
    }

    /// Whether a pod that was created at `created` may lack a signature, because it was admitted before all
    /// pods were signed.
    #[must_use]
    pub fn may_be_unsigned(&self, created: i64) -> bool {
        u64::try_from(created).is_ok_and(|created| created <= self.since.saturating_add(UPGRADE_SECONDS))
    }
}

/// The new content of the Secret at `now`, if it must change from `data`: a first key, or a new key if the
/// newest is too old. `fresh` contains the new key.
#[must_use]
pub fn renewed(
    data: &BTreeMap<String, Vec<u8>>,
    now: u64,
    fresh: [u8; KEY_BYTES],
) -> Option<BTreeMap<String, Vec<u8>>> {
    let made = |name: &String| name.strip_prefix(PREFIX)?.parse::<u64>().ok();
    let mut known: Vec<_> = data.keys().filter_map(made).collect();
    known.sort_unstable();
    if known.is_empty() && data.keys().any(|name| name != SINCE) {
        // A Secret with other content, which Bootlace does not manage.
        return None;
    }
    if known.last().is_some_and(|newest| newest.saturating_add(MAX_AGE_SECONDS) > now) {
        return None;
    }
    let mut renewed = data.clone();
    for old in known.iter().rev().skip(MAX_KEYS - 1) {
        renewed.remove(&format!("{PREFIX}{old}"));
    }
    renewed.insert(format!("{PREFIX}{now}"), fresh.to_vec());
    renewed.entry(SINCE.to_owned()).or_insert_with(|| now.to_string().into_bytes());
    Some(renewed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 24 * 3600;

    #[test]
    fn a_key_is_made_at_first_and_again_once_it_is_old() {
        let first = renewed(&BTreeMap::new(), NOW, [1; 32]).unwrap();
        assert_eq!(first["since"], NOW.to_string().into_bytes());
        assert_eq!(renewed(&first, NOW + 89 * DAY, [2; 32]), None);
        let second = renewed(&first, NOW + 90 * DAY, [2; 32]).unwrap();
        assert_eq!(second.len(), 3);
        let third = renewed(&second, NOW + 180 * DAY, [3; 32]).unwrap();
        let names: Vec<_> = third.keys().cloned().collect();
        let made = |days: u64| format!("key-{}", NOW + days * DAY);
        assert_eq!(names, [made(90), made(180), "since".to_owned()]);
        assert_eq!(third["since"], first["since"]);
        // A Secret with other content does not change.
        assert_eq!(renewed(&[("tls.key".to_owned(), vec![1])].into(), NOW, [1; 32]), None);
    }

    #[test]
    fn a_new_key_is_signed_with_once_it_has_reached_every_replica() {
        let first = renewed(&BTreeMap::new(), NOW, [1; 32]).unwrap();
        let at = |data: &BTreeMap<_, _>, now| SigningKeys::read(data, now).unwrap().signing().id().to_owned();
        assert_eq!(at(&first, NOW), NOW.to_string());
        let renewal = NOW + 90 * DAY;
        let second = renewed(&first, renewal, [2; 32]).unwrap();
        assert_eq!(at(&second, renewal + 60), NOW.to_string());
        assert_eq!(at(&second, renewal + MIN_SIGNING_AGE_SECONDS), renewal.to_string());
    }

    #[test]
    fn pods_that_were_there_before_may_be_unsigned_and_no_others() {
        let first = renewed(&BTreeMap::new(), NOW, [1; 32]).unwrap();
        let keys = SigningKeys::read(&first, NOW + DAY).unwrap();
        let created = |seconds: u64| i64::try_from(seconds).unwrap();
        assert!(keys.may_be_unsigned(created(NOW - DAY)) && keys.may_be_unsigned(created(NOW + 60)));
        assert!(!keys.may_be_unsigned(created(NOW + UPGRADE_SECONDS + 1)));
        assert!(!keys.may_be_unsigned(-1));
    }

    #[test]
    fn an_invalid_key_is_reported_without_its_content() {
        for (name, bytes, error) in [
            ("key-1", &b"hunter2"[..], KeysError::Key("key-1".to_owned())),
            ("key-x", &[0; 32], KeysError::Key("key-x".to_owned())),
            ("other", &[0; 32], KeysError::None),
        ] {
            assert_eq!(SigningKeys::read([(name, bytes)], NOW).unwrap_err(), error);
        }
        let shown = format!("{:?}", SigningKeys::read([("key-1", [7_u8; 32])], NOW).unwrap());
        assert!(!shown.contains('7'), "{shown}");
    }
}
