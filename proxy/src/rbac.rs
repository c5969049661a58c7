//! What a user may do: a set in Valkey, loaded from PostgreSQL, keyed by the catalogue's revision.
//!
//! Whatever changes permissions publishes a revision, so a change takes effect with the next request that sees it.
//! Without Valkey the answer comes from PostgreSQL: slower, and the same.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use fred::interfaces::SetsInterface as _;
use futures::FutureExt as _;
use model::{Permission, Revision, TenantId};
use sha2::{Digest as _, Sha256};

use crate::{
    platform::Platform,
    problem::{Problem, ProblemKind},
    telemetry::chain_of,
    valkey::{Script, Valkey},
};

/// A set in Valkey lives that long, in seconds.
const SHARED_SECONDS: u32 = 60;
/// A set in this process lives that long: what is changed goes with a new revision, and so to another key.
const LOCAL: Duration = Duration::from_secs(10);
/// Sets in this process; a set of a hundred permissions is about 10 KiB.
const LOCAL_ENTRIES_MAX: usize = 4096;
/// A call is a fraction of a millisecond, on a machine with nothing left to give some tens; PostgreSQL answers within
/// this too.
const BUDGET: Duration = Duration::from_millis(100);
/// A member of every set, so that a set without a permission is still a set.
const MARKER: &str = "-";

static STORE: Script = Script::new(
    "redis.call('DEL', KEYS[1])
     for i = 2, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end
     return redis.call('EXPIRE', KEYS[1], ARGV[1])",
);

/// The key of a user's set: the tenant as hash tag, the layout's version, the revision, and the user hashed, since
/// a user id may hold anything.
fn key(tenant: TenantId, user: &str, revision: Revision) -> String {
    format!(
        "rbac:{{{tenant}}}:1:{}:{:x}",
        revision.0,
        Sha256::digest(user.as_bytes())
    )
}

type LocalKey = (TenantId, Arc<str>, Revision);
type Held = (Instant, Arc<HashSet<Permission>>);

/// Loads and remembers permissions.
pub struct Permissions {
    platform: Platform,
    valkey: Arc<Valkey>,
    local: Mutex<HashMap<LocalKey, Held>>,
}

impl Permissions {
    /// Nothing is loaded yet.
    pub fn new(platform: Platform, valkey: Arc<Valkey>) -> Self {
        Self {
            platform,
            valkey,
            local: Mutex::default(),
        }
    }

    /// What the user may do as of that revision. 503 when neither Valkey nor PostgreSQL answers.
    pub async fn of(
        &self,
        tenant: TenantId,
        user: &Arc<str>,
        revision: Revision,
    ) -> Result<Arc<HashSet<Permission>>, Problem> {
        let local_key = (tenant, Arc::clone(user), revision);
        if let Some(held) = self.held(&local_key) {
            return Ok(held);
        }
        let key = key(tenant, user, revision);
        let set = match self.shared(&key).await {
            Some(set) => set,
            None => {
                let loaded = self
                    .platform
                    .permissions(tenant, user)
                    .await
                    .map_err(|error| {
                        let error = chain_of(&error);
                        tracing::warn!(error, "permissions cannot be loaded");
                        Problem::new(
                            ProblemKind::Unavailable,
                            "Permissions cannot be read at the moment.",
                        )
                    })?;
                self.share(key, &loaded).await;
                loaded
            }
        };
        let set = Arc::new(set);
        self.hold(local_key, Arc::clone(&set));
        Ok(set)
    }

    async fn shared(&self, key: &str) -> Option<HashSet<Permission>> {
        let client = self.valkey.client();
        let call = client.smembers(key).boxed();
        let members: Vec<String> = self.valkey.within(BUDGET, call).await.ok()?;
        let marked = members.iter().any(|m| m == MARKER);
        marked.then(|| members.iter().filter_map(|m| m.parse().ok()).collect())
    }

    async fn share(&self, key: String, set: &HashSet<Permission>) {
        let fixed = [SHARED_SECONDS.to_string(), MARKER.to_owned()];
        let args = fixed
            .into_iter()
            .chain(set.iter().map(Permission::to_string))
            .map(Into::into)
            .collect();
        // Valkey away: the next request loads it again.
        let _: Result<i64, _> = self.valkey.run(BUDGET, &STORE, key, args).await;
    }

    fn held(&self, key: &LocalKey) -> Option<Arc<HashSet<Permission>>> {
        let local = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        local
            .get(key)
            .filter(|(at, _)| at.elapsed() < LOCAL)
            .map(|(_, set)| Arc::clone(set))
    }

    fn hold(&self, key: LocalKey, set: Arc<HashSet<Permission>>) {
        let mut local = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        if local.len() >= LOCAL_ENTRIES_MAX {
            local.retain(|_, (at, _)| at.elapsed() < LOCAL);
            if local.len() >= LOCAL_ENTRIES_MAX {
                local.clear();
            }
        }
        local.insert(key, (Instant::now(), set));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tenant(n: u128) -> TenantId {
        uuid::Uuid::from_u128(n).to_string().parse().unwrap()
    }

    proptest! {
        #[test]
        fn keys_of_different_users_differ(
            a in (1..9u128, ".{0,12}", 0..9i64), b in (1..9u128, ".{0,12}", 0..9i64),
        ) {
            let key_of = |(t, user, revision): &(u128, String, i64)| key(tenant(*t), user, Revision(*revision));
            prop_assert_eq!(a == b, key_of(&a) == key_of(&b));
            prop_assert!(key_of(&a).bytes().all(|c| c.is_ascii_graphic()));
        }
    }
}
