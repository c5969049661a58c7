//! The wire loop against a server that changes, refuses and dies.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use proxy::postgres::{Database, DatabaseError, Lane, Row, Scope};
use serde_json::json;
use sql::Statement;

use crate::support::{
    database::run,
    world::{A, Published, World, catalog_of, models, send_to},
};

fn scope() -> Scope {
    Scope {
        tenant: A.parse().unwrap(),
        user: "ada".into(),
    }
}

fn statement(text: &str) -> Statement {
    Statement {
        text: text.to_owned(),
        binds: vec![],
    }
}

fn text_of(rows: &[Row]) -> String {
    String::from_utf8(rows[0].values().next().unwrap().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn an_error_ends_its_own_chunk_only() {
    let world = World::new().await;
    let database = &world.data.database;
    let good = || statement("select current_setting('app.tenant_id')");
    let scope_a = scope();
    for _ in 0..3 {
        let bad = database.run_read(
            &scope_a,
            Lane::Shared,
            [good(), statement("select acos(2)"), good()],
        );
        let (bad, fine) =
            futures::future::join(bad, database.run_read(&scope_a, Lane::Shared, [good()])).await;
        assert!(matches!(bad.unwrap_err(), DatabaseError::Invalid { code, .. } if code == "22003"));
        assert_eq!(text_of(&fine.unwrap()[0]), A);
    }
    // A chunk is one transaction: what stood before the error is undone.
    let write = statement(&format!(
        "insert into crm.companies (tenant_id, id, name, created_by, updated_by) values ('{A}', gen_random_uuid(), 'x', 'a', 'a')"
    ));
    database
        .run_write(&scope(), [write, statement("select 1/0")])
        .await
        .unwrap_err();
    assert_eq!(
        world.send(A, "GET", "companies", None).await.json()["data"],
        json!([])
    );
    // Text that is no statement at all.
    let syntax = database
        .run_read(&scope(), Lane::Shared, [statement("selec 1")])
        .await
        .unwrap_err();
    assert!(matches!(syntax, DatabaseError::Unexpected { code, .. } if code == "42601"));
    let missing = database
        .run_read(&scope(), Lane::Shared, [statement("select x from nope")])
        .await
        .unwrap_err();
    assert_eq!(missing, DatabaseError::StaleSchema("42P01".into()));
}

#[tokio::test]
async fn a_slow_statement_moves_to_the_slow_lane_and_ends_there() {
    let world = World::with(|config| {
        config.shared.statement_timeout = Duration::from_millis(50);
        config.exclusive.statement_timeout = Duration::from_millis(400);
        config.exclusive.lock_timeout = Duration::from_millis(100);
    })
    .await;
    let database = &world.data.database;
    let slow = database
        .run_read(
            &scope(),
            Lane::Shared,
            [statement("select pg_sleep(0.2)::text")],
        )
        .await;
    assert!(slow.is_ok());
    let slower = database
        .run_read(&scope(), Lane::Shared, [statement("select pg_sleep(2)")])
        .await;
    assert_eq!(slower.unwrap_err(), DatabaseError::Timeout);
    // A row that somebody else holds: 409 with Retry-After.
    let record = world.create(A, "deals", json!({"title": "x"})).await;
    let id = record["id"].as_str().unwrap();
    let mut admin = world.database.admin().await;
    run(&mut admin, "begin").await;
    run(
        &mut admin,
        &format!("select from crm.deals where id = '{id}' for update"),
    )
    .await;
    let locked = world
        .send(
            A,
            "PATCH",
            &format!("deals/{id}"),
            Some(json!({"seats": 1})),
        )
        .await;
    assert_eq!(
        (locked.status, locked.header("retry-after")),
        (StatusCode::CONFLICT, Some("1")),
        "{}",
        locked.text
    );
    run(&mut admin, "rollback").await;
    assert_eq!(
        world
            .send(
                A,
                "PATCH",
                &format!("deals/{id}"),
                Some(json!({"seats": 1}))
            )
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn more_statements_than_a_connection_keeps() {
    let world = World::with(|config| {
        config.statements = 64;
        config.shared.connections = 1;
    })
    .await;
    for round in 0..2 {
        let each = (0..200).map(|i| {
            let database = &world.data.database;
            async move {
                let rows = database
                    .run_read(
                        &scope(),
                        Lane::Shared,
                        [
                            statement(&format!("select '{i}'")),
                            statement(&format!("select '{}'", i % 7)),
                        ],
                    )
                    .await
                    .unwrap();
                assert_eq!(
                    (text_of(&rows[0]), text_of(&rows[1])),
                    (i.to_string(), (i % 7).to_string()),
                    "{round}"
                );
            }
        });
        futures::future::join_all(each).await;
    }
    let kept = world
        .data
        .database
        .run_read(
            &scope(),
            Lane::Shared,
            [statement("select count(*) from pg_prepared_statements")],
        )
        .await
        .unwrap();
    let kept: usize = text_of(&kept[0]).parse().unwrap();
    assert!((2..=65).contains(&kept), "{kept}");
}

/// Whoever waits behind a slow statement waits for the shared lane's `statement_timeout`, and only for the first of its
/// kind.
#[tokio::test]
async fn a_slow_statement_holds_up_quick_ones_once() {
    let limit = Duration::from_millis(300);
    let world = World::with(|config| {
        config.shared.connections = 1;
        config.shared.statement_timeout = limit;
    })
    .await;
    let database = &world.data.database;
    let slow = || database_read(database, "select pg_sleep(1)");
    let quick = || async {
        let began = Instant::now();
        database_read(database, "select 1").await;
        began.elapsed()
    };
    quick().await;
    // Joined futures are polled in order: the slow one is on the connection first.
    let (_, first) = futures::join!(slow(), quick());
    assert!(first >= limit && first < limit * 2, "{first:?}");
    let (_, _, second) = futures::join!(slow(), slow(), quick());
    assert!(second < limit, "{second:?}");
}

async fn database_read(database: &Database, text: &str) {
    let scope = scope();
    let read = database.run_read(&scope, Lane::Shared, [statement(text)]);
    read.await.unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let world = World::with(|config| {
        config.exclusive.connections = 1;
        config.exclusive.queue = 2;
    })
    .await;
    let scope = scope();
    let slow = (0..10).map(|_| {
        world
            .data
            .database
            .run_write(&scope, [statement("select pg_sleep(0.3)")])
    });
    let results = futures::future::join_all(slow).await;
    let refused = results
        .iter()
        .filter(|r| matches!(r, Err(DatabaseError::Unavailable)))
        .count();
    assert!((7..=8).contains(&refused), "{refused}");
}

#[tokio::test]
async fn tables_may_change_under_prepared_statements() {
    let mut world = World::new().await;
    let record = world.create(A, "deals", json!({"title": "x"})).await;
    let path = format!("deals/{}", record["id"].as_str().unwrap());
    for _ in 0..8 {
        assert_eq!(
            world.send(A, "GET", &path, None).await.status,
            StatusCode::OK
        );
        assert_eq!(
            world.send(A, "GET", "deals", None).await.status,
            StatusCode::OK
        );
    }
    let mut owner = world.database.admin().await;
    run(&mut owner, "set role septem_owner").await;
    // A column that is new, one whose type is another: statements by name go on.
    run(&mut owner, "alter table crm.deals add column note text").await;
    assert_eq!(
        world.send(A, "GET", &path, None).await.status,
        StatusCode::OK
    );
    run(
        &mut owner,
        "alter table crm.deals alter column seats type bigint",
    )
    .await;
    assert_eq!(
        world.send(A, "GET", &path, None).await.status,
        StatusCode::OK
    );
    assert_eq!(
        world
            .send(A, "PATCH", &path, Some(json!({"seats": 5})))
            .await
            .status,
        StatusCode::OK
    );
    // A column that is gone: an answer only with a newer catalogue.
    run(&mut owner, "alter table crm.deals drop column seats").await;
    let stale = world.send(A, "GET", &path, None).await;
    assert_eq!(stale.status, StatusCode::SERVICE_UNAVAILABLE);
    let mut models = models();
    let mut document = serde_json::to_value(&models[1]).unwrap();
    document["fields"]
        .as_array_mut()
        .unwrap()
        .retain(|f| f["name"] != "seats");
    document["indexes"] = json!([]);
    models[1] = serde_json::from_value(document).unwrap();
    world.data.catalogs = Arc::new(Published(Some(catalog_of(&models, 2))));
    let old = world.caller(A);
    let fresh = send_to(&world.data, &old, "GET", &path, &[], None).await;
    assert_eq!(fresh.status, StatusCode::OK, "{}", fresh.text);
    assert!(!fresh.text.contains("seats"));
    let created = send_to(
        &world.data,
        &old,
        "POST",
        "deals",
        &[],
        Some("{\"title\": \"y\"}".into()),
    )
    .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_process_costs_no_read_and_no_wrong_answer() {
    let world = World::new().await;
    let record = world.create(A, "deals", json!({"title": "x"})).await;
    let id = record["id"].as_str().unwrap().to_owned();
    let path = format!("deals/{id}");
    let (world, path) = (&world, &path);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let stop = &stop;
    let running = || !stop.load(std::sync::atomic::Ordering::Relaxed);
    let reader = |_| async move {
        let (mut good, mut away) = (0, 0);
        while running() {
            let seen = world.send(A, "GET", path, None).await;
            match seen.status {
                StatusCode::OK => good += 1,
                StatusCode::SERVICE_UNAVAILABLE => away += 1,
                other => panic!("{other} {}", seen.text),
            }
        }
        (good, away)
    };
    let writer = async {
        let (mut good, mut unknown) = (0, 0);
        while running() {
            let seen = world
                .send(A, "PATCH", path, Some(json!({"stage": "won"})))
                .await;
            match seen.status {
                StatusCode::OK => good += 1,
                StatusCode::SERVICE_UNAVAILABLE if seen.text.contains("OUTCOME_UNKNOWN") => {
                    unknown += 1
                }
                StatusCode::SERVICE_UNAVAILABLE => {}
                other => panic!("{other} {}", seen.text),
            }
        }
        (good, unknown)
    };
    let killer = async {
        let mut admin = world.database.admin().await;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            run(
                &mut admin,
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and application_name = 'septem-proxy'",
            )
            .await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let readers = futures::future::join_all((0..8).map(reader));
    let (readers, (written, unknown), ()) = futures::future::join3(readers, writer, killer).await;
    let (good, away) = readers
        .iter()
        .fold((0, 0), |(g, a), (good, away)| (g + good, a + away));
    assert!(good > 200, "{good} reads, {away} turned away");
    // Every acknowledged write is there; an unknown one may be.
    let version = world.send(A, "GET", path, None).await.json()["data"]["version"]
        .as_i64()
        .unwrap();
    assert!(
        (1 + written..=1 + written + unknown).contains(&version),
        "{version} {written} {unknown}"
    );
    assert!(world.data.database.is_ready());
}
