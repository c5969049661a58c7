//! Permissions, spelled `{module}.{model}.read|write|delete|sensitive`.

use std::{fmt, str::FromStr};

use crate::{Ident, ModelName};

/// What a permission allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// List, get, analytics, schema.
    Read,
    /// Create and update.
    Write,
    /// Delete, restore, and reading deleted rows.
    Delete,
    /// Seeing the fields that are marked `sensitive`.
    Sensitive,
}

impl Action {
    /// All. What a model has of them is [`ModuleModel::actions`](crate::ModuleModel::actions).
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Delete, Self::Sensitive];

    /// The last word of the permission.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Sensitive => "sensitive",
        }
    }
}

/// A permission that a role can hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Permission {
    /// On the rows of one model.
    Model(ModelName, Action),
    /// `cache.read`: every role has it.
    CacheRead,
    /// `cache.write`: every role has it.
    CacheWrite,
}

impl Permission {
    /// On the rows of one model.
    pub fn on(name: &ModelName, action: Action) -> Self {
        Self::Model(name.clone(), action)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(name, action) => {
                write!(f, "{name}.{}", action.as_str())
            }
            Self::CacheRead => f.write_str("cache.read"),
            Self::CacheWrite => f.write_str("cache.write"),
        }
    }
}

/// A text that is no permission of this version. Callers skip it: a newer operator may register more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a permission that this version knows")]
pub struct UnknownPermission;

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        match text {
            "cache.read" => return Ok(Self::CacheRead),
            "cache.write" => return Ok(Self::CacheWrite),
            _ => {}
        }
        let mut parts = text.split('.');
        let mut ident = || parts.next().and_then(|p| Ident::from_str(p).ok());
        let (module, model) = (ident(), ident());
        let action = parts
            .next()
            .and_then(|p| Action::ALL.into_iter().find(|a| a.as_str() == p));
        match (module, model, action, parts.next()) {
            (Some(module), Some(model), Some(action), None) => {
                Ok(Self::Model(ModelName { module, model }, action))
            }
            _ => Err(UnknownPermission),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_prints_as_it_parses() {
        for text in [
            "crm.deals.read",
            "crm.deals.write",
            "a_b.c_d.delete",
            "crm.deals.sensitive",
            "cache.read",
            "cache.write",
        ] {
            assert_eq!(Permission::from_str(text).unwrap().to_string(), text);
        }
        for text in [
            "crm.deals",
            "crm.deals.own",
            "crm..read",
            "crm.deals.read.x",
            "iam.roles.read.",
            "*",
        ] {
            assert!(Permission::from_str(text).is_err(), "{text}");
        }
    }
}
