//! Who is waited for before something goes that an older catalogue mentions.

use operator::catalog::waiting_for;

use crate::support::{World, in_world};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_seen_lately_and_uses_an_older_revision_is_waited_for() {
    in_world(instances).await;
}

async fn instances(world: &World) {
    let fields = serde_json::json!({"fields": [{"name": "title", "type": "text"}]});
    world
        .apply_ready(&world.model("deals", "deals", fields))
        .await;
    let mut conn = world.admin.acquire().await.unwrap();
    assert!(waiting_for(&mut conn, i64::MAX).await.unwrap().is_empty());
    sqlx::raw_sql(
        "insert into platform.proxy_instances (instance, revision, last_seen, kind) values
           ('behind', 6, now() - interval '29 seconds', 'proxy'), ('starting', 0, now(), 'sink'),
           ('current', 7, now(), 'proxy'), ('ahead', 8, now(), 'hooks'),
           ('gone', 1, now() - interval '31 seconds', 'proxy'), ('forgotten', 1, now() - interval '2 hours', 'proxy')",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    assert_eq!(
        waiting_for(&mut conn, 7).await.unwrap(),
        ["starting", "behind"]
    );
    drop(conn);
    // As the proxy's role: told again, and what was not seen for an hour is removed.
    sqlx::raw_sql("select platform.acknowledge_revision('behind', 7)")
        .execute(&world.app)
        .await
        .unwrap();
    let mut conn = world.admin.acquire().await.unwrap();
    assert_eq!(waiting_for(&mut conn, 7).await.unwrap(), ["starting"]);
    drop(conn);
    let count = "select count(*) from platform.proxy_instances where instance = 'forgotten'";
    assert_eq!(world.number(count).await, 0);
    for denied in [
        "select platform.acknowledge_revision_of_sink('starting', 7, false)",
        "select platform.note_instance('starting', 7, 'sink')",
        "delete from platform.proxy_instances",
    ] {
        let refused = sqlx::raw_sql(denied).execute(&world.app).await.unwrap_err();
        let code = refused.as_database_error().and_then(|e| e.code());
        assert_eq!(code.as_deref(), Some("42501"), "{denied}");
    }
}
