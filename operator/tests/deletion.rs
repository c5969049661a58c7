//! `deletionPolicy: Delete` of a ModuleModel: nothing of it is left, and nothing of anybody else is gone.

use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::support::{
    World,
    cluster::{wait, wait_gone},
    condition, in_world,
};

const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";

/// A model that goes with its data.
fn doomed(world: &World, name: &str, more: Value) -> Value {
    let mut spec = json!({
        "fields": [{"name": "title", "type": "text"}],
        "deletionPolicy": "Delete", "migrations": {"policy": {"allowDestructive": true}},
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    world.model(&name.replace('_', "-"), name, spec)
}

async fn fill(world: &World, model: &str, rows: usize) {
    let module = world.module();
    world
        .run(&format!(
            "insert into {module}.{model} (tenant_id, id, title, created_by, updated_by)
             select '{TENANT}', gen_random_uuid(), 'x', 'u', 'u' from generate_series(1, {rows})"
        ))
        .await;
}

async fn delete(world: &World, name: &str) {
    let models = world.models();
    models.delete(name, &DeleteParams::default()).await.unwrap();
}

async fn waits(world: &World, name: &str, reason: &str) -> String {
    let found = wait(&world.models(), name, reason, |m| {
        let conditions = m.status.as_ref().map(|s| &s.conditions);
        let ready = conditions.and_then(|c| condition(c, "Ready"));
        ready.is_some_and(|c| c.reason == reason)
    })
    .await;
    let conditions = found.status.unwrap().conditions;
    condition(&conditions, "Ready").unwrap().message.clone()
}

/// What PostgreSQL and ClickHouse hold of a model, a line each; `platform.schema_migrations` is history and stays.
async fn traces(world: &World, model: &str) -> Vec<String> {
    let module = world.module();
    let query = format!(
        "select 'relation ' || c.relname from pg_class c where c.relnamespace = to_regnamespace('{module}') and c.relname ~ '^_?(old__|new__)?{model}(__|$)'
         union all select 'function ' || proname from pg_proc where pronamespace = to_regnamespace('{module}') and proname like '%{model}%'
         union all select 'models' from platform.models where module = '{module}' and model = '{model}'
         union all select 'columns' from platform.model_columns where module = '{module}' and model = '{model}'
         union all select 'objects' from platform.applied_objects where module = '{module}' and model = '{model}'
         union all select 'permissions' from platform.permissions where module = '{module}' and model = '{model}'
         union all select 'role ' || permission from platform.role_permissions where permission like '{module}.{model}.%'
         union all select 'holds' from platform.watermark_holds where module = '{module}' and model = '{model}'
         union all select 'dead letters' from platform.hook_dead_letters where module = '{module}' and model = '{model}'
         union all select 'deletion' from platform.deleted_models where module = '{module}' and model = '{model}'"
    );
    let mut lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_all(&world.admin)
        .await
        .unwrap();
    let tables = world
        .clickhouse(format!("select name from system.tables where database = 'septem_data' and startsWith(name, '{module}__{model}__')"))
        .await;
    lines.extend(tables.lines().map(|name| format!("clickhouse {name}")));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_model_leaves_nothing_and_its_name_is_free() {
    in_world(life).await;
}

async fn life(world: &World) {
    let module = world.module();
    let parents = json!({"fields": [{"name": "title", "type": "text"}, {"name": "parent_id", "type": "uuid", "references": {"module": module, "model": "deals"}}]});
    world.apply_ready(&doomed(world, "deals", parents)).await;
    let refers = json!({"fields": [{"name": "title", "type": "text"}, {"name": "deal_id", "type": "uuid", "references": {"module": module, "model": "deals"}}], "analytics": {"enabled": false}});
    world.apply_ready(&doomed(world, "notes", refers)).await;
    // A name of which the other is the beginning.
    world
        .apply_ready(&doomed(world, "deals_old", json!({})))
        .await;
    for model in ["deals", "notes", "deals_old"] {
        fill(world, model, 12_000).await;
    }
    world
        .run(&format!(
            "update {module}.deals a set parent_id = b.id from (select id, tenant_id from {module}.deals limit 1) b where a.tenant_id = b.tenant_id and a.id <> b.id;
             insert into platform.watermark_holds values (1, '{module}', 'deals', null, now() + interval '1 year', 'x');
             insert into platform.hook_dead_letters (event_id, url, event, module, model, tenant_id, record_id, position, body, failure) values (gen_random_uuid(), 'u', 'AfterCreate', '{module}', 'deals', '{TENANT}', gen_random_uuid(), 1, '', 'x');"
        ))
        .await;
    let kept = traces(world, "deals_old").await;
    assert!(
        traces(world, "deals")
            .await
            .iter()
            .any(|t| t.starts_with("clickhouse "))
    );

    // Others refer to it.
    delete(world, "deals").await;
    let why = waits(world, "deals", "DeletionBlocked").await;
    assert_eq!(
        why,
        format!(
            "{module}.notes refer to it: delete these ModuleModels, or take the references out of them"
        )
    );
    let rows = format!("select count(*) from {module}.deals");
    assert_eq!(world.number(&rows).await, 12_000);
    delete(world, "notes").await;
    wait_gone(&world.models(), "notes").await;
    assert_eq!(traces(world, "notes").await, [""; 0]);

    // Its rows go first, and ClickHouse has to have seen that.
    let why = waits(world, "deals", "Deleting").await;
    assert!(why.contains("waiting for the sink to pass"), "{why}");
    assert_eq!(world.number(&rows).await, 0);
    // The name is not free yet: another resource is told so.
    let other = json!({"metadata": {"name": "other"}});
    let mut claim = doomed(world, "deals", json!({}));
    claim["metadata"]["name"] = other["metadata"]["name"].clone();
    let refused = world.apply_stalled(&claim).await;
    let conditions = refused.status.unwrap().conditions;
    let message = &condition(&conditions, "Ready").unwrap().message;
    assert!(
        message.contains("is being deleted with ModuleModel"),
        "{message}"
    );
    delete(world, "other").await;
    wait_gone(&world.models(), "other").await;

    // Somebody who is live still uses the older catalogue.
    world.run("insert into platform.proxy_instances (instance, kind, revision, last_seen) values ('stuck', 'sink', 1, now() + interval '1 hour')").await;
    world.everything_is_synced().await;
    let why = waits(world, "deals", "WaitingForProxies").await;
    assert!(why.contains("not acknowledged by stuck yet"), "{why}");
    world.run("delete from platform.proxy_instances").await;
    wait_gone(&world.models(), "deals").await;
    assert_eq!(traces(world, "deals").await, [""; 0]);
    assert_eq!(traces(world, "deals_old").await, kept);

    // Applied again it is a new one.
    world.apply_ready(&doomed(world, "deals", json!({}))).await;
    assert_eq!(world.number(&rows).await, 0);

    // The last one takes schema and claim along.
    for name in ["deals", "deals-old"] {
        delete(world, name).await;
    }
    for name in ["deals", "deals-old"] {
        wait_gone(&world.models(), name).await;
    }
    let left = format!(
        "select (select count(*) from pg_namespace where nspname = '{module}') + (select count(*) from platform.modules where module = '{module}')"
    );
    assert_eq!(world.number(&left).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_killed_is_continued_and_one_that_was_called_off_is_not() {
    in_world(interrupted).await;
}

async fn interrupted(world: &World) {
    let module = world.module();
    let points = [
        "deletion-batch=return",
        "deletion-batch=1*off->return",
        "deletion-drop=return",
        "deletion-dropped=return",
        "deletion-analytics-dropped=return",
    ];
    let models: Vec<_> = (0..points.len()).map(|i| format!("m{i}x")).collect();
    for model in &models {
        world.apply_ready(&doomed(world, model, json!({}))).await;
        fill(world, model, 6_000).await;
    }
    world.apply_ready(&doomed(world, "kept", json!({}))).await;
    fill(world, "kept", 10).await;
    world.everything_is_synced().await;

    // Waits for an instance, and is called off.
    world.run("insert into platform.proxy_instances (instance, kind, revision, last_seen) values ('stuck', 'proxy', 1, now() + interval '1 hour')").await;
    delete(world, "kept").await;
    waits(world, "kept", "WaitingForProxies").await;
    let retained = world.model(
        "kept",
        "kept",
        json!({"fields": [{"name": "title", "type": "text"}]}),
    );
    world.apply(&world.models(), &retained).await.unwrap();
    wait_gone(&world.models(), "kept").await;
    world.run("delete from platform.proxy_instances").await;
    let rows = format!("select count(*) from {module}.kept");
    assert_eq!(world.number(&rows).await, 10);
    world.apply_ready(&retained).await;
    assert_eq!(world.number(&rows).await, 10);
    world.stop().await;

    for (model, point) in models.iter().zip(points) {
        delete(world, model).await;
        world.dies_at(point).await;
    }
    world.start();
    for (model, point) in models.iter().zip(points) {
        wait_gone(&world.models(), model).await;
        assert_eq!(traces(world, model).await, [""; 0], "killed at {point}");
    }
    assert_eq!(world.number(&rows).await, 10);
}
