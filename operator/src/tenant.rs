//! The Reconciler of Tenants: fetch → validate → observe → build → apply → status.

mod apply;
mod deletion;
mod erase;
mod observe;
mod reconcile;
mod validate;
mod withdraw;

pub use erase::carry_on_absent;
pub use observe::{Observed, ObservedPolicies};
pub use reconcile::{on_error, reconcile};
pub use validate::{Desired, validate};
pub use withdraw::withdraw_absent;

#[cfg(test)]
mod tests;
