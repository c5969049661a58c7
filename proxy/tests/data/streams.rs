//! Rows that are streamed: all of them, within bounds, and nothing left behind.

use std::time::{Duration, Instant};

use proxy::postgres::{DatabaseError, RowStream, Scope};
use sql::Statement;
use sqlx::PgConnection;

use crate::support::{
    database::run,
    world::{A, B, World},
};

fn scope(tenant: &str) -> Scope {
    Scope {
        tenant: tenant.parse().unwrap(),
        user: "ada".into(),
    }
}

fn statement(text: &str) -> Statement {
    Statement {
        text: text.to_owned(),
        binds: vec![],
    }
}

async fn rest(rows: &mut RowStream) -> Result<Vec<String>, DatabaseError> {
    let mut texts = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        assert!(!batch.is_empty());
        for row in batch {
            let value = row.values().next().unwrap().unwrap().to_vec();
            texts.push(String::from_utf8(value).unwrap());
        }
    }
    Ok(texts)
}

/// Connections of streams, told from the lanes' by what they last ran.
async fn streaming(admin: &mut PgConnection, mark: &str) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database()
         and application_name = 'septem-proxy' and query like '%' || $1 || '%' and pid <> pg_backend_pid()",
    )
    .bind(mark)
    .fetch_one(admin)
    .await
    .unwrap()
}

async fn gone_within_a_second(admin: &mut PgConnection, mark: &str) {
    let began = Instant::now();
    while streaming(admin, mark).await > 0 {
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{mark}: still there"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_row_comes_once_and_in_order() {
    let world = World::new().await;
    let database = &world.data.database;
    // Around the bounds of an Execute, of a batch, and with rows larger than a batch.
    for count in [0, 1, 999, 1000, 1001, 2000, 30_000] {
        let text = format!("select n::text from generate_series(1, {count}) n");
        let mut rows = database.stream(&scope(A), &statement(&text)).await.unwrap();
        let expected: Vec<_> = (1..=count).map(|n: i32| n.to_string()).collect();
        assert_eq!(rest(&mut rows).await.unwrap(), expected);
        assert!(rows.next().await.is_none());
    }
    let large = "select repeat('x', 300000) from generate_series(1, 20)";
    let mut rows = database.stream(&scope(A), &statement(large)).await.unwrap();
    let texts = rest(&mut rows).await.unwrap();
    assert!(texts.len() == 20 && texts.iter().all(|t| t.len() == 300_000));
}

#[tokio::test]
async fn a_stream_is_one_tenants() {
    let world = World::new().await;
    let database = &world.data.database;
    for (tenant, name) in [(A, "canary-a"), (B, "canary-b")] {
        let made = serde_json::json!({"name": name});
        world.create(tenant, "companies", made).await;
    }
    // Without our own predicate: the policy alone.
    let all = statement("select name || current_setting('app.tenant_id') from crm.companies");
    for (tenant, name) in [(A, "canary-a"), (B, "canary-b")] {
        let mut rows = database.stream(&scope(tenant), &all).await.unwrap();
        assert_eq!(rest(&mut rows).await.unwrap(), [format!("{name}{tenant}")]);
    }
    let write = statement("update crm.companies set name = 'x' returning id::text");
    let refused = database.stream(&scope(A), &write).await.err().unwrap();
    assert!(matches!(refused, DatabaseError::Resources(code) if code == "25006"));
}

#[tokio::test]
async fn an_error_is_told_before_the_first_row_or_in_the_middle() {
    let world = World::new().await;
    let database = &world.data.database;
    let early = statement("select * from crm.nowhere");
    let error = database.stream(&scope(A), &early).await.err().unwrap();
    assert_eq!(error, DatabaseError::StaleSchema("42P01".into()));
    let late = statement("select (100000 / (50000 - n))::text from generate_series(1, 60000) n");
    let mut rows = database.stream(&scope(A), &late).await.unwrap();
    assert_eq!(
        rest(&mut rows).await.unwrap_err(),
        DatabaseError::RecordTooLarge
    );
    assert!(rows.next().await.is_none());
}

#[tokio::test]
async fn streams_are_bounded_for_a_tenant_and_in_all() {
    let world = World::with(|config| {
        config.streams.connections = 3;
        config.streams.per_tenant = 2;
    })
    .await;
    let database = &world.data.database;
    let endless = statement("select generate_series(1, 100000000)::text -- bounded");
    let open = async |tenant| database.stream(&scope(tenant), &endless).await;
    let one = open(A).await.unwrap();
    let two = open(A).await.unwrap();
    assert_eq!(open(A).await.err(), Some(DatabaseError::TooManyStreams));
    let three = open(B).await.unwrap();
    assert_eq!(open(B).await.err(), Some(DatabaseError::Unavailable));
    drop(one);
    let four = open(B).await.unwrap();
    drop((two, three, four));
    let mut admin = world.database.admin().await;
    gone_within_a_second(&mut admin, "bounded").await;
    for _ in 0..10 {
        drop(open(A).await.unwrap());
    }
}

#[tokio::test]
async fn whoever_goes_away_ends_the_query() {
    let world = World::with(|config| {
        config.streams.first_rows_wait = Duration::from_millis(200);
    })
    .await;
    let database = &world.data.database;
    let mut admin = world.database.admin().await;
    // In a sort, where the server writes nothing; and blocked, because nobody reads.
    for text in [
        "select md5(n::text) m from generate_series(1, 50000000) n order by m -- sorting",
        "select repeat('x', 1000000) from generate_series(1, 1000000) -- writing",
    ] {
        let mark = text.rsplit("-- ").next().unwrap();
        let rows = database.stream(&scope(A), &statement(text)).await.unwrap();
        assert_eq!(streaming(&mut admin, mark).await, 1, "{mark}");
        drop(rows);
        gone_within_a_second(&mut admin, mark).await;
    }
    // Given up before it is handed out.
    let slow = statement("select pg_sleep(30)::text -- waiting");
    let (given_up, scope) = (Duration::from_millis(100), scope(A));
    let waiting = tokio::time::timeout(given_up, database.stream(&scope, &slow)).await;
    assert!(waiting.is_err());
    gone_within_a_second(&mut admin, "waiting").await;
}

#[tokio::test]
async fn a_stream_has_a_deadline_and_may_lose_its_server() {
    let world = World::with(|config| {
        config.streams.deadline = Duration::from_millis(500);
        config.streams.first_rows_wait = Duration::from_millis(50);
    })
    .await;
    let database = &world.data.database;
    let slow = statement("select pg_sleep(30)::text -- dead");
    let mut rows = database.stream(&scope(A), &slow).await.unwrap();
    assert_eq!(rest(&mut rows).await.unwrap_err(), DatabaseError::Timeout);
    let mut admin = world.database.admin().await;
    gone_within_a_second(&mut admin, "dead").await;

    let world = World::new().await;
    let mut admin = world.database.admin().await;
    let long = statement("select n::text from generate_series(1, 5000000) n -- killed");
    let mut rows = world.data.database.stream(&scope(A), &long).await.unwrap();
    run(
        &mut admin,
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%-- killed'",
    )
    .await;
    let lost = rest(&mut rows).await.unwrap_err();
    assert!(
        matches!(&lost, DatabaseError::Unavailable)
            || matches!(&lost, DatabaseError::Unexpected { code, .. } if code == "57P01"),
        "{lost}"
    );
}
