//! Whether filters can use what was indexed for them.

use std::time::Duration;

use crds::ModuleModel;
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{World, cluster::wait, condition, in_world, status_of};

/// What PostgreSQL says to the proxy's role: whether a filter on the decimal is looked for in its index.
async fn looks_into_the_index(world: &World) -> bool {
    let mut transaction = world.app.begin().await.unwrap();
    for statement in [
        "set local enable_seqscan = off".to_owned(),
        format!(
            "select set_config('app.tenant_id', '{}', true)",
            uuid::Uuid::nil()
        ),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    let explain = format!(
        "explain select id from {}.deals where amount > 5::numeric",
        world.module()
    );
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain))
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
    let condition = lines.iter().find(|line| line.contains("Index Cond"));
    condition.is_some_and(|line| line.contains("amount"))
}

/// Waits until the condition is so and nothing else waits.
async fn serves(world: &World, status: &str) -> ModuleModel {
    wait(&world.models(), "deals", status, |m| {
        let told = m.status.as_ref().is_some_and(|s| {
            let is = |kind, state| status_of(&s.conditions, kind) == state;
            is("IndexesServe", status) && is("Ready", "True")
        });
        told && m.status.as_ref().and_then(|s| s.observed_generation) == m.metadata.generation
    })
    .await
}

/// Events that warn of it, and how often.
async fn warned(world: &World) -> Vec<Event> {
    let events = Api::<Event>::namespaced(world.client.clone(), &world.name);
    let of = ListParams::default().fields("reason=NotLeakproof,type=Warning");
    let found = events.list(&of).await.unwrap().items;
    assert!(found.iter().all(|event| event.series.is_none()));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_filters_cannot_use_is_told_until_they_can() {
    in_world(indexes).await;
}

async fn indexes(world: &World) {
    let spec = |page: u32, indexes: Value| {
        json!({
            "fields": [
                {"name": "title", "type": "text", "maxLength": 40},
                {"name": "address", "type": "inet"},
                {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
            ],
            "limits": {"maxPageSize": page},
            "unique": [{"name": "one_title", "fields": ["title", "amount"]}],
            "indexes": indexes,
        })
    };
    let both = json!([
        {"name": "by_address", "fields": ["address", "title"]},
        {"name": "by_amount", "fields": ["amount"]},
    ]);
    let apply = async |page, indexes: &Value| {
        let resource = world.model("deals", "deals", spec(page, indexes.clone()));
        world.apply_ready(&resource).await;
    };
    apply(100, &both).await;
    serves(world, "True").await;
    assert!(looks_into_the_index(world).await);
    assert_eq!(warned(world).await.len(), 0);

    // A database whose operator is no superuser. Functions are a database's own: no other test sees it.
    world
        .run("alter function pg_catalog.numeric_gt(numeric, numeric) not leakproof")
        .await;
    assert!(!looks_into_the_index(world).await);
    apply(101, &both).await;
    let told = serves(world, "False").await.status.unwrap();
    let found = condition(&told.conditions, "IndexesServe").unwrap();
    assert_eq!(found.reason, "NotLeakproof");
    assert!(
        found.message.starts_with("spec.indexes[1]: index deals__by_amount, column amount; spec.unique[0]: index deals__one_title, column amount: filters do not use it, since comparisons of numeric are"),
        "{}",
        found.message
    );
    let warnings = warned(world).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].note.as_deref(), Some(found.message.as_str()));
    // The same again is no news. Drift is looked for all the same.
    apply(102, &both).await;
    let told = serves(world, "False").await.status.unwrap();
    assert_eq!(warned(world).await.len(), 1);
    assert_eq!(status_of(&told.conditions, "Drifted"), "False");
    assert_eq!(
        condition(&told.conditions, "Drifted").unwrap().reason,
        "NoDrift"
    );

    // One that is gone is not told of any more, and what is left is news.
    let one = json!([both[0]]);
    apply(103, &one).await;
    let told = serves(world, "False").await.status.unwrap();
    let message = &condition(&told.conditions, "IndexesServe").unwrap().message;
    assert!(message.starts_with("spec.unique[0]: index"), "{message}");
    assert_eq!(warned(world).await.len(), 2);

    // An operator that is a superuser marks them, and the next look finds it out by itself.
    world.stop().await;
    world.start_with(|config| config.drift_interval = Duration::from_secs(1));
    serves(world, "True").await;
    assert_eq!(warned(world).await.len(), 2);
}
