//! Hands on the databases: what is told, what is put right.

use std::time::{Duration, Instant};

use crds::{module_model::DriftPolicy, status::DriftStatus};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::json;

use crate::support::{
    World, cluster::wait, condition, engine::Engine, in_world, status_of, world::env,
};

/// Waits until `met`, and says what for if it takes too long.
async fn until(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !met().await {
        assert!(
            began.elapsed() < Duration::from_secs(45),
            "waited for {what}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits for an Event of this reason whose note has this text.
async fn told(world: &World, namespace: &str, name: &str, reason: &str, text: &str) {
    let events = Api::<Event>::namespaced(world.client.clone(), namespace);
    let of = ListParams::default().fields(&format!("reason={reason}"));
    until(&format!("{reason} of {name}: {text}"), async || {
        let found = events.list(&of).await.unwrap();
        found.items.iter().any(|event| {
            let regarding = event.regarding.as_ref().and_then(|r| r.name.as_deref());
            regarding == Some(name) && event.note.as_deref().unwrap_or("").contains(text)
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hands_on_roles_grants_and_access_rules_are_put_right_at_once() {
    in_world(fences).await;
}

async fn fences(world: &World) {
    // A ClickHouse of its own: users and roles are a server's.
    world.stop().await;
    let engine = Engine::start().await;
    for (part, variable) in [
        ("admin", "CLICKHOUSE_FRONT_ADMIN_URL"),
        ("gateway", "CLICKHOUSE_GATEWAY_URL"),
        ("sink", "CLICKHOUSE_SINK_URL"),
    ] {
        let url = engine.at(&env(variable));
        world.secret(&format!("clickhouse-{part}"), &url).await;
    }
    world.start_with(|config| config.drift_interval = Duration::from_secs(1));
    let fields = json!({"fields": [{"name": "a", "type": "text"}]});
    world
        .apply_ready(&world.model("deals", "deals", fields))
        .await;
    let tenant = uuid::Uuid::new_v4();
    let resource = world.tenant("a", tenant, json!({}));
    let name = format!("{}-a", world.name);
    world.apply(&world.tenants(), &resource).await.unwrap();
    wait(&world.tenants(), &name, "Ready", |t| {
        t.status
            .as_ref()
            .is_some_and(|s| status_of(&s.conditions, "Ready") == "True")
    })
    .await;
    let plane = world
        .planes()
        .get(&world.name)
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(status_of(&plane.conditions, "Drifted"), "False");

    // Of the whole server: others put them right too, so what counts is that they are.
    for (hand, wrong) in [
        (
            "alter role septem_app createdb",
            "select count(*) from pg_roles where rolname = 'septem_app' and rolcreatedb",
        ),
        (
            "grant pg_read_all_settings to septem_sink",
            "select count(*) from pg_auth_members where member = 'septem_sink'::regrole",
        ),
    ] {
        world.run(hand).await;
        until(hand, async || world.number(wrong).await == 0).await;
    }
    // Of this database.
    let database = world.database();
    for (hand, wrong, text) in [
        (
            "grant select on platform.tenants to septem_app".to_owned(),
            "select has_table_privilege('septem_app', 'platform.tenants', 'select')::int::int8",
            "SELECT on platform.tenants of septem_app",
        ),
        (
            "grant select (slug) on platform.tenants to public".to_owned(),
            "select has_column_privilege('septem_app', 'platform.tenants', 'slug', 'select')::int::int8",
            "SELECT (slug) on platform.tenants of public",
        ),
        (
            "revoke execute on function platform.catalog_snapshot() from septem_app".to_owned(),
            "select (not has_function_privilege('septem_app', 'platform.catalog_snapshot()', 'execute'))::int::int8",
            "missing privilege EXECUTE on platform.catalog_snapshot() of septem_app",
        ),
        (
            "alter function platform.catalog_snapshot() owner to postgres_hand".to_owned(),
            "select count(*) from pg_proc where proname = 'catalog_snapshot' and proowner <> 'septem_owner'::regrole",
            "platform.catalog_snapshot() was owned by",
        ),
        (
            "alter default privileges for role septem_owner grant select on tables to public"
                .to_owned(),
            "select count(*) from pg_default_acl",
            "default privileges of septem_owner for public",
        ),
        (
            format!("alter role septem_app in database {database} set app.tenant_id = '{tenant}'"),
            "select count(*) from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = current_database())",
            "setting app.tenant_id=",
        ),
        (
            format!("grant temporary on database {database} to public"),
            "select has_database_privilege('public', current_database(), 'temporary')::int::int8",
            "temporary tables for everybody",
        ),
        (
            "alter publication platform_cdc set (publish = 'insert')".to_owned(),
            "select count(*) from pg_publication where not pubdelete",
            "options of the publication",
        ),
    ] {
        let hand = hand.replace("postgres_hand", "current_user");
        world.run(&hand).await;
        told(world, "default", &world.name, "FenceRepaired", text).await;
        until(&hand, async || world.number(wrong).await == 0).await;
    }
    // What nobody asked for is told, and left.
    world
        .run("create table public.stray (id int primary key); alter publication platform_cdc add table public.stray")
        .await;
    wait(&world.planes(), &world.name, "Drifted", |plane| {
        plane.status.as_ref().is_some_and(|s| {
            status_of(&s.conditions, "Drifted") == "True"
                && s.drift
                    .as_ref()
                    .is_some_and(|d| d.extra == ["publication of public.stray"])
        })
    })
    .await;
    world.run("drop table public.stray").await;

    // ClickHouse.
    let role = format!("t_{tenant}");
    let count = |query: &str| {
        let query = query.to_owned();
        let engine = &engine;
        async move { engine.ask(&query).await.trim().parse::<i64>().unwrap() }
    };
    for (hand, wrong, text) in [
        (
            "grant select on septem_data.* to septem_gateway".to_owned(),
            "select count() from system.grants where user_name = 'septem_gateway'".to_owned(),
            "ClickHouse privilege SELECT",
        ),
        (
            "grant septem_read to septem_gateway".to_owned(),
            "select count() from system.role_grants where user_name = 'septem_gateway' and granted_role_name = 'septem_read'".to_owned(),
            "ClickHouse role septem_read of septem_gateway",
        ),
        (
            format!("create row policy hand on septem_data.* for select using 1 as permissive to `{role}`"),
            "select count() from system.row_policies where short_name = 'hand'".to_owned(),
            "row policy hand on every table",
        ),
        (
            "alter settings profile septem_gateway settings readonly = 0".to_owned(),
            "select countIf(value = '0') from system.settings_profile_elements where profile_name = 'septem_gateway' and setting_name = 'readonly'".to_owned(),
            "settings profile septem_gateway",
        ),
    ] {
        engine.ask(&hand).await;
        told(world, "default", &world.name, "FenceRepaired", text).await;
        until(&hand, async || count(&wrong).await == 0).await;
    }
    // And of one tenant, in both databases.
    let predicate = format!(
        "select countIf(select_filter = '1') from system.row_policies where short_name = '{role}'"
    );
    engine
        .ask(&format!("create row policy or replace `{role}` on septem_data.* for select using 1 as permissive to `{role}`"))
        .await;
    told(
        world,
        "default",
        &name,
        "FenceRepaired",
        "row policy in ClickHouse",
    )
    .await;
    until("the policy", async || count(&predicate).await == 0).await;
    world
        .run(&format!("insert into platform.user_roles (tenant_id, user_id, role_id) select tenant_id, 'mallory', id from platform.roles where tenant_id = '{tenant}'"))
        .await;
    told(world, "default", &name, "FenceRepaired", "the registry").await;
    let mallory = "select count(*) from platform.user_roles where user_id = 'mallory'";
    until("the role admin", async || world.number(mallory).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hands_on_a_table_are_told_and_put_back_where_that_is_asked_for() {
    in_world(tables).await;
}

async fn tables(world: &World) {
    world.stop().await;
    world.start_with(|config| config.drift_interval = Duration::from_secs(1));
    let (module, database) = (world.module(), "septem_data");
    let spec = |policy: DriftPolicy| {
        json!({
            "fields": [
                {"name": "title", "type": "text", "maxLength": 20},
                {"name": "stage", "type": "enum", "values": ["a", "b"], "default": "a"},
                {"name": "amount", "type": "decimal", "precision": 12, "scale": 2, "default": "0"},
            ],
            "indexes": [{"name": "by_stage", "fields": ["stage"]}],
            "drift": {"policy": policy},
        })
    };
    let apply = async |policy| {
        world
            .apply_ready(&world.model("deals", "deals", spec(policy)))
            .await
    };
    apply(DriftPolicy::Report).await;
    let found = async |what: &str, met: &dyn Fn(&DriftStatus) -> bool| {
        let model = wait(&world.models(), "deals", what, |m| {
            let status = m.status.as_ref();
            status.is_some_and(|s| met(&s.drift.clone().unwrap_or_default()))
        })
        .await;
        let status = model.status.unwrap();
        condition(&status.conditions, "Drifted")
            .unwrap()
            .status
            .clone()
    };
    let noted = "select count(*) from platform.applied_objects";
    until("what was applied to be noted", async || {
        world.number(noted).await == 1
    })
    .await;
    let clean = |d: &DriftStatus| *d == DriftStatus::default();
    assert_eq!(found("no drift", &clean).await, "False");

    let table = format!("{module}.deals");
    let clickhouse = format!("{database}.`{module}__deals__g1`");
    // (by hand, back again, kind, object)
    let cases = [
        (
            format!("alter table {table} alter column stage set default 'b'"),
            format!("alter table {table} alter column stage set default 'a'"),
            "modified",
            "default stage",
        ),
        (
            format!("alter table {table} alter column amount drop default"),
            format!("alter table {table} alter column amount set default '0'::numeric(12,2)"),
            "missing",
            "default amount",
        ),
        (
            format!(
                "create function {module}.f() returns trigger language plpgsql as 'begin return new; end'; create trigger hand before insert on {table} for each row execute function {module}.f()"
            ),
            format!("drop trigger hand on {table}"),
            "extra",
            "trigger hand",
        ),
        (
            format!("alter table {table} add column stray int"),
            format!("alter table {table} drop column stray"),
            "extra",
            "column stray",
        ),
        (
            format!(
                "create policy hand on {table} as restrictive for select to public using (false)"
            ),
            format!("drop policy hand on {table}"),
            "extra",
            "policy hand",
        ),
        (
            format!("create index hand on {table} (title)"),
            format!("drop index {module}.hand"),
            "extra",
            "index hand",
        ),
        (
            format!("alter table {table} add constraint hand check (amount < 5)"),
            format!("alter table {table} drop constraint hand"),
            "extra",
            "constraint hand",
        ),
        (
            format!("grant select on {table} to pg_monitor"),
            format!("revoke select on {table} from pg_monitor"),
            "extra",
            "privileges of pg_monitor",
        ),
        (
            format!("alter table {table} set (autovacuum_enabled = false)"),
            format!("alter table {table} reset (autovacuum_enabled)"),
            "extra",
            "options",
        ),
    ];
    let has = |d: &DriftStatus, kind: &str, object: &str| {
        let names = match kind {
            "extra" => &d.extra,
            "missing" => &d.missing,
            _ => &d.modified,
        };
        names.iter().any(|name| name == object)
    };
    for (hand, back, kind, object) in &cases {
        world.run(hand).await;
        assert_eq!(
            found(object, &|d| has(d, kind, object)).await,
            "True",
            "{object}"
        );
        world.run(back).await;
        found(&format!("{object} gone"), &clean).await;
    }
    told(
        world,
        &world.name,
        "deals",
        "DriftDetected",
        "default stage",
    )
    .await;
    // ClickHouse.
    world
        .clickhouse(format!(
            "alter table {clickhouse} modify column title default 'x'"
        ))
        .await;
    let object = "ClickHouse column title";
    assert_eq!(found(object, &|d| has(d, "modified", object)).await, "True");
    world
        .clickhouse(format!(
            "alter table {clickhouse} modify column title remove default"
        ))
        .await;
    found("ClickHouse as before", &clean).await;

    // With Repair what was applied comes back, and what is extra stays.
    apply(DriftPolicy::Repair).await;
    world
        .run(&format!("alter table {table} alter column stage set default 'b'; drop index {module}.deals__by_stage; create index hand on {table} (title)"))
        .await;
    let right = format!(
        "select (select count(*) from pg_attrdef where adrelid = '{table}'::regclass and pg_get_expr(adbin, adrelid) like '''a''%') + (select count(*) from pg_indexes where schemaname = '{module}' and indexname = 'deals__by_stage') + (select count(*) from pg_indexes where indexname = 'hand')"
    );
    until("the repair", async || world.number(&right).await == 3).await;
    let only_extra = |d: &DriftStatus| {
        d.extra == ["index hand"] && d.missing.is_empty() && d.modified.is_empty()
    };
    assert_eq!(found("what is extra", &only_extra).await, "True");
    told(
        world,
        &world.name,
        "deals",
        "DriftRepaired",
        "index deals__by_stage",
    )
    .await;

    // A look that cannot be made is not a look that finds nothing.
    world
        .run("alter table platform.applied_objects rename to hidden")
        .await;
    wait(&world.models(), "deals", "CheckFailed", |m| {
        let status = m.status.as_ref();
        let drifted = status.and_then(|s| condition(&s.conditions, "Drifted"));
        drifted.is_some_and(|c| c.status == "Unknown" && c.reason == "CheckFailed")
    })
    .await;
    world
        .run("alter table platform.hidden rename to applied_objects")
        .await;
    found("a look again", &only_extra).await;
}
