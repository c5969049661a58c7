//! How hooks answer. Labels are the event and the outcome; which model it was is in the log.

use model::HookEvent;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::problem::Problem;

/// How one call ended.
pub(super) enum Outcome {
    /// The write goes on as it was.
    Passed,
    /// It goes on changed.
    Changed,
    /// It is refused with this.
    Refused(Problem),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    event: &'static str,
    outcome: &'static str,
}

/// Counts calls of before-hooks. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct HookMetrics {
    calls: Family<Labels, Counter>,
}

impl HookMetrics {
    /// Puts the counters into the registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "hook_calls",
            "Calls of before-hooks (event, outcome: passed, changed, refused, failed, ignored)",
            self.calls.clone(),
        );
    }

    pub(super) fn answered(&self, event: HookEvent, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Passed => "passed",
            Outcome::Changed => "changed",
            Outcome::Refused(_) => "refused",
        };
        self.count(event, outcome);
    }

    pub(super) fn refused(&self, event: HookEvent) {
        self.count(event, "refused");
    }

    pub(super) fn failed(&self, event: HookEvent, ignored: bool) {
        self.count(event, if ignored { "ignored" } else { "failed" });
    }

    fn count(&self, event: HookEvent, outcome: &'static str) {
        let event = event.as_str();
        self.calls.get_or_create(&Labels { event, outcome }).inc();
    }
}
