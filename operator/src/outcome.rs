//! The end of every reconcile: status written if it changed, Event on a transition, metrics, and when to come back.

use std::{sync::Arc, time::Duration};

use crds::Reason;
use kube::{Resource, ResourceExt as _, runtime::controller::Action};

use crate::{
    context::Context,
    error::Error,
    metrics::{Kind, Outcome},
    report::{Stage, Verdict},
    telemetry::chain,
};

/// Between two looks at something that is as it should be (DESIGN 4: drift every 5 minutes unless configured).
pub const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// Until somebody else's move is looked for; a watch usually tells earlier.
pub const WAIT: Duration = Duration::from_secs(30);
/// Until it is seen whether proxies have acknowledged, or a backfill goes on.
pub const SOON: Duration = Duration::from_secs(1);

/// What a reconcile came to.
pub struct End {
    /// For the status.
    pub verdict: Verdict,
    /// For the metric.
    pub outcome: Outcome,
    /// For the retry, when it failed.
    pub error: Option<Error>,
    /// When to come back at the latest, if not at the usual time.
    pub again: Option<Duration>,
}

impl End {
    /// Looked at every stage; `changed` when something was done.
    pub fn looked(stages: Vec<Stage>, changed: bool) -> Self {
        let outcome = if changed {
            Outcome::Applied
        } else {
            Outcome::Unchanged
        };
        Self {
            verdict: Verdict::Looked(stages),
            outcome,
            error: None,
            again: None,
        }
    }

    /// Somebody has to change the resource.
    pub fn refused(refusal: crate::report::Refusal) -> Self {
        Self {
            verdict: Verdict::Refused(refusal),
            outcome: Outcome::Refused,
            error: None,
            again: None,
        }
    }

    /// Something else has to happen first.
    pub fn waiting(stage: Stage) -> Self {
        Self {
            verdict: Verdict::Retrying(stage),
            outcome: Outcome::Waiting,
            error: None,
            again: None,
        }
    }

    /// `spec.paused`.
    pub fn paused() -> Self {
        Self {
            verdict: Verdict::Paused,
            outcome: Outcome::Waiting,
            error: None,
            again: None,
        }
    }

    /// It will be tried again.
    pub fn failed(stage: Stage, error: Error) -> Self {
        Self {
            verdict: Verdict::Retrying(stage),
            outcome: Outcome::Failed,
            error: Some(error),
            again: None,
        }
    }

    /// Comes back after that time at the latest.
    pub fn soon(mut self, again: Duration) -> Self {
        self.again = Some(again);
        self
    }

    /// When to come back, or the error that backs off. `look_again` is between two looks at what is as it should be.
    pub fn into_action(
        self,
        backoff: &crate::backoff::Backoff,
        uid: &str,
        look_again: Duration,
    ) -> Result<Action, Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        backoff.succeeded(uid);
        let waits_briefly =
            |s: &Stage| matches!(s.reason, Reason::WaitingForProxies | Reason::Backfilling);
        let usual = match &self.verdict {
            Verdict::Looked(stages) if stages.iter().any(waits_briefly) => SOON,
            Verdict::Looked(stages) if stages.iter().all(|s| s.reason != Reason::Progressing) => {
                jittered(look_again)
            }
            Verdict::Refused(refusal) if refusal.reason != Reason::NameConflict => LOOK_AGAIN,
            _ => WAIT,
        };
        Ok(Action::requeue(
            self.again.map_or(usual, |again| usual.min(again)),
        ))
    }
}

/// 90 to 110 % of it: what was started at once is not looked at at once for ever.
fn jittered(pause: Duration) -> Duration {
    let noise = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    pause * (922 + noise * 205 / 255) / 1_024
}

/// What a failed reconcile does: logged once, with its chain, and tried again after the object's own pause.
pub fn on_error<K: Resource<DynamicType = ()>>(
    object: &K,
    error: &Error,
    context: &Context,
    kind: Kind,
) -> Action {
    if matches!(error, Error::Superseded) {
        context.superseded.cancel();
        return Action::await_change();
    }
    context.metrics.failed(kind, error.reason());
    let pause = context.backoff.failed(&object.uid().unwrap_or_default());
    tracing::warn!(
        kind = ?kind,
        name = object.name_any(),
        namespace = object.namespace(),
        error = chain(error),
        retry_after_seconds = pause.as_secs_f64(),
        "reconcile failed"
    );
    Action::requeue(pause)
}

/// A shared handle, spelled out once.
pub type Shared = Arc<Context>;
