//! What stands in PostgreSQL and ClickHouse, as one line an object.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use crate::support::World;

/// Every object of this world's database, and of the server what is not another test's.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeSet<String>);

/// A space ends each name. Roles of modules belong to the tests that run at the same time.
const OBJECTS: &str = "
  select 'schema ' || nspname || ' ' from pg_namespace where nspname !~ '^pg_(toast_)?temp'
  union all
  select format('relation %s %s.%s ', relkind, n.nspname, relname) from pg_class c join pg_namespace n on n.oid = relnamespace
    where n.nspname !~ '^pg_'
  union all
  select format('function %s.%s ', n.nspname, proname) from pg_proc join pg_namespace n on n.oid = pronamespace
    where n.nspname !~ '^pg_'
  union all
  select format('constraint %s.%s ', n.nspname, conname) from pg_constraint join pg_namespace n on n.oid = connamespace
  union all
  select format('trigger %s.%s__%s ', n.nspname, relname, tgname) from pg_trigger
    join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = relnamespace
  union all
  select format('policy %s.%s__%s ', schemaname, tablename, policyname) from pg_policies
  union all
  select format('role %s %s', rolname, (rolsuper, rolbypassrls, rolcreaterole, rolcanlogin)) from pg_roles
    where rolname !~ '^septem_m_'
  union all
  select format('extension %s ', extname) from pg_extension
  union all
  select format('publication %s ', pubname) from pg_publication";

impl Snapshot {
    pub async fn of(world: &World) -> Self {
        let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(OBJECTS))
            .fetch_all(&world.admin)
            .await
            .unwrap();
        let mut lines: BTreeSet<String> = lines.into_iter().collect();
        // Of others, who share the server, only what carries no name of a test.
        let queries = [
            "select concat('clickhouse ', database, '.', name) from system.tables where database = 'septem_data'",
            "select concat('clickhouse user ', name) from system.users",
            "select concat('clickhouse role ', name) from system.roles",
            "select concat('clickhouse policy ', short_name) from system.row_policies",
        ];
        for query in queries {
            let text = world.clickhouse(query.into()).await;
            let own = |line: &&str| {
                line.contains(&world.module())
                    || !(line.contains(".crm_") || line.contains(" t_") || line.contains(".e2e"))
            };
            lines.extend(text.lines().filter(own).map(str::to_owned));
        }
        Self(lines)
    }

    /// What is here and not there.
    pub fn missing_in(&self, other: &Self) -> BTreeSet<String> {
        other
            .0
            .symmetric_difference(&self.0)
            .filter(|line| self.0.contains(*line))
            .cloned()
            .collect()
    }
}
