//! The public keys that verify tokens: one PEM file, one JWKS file, or both. P-256 only.

use std::{collections::HashMap, fs, io, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::config::AuthConfig;

/// Largest JWKS file, in bytes, and most keys in it.
const JWKS_BYTES_MAX: u64 = 64 * 1024;
const JWKS_KEYS_MAX: usize = 32;
/// SubjectPublicKeyInfo of an uncompressed P-256 point: this head (RFC 5480), then 64 bytes.
const SPKI_HEAD: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// Why a key file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("the file {path} cannot be read")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The PEM file is not one P-256 public key.
    #[error("the file {0} is not one P-256 public key in PEM")]
    Pem(String),
    /// The JWKS file has no key for us.
    #[error("the file {0} is not a JWKS with a P-256 key for signatures")]
    Jwks(String),
}

/// Keys that are in use together.
pub struct KeySet {
    generation: u64,
    fingerprint: [u8; 32],
    pem: Option<DecodingKey>,
    by_kid: HashMap<String, DecodingKey>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// What we read of a key; members of other key types are not looked at.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    r#use: Option<String>,
    alg: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads the configured files. The generation tells this set from the one before.
    pub fn load(config: &AuthConfig, generation: u64) -> Result<Self, KeyError> {
        let mut hash = Sha256::new();
        let pem = match &config.public_key {
            Some(path) => {
                let text = read(path)?;
                hash.update(&text);
                Some(parse_pem(&text).ok_or_else(|| KeyError::Pem(path.display().to_string()))?)
            }
            None => None,
        };
        hash.update([0]);
        let by_kid = match &config.jwks {
            Some(path) => {
                let text = read(path)?;
                hash.update(&text);
                parse_jwks(&text).ok_or_else(|| KeyError::Jwks(path.display().to_string()))?
            }
            None => HashMap::new(),
        };
        Ok(Self {
            generation,
            fingerprint: hash.finalize().into(),
            pem,
            by_kid,
        })
    }

    /// Which set this is.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether both were read from the same bytes.
    pub fn same_as(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }

    /// The key that must have signed a token with this `kid`: the one so named in the JWKS, else the PEM key.
    pub fn find(&self, kid: Option<&str>) -> Option<&DecodingKey> {
        kid.and_then(|kid| self.by_kid.get(kid))
            .or(self.pem.as_ref())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let error = |source| KeyError::Read {
        path: path.display().to_string(),
        source,
    };
    let size = fs::metadata(path).map_err(error)?.len();
    if size > JWKS_BYTES_MAX {
        return Err(error(io::Error::other("larger than 64 KiB")));
    }
    fs::read(path).map_err(error)
}

fn parse_pem(mut text: &[u8]) -> Option<DecodingKey> {
    let mut items = rustls_pemfile::read_all(&mut text);
    let (Some(Ok(rustls_pemfile::Item::SubjectPublicKeyInfo(der))), None) =
        (items.next(), items.next())
    else {
        return None;
    };
    let point = der
        .strip_prefix(&SPKI_HEAD)
        .filter(|rest| rest.len() == 64)?;
    let (x, y) = point.split_at(32);
    DecodingKey::from_ec_components(&URL_SAFE_NO_PAD.encode(x), &URL_SAFE_NO_PAD.encode(y)).ok()
}

/// Keys of another type, curve, use or algorithm are passed over: they are not for us. One of ours must remain.
fn parse_jwks(text: &[u8]) -> Option<HashMap<String, DecodingKey>> {
    let jwks: Jwks = serde_json::from_slice(text).ok()?;
    if jwks.keys.len() > JWKS_KEYS_MAX {
        return None;
    }
    let mut found = HashMap::new();
    for key in jwks.keys {
        let ours = key.kty == "EC"
            && key.crv.as_deref() == Some("P-256")
            && key.r#use.as_deref().is_none_or(|u| u == "sig")
            && key.alg.as_deref().is_none_or(|a| a == "ES256");
        let (true, Some(kid), Some(x), Some(y)) = (ours, key.kid, key.x, key.y) else {
            continue;
        };
        let coordinate = |text: &str| {
            URL_SAFE_NO_PAD
                .decode(text)
                .is_ok_and(|bytes| bytes.len() == 32)
        };
        if !coordinate(&x) || !coordinate(&y) {
            continue;
        }
        // Two keys under one name: nobody can say which of them is meant.
        let decoding = DecodingKey::from_ec_components(&x, &y).ok()?;
        if found.insert(kid, decoding).is_some() {
            return None;
        }
    }
    (!found.is_empty()).then_some(found)
}
