//! `CREATE`, `ALTER` and `DROP` of users, roles, row policies, profiles and quotas.

use super::{Clauses, Entity, PolicyName, Presence, Reader, Statement, settings};
use crate::front::{access::Password, error::Refusal};

/// Behind the word `CREATE`.
pub fn create(reader: &mut Reader<'_>) -> Result<Statement, Refusal> {
    let mut presence = Presence::Strict;
    if reader.take(&["OR", "REPLACE"]) {
        presence = Presence::Replace;
    }
    let entity = entity(reader)?;
    if reader.take(&["IF", "NOT", "EXISTS"]) {
        presence = Presence::Lenient;
    } else if reader.take(&["OR", "REPLACE"]) {
        presence = Presence::Replace;
    }
    Ok(if entity == Entity::Policy {
        let names = policy_names(reader)?;
        Statement::CreatePolicy(presence, names, clauses(reader, entity)?)
    } else {
        let names = reader.names()?;
        Statement::Create(entity, presence, names, clauses(reader, entity)?)
    })
}

/// Behind the word `ALTER`.
pub fn alter(reader: &mut Reader<'_>) -> Result<Statement, Refusal> {
    let entity = entity(reader)?;
    let presence = if_exists(reader);
    Ok(if entity == Entity::Policy {
        let names = policy_names(reader)?;
        Statement::AlterPolicy(presence, names, clauses(reader, entity)?)
    } else {
        let names = reader.names()?;
        Statement::Alter(entity, presence, names, clauses(reader, entity)?)
    })
}

/// Behind the word `DROP`.
pub fn drop(reader: &mut Reader<'_>) -> Result<Statement, Refusal> {
    let entity = entity(reader)?;
    let presence = if_exists(reader);
    Ok(if entity == Entity::Policy {
        Statement::DropPolicy(presence, policy_names(reader)?)
    } else {
        Statement::Drop(entity, presence, reader.names()?)
    })
}

fn if_exists(reader: &mut Reader<'_>) -> Presence {
    if reader.take(&["IF", "EXISTS"]) {
        Presence::Lenient
    } else {
        Presence::Strict
    }
}

fn entity(reader: &mut Reader<'_>) -> Result<Entity, Refusal> {
    Ok(match reader.keyword()?.as_str() {
        "USER" => Entity::User,
        "ROLE" => Entity::Role,
        "QUOTA" => Entity::Quota,
        "PROFILE" => Entity::Profile,
        "POLICY" => Entity::Policy,
        "SETTINGS" => {
            reader.expect(&["PROFILE"])?;
            Entity::Profile
        }
        "ROW" => {
            reader.expect(&["POLICY"])?;
            Entity::Policy
        }
        other => {
            return Err(Refusal::not_implemented(format!(
                "{other} is not carried out by the access front"
            )));
        }
    })
}

/// `name[, name] ON db.table[, db.table]`: every name on every table.
fn policy_names(reader: &mut Reader<'_>) -> Result<Vec<PolicyName>, Refusal> {
    let names = reader.names()?;
    reader.expect(&["ON"])?;
    let mut found = Vec::new();
    loop {
        let first = if reader.take_symbol('*') {
            None
        } else {
            Some(reader.name()?)
        };
        let (database, table) = if reader.take_symbol('.') {
            (
                first,
                if reader.take_symbol('*') {
                    None
                } else {
                    Some(reader.name()?)
                },
            )
        } else {
            (None, first)
        };
        found.extend(names.iter().map(|name| PolicyName {
            name: name.clone(),
            database: database.clone(),
            table: table.clone(),
        }));
        if !reader.take_symbol(',') {
            return Ok(found);
        }
    }
}

/// The clauses, in any order. An unknown one is refused by `Reader::end`.
fn clauses(reader: &mut Reader<'_>, entity: Entity) -> Result<Clauses, Refusal> {
    let mut clauses = Clauses::default();
    if entity == Entity::Quota {
        let text = reader.text_until(&["TO"]);
        clauses.text = Some(text);
    }
    loop {
        if reader.take(&["RENAME", "TO"]) {
            clauses.rename = Some(reader.name()?);
        } else if reader.take(&["NOT", "IDENTIFIED"]) {
            clauses.password = Some(Password::None);
        } else if reader.take(&["IDENTIFIED"]) {
            clauses.password = Some(password(reader)?);
        } else if reader.take(&["DEFAULT", "ROLE"]) {
            clauses.default_roles = Some(reader.names_or_all("SETTINGS")?);
        } else if reader.take(&["HOST"]) {
            // Everything is on loopback; only the widest forms mean nothing here.
            if !(reader.take(&["ANY"]) || reader.take(&["LOCAL"])) {
                return Err(Refusal::not_implemented(
                    "HOST is not carried out by the access front",
                ));
            }
        } else if reader.take(&["SETTINGS"]) {
            clauses.settings = Some(settings::elements(reader)?);
        } else if reader.take(&["FOR"]) {
            // The only kind of row policy that exists.
            reader.expect(&["SELECT"])?;
        } else if reader.take(&["USING"]) {
            let text = reader.text_until(&["AS", "TO", "FOR", "USING"]);
            clauses.filter = Some((!text.eq_ignore_ascii_case("none")).then_some(text));
        } else if reader.take(&["AS", "PERMISSIVE"]) {
            clauses.restrictive = Some(false);
        } else if reader.take(&["AS", "RESTRICTIVE"]) {
            clauses.restrictive = Some(true);
        } else if reader.take(&["TO"]) {
            clauses.to = Some(reader.names_or_all("")?);
        } else {
            return Ok(clauses);
        }
    }
}

/// Behind `IDENTIFIED`.
fn password(reader: &mut Reader<'_>) -> Result<Password, Refusal> {
    let kind = if reader.take(&["WITH"]) {
        reader.keyword()?
    } else {
        "SHA256_PASSWORD".into()
    };
    match kind.as_str() {
        "NO_PASSWORD" => Ok(Password::None),
        // Kept as a hash like the other: nothing asks for it in clear.
        "SHA256_PASSWORD" | "PLAINTEXT_PASSWORD" => {
            reader.expect(&["BY"])?;
            Ok(Password::of(&reader.name()?))
        }
        "SHA256_HASH" => {
            reader.expect(&["BY"])?;
            let hash = reader.name()?.to_ascii_lowercase();
            let salt = if reader.take(&["SALT"]) {
                reader.name()?
            } else {
                String::new()
            };
            Ok(Password::Sha256 { hash, salt })
        }
        other => {
            let text = format!(
                "IDENTIFIED WITH {} is not carried out by the access front",
                other.to_lowercase()
            );
            Err(Refusal::not_implemented(text))
        }
    }
}
