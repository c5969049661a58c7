//! What access DDL leaves behind: users, roles, grants, row policies, profiles, quotas. Serialised as the state file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Everything. A value is never edited while somebody reads it: the keeper swaps whole ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Access {
    /// Number of the log whose changes come after this.
    #[serde(default)]
    pub log: u64,
    /// By name.
    pub users: BTreeMap<String, User>,
    /// By name.
    pub roles: BTreeMap<String, Role>,
    /// In the order of their making.
    pub policies: Vec<Policy>,
    /// By name.
    pub profiles: BTreeMap<String, Profile>,
    /// By name; kept and shown, but counting is not this front's business.
    pub quotas: BTreeMap<String, Quota>,
}

/// Who logs in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct User {
    /// How.
    pub password: Password,
    /// The roles that hold without `role=`.
    pub default_roles: Names,
    /// What it holds itself and through roles.
    pub holds: Holds,
    /// Its own settings and profiles.
    pub settings: Vec<Element>,
}

/// A named set of grants.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Role {
    /// What it holds.
    pub holds: Holds,
    /// Its settings and profiles.
    pub settings: Vec<Element>,
}

/// Grants of a user or role.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Holds {
    /// Privileges.
    pub grants: Vec<Grant>,
    /// Roles, and whether they may be passed on.
    pub roles: BTreeMap<String, bool>,
}

/// One privilege on one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Upper-case words, such as `SELECT` or `SHOW COLUMNS`; `ALL` is every one.
    pub privilege: String,
    /// Only these columns; none means all.
    pub columns: Vec<String>,
    /// `None` is every database.
    pub database: Option<String>,
    /// `None` is every table.
    pub table: Option<String>,
    /// With grant option.
    pub grantable: bool,
}

impl std::fmt::Display for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = if self.columns.is_empty() {
            String::new()
        } else {
            format!("({})", self.columns.join(", "))
        };
        let database = self.database.as_deref().unwrap_or("*");
        let table = self.table.as_deref().unwrap_or("*");
        write!(f, "{}{columns} ON {database}.{table}", self.privilege)
    }
}

/// One row policy for SELECT on a table or on a whole database.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Policy {
    /// Its short name.
    pub name: String,
    /// On which database.
    pub database: String,
    /// On which table; `None` is every table of the database, those to come included.
    pub table: Option<String>,
    /// The condition as written.
    pub filter: Option<String>,
    /// Restrictive policies all have to hold, of permissive ones any.
    pub restrictive: bool,
    /// For whom.
    pub to: Names,
}

/// A settings profile.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Its settings and parents.
    pub elements: Vec<Element>,
    /// To whom it is given besides those who name it.
    pub to: Names,
}

/// A quota: its text after the name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Quota {
    /// As written.
    pub text: String,
}

/// A setting with its bounds, or a profile to inherit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Element {
    /// `PROFILE 'name'`.
    Inherit(String),
    /// A setting.
    Setting {
        /// Its name.
        name: String,
        /// The value, as the text that a URL takes.
        value: Option<String>,
        /// Least.
        min: Option<String>,
        /// Most.
        max: Option<String>,
        /// Who may change it.
        writability: Option<Writability>,
    },
}

/// Who may change a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writability {
    /// Anybody who is not read-only.
    Writable,
    /// Nobody.
    Const,
    /// Even who is read-only.
    ChangeableInReadonly,
}

/// A set of users and roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Names {
    /// These.
    Only(BTreeSet<String>),
    /// All but these.
    AllExcept(BTreeSet<String>),
}

impl Default for Names {
    fn default() -> Self {
        Self::none()
    }
}

impl Names {
    /// Nobody.
    pub fn none() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// Everybody.
    pub fn all() -> Self {
        Self::AllExcept(BTreeSet::new())
    }

    /// Whether a name belongs.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(name),
            Self::AllExcept(names) => !names.contains(name),
        }
    }

    /// Replaces a name, or takes it out.
    pub fn rename(&mut self, from: &str, to: Option<&str>) {
        let (Self::Only(names) | Self::AllExcept(names)) = self;
        if names.remove(from) {
            names.extend(to.map(str::to_owned));
        }
    }
}

/// How a user proves who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Password {
    /// Not at all can it log in: nothing was said.
    #[default]
    Unset,
    /// Without any.
    None,
    /// SHA-256 of password and salt, hexadecimal.
    Sha256 {
        /// The digest.
        hash: String,
        /// Appended to the password.
        salt: String,
    },
}

impl Password {
    /// Of a password in clear, with a salt of its own.
    pub fn of(clear: &str) -> Self {
        let salt = uuid::Uuid::new_v4().simple().to_string();
        Self::Sha256 {
            hash: digest(clear, &salt),
            salt,
        }
    }

    /// Whether the password is right.
    pub fn accepts(&self, clear: &str) -> bool {
        match self {
            Self::Unset => false,
            Self::None => true,
            Self::Sha256 { hash, salt } => digest(clear, salt) == *hash,
        }
    }
}

fn digest(clear: &str, salt: &str) -> String {
    let digest = Sha256::new()
        .chain_update(clear)
        .chain_update(salt)
        .finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
