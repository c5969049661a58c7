//! `system.users`, `roles`, `row_policies` and so on as an administrator sees them: the engine's own tables know
//! nothing of what the front recorded, so statements that name them read tables of the same shape instead, in a database `place`
//! of the engine.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    access::{Access, Element, Grant, Holds, Names, Writability},
    engine::Engine,
    error::Refusal,
    journal::Journal,
    token::{Kind, tokens},
};

/// Those that the engine has, too: their shape is copied.
const COPIED: [&str; 8] = [
    "users",
    "roles",
    "row_policies",
    "grants",
    "role_grants",
    "settings_profiles",
    "settings_profile_elements",
    "quotas",
];
/// What the engine lacks.
const QUERY_LOG: &str = "query_log";
const QUERY_LOG_SHAPE: &str = "(type String, \
    event_date Date DEFAULT toDate(event_time), event_time DateTime64(6, 'UTC'), query_duration_ms UInt64, \
    query_id String, query String, user String, initial_user String DEFAULT user, roles Array(String), \
    log_comment String, exception_code Int32, read_rows UInt64, read_bytes UInt64, http_status UInt16)";

/// Tables as they were written last: the revision of what the front recorded, and their rows.
#[derive(Default)]
pub struct Written(HashMap<&'static str, (u64, usize)>);

/// A statement that reads tables of the front.
#[derive(Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// With the front's tables in place of the engine's.
    pub sql: String,
    /// Which ones.
    pub tables: Vec<&'static str>,
}

/// The statement with the front's tables in place of the engine's, or `None` if it names none of them.
pub fn rewrite(sql: &str, place: &str) -> Option<Rewritten> {
    let all_of = |table: &'static str| {
        Some(Rewritten {
            sql: format!("SELECT name FROM {place}.{table} ORDER BY name"),
            tables: vec![table],
        })
    };
    match sql
        .trim()
        .trim_end_matches(';')
        .to_ascii_lowercase()
        .as_str()
    {
        "show roles" => return all_of("roles"),
        "show users" => return all_of("users"),
        _ => {}
    }
    let tokens = tokens(sql).ok()?;
    let name = |kind: &Kind| match kind {
        Kind::Word(name) | Kind::Name(name) => Some(name.clone()),
        _ => None,
    };
    let (mut text, mut copied, mut tables) = (String::new(), 0, Vec::new());
    for three in tokens.windows(3) {
        let (Some(database), Kind::Symbol('.'), Some(table)) =
            (name(&three[0].kind), &three[1].kind, name(&three[2].kind))
        else {
            continue;
        };
        let ours = COPIED
            .into_iter()
            .chain([QUERY_LOG])
            .find(|ours| *ours == table);
        if let Some(table) = ours.filter(|_| database == "system") {
            text.push_str(&sql[copied..three[0].start]);
            text.push_str(place);
            copied = three[0].end;
            tables.push(table);
        }
    }
    (copied > 0).then(|| Rewritten {
        sql: text + &sql[copied..],
        tables,
    })
}

/// Brings these tables to what is recorded, `access` of `revision`. One that is so already is left alone.
pub async fn refresh(
    engine: &Engine,
    (access, revision): (&Access, u64),
    journal: &Journal,
    (place, tables): (&str, &[&'static str]),
    written: &mut Written,
) -> Result<(), Refusal> {
    engine
        .must(format!("CREATE DATABASE IF NOT EXISTS {place}"))
        .await?;
    let rows_now = rows_in(engine, place).await?;
    for table in tables {
        let known = written.0.get(table);
        // An engine that was started anew has lost the rows, not the table.
        let is_whole = |(then, rows): &(u64, usize)| {
            *then == revision && rows_now.get(*table).is_some_and(|now| now == rows)
        };
        if *table != QUERY_LOG && known.is_some_and(is_whole) {
            continue;
        }
        let (shape, rows) = match *table {
            QUERY_LOG => {
                let entries = journal.entries();
                let rows = entries.iter().filter_map(|e| serde_json::to_value(e).ok());
                (format!("{QUERY_LOG_SHAPE} ENGINE = Memory"), rows.collect())
            }
            table => {
                let shape = format!("ENGINE = Memory AS SELECT * FROM system.{table}");
                (shape, rows(access, table))
            }
        };
        let next = format!("{table}_next");
        for name in [*table, &next] {
            let verb = if name == next {
                "CREATE OR REPLACE TABLE"
            } else {
                "CREATE TABLE IF NOT EXISTS"
            };
            engine
                .must(format!("{verb} {place}.{name} {shape}"))
                .await?;
        }
        fill(engine, &next, &rows, place).await?;
        // At once, under whoever reads it just now.
        engine
            .must(format!(
                "EXCHANGE TABLES {place}.{table} AND {place}.{next}"
            ))
            .await?;
        written.0.insert(table, (revision, rows.len()));
    }
    Ok(())
}

/// How many rows each table of the front has.
async fn rows_in(engine: &Engine, place: &str) -> Result<HashMap<String, usize>, Refusal> {
    let sql = format!(
        "SELECT name, toUInt64(ifNull(total_rows, 0)) FROM system.tables WHERE database = '{place}' FORMAT TSV"
    );
    let text = engine.must(sql).await?;
    let line = |line: &str| {
        let (name, rows) = line.split_once('\t')?;
        Some((name.to_owned(), rows.parse().ok()?))
    };
    Ok(text.lines().filter_map(line).collect())
}

async fn fill(engine: &Engine, table: &str, rows: &[Value], place: &str) -> Result<(), Refusal> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut sql = format!(
        "INSERT INTO {place}.{table} SETTINGS input_format_skip_unknown_fields = 1 FORMAT JSONEachRow\n"
    );
    for row in rows {
        sql.push_str(&row.to_string());
        sql.push('\n');
    }
    engine.must(sql).await.map(drop)
}

fn rows(access: &Access, table: &str) -> Vec<Value> {
    match table {
        "users" => access.users.iter().map(|(name, user)| {
            let (all, list, except) = shown(&user.default_roles);
            json!({"name": name, "id": id(name), "storage": "local_directory", "auth_type": ["sha256_password"],
                "host_ip": ["::/0"], "default_roles_all": all, "default_roles_list": list, "default_roles_except": except})
        }).collect(),
        "roles" => access.roles.keys().map(|name| {
            json!({"name": name, "id": id(name), "storage": "local_directory"})
        }).collect(),
        "row_policies" => access.policies.iter().map(|policy| {
            let place = format!("{}.{}", policy.database, policy.table.as_deref().unwrap_or("*"));
            let (all, list, except) = shown(&policy.to);
            let name = format!("{} ON {place}", policy.name);
            json!({"name": name, "short_name": policy.name, "database": policy.database, "table": policy.table,
                "id": id(&name), "storage": "local_directory", "select_filter": policy.filter,
                "is_restrictive": u8::from(policy.restrictive), "apply_to_all": all, "apply_to_list": list,
                "apply_to_except": except})
        }).collect(),
        "grants" => holders(access).flat_map(|(user, role, holds)| {
            holds.grants.iter().map(move |grant| grant_row(user, role, grant))
        }).collect(),
        "role_grants" => holders(access).flat_map(|(user, role, holds)| {
            holds.roles.iter().map(move |(granted, admin)| {
                let default = user.and_then(|u| access.users.get(u)).is_none_or(|u| u.default_roles.contains(granted));
                json!({"user_name": user, "role_name": role, "granted_role_name": granted,
                    "granted_role_id": id(granted), "granted_role_is_default": u8::from(default),
                    "with_admin_option": u8::from(*admin)})
            })
        }).collect(),
        "settings_profiles" => access.profiles.iter().map(|(name, profile)| {
            let (all, list, except) = shown(&profile.to);
            json!({"name": name, "id": id(name), "storage": "local_directory", "num_elements": profile.elements.len(),
                "apply_to_all": all, "apply_to_list": list, "apply_to_except": except})
        }).collect(),
        "settings_profile_elements" => {
            let profiles = access.profiles.iter().flat_map(|(name, p)| {
                p.elements.iter().enumerate().map(move |(i, e)| element_row(json!({"profile_name": name}), i, e))
            });
            let users = access.users.iter().flat_map(|(name, u)| {
                u.settings.iter().enumerate().map(move |(i, e)| element_row(json!({"user_name": name}), i, e))
            });
            profiles.chain(users).collect()
        }
        "quotas" => access.quotas.keys().map(|name| {
            json!({"name": name, "id": id(name), "storage": "local_directory"})
        }).collect(),
        _ => Vec::new(),
    }
}

fn holders(access: &Access) -> impl Iterator<Item = (Option<&str>, Option<&str>, &Holds)> {
    let users = access
        .users
        .iter()
        .map(|(name, user)| (Some(name.as_str()), None, &user.holds));
    users.chain(
        access
            .roles
            .iter()
            .map(|(name, role)| (None, Some(name.as_str()), &role.holds)),
    )
}

fn grant_row(user: Option<&str>, role: Option<&str>, grant: &Grant) -> Value {
    json!({"user_name": user, "role_name": role, "access_type": grant.privilege, "database": grant.database,
        "table": grant.table, "column": grant.columns.first(), "grant_option": u8::from(grant.grantable)})
}

fn element_row(mut row: Value, index: usize, element: &Element) -> Value {
    row["index"] = json!(index);
    match element {
        Element::Inherit(profile) => row["inherit_profile"] = json!(profile),
        Element::Setting {
            name,
            value,
            min,
            max,
            writability,
        } => {
            row["setting_name"] = json!(name);
            row["value"] = json!(value);
            row["min"] = json!(min);
            row["max"] = json!(max);
            row["writability"] = json!(writability.map(|w| match w {
                Writability::Writable => "WRITABLE",
                Writability::Const => "CONST",
                Writability::ChangeableInReadonly => "CHANGEABLE_IN_READONLY",
            }));
        }
    }
    row
}

fn shown(names: &Names) -> (u8, Vec<&String>, Vec<&String>) {
    match names {
        Names::Only(only) => (0, only.iter().collect(), Vec::new()),
        Names::AllExcept(except) => (1, Vec::new(), except.iter().collect()),
    }
}

/// The front does not keep ids; one that follows from the name stays the same.
fn id(name: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(name);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Uuid::from_bytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_tables_are_rewritten() {
        let sql = "select 'system.users' from system.users, `system` . `roles` -- system.users\n, system.tables";
        let expected = "select 'system.users' from septem_access.users, septem_access . `roles` -- system.users\n, system.tables";
        let rewritten = rewrite(sql, "septem_access").unwrap();
        assert_eq!(rewritten.sql, expected);
        assert_eq!(rewritten.tables, ["users", "roles"]);
        assert_eq!(rewrite("select 1 from system.tables", "x"), None);
    }
}
