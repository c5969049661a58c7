//! Access DDL as values. The engine has said before that the text is valid, so the parser asks only what it needs
//! and refuses, by name, what the front does not carry out.

mod entity;
mod grant;
mod reader;
mod settings;

#[cfg(test)]
mod tests;

pub use reader::Reader;

use super::{
    access::{Element, Grant, Names, Password},
    error::Refusal,
};

/// The kinds of access entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity {
    /// Who logs in.
    User,
    /// A set of grants.
    Role,
    /// A row policy.
    Policy,
    /// A settings profile.
    Profile,
    /// A quota.
    Quota,
}

impl Entity {
    /// The server's word in its errors.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
            Self::Policy => "row policy",
            Self::Profile => "settings profile",
            Self::Quota => "quota",
        }
    }
}

/// What to do when the name is taken, or is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is an error.
    Strict,
    /// `IF NOT EXISTS` or `IF EXISTS`: nothing happens.
    Lenient,
    /// `OR REPLACE`.
    Replace,
}

/// What a row policy covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyName {
    /// Its short name.
    pub name: String,
    /// On which database; `None` is the current one.
    pub database: Option<String>,
    /// On which table; `None` is all.
    pub table: Option<String>,
}

/// The clauses that `CREATE` and `ALTER` share. `None` leaves a thing as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clauses {
    /// `RENAME TO`.
    pub rename: Option<String>,
    /// `IDENTIFIED …`.
    pub password: Option<Password>,
    /// `DEFAULT ROLE …`.
    pub default_roles: Option<Names>,
    /// `SETTINGS …`.
    pub settings: Option<Vec<Element>>,
    /// `USING …` of a policy; the inner `None` is `USING NONE`.
    pub filter: Option<Option<String>>,
    /// `AS RESTRICTIVE`.
    pub restrictive: Option<bool>,
    /// `TO …`.
    pub to: Option<Names>,
    /// A quota's text.
    pub text: Option<String>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `CREATE USER|ROLE|SETTINGS PROFILE|QUOTA`.
    Create(Entity, Presence, Vec<String>, Clauses),
    /// `ALTER` of those.
    Alter(Entity, Presence, Vec<String>, Clauses),
    /// `DROP` of those.
    Drop(Entity, Presence, Vec<String>),
    /// `CREATE ROW POLICY`.
    CreatePolicy(Presence, Vec<PolicyName>, Clauses),
    /// `ALTER ROW POLICY`.
    AlterPolicy(Presence, Vec<PolicyName>, Clauses),
    /// `DROP ROW POLICY`.
    DropPolicy(Presence, Vec<PolicyName>),
    /// `GRANT privileges`.
    Grant(Vec<Grant>, Vec<String>),
    /// `REVOKE privileges`.
    Revoke(Vec<Grant>, Vec<String>),
    /// `GRANT roles`, perhaps to pass on.
    GrantRoles(Vec<String>, Vec<String>, bool),
    /// `REVOKE roles`; `Names` because `ALL` is allowed.
    RevokeRoles(Names, Vec<String>),
    /// `SET DEFAULT ROLE … TO …`.
    SetDefaultRole(Names, Vec<String>),
}

/// Whether a text is access DDL: seen by its first words, without parsing.
pub fn is_access(sql: &str) -> bool {
    let Ok(reader) = Reader::new(sql) else {
        return false;
    };
    let words: Vec<_> = (0..5)
        .map(|i| reader.word_at(i).unwrap_or_default())
        .collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["GRANT" | "REVOKE", ..] | ["SET", "DEFAULT", "ROLE", ..] => true,
        ["CREATE", "OR", "REPLACE", entity, next]
        | ["CREATE" | "ALTER" | "DROP", entity, next, ..] => {
            matches!(
                (entity, next),
                ("USER" | "ROLE" | "QUOTA" | "PROFILE" | "POLICY", _)
                    | ("ROW", "POLICY")
                    | ("SETTINGS", "PROFILE")
            )
        }
        _ => false,
    }
}

/// Reads one statement.
pub fn parse(sql: &str) -> Result<Statement, Refusal> {
    let mut reader = Reader::new(sql)?;
    let statement = match reader.keyword()?.as_str() {
        "CREATE" => entity::create(&mut reader)?,
        "ALTER" => entity::alter(&mut reader)?,
        "DROP" => entity::drop(&mut reader)?,
        "GRANT" => grant::grant(&mut reader)?,
        "REVOKE" => grant::revoke(&mut reader)?,
        "SET" => {
            reader.expect(&["DEFAULT", "ROLE"])?;
            let roles = reader.names_or_all("TO")?;
            reader.expect(&["TO"])?;
            Statement::SetDefaultRole(roles, reader.names()?)
        }
        other => {
            return Err(Refusal::not_implemented(format!(
                "{other} is not access DDL"
            )));
        }
    };
    reader.end()?;
    Ok(statement)
}
