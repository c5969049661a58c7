//! Whose data it is.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use uuid::Uuid;

use crate::Ident;

/// The UUID of a tenant. The nil UUID is refused: it is what an unset value looks like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TenantId(Uuid);

/// Why a text is not a [`TenantId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tenant id is a UUID in its hyphenated form, and not nil")]
pub struct TenantIdError;

impl TenantId {
    /// The id as a UUID.
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl FromStr for TenantId {
    type Err = TenantIdError;

    fn from_str(text: &str) -> Result<Self, TenantIdError> {
        // Uuid also reads braces, URNs and 32 bare digits; one spelling only keeps keys and roles unique.
        if text.len() != 36 {
            return Err(TenantIdError);
        }
        match Uuid::try_parse(text) {
            Ok(id) if !id.is_nil() => Ok(Self(id)),
            _ => Err(TenantIdError),
        }
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// What a tenant may do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TenantState {
    /// Reads and writes.
    Active,
    /// Reads; a write is 403 `tenant-read-only`.
    ReadOnly,
    /// Nothing; every request is 403 `tenant-suspended`.
    Suspended,
}

/// One customer, as the catalogue tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Its id, which every row, key, query and span carries.
    pub id: TenantId,
    /// A short name for people.
    pub slug: String,
    /// What it may do at the moment.
    pub state: TenantState,
    /// Names of the modules installed for it.
    pub modules: BTreeSet<Ident>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_id_has_one_spelling() {
        assert!(TenantId::from_str("0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01").is_ok());
        for bad in [
            "00000000-0000-0000-0000-000000000000",
            "0198f0aa5b1e7c3d9a4e2f6b8c1d0e01",
            "{0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01}",
            "urn:uuid:0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01",
            "",
        ] {
            assert!(TenantId::from_str(bad).is_err(), "{bad}");
        }
    }
}
