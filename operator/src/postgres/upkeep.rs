//! What every database needs, compared with what is there, and put right: grants in schema `platform`, owners, default
//! privileges, settings of roles, the publication. All of it is ours or part of the fence, so none of it waits for a
//! policy; what others were granted is left to them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sql::postgres::ddl::{
    self, APP_ROLE, CDC_ROLE, Held, OWNER_ROLE, PUBLICATION, PlatformGrant, SINK_ROLE,
};
use sqlx::PgConnection;

use super::execute_all;
use crate::error::Error;

/// Roles whose privileges are ours to judge.
const JUDGED: [&str; 4] = ["public", APP_ROLE, CDC_ROLE, SINK_ROLE];

/// A privilege, as it is stored too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Grant {
    kind: char,
    object: String,
    column: Option<String>,
    grantee: String,
    privilege: String,
}

/// An object of schema `platform` that somebody else owns.
#[derive(Debug, Deserialize)]
struct Owned {
    kind: char,
    object: String,
    owner: String,
}

/// What new objects are granted.
#[derive(Debug, Deserialize)]
struct DefaultGrant {
    owner: String,
    schema: Option<String>,
    kind: char,
    grantee: String,
}

/// What a role brings to its sessions.
#[derive(Debug, Deserialize)]
struct Setting {
    role: String,
    here: bool,
    setting: String,
}

#[derive(Debug, Deserialize)]
struct Observed {
    grants: BTreeSet<Grant>,
    expected: Option<BTreeSet<Grant>>,
    owned: Vec<Owned>,
    defaults: Vec<DefaultGrant>,
    settings: Vec<Setting>,
    publication_is_whole: bool,
    database: String,
}

/// What differs, for people, and the statements that put it right.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    differences: Vec<String>,
    statements: Vec<String>,
}

/// `$1` roles that are judged, `$2` the owner, `$3` the publication.
const QUERY: &str = r"
with acl as (
  select 'n' as kind, n.oid::regnamespace::text as object, null::text as col, a.grantee, a.privilege_type, n.nspowner as owner
  from pg_namespace n, aclexplode(n.nspacl) a where n.nspname = 'platform'
  union all
  select 'r', c.oid::regclass::text, null, a.grantee, a.privilege_type, c.relowner
  from pg_class c, aclexplode(c.relacl) a where c.relnamespace = to_regnamespace('platform') and c.relkind in ('r', 'p', 'v', 'm', 'S')
  union all
  select 'c', c.oid::regclass::text, f.attname::text, a.grantee, a.privilege_type, c.relowner
  from pg_class c join pg_attribute f on f.attrelid = c.oid, aclexplode(f.attacl) a
  where c.relnamespace = to_regnamespace('platform') and not f.attisdropped
  union all
  select 'f', p.oid::regprocedure::text, null, a.grantee, a.privilege_type, p.proowner
  from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where p.pronamespace = to_regnamespace('platform')),
named as (
  select kind, object, col, case when grantee = 0 then 'public' else grantee::regrole::text end as grantee, privilege_type
  from acl where grantee <> owner)
select json_build_object(
  'grants', (
    select coalesce(json_agg(json_build_object('kind', kind, 'object', object, 'column', col, 'grantee', grantee,
                                               'privilege', privilege_type)), '[]')
    from named where grantee = any ($1)),
  'expected', (select grants from platform.data_plane where grants_migrations = (select count(*) from platform.migrations)),
  'owned', (
    select coalesce(json_agg(json_build_object('kind', kind, 'object', object, 'owner', owner::regrole::text)), '[]') from (
      select 'n' as kind, oid::regnamespace::text as object, nspowner as owner from pg_namespace where nspname = 'platform'
      union all
      select 'r', oid::regclass::text, relowner from pg_class
      where relnamespace = to_regnamespace('platform') and relkind in ('r', 'p', 'v', 'm')
      union all
      select 'f', oid::regprocedure::text, proowner from pg_proc where pronamespace = to_regnamespace('platform')) o
    where owner <> to_regrole($2)),
  'defaults', (
    select coalesce(json_agg(distinct jsonb_build_object('owner', d.defaclrole::regrole::text, 'schema', n.nspname,
      'kind', d.defaclobjtype, 'grantee', case when a.grantee = 0 then 'public' else a.grantee::regrole::text end)), '[]')
    from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
    where d.defaclrole = to_regrole($2) and a.grantee <> d.defaclrole
      and (case when a.grantee = 0 then 'public' else a.grantee::regrole::text end) = any ($1)
      -- What everybody may do with a new function or type by default is not somebody's grant.
      and not (a.grantee = 0 and d.defaclnamespace = 0 and d.defaclobjtype in ('f', 'T'))),
  'settings', (
    select coalesce(json_agg(json_build_object('role', s.setrole::regrole::text, 'here', s.setdatabase <> 0, 'setting', c)), '[]')
    from pg_db_role_setting s, unnest(s.setconfig) c
    where s.setrole <> 0 and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
      and (s.setrole::regrole::text = any ($1) or s.setrole = to_regrole($2))),
  'publication_is_whole', coalesce((
    select pubinsert and pubupdate and pubdelete and pubtruncate and pubviaroot from pg_publication where pubname = $3), false),
  'database', current_database()
)::text";

/// Looks, and puts right what differs; says what it was. The first look after a migration takes what is there as what
/// must be.
pub(super) async fn keep_up(conn: &mut PgConnection) -> Result<Vec<String>, Error> {
    let doing = "a look at what it needs";
    let text: String = sqlx::query_scalar(QUERY)
        .bind(JUDGED.as_slice())
        .bind(OWNER_ROLE)
        .bind(PUBLICATION)
        .fetch_one(&mut *conn)
        .await
        .map_err(Error::postgres(doing))?;
    let observed: Observed = serde_json::from_str(&text).map_err(Error::Observed)?;
    if observed.expected.is_none() {
        let grants = serde_json::to_value(&observed.grants).map_err(Error::Observed)?;
        sqlx::query(
            "update platform.data_plane set grants = $1, grants_migrations = (select count(*) from platform.migrations)",
        )
        .bind(grants)
        .execute(&mut *conn)
        .await
        .map_err(Error::postgres("what was granted"))?;
    }
    let plan = compare(&observed);
    execute_all(conn, &plan.statements, "what it needs").await?;
    Ok(plan.differences)
}

fn compare(observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let mut put_right = |what: String, statement: String| {
        plan.differences.push(what);
        plan.statements.push(statement);
    };
    for Owned {
        kind,
        object,
        owner,
    } in &observed.owned
    {
        let what = format!("{object} was owned by {owner}");
        put_right(what, ddl::own_platform(held(*kind), object));
    }
    let expected = observed.expected.as_ref().unwrap_or(&observed.grants);
    let of = |g: &Grant| {
        let column = g
            .column
            .as_ref()
            .map_or_else(String::new, |c| format!(" ({c})"));
        format!("{}{column} on {} of {}", g.privilege, g.object, g.grantee)
    };
    for grant in observed.grants.difference(expected) {
        let what = format!("privilege {}", of(grant));
        put_right(what, ddl::revoke_on_platform(&typed(grant)));
    }
    for grant in expected.difference(&observed.grants) {
        let what = format!("missing privilege {}", of(grant));
        put_right(what, ddl::grant_on_platform(&typed(grant)));
    }
    for default in &observed.defaults {
        let DefaultGrant {
            owner,
            schema,
            kind,
            grantee,
        } = default;
        if let Some(statement) = ddl::revoke_default(owner, schema.as_deref(), *kind, grantee) {
            put_right(
                format!("default privileges of {owner} for {grantee}"),
                statement,
            );
        }
    }
    for Setting {
        role,
        here,
        setting,
    } in &observed.settings
    {
        // Set by us: without it a missing privilege would be an empty snapshot.
        if role == CDC_ROLE && !here && setting == "row_security=off" {
            continue;
        }
        let database = here.then_some(observed.database.as_str());
        let what = format!("setting {setting} of {role}");
        put_right(what, ddl::reset_settings(role, database));
        if role == CDC_ROLE && !here {
            let again = format!("alter role {CDC_ROLE} set row_security = off");
            put_right("settings of septem_cdc".into(), again);
        }
    }
    if !observed.publication_is_whole {
        put_right(
            "options of the publication".into(),
            ddl::publication_options(),
        );
    }
    plan
}

fn held(kind: char) -> Held {
    match kind {
        'n' => Held::Schema,
        'f' => Held::Function,
        'c' => Held::Column,
        _ => Held::Table,
    }
}

fn typed(grant: &Grant) -> PlatformGrant<'_> {
    PlatformGrant {
        held: held(grant.kind),
        object: &grant.object,
        column: grant.column.as_deref(),
        privilege: &grant.privilege,
        grantee: &grant.grantee,
    }
}
