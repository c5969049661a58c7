//! One token: compact JWS, ES256, typed claims (RFC 7519, RFC 8725).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::{Identity, KeySet, LEEWAY_SECONDS, Refused, TOKEN_BYTES_MAX};
use crate::config::AuthConfig;

/// Longest `sub`, in bytes: it goes into `created_by` and every log line.
const USER_BYTES_MAX: usize = 255;
/// r and s of P-256, 32 bytes each.
const SIGNATURE_BYTES: usize = 64;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515 section 4.1.11); we understand none.
    crit: Option<serde::de::IgnoredAny>,
}

/// Every claim has one type: `exp` as a text, or a `tenant_id` that is a list, is no claim. A claim that appears
/// twice is refused by the derived parser.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: i64,
    nbf: Option<i64>,
    sub: String,
    tenant_id: model::TenantId,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Whether a token with this `exp` is no longer valid.
pub fn is_expired(expires_at: i64, now: i64) -> bool {
    expires_at.saturating_add(LEEWAY_SECONDS) <= now
}

/// The identity of a token: signature first, then claims.
pub fn verify(
    text: &str,
    keys: &KeySet,
    config: &AuthConfig,
    now: i64,
) -> Result<Identity, Refused> {
    let claims = verified_claims(text, keys).ok_or(Refused::Invalid)?;
    let audience = match &claims.aud {
        Audience::One(aud) => *aud == config.audience,
        Audience::Many(list) => list.contains(&config.audience),
    };
    let premature = claims
        .nbf
        .is_some_and(|nbf| nbf > now.saturating_add(LEEWAY_SECONDS));
    let user = !claims.sub.is_empty()
        && claims.sub.len() <= USER_BYTES_MAX
        && !claims.sub.contains(char::is_control);
    if claims.iss != config.issuer || !audience || premature || !user {
        return Err(Refused::Invalid);
    }
    if is_expired(claims.exp, now) {
        return Err(Refused::Expired);
    }
    Ok(Identity {
        tenant: claims.tenant_id,
        user: claims.sub.into(),
        expires_at: claims.exp,
    })
}

fn verified_claims(text: &str, keys: &KeySet) -> Option<Claims> {
    if text.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (message, signature) = text.rsplit_once('.')?;
    let (head, payload) = message.split_once('.')?;
    let header: Header = decode(head)?;
    if header.alg != "ES256" || header.crit.is_some() {
        return None;
    }
    let key = keys.find(header.kid.as_deref())?;
    // Exactly r‖s: a DER signature has another length.
    if URL_SAFE_NO_PAD.decode(signature).ok()?.len() != SIGNATURE_BYTES {
        return None;
    }
    let genuine =
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, Algorithm::ES256).ok()?;
    if genuine { decode(payload) } else { None }
}

/// Strict base64url without padding, then JSON. A second dot in the payload is no base64url.
fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
