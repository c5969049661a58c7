//! The key of a request.

use std::sync::Arc;

use http::HeaderMap;
use model::TenantId;
use sql::{
    Statement,
    postgres::idempotency::{self, Key},
};

use super::fingerprint::Fingerprint;
use crate::{
    caller::Caller,
    exchange::Request,
    problem::{FieldCode, FieldError, Problem},
    query::refuse,
};

/// Longest key (API.md, and the check of its column).
const KEY_BYTES_MAX: usize = 255;

/// A write that is carried out once.
#[derive(Debug, Clone)]
pub(in crate::data) struct Keyed {
    /// Whose, and which key.
    pub name: Name,
    /// What was asked.
    pub fingerprint: Fingerprint,
}

/// A key of a user of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::data) struct Name {
    tenant: TenantId,
    user: Arc<str>,
    key: Arc<str>,
}

/// The key of a write, if it has one. Reads need none: they are idempotent, and clients that send a key with every
/// request are not to be refused.
pub(in crate::data) fn parse(caller: &Caller, request: &Request) -> Result<Option<Keyed>, Problem> {
    if request.method.is_safe() {
        return Ok(None);
    }
    let key = parse_key(&request.headers).map_err(|e| Problem::invalid(vec![e]))?;
    Ok(key.map(|key| Keyed {
        name: Name {
            tenant: caller.tenant.id,
            user: Arc::clone(&caller.user),
            key,
        },
        fingerprint: Fingerprint::of(request, &caller.permissions),
    }))
}

fn parse_key(headers: &HeaderMap) -> Result<Option<Arc<str>>, FieldError> {
    let wrong = |code, message: String| Err(refuse("Idempotency-Key", code, message));
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return wrong(FieldCode::Duplicate, "is given twice".into());
    }
    match value.to_str() {
        Ok(key) if key.len() > KEY_BYTES_MAX => wrong(
            FieldCode::TooLong,
            format!("has at most {KEY_BYTES_MAX} characters"),
        ),
        Ok(key) if !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(key.into()))
        }
        _ => wrong(
            FieldCode::InvalidValue,
            "is 1 to 255 visible ASCII characters".into(),
        ),
    }
}

impl Keyed {
    /// What stands before the statements of the write.
    pub fn claim(&self) -> Vec<Statement> {
        idempotency::claim(&self.name.as_key(), &self.fingerprint.to_base64())
    }
}

impl Name {
    /// For statements.
    pub fn as_key(&self) -> Key<'_> {
        Key {
            tenant: self.tenant,
            user: &self.user,
            key: &self.key,
        }
    }

    #[cfg(test)]
    pub fn of(tenant: &str, user: &str, key: &str) -> Self {
        Self {
            tenant: tenant.parse().unwrap(),
            user: user.into(),
            key: key.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii() {
        let parse = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = http::HeaderValue::from_bytes(value).unwrap();
                headers.append("idempotency-key", value);
            }
            parse_key(&headers)
                .map(|k| k.map(|k| k.len()))
                .map_err(|e| e.code)
        };
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[b"a"]), Ok(Some(1)));
        assert_eq!(parse(&[b"\"quoted~!\""]), Ok(Some(10)));
        assert_eq!(parse(&[&[b'x'; 255]]), Ok(Some(255)));
        assert_eq!(parse(&[&[b'x'; 256]]), Err(FieldCode::TooLong));
        for wrong in [&b""[..], b"a b", b"a\tb", "é".as_bytes()] {
            assert_eq!(parse(&[wrong]), Err(FieldCode::InvalidValue), "{wrong:?}");
        }
        assert_eq!(parse(&[b"a", b"a"]), Err(FieldCode::Duplicate));
    }
}
