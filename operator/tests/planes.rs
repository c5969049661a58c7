//! Several DataPlanes of one operator.

use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    World,
    cluster::{wait, wait_gone},
    condition,
    engine::Engine,
    in_world,
    relay::Relay,
    status_of,
    world::{env, on},
};

#[tokio::test(flavor = "multi_thread")]
async fn two_data_planes_live_side_by_side_and_one_that_is_away_holds_up_nobody() {
    in_world(side_by_side).await;
}

/// A second DataPlane: database, ClickHouse and topic of its own, PostgreSQL behind a port that can be closed.
struct Second {
    name: String,
    admin: PgPool,
    relay: Relay,
    database: String,
    _engine: Engine,
}

impl Second {
    async fn in_world(world: &World) -> Self {
        let engine = Engine::start().await;
        let (database, admin) = world.another_database().await;
        let server = url::Url::parse(&env("DATABASE_URL")).unwrap();
        let host = server.host_str().unwrap();
        let relay = Relay::to(format!("{host}:{}", server.port().unwrap_or(5432))).await;
        for part in ["app", "cdc", "sink"] {
            let url = env(&format!("DATABASE_{}_URL", part.to_uppercase()));
            let name = format!("postgres-{part}-2");
            world.secret(&name, &on(&url, &database)).await;
        }
        for (part, variable) in [
            ("admin", "CLICKHOUSE_FRONT_ADMIN_URL"),
            ("gateway", "CLICKHOUSE_GATEWAY_URL"),
            ("sink", "CLICKHOUSE_SINK_URL"),
        ] {
            let url = engine.at(&env(variable));
            world.secret(&format!("clickhouse-{part}-2"), &url).await;
        }
        let second = Self {
            name: format!("{}-2", world.name),
            admin,
            relay,
            database,
            _engine: engine,
        };
        second.owner(world, &server).await;
        let apply = |plane: Value| async move { world.apply(&world.planes(), &plane).await };
        apply(second.resource(world, json!({}))).await.unwrap();
        second
    }

    /// Sets the owner's Secret to this login.
    async fn owner(&self, world: &World, login: &url::Url) {
        let mut url = login.clone();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.relay.port)).unwrap();
        url.set_path(&self.database);
        world.secret("postgres-owner-2", url.as_str()).await;
    }

    fn resource(&self, world: &World, cdc: Value) -> Value {
        let shared = ["kafka", "connect", "valkey"];
        let mut plane = world.plane(&self.name, &|part| match shared.contains(&part) {
            true => part.to_owned(),
            false => format!("{part}-2"),
        });
        plane["spec"]["cdc"] = cdc;
        plane["spec"]["cdc"]["topic"] = json!(format!("{}.events", self.name));
        plane
    }

    async fn number(&self, query: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(query.to_owned());
        sqlx::query_scalar(query)
            .fetch_one(&self.admin)
            .await
            .unwrap()
    }
}

/// Waits for a state and reason of `Ready`; the message.
async fn said<K>(api: &Api<K>, name: &str, status: &str, reason: &str) -> String
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    let ready = |object: &K| {
        let object = serde_json::to_value(object).unwrap();
        let conditions = object["status"]["conditions"].as_array()?.clone();
        conditions.into_iter().find(|c| c["type"] == "Ready")
    };
    let what = format!("Ready={status} {reason}");
    let found = wait(api, name, &what, |object| {
        ready(object).is_some_and(|c| c["status"] == status && c["reason"] == reason)
    })
    .await;
    ready(&found).unwrap()["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn side_by_side(world: &World) {
    let second = Second::in_world(world).await;
    let (one, two) = (&world.name, &second.name);
    let fields = json!([{"name": "title", "type": "text", "maxLength": 20}]);
    let both = |fields: &Value| {
        let spec = json!({"fields": fields, "dataPlaneRefs": [one, two]});
        world.model("deals", "deals", spec)
    };
    let ready = world.apply_ready(&both(&fields)).await.status.unwrap();
    let schema = condition(&ready.conditions, "SchemaApplied").unwrap();
    assert!(
        schema.message.contains(&format!("DataPlane {one}: "))
            && schema.message.contains(&format!("DataPlane {two}: ")),
        "{}",
        schema.message
    );
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let tenants = world.tenants();
    for (name, id, plane) in [("a", a, one), ("b", b, two)] {
        let tenant = world.tenant(name, id, json!({"dataPlaneRef": plane}));
        world.apply(&tenants, &tenant).await.unwrap();
        let name = format!("{one}-{name}");
        said(&tenants, &name, "True", "Applied").await;
    }
    // Each holds the model, and its own tenant.
    let columns = format!(
        "select count(*) from information_schema.columns where table_schema = '{}' and table_name = 'deals'",
        world.module()
    );
    assert_eq!(world.number(&columns).await, second.number(&columns).await);
    let held = |id| format!("select count(*) from platform.tenants where tenant_id = '{id}'");
    assert_eq!(world.number(&held(a)).await, 1);
    assert_eq!(world.number(&held(b)).await, 0);
    assert_eq!(second.number(&held(a)).await, 0);
    assert_eq!(second.number(&held(b)).await, 1);

    taken(world, &second).await;
    away(world, &second, &both).await;
    rotated(world, &second).await;
    paused(world, &second).await;
    placed(world, &second, a).await;
}

/// What one DataPlane has is not given to another.
async fn taken(world: &World, second: &Second) {
    let epoch = "select epoch from platform.operator_epoch";
    let before = (world.number(epoch).await, second.number(epoch).await);
    let name = format!("{}-3", world.name);
    let planes = world.planes();
    // The database of the second, with its ClickHouse; and then with a ClickHouse and a topic of nobody.
    let mut third = second.resource(world, json!({}));
    third["metadata"]["name"] = json!(name);
    world.apply(&planes, &third).await.unwrap();
    let message = said(&planes, &name, "False", "NameConflict").await;
    let wanted = format!("the ClickHouse server is that of DataPlane {}", second.name);
    assert!(message.contains(&wanted), "{message}");
    world
        .secret("clickhouse-admin-3", "http://nobody:nothing@127.0.0.1:1")
        .await;
    third["spec"]["clickhouse"]["adminSecretRef"] = json!({"name": "clickhouse-admin-3"});
    world.apply(&planes, &third).await.unwrap();
    let told = |what: &'static str| {
        let planes = planes.clone();
        let name = name.clone();
        async move {
            wait(&planes, &name, what, |plane| {
                plane.status.as_ref().is_some_and(|status| {
                    condition(&status.conditions, "Ready").is_some_and(|c| c.message.contains(what))
                })
            })
            .await
        }
    };
    told("the topic of change events").await;
    planes.delete(&name, &Default::default()).await.unwrap();
    wait_gone(&planes, &name).await;
    third["spec"]["cdc"]["topic"] = json!("nobodys.events");
    world.apply(&planes, &third).await.unwrap();
    told("the PostgreSQL database is that of").await;
    planes.delete(&name, &Default::default()).await.unwrap();
    wait_gone(&planes, &name).await;
    let after = (world.number(epoch).await, second.number(epoch).await);
    assert_eq!(before, after, "nobody was fenced off");
}

/// The second database is away for a while.
async fn away(world: &World, second: &Second, both: &dyn Fn(&Value) -> Value) {
    let (one, two) = (&world.name, &second.name);
    let (models, tenants, planes) = (world.models(), world.tenants(), world.planes());
    second.relay.close();
    said(&planes, two, "False", "DatabaseUnreachable").await;
    let more = json!([{"name": "title", "type": "text", "maxLength": 20}, {"name": "note", "type": "text", "maxLength": 9}]);
    world.apply(&models, &both(&more)).await.unwrap();
    let message = said(&models, "deals", "False", "DatabaseUnreachable").await;
    assert!(message.contains(&format!("DataPlane {two}: ")), "{message}");
    let added = format!(
        "select count(*) from information_schema.columns where table_schema = '{}' and column_name = 'note'",
        world.module()
    );
    assert_eq!(world.number(&added).await, 1, "the healthy one goes on");
    // Whoever has nothing to do with it does not notice.
    let began = std::time::Instant::now();
    let alone = json!({"fields": [{"name": "a", "type": "text"}]});
    world
        .apply_ready(&world.model("alone", "alone", alone))
        .await;
    let tenant = world.tenant("c", uuid::Uuid::new_v4(), json!({}));
    world.apply(&tenants, &tenant).await.unwrap();
    said(&tenants, &format!("{one}-c"), "True", "Applied").await;
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    let waits = world.tenant("d", uuid::Uuid::new_v4(), json!({"dataPlaneRef": two}));
    world.apply(&tenants, &waits).await.unwrap();
    said(
        &tenants,
        &format!("{one}-d"),
        "False",
        "DatabaseUnreachable",
    )
    .await;
    said(&planes, one, "True", "Applied").await;

    second.relay.open().await;
    said(&planes, two, "True", "Applied").await;
    said(&models, "deals", "True", "Applied").await;
    said(&tenants, &format!("{one}-d"), "True", "Applied").await;
    assert_eq!(second.number(&added).await, 1);
}

/// The owner's Secret names another login, while the old one still works.
async fn rotated(world: &World, second: &Second) {
    let role = format!("{}_owner", second.database);
    world
        .run(&format!(
            "create role {role} login superuser password 'fresh'"
        ))
        .await;
    let mut login = url::Url::parse(&env("DATABASE_URL")).unwrap();
    login.set_username(&role).unwrap();
    login.set_password(Some("fresh")).unwrap();
    let began = std::time::Instant::now();
    second.owner(world, &login).await;
    let connected = format!("select count(*) from pg_stat_activity where usename = '{role}'");
    while world.number(&connected).await == 0 {
        assert!(began.elapsed().as_secs() < 20, "the new login is not used");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let back = url::Url::parse(&env("DATABASE_URL")).unwrap();
    second.owner(world, &back).await;
    let begun = format!(
        "select count(*) from pg_stat_activity where usename <> '{role}' and datname = '{}' and application_name = 'septem-operator'",
        second.database
    );
    let began = std::time::Instant::now();
    while world.number(&begun).await == 0 {
        assert!(
            began.elapsed().as_secs() < 20,
            "the old login is not used again"
        );
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    world.run(&format!("drop role {role}")).await;
    said(&world.planes(), &second.name, "True", "Applied").await;
}

async fn paused(world: &World, second: &Second) {
    let planes = world.planes();
    let pause = second.resource(world, json!({"paused": true}));
    world.apply(&planes, &pause).await.unwrap();
    said(&planes, &second.name, "False", "Paused").await;
    wait(&world.models(), "deals", "Paused", |m| {
        let status = m.status.as_ref();
        let capture = status.and_then(|s| condition(&s.conditions, "CaptureRunning"));
        capture.is_some_and(|c| c.reason == "Paused" && c.message.contains(&second.name))
    })
    .await;
    let go_on = second.resource(world, json!({}));
    world.apply(&planes, &go_on).await.unwrap();
    said(&planes, &second.name, "True", "Applied").await;
    said(&world.models(), "deals", "True", "Applied").await;
    // A topic that was given stays.
    let mut other = second.resource(world, json!({}));
    other["spec"]["cdc"]["topic"] = json!("another.topic");
    let refused = world.apply(&planes, &other).await.unwrap_err();
    assert!(refused.to_string().contains("is immutable"), "{refused}");
}

/// A tenant that the first one knows is not placed on the second.
async fn placed(world: &World, second: &Second, a: uuid::Uuid) {
    let tenants = world.tenants();
    let name = format!("{}-a", world.name);
    tenants.delete(&name, &Default::default()).await.unwrap();
    wait_gone(&tenants, &name).await;
    let moved = world.tenant("a", a, json!({"dataPlaneRef": second.name}));
    world.apply(&tenants, &moved).await.unwrap();
    let message = said(&tenants, &name, "False", "NameConflict").await;
    assert!(
        message.contains(&format!("was placed on DataPlane {}", world.name)),
        "{message}"
    );
    let held = format!("select count(*) from platform.tenants where tenant_id = '{a}'");
    assert_eq!(second.number(&held).await, 0);
    let patch = json!({"spec": {"dataPlaneRef": world.name}});
    let refused = tenants
        .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("is immutable"), "{refused}");
    // Where it was, it is let in again.
    tenants.delete(&name, &Default::default()).await.unwrap();
    wait_gone(&tenants, &name).await;
    let back = world.tenant("a", a, json!({}));
    let back = world.apply(&tenants, &back).await.unwrap();
    assert_eq!(
        status_of(&back.status.unwrap_or_default().conditions, "Ready"),
        ""
    );
    said(&tenants, &name, "True", "Applied").await;
}
