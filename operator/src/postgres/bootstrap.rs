//! What a database needs before the first model: roles, privileges, schema `platform`, publication, our epoch.

use model::Generation;
use sqlx::{Connection as _, PgConnection};
use tracing::instrument;

use super::{
    Login, RoleSecrets, execute,
    fenced::{claim_epoch, require_epoch},
    roles::ensure_roles,
    upkeep::keep_up,
};
use crate::{error::Error, planes::Claim, telemetry::TARGET};
use sql::postgres::{
    ddl::{APP_ROLE, CDC_ROLE, OWNER_ROLE, PUBLICATION, SINK_ROLE},
    quote_text,
};

/// Lowest version that we support (DESIGN 2): 17.
const SERVER_VERSION_MIN: i32 = 170_000;

/// What bootstrapping found and took.
#[derive(Debug, Clone)]
pub struct Bootstrapped {
    /// Our epoch; every transaction of ours is bound to it.
    pub epoch: i64,
    /// The capture generation that is read.
    pub generation: Generation,
    /// What differed from what must be and was put right.
    pub repaired: Vec<String>,
    /// What is there and not ours to take away.
    pub extra: Vec<String>,
}

/// Fails when another DataPlane has this database. Asked before anything is changed: the other's logins would get our
/// passwords.
async fn require_unclaimed(conn: &mut PgConnection, claim: &Claim) -> Result<(), Error> {
    let doing = "whose database it is";
    let known: bool = sqlx::query_scalar(
        "select exists (select from pg_attribute where attrelid = to_regclass('platform.data_plane') and attname = 'claimed_by' and not attisdropped)",
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(Error::postgres(doing))?;
    if !known {
        return Ok(());
    }
    let holder: Option<String> = sqlx::query_scalar("select claimed_by from platform.data_plane")
        .fetch_one(conn)
        .await
        .map_err(Error::postgres(doing))?;
    match holder.and_then(|uid| claim.others.get(&uid).cloned()) {
        Some(by) => Err(Error::Held {
            what: "the PostgreSQL database",
            by,
        }),
        None => Ok(()),
    }
}

/// Takes the database, unless another DataPlane was quicker.
async fn take(conn: &mut PgConnection, claim: &Claim) -> Result<(), Error> {
    let others: Vec<_> = claim.others.keys().collect();
    sqlx::query(
        "update platform.data_plane set claimed_by = $1 where claimed_by is distinct from $1 and (claimed_by is null or claimed_by <> all ($2))",
    )
    .bind(&claim.uid)
    .bind(&others)
    .execute(&mut *conn)
    .await
    .map_err(Error::postgres("whose database it is"))?;
    require_unclaimed(conn, claim).await
}

/// Brings the database to where models can be applied. Safe to run again at any time, from any state in which an
/// earlier run was killed. With our epoch it is kept, and nothing is touched once a newer operator has come; without
/// one the next is taken.
#[instrument(target = TARGET, name = "bootstrap", skip_all)]
pub async fn bootstrap(
    owner: &Login,
    secrets: &RoleSecrets,
    claim: &Claim,
    epoch: Option<i64>,
) -> Result<Bootstrapped, Error> {
    let mut conn = owner
        .connect()
        .await
        .map_err(Error::postgres("the operator's login"))?;
    require_version(&mut conn).await?;
    require_unclaimed(&mut conn, claim).await?;
    if let Some(epoch) = epoch {
        require_epoch(&mut conn, epoch).await?;
    }
    let mut repaired = ensure_roles(&mut conn, secrets).await?;
    repaired.extend(open_to_everybody(&mut conn).await?);
    ensure_privileges(&mut conn, &owner.database).await?;
    mark_leakproof(&mut conn).await?;

    let set_role = format!("set role {OWNER_ROLE}");
    execute(&mut conn, &set_role)
        .await
        .map_err(Error::postgres("role septem_owner"))?;
    let mut migrator = sqlx::migrate!("../migrations");
    migrator.create_schema("platform");
    migrator.dangerous_set_table_name("platform.migrations");
    migrator
        .run_direct(None, &mut conn, false)
        .await
        .map_err(|source| Error::Migrations(Box::new(source)))?;
    take(&mut conn, claim).await?;
    ensure_publication(&mut conn).await?;
    // Settings of roles and owners are not the owner's to change.
    execute(&mut conn, "reset role")
        .await
        .map_err(Error::postgres("the operator's login"))?;
    repaired.extend(keep_up(&mut conn).await?);
    execute(&mut conn, &set_role)
        .await
        .map_err(Error::postgres("role septem_owner"))?;
    let extra = published_by_others(&mut conn).await?;
    let epoch = match epoch {
        Some(epoch) => epoch,
        None => claim_epoch(&mut conn).await?,
    };
    let generation: i32 = sqlx::query_scalar("select generation from platform.data_plane")
        .fetch_one(&mut conn)
        .await
        .map_err(Error::postgres("the capture generation"))?;
    let _ = conn.close().await;
    Ok(Bootstrapped {
        epoch,
        generation: Generation(generation),
        repaired,
        extra,
    })
}

async fn require_version(conn: &mut PgConnection) -> Result<(), Error> {
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int")
        .fetch_one(conn)
        .await
        .map_err(Error::postgres("its version"))?;
    if version >= SERVER_VERSION_MIN {
        return Ok(());
    }
    let problem = "the server is older than PostgreSQL 17";
    Err(Error::Postgres {
        doing: "its version",
        source: sqlx::Error::Configuration(problem.into()),
    })
}

/// What everybody may do in a database where we have been before: a temporary table shadows a real one in the search
/// path, and so does one in schema public.
async fn open_to_everybody(conn: &mut PgConnection) -> Result<Vec<String>, Error> {
    let open: Vec<String> = sqlx::query_scalar(
        "select w from (values ('temporary tables for everybody', has_database_privilege('public', current_database(), 'temporary')), ('objects of everybody in schema public', to_regnamespace('public') is not null and has_schema_privilege('public', to_regnamespace('public')::oid, 'create'))) v (w, is_open) where is_open and to_regnamespace('platform') is not null",
    )
    .fetch_all(conn)
    .await
    .map_err(Error::postgres("what everybody may do"))?;
    Ok(open)
}

/// Published tables that no model has and that are not ours: changes of theirs would go to the topic.
async fn published_by_others(conn: &mut PgConnection) -> Result<Vec<String>, Error> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select 'publication of ' || schemaname || '.' || tablename from pg_publication_tables t where pubname = $1 and schemaname <> 'platform' and not exists (select from platform.models m where m.module = t.schemaname and m.model = t.tablename) order by 1",
    )
    .bind(PUBLICATION)
    .fetch_all(conn)
    .await
    .map_err(Error::postgres("a look at its publication"))?;
    Ok(tables)
}

async fn ensure_privileges(conn: &mut PgConnection, database: &str) -> Result<(), Error> {
    let database = quote_text(database);
    let superuser = is_superuser(conn).await?;
    let mut statements = vec![
        format!("grant create, connect on database {database} to {OWNER_ROLE}"),
        format!("grant connect on database {database} to {APP_ROLE}, {CDC_ROLE}, {SINK_ROLE}"),
        // A temporary table shadows a real one in the search path.
        format!("revoke temporary on database {database} from public"),
        "revoke create on schema public from public".into(),
    ];
    if !superuser {
        // A superuser may take any role; anybody else must be a member.
        statements.push(format!("grant {OWNER_ROLE} to current_user"));
    }
    super::execute_all(conn, &statements, "the database's privileges").await
}

async fn is_superuser(conn: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar("select rolsuper from pg_roles where rolname = current_user")
        .fetch_one(conn)
        .await
        .map_err(Error::postgres("the operator's role"))
}

/// Comparisons of numeric may then use an index under row-level security. A leakproof function tells nothing of its
/// arguments but its result: these are total, raise no error for any pair of values and print none, like those of
/// int8 and float8, which are marked by PostgreSQL itself. Without it a cursor over a decimal reads every row of its
/// tenant. Needs a superuser; elsewhere such lists are merely slower.
async fn mark_leakproof(conn: &mut PgConnection) -> Result<(), Error> {
    if !is_superuser(conn).await? {
        tracing::info!(
            "not a superuser: comparisons of numeric cannot use indexes under row-level security"
        );
        return Ok(());
    }
    let functions: Vec<String> = sqlx::query_scalar(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'pg_catalog'::regnamespace and not proleakproof and proname = any (array['numeric_eq', 'numeric_ne', 'numeric_lt', 'numeric_le', 'numeric_gt', 'numeric_ge', 'numeric_cmp'])",
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(Error::postgres("the comparisons of numeric"))?;
    for function in functions {
        let statement = format!("alter function pg_catalog.{function} leakproof");
        execute(conn, &statement)
            .await
            .map_err(Error::postgres("the comparisons of numeric"))?;
    }
    Ok(())
}

/// The publication, before any slot exists: a slot that is older than its publication cannot decode.
async fn ensure_publication(conn: &mut PgConnection) -> Result<(), Error> {
    let doing = "the publication";
    let create = format!(
        "do $$ begin create publication {PUBLICATION} with (publish_via_partition_root = true); exception when duplicate_object then null; end $$"
    );
    execute(conn, &create)
        .await
        .map_err(Error::postgres(doing))?;
    for table in ["cdc_heartbeat", "cdc_signal"] {
        let published: bool = sqlx::query_scalar(
            "select exists (select from pg_publication_tables where pubname = $1 and schemaname = 'platform' and tablename = $2)",
        )
        .bind(PUBLICATION)
        .bind(table)
        .fetch_one(&mut *conn)
        .await
        .map_err(Error::postgres(doing))?;
        if !published {
            let add = format!("alter publication {PUBLICATION} add table platform.{table}");
            execute(conn, &add).await.map_err(Error::postgres(doing))?;
        }
    }
    Ok(())
}
