//! An operator whose login to PostgreSQL is no superuser: what `docs/operator.md` asks of it is enough.

use serde_json::json;

use crate::support::{
    World, in_world_prepared,
    world::{env, on},
};

const OUR_ROLES: [&str; 4] = ["septem_owner", "septem_app", "septem_cdc", "septem_sink"];

/// A login as `docs/operator.md` describes it. The roles are there already, made by another: so it is made their
/// administrator, which whoever creates a role is by himself.
async fn humble(world: &World) {
    let (role, database) = (world.humble_owner(), world.database());
    world
        .run(&format!(
            "create role {role} login createrole replication bypassrls password 'humble';
             alter database {database} owner to {role}"
        ))
        .await;
    for ours in OUR_ROLES {
        let there = format!("select count(*) from pg_roles where rolname = '{ours}'");
        assert_eq!(
            world.number(&there).await,
            1,
            "{ours}: the stack has made it"
        );
        world
            .run(&format!("grant {ours} to {role} with admin option"))
            .await;
    }
    let mut url = url::Url::parse(&on(&env("DATABASE_URL"), &database)).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("humble")).unwrap();
    world.secret("postgres-owner", url.as_str()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_no_superuser_migrates_and_runs_sql_files() {
    in_world_prepared(humble, migrates).await;
}

async fn migrates(world: &World) {
    let module = world.module();
    let file =
        "-- +goose Up\ncreate table log (id int primary key);\ninsert into log values (1);\n";
    world
        .config_map("sql", json!({"20260101_000000_log.sql": file}))
        .await;
    let spec = |fields: serde_json::Value| {
        let files = json!([{"configMapRef": {"name": "sql"}}]);
        json!({"fields": fields, "migrations": {"files": files}})
    };
    let title = json!({"name": "title", "type": "text", "maxLength": 20});
    let deals = world.model("deals", "deals", spec(json!([title])));
    world.apply_ready(&deals).await;
    let price = json!({"name": "price", "type": "decimal", "precision": 12, "scale": 2});
    let deals = world.model("deals", "deals", spec(json!([title, price])));
    world.apply_ready(&deals).await;

    let tenant = uuid::Uuid::new_v4();
    let resource = world.tenant("a", tenant, json!({}));
    world.apply(&world.tenants(), &resource).await.unwrap();
    let known = format!("select count(*) from platform.tenants where tenant_id = '{tenant}'");
    let began = std::time::Instant::now();
    while world.number(&known).await == 0 {
        assert!(began.elapsed().as_secs() < 30, "the tenant is not let in");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(
        world
            .number(&format!("select count(*) from {module}.log"))
            .await,
        1
    );
    let whose = format!(
        "select count(*) from pg_class c join pg_roles r on r.oid = c.relowner \
         where c.oid = '{module}.deals'::regclass and r.rolname = 'septem_owner' and c.relforcerowsecurity"
    );
    assert_eq!(world.number(&whose).await, 1);
    let mighty = format!(
        "select count(*) from pg_roles where rolname = '{}' and rolsuper",
        world.humble_owner()
    );
    assert_eq!(world.number(&mighty).await, 0);
    // Nobody else's login did it.
    let others = format!(
        "select count(*) from pg_stat_activity where datname = '{}' and application_name = 'septem-operator' \
         and usename not in ('{}', 'septem_owner')",
        world.database(),
        world.humble_owner()
    );
    assert_eq!(world.number(&others).await, 0);
}
