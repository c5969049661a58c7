//! Before-hooks: the module is asked before a write, and may change or refuse it.
//!
//! Envelope → call (crate `hook`) → verdict, for one hook after the other, each seeing what the one before made of the
//! records. No connection to the database is held meanwhile. docs/hooks.md is the contract with modules.

mod envelope;
mod metrics;
mod verdict;

use std::{sync::Arc, time::Duration};

use model::{FailurePolicy, Hook, HookEvent, ModuleModel};
use tokio::time::Instant;

pub use metrics::HookMetrics;
pub(crate) use verdict::Unusable;

use crate::{
    caller::Caller,
    hooks::{
        envelope::Envelope,
        metrics::Outcome,
        verdict::{Verdict, verdict_of},
    },
    problem::{Problem, ProblemKind},
    telemetry::chain_of,
};

/// Longest that all hooks of one write may take together, however many there are: a client waits for them, and module
/// back ends have 5 s in all (DESIGN 11).
pub const HOOKS_TIME_MAX: Duration = Duration::from_secs(5);

/// Asks modules.
pub struct Hooks {
    client: Arc<hook::Client>,
    metrics: HookMetrics,
}

/// A write as a module is told of it.
pub(crate) struct Occasion<'a> {
    /// What is about to happen.
    pub event: HookEvent,
    /// To records of this model.
    pub model: &'a ModuleModel,
    /// Who asks for it.
    pub caller: &'a Caller,
    /// Whether nothing of it is going to be kept.
    pub dry_run: bool,
    /// The filter of a write that finds its records itself, as a query string.
    pub filter: Option<&'a str>,
    /// Whether values of JSON fields are merge patches.
    pub merge_patch: bool,
}

/// The records of a write, as hooks see and change them.
pub(crate) trait Records: Send {
    /// The records as JSON, an array of objects.
    fn to_json(&self) -> Vec<u8>;

    /// Takes over what a hook answered in place of the records, all of it or nothing.
    fn amend(&mut self, answer: &[&serde_json::value::RawValue]) -> Result<(), Unusable>;
}

impl Hooks {
    /// Asks through this client.
    pub fn new(client: Arc<hook::Client>, metrics: HookMetrics) -> Self {
        Self { client, metrics }
    }

    /// Asks every hook of the model for this event. An error is the answer to the client, and nothing may be written.
    ///
    /// A write may be planned twice, refused later, or be a replay: a hook can be asked of a write that never happens.
    pub(crate) async fn before(
        &self,
        occasion: &Occasion<'_>,
        records: &mut dyn Records,
    ) -> Result<(), Problem> {
        let deadline = Instant::now() + HOOKS_TIME_MAX;
        for hook in occasion.model.hooks(occasion.event) {
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = Duration::from_millis(hook.timeout_ms.into()).min(left);
            let failure = match self.ask(occasion, records, hook, limit).await {
                Ok(Outcome::Refused(problem)) => {
                    self.metrics.refused(occasion.event);
                    return Err(problem);
                }
                Ok(outcome) => {
                    self.metrics.answered(occasion.event, &outcome);
                    continue;
                }
                Err(failure) => failure,
            };
            let event = occasion.event.as_str();
            let model = occasion.model.name();
            let (module, model) = (model.module.as_str(), model.model.as_str());
            let ignored = hook.failure_policy == FailurePolicy::Ignore;
            tracing::warn!(
                error = chain_of(&failure),
                module,
                model,
                event,
                ignored,
                "a hook failed"
            );
            self.metrics.failed(occasion.event, ignored);
            if !ignored {
                return Err(failure.into_problem());
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        occasion: &Occasion<'_>,
        records: &mut dyn Records,
        hook: &Hook,
        limit: Duration,
    ) -> Result<Outcome, Failure> {
        let body = Envelope::new(occasion, &records.to_json()).into_bytes();
        let module = &occasion.model.name().module;
        let answer = self.client.call(module, hook, body.into(), limit).await?;
        Ok(match verdict_of(&answer)? {
            Verdict::Pass => Outcome::Passed,
            Verdict::Refuse(problem) => Outcome::Refused(problem),
            Verdict::Amend(answered) => {
                records.amend(&answered)?;
                Outcome::Changed
            }
        })
    }
}

/// A hook did not do its part.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Call(#[from] hook::CallError),
    #[error(transparent)]
    Answer(#[from] Unusable),
}

impl Failure {
    /// What a client may know: neither where the hook is nor what it said.
    fn into_problem(self) -> Problem {
        match self {
            Self::Call(hook::CallError::Timeout) => Problem::new(
                ProblemKind::Timeout,
                "The module did not answer in time whether the write may happen.",
            ),
            _ => Problem::new(
                ProblemKind::Unavailable,
                "The module could not be asked whether the write may happen. Try again.",
            ),
        }
    }
}
