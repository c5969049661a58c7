//! The operator's own binary, killed again and again while it works.

use std::time::Duration;

use serde_json::json;

use crate::support::{World, in_world, status_of};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_at_any_moment_ends_in_the_same_state() {
    in_world(killed).await;
}

async fn killed(world: &World) {
    // The one in this process makes room.
    world.stop().await;
    let module = world.module();
    let text = json!([{"name": "title", "type": "text", "maxLength": 20}, {"name": "stage", "type": "enum", "values": ["a", "b"]}]);
    for model in ["one", "two", "three"] {
        world
            .apply(
                &world.models(),
                &world.model(model, model, json!({"fields": text})),
            )
            .await
            .unwrap();
    }
    for tenant in ["a", "b"] {
        let id = uuid::Uuid::new_v4();
        world
            .apply(&world.tenants(), &world.tenant(tenant, id, json!({})))
            .await
            .unwrap();
    }
    // From before the first connection to after the last statement.
    for round in 1_u64..=12 {
        let mut child = world.start_binary("");
        tokio::time::sleep(Duration::from_millis(round * 120)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // Halfway through a change, too.
    let mut more = text.clone();
    more.as_array_mut()
        .unwrap()
        .push(json!({"name": "note", "type": "text", "maxLength": 9}));
    more[1]["values"] = json!(["a", "b", "c"]);
    for model in ["one", "two", "three"] {
        world
            .apply(
                &world.models(),
                &world.model(model, model, json!({"fields": more})),
            )
            .await
            .unwrap();
    }
    for round in 4_u64..=8 {
        let mut child = world.start_binary("");
        tokio::time::sleep(Duration::from_millis(round * 150)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    world.start();
    for model in ["one", "two", "three"] {
        let ready = world
            .apply_ready(&world.model(model, model, json!({"fields": more})))
            .await;
        assert_eq!(
            status_of(&ready.status.unwrap().conditions, "Drifted"),
            "False",
            "{model}"
        );
    }
    let count = |query: String| async move { world.number(&query).await };
    assert_eq!(
        count("select count(*) from platform.model_columns".into()).await,
        9
    );
    assert_eq!(
        count("select count(*) from platform.models where served".into()).await,
        3
    );
    assert_eq!(
        count("select count(*) from pg_constraint where not convalidated".into()).await,
        0
    );
    let published =
        format!("select count(*) from pg_publication_tables where schemaname = '{module}'");
    assert_eq!(count(published).await, 3);
    // Each change was recorded once, with the transaction that made it.
    let recorded = count("select count(*) from platform.schema_migrations".into()).await;
    assert!((3..=6).contains(&recorded), "{recorded}");
    let distinct = "select count(distinct (model, sha256)) from platform.schema_migrations";
    assert_eq!(count(distinct.into()).await, recorded);
}
