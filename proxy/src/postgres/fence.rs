//! Whether the role of the proxy is one that row-level security holds.

use sql::Statement;

use super::{database::Answer, frame::Row};

/// What the role has that it must not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FenceError {
    /// It, or a role that it is a member of, may do what passes over row-level security.
    #[error("the database role must not see past the fence: {0}")]
    Powerful(String),
    /// A table with a tenant has no row-level security.
    #[error("the table {0} lacks row-level security")]
    OpenTable(String),
    /// The check answered something unexpected.
    #[error("the check of the database role could not be read")]
    Unreadable,
}

/// One row for each power that the current role has by itself or through a membership, granted or inheritable.
const POWERS: &str = "
  select r.rolname || ' ' || power from pg_catalog.pg_roles r
  cross join lateral (values
    ('is a superuser', r.rolsuper),
    ('bypasses row-level security', r.rolbypassrls),
    ('may replicate', r.rolreplication),
    ('may create roles', r.rolcreaterole),
    ('reads or writes everything', r.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_database_owner',
      'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')),
    ('owns tables', exists (select from pg_catalog.pg_class c where c.relowner = r.oid and c.relkind in ('r', 'p', 'v', 'm')))
  ) powers(power, has)
  where has and (r.rolname in (current_user, session_user)
    or pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER'))
  order by r.rolname in (current_user, session_user) desc, 1 limit 8";

/// Tables with a tenant that the role can read and that no policy guards.
const OPEN_TABLES: &str = "
  select c.oid::pg_catalog.regclass::text from pg_catalog.pg_class c
  where c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)
    and exists (select from pg_catalog.pg_attribute a
      where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
    and pg_catalog.has_table_privilege(c.oid, 'select, insert, update, delete')
  order by 1 limit 8";

pub(super) fn statements() -> Vec<Statement> {
    [POWERS, OPEN_TABLES]
        .map(|text| Statement {
            text: text.to_owned(),
            binds: Vec::new(),
        })
        .into()
}

pub(super) fn judge(answer: &Answer) -> Result<(), FenceError> {
    let [powers, tables] = answer.as_slice() else {
        return Err(FenceError::Unreadable);
    };
    let texts = |rows: &[Row]| -> Option<String> {
        let text = |row: &Row| {
            row.values()
                .next()
                .flatten()
                .map(|v| String::from_utf8_lossy(v).into_owned())
        };
        let texts: Vec<_> = rows.iter().filter_map(text).collect();
        (!rows.is_empty()).then(|| texts.join(", "))
    };
    if let Some(powers) = texts(powers) {
        return Err(FenceError::Powerful(powers));
    }
    match texts(tables) {
        Some(tables) => Err(FenceError::OpenTable(tables)),
        None => Ok(()),
    }
}
