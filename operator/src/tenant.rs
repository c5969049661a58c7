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

use crate::{report::Refusal, together::Together};
use model::TenantId;

/// Tenants that are looked at together, and those that are written together. Each is some hundred bytes of a statement,
/// and a transaction of this many holds its lock for about a second.
const TOGETHER_MAX: usize = 100;

/// What both databases hold of a tenant.
type Looked = (Observed, ObservedPolicies);

/// What reconciles of Tenants of one DataPlane ask its databases at once.
pub struct Gathered {
    looks: Together<(TenantId, String), Looked>,
    applies: Together<apply::Asked, Result<(), Refusal>>,
    withdrawals: Together<String, bool>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            looks: Together::new(TOGETHER_MAX),
            applies: Together::new(TOGETHER_MAX),
            withdrawals: Together::new(TOGETHER_MAX),
        }
    }
}

#[cfg(test)]
mod tests;
