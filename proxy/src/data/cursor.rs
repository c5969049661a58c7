//! Cursors: where a page ended, sealed so that only the same tenant with the same question can go on from there.
//!
//! Encrypted with XChaCha20-Poly1305 and authenticated over tenant, model, filter and order. The nonce is made of the
//! plain text under the key (as in SIV), so equal positions make equal cursors and no nonce is ever used for two texts.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chacha20poly1305::{
    Key, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use model::{ModelName, TenantId};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};

/// Most bytes of a cursor that is given out or read: with it a URI still fits its 8 KiB.
pub(super) const CURSOR_BYTES_MAX: usize = 4 * 1024;

/// Which way a cursor goes on from its position. The first byte of a cursor tells it; a cursor with another first
/// byte does not open, since each way is a question of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To the rows behind it; from the first one, where it has no values.
    Forward,
    /// To the rows before it; to the last ones, where it has no values.
    Back,
}

impl Way {
    fn layout(self) -> u8 {
        match self {
            Self::Forward => 1,
            Self::Back => 2,
        }
    }

    fn of_layout(layout: u8) -> Option<Self> {
        [Self::Forward, Self::Back]
            .into_iter()
            .find(|way| way.layout() == layout)
    }
}

/// What a cursor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// Which way to go on.
    pub way: Way,
    /// Values of the order's keys in the row to go on from.
    pub values: Vec<Option<String>>,
}
const NONCE_BYTES: usize = 24;

/// The keys that all proxies share: cursors are sealed with the current one and opened with either.
pub struct CursorKeys {
    current: SecretBox<[u8; 32]>,
    previous: Option<SecretBox<[u8; 32]>>,
}

/// A key is not 32 bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cursor key is 32 bytes in base64")]
pub struct CursorKeyError;

impl CursorKeys {
    /// Reads keys from base64.
    pub fn parse(
        current: &SecretString,
        previous: Option<&SecretString>,
    ) -> Result<Self, CursorKeyError> {
        Ok(Self {
            current: parse_key(current)?,
            previous: previous.map(parse_key).transpose()?,
        })
    }

    /// Seals a position.
    pub(super) fn seal(&self, question: &Question, position: &Position) -> String {
        let question = question.going(position.way);
        let plain = serde_json::to_vec(&position.values).expect("texts are plain data");
        let key = self.current.expose_secret();
        let nonce: [u8; 32] = Sha256::new()
            .chain_update(b"septem cursor nonce")
            .chain_update(key)
            .chain_update(question.0)
            .chain_update(&plain)
            .finalize()
            .into();
        let nonce = XNonce::from_slice(&nonce[..NONCE_BYTES]);
        let sealed = XChaCha20Poly1305::new(Key::from_slice(key))
            .encrypt(
                nonce,
                Payload {
                    msg: &plain,
                    aad: &question.0,
                },
            )
            .expect("a page's position is far below the cipher's bound");
        let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        bytes.push(position.way.layout());
        bytes.extend_from_slice(nonce);
        bytes.extend_from_slice(&sealed);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a cursor that was sealed for the same question; `None` for anything else.
    pub(super) fn open(&self, question: &Question, cursor: &str) -> Option<Position> {
        if cursor.len() > CURSOR_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (layout, rest) = bytes.split_first()?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES)?;
        let way = Way::of_layout(*layout)?;
        let question = question.going(way);
        let keys = std::iter::once(&self.current).chain(&self.previous);
        let plain = keys
            .map(|k| Key::from_slice(k.expose_secret()))
            .find_map(|key| {
                let payload = Payload {
                    msg: sealed,
                    aad: &question.0,
                };
                XChaCha20Poly1305::new(key)
                    .decrypt(XNonce::from_slice(nonce), payload)
                    .ok()
            })?;
        let values = serde_json::from_slice(&plain).ok()?;
        Some(Position { way, values })
    }
}

fn parse_key(text: &SecretString) -> Result<SecretBox<[u8; 32]>, CursorKeyError> {
    let bytes = STANDARD
        .decode(text.expose_secret().trim())
        .map_err(|_| CursorKeyError)?;
    let key: [u8; 32] = bytes.try_into().map_err(|_| CursorKeyError)?;
    Ok(SecretBox::new(Box::new(key)))
}

/// What a cursor continues, as a digest: tenant, model, and every parameter that decides which rows come in which
/// order. The page size and the columns may change between pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question([u8; 32]);

impl Question {
    /// `keeps` when what is included decides which rows there are.
    pub fn new(
        tenant: &TenantId,
        model: &ModelName,
        query: &[(String, String)],
        keeps: bool,
    ) -> Self {
        let free = ["limit", "cursor", "select", "count", "offset"];
        let is_free = |name: &str| free.contains(&name) || name == "include" && !keeps;
        let mut decisive: Vec<_> = query.iter().filter(|(name, _)| !is_free(name)).collect();
        decisive.sort();
        let mut digest = Sha256::new().chain_update(tenant.as_uuid().as_bytes());
        // Each text with its length before it, so that none can run into the next.
        let texts = [model.module.as_str(), model.model.as_str()];
        for text in texts
            .into_iter()
            .chain(decisive.iter().flat_map(|(n, v)| [n.as_str(), v.as_str()]))
        {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        }
        Self(digest.finalize().into())
    }

    /// The same question, asked in one direction.
    fn going(&self, way: Way) -> Self {
        match way {
            Way::Forward => self.clone(),
            Way::Back => Self(
                Sha256::new()
                    .chain_update(b"back")
                    .chain_update(self.0)
                    .finalize()
                    .into(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(current: u8, previous: Option<u8>) -> CursorKeys {
        let key = |b: u8| SecretString::from(STANDARD.encode([b; 32]));
        CursorKeys::parse(&key(current), previous.map(key).as_ref()).unwrap()
    }

    fn start(values: &[Option<String>]) -> Position {
        Position {
            way: Way::Forward,
            values: values.to_vec(),
        }
    }

    fn question(tenant: u8, model: &str, query: &[(&str, &str)]) -> Question {
        let tenant = format!("0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e{tenant:02x}")
            .parse()
            .unwrap();
        let name = ModelName {
            module: "crm".parse().unwrap(),
            model: model.parse().unwrap(),
        };
        let query: Vec<_> = query
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        Question::new(&tenant, &name, &query, false)
    }

    #[test]
    fn a_cursor_opens_for_its_own_question_only() {
        let keys = keys(1, None);
        let asked = question(
            1,
            "deals",
            &[("stage", "eq.open"), ("order", "amount"), ("limit", "5")],
        );
        let values = vec![Some("12.50".to_owned()), None, Some("x".to_owned())];
        let values = Position {
            way: Way::Forward,
            values,
        };
        let cursor = keys.seal(&asked, &values);
        assert_eq!(keys.open(&asked, &cursor), Some(values.clone()));
        assert_eq!(cursor, keys.seal(&asked, &values));
        let back = Position {
            way: Way::Back,
            ..values.clone()
        };
        let back_cursor = keys.seal(&asked, &back);
        assert_eq!(keys.open(&asked, &back_cursor), Some(back));
        assert_ne!(cursor[1..], back_cursor[1..]);
        let same = question(
            1,
            "deals",
            &[
                ("order", "amount"),
                ("stage", "eq.open"),
                ("limit", "50"),
                ("cursor", "x"),
            ],
        );
        assert_eq!(keys.open(&same, &cursor), Some(values));
        for other in [
            question(2, "deals", &[("stage", "eq.open"), ("order", "amount")]),
            question(1, "contacts", &[("stage", "eq.open"), ("order", "amount")]),
            question(1, "deals", &[("stage", "eq.won"), ("order", "amount")]),
            question(
                1,
                "deals",
                &[("stage", "eq.open"), ("order", "amount.desc")],
            ),
            question(1, "deals", &[("order", "amount")]),
        ] {
            assert_eq!(keys.open(&other, &cursor), None);
        }
    }

    #[test]
    fn no_flipped_bit_opens() {
        let keys = keys(1, None);
        let asked = question(1, "deals", &[]);
        let bytes = URL_SAFE_NO_PAD
            .decode(keys.seal(&asked, &start(&[Some("a".into())])))
            .unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                assert_eq!(keys.open(&asked, &URL_SAFE_NO_PAD.encode(bytes)), None);
            }
        }
    }

    #[test]
    fn the_previous_key_still_opens() {
        let asked = question(1, "deals", &[]);
        let cursor = keys(1, None).seal(&asked, &start(&[]));
        assert!(keys(2, Some(1)).open(&asked, &cursor).is_some());
        assert!(keys(2, None).open(&asked, &cursor).is_none());
        assert!(CursorKeys::parse(&"c2hvcnQ=".into(), None).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}", bytes: Vec<u8>) {
            let keys = keys(1, None);
            let asked = question(1, "deals", &[]);
            proptest::prop_assert!(keys.open(&asked, &text).is_none());
            proptest::prop_assert!(keys.open(&asked, &URL_SAFE_NO_PAD.encode(bytes)).is_none());
        }
    }
}
