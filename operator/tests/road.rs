//! A model's whole life.

use kube::{ResourceExt as _, api::DeleteParams};
use operator::RunError;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{
    World,
    cluster::{wait, wait_gone},
    condition, in_world, reason, status_of,
};

fn companies() -> Value {
    json!({"fields": [{"name": "code", "type": "text", "required": true, "maxLength": 10}],
           "unique": [{"name": "one_code", "fields": ["code"]}]})
}

fn deals(world: &World) -> Value {
    json!({"fields": [
        {"name": "title", "type": "text", "required": true, "maxLength": 200},
        {"name": "amount", "type": "decimal", "precision": 12, "scale": 2, "default": "0"},
        {"name": "stage", "type": "enum", "values": ["open", "won"], "default": "open"},
        {"name": "company_id", "type": "uuid", "references": {"module": world.module(), "model": "companies"}},
        {"name": "tags", "type": "array", "items": "text"},
        {"name": "extra", "type": "json"},
        {"name": "embedding", "type": "vector", "dimension": 3},
    ], "indexes": [{"name": "by_stage", "fields": ["stage", "created_at"]}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_applied_changed_withdrawn_and_found_again() {
    in_world(life_of_a_model).await;
}

async fn life_of_a_model(world: &World) {
    let module = world.module();
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());

    // What it references comes second, and wakes it.
    let mut deals_resource = world.model("deals", "deals", deals(world));
    world.apply(&world.models(), &deals_resource).await.unwrap();
    let waiting = wait(&world.models(), "deals", "a reference to wait for", |m| {
        m.status
            .as_ref()
            .is_some_and(|s| reason(&s.conditions, "SchemaApplied").starts_with("Reference"))
    })
    .await;
    assert_eq!(
        reason(&waiting.status.unwrap().conditions, "Ready"),
        "ReferenceNotFound"
    );
    world
        .apply_ready(&world.model("companies", "companies", companies()))
        .await;
    let ready = world.apply_ready(&deals_resource).await;
    let status = ready.status.unwrap();
    for kind in [
        "Accepted",
        "SchemaApplied",
        "IsolationEnforced",
        "PermissionsRegistered",
        "AnalyticsReady",
        "CaptureRunning",
        "CatalogPublished",
    ] {
        let found = condition(&status.conditions, kind).unwrap();
        assert_eq!(
            (found.status.as_str(), found.observed_generation),
            ("True", Some(1)),
            "{kind}"
        );
    }
    for kind in ["Reconciling", "Stalled", "Drifted"] {
        assert_eq!(status_of(&status.conditions, kind), "False", "{kind}");
    }
    assert!(status.catalog_revision.is_some());
    roles_are_bounded(world).await;
    fence_holds(world, a, b).await;

    // Run again: nothing is written anywhere.
    let versions = |world: &World| {
        let models = world.models();
        async move {
            let list = models.list(&Default::default()).await.unwrap();
            list.items
                .iter()
                .map(|m| m.resource_version().unwrap())
                .collect::<Vec<_>>()
        }
    };
    let written = "select revision + (select count(*) from platform.schema_migrations) from platform.catalog_revision";
    let (before, ledger) = (versions(world).await, world.number(written).await);
    let epoch = world
        .number("select epoch from platform.operator_epoch")
        .await;
    world.stop().await;
    world.start();
    let started = std::time::Instant::now();
    while world
        .number("select epoch from platform.operator_epoch")
        .await
        == epoch
    {
        assert!(
            started.elapsed().as_secs() < 60,
            "the operator takes the next epoch"
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(
        (versions(world).await, world.number(written).await),
        (before, ledger)
    );

    // A nullable field is added, to both databases and the catalogue.
    let note = json!({"name": "note", "type": "text", "maxLength": 20, "default": "none"});
    deals_resource["spec"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(note);
    world.apply_ready(&deals_resource).await;
    let added = format!("select count(*) from {module}.deals where note = 'none'");
    assert_eq!(world.number(&added).await, 2, "older rows read the default");
    let columns = world.clickhouse(format!("select name from system.columns where database = 'septem_data' and table = '{module}__deals__g1'")).await;
    assert!(columns.lines().any(|c| c == "note"), "{columns}");
    let published =
        "select count(*) from platform.models where document->'fields' @> '[{\"name\": \"note\"}]'";
    assert_eq!(world.number(published).await, 1);

    // An enum gains a value.
    deals_resource["spec"]["fields"][2]["values"] = json!(["open", "won", "lost"]);
    world.apply_ready(&deals_resource).await;
    world
        .run(&format!("update {module}.deals set stage = 'lost'"))
        .await;
    let unproven = "select count(*) from pg_constraint where not convalidated";
    assert_eq!(world.number(unproven).await, 0);

    // A field that leaves the spec changes nothing.
    let mut fewer = deals_resource.clone();
    fewer["spec"]["fields"].as_array_mut().unwrap().remove(1);
    let written_before = world.number(written).await;
    let stalled = world.apply_stalled(&fewer).await.status.unwrap();
    assert_eq!(
        reason(&stalled.conditions, "SchemaApplied"),
        "DestructiveChange"
    );
    assert_eq!(status_of(&stalled.conditions, "Accepted"), "True");
    assert_eq!(world.number(written).await, written_before);
    world.apply_ready(&deals_resource).await;

    // No value becomes one of another dimension, whoever allows it.
    let mut longer = deals_resource.clone();
    longer["spec"]["fields"][6]["dimension"] = json!(4);
    longer["spec"]["migrations"] = json!({"policy": {"allowDestructive": true}});
    let stalled = world.apply_stalled(&longer).await.status.unwrap();
    let refused = condition(&stalled.conditions, "Accepted").unwrap();
    assert_eq!(refused.reason, "NotYetSupported");
    assert!(
        refused
            .message
            .contains("vector of dimension 3 cannot become"),
        "{}",
        refused.message
    );
    world.apply_ready(&deals_resource).await;

    // A fence that somebody opened is closed.
    world.run(&format!("alter table {module}.deals disable row level security; grant truncate on {module}.deals to septem_app")).await;
    deals_resource["spec"]["limits"] = json!({"maxPageSize": 100});
    world.apply_ready(&deals_resource).await;
    let open = format!(
        "select count(*) from pg_class where oid = '{module}.deals'::regclass and (not relrowsecurity or has_table_privilege('septem_app', oid, 'TRUNCATE'))"
    );
    assert_eq!(world.number(&open).await, 0);

    // Deleted with Retain: not served, rows kept. Applied again: found.
    world
        .models()
        .delete("deals", &DeleteParams::default())
        .await
        .unwrap();
    wait_gone(&world.models(), "deals").await;
    assert_eq!(
        world
            .number("select count(*) from platform.models where served")
            .await,
        1
    );
    assert_eq!(
        world
            .number("select count(*) from platform.permissions where model = 'deals'")
            .await,
        0
    );
    assert_eq!(
        world
            .number(&format!("select count(*) from {module}.deals"))
            .await,
        2
    );
    world.apply_ready(&deals_resource).await;
    assert_eq!(
        world
            .number("select count(*) from platform.models where served")
            .await,
        2
    );
    assert_eq!(
        world
            .number(&format!("select count(*) from {module}.deals"))
            .await,
        2
    );
    assert_eq!(
        world
            .number("select count(*) from platform.permissions where model = 'deals'")
            .await,
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_was_overtaken_writes_nothing_and_ends() {
    in_world(overtaken).await;
}

async fn overtaken(world: &World) {
    world
        .apply_ready(&world.model("companies", "companies", companies()))
        .await;
    world
        .run("update platform.operator_epoch set epoch = epoch + 1")
        .await;
    let revision = world
        .number("select revision from platform.catalog_revision")
        .await;
    let mut changed = world.model("companies", "companies", companies());
    changed["spec"]["limits"] = json!({"maxPageSize": 7});
    world.apply(&world.models(), &changed).await.unwrap();
    assert!(matches!(world.ended().await, Err(RunError::Superseded)));
    assert_eq!(
        world
            .number("select revision from platform.catalog_revision")
            .await,
        revision
    );
    world.start();
    world.apply_ready(&changed).await;
}

async fn roles_are_bounded(world: &World) {
    let role = |name: &str| {
        format!(
            "select rolsuper::int + 2 * rolbypassrls::int + 4 * rolreplication::int + 8 * rolcanlogin::int from pg_roles where rolname = '{name}'"
        )
    };
    for (name, expected) in [
        ("septem_owner", 2),
        ("septem_app", 8),
        ("septem_cdc", 14),
        ("septem_sink", 8),
    ] {
        assert_eq!(
            world
                .number(&format!("select ({})::bigint", role(name)))
                .await,
            expected,
            "{name}"
        );
    }
    let off = "select count(*) from pg_db_role_setting s join pg_roles r on r.oid = s.setrole where rolname = 'septem_cdc' and 'row_security=off' = any (setconfig)";
    assert_eq!(world.number(off).await, 1);
    let owned = "select count(*) from pg_class c join pg_roles r on r.oid = c.relowner where rolname in ('septem_app', 'septem_cdc', 'septem_sink')";
    assert_eq!(world.number(owned).await, 0);
    let leakproof = "select count(*) from pg_proc where proname in ('numeric_lt', 'numeric_gt', 'numeric_eq', 'numeric_cmp') and not proleakproof";
    assert_eq!(world.number(leakproof).await, 0);
    let sink_sees = format!(
        "select count(*) from pg_namespace where nspname = '{}' and has_schema_privilege('septem_sink', oid, 'USAGE')",
        world.module()
    );
    assert_eq!(world.number(&sink_sees).await, 0);
}

/// As the proxy: without a tenant nothing is seen and nothing fails, on a fresh connection and on a reused one; with
/// one, its own rows only.
async fn fence_holds(world: &World, a: uuid::Uuid, b: uuid::Uuid) {
    let table = format!("{}.deals", world.module());
    let count = || async {
        let query = AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar::<_, i64>(query)
            .fetch_one(&world.app)
            .await
            .unwrap()
    };
    assert_eq!(count().await, 0, "a fresh connection");
    for tenant in [a, b] {
        let mut transaction = world.app.begin().await.unwrap();
        sqlx::query("select set_config('app.tenant_id', $1, true)")
            .bind(tenant.to_string())
            .execute(&mut *transaction)
            .await
            .unwrap();
        let insert = format!(
            "insert into {table} (tenant_id, id, title, created_by, updated_by) values ($1, gen_random_uuid(), 't', 'u', 'u')"
        );
        sqlx::query(AssertSqlSafe(insert))
            .bind(tenant)
            .execute(&mut *transaction)
            .await
            .unwrap();
        let seen: Vec<uuid::Uuid> =
            sqlx::query_scalar(AssertSqlSafe(format!("select tenant_id from {table}")))
                .fetch_all(&mut *transaction)
                .await
                .unwrap();
        assert_eq!(seen, [tenant]);
        transaction.commit().await.unwrap();
        assert_eq!(count().await, 0, "a reused connection");
    }
    // Another tenant's row cannot be written either.
    let mut transaction = world.app.begin().await.unwrap();
    sqlx::query("select set_config('app.tenant_id', $1, true)")
        .bind(a.to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    let steal = format!("update {table} set tenant_id = $1");
    let refused = sqlx::query(AssertSqlSafe(steal))
        .bind(b)
        .execute(&mut *transaction)
        .await
        .unwrap_err();
    assert_eq!(
        refused.as_database_error().unwrap().code().as_deref(),
        Some("42501")
    );
    transaction.rollback().await.unwrap();
    let refused = sqlx::raw_sql(AssertSqlSafe(format!("truncate {table}")))
        .execute(&world.app)
        .await
        .unwrap_err();
    assert_eq!(
        refused.as_database_error().unwrap().code().as_deref(),
        Some("42501")
    );
    // Another tenant's id is no target of a reference.
    let mut transaction = world.app.begin().await.unwrap();
    sqlx::query("select set_config('app.tenant_id', $1, true)")
        .bind(b.to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    let company = format!(
        "insert into {}.companies (tenant_id, id, code, created_by, updated_by) values ($1, $1, 'c', 'u', 'u')",
        world.module()
    );
    sqlx::query(AssertSqlSafe(company))
        .bind(b)
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = world.app.begin().await.unwrap();
    sqlx::query("select set_config('app.tenant_id', $1, true)")
        .bind(a.to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    let refer = format!("update {table} set company_id = $1");
    let refused = sqlx::query(AssertSqlSafe(refer))
        .bind(b)
        .execute(&mut *transaction)
        .await
        .unwrap_err();
    assert_eq!(
        refused.as_database_error().unwrap().code().as_deref(),
        Some("23503")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_slot_is_told_and_nothing_pretends_to_run() {
    in_world(lost_slot).await;
}

async fn lost_slot(world: &World) {
    world
        .apply_ready(&world.model("companies", "companies", companies()))
        .await;
    let planes = kube::Api::<crds::DataPlane>::all(world.client.clone());
    let captured = |reason_wanted: &'static str| {
        move |plane: &crds::DataPlane| {
            plane
                .status
                .as_ref()
                .is_some_and(|s| reason(&s.conditions, "CaptureRunning") == reason_wanted)
        }
    };
    wait(&planes, &world.name, "capture", captured("Applied")).await;
    world.connector("stop").await;
    let slot = format!("cdc_{}_g1", world.database());
    let drop = format!(
        "select count(pg_drop_replication_slot(slot_name)) from pg_replication_slots where slot_name = '{slot}' and not active"
    );
    let started = std::time::Instant::now();
    while world.number(&drop).await == 0 {
        assert!(
            started.elapsed().as_secs() < 60,
            "the connector lets go of its slot"
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    world.connector("resume").await;
    let plane = wait(&planes, &world.name, "the loss", captured("SlotLost")).await;
    assert_eq!(
        status_of(&plane.status.unwrap().conditions, "Ready"),
        "False"
    );
    // Models that are captured say so too.
    wait(&world.models(), "companies", "the loss", |m| {
        m.status
            .as_ref()
            .is_some_and(|s| reason(&s.conditions, "CaptureRunning") == "SlotLost")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_models_can_end() {
    in_world(ending_namespace).await;
}

async fn ending_namespace(world: &World) {
    world
        .apply_ready(&world.model("companies", "companies", companies()))
        .await;
    let namespaces = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(world.client.clone());
    namespaces
        .delete(&world.name, &DeleteParams::default())
        .await
        .unwrap();
    wait_gone(&namespaces, &world.name).await;
    assert_eq!(
        world
            .number("select count(*) from platform.models where served")
            .await,
        0
    );
    let kept = format!("select count(*) from {}.companies", world.module());
    assert_eq!(world.number(&kept).await, 0, "the table is still there");
}
