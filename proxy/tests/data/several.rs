//! Writes of records that are there: by filter, by id in a body, and back again.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::world::{A, B, Seen, World, send_to};

pub(super) const UNKNOWN: &str = "0198f0aa-0000-7000-8000-00000000ffff";

pub(super) fn rows(seen: &Seen) -> Vec<String> {
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
pub(super) async fn deals(world: &World, tenant: &str, n: usize) -> Vec<String> {
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

pub(super) async fn seats(world: &World, tenant: &str) -> Vec<Value> {
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

#[tokio::test]
async fn who_may_not_read_is_told_nothing() {
    let world = World::new().await;
    let ids = deals(&world, A, 2).await;
    let blind = world.caller_with(A, &["crm.deals.write", "crm.deals.delete"]);
    let body = json!([{"id": ids[0], "seats": 7}, {"id": ids[1]}]);
    let seen = world
        .send_as(&blind, "PATCH", "deals", &[], Some(body.clone()))
        .await;
    assert_eq!(
        (seen.status, seen.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    let shown = [("prefer", "return=representation")];
    let seen = world
        .send_as(&blind, "PATCH", "deals", &shown, Some(body))
        .await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    let path = format!("deals/{}", ids[0]);
    world.send_as(&blind, "DELETE", &path, &[], None).await;
    let restore = format!("{path}/restore");
    let seen = world.send_as(&blind, "POST", &restore, &shown, None).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    let seen = world.send_as(&blind, "POST", &restore, &[], None).await;
    assert_eq!(
        (seen.status, seen.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    let all = seats(&world, A).await;
    assert_eq!(all, [json!(7), json!(1)]);
}

#[tokio::test]
async fn what_is_answered_is_selected_as_in_a_list() {
    let world = World::new().await;
    for (tenant, text) in [(A, "x"), (B, "canary")] {
        let body = json!({"a_int32": 7, "a_text": text, "a_json": {"k": {"n": [1.50]}}});
        world.create(tenant, "things", body).await;
    }
    let filter = "a_json->k->n->>0=eq.1.5&not.or=(a_int32.lt.7,a_text.is.null)";
    let select = "select=a:a_int32::text,b:a_int32::text,a_json->k,a_json->k->>n,a_text";
    for (method, body) in [("PATCH", Some(json!({"a_bool": true}))), ("DELETE", None)] {
        let target = format!("things?{filter}&{select}");
        let seen = world.send(A, method, &target, body).await;
        assert_eq!(
            seen.json(),
            json!({
                "data": [{"a": "7", "b": "7", "k": {"n": [1.5]}, "n": "[1.5]", "a_text": "x"}],
                "meta": {"affected": 1},
            }),
            "{}",
            seen.text
        );
    }
    let left = world.send(B, "GET", "things?a_bool=is.null", None).await;
    assert_eq!(left.json()["data"][0]["a_text"], "canary");
}
