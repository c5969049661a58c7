//! The Reconciler of ModuleModels: fetch → validate → observe → build → apply → status.

mod apply;
mod build;
mod files;
mod observe;
mod publish;
mod reconcile;
mod status;
mod validate;
mod withdraw;

pub use build::{Drift, Plan, build};
pub use files::{FileError, waits_for_tenants};
pub use observe::{Observed, ObservedAnalytics, observe, observe_analytics};
pub use reconcile::{on_error, reconcile};
pub use validate::{Desired, validate};
pub use withdraw::{withdraw, withdraw_absent};

#[cfg(test)]
mod tests;
