//! `approval: Manual`: nothing is changed but by a plan that somebody approved, from the state that it was made from.

use crds::{ModuleModel, status::PlanStatus};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::{Value, json};

use crate::{
    failpoints::{after, before},
    support::{World, cluster::wait, condition, in_world, reason},
};

/// A model `deals` of which every change waits for that hash.
fn manual(world: &World, name: &str, mut spec: Value, approved: Option<&str>) -> Value {
    spec["migrations"]["approval"] = json!("Manual");
    if let Some(hash) = approved {
        spec["migrations"]["approvedPlan"] = json!(hash);
    }
    world.model(name, name, spec)
}

/// Applies, and waits until `Ready` says that.
async fn told(world: &World, object: &Value, expected: &str) -> ModuleModel {
    let models = world.models();
    let applied = world.apply(&models, object).await.unwrap();
    let name = object["metadata"]["name"].as_str().unwrap();
    wait(&models, name, expected, |m| {
        m.status.as_ref().is_some_and(|s| {
            s.observed_generation == applied.metadata.generation
                && reason(&s.conditions, "Ready") == expected
        })
    })
    .await
}

fn plan(model: &ModuleModel) -> PlanStatus {
    model.status.as_ref().unwrap().plan.clone().unwrap()
}

fn message(model: &ModuleModel) -> &str {
    let conditions = &model.status.as_ref().unwrap().conditions;
    &condition(conditions, "Ready").unwrap().message
}

async fn config_map(world: &World, name: &str) -> ConfigMap {
    let maps = Api::<ConfigMap>::namespaced(world.client.clone(), &world.name);
    maps.get(name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_but_by_the_plan_that_was_approved() {
    in_world(life_of_a_plan).await;
}

async fn life_of_a_plan(world: &World) {
    let module = world.module();
    let schemas = format!("select count(*) from pg_namespace where nspname = '{module}'");
    let (first, changed) = (before(), {
        let mut spec = after();
        spec["fields"].as_array_mut().unwrap().pop();
        spec
    });

    // Made, not carried out; what it is stands in a ConfigMap that goes with the model.
    let pending = told(
        world,
        &manual(world, "deals", first.clone(), None),
        "ApprovalPending",
    )
    .await;
    assert_eq!(world.number(&schemas).await, 0);
    let made = plan(&pending);
    assert!(!made.destructive && made.statements > 3, "{made:?}");
    assert!(
        made.sql.len() <= 1_024 && made.sql.contains("create table"),
        "{}",
        made.sql
    );
    let kept = config_map(world, "septem-plan-deals").await;
    assert_eq!(kept.metadata.owner_references.unwrap()[0].name, "deals");
    let data = kept.data.unwrap();
    assert_eq!(data["hash"], made.hash);
    assert!(
        data["plan.sql"].contains("force row level security"),
        "{}",
        data["plan.sql"]
    );
    let json: Value = serde_json::from_str(&data["plan.json"]).unwrap();
    assert_eq!(json["hash"], made.hash);

    // A hash of nothing is no approval, and neither is one of another wish.
    let wrong = told(
        world,
        &manual(world, "deals", first.clone(), Some("0123456789abcdef")),
        "PlanOutdated",
    )
    .await;
    assert!(
        message(&wrong).contains("names 0123456789ab,"),
        "{}",
        message(&wrong)
    );
    assert_eq!(plan(&wrong).hash, made.hash);
    let mut other = first.clone();
    other["fields"][3]["maxLength"] = json!(7);
    let wrong = told(
        world,
        &manual(world, "deals", other, Some(&made.hash)),
        "PlanOutdated",
    )
    .await;
    assert_ne!(plan(&wrong).hash, made.hash);
    assert_eq!(world.number(&schemas).await, 0);

    let ready = told(
        world,
        &manual(world, "deals", first.clone(), Some(&made.hash)),
        "Applied",
    )
    .await;
    assert_eq!(ready.status.unwrap().plan, None);
    let ran = format!(
        "select count(*) from platform.schema_migrations where plan_hash = '{}'",
        made.hash
    );
    assert!(world.number(&ran).await > 0);
    world.run(&format!("insert into {module}.deals (tenant_id, id, title, stage, created_by, updated_by) select '0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01', gen_random_uuid(), 'title ' || n, 'open', 'u', 'u' from generate_series(1, 10) n")).await;
    world.everything_is_synced().await;

    // What the database does not see needs nobody.
    let mut paged = first.clone();
    paged["limits"] = json!({"maxPageSize": 77});
    told(
        world,
        &manual(world, "deals", paged, Some(&made.hash)),
        "Applied",
    )
    .await;

    // The next change is another plan. Nothing is done of it, except that an open fence is closed.
    let next = told(
        world,
        &manual(world, "deals", changed.clone(), Some(&made.hash)),
        "ApprovalPending",
    )
    .await;
    assert!(
        message(&next).contains("was carried out before"),
        "{}",
        message(&next)
    );
    let planned = plan(&next);
    assert!(planned.destructive, "{planned:?}");
    let text = config_map(world, "septem-plan-deals")
        .await
        .data
        .unwrap()
        .remove("plan.sql")
        .unwrap();
    for line in [
        "DATA IS LOST",
        "-- lock: ACCESS EXCLUSIVE",
        "-- lock: none",
        "backfill of headline, batch by batch; reads the whole table",
        "waits until every live proxy",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    world
        .run(&format!(
            "alter table {module}.deals disable row level security"
        ))
        .await;
    let mut again = manual(world, "deals", changed.clone(), None);
    again["spec"]["drift"] = json!({"interval": "2m"});
    told(world, &again, "ApprovalPending").await;
    let fence = format!(
        "select count(*) from pg_class where oid = '{module}.deals'::regclass and relrowsecurity"
    );
    assert_eq!(world.number(&fence).await, 1);
    let columns = format!(
        "select count(*) from pg_attribute where attrelid = '{module}.deals'::regclass and attname = 'headline'"
    );
    assert_eq!(world.number(&columns).await, 0);

    // Somebody changes the database between the plan and its approval.
    world
        .run(&format!("create index by_hand on {module}.deals (note)"))
        .await;
    let moved = told(
        world,
        &manual(world, "deals", changed.clone(), Some(&planned.hash)),
        "PlanOutdated",
    )
    .await;
    assert_eq!(world.number(&columns).await, 0);
    assert_ne!(plan(&moved).hash, planned.hash);

    // One approval is enough for all of its steps.
    let anew = manual(world, "deals", changed, Some(&plan(&moved).hash));
    told(world, &anew, "Applied").await;
    assert_eq!(world.number(&columns).await, 1);
    let hashes = format!(
        "select count(distinct plan_hash) from platform.schema_migrations where module = '{module}'"
    );
    assert_eq!(world.number(&hashes).await, 2);
    let unnamed = format!(
        "select count(*) from platform.schema_migrations where module = '{module}' and plan_hash is null"
    );
    assert_eq!(
        world.number(&unnamed).await,
        1,
        "the fence, which nobody was asked for"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_plan_that_was_killed_goes_on_and_one_that_was_disturbed_does_not() {
    in_world(interrupted).await;
}

async fn interrupted(world: &World) {
    let module = world.module();
    let points = [
        "expand-after=return",
        "backfill-after=return",
        "concurrently-before=return",
        "validate-after=return",
        "publish-after=return",
        "contract-before=return",
    ];
    let models: Vec<_> = (0..=points.len()).map(|i| format!("m{i}x")).collect();
    for model in &models {
        world
            .apply_ready(&world.model(model, model, before()))
            .await;
        world.run(&format!("insert into {module}.{model} (tenant_id, id, title, created_by, updated_by) values ('0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01', gen_random_uuid(), 'title', 'u', 'u')")).await;
    }
    world.everything_is_synced().await;
    let mut spec = after();
    spec["fields"].as_array_mut().unwrap().pop();
    let mut approved = Vec::new();
    for model in &models {
        let pending = told(
            world,
            &manual(world, model, spec.clone(), None),
            "ApprovalPending",
        )
        .await;
        approved.push(manual(
            world,
            model,
            spec.clone(),
            Some(&plan(&pending).hash),
        ));
    }
    // A proxy that is live and never gets to the new revision: the last one's contraction waits.
    let (last, disturbed) = (models.last().unwrap(), approved.last().unwrap());
    world.run("insert into platform.proxy_instances (instance, kind, revision, last_seen) values ('stuck', 'proxy', 1, now() + interval '1 hour')").await;
    let waiting = told(world, disturbed, "WaitingForProxies").await;
    assert_eq!(
        plan(&waiting).hash,
        disturbed["spec"]["migrations"]["approvedPlan"]
    );
    world
        .run(&format!(
            "create index _old__by_hand on {module}.{last} (code)"
        ))
        .await;
    world.run("delete from platform.proxy_instances").await;
    let outdated = wait(&world.models(), last, "PlanOutdated", |m| {
        m.status
            .as_ref()
            .is_some_and(|s| reason(&s.conditions, "Ready") == "PlanOutdated")
    })
    .await;
    assert!(
        message(&outdated).contains("_old__by_hand"),
        "{}",
        message(&outdated)
    );
    let rest = manual(world, last, spec.clone(), Some(&plan(&outdated).hash));
    told(world, &rest, "Applied").await;
    world.stop().await;

    for (object, point) in approved.iter().zip(points) {
        world.apply(&world.models(), object).await.unwrap();
        world.dies_at(point).await;
    }
    world.start();
    for (object, point) in approved.iter().zip(points) {
        let ready = world.apply_ready(object).await;
        assert_eq!(ready.status.unwrap().plan, None, "killed at {point}");
    }
    let asked = world
        .number("select count(*) from platform.plans_begun where ended_at is null")
        .await;
    assert_eq!(asked, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_waits_to_be_approved_and_later_tenants_get_it() {
    in_world(files).await;
}

async fn files(world: &World) {
    let module = world.module();
    let table = "-- +goose Up\ncreate table log (tenant_id uuid, note text);\n";
    let rows = "-- +septem per-tenant\n-- +goose Up\ninsert into deals (tenant_id, id, title, created_by, updated_by) values (current_setting('app.tenant_id')::uuid, gen_random_uuid(), 'first', 'sql', 'sql');\n";
    world
        .config_map(
            "sql",
            json!({"20260101_000000_log.sql": table, "20260102_000000_rows.sql": rows}),
        )
        .await;
    let spec = json!({
        "fields": [{"name": "title", "type": "text"}], "analytics": {"enabled": false},
        "migrations": {"files": [{"configMapRef": {"name": "sql"}}]},
    });
    let pending = told(
        world,
        &manual(world, "deals", spec.clone(), None),
        "ApprovalPending",
    )
    .await;
    let first = plan(&pending);
    let data = config_map(world, "septem-plan-deals").await.data.unwrap();
    assert!(
        data["plan.sql"].contains("-- 20260102_000000_rows.sql (per-tenant), SHA-256 "),
        "{}",
        data["plan.sql"]
    );
    let approved = manual(world, "deals", spec, Some(&first.hash));
    told(world, &approved, "Applied").await;
    let ran = format!(
        "select count(*) from platform.schema_migrations where module = '{module}' and plan_hash = '{}' and kind <> 'model'",
        first.hash
    );
    assert_eq!(world.number(&ran).await, 2);

    let id = uuid::Uuid::now_v7();
    world
        .apply(&world.tenants(), &world.tenant("a", id, json!({})))
        .await
        .unwrap();
    let started = std::time::Instant::now();
    while world
        .number(&format!(
            "select count(*) from {module}.deals where tenant_id = '{id}'"
        ))
        .await
        != 1
    {
        assert!(
            started.elapsed().as_secs() < 60,
            "a tenant that came later did not get the file"
        );
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }

    // A new file is a new plan.
    let more = "-- +goose Up\ndrop table log;\n";
    world.config_map("sql", json!({"20260101_000000_log.sql": table, "20260102_000000_rows.sql": rows, "20260103_000000_drop.sql": more})).await;
    let pending = wait(&world.models(), "deals", "ApprovalPending", |m| {
        m.status
            .as_ref()
            .is_some_and(|s| reason(&s.conditions, "Ready") == "ApprovalPending")
    })
    .await;
    assert_eq!(plan(&pending).statements, 1);
    assert_eq!(
        world
            .number(&format!(
                "select count(*) from pg_tables where schemaname = '{module}' and tablename = 'log'"
            ))
            .await,
        1
    );
}
