//! The operator's own binary, killed at every place between two effects: the next run ends in the same schema, ledger
//! and status as one that nobody disturbed.

use serde_json::{Value, json};

use crate::support::{World, in_world};

/// Every failpoint of a migration; some are reached by several steps of one plan.
const POINTS: [&str; 20] = [
    "clickhouse-expand-before=return",
    "clickhouse-expand-after=return",
    "clickhouse-expand-after=2*off->return",
    "expand-before=return",
    "expand-after=return",
    "backfill-before=return",
    "backfill-after=return",
    "backfill-after=1*off->return",
    "concurrently-before=return",
    "concurrently-after=return",
    "concurrently-after=2*off->return",
    "validate-before=return",
    "validate-after=return",
    "validate-after=2*off->return",
    "publish-before=return",
    "publish-after=return",
    "contract-before=return",
    "contract-after=return",
    "clickhouse-contract-before=return",
    "clickhouse-contract-after=return",
];

pub fn before() -> Value {
    json!({"fields": [
        {"name": "title", "type": "text", "required": true, "maxLength": 100},
        {"name": "amount", "type": "int32", "default": "1"},
        {"name": "stage", "type": "enum", "values": ["open", "won"]},
        {"name": "note", "type": "text"},
        {"name": "code", "type": "text"},
    ], "indexes": [{"name": "by_stage", "fields": ["stage"]}, {"name": "by_code", "fields": ["code"]}],
       "unique": [{"name": "one_title", "fields": ["title"]}],
       "checks": [{"name": "some", "expression": "amount > 0"}]})
}

/// Every kind of change at once.
pub fn after() -> Value {
    json!({"fields": [
        {"name": "headline", "type": "text", "required": true, "maxLength": 50, "renamedFrom": "title"},
        {"name": "amount", "type": "int64", "default": "2"},
        {"name": "stage", "type": "enum", "values": ["open", "won", "lost"], "required": true, "default": "open"},
        {"name": "code", "type": "text", "maxLength": 20},
        {"name": "seen_at", "type": "timestamp", "default": "now", "required": true},
        {"name": "flag", "type": "bool", "default": "true", "required": true},
        {"name": "parent_id", "type": "uuid"},
    ], "indexes": [{"name": "by_stage", "fields": ["stage", "amount"]}],
       "unique": [{"name": "one_title", "fields": ["headline"]}, {"name": "one_code", "fields": ["code"]}],
       "checks": [{"name": "some", "expression": "amount > 0 and length(headline) > 1"}],
       "migrations": {"policy": {"allowDestructive": true, "allowDrop": ["note"]}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_between_any_two_effects_is_continued() {
    in_world(killed).await;
}

async fn killed(world: &World) {
    let models: Vec<_> = (0..=POINTS.len()).map(|i| format!("m{i:02}x")).collect();
    let target = json!({"fields": [{"name": "name", "type": "text"}]});
    world
        .apply(&world.models(), &world.model("targets", "targets", target))
        .await
        .unwrap();
    for model in &models {
        world
            .apply(&world.models(), &world.model(model, model, before()))
            .await
            .unwrap();
    }
    let module = world.module();
    for model in &models {
        world
            .apply_ready(&world.model(model, model, before()))
            .await;
        world
            .run(&format!(
                "insert into {module}.{model} (tenant_id, id, title, code, stage, created_by, updated_by) select '0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01', gen_random_uuid(), 'title ' || n, n::text, 'open', 'u', 'u' from generate_series(1, 10) n; update {module}.{model} set stage = null where title = 'title 1'"
            ))
            .await;
    }
    world.everything_is_synced().await;
    let last = models.last().unwrap();
    world.apply_ready(&changed(world, last)).await;
    let expected = dump(world, last).await;
    world.stop().await;

    // One more model each time, while those before are still where the last kill left them.
    for (model, point) in models.iter().zip(POINTS) {
        world
            .apply(&world.models(), &changed(world, model))
            .await
            .unwrap();
        world.dies_at(point).await;
    }
    world.start();
    for (i, model) in models.iter().enumerate() {
        world.apply_ready(&changed(world, model)).await;
        let point = POINTS.get(i).copied().unwrap_or("nothing");
        assert_eq!(dump(world, model).await, expected, "killed at {point}");
    }
}

fn changed(world: &World, model: &str) -> Value {
    let mut spec = after();
    spec["fields"][6]["references"] = json!({"module": world.module(), "model": "targets"});
    world.model(model, model, spec)
}

/// Everything that a migration leaves, without names of model and module and without moments: columns, constraints,
/// indexes, triggers, functions, policies, grants, both ledgers, the document, ClickHouse's columns, and the conditions.
async fn dump(world: &World, model: &str) -> Vec<String> {
    let (module, name) = (world.module(), format!("{}.{model}", world.module()));
    let table = format!("'{name}'::regclass");
    let queries = [
        format!(
            "select concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)) from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum where attrelid = {table} and attnum > 0 and not attisdropped"
        ),
        format!(
            "select concat_ws(' ', conname, pg_get_constraintdef(oid), convalidated) from pg_constraint where conrelid = {table}"
        ),
        format!(
            "select concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid) from pg_index where indrelid = {table}"
        ),
        format!("select tgname::text from pg_trigger where tgrelid = {table} and not tgisinternal"),
        format!(
            "select proname::text from pg_proc where pronamespace = '{module}'::regnamespace and proname like '%{model}%'"
        ),
        format!(
            "select polname::text || ' ' || pg_get_expr(polqual, polrelid) from pg_policy where polrelid = {table}"
        ),
        format!(
            "select concat_ws(' ', relacl, relreplident, relrowsecurity, relforcerowsecurity) from pg_class where oid = {table}"
        ),
        format!(
            "select concat_ws(' ', name, field, definition, source, filling, filled_rows, filled_at is not null, dropped_at is not null) from platform.model_columns where module = '{module}' and model = '{model}'"
        ),
        format!(
            "select regexp_replace(version, '^.*_', '') || ' ' || statements from platform.schema_migrations where module = '{module}' and model = '{model}'"
        ),
        format!(
            "select document::text from platform.models where module = '{module}' and model = '{model}'"
        ),
    ];
    let mut lines = Vec::new();
    for query in queries {
        let found: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_all(&world.admin)
            .await
            .unwrap();
        lines.extend(found);
    }
    let columns = world.clickhouse(format!("select name, type, default_expression from system.columns where database = 'septem_data' and table = '{module}__{model}__g1'")).await;
    lines.extend(columns.lines().map(str::to_owned));
    let status = world.models().get(model).await.unwrap().status.unwrap();
    let conditions = status.conditions.iter();
    lines.extend(conditions.map(|c| format!("{} {} {}", c.type_, c.status, c.reason)));
    lines.push(format!("{:?} {:?}", status.columns, status.rollout));
    let mut lines: Vec<_> = lines
        .into_iter()
        .map(|l| l.replace(model, "MODEL"))
        .collect();
    lines.sort();
    lines
}
