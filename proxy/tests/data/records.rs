//! One record's life.

use http::StatusCode;
use serde_json::json;

use crate::support::world::{A, World};

const UNKNOWN: &str = "0198f0aa-0000-7000-8000-00000000ffff";

#[tokio::test]
async fn a_record_is_created_read_changed_and_deleted() {
    let world = World::new().await;
    let created = world
        .send(
            A,
            "POST",
            "deals",
            Some(json!({"title": "One", "amount": 1.5})),
        )
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let record = created.json()["data"].clone();
    let id = record["id"].as_str().unwrap().to_owned();
    assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7);
    assert_eq!(
        created.header("location"),
        Some(&*format!("/v1/data/crm/deals/{id}"))
    );
    assert_eq!(created.header("etag"), Some("\"1\""));
    assert!(
        created.text.contains("\"amount\":1.50,"),
        "{}",
        created.text
    );
    assert_eq!(
        (record["stage"].as_str(), record["version"].as_i64()),
        (Some("open"), Some(1))
    );
    assert_eq!(
        (record["created_by"].as_str(), record["seats"].is_null()),
        (Some("ada"), true)
    );
    let keys: Vec<_> = record.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        [
            "id",
            "title",
            "amount",
            "stage",
            "seats",
            "company_id",
            "parent_id",
            "created_at",
            "updated_at",
            "created_by",
            "updated_by",
            "version"
        ]
    );

    let path = format!("deals/{id}");
    let got = world.send(A, "GET", &path, None).await;
    assert_eq!(
        (got.status, got.json()),
        (StatusCode::OK, json!({"data": record, "meta": {}}))
    );
    assert_eq!(got.header("etag"), Some("\"1\""));

    let patched = world
        .send(A, "PATCH", &path, Some(json!({"stage": "won", "seats": 3})))
        .await;
    assert_eq!(
        (patched.status, patched.header("etag")),
        (StatusCode::OK, Some("\"2\"")),
        "{}",
        patched.text
    );
    let record = patched.json()["data"].clone();
    assert_eq!(
        (record["title"].as_str(), record["stage"].as_str()),
        (Some("One"), Some("won"))
    );
    assert!(record["updated_at"].as_str() > record["created_at"].as_str());

    // Nothing to change is nothing changed.
    let same = world.send(A, "PATCH", &path, Some(json!({}))).await;
    assert_eq!(
        (same.status, same.json()["data"].clone()),
        (StatusCode::OK, record)
    );
    let cleared = world
        .send(A, "PATCH", &path, Some(json!({"seats": null})))
        .await;
    assert!(cleared.json()["data"]["seats"].is_null());

    let deleted = world.send(A, "DELETE", &path, None).await;
    assert_eq!(
        (deleted.status, deleted.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    for (method, body) in [
        ("GET", None),
        ("DELETE", None),
        ("PATCH", Some(json!({"seats": 1}))),
        ("PATCH", Some(json!({}))),
    ] {
        let gone = world.send(A, method, &path, body).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND, "{method}");
    }
    // It is there still: its id is taken, and it shows where deleted records may.
    let again = world
        .send(A, "POST", "deals", Some(json!({"id": id, "title": "Two"})))
        .await;
    assert_eq!(
        (again.status, again.errors()),
        (StatusCode::CONFLICT, vec!["id NOT_UNIQUE".to_owned()])
    );
    let only = world
        .send(A, "GET", "deals?deleted=only", None)
        .await
        .json();
    assert_eq!(
        (
            only["data"][0]["id"].as_str(),
            only["data"][0]["version"].as_i64()
        ),
        (Some(&*id), Some(4))
    );
    assert!(only["data"][0]["deleted_at"].is_string());
    assert_eq!(
        world.send(A, "GET", "deals", None).await.json()["data"],
        json!([])
    );
    assert_eq!(
        world
            .send(A, "GET", "deals?deleted=include", None)
            .await
            .json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn versions_guard_writes() {
    let world = World::new().await;
    let caller = world.caller(A);
    let record = world.create(A, "deals", json!({"title": "One"})).await;
    let path = format!("deals/{}", record["id"].as_str().unwrap());
    let send = |method: &'static str,
                headers: Vec<(&'static str, &'static str)>,
                body: Option<serde_json::Value>| {
        let (world, caller, path) = (&world, &caller, &path);
        async move { world.send_as(caller, method, path, &headers, body).await }
    };
    let change = || Some(json!({"seats": 1}));
    assert_eq!(
        send("GET", vec![("if-none-match", "\"1\"")], None)
            .await
            .status,
        StatusCode::NOT_MODIFIED
    );
    assert_eq!(
        send("GET", vec![("if-none-match", "\"2\"")], None)
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        send("PATCH", vec![("if-match", "\"9\"")], change())
            .await
            .status,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(
        send("PATCH", vec![("if-match", "\"9\"")], Some(json!({})))
            .await
            .status,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(
        send("DELETE", vec![("if-match", "\"9\"")], None)
            .await
            .status,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(
        send("PATCH", vec![("if-match", "W/\"1\"")], change())
            .await
            .status,
        StatusCode::PRECONDITION_FAILED
    );
    let stale = send("PATCH", vec![], Some(json!({"seats": 1, "version": 9}))).await;
    assert_eq!(
        (stale.status, stale.errors()),
        (
            StatusCode::CONFLICT,
            vec!["version STALE_VERSION".to_owned()]
        )
    );
    assert_eq!(
        send("PATCH", vec![], Some(json!({"version": 9})))
            .await
            .status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        world.send(A, "GET", &path, None).await.header("etag"),
        Some("\"1\"")
    );
    let good = send(
        "PATCH",
        vec![("if-match", "\"7\", \"1\"")],
        Some(json!({"seats": 1, "version": 1})),
    )
    .await;
    assert_eq!(
        (good.status, good.header("etag")),
        (StatusCode::OK, Some("\"2\""))
    );
    assert_eq!(
        send("PATCH", vec![("if-match", "*")], change())
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        send("DELETE", vec![("if-match", "\"3\"")], None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_before_anything_is_written() {
    let world = World::new().await;
    let caller = world.caller(A);
    let body =
        json!({"title": "x".repeat(201), "seats": 1.5, "stage": "gone", "nope": 1, "version": 3});
    let bad = world.send(A, "POST", "deals", Some(body)).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        bad.errors(),
        [
            "nope UNKNOWN_FIELD",
            "seats INVALID_VALUE",
            "stage NOT_IN_ENUM",
            "title TOO_LONG",
            "version READ_ONLY"
        ]
    );
    assert_eq!(
        world
            .send(A, "POST", "deals", Some(json!({})))
            .await
            .errors(),
        ["title REQUIRED"]
    );
    let good = || Some(json!({"title": "x"}));
    for (method, target, headers, body, status) in [
        ("GET", "nope", vec![], None, 404),
        ("GET", "deals/1", vec![], None, 400),
        ("GET", &format!("deals/{UNKNOWN}"), vec![], None, 404),
        ("GET", &format!("deals/{UNKNOWN}?x=1"), vec![], None, 400),
        ("GET", "deals", vec![("accept", "image/png")], None, 406),
        (
            "POST",
            "deals",
            vec![("content-type", "text/plain")],
            good(),
            415,
        ),
        (
            "POST",
            "deals",
            vec![],
            Some(json!([{"title": "x"}, 1])),
            400,
        ),
        ("POST", "deals?on_conflict=id", vec![], good(), 400),
        ("POST", "deals?columns=nope", vec![], good(), 400),
        (
            "POST",
            "deals",
            vec![("prefer", "resolution=merge-duplicates")],
            good(),
            400,
        ),
        ("POST", "deals", vec![("if-match", "*")], good(), 400),
        ("POST", "deals", vec![("if-none-match", "*")], good(), 400),
        (
            "PATCH",
            &format!("deals/{UNKNOWN}"),
            vec![("if-none-match", "*")],
            good(),
            400,
        ),
        (
            "DELETE",
            &format!("deals/{UNKNOWN}"),
            vec![("if-none-match", "*")],
            None,
            400,
        ),
        ("POST", "deals", vec![("prefer", "tx=maybe")], good(), 400),
        ("POST", &format!("deals/{UNKNOWN}"), vec![], good(), 405),
        ("PUT", &format!("deals/{UNKNOWN}"), vec![], good(), 405),
        ("PUT", "deals", vec![], good(), 405),
        ("PATCH", "deals", vec![], good(), 400),
        ("DELETE", "deals", vec![], None, 400),
    ] {
        let seen = world.send_as(&caller, method, target, &headers, body).await;
        assert_eq!(
            seen.status.as_u16(),
            status,
            "{method} {target} {headers:?} {}",
            seen.text
        );
    }
    assert_eq!(
        world.send(A, "GET", "deals?count=exact", None).await.json()["meta"]["count"],
        0
    );
}

#[tokio::test]
async fn permissions_come_before_existence() {
    let world = World::new().await;
    let record = world.create(A, "deals", json!({"title": "x"})).await;
    let path = format!("deals/{}", record["id"].as_str().unwrap());
    let unknown = format!("deals/{UNKNOWN}");
    let reader = world.caller_with(A, &["crm.deals.read"]);
    let body = || Some(json!({"title": "y"}));
    for (method, target, body) in [
        ("POST", "deals", body()),
        ("PATCH", &*path, body()),
        ("PATCH", &*unknown, body()),
        ("DELETE", &*path, None),
        ("DELETE", &*unknown, None),
        ("GET", "deals?deleted=include", None),
        ("GET", "companies", None),
        ("GET", "companies/x", None),
    ] {
        let seen = world.send_as(&reader, method, target, &[], body).await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN, "{method} {target}");
    }
    assert_eq!(
        world.send_as(&reader, "GET", &path, &[], None).await.status,
        StatusCode::OK
    );
    assert_eq!(
        world
            .send_as(&world.caller_with(A, &[]), "GET", "deals", &[], None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn preferences_shape_the_answer() {
    let world = World::new().await;
    let caller = world.caller(A);
    let body = || Some(json!({"title": "x", "amount": 2}));
    let minimal = world
        .send_as(
            &caller,
            "POST",
            "deals",
            &[("prefer", "return=minimal")],
            body(),
        )
        .await;
    assert_eq!(
        (minimal.status, minimal.text.as_str()),
        (StatusCode::CREATED, "")
    );
    let location = minimal
        .header("location")
        .unwrap()
        .strip_prefix("/v1/data/crm/")
        .unwrap()
        .to_owned();
    assert_eq!(minimal.header("preference-applied"), Some("return=minimal"));
    let strings = world
        .send_as(
            &caller,
            "GET",
            &location,
            &[("prefer", "numbers=string")],
            None,
        )
        .await;
    assert_eq!(strings.json()["data"]["amount"], "2.00");
    assert_eq!(
        (
            strings.json()["data"]["version"].clone(),
            strings.header("etag")
        ),
        (json!("1"), None)
    );
    let patched = world
        .send_as(
            &caller,
            "PATCH",
            &location,
            &[("prefer", "return=minimal")],
            Some(json!({"seats": 1})),
        )
        .await;
    assert_eq!(patched.status, StatusCode::NO_CONTENT);
    let selected = world
        .send(A, "GET", &format!("{location}?select=seats,id"), None)
        .await;
    assert_eq!(
        selected.json()["data"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["seats", "id"]
    );
    assert_eq!(selected.header("etag"), Some("\"2\""));
    let deleted = world
        .send_as(
            &caller,
            "DELETE",
            &location,
            &[("prefer", "return=representation")],
            None,
        )
        .await;
    assert_eq!(
        (deleted.status, deleted.json()["data"]["version"].as_i64()),
        (StatusCode::OK, Some(3))
    );
}
