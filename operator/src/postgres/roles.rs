//! The roles of a database cluster: made, and put right when somebody changed them.

use std::iter::repeat;

use secrecy::ExposeSecret as _;
use sqlx::{PgConnection, Row as _};

use super::{Login, execute};
use crate::error::Error;
use sql::postgres::{
    ddl::{APP_ROLE, CDC_ROLE, OWNER_ROLE, SINK_ROLE},
    literal, quote_text,
};

/// The logins that the DataPlane's Secrets hold for roles that the operator makes.
#[derive(Debug, Clone)]
pub struct RoleSecrets {
    /// `septem_app`.
    pub app: Login,
    /// `septem_cdc`.
    pub cdc: Login,
    /// `septem_sink`.
    pub sink: Login,
}

/// A role as it must be.
struct Wanted<'a> {
    name: &'static str,
    login: Option<&'a Login>,
    replication: bool,
    bypass_rls: bool,
}

/// Creates and repairs roles; says what it has put right. Roles belong to the cluster, so two operators of two databases may meet here: a row
/// changed concurrently is an error that the next reconcile heals.
pub(super) async fn ensure_roles(
    conn: &mut PgConnection,
    secrets: &RoleSecrets,
) -> Result<Vec<String>, Error> {
    let mut repaired = Vec::new();
    let wanted = [
        // Its backfills must see every row and its VALIDATE every orphan, under FORCE too.
        Wanted {
            name: OWNER_ROLE,
            login: None,
            replication: false,
            bypass_rls: true,
        },
        Wanted {
            name: APP_ROLE,
            login: Some(&secrets.app),
            replication: false,
            bypass_rls: false,
        },
        Wanted {
            name: CDC_ROLE,
            login: Some(&secrets.cdc),
            replication: true,
            bypass_rls: true,
        },
        Wanted {
            name: SINK_ROLE,
            login: Some(&secrets.sink),
            replication: false,
            bypass_rls: false,
        },
    ];
    for role in wanted {
        let changed = ensure_role(conn, &role)
            .await
            .map_err(Error::postgres("the roles"))?;
        if changed {
            repaired.push(format!("attributes of role {}", role.name));
        }
    }
    // So that a missing privilege is an error, not an empty snapshot.
    let configured: bool = sqlx::query_scalar(
        "select exists (select from pg_db_role_setting where setrole = to_regrole($1) and setdatabase = 0 and 'row_security=off' = any (setconfig))",
    )
    .bind(CDC_ROLE)
    .fetch_one(&mut *conn)
    .await
    .map_err(Error::postgres("the roles"))?;
    if !configured {
        let statement = format!("alter role {CDC_ROLE} set row_security = off");
        execute(conn, &statement)
            .await
            .map_err(Error::postgres("the roles"))?;
    }
    for role in [APP_ROLE, SINK_ROLE, CDC_ROLE] {
        let left = leave_groups(conn, role)
            .await
            .map_err(Error::postgres("the roles"))?;
        let of = |group| format!("{role} as a member of {group}");
        repaired.extend(left.into_iter().map(of));
    }
    Ok(repaired)
}

/// Whether it was there and had to be changed.
async fn ensure_role(conn: &mut PgConnection, role: &Wanted<'_>) -> Result<bool, sqlx::Error> {
    let name = role.name;
    let wanted = [
        ("login", role.login.is_some()),
        ("replication", role.replication),
        ("bypassrls", role.bypass_rls),
        ("superuser", false),
        ("createrole", false),
        ("createdb", false),
    ];
    let row = sqlx::query(
        "select array[rolcanlogin, rolreplication, rolbypassrls, rolsuper, rolcreaterole, rolcreatedb] as found from pg_roles where rolname = $1",
    )
    .bind(name)
    .fetch_optional(&mut *conn)
    .await?;
    let found: Vec<bool> = row.map_or(Ok(Vec::new()), |row| row.try_get("found"))?;
    // Only what has to change is named: a login that is no superuser may not name the attribute at all.
    let is = found.iter().copied().chain(repeat(false));
    let wrong: Vec<_> = wanted
        .iter()
        .zip(is)
        .filter(|((_, wanted), is)| wanted != is)
        .map(|((word, on), _)| format!("{}{word}", if *on { "" } else { "no" }))
        .collect();
    let (wrong, mut changed) = (wrong.join(" "), false);
    if found.is_empty() {
        // Two databases of one cluster may be set up at the same time.
        let create = format!(
            "do $$ begin create role {name} {wrong}; exception when duplicate_object or unique_violation then null; end $$"
        );
        execute(conn, &create).await?;
        tracing::info!(role = name, "role created");
    } else if !wrong.is_empty() {
        execute(conn, &format!("alter role {name} {wrong}")).await?;
        tracing::warn!(role = name, "role had other attributes and was put right");
        changed = true;
    }
    if let Some(login) = role.login {
        ensure_password(conn, name, login).await?;
    }
    Ok(changed)
}

/// Sets the password only when the Secret's does not open the door.
async fn ensure_password(
    conn: &mut PgConnection,
    role: &str,
    login: &Login,
) -> Result<(), sqlx::Error> {
    match login.connect().await {
        Ok(open) => {
            let _ = sqlx::Connection::close(open).await;
            return Ok(());
        }
        Err(error) => match error.as_database_error().and_then(|e| e.code()).as_deref() {
            // No such password, or none at all.
            Some("28P01" | "28000") => {}
            _ => return Err(error),
        },
    }
    // The verifier and not the password: neither the server's log nor its views ever hold it.
    let verifier =
        postgres_protocol::password::scram_sha_256(login.password.expose_secret().as_bytes());
    execute(
        conn,
        &format!("alter role {role} password {}", literal(&verifier)),
    )
    .await?;
    tracing::info!(role, "password set from its Secret");
    Ok(())
}

/// A member of another role could do what that one may.
pub(super) async fn leave_groups(
    conn: &mut PgConnection,
    role: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let groups: Vec<String> = sqlx::query_scalar(
        "select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = to_regrole($1)",
    )
    .bind(role)
    .fetch_all(&mut *conn)
    .await?;
    for group in &groups {
        execute(
            conn,
            &format!("revoke {} from {}", quote_text(group), quote_text(role)),
        )
        .await?;
        tracing::warn!(
            role,
            group,
            "role was a member of another and was taken out"
        );
    }
    Ok(groups)
}
