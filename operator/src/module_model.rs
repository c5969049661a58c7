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
pub use observe::{Observed, ObservedAnalytics, observe, observe_analytics};
pub use reconcile::{on_error, reconcile};
pub use validate::{Desired, validate};
pub use withdraw::{withdraw, withdraw_absent};

#[cfg(test)]
mod tests;
