//! What is answered when a part behind is away, late or not ready.

use std::time::{Duration, Instant};

use http::HeaderMap;
use proxy::{
    analytics::{Analytics, SelfTest},
    problem::ProblemKind,
};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, net::TcpListener};

use super::lab::{Lab, rows, run};

fn count() -> Value {
    json!({"model": "deals", "aggregate": "count"})
}

async fn kind(lab: &Lab, analytics: &Analytics) -> ProblemKind {
    lab.ask_with(analytics, &lab.a, count(), HeaderMap::new())
        .await
        .unwrap_err()
        .kind
}

#[tokio::test]
async fn a_table_or_history_that_is_not_there_yet_is_not_synced() {
    let lab = Lab::open().await;
    run(&lab.admin, &format!("DROP TABLE {}", lab.table("deals"))).await;
    assert_eq!(lab.refused(count()).await.0, ProblemKind::NotSynced);
    assert_eq!(
        lab.analytics.self_test(&lab.catalog).await,
        SelfTest::Passed
    );
    lab.forget_last_sync().await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    let things = json!({"model": "things", "aggregate": "count"});
    assert_eq!(lab.refused(things.clone()).await.0, ProblemKind::NotSynced);
    lab.set_last_sync("2026-04-15T10:30:00.123Z").await;
    let answer = lab.ask(&lab.a, things).await.unwrap();
    assert_eq!(answer["meta"]["lastSyncAt"], "2026-04-15T10:30:00.123Z");
    lab.close().await;
}

#[tokio::test]
async fn nothing_is_answered_before_the_self_test_has_passed() {
    let lab = Lab::open().await;
    let untested = lab.with(|_| {});
    assert_eq!(untested.state(), SelfTest::Pending);
    assert_eq!(kind(&lab, &untested).await, ProblemKind::Unavailable);
    assert_eq!(untested.self_test(&lab.catalog).await, SelfTest::Passed);
    assert!(
        lab.ask_with(&untested, &lab.a, count(), HeaderMap::new())
            .await
            .is_ok()
    );
    lab.close().await;
}

/// Forwards to ClickHouse until told to be silent.
struct Wire {
    url: url::Url,
    silent: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    async fn to(target: &url::Url) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut url = target.clone();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        let target = format!("{}:{}", target.host_str().unwrap(), target.port().unwrap());
        let (silent, told) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (target, told) = (target.clone(), told.clone());
                tokio::spawn(async move {
                    if *told.borrow() {
                        let mut drain = Vec::new();
                        let _ = client.read_to_end(&mut drain).await;
                    } else if let Ok(mut server) = tokio::net::TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self { url, silent, task }
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_unavailable_and_a_silent_one_times_out() {
    let lab = Lab::open().await;
    let wire = Wire::to(&lab.config.url).await;
    let analytics = lab.with(|config| {
        config.url = wire.url.clone();
        config.query_time_max = Duration::from_secs(1);
    });
    assert_eq!(analytics.self_test(&lab.catalog).await, SelfTest::Passed);
    assert!(
        lab.ask_with(&analytics, &lab.a, count(), HeaderMap::new())
            .await
            .is_ok()
    );
    wire.silent.send(true).unwrap();
    // Pooled connections were made while the wire still carried.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let started = Instant::now();
    assert_eq!(kind(&lab, &analytics).await, ProblemKind::Timeout);
    assert!(started.elapsed() < Duration::from_secs(5));
    wire.task.abort();
    let _ = wire.task.await;
    assert_eq!(kind(&lab, &analytics).await, ProblemKind::Unavailable);
    // What was shown once stays shown while the store is away.
    assert_eq!(analytics.self_test(&lab.catalog).await, SelfTest::Passed);
    lab.close().await;
}

#[tokio::test]
async fn without_postgresql_nothing_is_answered() {
    let lab = Lab::open().await;
    let analytics = lab
        .with(|config| config.database_url = "postgres://x:y@127.0.0.1:1/none".to_owned().into());
    assert_eq!(analytics.self_test(&lab.catalog).await, SelfTest::Passed);
    assert_eq!(kind(&lab, &analytics).await, ProblemKind::Unavailable);
    lab.close().await;
}

/// Two million records of tenant A, and a query over them that takes many seconds.
async fn slow_query(lab: &Lab) -> Value {
    let fill = format!(
        "INSERT INTO {} (tenant_id, record_id, int16, text, decimal, _version, _deleted)
         SELECT '{}', leftPad(toString(number), 16, '0'), 1, repeat(toString(number), 8), number, 1, 0 FROM numbers(2000000)",
        lab.table("things"),
        lab.a
    );
    run(&lab.admin, &fill).await;
    // Patterns that match nothing and must walk through every text to know it.
    let patterns: Vec<_> = (0..50)
        .map(|i| format!("not.ilike.*{i}*1*2*3*4*5*6*7*8*9*x*"))
        .collect();
    json!({"model": "things", "aggregate": "count", "groupBy": "text", "filters": {"text": patterns}})
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_stopped_by_clickhouse() {
    let lab = Lab::open().await;
    let body = slow_query(&lab).await;
    let analytics = lab.with(|config| config.query_time_max = Duration::from_secs(1));
    assert_eq!(analytics.self_test(&lab.catalog).await, SelfTest::Passed);
    let started = Instant::now();
    let answer = lab
        .ask_with(&analytics, &lab.a, body, HeaderMap::new())
        .await;
    let problem = answer.map(|_| "quick enough").unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Timeout, "{problem:?}");
    assert!(started.elapsed() < Duration::from_secs(6));
    lab.close().await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_query() {
    let lab = Lab::open().await;
    let body = slow_query(&lab).await;
    let running = format!(
        "SELECT count() FROM system.processes WHERE query LIKE '%{}%' AND query NOT LIKE '%system.processes%'",
        lab.module
    );
    let count = async || rows(lab.admin.query_raw(&running)).await.unwrap();
    let asked = lab.ask(&lab.a, body);
    tokio::select! {
        _ = asked => panic!("the query was quick"),
        () = async { while count().await == "0" { tokio::time::sleep(Duration::from_millis(20)).await } } => {}
    }
    let left = Instant::now();
    while count().await != "0" {
        assert!(left.elapsed() < Duration::from_secs(5), "it runs on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    lab.close().await;
}

#[tokio::test]
async fn one_tenant_fills_its_own_queue_only() {
    let lab = std::sync::Arc::new(Lab::open().await);
    lab.put("deals", &lab.a, 1, 1, json!({})).await;
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let lab = std::sync::Arc::clone(&lab);
            tokio::spawn(async move {
                lab.ask(&lab.a, count())
                    .await
                    .map_err(|p| (p.kind, p.retry_after_seconds))
            })
        })
        .collect();
    let others = lab.ask(&lab.b, count()).await.unwrap();
    assert_eq!(others["data"], json!([{"count": 0}]));
    let (mut answered, mut refused) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(answer) => {
                answered += 1;
                assert_eq!(answer["data"], json!([{"count": 1}]));
            }
            Err(problem) => {
                refused += 1;
                assert_eq!(problem, (ProblemKind::Unavailable, Some(1)));
            }
        }
    }
    assert!(answered >= 24, "{answered} answered, {refused} refused");
    std::sync::Arc::into_inner(lab).unwrap().close().await;
}
