//! Which of several operators works: the one that holds a Lease (`coordination.k8s.io/v1`).
//!
//! A holder renews every 2 s and gives up by itself 10 s after its last renewal began, by its own monotonic clock; others
//! wait until they have seen the same renewal for 15 s, by theirs. So clocks of two machines are never compared. The
//! Lease keeps two operators out of each other's way; what makes a stale one harmless is the epoch in the database.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::telemetry::chain;

/// How long a Lease that is not renewed belongs to its holder (client-go's default).
const DURATION: Duration = Duration::from_secs(15);
/// After this without a renewal its holder stops by itself.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between two tries.
const RETRY: Duration = Duration::from_secs(2);

/// Which Lease, and who we are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseConfig {
    /// Its namespace.
    pub namespace: String,
    /// Its name; one for each class of operators.
    pub name: String,
    /// Ours alone: another start of the same pod is another one.
    pub identity: String,
}

/// Whether we work.
#[derive(Debug)]
pub struct Leadership {
    term: Mutex<Term>,
    /// Rises with each term; tells the controllers to begin.
    begun: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Term {
    /// Somebody else works, or nobody.
    Standby,
    /// We do, until then at most; without an end where there is no Lease.
    Held {
        since: Instant,
        until: Option<Instant>,
    },
}

impl Leadership {
    /// Nobody else is there: we work from the start.
    pub fn alone() -> Self {
        let held = Term::Held {
            since: Instant::now(),
            until: None,
        };
        Self::of(held)
    }

    /// Others may be there: we work once we hold the Lease.
    pub fn standby() -> Self {
        Self::of(Term::Standby)
    }

    fn of(term: Term) -> Self {
        Self {
            term: Mutex::new(term),
            begun: watch::Sender::new(0),
        }
    }

    /// Since when we work; none while we do not, and from the moment on at which somebody else might.
    pub fn since(&self) -> Option<Instant> {
        match *self.term.lock().unwrap_or_else(PoisonError::into_inner) {
            Term::Held { since, until } => until
                .is_none_or(|until| Instant::now() < until)
                .then_some(since),
            Term::Standby => None,
        }
    }

    /// Whether we may write.
    pub fn holds(&self) -> bool {
        self.since().is_some()
    }

    /// Changes when we begin to work.
    pub fn begun(&self) -> watch::Receiver<u64> {
        self.begun.subscribe()
    }

    fn renewed(&self, until: Instant) {
        let mut term = self.term.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = matches!(*term, Term::Standby);
        let since = match *term {
            Term::Held { since, .. } => since,
            Term::Standby => Instant::now(),
        };
        *term = Term::Held {
            since,
            until: Some(until),
        };
        drop(term);
        if begins {
            self.begun.send_modify(|terms| *terms += 1);
        }
    }

    fn is_standby(&self) -> bool {
        let term = self.term.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*term, Term::Standby)
    }

    /// Takes the Lease and renews it until `stopping`, when it is given back. Returns earlier only when it was held
    /// and is lost.
    pub async fn keep(
        &self,
        client: Client,
        config: &LeaseConfig,
        stopping: CancellationToken,
    ) -> Result<(), Lost> {
        let api = Api::<Lease>::namespaced(client, &config.namespace);
        let mut seen = None;
        loop {
            let began = Instant::now();
            if !self.is_standby() && !self.holds() {
                return Err(Lost);
            }
            // An answer that comes later than the next try is no answer.
            let tried = tokio::time::timeout(RETRY * 2, try_hold(&api, config, &mut seen)).await;
            match tried {
                Ok(Ok(Tried::Ours)) => {
                    if self.is_standby() {
                        tracing::info!(lease = config.name, "the Lease is ours: beginning to work");
                    }
                    self.renewed(began + RENEW_DEADLINE);
                }
                Ok(Ok(Tried::Others)) if !self.is_standby() => return Err(Lost),
                Ok(Ok(Tried::Others | Tried::Raced)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(
                        lease = config.name,
                        error = chain(&error),
                        "Lease not renewed"
                    );
                }
                Err(_) => tracing::warn!(
                    lease = config.name,
                    "the API server is slow to renew the Lease"
                ),
            }
            tokio::select! {
                () = stopping.cancelled() => break,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        if self.holds() {
            *self.term.lock().unwrap_or_else(PoisonError::into_inner) = Term::Standby;
            // So that a successor need not wait; one that is not given back expires.
            let given = tokio::time::timeout(RETRY, give_back(&api, config)).await;
            if !matches!(given, Ok(Ok(()))) {
                tracing::warn!(lease = config.name, "Lease not given back: it expires");
            }
        }
        Ok(())
    }
}

/// The Lease was ours, and may be somebody else's now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Lease was not renewed in time: another operator may be at work")]
pub struct Lost;

/// A renewal of another holder, and when it was first seen.
struct Seen {
    version: Option<String>,
    at: Instant,
}

/// What came of a try.
enum Tried {
    /// We hold it.
    Ours,
    /// Another does.
    Others,
    /// Somebody changed it between our look and our write: the next try tells.
    Raced,
}

/// Takes or renews it.
async fn try_hold(
    api: &Api<Lease>,
    config: &LeaseConfig,
    seen: &mut Option<Seen>,
) -> Result<Tried, kube::Error> {
    let Some(found) = api.get_opt(&config.name).await? else {
        let lease = held_by(config, None);
        return won(api.create(&PostParams::default(), &lease).await);
    };
    let now = Instant::now();
    if is_others(&found, &config.identity) {
        let version = found.metadata.resource_version.clone();
        let first = match seen {
            Some(seen) if seen.version == version => seen.at,
            _ => {
                *seen = Some(Seen { version, at: now });
                now
            }
        };
        if now.duration_since(first) < duration_of(&found) {
            return Ok(Tried::Others);
        }
    }
    let lease = held_by(config, Some(&found));
    let params = PostParams::default();
    won(api.replace(&config.name, &params, &lease).await)
}

/// Of several that write at once the API server takes one.
fn won(written: Result<Lease, kube::Error>) -> Result<Tried, kube::Error> {
    match written {
        Ok(_) => Ok(Tried::Ours),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Tried::Raced),
        Err(error) => Err(error),
    }
}

async fn give_back(api: &Api<Lease>, config: &LeaseConfig) -> Result<(), kube::Error> {
    let mut lease = api.get(&config.name).await?;
    if is_others(&lease, &config.identity) {
        return Ok(());
    }
    lease.spec.get_or_insert_default().holder_identity = None;
    let params = PostParams::default();
    won(api.replace(&config.name, &params, &lease).await).map(drop)
}

fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|s| s.holder_identity.as_deref())
        .unwrap_or_default()
}

fn is_others(lease: &Lease, us: &str) -> bool {
    !["", us].contains(&holder(lease))
}

fn duration_of(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|s| s.lease_duration_seconds);
    seconds
        .and_then(|s| u64::try_from(s).ok())
        .map_or(DURATION, Duration::from_secs)
}

/// The Lease as it is when we hold it. `found` carries the version that makes the write a compare-and-swap.
fn held_by(config: &LeaseConfig, found: Option<&Lease>) -> Lease {
    let now = || MicroTime(Timestamp::now());
    let before = found.and_then(|f| f.spec.clone()).unwrap_or_default();
    let ours = found.is_some_and(|f| holder(f) == config.identity);
    let transitions = before.lease_transitions.unwrap_or(0);
    let mut metadata = found.map_or_else(ObjectMeta::default, |f| f.metadata.clone());
    metadata.name = Some(config.name.clone());
    metadata.managed_fields = None;
    Lease {
        metadata,
        spec: Some(LeaseSpec {
            holder_identity: Some(config.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: before.acquire_time.filter(|_| ours).or_else(|| Some(now())),
            renew_time: Some(now()),
            lease_transitions: Some(if ours { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_ends_by_itself() {
        let leadership = Leadership::standby();
        assert!(!leadership.holds());
        let begun = leadership.begun();
        leadership.renewed(Instant::now() + Duration::from_secs(60));
        assert!(leadership.holds() && begun.has_changed().unwrap());
        leadership.renewed(Instant::now());
        assert!(!leadership.holds() && !leadership.is_standby());
        assert!(Leadership::alone().holds());
    }

    #[test]
    fn a_renewal_keeps_when_it_was_taken_and_counts_only_changes_of_hands() {
        let config = |identity: &str| LeaseConfig {
            namespace: "n".into(),
            name: "l".into(),
            identity: identity.into(),
        };
        let first = held_by(&config("a"), None);
        assert_eq!(first.spec.as_ref().unwrap().lease_transitions, Some(1));
        let again = held_by(&config("a"), Some(&first)).spec.unwrap();
        assert_eq!(
            again.acquire_time,
            first.spec.as_ref().unwrap().acquire_time
        );
        assert_eq!(again.lease_transitions, Some(1));
        assert!(is_others(&first, "b") && !is_others(&first, "a"));
        let taken = held_by(&config("b"), Some(&first)).spec.unwrap();
        assert_eq!(taken.lease_transitions, Some(2));
        assert_eq!(taken.holder_identity.as_deref(), Some("b"));
    }
}
