//! `Idempotency-Key`: a write that is sent again answers what it answered first, and is not carried out again.
//!
//! The key is claimed by the first statements of the write's own transaction and the answer is kept by its last, so a
//! crash in between leaves neither. Who comes while the first is running waits: in this process without a connection
//! ([`Flights`]), behind another process on the lock of its claim, for a moment at a time.

mod fingerprint;
mod flights;
mod kept;
mod key;

pub use flights::Flights;
pub(super) use flights::{NoPlace, Place};
pub(super) use kept::{Kept, encode};
pub(super) use key::{Keyed, parse};

use std::time::Duration;

/// Longest wait for the first (API.md: 5 s, then 409).
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);

/// Between two attempts to claim a key that another process is at work on.
pub(super) const CLAIM_INTERVAL: Duration = Duration::from_millis(250);
