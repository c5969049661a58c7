//! Who asks: access tokens (JWT, ES256 and nothing else) verified against the configured keys.
//!
//! The algorithm comes from here, never from the token. Only the `Authorization` header is read: a token in a URL
//! ends up in logs.

mod keys;
mod seen;
mod token;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, header};
use model::TenantId;

pub use keys::{KeyError, KeySet};

use crate::config::AuthConfig;

/// Clock skew that is forgiven, in seconds, for `exp` and `nbf`.
pub const LEEWAY_SECONDS: i64 = 30;
/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Who a verified token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Claim `tenant_id`.
    pub tenant: TenantId,
    /// Claim `sub`, 1 to 255 bytes without control characters.
    pub user: Arc<str>,
    /// Claim `exp`, in Unix seconds.
    pub expires_at: i64,
}

/// Why there is no identity. The client learns no more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No `Authorization: Bearer` header, or more than one.
    #[error("An access token is needed: Authorization: Bearer <token>.")]
    Missing,
    /// It was valid once.
    #[error("The access token has expired.")]
    Expired,
    /// Anything else.
    #[error("The access token is invalid.")]
    Invalid,
}

/// Verifies tokens and remembers those that it has verified.
pub struct Verifier {
    config: AuthConfig,
    keys: ArcSwap<KeySet>,
    seen: seen::Seen,
}

impl Verifier {
    /// Reads the key files.
    pub fn load(config: AuthConfig) -> Result<Self, KeyError> {
        let keys = KeySet::load(&config, 1)?;
        Ok(Self {
            config,
            keys: ArcSwap::from_pointee(keys),
            seen: seen::Seen::default(),
        })
    }

    /// Reads the key files again and takes them if they have changed; on an error the keys in use stay.
    pub fn reload(&self) -> Result<bool, KeyError> {
        let current = self.keys.load();
        let read = KeySet::load(&self.config, current.generation() + 1)?;
        let changed = !read.same_as(&current);
        if changed {
            self.keys.store(Arc::new(read));
        }
        Ok(changed)
    }

    /// The identity in the headers of a request.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Arc<Identity>, Refused> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs().cast_signed());
        self.verify(bearer(headers)?, now)
    }

    fn verify(&self, text: &str, now: i64) -> Result<Arc<Identity>, Refused> {
        let keys = self.keys.load();
        let digest = seen::digest(text);
        if let Some(identity) = self.seen.get(&digest, keys.generation(), now) {
            // The one claim that changes its meaning while the token is remembered.
            return if token::is_expired(identity.expires_at, now) {
                Err(Refused::Expired)
            } else {
                Ok(identity)
            };
        }
        let identity = Arc::new(token::verify(text, &keys, &self.config, now)?);
        self.seen
            .put(digest, keys.generation(), now, Arc::clone(&identity));
        Ok(identity)
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(Refused::Missing);
    };
    let text = value.to_str().map_err(|_| Refused::Invalid)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(token.trim_start_matches(' '))
        }
        _ => Err(Refused::Missing),
    }
}

#[cfg(test)]
mod tests;
