//! How cached values lie in Valkey.
//!
//! A tenant has, all in one slot by the hash tag: the entries, an index of their keys by expiry, and a generation.
//! Invalidation walks the index of this one tenant, matches here, and deletes in a script, so that neither KEYS nor
//! SCAN is ever sent and no text of a user is a glob to the server. An entry counts only while the generation that
//! it carries is the tenant's: should Valkey evict the index under memory pressure, the next write begins a new
//! generation, and what the index no longer knows can no longer be read.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fred::{interfaces::KeysInterface as _, types::Value};
use futures::FutureExt as _;
use model::TenantId;
use uuid::Uuid;

use super::Pattern;
use crate::valkey::{Away, Script, Valkey};

/// Version of this layout, in every key: another layout reads nothing of this one.
const LAYOUT: u8 = 1;
/// A value may be 1 MiB, so this is longer than the budget of a permission check. There is no other truth to ask.
const BUDGET: Duration = Duration::from_secs(1);
/// Keys read from the index, and deleted, at a time: bounds how long one script holds the server.
const PAGE: usize = 500;

/// KEYS: generation, index, entry. ARGV: key, value, ttl in ms, a fresh generation. The index holds each key by its
/// expiry in ms, and under the empty key (which no user has) minus the generation that it belongs to.
static PUT: Script = Script::new(
    "local generation = redis.call('GET', KEYS[1])
     if not generation or tonumber(redis.call('ZSCORE', KEYS[2], '') or 0) ~= -tonumber(generation) then
       generation = ARGV[4]
       redis.call('DEL', KEYS[2])
       redis.call('SET', KEYS[1], generation)
       redis.call('ZADD', KEYS[2], '-' .. generation, '')
     end
     local time = redis.call('TIME')
     local now = time[1] * 1000 + math.floor(time[2] / 1000)
     local ttl = tonumber(ARGV[3])
     for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '0', now, 'LIMIT', 0, 20)) do
       redis.call('ZREM', KEYS[2], gone)
     end
     redis.call('SET', KEYS[3], generation .. '\\n' .. ARGV[2], 'PX', ARGV[3])
     redis.call('ZADD', KEYS[2], string.format('%.0f', now + ttl), ARGV[1])
     for i = 1, 2 do
       if redis.call('PTTL', KEYS[i]) < ttl then redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
     end
     return 1",
);

/// KEYS: index, entries. ARGV: the keys of these entries. How many were live.
static REMOVE: Script = Script::new(
    "local count = 0
     for i = 1, #ARGV do
       redis.call('ZREM', KEYS[2], ARGV[i])
       local entry = redis.call('GETRANGE', KEYS[i + 2], 0, 20)
       local generation = redis.call('GET', KEYS[1])
       if redis.call('DEL', KEYS[i + 2]) == 1 and generation and string.sub(entry, 1, #generation + 1) == generation .. '\\n' then
         count = count + 1
       end
     end
     return count",
);

/// KEYS: generation, index. ARGV: cursor, page, a fresh generation. A page of the index; an index that was lost
/// makes what it knew unreadable.
static WALK: Script = Script::new(
    "local generation = redis.call('GET', KEYS[1])
     if not generation then return {'0', {}} end
     if tonumber(redis.call('ZSCORE', KEYS[2], '') or 0) ~= -tonumber(generation) then
       redis.call('DEL', KEYS[1], KEYS[2])
       return {'0', {}}
     end
     return redis.call('ZSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])",
);

/// What is found under a key.
pub struct Found {
    /// The JSON text as it was put.
    pub value: Bytes,
    /// Seconds left, rounded up.
    pub ttl_seconds: u64,
}

/// The entries of every tenant.
pub struct Store {
    valkey: Arc<Valkey>,
}

impl Store {
    /// The entries in that Valkey.
    pub fn new(valkey: Arc<Valkey>) -> Self {
        Self { valkey }
    }

    /// The value under a key.
    pub async fn get(&self, tenant: TenantId, key: &str) -> Result<Option<Found>, Away> {
        let entry = entry_key(tenant, key);
        let client = self.valkey.client();
        // Both go out together; an entry that is replaced between them answers with the new one's time.
        let call = async {
            let values =
                client.mget::<Vec<Option<Bytes>>, _>(vec![generation_key(tenant), entry.clone()]);
            tokio::try_join!(values, client.pttl::<i64, _>(entry.as_str()))
        };
        let (values, ttl_ms) = self.valkey.within(BUDGET, call.boxed()).await?;
        let [Some(generation), Some(entry)] = values.as_slice() else {
            return Ok(None);
        };
        let value = entry
            .strip_prefix(generation.as_ref())
            .and_then(|rest| rest.strip_prefix(b"\n"));
        Ok(match (value, u64::try_from(ttl_ms)) {
            (Some(value), Ok(ms)) => Some(Found {
                value: entry.slice_ref(value),
                ttl_seconds: ms.div_ceil(1000).max(1),
            }),
            _ => None,
        })
    }

    /// Puts a value for that many seconds.
    pub async fn put(
        &self,
        tenant: TenantId,
        key: &str,
        value: Bytes,
        ttl_seconds: u32,
    ) -> Result<(), Away> {
        let keys = vec![
            generation_key(tenant),
            index_key(tenant),
            entry_key(tenant, key),
        ];
        let ttl_ms = u64::from(ttl_seconds) * 1000;
        let args: Vec<Value> = vec![
            key.into(),
            Value::Bytes(value),
            ttl_ms.to_string().into(),
            fresh_generation().into(),
        ];
        self.valkey
            .run::<i64>(BUDGET, &PUT, keys, args)
            .await
            .map(drop)
    }

    /// Removes a key, if it is there.
    pub async fn delete(&self, tenant: TenantId, key: &str) -> Result<(), Away> {
        self.remove(tenant, &[key.to_owned()]).await.map(drop)
    }

    /// Removes every key that matches and says how many were live. What is put meanwhile may stay.
    pub async fn invalidate(&self, tenant: TenantId, pattern: &Pattern) -> Result<u64, Away> {
        let keys = vec![generation_key(tenant), index_key(tenant)];
        let (mut cursor, mut count) = ("0".to_owned(), 0);
        loop {
            let args = vec![cursor.into(), PAGE.to_string().into()];
            let (next, page): (String, Vec<String>) =
                self.valkey.run(BUDGET, &WALK, keys.clone(), args).await?;
            // Members and scores alternate; the empty member is the generation's mark.
            let matching: Vec<String> = page
                .into_iter()
                .step_by(2)
                .filter(|key| !key.is_empty() && pattern.matches(key))
                .collect();
            for batch in matching.chunks(PAGE) {
                count += self.remove(tenant, batch).await?;
            }
            if next == "0" {
                return Ok(count);
            }
            cursor = next;
        }
    }

    async fn remove(&self, tenant: TenantId, names: &[String]) -> Result<u64, Away> {
        let fixed = [generation_key(tenant), index_key(tenant)];
        let keys: Vec<String> = fixed
            .into_iter()
            .chain(names.iter().map(|name| entry_key(tenant, name)))
            .collect();
        let args = names.iter().map(|name| name.as_str().into()).collect();
        self.valkey.run(BUDGET, &REMOVE, keys, args).await
    }
}

/// Different from the last one with all but certainty, and exact as a score (below 2^53).
fn fresh_generation() -> String {
    let random = Uuid::new_v4().as_u128() as u64 & ((1 << 48) - 1);
    (random | 1).to_string()
}

fn generation_key(tenant: TenantId) -> String {
    format!("cache:{{{tenant}}}:{LAYOUT}:g")
}

fn index_key(tenant: TenantId) -> String {
    format!("cache:{{{tenant}}}:{LAYOUT}:i")
}

/// The only segment that a user chooses comes last and after its length.
fn entry_key(tenant: TenantId, key: &str) -> String {
    format!("cache:{{{tenant}}}:{LAYOUT}:e:{}:{key}", key.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tenant(n: u128) -> TenantId {
        Uuid::from_u128(n).to_string().parse().unwrap()
    }

    proptest! {
        #[test]
        fn keys_are_injective_and_stay_with_their_tenant(
            a in (1..5u128, "[a:{}*0-9\\PC]{0,8}"), b in (1..5u128, "[a:{}*0-9\\PC]{0,8}"),
        ) {
            let key_of = |(t, key): &(u128, String)| entry_key(tenant(*t), key);
            prop_assert_eq!(a == b, key_of(&a) == key_of(&b));
            let tag = format!("cache:{{{}}}:1:", tenant(a.0));
            prop_assert!(key_of(&a).starts_with(&tag));
            prop_assert!(key_of(&a) != generation_key(tenant(b.0)) && key_of(&a) != index_key(tenant(b.0)));
        }
    }

    #[test]
    fn a_generation_is_exact_as_a_score() {
        for _ in 0..1000 {
            let n: u64 = fresh_generation().parse().unwrap();
            assert!((1..1 << 48).contains(&n));
        }
    }
}
