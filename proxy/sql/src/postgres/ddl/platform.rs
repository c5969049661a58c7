//! Schema `platform` and the roles put right again.

use super::{OWNER_ROLE, PUBLICATION};
use crate::postgres::quote_text;

/// Something in schema `platform` on which privileges are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// The schema itself.
    Schema,
    /// A table, view or sequence.
    Table,
    /// A function.
    Function,
    /// A column of a table.
    Column,
}

/// A privilege on an object of schema `platform`.
#[derive(Debug, Clone, Copy)]
pub struct PlatformGrant<'a> {
    /// What it is on.
    pub held: Held,
    /// Its name as `regclass`, `regprocedure` or `regnamespace` prints it, quoted where it must be.
    pub object: &'a str,
    /// The column, of a [`Held::Column`].
    pub column: Option<&'a str>,
    /// Such as `SELECT`, as `aclexplode` prints it.
    pub privilege: &'a str,
    /// The role; `public` for everybody.
    pub grantee: &'a str,
}

/// Grants it.
pub fn grant_on_platform(grant: &PlatformGrant<'_>) -> String {
    format!("grant {} to {}", on(grant), role(grant.grantee))
}

/// Takes it away.
pub fn revoke_on_platform(grant: &PlatformGrant<'_>) -> String {
    format!("revoke {} from {}", on(grant), role(grant.grantee))
}

/// Gives an object back to its owner.
pub fn own_platform(held: Held, object: &str) -> String {
    format!("alter {} {object} owner to {OWNER_ROLE}", word(held))
}

/// Forgets what new objects of `owner` are granted to `grantee`; `objects` is `defaclobjtype`, none of another kind.
pub fn revoke_default(
    owner: &str,
    schema: Option<&str>,
    objects: char,
    grantee: &str,
) -> Option<String> {
    let objects = match objects {
        'r' => "tables",
        'S' => "sequences",
        'f' => "functions",
        'T' => "types",
        'n' => "schemas",
        _ => return None,
    };
    let within = schema.map_or_else(String::new, |s| format!(" in schema {}", quote_text(s)));
    Some(format!(
        "alter default privileges for role {}{within} revoke all on {objects} from {}",
        quote_text(owner),
        role(grantee)
    ))
}

/// Forgets the settings that a role brings to its sessions, in one database or everywhere.
pub fn reset_settings(name: &str, database: Option<&str>) -> String {
    let within = database.map_or_else(String::new, |d| format!(" in database {}", quote_text(d)));
    format!("alter role {}{within} reset all", quote_text(name))
}

/// The publication's options, all of them.
pub fn publication_options() -> String {
    format!(
        "alter publication {PUBLICATION} set (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)"
    )
}

fn on(grant: &PlatformGrant<'_>) -> String {
    let PlatformGrant {
        held,
        object,
        column,
        privilege,
        ..
    } = grant;
    // Privileges are words of a closed list; whatever else came would not be one.
    let privilege: String = privilege
        .chars()
        .filter(|c| c.is_ascii_uppercase() || *c == ' ')
        .collect();
    let columns = column.map_or_else(String::new, |c| format!(" ({})", quote_text(c)));
    format!("{privilege}{columns} on {} {object}", word(*held))
}

fn word(held: Held) -> &'static str {
    match held {
        Held::Schema => "schema",
        Held::Table | Held::Column => "table",
        Held::Function => "function",
    }
}

fn role(name: &str) -> String {
    if name == "public" {
        name.to_owned()
    } else {
        quote_text(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_privileges_are_words() {
        let grant = PlatformGrant {
            held: Held::Column,
            object: "platform.models",
            column: Some("a\"b"),
            privilege: "SELECT; drop",
            grantee: "public",
        };
        assert_eq!(
            revoke_on_platform(&grant),
            "revoke SELECT  (\"a\"\"b\") on table platform.models from public"
        );
        assert_eq!(
            grant_on_platform(&PlatformGrant {
                held: Held::Function,
                object: "platform.f(integer)",
                column: None,
                privilege: "EXECUTE",
                grantee: "septem_app",
            }),
            "grant EXECUTE on function platform.f(integer) to \"septem_app\""
        );
        assert_eq!(
            revoke_default("septem_owner", Some("crm"), 'r', "public").unwrap(),
            "alter default privileges for role \"septem_owner\" in schema \"crm\" revoke all on tables from public"
        );
        assert_eq!(revoke_default("o", None, '?', "public"), None);
    }
}
