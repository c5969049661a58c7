//! Names of columns, which outlive the names of fields.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::Ident;

/// Longest name of a column in bytes: PostgreSQL cuts longer ones silently (NAMEDATALEN − 1).
pub const COLUMN_BYTES_MAX: usize = 63;
/// The least number behind a name. The first column of a field has none.
const NUMBER_MIN: u32 = 2;

/// The name of a column in PostgreSQL and ClickHouse: a field's name, or `{name}__{n}` with n from 2.
///
/// No [`Ident`] holds a double underscore, so that no field can be called as another's column. Like `Ident` it has no
/// `Display`: only the quoting code in crate `sql` prints it into a statement.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnName(Arc<str>);

/// Why a text is not a [`ColumnName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a column is called as its field, or as its field, two underscores and a number from 2")]
pub struct ColumnNameError;

impl ColumnName {
    /// The name that the first column of a field has: the field's own.
    pub fn of(field: &Ident) -> Self {
        Self(field.as_str().into())
    }

    /// The name of a later column of a field. None unless `number` is 2 or more, and the name at most
    /// [`COLUMN_BYTES_MAX`] bytes: a field's name leaves room for ten digits.
    pub fn numbered(field: &Ident, number: u32) -> Option<Self> {
        let name = format!("{}__{number}", field.as_str());
        (number >= NUMBER_MIN && name.len() <= COLUMN_BYTES_MAX).then(|| Self(name.into()))
    }

    /// The name as text, for comparison with what a database says.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number behind the field's name; 1 where there is none.
    pub fn number(&self) -> u32 {
        let number = self.0.split_once("__").and_then(|(_, n)| n.parse().ok());
        number.unwrap_or(1)
    }

    /// Whether a field of that name may be served from it.
    pub fn is_of(&self, field: &Ident) -> bool {
        let base = self.0.split_once("__").map_or(&*self.0, |(base, _)| base);
        base == field.as_str()
    }
}

impl FromStr for ColumnName {
    type Err = ColumnNameError;

    fn from_str(text: &str) -> Result<Self, ColumnNameError> {
        let Some((base, digits)) = text.split_once("__") else {
            let field: Ident = text.parse().map_err(|_| ColumnNameError)?;
            return Ok(Self::of(&field));
        };
        let field: Ident = base.parse().map_err(|_| ColumnNameError)?;
        let number = digits.parse().map_err(|_| ColumnNameError)?;
        let name = Self::numbered(&field, number).ok_or(ColumnNameError)?;
        // One spelling for each: neither `+2` nor `02`.
        if *name.0 == *text {
            Ok(name)
        } else {
            Err(ColumnNameError)
        }
    }
}

impl fmt::Debug for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PartialEq<str> for ColumnName {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl Serialize for ColumnName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ColumnName {
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
    fn a_column_is_called_as_its_field_or_with_a_number_behind_it() {
        let longest = format!("{}__{}", "a".repeat(48), u32::MAX);
        for (good, number) in [
            ("amount", 1),
            ("amount__2", 2),
            ("a_b__10", 10),
            (longest.as_str(), u32::MAX),
        ] {
            let name = ColumnName::from_str(good).unwrap();
            assert_eq!((name.as_str(), name.number()), (good, number));
        }
        for bad in [
            "",
            "amount__",
            "amount__1",
            "amount__0",
            "amount__02",
            "amount__+2",
            "amount__-2",
            "amount__x",
            "amount___2",
            "amount__2__3",
            "__2",
            "Amount__2",
            "amount__2\"",
            "amount__4294967296",
            &"a".repeat(49),
        ] {
            assert!(ColumnName::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_column_belongs_to_the_field_that_it_is_called_after() {
        let (amount, other): (Ident, Ident) =
            ("amount".parse().unwrap(), "amount_2".parse().unwrap());
        let second = ColumnName::numbered(&amount, 2).unwrap();
        assert!(second.is_of(&amount) && !second.is_of(&other));
        assert!(ColumnName::of(&amount).is_of(&amount));
        assert_eq!(ColumnName::numbered(&amount, 1), None);
    }
}
