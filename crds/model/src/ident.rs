//! Names that may become database identifiers.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest name in bytes. Joined as `{module}__{model}__g{N}` three names still fit ClickHouse, and an
/// index `{model}__{name}` past PostgreSQL's 63 bytes is hashed (see `sql::postgres::object_name`).
pub const IDENT_BYTES_MAX: usize = 48;

/// The pattern of a name, as the CRDs state it. No double underscore, so `__` can join names.
pub const IDENT_PATTERN: &str = "^[a-z][a-z0-9]*(_[a-z0-9]+)*$";

/// A module, model or field name that matches [`IDENT_PATTERN`].
///
/// It has no `Display`: only the quoting code in crate `sql` prints it into a statement.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ident(Arc<str>);

/// Why a text is not an [`Ident`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentError {
    /// More than [`IDENT_BYTES_MAX`] bytes.
    #[error("a name has at most {IDENT_BYTES_MAX} bytes")]
    TooLong,
    /// Does not match [`IDENT_PATTERN`].
    #[error("a name is lower-case words joined by single underscores ({IDENT_PATTERN})")]
    Malformed,
}

impl Ident {
    /// The name as text, for JSON keys, labels and comparison with what a request says.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Ident {
    type Err = IdentError;

    fn from_str(text: &str) -> Result<Self, IdentError> {
        if text.len() > IDENT_BYTES_MAX {
            return Err(IdentError::TooLong);
        }
        let word = |w: &str| {
            !w.is_empty()
                && w.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let starts_with_letter = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if starts_with_letter && text.split('_').all(word) {
            Ok(Self(text.into()))
        } else {
            Err(IdentError::Malformed)
        }
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::borrow::Borrow<str> for Ident {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Ident {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl Serialize for Ident {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Ident {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_words_joined_by_single_underscores() {
        for good in ["a", "crm", "company_id", "a1_2b", &"a".repeat(48)] {
            assert!(Ident::from_str(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "_a",
            "a_",
            "a__b",
            "1a",
            "A",
            "a-b",
            "a b",
            "a\0",
            "é",
            "a;drop",
            "a\"",
            &"a".repeat(49),
        ] {
            assert!(Ident::from_str(bad).is_err(), "{bad}");
        }
    }
}
