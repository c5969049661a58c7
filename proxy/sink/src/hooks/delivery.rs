//! One call until it is taken, buried or given up.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hook::{Answer, CallError};
use model::{FailurePolicy, Hook};
use tokio::time::Instant;

use super::{
    dead::{DeadLetter, DeadLetters},
    event::Told,
};
use crate::{
    backoff::Backoff,
    chain::chain,
    metrics::{HookOutcome, Metrics, Retried},
};

/// A call that is to be made.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    /// Whom to call.
    pub hook: Hook,
    /// What about.
    pub told: Arc<Told>,
}

/// Why a hook did not take a call.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untaken {
    /// No answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An answer other than 2xx.
    #[error("the hook answered status {0}")]
    Status(u16),
}

impl Untaken {
    /// A word for the table and the metrics.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Call(error) => error.class(),
            Self::Status(_) => "status",
        }
    }

    /// Whether time may heal it: a 4xx is the hook's word that it will not take this call, ever.
    fn may_pass(&self) -> bool {
        match self {
            Self::Call(CallError::NoKey | CallError::HostNotAllowed) => false,
            Self::Call(_) => true,
            Self::Status(status) => {
                !(400..500).contains(status) || matches!(status, 408 | 425 | 429)
            }
        }
    }
}

/// How hard a call is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// Again and again, for as long as is configured.
    Usual,
    /// Once: the hook has been failing for longer than that already.
    Once,
    /// Not at all: it has more calls waiting than are held.
    None,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The hook took it.
    Taken,
    /// It did not, and the call is buried or given up.
    Untaken,
}

/// Carries calls to hooks. Cheap to clone.
#[derive(Clone)]
pub(super) struct Courier {
    client: Arc<hook::Client>,
    dead: DeadLetters,
    metrics: Metrics,
    give_up: Duration,
}

impl Courier {
    pub fn new(
        client: Arc<hook::Client>,
        dead: DeadLetters,
        metrics: Metrics,
        give_up: Duration,
    ) -> Self {
        Self {
            client,
            dead,
            metrics,
            give_up,
        }
    }

    /// Returns once nothing more is to be done for this call: it was taken, or it is durable as a dead letter, or its
    /// policy lets it go. Dropped before, it may have been taken, and is delivered again.
    pub async fn deliver(&self, delivery: &Delivery, effort: Effort) -> Ended {
        let failure = match effort {
            Effort::None => "overflow",
            Effort::Once => match self.call(delivery).await {
                Ok(()) => return self.taken(),
                Err(untaken) => untaken.class(),
            },
            Effort::Usual => match self.call_until(delivery).await {
                Ok(()) => return self.taken(),
                Err(untaken) => untaken.class(),
            },
        };
        let name = delivery.told.model.name();
        let (module, model) = (name.module.as_str(), name.model.as_str());
        let (event, event_id) = (delivery.told.event.as_str(), delivery.told.event_id);
        match delivery.hook.failure_policy {
            FailurePolicy::Ignore => {
                self.metrics.hook(HookOutcome::GivenUp);
                tracing::warn!(module, model, event, %event_id, failure, "call of a hook given up");
            }
            FailurePolicy::Fail => {
                self.bury(delivery, failure).await;
                self.metrics.hook(HookOutcome::Dead);
                tracing::error!(module, model, event, %event_id, failure, "call of a hook is a dead letter");
            }
        }
        Ended::Untaken
    }

    fn taken(&self) -> Ended {
        self.metrics.hook(HookOutcome::Taken);
        Ended::Taken
    }

    async fn call_until(&self, delivery: &Delivery) -> Result<(), Untaken> {
        let deadline = Instant::now() + self.give_up;
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let untaken = match self.call(delivery).await {
                Ok(()) => return Ok(()),
                Err(untaken) => untaken,
            };
            let wait = backoff.step();
            if !untaken.may_pass() || Instant::now() + wait >= deadline {
                return Err(untaken);
            }
            self.metrics.retry(Retried::Hook);
            tokio::time::sleep(wait).await;
        }
    }

    async fn call(&self, delivery: &Delivery) -> Result<(), Untaken> {
        let Delivery { hook, told } = delivery;
        let module = &told.model.name().module;
        let body: Bytes = told.body.clone();
        let limit = Duration::from_millis(hook.timeout_ms.into());
        taken(&self.client.call(module, hook, body, limit).await?)
    }

    /// Tries for ever: the offset must not move past a call that is nowhere.
    async fn bury(&self, delivery: &Delivery, failure: &str) {
        let Delivery { hook, told } = delivery;
        let letter = DeadLetter {
            event_id: told.event_id,
            url: hook.url.clone(),
            event: told.event,
            name: told.model.name().clone(),
            tenant: told.key.tenant,
            record: told.key.id,
            position: told.version.0,
            body: String::from_utf8_lossy(&told.body).into_owned(),
        };
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        while let Err(error) = self.dead.bury(&letter, failure).await {
            self.metrics.retry(Retried::DeadLetter);
            tracing::warn!(error = %chain(&error), "call of a hook not buried yet");
            backoff.wait().await;
        }
    }
}

/// Any 2xx takes a call; what else is in the answer is nobody's concern.
pub(super) fn taken(answer: &Answer) -> Result<(), Untaken> {
    if answer.status.is_success() {
        Ok(())
    } else {
        Err(Untaken::Status(answer.status.as_u16()))
    }
}
