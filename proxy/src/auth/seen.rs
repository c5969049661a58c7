//! Tokens that were verified a moment ago: a verification costs some fifty microseconds, a digest half of one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};

use super::Identity;

/// A token is verified again after this many seconds.
const KEPT_SECONDS: i64 = 60;
const SHARDS: usize = 16;
/// With [`SHARDS`], at most 16,384 tokens are remembered (about 3 MiB).
const SHARD_ENTRIES_MAX: usize = 1024;

/// SHA-256 of the whole token: the signature alone would not do, ECDSA signatures are malleable.
pub type TokenDigest = [u8; 32];

/// The digest of a token.
pub fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token.as_bytes()).into()
}

struct Entry {
    generation: u64,
    verified_at: i64,
    identity: Arc<Identity>,
}

/// A bounded map from token to identity.
#[derive(Default)]
pub struct Seen {
    shards: [Mutex<HashMap<TokenDigest, Entry>>; SHARDS],
}

impl Seen {
    fn shard(&self, digest: &TokenDigest) -> &Mutex<HashMap<TokenDigest, Entry>> {
        &self.shards[usize::from(digest[0]) % SHARDS]
    }

    /// The identity, if the token was verified with these keys within the last minute. `exp` is the caller's to check.
    pub fn get(&self, digest: &TokenDigest, generation: u64, now: i64) -> Option<Arc<Identity>> {
        let shard = self
            .shard(digest)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = shard.get(digest)?;
        let fresh = (0..KEPT_SECONDS).contains(&(now - entry.verified_at));
        (entry.generation == generation && fresh).then(|| Arc::clone(&entry.identity))
    }

    /// Remembers a verified token. A full shard drops what is stale, or everything when nothing is.
    pub fn put(&self, digest: TokenDigest, generation: u64, now: i64, identity: Arc<Identity>) {
        let mut shard = self
            .shard(&digest)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= SHARD_ENTRIES_MAX {
            shard.retain(|_, e| e.generation == generation && now - e.verified_at < KEPT_SECONDS);
            if shard.len() >= SHARD_ENTRIES_MAX {
                shard.clear();
            }
        }
        shard.insert(
            digest,
            Entry {
                generation,
                verified_at: now,
                identity,
            },
        );
    }
}
