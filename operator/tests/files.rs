//! SQL files of modules: run once, in order, and never outside of their module's schema.

mod escapes;

use std::time::Duration;

use crds::ModuleModel;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{World, cluster::wait, condition, in_world, reason, status_of};

/// A model `deals` whose files are in ConfigMaps of these names.
fn deals(world: &World, maps: &[&str], description: &str) -> Value {
    let files: Vec<_> = maps
        .iter()
        .map(|m| json!({"configMapRef": {"name": m}}))
        .collect();
    world.model(
        "deals",
        "deals",
        json!({
            "fields": [{"name": "title", "type": "text", "maxLength": 200, "description": description}],
            "analytics": {"enabled": false},
            "migrations": {"files": files},
        }),
    )
}

async fn applied(world: &World, object: &Value, expected: &str) -> ModuleModel {
    let models = world.models();
    let generation = world
        .apply(&models, object)
        .await
        .unwrap()
        .metadata
        .generation;
    wait(&models, "deals", expected, |m| {
        m.status.as_ref().is_some_and(|s| {
            s.observed_generation == generation && reason(&s.conditions, "Ready") == expected
        })
    })
    .await
}

fn message(model: &ModuleModel) -> String {
    let conditions = &model.status.as_ref().unwrap().conditions;
    condition(conditions, "Ready").unwrap().message.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_run_once_in_order_and_what_stands_against_one_is_told() {
    in_world(life_of_files).await;
}

async fn life_of_files(world: &World) {
    let module = world.module();
    let missing = applied(world, &deals(world, &["sql"], "1"), "ConfigMapNotFound").await;
    assert!(
        message(&missing).contains("there is no ConfigMap sql"),
        "{}",
        message(&missing)
    );

    let log = "-- +goose Up\ncreate table log (id int primary key, day date);\ninsert into log values (1, '2026-11-21');\n-- +goose Down\ndrop table log;\n";
    let fill = "-- +goose Up\ninsert into log values (2);\n";
    let index = "-- +goose NO TRANSACTION\n-- +goose Up\ncreate index concurrently log_by_day on log (day);\n";
    let mut files = json!({
        "20260102_000000_fill.sql": fill,
        "20260101_000000_log.sql": log,
        "20260103_000000_index.sql": index,
    });
    world.config_map("sql", files.clone()).await;
    // Nothing but the ConfigMap has changed.
    let ready = wait(&world.models(), "deals", "Ready", |m| {
        m.status
            .as_ref()
            .is_some_and(|s| status_of(&s.conditions, "Ready") == "True")
    })
    .await;
    let migrations = ready.status.unwrap().migrations.unwrap();
    assert_eq!(migrations.last_version.as_deref(), Some("20260103_000000"));
    assert_eq!((migrations.pending, migrations.failed_version), (0, None));
    let rows = format!("select count(*) from {module}.log");
    assert_eq!(world.number(&rows).await, 2);
    let valid = format!(
        "select count(*) from pg_index where indexrelid = '{module}.log_by_day'::regclass and indisvalid"
    );
    assert_eq!(world.number(&valid).await, 1);
    let recorded = "select count(*) from platform.schema_migrations where kind = 'schema' and description is not null and duration_ms is not null";
    assert_eq!(world.number(recorded).await, 3);
    let owned = format!(
        "select count(*) from pg_tables where schemaname = '{module}' and tablename = 'log' and tableowner = 'septem_m_{module}'"
    );
    assert_eq!(world.number(&owned).await, 1);
    let role = format!(
        "select count(*) from pg_roles where rolname = 'septem_m_{module}' and not (rolcanlogin or rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)"
    );
    assert_eq!(world.number(&role).await, 1, "its door is shut again");

    // A file that fails is tried again for ever, and may be corrected: it has never been applied.
    files["20260104_000000_bad.sql"] = json!(
        "-- +goose Up\ninsert into log values (3);\nselect 1;\ninsert into logs values (4);\n"
    );
    world.config_map("sql", files.clone()).await;
    let failed = applied(world, &deals(world, &["sql"], "2"), "MigrationFailed").await;
    let told = message(&failed);
    assert!(
        told.contains("20260104_000000_bad.sql, line 4")
            && told.contains("relation \"logs\" does not exist"),
        "{told}"
    );
    assert_eq!(
        failed
            .status
            .unwrap()
            .migrations
            .unwrap()
            .failed_version
            .as_deref(),
        Some("20260104_000000")
    );
    assert_eq!(world.number(&rows).await, 2, "half a file leaves nothing");
    files["20260104_000000_bad.sql"] = json!("-- +goose Up\ninsert into log values (3);\n");
    world.config_map("sql", files.clone()).await;
    applied(world, &deals(world, &["sql"], "3"), "Applied").await;
    assert_eq!(world.number(&rows).await, 3);

    // An applied file is another one now; then one comes too late; then one cannot be read.
    let mut changed = files.clone();
    changed["20260102_000000_fill.sql"] = json!(format!("{fill}-- changed\n"));
    world.config_map("sql", changed).await;
    let stalled = applied(world, &deals(world, &["sql"], "4"), "ChecksumMismatch").await;
    assert_eq!(
        status_of(&stalled.status.as_ref().unwrap().conditions, "Stalled"),
        "True"
    );
    assert!(
        message(&stalled).contains("20260102_000000_fill.sql"),
        "{}",
        message(&stalled)
    );
    world.config_map("sql", files.clone()).await;
    world
        .config_map(
            "late",
            json!({"20260101_120000_late.sql": "-- +goose Up\nselect 1;\n"}),
        )
        .await;
    let stalled = applied(world, &deals(world, &["sql", "late"], "5"), "OutOfOrder").await;
    assert!(
        message(&stalled).contains("20260104_000000 has been applied"),
        "{}",
        message(&stalled)
    );
    world
        .config_map(
            "unreadable",
            json!({"20260109_000000_x.sql": "select 1;\n"}),
        )
        .await;
    let stalled = applied(
        world,
        &deals(world, &["unreadable"], "6"),
        "InvalidMigration",
    )
    .await;
    assert!(
        message(&stalled).contains("20260109_000000_x.sql, line 1"),
        "{}",
        message(&stalled)
    );

    // Another resource of the module may not use a version again.
    applied(world, &deals(world, &["sql"], "7"), "Applied").await;
    let mut other = deals(world, &["sql"], "8");
    other["metadata"]["name"] = json!("companies");
    other["spec"]["model"] = json!("companies");
    let stalled = world.apply_stalled(&other).await;
    assert_eq!(
        reason(&stalled.status.unwrap().conditions, "Ready"),
        "NameConflict"
    );

    // A per-tenant file has rows only.
    let tenant = Uuid::now_v7();
    world
        .apply(&world.tenants(), &world.tenant("a", tenant, json!({})))
        .await
        .unwrap();
    world.config_map("objects", json!({"20260110_000000_x.sql": "-- +septem per-tenant\n-- +goose Up\ncreate table t ();\n"})).await;
    let failed = applied(
        world,
        &deals(world, &["sql", "objects"], "9"),
        "MigrationFailed",
    )
    .await;
    assert!(
        message(&failed).contains("SQLSTATE 42501"),
        "{}",
        message(&failed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_per_tenant_file_runs_once_for_each_tenant_whenever_it_comes() {
    in_world(per_tenant).await;
}

async fn per_tenant(world: &World) {
    let module = world.module();
    let tenants = [(); 3].map(|()| Uuid::now_v7());
    for (i, tenant) in tenants.iter().enumerate() {
        let name = format!("t{i}");
        world
            .apply(&world.tenants(), &world.tenant(&name, *tenant, json!({})))
            .await
            .unwrap();
    }
    applied(world, &deals(world, &[], "1"), "Applied").await;
    let registered =
        format!("select count(*) from platform.tenant_modules where module = '{module}'");
    until(world, &registered, 3).await;
    world.stop().await;

    // Slow enough to be killed between two tenants; `fill` sees no tenant's rows, so it can only count to none.
    let seed = "-- +septem per-tenant\n-- +goose Up\ninsert into deals (tenant_id, id, title, created_by, updated_by)\n  values (current_setting('app.tenant_id')::uuid, gen_random_uuid(), 'hello', 'seed', 'seed');\nselect pg_sleep(1.5);\n";
    let count = "-- +goose Up\ncreate table seen as select count(*) as n from deals;\n";
    world
        .config_map(
            "sql",
            json!({"20260101_000000_seed.sql": seed, "20260102_000000_count.sql": count}),
        )
        .await;
    world
        .apply(&world.models(), &deals(world, &["sql"], "2"))
        .await
        .unwrap();
    let had = "select count(*) from platform.schema_migrations where kind = 'per-tenant' and tenant_id is not null";
    let mut child = world.start_binary("");
    until(world, had, 2).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(world.number(had).await, 2);
    world.start();
    applied(world, &deals(world, &["sql"], "3"), "Applied").await;
    let seeded = format!("select count(*) from {module}.deals");
    assert_eq!(
        (world.number(had).await, world.number(&seeded).await),
        (3, 3)
    );
    let each = format!("select count(distinct tenant_id) from {module}.deals");
    assert_eq!(world.number(&each).await, 3);
    assert_eq!(
        world.number(&format!("select n from {module}.seen")).await,
        0
    );

    // One that comes later has it too, by itself, and the others not again.
    let late = Uuid::now_v7();
    world
        .apply(&world.tenants(), &world.tenant("late", late, json!({})))
        .await
        .unwrap();
    until(world, had, 4).await;
    assert_eq!(world.number(&seeded).await, 4);
    let its = format!("select count(*) from {module}.deals where tenant_id = '{late}'");
    assert_eq!(world.number(&its).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_runs_once_however_often_the_operator_is_killed() {
    in_world(killed_at_any_moment).await;
}

async fn killed_at_any_moment(world: &World) {
    let module = world.module();
    let mut files =
        json!({"20260101_000000_log.sql": "-- +goose Up\ncreate table log (file text);\n"});
    for n in 2..=9 {
        let sql = format!(
            "-- +goose Up\nselect pg_sleep(0.15);\ninsert into log values ('{n}');\nselect pg_sleep(0.15);\n"
        );
        files[format!("2026010{n}_000000_fill.sql")] = json!(sql);
    }
    files["20260110_000000_index.sql"] = json!(
        "-- +goose NO TRANSACTION\n-- +goose Up\ncreate unique index concurrently log_once on log (file);\n"
    );
    world.config_map("sql", files).await;
    world.stop().await;
    world
        .apply(&world.models(), &deals(world, &["sql"], "1"))
        .await
        .unwrap();
    for round in 0..10_u64 {
        let mut child = world.start_binary("");
        tokio::time::sleep(Duration::from_millis(900 + round * 170)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    world.start();
    applied(world, &deals(world, &["sql"], "2"), "Applied").await;
    assert_eq!(
        world
            .number(&format!("select count(*) from {module}.log"))
            .await,
        8
    );
    assert_eq!(
        world
            .number(&format!("select count(distinct file) from {module}.log"))
            .await,
        8
    );
    assert_eq!(
        world
            .number("select count(*) from platform.schema_migrations where kind = 'schema'")
            .await,
        10
    );
    let invalid = "select count(*) from pg_index where not indisvalid";
    assert_eq!(world.number(invalid).await, 0);
    assert_eq!(
        world
            .number("select count(*) from platform.file_runs")
            .await,
        0
    );
}

async fn until(world: &World, query: &str, expected: i64) {
    let started = std::time::Instant::now();
    while world.number(query).await != expected {
        assert!(
            started.elapsed() < Duration::from_secs(90),
            "{query} is not {expected}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
