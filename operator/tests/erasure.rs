//! `deletionPolicy: Delete` on a Tenant: its rows go from every engine, those of others stay, and nothing comes back.

use std::time::{Duration, Instant};

use crds::{
    Tenant,
    status::{ErasureStatus, ErasureStep},
};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    World,
    cluster::{wait, wait_gone},
    condition, in_world, status_of,
};

/// Rows of each tenant in each model.
const ROWS: i64 = 12_000;
/// What its erasure deletes: the role takes its one user with it.
const DELETED: i64 = 2 * ROWS + 6;

/// Two models that refer to each other and to themselves, with rows of both tenants everywhere that tenants have any.
struct Scene<'w> {
    world: &'w World,
    a: Uuid,
    b: Uuid,
}

impl<'w> Scene<'w> {
    async fn new(world: &'w World, spec: Value) -> Self {
        let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
        let reference = |model: &str| {
            json!({"name": format!("{model}_id"), "type": "uuid",
                   "references": {"module": world.module(), "model": model}})
        };
        let title = json!({"name": "title", "type": "text"});
        let companies = json!({"fields": [title]});
        world
            .apply_ready(&world.model("companies", "companies", companies))
            .await;
        let deals = json!({"fields": [title, reference("companies"), reference("deals")]});
        world
            .apply_ready(&world.model("deals", "deals", deals))
            .await;
        let scene = Self { world, a, b };
        for (name, id) in [("a", a), ("b", b)] {
            let mut spec = spec.clone();
            spec["deletionPolicy"] = "Delete".into();
            let object = world.tenant(name, id, spec);
            world.apply(&world.tenants(), &object).await.unwrap();
            wait(
                &world.tenants(),
                object["metadata"]["name"].as_str().unwrap(),
                "Ready",
                |t| {
                    t.status
                        .as_ref()
                        .is_some_and(|s| status_of(&s.conditions, "Ready") == "True")
                },
            )
            .await;
            scene.fill(id).await;
        }
        scene
    }

    async fn fill(&self, id: Uuid) {
        let module = self.world.module();
        self.world
            .run(&format!(
                "insert into {module}.companies (tenant_id, id, title, created_by, updated_by)
                 select '{id}', gen_random_uuid(), 'canary', 'x', 'x' from generate_series(1, {ROWS});
                 insert into {module}.deals (tenant_id, id, title, companies_id, created_by, updated_by)
                 select '{id}', gen_random_uuid(), 'canary', c.id, 'x', 'x'
                 from {module}.companies c where c.tenant_id = '{id}';
                 -- A chain, and two that refer to each other.
                 with d as (select id, lag(id) over (order by id) as before from {module}.deals
                            where tenant_id = '{id}' limit 200)
                 update {module}.deals t set deals_id = d.before from d where t.tenant_id = '{id}' and t.id = d.id;
                 with d as (select min(id::text)::uuid as one, max(id::text)::uuid as other from {module}.deals
                            where tenant_id = '{id}')
                 update {module}.deals t set deals_id = case when t.id = d.one then d.other else d.one end
                 from d where t.tenant_id = '{id}' and t.id in (d.one, d.other);
                 insert into platform.idempotency (tenant_id, user_id, key, fingerprint) values ('{id}', 'ada', 'k', '');
                 insert into platform.hook_dead_letters
                   (event_id, url, event, module, model, tenant_id, record_id, position, body, failure)
                 values (gen_random_uuid(), 'http://h', 'AfterCreate', '{module}', 'deals', '{id}', '{id}', 1, 'canary', 'x');
                 insert into platform.watermark_holds values (1, '{module}', 'deals', '{id}', now(), '{id}')"
            ))
            .await;
        for generation in [1, 2] {
            // An older generation, or a newer one: every one of them holds rows of the tenant.
            if generation == 2 {
                self.world
                    .clickhouse(format!(
                        "create table if not exists septem_data.{module}__deals__g2 as septem_data.{module}__deals__g1"
                    ))
                    .await;
            }
            self.world
                .clickhouse(format!(
                    "insert into septem_data.{module}__deals__g{generation} (tenant_id, record_id, title, _version)
                     select '{id}', toFixedString(toString(number), 16), 'canary', number from numbers(1000)"
                ))
                .await;
        }
        for key in ["rbac", "cache"] {
            self.world.valkey_set(&format!("{key}:{{{id}}}:x")).await;
        }
    }

    async fn rows(&self, id: Uuid) -> i64 {
        let module = self.world.module();
        let mut sum = 0;
        for table in [
            format!("{module}.companies"),
            format!("{module}.deals"),
            "platform.tenants".into(),
            "platform.tenant_modules".into(),
            "platform.roles".into(),
            "platform.user_roles".into(),
            "platform.idempotency".into(),
            "platform.hook_dead_letters".into(),
            "platform.watermark_holds".into(),
        ] {
            let count = format!("select count(*) from {table} where tenant_id = '{id}'");
            sum += self.world.number(&count).await;
        }
        sum
    }

    async fn analytics(&self, id: Uuid) -> String {
        let module = self.world.module();
        let mut counts = Vec::new();
        for table in ["deals__g1", "deals__g2", "companies__g1"] {
            let count = format!(
                "select count() from septem_data.{module}__{table} where tenant_id = '{id}'"
            );
            counts.push(self.world.clickhouse(count).await.trim().to_owned());
        }
        counts.join(" ")
    }

    async fn access(&self, id: Uuid) -> String {
        let roles = format!("select count() from system.roles where name = 't_{id}'");
        let policies =
            format!("select count() from system.row_policies where short_name = 't_{id}'");
        let roles = self.world.clickhouse(roles).await;
        format!(
            "{} {}",
            roles.trim(),
            self.world.clickhouse(policies).await.trim()
        )
    }

    fn name(&self, tenant: &str) -> String {
        format!("{}-{tenant}", self.world.name)
    }

    async fn policy(&self, tenant: &str, policy: &str) {
        let patch = Patch::Merge(json!({"spec": {"deletionPolicy": policy}}));
        self.world
            .tenants()
            .patch(&self.name(tenant), &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// So that the end of the world deletes it without erasing.
    async fn retain(&self, tenant: &str) {
        self.policy(tenant, "Retain").await;
    }

    async fn delete(&self, tenant: &str) {
        self.world
            .tenants()
            .delete(&self.name(tenant), &DeleteParams::default())
            .await
            .unwrap();
    }

    /// What the sink would have proven a moment from now.
    async fn pass_watermark(&self) {
        self.world
            .run(
                "insert into platform.last_sync values (1, now() + interval '1 hour')
                 on conflict (generation) do update set last_sync_at = excluded.last_sync_at",
            )
            .await;
    }

    async fn at_step(&self, tenant: &str, step: ErasureStep) -> Tenant {
        wait(&self.world.tenants(), &self.name(tenant), "the step", |t| {
            erasure(t).is_some_and(|e| e.step == step)
        })
        .await
    }

    async fn untouched(&self, id: Uuid) {
        // Companies and deals, the registry, one module, one role and its user, and one row each of three tables.
        assert_eq!(self.rows(id).await, 2 * ROWS + 7);
        assert_eq!(self.analytics(id).await, "1000 1000 0");
        assert_eq!(self.access(id).await, "1 1");
        assert_eq!(self.world.valkey_keys(&id.to_string()).await, 2);
    }

    async fn gone(&self, id: Uuid) {
        assert_eq!(self.rows(id).await, 0);
        assert_eq!(self.analytics(id).await, "0 0 0");
        assert_eq!(self.access(id).await, "0 0");
        assert_eq!(self.world.valkey_keys(&id.to_string()).await, 0);
        let erased = format!(
            "select count(*) from platform.erased_tenants where tenant_id = '{id}' and erased_at is not null"
        );
        assert_eq!(self.world.number(&erased).await, 1);
    }
}

fn erasure(tenant: &Tenant) -> Option<&ErasureStatus> {
    tenant.status.as_ref()?.erasure.as_ref()
}

fn ready(tenant: &Tenant) -> (String, String) {
    let conditions = &tenant.status.as_ref().unwrap().conditions;
    let ready = condition(conditions, "Ready").unwrap();
    (
        format!("{} {}", ready.status, ready.reason),
        ready.message.clone(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_erased_everywhere_and_another_is_untouched() {
    in_world(erased).await;
}

async fn erased(world: &World) {
    let scene = Scene::new(world, json!({})).await;
    scene.untouched(scene.a).await;

    // A proxy that still serves the revision before; it registered long ago.
    world
        .run("insert into platform.proxy_instances values ('slow', 1, now() + interval '1 hour', 'proxy')")
        .await;
    scene.delete("a").await;
    let waits = scene.at_step("a", ErasureStep::Acknowledge).await;
    let (state, message) = ready(&waits);
    assert_eq!(state, "False Erasing");
    assert!(message.contains("slow"), "{message}");
    assert!(erasure(&waits).unwrap().waiting_for_revision.is_some());
    let catalog: String = sqlx::query_scalar(model::catalog::CATALOG_QUERY)
        .fetch_one(&world.app)
        .await
        .unwrap();
    let catalog = model::Catalog::parse(&catalog).unwrap();
    assert!(catalog.is_erased(scene.a) && !catalog.is_erased(scene.b));
    assert!(
        catalog
            .tenant(&scene.a.to_string().parse().unwrap())
            .is_none()
    );
    // Nothing is deleted before everybody knows, but for what lets the tenant in.
    assert_eq!(scene.rows(scene.a).await, 2 * ROWS + 7);

    world
        .run("update platform.proxy_instances set revision = 1000000 where instance = 'slow'")
        .await;
    let waits = scene.at_step("a", ErasureStep::Drain).await;
    assert_eq!(scene.rows(scene.a).await, 0);
    assert!(
        scene.analytics(scene.a).await.starts_with("1000"),
        "not before the sink has passed"
    );
    let status = erasure(&waits).unwrap();
    assert_eq!(status.rows_deleted, DELETED);
    assert!(status.topic_erased_by.is_some());
    let (_, message) = ready(&waits);
    assert!(message.contains("lastSyncAt is never"), "{message}");

    scene.pass_watermark().await;
    wait_gone(&world.tenants(), &scene.name("a")).await;
    scene.gone(scene.a).await;
    scene.untouched(scene.b).await;
    let events = Api::<Event>::all(world.client.clone());
    let listed = events.list(&ListParams::default()).await.unwrap();
    let note = listed
        .into_iter()
        .filter(|e| e.reason.as_deref() == Some("Erased"))
        .filter_map(|e| e.note)
        .find(|note| note.contains(&scene.a.to_string()))
        .expect("an Event tells of the end");
    assert!(
        note.contains("0 rows in PostgreSQL, 0 in ClickHouse, 0 keys in Valkey"),
        "{note}"
    );

    // The id is used up.
    let again = world.tenant("again", scene.a, json!({}));
    world.apply(&world.tenants(), &again).await.unwrap();
    let refused = wait(&world.tenants(), &scene.name("again"), "a refusal", |t| {
        t.status
            .as_ref()
            .is_some_and(|s| status_of(&s.conditions, "Stalled") == "True")
    })
    .await;
    let (state, message) = ready(&refused);
    assert_eq!(state, "False NameConflict");
    assert!(message.contains("was erased"), "{message}");
    // Its deletion erases nobody, whatever its policy.
    scene.policy("again", "Delete").await;
    scene.delete("again").await;
    wait_gone(&world.tenants(), &scene.name("again")).await;
    scene.untouched(scene.b).await;
    scene.retain("b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grace_period_can_be_used_to_think_again() {
    in_world(grace).await;
}

async fn grace(world: &World) {
    let scene = Scene::new(world, json!({"gracePeriod": "1h"})).await;
    scene.delete("a").await;
    let waits = scene.at_step("a", ErasureStep::Waiting).await;
    let (state, message) = ready(&waits);
    assert_eq!(state, "False Erasing");
    assert!(message.contains("spec.gracePeriod"), "{message}");
    // Shut out already, and everything is there.
    let served = format!(
        "select count(*) from platform.tenants where tenant_id = '{}' and served",
        scene.a
    );
    assert_eq!(world.number(&served).await, 0);
    assert_eq!(scene.rows(scene.a).await, 2 * ROWS + 7);
    // Retain, as an afterthought: the resource goes, the data stays, and it can be applied again.
    scene.retain("a").await;
    wait_gone(&world.tenants(), &scene.name("a")).await;
    assert_eq!(scene.rows(scene.a).await, 2 * ROWS + 7);
    let again = world.tenant("a", scene.a, json!({}));
    world.apply(&world.tenants(), &again).await.unwrap();
    wait(&world.tenants(), &scene.name("a"), "Ready", |t| {
        t.status
            .as_ref()
            .is_some_and(|s| status_of(&s.conditions, "Ready") == "True")
    })
    .await;
    scene.untouched(scene.a).await;
    scene.retain("b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_at_any_moment_erases_all_the_same() {
    in_world(killed).await;
}

async fn killed(world: &World) {
    let scene = Scene::new(world, json!({})).await;
    world.stop().await;
    scene.pass_watermark().await;
    scene.delete("a").await;
    // Longer and longer, so that each step is cut off once at least.
    let started = Instant::now();
    let mut round = 0;
    let is_there = || async {
        world
            .tenants()
            .get_opt(&scene.name("a"))
            .await
            .unwrap()
            .is_some()
    };
    while is_there().await {
        round += 1;
        assert!(started.elapsed() < Duration::from_secs(600));
        let mut child = world.start_binary("");
        let until = Instant::now() + Duration::from_millis(400 + round * 400);
        while Instant::now() < until && is_there().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    eprintln!("{round} operators were killed");
    scene.gone(scene.a).await;
    scene.untouched(scene.b).await;
    let counted = "select rows_deleted from platform.erased_tenants";
    assert_eq!(
        world.number(counted).await,
        DELETED,
        "each row was counted once"
    );
    scene.retain("b").await;
    world.start();
}
