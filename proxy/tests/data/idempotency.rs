//! Writes that are sent more than once.

use futures::future::join_all;
use http::StatusCode;
use proxy::{
    caller::Caller,
    data::{Data, Flights},
};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::{
    database::run,
    world::{A, B, Seen, World, send_to},
};

/// A world with schema `platform` in its database.
pub(super) async fn world() -> World {
    with_platform(World::new().await).await
}

/// The world with schema `platform` in its database.
pub(super) async fn with_platform(world: World) -> World {
    let mut admin = world.database.admin().await;
    for role in ["septem_sink", "septem_cdc"] {
        // A role belongs to the server: the operator or another test may have made it.
        let _ = sqlx::query(sqlx::AssertSqlSafe(format!("create role {role}")))
            .execute(&mut admin)
            .await;
    }
    sqlx::migrate!("../migrations")
        .run(&mut admin)
        .await
        .unwrap();
    admin.close().await.unwrap();
    world
}

pub(super) async fn keyed(
    world: &World,
    caller: &Caller,
    key: &str,
    method: &str,
    target: &str,
    body: Option<Value>,
) -> Seen {
    let headers = [("idempotency-key", key)];
    world.send_as(caller, method, target, &headers, body).await
}

async fn count(world: &World, tenant: &str, model: &str) -> usize {
    let seen = world
        .send(
            tenant,
            "GET",
            &format!("{model}?limit=1000&deleted=include"),
            None,
        )
        .await;
    seen.json()["data"].as_array().unwrap().len()
}

fn replayed(seen: &Seen) -> bool {
    seen.header("idempotency-replayed") == Some("true")
}

/// The same to the byte, and said to be given again.
pub(super) fn assert_replay(first: &Seen, again: &Seen) {
    assert!(!replayed(first) && replayed(again), "{first:?} {again:?}");
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    let mut headers = again.headers.clone();
    headers.remove("idempotency-replayed");
    assert_eq!(first.headers, headers);
}

#[tokio::test]
async fn a_write_that_is_sent_again_answers_the_same_and_writes_nothing() {
    let world = world().await;
    let caller = world.caller(A);
    let record = world
        .create(A, "deals", json!({"title": "é\u{1}\"", "amount": "1.10"}))
        .await;
    let path = format!("deals/{}", record["id"].as_str().unwrap());
    let doomed = world.create(A, "deals", json!({"title": "doomed"})).await;
    let doomed = format!("deals/{}", doomed["id"].as_str().unwrap());
    let batch = json!({"operations": [
        {"op": "create", "model": "companies", "ref": "c", "data": {"name": "x"}},
        {"op": "create", "model": "deals", "data": {"title": "y", "company_id": {"$ref": "c.id"}, "stage": {"$ref": "d.stage"}}},
    ]});
    let mut batch = batch;
    batch["operations"].as_array_mut().unwrap().insert(0, json!({"op": "update", "model": "deals", "ref": "d", "id": record["id"], "data": {"seats": 9}}));
    for (key, method, target, body, status) in [
        (
            "create",
            "POST",
            "deals",
            Some(json!({"title": "é\u{2028}\"", "amount": "1.10"})),
            StatusCode::CREATED,
        ),
        (
            "patch",
            "PATCH",
            path.as_str(),
            Some(json!({"seats": 7})),
            StatusCode::OK,
        ),
        (
            "empty",
            "PATCH",
            path.as_str(),
            Some(json!({})),
            StatusCode::OK,
        ),
        (
            "delete",
            "DELETE",
            doomed.as_str(),
            None,
            StatusCode::NO_CONTENT,
        ),
        ("batch", "POST", "batch", Some(batch), StatusCode::OK),
    ] {
        let first = keyed(&world, &caller, key, method, target, body.clone()).await;
        assert_eq!(first.status, status, "{key} {}", first.text);
        let before = (
            count(&world, A, "deals").await,
            count(&world, A, "companies").await,
        );
        let version = world.send(A, "GET", &path, None).await.json()["data"]["version"].clone();
        for _ in 0..2 {
            let again = keyed(&world, &caller, key, method, target, body.clone()).await;
            assert_replay(&first, &again);
        }
        let after = (
            count(&world, A, "deals").await,
            count(&world, A, "companies").await,
        );
        assert_eq!(before, after, "{key}");
        assert_eq!(
            world.send(A, "GET", &path, None).await.json()["data"]["version"],
            version
        );
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_user() {
    let world = world().await;
    let caller = world.caller(A);
    let body = Some(json!({"title": "x"}));
    let first = keyed(&world, &caller, "k", "POST", "deals", body.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    for (target, headers, other) in [
        ("deals", vec![], json!({"title": "y"})),
        ("companies", vec![], json!({"title": "x"})),
        ("deals?select=id", vec![], json!({"title": "x"})),
        (
            "deals",
            vec![("prefer", "return=minimal")],
            json!({"title": "x"}),
        ),
    ] {
        let mut headers: Vec<(&str, &str)> = headers;
        headers.push(("idempotency-key", "k"));
        let seen = world
            .send_as(&caller, "POST", target, &headers, Some(other))
            .await;
        if target == "companies" {
            // Refused before the key is looked at.
            assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{}", seen.text);
            continue;
        }
        assert_eq!(
            seen.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            seen.text
        );
        assert_eq!(seen.json()["code"], "IDEMPOTENCY_MISMATCH");
        assert!(!replayed(&seen));
    }
    // The same key of another user, and of another tenant, is another key.
    let bob = Caller {
        user: "bob".into(),
        ..world.caller(A)
    };
    let theirs = keyed(
        &world,
        &world.caller(B),
        "k",
        "POST",
        "deals",
        Some(json!({"title": "theirs"})),
    )
    .await;
    let bobs = keyed(
        &world,
        &bob,
        "k",
        "POST",
        "deals",
        Some(json!({"title": "bob's"})),
    )
    .await;
    assert_eq!(
        (theirs.status, bobs.status),
        (StatusCode::CREATED, StatusCode::CREATED)
    );
    assert!(!replayed(&theirs) && !replayed(&bobs));
    assert_eq!(
        (
            count(&world, A, "deals").await,
            count(&world, B, "deals").await
        ),
        (2, 1)
    );
    // Who has lost the permission is not answered from what was kept.
    let reader = world.caller_with(A, &["crm.deals.read"]);
    let seen = keyed(&world, &reader, "k", "POST", "deals", body).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_failed_may_be_tried_again_and_reads_need_no_key() {
    let world = world().await;
    let caller = world.caller(A);
    let company = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0c01";
    let body = Some(json!({"title": "x", "company_id": company}));
    let failed = keyed(&world, &caller, "k", "POST", "deals", body.clone()).await;
    assert_eq!(failed.status, StatusCode::CONFLICT);
    world
        .create(A, "companies", json!({"id": company, "name": "x"}))
        .await;
    let first = keyed(&world, &caller, "k", "POST", "deals", body.clone()).await;
    assert_eq!(
        (first.status, replayed(&first)),
        (StatusCode::CREATED, false)
    );
    assert_replay(
        &first,
        &keyed(&world, &caller, "k", "POST", "deals", body).await,
    );
    let read = keyed(&world, &caller, "not a key", "GET", "deals", None).await;
    assert_eq!(read.status, StatusCode::OK);
    let long = "x".repeat(256);
    for wrong in ["", "a b", long.as_str()] {
        let seen = keyed(
            &world,
            &caller,
            wrong,
            "POST",
            "deals",
            Some(json!({"title": "x"})),
        )
        .await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(
            seen.errors()[0].starts_with("Idempotency-Key "),
            "{:?}",
            seen.errors()
        );
    }
    assert_eq!(count(&world, A, "deals").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_write_one_row() {
    let world = world().await;
    let caller = world.caller(A);
    // A second proxy knows nothing of the first one's flights.
    let other = Data {
        flights: Flights::default(),
        ..world.data.clone()
    };
    for (key, proxies) in [
        ("one", [&world.data, &world.data]),
        ("two", [&world.data, &other]),
    ] {
        let before = count(&world, A, "deals").await;
        let caller = &caller;
        let requests = (0..50).map(|i| async move {
            let headers = [("idempotency-key", key)];
            let body = json!({"title": "x"}).to_string();
            send_to(
                proxies[i % 2],
                caller,
                "POST",
                "deals",
                &headers,
                Some(body),
            )
            .await
        });
        let answers = join_all(requests).await;
        assert_eq!(count(&world, A, "deals").await, before + 1);
        assert_eq!(answers.iter().filter(|a| !replayed(a)).count(), 1);
        for answer in &answers {
            assert_eq!(
                (answer.status, &answer.text),
                (StatusCode::CREATED, &answers[0].text)
            );
            assert_eq!(
                answer.headers.get("location"),
                answers[0].headers.get("location")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_too_long_is_told_to_come_back() {
    let world = world().await;
    let caller = world.caller(A);
    // Another process is at work on the key.
    let mut admin = world.database.admin().await;
    run(&mut admin, "begin").await;
    let claim = format!(
        "insert into platform.idempotency (tenant_id, user_id, key, fingerprint) values ('{A}', 'ada', 'k', '')"
    );
    run(&mut admin, &claim).await;
    let started = std::time::Instant::now();
    let body = Some(json!({"title": "x"}));
    let (one, two) = futures::future::join(
        keyed(&world, &caller, "k", "POST", "deals", body.clone()),
        keyed(&world, &caller, "k", "POST", "deals", body.clone()),
    )
    .await;
    let waited = started.elapsed().as_secs_f64();
    assert!((4.5..8.0).contains(&waited), "{waited}");
    for seen in [one, two] {
        assert_eq!(
            (seen.status, seen.header("retry-after")),
            (StatusCode::CONFLICT, Some("1")),
            "{}",
            seen.text
        );
    }
    // It has given up: the key is free.
    run(&mut admin, "rollback").await;
    let first = keyed(&world, &caller, "k", "POST", "deals", body).await;
    assert_eq!(
        (first.status, replayed(&first)),
        (StatusCode::CREATED, false)
    );
    assert_eq!(count(&world, A, "deals").await, 1);
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let world = world().await;
    let caller = world.caller(A);
    let body = Some(json!({"title": "x"}));
    let first = keyed(&world, &caller, "k", "POST", "deals", body.clone()).await;
    let mut admin = world.database.admin().await;
    run(
        &mut admin,
        "update platform.idempotency set created_at = now() - interval '23 hours 59 minutes'",
    )
    .await;
    assert_replay(
        &first,
        &keyed(&world, &caller, "k", "POST", "deals", body.clone()).await,
    );
    // Not removed yet, and given no more, even to another request.
    run(
        &mut admin,
        "update platform.idempotency set created_at = now() - interval '24 hours'",
    )
    .await;
    let second = keyed(
        &world,
        &caller,
        "k",
        "POST",
        "deals",
        Some(json!({"title": "y"})),
    )
    .await;
    assert_eq!(
        (second.status, replayed(&second)),
        (StatusCode::CREATED, false),
        "{}",
        second.text
    );
    assert_replay(
        &second,
        &keyed(
            &world,
            &caller,
            "k",
            "POST",
            "deals",
            Some(json!({"title": "y"})),
        )
        .await,
    );
    run(
        &mut admin,
        "update platform.idempotency set created_at = now() - interval '25 hours'",
    )
    .await;
    let gone: i64 = sqlx::query_scalar("select platform.expire_idempotency(10)")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(gone, 1);
    let third = keyed(&world, &caller, "k", "POST", "deals", body).await;
    assert_eq!(
        (third.status, replayed(&third)),
        (StatusCode::CREATED, false)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_killed_leaves_neither_row_nor_answer() {
    let world = world().await;
    let caller = world.caller(A);
    let company = world.create(A, "companies", json!({"name": "x"})).await;
    let body = Some(json!({"title": "x", "company_id": company["id"]}));
    // The write waits for its parent; its backend is killed there, again and again.
    let mut holder = world.database.admin().await;
    run(&mut holder, "begin").await;
    run(&mut holder, "select from crm.companies for update").await;
    let killer = async {
        let mut admin = world.database.admin().await;
        let mut killed = 0;
        while killed < 2 {
            let waiting = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                 where datname = current_database() and usename = 'septem_app' and wait_event_type = 'Lock'";
            killed += sqlx::query_scalar::<_, i64>(waiting)
                .fetch_one(&mut admin)
                .await
                .unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let write = keyed(&world, &caller, "k", "POST", "deals", body.clone());
    let (seen, ()) = futures::future::join(write, killer).await;
    assert_eq!(
        seen.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        seen.text
    );
    run(&mut holder, "rollback").await;
    assert_eq!(count(&world, A, "deals").await, 0);
    let kept: i64 = sqlx::query_scalar("select count(*) from platform.idempotency")
        .fetch_one(&mut holder)
        .await
        .unwrap();
    assert_eq!(kept, 0);
    let first = keyed(&world, &caller, "k", "POST", "deals", body.clone()).await;
    assert_eq!(
        (first.status, replayed(&first)),
        (StatusCode::CREATED, false),
        "{}",
        first.text
    );
    assert_replay(
        &first,
        &keyed(&world, &caller, "k", "POST", "deals", body).await,
    );
    assert_eq!(count(&world, A, "deals").await, 1);
}

#[tokio::test]
async fn kept_answers_are_fenced_like_rows() {
    let world = world().await;
    let body = Some(json!({"title": "canary-b"}));
    keyed(&world, &world.caller(B), "k", "POST", "deals", body).await;
    let scope = |tenant: &str, user: &str| proxy::postgres::Scope {
        tenant: tenant.parse().unwrap(),
        user: user.into(),
    };
    let everything = || {
        [sql::Statement {
            text: "select body from platform.idempotency".into(),
            binds: vec![],
        }]
    };
    for (tenant, user, expected) in [(B, "ada", 1), (B, "bob", 0), (A, "ada", 0)] {
        let rows = world
            .data
            .database
            .run_write(&scope(tenant, user), everything())
            .await
            .unwrap();
        assert_eq!(rows[0].len(), expected, "{tenant} {user}");
    }
}
