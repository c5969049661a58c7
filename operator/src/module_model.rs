//! The Reconciler of ModuleModels: fetch → validate → observe → build → apply → status.

mod apply;
mod approval;
mod build;
mod deletion;
mod drift;
mod files;
mod observe;
mod publish;
mod reconcile;
mod references;
mod status;
mod validate;
mod withdraw;

pub use build::{Drift, Lock, Phase, Plan, Proof, Statement, Step, build};
pub use deletion::carry_on_absent;
pub use files::{FileError, waits_for_tenants};
pub use observe::{Observed, ObservedAnalytics};
pub use reconcile::{on_error, reconcile};
pub use validate::{Desired, validate};
pub use withdraw::{withdraw, withdraw_absent};

use crate::together::Together;

/// Models that are looked at together: each is some kilobytes of an answer.
const TOGETHER_MAX: usize = 50;

/// What reconciles of ModuleModels of one DataPlane ask its databases at once.
pub struct Gathered {
    looks: Together<observe::Asked, apply::Look>,
    drifts: Together<drift::Asked, drift::Found>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            looks: Together::new(TOGETHER_MAX),
            drifts: Together::new(TOGETHER_MAX),
        }
    }
}

#[cfg(test)]
mod tests;
