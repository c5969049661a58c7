//! Writes of records that are there: by filter, by id in a body, and back again.

use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::world::{A, B, Seen, World, send_to};

const UNKNOWN: &str = "0198f0aa-0000-7000-8000-00000000ffff";

fn rows(seen: &Seen) -> Vec<String> {
    let errors = seen.json()["errors"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |e: &Value| {
        let row = e["row"].as_u64().map_or("-".to_owned(), |r| r.to_string());
        format!(
            "{row} {} {}",
            e["field"].as_str().unwrap(),
            e["code"].as_str().unwrap()
        )
    };
    errors.iter().map(text).collect()
}

/// Deals `0` to `n - 1` of a tenant, their ids in order.
async fn deals(world: &World, tenant: &str, n: usize) -> Vec<String> {
    let body: Vec<_> = (0..n)
        .map(|i| json!({"title": format!("{i}"), "seats": i}))
        .collect();
    let seen = world.send(tenant, "POST", "deals", Some(body.into())).await;
    assert_eq!(seen.status, StatusCode::CREATED, "{}", seen.text);
    let data = seen.json()["data"].as_array().unwrap().clone();
    data.iter()
        .map(|r| r["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn seats(world: &World, tenant: &str) -> Vec<Value> {
    let seen = world
        .send(
            tenant,
            "GET",
            "deals?select=seats&order=title&limit=200",
            None,
        )
        .await;
    let data = seen.json()["data"].as_array().unwrap().clone();
    data.into_iter().map(|r| r["seats"].clone()).collect()
}

#[tokio::test]
async fn a_filter_says_what_is_changed() {
    let world = World::new().await;
    let caller = world.caller(A);
    let ids = deals(&world, A, 5).await;
    deals(&world, B, 5).await;
    let seen = world
        .send(
            A,
            "PATCH",
            "deals?seats=gte.3&select=title,version",
            Some(json!({"stage": "won"})),
        )
        .await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    assert_eq!(
        seen.json(),
        json!({"data": [{"title": "3", "version": 2}, {"title": "4", "version": 2}], "meta": {"affected": 2}})
    );
    let none = world
        .send(
            A,
            "PATCH",
            "deals?seats=gte.30",
            Some(json!({"stage": "won"})),
        )
        .await;
    assert_eq!(none.json(), json!({"data": [], "meta": {"affected": 0}}));
    let seen = world
        .send(
            A,
            "PATCH",
            "deals?or=(seats.eq.0,and(seats.gt.1,title.like.*2*))",
            Some(json!({"stage": "lost"})),
        )
        .await;
    assert_eq!(seen.json()["meta"]["affected"], 2, "{}", seen.text);
    for (method, target, prefer, body, status) in [
        ("PATCH", "deals", "", json!({"stage": "won"}), 400),
        ("DELETE", "deals", "", Value::Null, 400),
        ("DELETE", "deals?select=id", "", Value::Null, 400),
        ("DELETE", "deals?seats=gt.0&limit=1", "", Value::Null, 400),
        (
            "DELETE",
            "deals?seats=gt.0&columns=id",
            "",
            Value::Null,
            400,
        ),
        (
            "PATCH",
            "deals?seats=gt.0&order=id",
            "",
            json!({"stage": "won"}),
            400,
        ),
        ("PATCH", "deals?nope=eq.1", "", json!({"stage": "won"}), 400),
        (
            "PATCH",
            "deals?seats=gt.0",
            "",
            json!({"stage": "won", "version": 1}),
            400,
        ),
        ("PATCH", "deals?seats=gt.0", "", json!({"id": UNKNOWN}), 400),
        ("PATCH", "deals?seats=gt.0", "", json!({}), 400),
        (
            "PATCH",
            "deals?seats=gt.0",
            "max-affected=3",
            json!({"stage": "won"}),
            409,
        ),
        (
            "DELETE",
            "deals?seats=gt.0",
            "max-affected=3",
            Value::Null,
            409,
        ),
        (
            "PATCH",
            "deals?seats=gt.0",
            "",
            json!({"company_id": UNKNOWN}),
            409,
        ),
    ] {
        let headers = [("prefer", prefer)];
        let body = (!body.is_null()).then_some(body);
        let seen = world.send_as(&caller, method, target, &headers, body).await;
        assert_eq!(
            seen.status.as_u16(),
            status,
            "{method} {target} {}",
            seen.text
        );
    }
    let if_match = [("if-match", "\"1\"")];
    for method in ["PATCH", "DELETE"] {
        let body = (method == "PATCH").then(|| json!({"seats": 9}));
        let seen = world
            .send_as(&caller, method, "deals?seats=gt.0", &if_match, body)
            .await;
        assert_eq!(
            (seen.status, seen.errors()),
            (
                StatusCode::BAD_REQUEST,
                vec!["If-Match INVALID_VALUE".to_owned()]
            )
        );
    }
    assert_eq!(seats(&world, A).await, [0, 1, 2, 3, 4].map(|i| json!(i)));

    let minimal = [("prefer", "return=minimal, max-affected=4")];
    let seen = world
        .send_as(
            &caller,
            "PATCH",
            "deals?seats=gt.0",
            &minimal,
            Some(json!({"seats": null})),
        )
        .await;
    assert_eq!(
        (seen.status, seen.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    assert_eq!(
        seen.header("preference-applied"),
        Some("return=minimal, max-affected=4")
    );
    assert_eq!(
        seats(&world, A).await,
        [json!(0), Value::Null, Value::Null, Value::Null, Value::Null]
    );
    assert_eq!(seats(&world, B).await, [0, 1, 2, 3, 4].map(|i| json!(i)));
    // A parent that is there is taken by all.
    let parent = json!({"parent_id": ids[0]});
    let seen = world
        .send(A, "PATCH", "deals?seats=is.null", Some(parent))
        .await;
    assert_eq!(seen.json()["meta"]["affected"], 4, "{}", seen.text);

    // Referred to by the others, which stay: none is deleted.
    let held = world.send(A, "DELETE", "deals?title=in.(0,1)", None).await;
    assert_eq!(
        (held.status, held.errors()),
        (
            StatusCode::CONFLICT,
            vec!["deals REFERENCE_IN_USE".to_owned()]
        ),
        "{}",
        held.text
    );
    assert_eq!(seats(&world, A).await.len(), 5);
    let dry = [("prefer", "tx=rollback")];
    let seen = world
        .send_as(&caller, "DELETE", "deals?title=neq.x", &dry, None)
        .await;
    assert_eq!(seen.json()["meta"]["affected"], 5, "{}", seen.text);
    assert_eq!(seats(&world, A).await.len(), 5);
    let seen = world
        .send_as(&caller, "DELETE", "deals?title=in.(1,2)", &minimal, None)
        .await;
    assert_eq!(
        (seen.status, seen.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    let all = world
        .send(A, "DELETE", "deals?title=neq.x&select=title", None)
        .await;
    assert_eq!(
        all.json(),
        json!({"data": [{"title": "0"}, {"title": "3"}, {"title": "4"}], "meta": {"affected": 3}})
    );
    assert_eq!(seats(&world, B).await.len(), 5);
}

#[tokio::test]
async fn a_filter_may_reach_a_page_of_records_and_more_unseen() {
    let world = World::new().await;
    let caller = world.caller(A);
    for _ in 0..2 {
        deals(&world, A, 600).await;
    }
    for (method, body) in [("PATCH", Some(json!({"stage": "won"}))), ("DELETE", None)] {
        let seen = world
            .send(A, method, "deals?seats=gte.0", body.clone())
            .await;
        assert_eq!(
            (seen.status, seen.errors()),
            (
                StatusCode::BAD_REQUEST,
                vec!["filters LIMIT_EXCEEDED".to_owned()]
            )
        );
        let minimal = [("prefer", "return=minimal")];
        let seen = world
            .send_as(&caller, method, "deals?seats=gte.0", &minimal, body)
            .await;
        assert_eq!(seen.status, StatusCode::NO_CONTENT, "{}", seen.text);
    }
    assert!(seats(&world, A).await.is_empty());
}

#[tokio::test]
async fn each_record_changes_in_its_own_way() {
    let world = World::new().await;
    let caller = world.caller(A);
    let ids = deals(&world, A, 4).await;
    let foreign = deals(&world, B, 1).await;
    let body = json!([
        {"id": ids[2], "title": "two", "seats": null, "parent_id": ids[0]},
        {"id": ids[0], "seats": 7, "version": 1},
        {"id": ids[1]},
    ]);
    let seen = world
        .send(
            A,
            "PATCH",
            "deals?select=title,seats,stage,version",
            Some(body),
        )
        .await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    assert_eq!(
        seen.json(),
        json!({"data": [
            {"title": "two", "seats": null, "stage": "open", "version": 2},
            {"title": "0", "seats": 7, "stage": "open", "version": 2},
            {"title": "1", "seats": 1, "stage": "open", "version": 1},
        ], "meta": {"affected": 2}})
    );
    let only = world
        .send(A, "PATCH", "deals", Some(json!([{"id": ids[3]}])))
        .await;
    assert_eq!(
        (only.status, only.json()["meta"]["affected"].as_i64()),
        (StatusCode::OK, Some(0)),
        "{}",
        only.text
    );
    for (body, status, expected) in [
        (
            json!([{"id": ids[0], "seats": 1}, {"id": UNKNOWN, "seats": 1}]),
            404,
            vec!["1 id NOT_FOUND"],
        ),
        (
            json!([{"id": ids[0], "seats": 1}, {"id": foreign[0], "seats": 1}]),
            404,
            vec!["1 id NOT_FOUND"],
        ),
        (
            json!([{"id": ids[1], "seats": 1}, {"id": ids[0], "seats": 1, "version": 1}]),
            409,
            vec!["1 version STALE_VERSION"],
        ),
        (
            json!([{"id": ids[1], "seats": 1}, {"id": ids[0], "company_id": UNKNOWN}]),
            409,
            vec!["1 company_id REFERENCE_NOT_FOUND"],
        ),
        (
            json!([{"id": ids[1], "seats": 1}, {"id": ids[1], "seats": 2}]),
            400,
            vec!["1 id DUPLICATE"],
        ),
        (
            json!([{"id": ids[1], "seats": 1}, {"seats": 2}]),
            400,
            vec!["1 id REQUIRED"],
        ),
        (
            json!([{"id": ids[1], "seats": 1}, {"id": ids[0], "seats": "x"}]),
            400,
            vec!["1 seats INVALID_VALUE"],
        ),
    ] {
        let seen = world.send(A, "PATCH", "deals", Some(body)).await;
        assert_eq!(
            (seen.status.as_u16(), rows(&seen)),
            (status, expected.into_iter().map(str::to_owned).collect()),
            "{}",
            seen.text
        );
    }
    assert_eq!(seats(&world, A).await[..2], [json!(7), json!(1)]);
    let seen = world
        .send(
            A,
            "PATCH",
            "deals?seats=gt.0",
            Some(json!([{"id": ids[0], "seats": 1}])),
        )
        .await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    let csv = format!("id,seats,stage\n{},5,won\n{},NULL,lost\n", ids[0], ids[1]);
    let headers = [("content-type", "text/csv")];
    let seen = send_to(&world.data, &caller, "PATCH", "deals", &headers, Some(csv)).await;
    assert_eq!(seen.json()["meta"]["affected"], 2, "{}", seen.text);
    assert_eq!(seats(&world, A).await[..2], [json!(5), Value::Null]);
}

#[tokio::test]
async fn a_merge_patch_changes_the_inside_of_json() {
    let world = World::new().await;
    let caller = world.caller(A);
    let record = world
        .create(A, "things", json!({"a_text": "x", "a_json": {"keep": 1, "gone": 2, "deep": {"a": [1], "b": {"c": true}}}}))
        .await;
    let path = format!("things/{}", record["id"].as_str().unwrap());
    let headers = [("content-type", "application/merge-patch+json")];
    let patch = |target: String, body: &'static str| {
        let (world, caller) = (&world, &caller);
        async move {
            send_to(
                &world.data,
                caller,
                "PATCH",
                &target,
                &headers,
                Some(body.to_owned()),
            )
            .await
        }
    };
    let body = r#"{"a_json": {"gone": null, "never": null, "deep": {"a": null, "b": {"d": 12345678901234567890.123450}, "n": {"x": {}}}, "new": [null, {"y": null}]}}"#;
    let seen = patch(format!("{path}?select=a_json,a_text"), body).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    assert!(
        seen.text.contains("12345678901234567890.123450"),
        "{}",
        seen.text
    );
    let json = seen.json()["data"].clone();
    assert_eq!(json["a_text"], "x");
    assert_eq!(
        (
            &json["a_json"]["keep"],
            &json["a_json"]["deep"]["n"],
            &json["a_json"]["new"],
            &json["a_json"]["deep"]["b"]["c"]
        ),
        (
            &json!(1),
            &json!({"x": {}}),
            &json!([null, {"y": null}]),
            &json!(true)
        )
    );
    assert!(json["a_json"].get("gone").is_none() && json["a_json"]["deep"].get("a").is_none());
    // The examples of RFC 7396, appendix A, in the one place where a patch of anything can stand.
    for (before, change, after) in [
        (
            json!({"a": "b"}),
            r#"{"a_json": {"a": "c"}}"#,
            json!({"a": "c"}),
        ),
        (
            json!({"a": "b"}),
            r#"{"a_json": {"b": "c"}}"#,
            json!({"a": "b", "b": "c"}),
        ),
        (json!({"a": "b"}), r#"{"a_json": {"a": null}}"#, json!({})),
        (
            json!({"a": ["b"]}),
            r#"{"a_json": {"a": "c"}}"#,
            json!({"a": "c"}),
        ),
        (
            json!({"a": "c"}),
            r#"{"a_json": {"a": ["b"]}}"#,
            json!({"a": ["b"]}),
        ),
        (
            json!({"a": {"b": "c"}}),
            r#"{"a_json": {"a": {"b": "d", "c": null}}}"#,
            json!({"a": {"b": "d"}}),
        ),
        (
            json!(["a", "b"]),
            r#"{"a_json": ["c", "d"]}"#,
            json!(["c", "d"]),
        ),
        (json!({"a": "foo"}), r#"{"a_json": "bar"}"#, json!("bar")),
        (
            json!({"e": null}),
            r#"{"a_json": {"a": 1}}"#,
            json!({"e": null, "a": 1}),
        ),
        (
            json!([1, 2]),
            r#"{"a_json": {"a": "b", "c": null}}"#,
            json!({"a": "b"}),
        ),
        (
            json!({}),
            r#"{"a_json": {"a": {"bb": {"ccc": null}}}}"#,
            json!({"a": {"bb": {}}}),
        ),
        (json!({"a": 1}), r#"{"a_json": null}"#, Value::Null),
        (Value::Null, r#"{"a_json": {"a": 1}}"#, json!({"a": 1})),
    ] {
        world
            .send(A, "PATCH", &path, Some(json!({"a_json": before})))
            .await;
        let seen = patch(path.clone(), change).await;
        assert_eq!(seen.json()["data"]["a_json"], after, "{before} {change}");
    }
    // By filter and by id as well.
    let seen = patch("things?a_text=eq.x".to_owned(), r#"{"a_json": {"f": 1}}"#).await;
    assert_eq!(
        seen.json()["data"][0]["a_json"],
        json!({"a": 1, "f": 1}),
        "{}",
        seen.text
    );
    let many = format!(r#"[{{"id": {}, "a_json": {{"a": null}}}}]"#, record["id"]);
    let seen = send_to(
        &world.data,
        &caller,
        "PATCH",
        "things",
        &headers,
        Some(many),
    )
    .await;
    assert_eq!(
        seen.json()["data"][0]["a_json"],
        json!({"f": 1}),
        "{}",
        seen.text
    );
}

#[tokio::test]
async fn a_deleted_record_is_restored() {
    let world = World::new().await;
    let caller = world.caller(A);
    let company = world
        .create(A, "companies", json!({"name": "a", "code": "X"}))
        .await;
    let company = company["id"].as_str().unwrap().to_owned();
    let deal = world
        .create(A, "deals", json!({"title": "d", "company_id": company}))
        .await;
    let deal = deal["id"].as_str().unwrap().to_owned();
    let restore = |model: &str, id: &str| format!("{model}/{id}/restore");
    for id in [&deal, UNKNOWN] {
        let seen = world.send(A, "POST", &restore("deals", id), None).await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND);
    }
    world
        .send(A, "DELETE", &format!("deals/{deal}"), None)
        .await;
    world
        .send(A, "DELETE", &format!("companies/{company}"), None)
        .await;
    // Not another tenant's, not without the permission, not with another version, not without its company.
    let other = world.send(B, "POST", &restore("deals", &deal), None).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    let writer = world.caller_with(A, &["crm.deals.write", "crm.deals.read"]);
    let seen = world
        .send_as(&writer, "POST", &restore("deals", &deal), &[], None)
        .await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    let stale = [("if-match", "\"1\"")];
    let seen = world
        .send_as(&caller, "POST", &restore("deals", &deal), &stale, None)
        .await;
    assert_eq!(seen.status, StatusCode::PRECONDITION_FAILED);
    let seen = world.send(A, "POST", &restore("deals", &deal), None).await;
    assert_eq!(
        (seen.status, seen.errors()),
        (
            StatusCode::CONFLICT,
            vec!["company_id REFERENCE_NOT_FOUND".to_owned()]
        )
    );
    // Its code is taken meanwhile.
    let taker = world
        .create(A, "companies", json!({"name": "b", "code": "X"}))
        .await;
    let seen = world
        .send(A, "POST", &restore("companies", &company), None)
        .await;
    assert_eq!(
        (seen.status, seen.errors()),
        (StatusCode::CONFLICT, vec!["code NOT_UNIQUE".to_owned()])
    );
    world
        .send(
            A,
            "DELETE",
            &format!("companies/{}", taker["id"].as_str().unwrap()),
            None,
        )
        .await;
    let seen = world
        .send(A, "POST", &restore("companies", &company), None)
        .await;
    assert_eq!(
        (seen.status, seen.header("etag")),
        (StatusCode::OK, Some("\"3\"")),
        "{}",
        seen.text
    );
    let seen = world.send(A, "POST", &restore("deals", &deal), None).await;
    assert_eq!(
        (seen.status, seen.json()["data"]["title"].as_str()),
        (StatusCode::OK, Some("d"))
    );
    assert_eq!(
        world
            .send(A, "GET", &format!("deals/{deal}"), None)
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        world
            .send(A, "PATCH", &restore("deals", &deal), Some(json!({})))
            .await
            .status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn a_filter_needs_the_permission_to_read() {
    let world = World::new().await;
    deals(&world, A, 2).await;
    let blind = world.caller_with(A, &["crm.deals.write", "crm.deals.delete"]);
    let minimal = [("prefer", "return=minimal")];
    for (method, body) in [("PATCH", Some(json!({"seats": 1}))), ("DELETE", None)] {
        let seen = world
            .send_as(&blind, method, "deals?seats=eq.1", &minimal, body)
            .await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN);
        assert!(seen.text.contains("crm.deals.read"), "{}", seen.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_the_same_records_do_not_wait_in_circles() {
    let world = World::new().await;
    let ids = deals(&world, A, 30).await;
    deals(&world, B, 30).await;
    let (world, ids) = (&world, &ids);
    let writes = (0..12).map(|i| async move {
        let mut ids = ids.clone();
        ids.rotate_left(i * 2);
        if i % 2 == 0 {
            ids.reverse();
        }
        let seen = match i % 3 {
            0 => {
                world
                    .send(A, "PATCH", "deals?seats=gte.0", Some(json!({"amount": i})))
                    .await
            }
            1 => {
                let body: Vec<_> = ids
                    .iter()
                    .map(|id| json!({"id": id, "amount": i, "parent_id": ids[0]}))
                    .collect();
                world.send(A, "PATCH", "deals", Some(body.into())).await
            }
            _ => {
                world
                    .send(B, "PATCH", "deals?seats=gte.0", Some(json!({"amount": i})))
                    .await
            }
        };
        assert_eq!(
            (seen.status, seen.json()["meta"]["affected"].as_i64()),
            (StatusCode::OK, Some(30)),
            "{}",
            seen.text
        );
    });
    join_all(writes).await;
    for (tenant, version) in [(A, 9), (B, 5)] {
        let target = format!("deals?version=eq.{version}&count=exact&limit=0");
        assert_eq!(
            world.send(tenant, "GET", &target, None).await.json()["meta"]["count"],
            30
        );
    }
}
