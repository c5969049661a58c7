//! `GRANT` and `REVOKE`, of privileges and of roles.

use super::{Reader, Statement};
use crate::front::{
    access::{Grant, Names},
    error::Refusal,
    token::Kind,
};

/// Behind the word `GRANT`.
pub fn grant(reader: &mut Reader<'_>) -> Result<Statement, Refusal> {
    let what = what(reader)?;
    reader.expect(&["TO"])?;
    let to = reader.names()?;
    let mut passed_on = false;
    loop {
        if reader.take(&["WITH", "ADMIN", "OPTION"]) || reader.take(&["WITH", "GRANT", "OPTION"]) {
            passed_on = true;
        } else if reader.take(&["WITH", "REPLACE", "OPTION"]) {
            return Err(Refusal::not_implemented(
                "WITH REPLACE OPTION is not carried out by the access front",
            ));
        } else {
            break;
        }
    }
    Ok(match what {
        What::Privileges(grants) => Statement::Grant(
            grants
                .into_iter()
                .map(|g| Grant {
                    grantable: passed_on,
                    ..g
                })
                .collect(),
            to,
        ),
        What::Roles(Names::Only(roles)) => {
            Statement::GrantRoles(roles.into_iter().collect(), to, passed_on)
        }
        What::Roles(Names::AllExcept(_)) => {
            return Err(Refusal::not_implemented(
                "GRANT ALL roles is not carried out by the access front",
            ));
        }
    })
}

/// Behind the word `REVOKE`.
pub fn revoke(reader: &mut Reader<'_>) -> Result<Statement, Refusal> {
    if reader.take(&["GRANT", "OPTION", "FOR"]) || reader.take(&["ADMIN", "OPTION", "FOR"]) {
        return Err(Refusal::not_implemented(
            "REVOKE … OPTION FOR is not carried out by the access front",
        ));
    }
    let what = what(reader)?;
    reader.expect(&["FROM"])?;
    let from = reader.names()?;
    Ok(match what {
        What::Privileges(grants) => Statement::Revoke(grants, from),
        What::Roles(roles) => Statement::RevokeRoles(roles, from),
    })
}

enum What {
    Privileges(Vec<Grant>),
    Roles(Names),
}

/// Privileges have an `ON`, roles have none; `ALL` with a table is a privilege.
fn what(reader: &mut Reader<'_>) -> Result<What, Refusal> {
    let mut items: Vec<(String, Vec<String>)> = Vec::new();
    let mut bare = true;
    loop {
        let mut words = Vec::new();
        while let Some(kind) = reader.peek() {
            match kind {
                Kind::Word(word)
                    if ["ON", "TO", "FROM", "EXCEPT"]
                        .contains(&word.to_ascii_uppercase().as_str()) =>
                {
                    break;
                }
                Kind::Word(_) | Kind::Name(_) | Kind::Text(_) => {
                    bare &= matches!(kind, Kind::Word(_));
                    words.push(reader.name()?);
                }
                _ => break,
            }
        }
        let mut columns = Vec::new();
        if reader.take_symbol('(') {
            columns = reader.names()?;
            if !reader.take_symbol(')') {
                return Err(Refusal::not_implemented(
                    "a list of columns that the access front cannot read",
                ));
            }
        }
        items.push((words.join(" "), columns));
        if !reader.take_symbol(',') {
            break;
        }
    }
    if reader.take(&["ON"]) {
        let (database, table) = target(reader)?;
        let grants = items.into_iter().map(|(words, columns)| Grant {
            privilege: privilege(&words),
            columns,
            database: database.clone(),
            table: table.clone(),
            grantable: false,
        });
        return Ok(What::Privileges(grants.collect()));
    }
    if bare && items.len() == 1 && items[0].0.eq_ignore_ascii_case("all") {
        let except = if reader.take(&["EXCEPT"]) {
            reader.names()?
        } else {
            Vec::new()
        };
        return Ok(What::Roles(Names::AllExcept(except.into_iter().collect())));
    }
    Ok(What::Roles(Names::Only(
        items.into_iter().map(|(words, _)| words).collect(),
    )))
}

fn privilege(words: &str) -> String {
    match words.to_ascii_uppercase().as_str() {
        "ALL PRIVILEGES" => "ALL".into(),
        words => words.into(),
    }
}

/// `*.*`, `*`, `db.*`, `db.table`. A bare `*` or table would need a current database, which HTTP does not have here.
fn target(reader: &mut Reader<'_>) -> Result<(Option<String>, Option<String>), Refusal> {
    let part = |reader: &mut Reader<'_>| -> Result<Option<String>, Refusal> {
        if reader.take_symbol('*') {
            Ok(None)
        } else {
            reader.name().map(Some)
        }
    };
    let database = part(reader)?;
    if !reader.take_symbol('.') {
        return match database {
            None => Ok((None, None)),
            Some(table) => Err(Refusal::not_implemented(format!(
                "name the database of `{table}`"
            ))),
        };
    }
    Ok((database, part(reader)?))
}
