//! Tenants: the registry, the role `admin`, and the fence in ClickHouse.

use crds::Tenant;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::support::{
    World,
    cluster::{wait, wait_gone},
    condition, in_world, status_of,
};

async fn apply_ready(world: &World, object: &Value) -> Tenant {
    let generation = world
        .apply(&world.tenants(), object)
        .await
        .unwrap()
        .metadata
        .generation;
    wait(
        &world.tenants(),
        object["metadata"]["name"].as_str().unwrap(),
        "Ready",
        |t| {
            t.status.as_ref().is_some_and(|s| {
                s.observed_generation == generation && status_of(&s.conditions, "Ready") == "True"
            })
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_let_in_changed_and_shut_out() {
    in_world(life_of_a_tenant).await;
}

async fn life_of_a_tenant(world: &World) {
    let fields = json!({"fields": [{"name": "title", "type": "text"}]});
    world
        .apply_ready(&world.model("deals", "deals", fields))
        .await;
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    apply_ready(world, &world.tenant("a", a, json!({}))).await;
    apply_ready(world, &world.tenant("b", b, json!({"modules": []}))).await;

    let catalog: String = sqlx::query_scalar(model::catalog::CATALOG_QUERY)
        .fetch_one(&world.app)
        .await
        .unwrap();
    let catalog = model::Catalog::parse(&catalog).unwrap();
    let tenant = |id: uuid::Uuid| {
        catalog
            .tenant(&id.to_string().parse().unwrap())
            .unwrap()
            .clone()
    };
    assert!(catalog.has(&tenant(a), &world.module(), "deals"));
    assert!(!catalog.has(&tenant(b), &world.module(), "deals"));
    let permissions = |id: uuid::Uuid, user: &'static str| {
        let app = world.app.clone();
        async move {
            let query = "select p from platform.permissions_of($1, $2) p order by 1";
            sqlx::query_scalar::<_, String>(query)
                .bind(id)
                .bind(user)
                .fetch_all(&app)
                .await
                .unwrap()
        }
    };
    assert!(
        permissions(a, "ada")
            .await
            .contains(&format!("{}.deals.write", world.module()))
    );
    assert!(permissions(a, "eve").await.is_empty());
    let policy = world
        .clickhouse(format!(
            "select select_filter from system.row_policies where short_name = 't_{a}'"
        ))
        .await;
    assert!(policy.contains(&a.to_string()), "{policy}");
    let open = |id: uuid::Uuid| {
        format!(
            "select count() from system.role_grants where user_name = 'septem_gateway' and granted_role_name = 't_{id}'"
        )
    };
    assert_eq!(world.clickhouse(open(a)).await.trim(), "1");

    // Immutable ids, and names that are taken.
    let refused = world
        .apply(&world.tenants(), &world.tenant("a", b, json!({})))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("is immutable"), "{refused}");
    for (name, spec) in [
        ("same-id", json!({"tenantId": a})),
        ("same-slug", json!({"slug": format!("{}-a", world.name)})),
    ] {
        let object = world.tenant(name, uuid::Uuid::new_v4(), spec);
        world.apply(&world.tenants(), &object).await.unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let refused = wait(&world.tenants(), name, "a conflict", |t| {
            t.status
                .as_ref()
                .is_some_and(|s| status_of(&s.conditions, "Stalled") == "True")
        })
        .await;
        let status = refused.status.unwrap();
        let accepted = condition(&status.conditions, "Accepted").unwrap();
        assert_eq!(accepted.reason, "NameConflict");
        assert!(
            accepted.message.contains(&format!("{}-a", world.name)),
            "{}",
            accepted.message
        );
        world
            .tenants()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
        wait_gone(&world.tenants(), name).await;
    }
    assert_eq!(
        world.clickhouse(open(a)).await.trim(),
        "1",
        "deleting the second changes nothing for the first"
    );

    // Changes reach the catalogue; the role `admin` is the resource's.
    apply_ready(
        world,
        &world.tenant("a", a, json!({"state": "Suspended", "admins": ["eve"]})),
    )
    .await;
    let suspended = "select count(*) from platform.tenants where state = 'Suspended'";
    assert_eq!(world.number(suspended).await, 1);
    assert!(permissions(a, "ada").await.is_empty());
    assert!(!permissions(a, "eve").await.is_empty());

    // Deleted: out of the catalogue, and ClickHouse is shut; rows stay.
    let name = format!("{}-a", world.name);
    world
        .tenants()
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    wait_gone(&world.tenants(), &name).await;
    assert_eq!(world.clickhouse(open(a)).await.trim(), "0");
    assert_eq!(
        world
            .number("select count(*) from platform.tenants where not served")
            .await,
        1
    );
    let catalog: String = sqlx::query_scalar(model::catalog::CATALOG_QUERY)
        .fetch_one(&world.app)
        .await
        .unwrap();
    assert!(!catalog.contains(&a.to_string()));

    // Applied again, it is let in again.
    apply_ready(world, &world.tenant("a", a, json!({}))).await;
    assert_eq!(world.clickhouse(open(a)).await.trim(), "1");
}
