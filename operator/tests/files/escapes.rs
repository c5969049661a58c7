//! What a file may try: refused by PostgreSQL itself, each by its SQLSTATE.

use model::Ident;
use operator::postgres::{ModuleSession, SessionError, Timeouts};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{applied, deals};
use crate::support::{World, in_world, status_of};

/// The statements of a file, and the SQLSTATE that it ends with; `{m}` is its module, `{b}` another one.
const ESCAPES: &[(&str, &str)] = &[
    // To another role.
    (
        "reset role; alter table deals disable row level security",
        "42501",
    ),
    (
        "set role none; drop policy tenant_isolation on deals",
        "42501",
    ),
    ("set role septem_owner", "42501"),
    ("set role septem_app", "42501"),
    ("set session authorization septem_operator", "42501"),
    ("set session authorization septem_owner", "42501"),
    (
        "set session authorization default; alter table deals no force row level security",
        "42501",
    ),
    ("select set_config('role', 'septem_owner', false)", "42501"),
    (
        "select set_config('session_authorization', 'septem_owner', false)",
        "42501",
    ),
    ("grant septem_owner to current_user", "42501"),
    ("grant pg_read_all_data to current_user", "42501"),
    ("alter role current_user bypassrls", "42501"),
    ("alter role current_user superuser", "42501"),
    ("alter role septem_app bypassrls", "42501"),
    ("alter role current_user set search_path = '{b}'", "42501"),
    ("create role septem_m_more", "42501"),
    // Out of its transaction.
    ("commit", "0A000"),
    (
        "commit; alter table deals disable row level security",
        "0A000",
    ),
    ("rollback", "0A000"),
    ("rollback; begin", "0A000"),
    ("savepoint a", "0A000"),
    ("prepare transaction 'a'", "0A000"),
    ("do $$ begin commit; end $$", "2D000"),
    (
        "create procedure p() language plpgsql as $$ begin commit; end $$; call p()",
        "2D000",
    ),
    ("vacuum", "25001"),
    ("create index concurrently x on deals (title)", "25001"),
    // Through the fence.
    ("set row_security = off; select * from deals", "42501"),
    ("alter table deals disable row level security", "42501"),
    ("alter table deals no force row level security", "42501"),
    ("drop policy tenant_isolation on deals", "42501"),
    ("drop policy septem_module on deals", "42501"),
    (
        "alter policy tenant_isolation on deals using (true)",
        "42501",
    ),
    ("create policy more on deals using (true)", "42501"),
    ("alter table deals owner to current_user", "42501"),
    ("alter table deals add column x int", "42501"),
    ("drop table deals", "42501"),
    ("truncate deals", "42501"),
    ("create index x on deals (title)", "42501"),
    ("comment on table deals is 'x'", "42501"),
    (
        "create trigger t before insert on deals for each row execute function suppress_redundant_updates_trigger()",
        "42501",
    ),
    ("create rule r as on insert to deals do nothing", "42501"),
    ("create table child () inherits (deals)", "42501"),
    (
        "create table child (tenant_id uuid, deal uuid, foreign key (tenant_id, deal) references deals (tenant_id, id))",
        "42501",
    ),
    (
        "create function f() returns void language sql security definer as 'alter table {m}.deals disable row level security'; select f()",
        "42501",
    ),
    (
        "create view v with (security_invoker = false) as select * from deals; grant select on v to septem_app",
        "42501",
    ),
    (
        "create table leak (x int); grant select on leak to public",
        "42501",
    ),
    (
        "create table leak (x int); grant select (x) on leak to septem_app",
        "42501",
    ),
    (
        "alter default privileges grant select on tables to septem_app",
        "42501",
    ),
    (
        "insert into deals (tenant_id, id, title, created_by, updated_by) values ('{t}', gen_random_uuid(), 'x', 'x', 'x')",
        "42501",
    ),
    (
        "set app.tenant_id = '{t}'; insert into deals (tenant_id, id, title, created_by, updated_by) values ('{t}', gen_random_uuid(), 'x', 'x', 'x')",
        "42501",
    ),
    // Into another schema.
    ("select * from {b}.secrets", "42501"),
    (
        "set local search_path = {b}; select * from secrets",
        "42P01",
    ),
    ("create table {b}.x (a int)", "42501"),
    (
        "create function {b}.x() returns int language sql as 'select 1'",
        "42501",
    ),
    (
        "create function f() returns int language sql as 'select 1'; alter function f() set schema {b}",
        "42501",
    ),
    ("create table public.x (a int)", "42501"),
    ("create temporary table x (a int)", "42501"),
    ("create schema x", "42501"),
    ("alter schema {m} owner to current_user", "42501"),
    ("drop schema {m} cascade", "42501"),
    ("select * from platform.tenants", "42501"),
    (
        "set local search_path = platform; select * from tenants",
        "42P01",
    ),
    (
        "insert into platform.schema_migrations (module, version, model, sha256, statements, epoch) values ('x', 'x', 'x', 'x', 1, 1)",
        "42501",
    ),
    ("update platform.operator_epoch set epoch = 0", "42501"),
    ("select platform.catalog_snapshot()", "42501"),
    ("update platform.file_runs set tenant_id = null", "42501"),
    ("select septem_files.fence('{m}')", "42501"),
    (
        "create or replace function septem_files.tenant() returns uuid language sql as 'select null::uuid'",
        "42501",
    ),
    ("select septem_files.finish()", "42501"),
    // Out of the database.
    ("create extension hstore schema {m}", "42501"),
    ("create extension file_fdw schema {m}", "42501"),
    (
        "create event trigger e on ddl_command_start execute function suppress_redundant_updates_trigger()",
        "42501",
    ),
    ("create publication p for all tables", "42501"),
    (
        "alter publication platform_cdc drop table {m}.deals",
        "42501",
    ),
    (
        "create subscription s connection 'host=localhost' publication p with (connect = false)",
        "42501",
    ),
    ("copy (select 1) to program 'id'", "42501"),
    ("create table t (x text); copy t from program 'id'", "42501"),
    ("copy (select 1) to '/tmp/septem'", "42501"),
    ("copy deals to stdout", "0A000"),
    ("select pg_read_file('/etc/passwd')", "42501"),
    ("select pg_ls_dir('/')", "42501"),
    ("select lo_import('/etc/passwd')", "42501"),
    ("select lo_create(0)", "42501"),
    (
        "create function f() returns int language c as 'libc', 'getpid'",
        "42501",
    ),
    ("alter system set shared_buffers = 1", "25001"),
    ("select pg_reload_conf()", "42501"),
    (
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'septem_app' or usename = 'septem_operator' limit 1",
        "42501",
    ),
    ("load 'plpgsql.so'", "42501"),
    // Past its time.
    ("set statement_timeout = 0; select pg_sleep(30)", "57014"),
];

/// What a file may do, so that the refusals above are not those of a role that may do nothing.
const ALLOWED: &[&str] = &[
    "",
    "-- nothing",
    "create table helper (id int primary key, note text); insert into helper values (1, 'a;b'); create index on helper (note)",
    "create function twice(x int) returns int language plpgsql as $$ begin return x * 2; end $$; do $$ begin if {m}.twice(2) <> 4 then raise 'no'; end if; end $$",
    "create view titles as select title from deals; create type mood as enum ('a', 'b'); create sequence numbers",
    "alter table helper add column more int; drop view titles",
    // A schema file sees nobody's rows, whatever it sets.
    "do $$ begin perform set_config('app.tenant_id', '{t}', true); if exists (select from deals) then raise 'seen'; end if; end $$",
    "set app.tenant_id = '{t}'; delete from deals; update deals set title = 'taken'",
    // Its own objects in the way of ours change nothing.
    "create function now() returns int language sql as 'select 1'; create function set_config(text, text, bool) returns text language sql as 'select null::text'; set search_path = {m}, pg_catalog",
    // Warned of, and nothing is granted.
    "grant select on deals to public",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_leaves_its_schema_is_refused_by_the_database() {
    in_world(escapes).await;
}

async fn escapes(world: &World) {
    let module = world.module();
    let other = format!("{module}_b");
    let tenant = Uuid::now_v7();
    world
        .config_map(
            "sql",
            json!({"20260101_000000_first.sql": "-- +goose Up\nselect 1;\n"}),
        )
        .await;
    applied(world, &deals(world, &["sql"], "1"), "Applied").await;
    let mut canary = world.model(
        "secrets",
        "secrets",
        json!({"fields": [{"name": "word", "type": "text", "maxLength": 9}], "analytics": {"enabled": false}}),
    );
    canary["spec"]["module"] = json!(other);
    world.apply_ready(&canary).await;
    world
        .run(&format!(
            "insert into {module}.deals (tenant_id, id, title, created_by, updated_by) values ('{tenant}', gen_random_uuid(), 'mine', 'u', 'u'); insert into {other}.secrets (tenant_id, id, word, created_by, updated_by) values ('{tenant}', gen_random_uuid(), 'hidden', 'u', 'u')"
        ))
        .await;
    let state = format!(
        "select md5(string_agg(f, '' order by f)) from (select septem_files.fence('{module}') f union all select md5(string_agg(d::text, '')) from {module}.deals d union all select md5(string_agg(s::text, '')) from {other}.secrets s) x"
    );
    let before = text(world, &state).await;

    let ident: Ident = module.parse().unwrap();
    let mut session = ModuleSession::open(&world.login(), &ident).await.unwrap();
    let mut wrong = Vec::new();
    for (i, (sql, expected)) in ESCAPES.iter().enumerate() {
        let sql = fill(sql, &module, &other, tenant);
        let ended = attempt(world, &mut session, &sql, i, None).await;
        let code = match &ended {
            Err(SessionError::Refused(refused)) => refused.code.as_str(),
            other => &format!("{other:?}"),
        };
        if code != *expected {
            wrong.push(format!("{sql}: {code}, not {expected}: {ended:?}"));
        }
        if text(world, &state).await != before {
            wrong.push(format!("{sql}: something has changed"));
        }
    }
    for (i, sql) in ALLOWED.iter().enumerate() {
        let sql = fill(sql, &module, &other, tenant);
        if let Err(error) = attempt(world, &mut session, &sql, 1_000 + i, None).await {
            wrong.push(format!("{sql}: {error:?}"));
        }
    }
    // A file for one tenant does not become another's.
    let own = Uuid::now_v7();
    for (sql, expected) in [
        (
            "set app.tenant_id = '{t}'; update deals set title = 'taken'; do $$ begin if exists (select from deals) then raise 'seen'; end if; end $$",
            None,
        ),
        (
            "set app.tenant_id = '{t}'; insert into deals (tenant_id, id, title, created_by, updated_by) values ('{t}', gen_random_uuid(), 'x', 'x', 'x')",
            Some("42501"),
        ),
    ] {
        let sql = fill(sql, &module, &other, tenant);
        let ended = attempt(world, &mut session, &sql, 2_000, Some(own)).await;
        let code = match &ended {
            Err(SessionError::Refused(refused)) => Some(refused.code.as_str()),
            _ => None,
        };
        if code != expected {
            wrong.push(format!("{sql}: {ended:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let recorded = format!(
        "select count(*) from platform.schema_migrations where module = '{module}' and version like 'try%'"
    );
    assert_eq!(
        world.number(&recorded).await,
        1 + i64::try_from(ALLOWED.len()).unwrap()
    );
    assert_eq!(text(world, &state).await, before);
    let ready = world.models().get("deals").await.unwrap();
    assert_eq!(
        status_of(&ready.status.unwrap().conditions, "IsolationEnforced"),
        "True"
    );

    // Outside of a run the role is nobody: no door, no tenant.
    let again = ModuleSession::open(&world.login(), &ident).await;
    assert!(again.is_err(), "one session at a time");
    drop(session);
    let sessions = world
        .number("select count(*) from platform.file_runs")
        .await;
    assert_eq!(sessions, 1, "the one that failed last is still announced");
}

fn fill(sql: &str, module: &str, other: &str, tenant: Uuid) -> String {
    sql.replace("{m}", module)
        .replace("{b}", other)
        .replace("{t}", &tenant.to_string())
}

/// Runs statements as a file of the module, as the operator does.
async fn attempt(
    world: &World,
    session: &mut ModuleSession,
    sql: &str,
    number: usize,
    tenant: Option<Uuid>,
) -> Result<(), SessionError> {
    let (pid, module) = (session.pid(), world.module());
    let kind = if tenant.is_some() {
        "per-tenant"
    } else {
        "schema"
    };
    let tenant_id = tenant.map_or("null".to_owned(), |t| format!("'{t}'"));
    world
        .run(&format!(
            "delete from platform.file_runs; insert into platform.file_runs (module, pid, model, version, description, kind, tenant_id, sha256, epoch) select '{module}', {pid}, 'deals', 'try{number}', 'x', '{kind}', {tenant_id}, 'x', epoch from platform.operator_epoch"
        ))
        .await;
    let timeouts = Timeouts {
        statement: std::time::Duration::from_secs(2),
        ..Timeouts::default()
    };
    session.run(sql, tenant, timeouts).await
}

async fn text(world: &World, query: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(query))
        .fetch_one(&world.admin)
        .await
        .unwrap()
}
