//! Writers at the same time.

use futures::future::join_all;
use http::StatusCode;
use proxy::postgres::Scope;
use serde_json::json;
use sql::Statement;

use crate::support::world::{A, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_never_outlives_its_parent() {
    let world = World::new().await;
    let world = &world;
    for round in 0..40 {
        let company = world.create(A, "companies", json!({"name": "x"})).await;
        let company = company["id"].as_str().unwrap();
        let children = join_all((0..3).map(|i| async move {
            let body = json!({"title": format!("{round}-{i}"), "company_id": company});
            world.send(A, "POST", "deals", Some(body)).await.status
        }));
        let parent = async {
            world
                .send(A, "DELETE", &format!("companies/{company}"), None)
                .await
                .status
        };
        let (children, parent) = futures::future::join(children, parent).await;
        let live = world
            .send(A, "GET", &format!("deals?company_id=eq.{company}"), None)
            .await
            .json();
        let live = live["data"].as_array().unwrap().len();
        let created = children
            .iter()
            .filter(|s| **s == StatusCode::CREATED)
            .count();
        assert_eq!(live, created);
        match parent {
            StatusCode::NO_CONTENT => assert_eq!(created, 0, "round {round}"),
            StatusCode::CONFLICT => assert!(created > 0, "round {round}"),
            other => panic!("round {round}: {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_counts_once() {
    let world = World::new().await;
    let record = world.create(A, "deals", json!({"title": "x"})).await;
    let path = format!("deals/{}", record["id"].as_str().unwrap());
    let (world, path) = (&world, &path);
    let writes = (0..40).map(|i| async move {
        world
            .send(A, "PATCH", path, Some(json!({"seats": i})))
            .await
            .status
    });
    assert!(
        join_all(writes)
            .await
            .into_iter()
            .all(|s| s == StatusCode::OK)
    );
    assert_eq!(
        world.send(A, "GET", path, None).await.json()["data"]["version"],
        41
    );
    // Of those who saw the same version one wins.
    let caller = world.caller(A);
    let caller = &caller;
    let writes = (0..10).map(|i| async move {
        let headers = [("if-match", "\"41\"")];
        world
            .send_as(caller, "PATCH", path, &headers, Some(json!({"seats": i})))
            .await
            .status
    });
    let statuses = join_all(writes).await;
    assert_eq!(statuses.iter().filter(|s| **s == StatusCode::OK).count(), 1);
    assert_eq!(
        statuses
            .iter()
            .filter(|s| **s == StatusCode::PRECONDITION_FAILED)
            .count(),
        9
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_refer_to_each_other_do_not_wait_in_circles() {
    let world = World::new().await;
    let world = &world;
    // Each refers to the other, so each locks both.
    let a = world.create(A, "deals", json!({"title": "a"})).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let b = world.create(A, "deals", json!({"title": "b"})).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (a, b) = (&a, &b);
    for _ in 0..15 {
        let one = async {
            world
                .send(
                    A,
                    "PATCH",
                    &format!("deals/{a}"),
                    Some(json!({"parent_id": b})),
                )
                .await
        };
        let two = async {
            world
                .send(
                    A,
                    "PATCH",
                    &format!("deals/{b}"),
                    Some(json!({"parent_id": a})),
                )
                .await
        };
        let (one, two) = futures::future::join(one, two).await;
        assert_eq!(
            (one.status, two.status),
            (StatusCode::OK, StatusCode::OK),
            "{} {}",
            one.text,
            two.text
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_run_again() {
    let world = World::new().await;
    let one = world
        .create(A, "deals", json!({"title": "one", "seats": 0}))
        .await;
    let two = world
        .create(A, "deals", json!({"title": "two", "seats": 0}))
        .await;
    let scope = Scope {
        tenant: A.parse().unwrap(),
        user: "ada".into(),
    };
    let add = |record: &serde_json::Value| Statement {
        text: "update crm.deals set seats = seats + 1 where id = $1::uuid".to_owned(),
        binds: vec![Some(record["id"].as_str().unwrap().to_owned())],
    };
    let pause = || Statement {
        text: "select pg_sleep(0.3)".to_owned(),
        binds: vec![],
    };
    let database = &world.data.database;
    let (first, second) = futures::future::join(
        database.run_write(&scope, [add(&one), pause(), add(&two)]),
        database.run_write(&scope, [add(&two), pause(), add(&one)]),
    )
    .await;
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    let deals = world
        .send(A, "GET", "deals?select=seats", None)
        .await
        .json();
    assert_eq!(deals["data"], json!([{"seats": 2}, {"seats": 2}]));
}
