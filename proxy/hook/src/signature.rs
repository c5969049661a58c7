//! `X-Septem-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>]`: HMAC-SHA256 over `<t>.<body>`.
//!
//! One secret of the installation gives every module a key of its own (HKDF-SHA256, the module as info), so that no
//! module can sign as us towards another, and nothing secret stands in a resource or in the catalogue. While the secret
//! is being changed there are two signatures, and a receiver accepts either.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::Ident;
use ring::{
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};
use secrecy::{ExposeSecret as _, SecretString};

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-septem-signature";
/// How far `t` may be from a receiver's clock, in seconds: what is older may be a replay.
pub const WINDOW_SECONDS: u64 = 300;
/// Bytes of the secret and of each derived key.
const KEY_BYTES: usize = 32;

/// The secret is not one.
#[derive(Debug, thiserror::Error)]
#[error("is not 32 bytes in base64")]
pub struct KeysError;

/// The installation's secret, and the one before it while it is being changed.
#[derive(Clone)]
pub struct Keys {
    current: [u8; KEY_BYTES],
    previous: Option<[u8; KEY_BYTES]>,
}

impl Keys {
    /// Reads 32 bytes in base64 each.
    pub fn parse(
        current: &SecretString,
        previous: Option<&SecretString>,
    ) -> Result<Self, KeysError> {
        let read = |text: &SecretString| {
            let bytes = STANDARD.decode(text.expose_secret().trim()).ok();
            bytes.and_then(|b| b.try_into().ok()).ok_or(KeysError)
        };
        Ok(Self {
            current: read(current)?,
            previous: previous.map(read).transpose()?,
        })
    }

    /// The key that a module verifies with, in base64: what its author is given.
    pub fn module_key(&self, module: &Ident) -> SecretString {
        STANDARD.encode(derive(&self.current, module)).into()
    }

    /// The value of [`SIGNATURE_HEADER`] for a body sent at that time.
    pub fn sign(&self, module: &Ident, unix_seconds: u64, body: &[u8]) -> String {
        let mut header = format!("t={unix_seconds}");
        for secret in std::iter::once(&self.current).chain(&self.previous) {
            header.push_str(",v1=");
            let tag = tag(&derive(secret, module), &unix_seconds.to_string(), body);
            for byte in tag.as_ref() {
                let _ = write!(header, "{byte:02x}");
            }
        }
        header
    }
}

fn derive(secret: &[u8; KEY_BYTES], module: &Ident) -> [u8; KEY_BYTES] {
    let info = [b"septem hook v1 ".as_slice(), module.as_str().as_bytes()];
    let mut key = [0; KEY_BYTES];
    Salt::new(HKDF_SHA256, &[])
        .extract(secret)
        .expand(&info, HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("32 bytes are what HKDF-SHA256 gives at once");
    key
}

fn tag(key: &[u8], time: &str, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(time.as_bytes());
    context.update(b".");
    context.update(body);
    context.sign()
}

/// Whether the header is ours for this body and not older than [`WINDOW_SECONDS`]: what a receiver does. The key is
/// what [`Keys::module_key`] gives.
pub fn verify(module_key: &str, header: &str, body: &[u8], now_unix_seconds: u64) -> bool {
    let Ok(key) = STANDARD.decode(module_key) else {
        return false;
    };
    let parts = || header.split(',').filter_map(|part| part.split_once('='));
    let Some((_, time)) = parts().find(|(name, _)| *name == "t") else {
        return false;
    };
    let is_fresh = |t: u64| now_unix_seconds.abs_diff(t) <= WINDOW_SECONDS;
    if !time.parse().is_ok_and(is_fresh) {
        return false;
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = [time.as_bytes(), b".", body].concat();
    parts()
        .filter(|(name, _)| *name == "v1")
        .filter_map(|(_, hex)| unhex(hex))
        .any(|tag| hmac::verify(&key, &signed, &tag).is_ok())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let digit = |b: u8| char::from(b).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> SecretString {
        STANDARD.encode([byte; KEY_BYTES]).into()
    }

    #[test]
    fn a_signature_holds_for_one_body_one_module_and_five_minutes() {
        let (crm, hr): (Ident, Ident) = ("crm".parse().unwrap(), "hr".parse().unwrap());
        let keys = Keys::parse(&secret(1), None).unwrap();
        let key = keys.module_key(&crm);
        let (key, now) = (key.expose_secret(), 1_800_000_000);
        let header = keys.sign(&crm, now, b"{}");
        assert!(verify(key, &header, b"{}", now));
        assert!(verify(key, &header, b"{}", now + 300));
        assert!(!verify(key, &header, b"{}", now + 301));
        assert!(!verify(key, &header, b"{}", now - 301));
        assert!(!verify(key, &header, b"{ }", now));
        assert!(!verify(key, &header.replace("t=1", "t=2"), b"{}", now));
        assert!(!verify(key, &keys.sign(&hr, now, b"{}"), b"{}", now));
        for broken in [
            "",
            "t=1800000000",
            "t=x,v1=00",
            "v1=00",
            "t=1800000000,v1=0g",
            "t=1800000000,v1=é",
        ] {
            assert!(!verify(key, broken, b"{}", now), "{broken}");
        }
    }

    #[test]
    fn two_secrets_are_valid_while_one_replaces_the_other() {
        let crm: Ident = "crm".parse().unwrap();
        let old = Keys::parse(&secret(1), None).unwrap();
        let both = Keys::parse(&secret(2), Some(&secret(1))).unwrap();
        let header = both.sign(&crm, 10, b"x");
        for keys in [&old, &both] {
            assert!(verify(
                keys.module_key(&crm).expose_secret(),
                &header,
                b"x",
                10
            ));
        }
        let stranger = Keys::parse(&secret(3), None).unwrap();
        assert!(!verify(
            stranger.module_key(&crm).expose_secret(),
            &header,
            b"x",
            10
        ));
        for bad in ["", "AAAA", "not base64"] {
            assert!(Keys::parse(&bad.into(), None).is_err());
        }
    }

    /// The same figures as in docs/hooks.md, computed with Python's `hmac`.
    #[test]
    fn the_derivation_is_hkdf_as_others_compute_it() {
        let crm: Ident = "crm".parse().unwrap();
        let keys = Keys::parse(&secret(0), None).unwrap();
        assert_eq!(keys.module_key(&crm).expose_secret(), DERIVED);
        assert_eq!(keys.sign(&crm, 1, b"{}"), SIGNED);
    }

    const DERIVED: &str = "hrq4KtG5bLSHvLdEk9tfWm/Nfg35wvuLekxcHdb7Jjk=";
    const SIGNED: &str = "t=1,v1=9b63c81650c64e9562c501f15b0701eb620f0d1ef16f1c016a745b254476f007";
}
