//! The inside of JSON, and the way back from a deletion.

use http::StatusCode;
use serde_json::{Value, json};

use super::several::{UNKNOWN, rows};
use crate::support::world::{A, B, World, send_to};

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
async fn a_batch_restores() {
    let world = World::new().await;
    let company = world
        .create(A, "companies", json!({"name": "a", "code": "X"}))
        .await;
    let company = company["id"].as_str().unwrap().to_owned();
    let deal = world
        .create(A, "deals", json!({"title": "d", "company_id": company}))
        .await;
    let deal = deal["id"].as_str().unwrap().to_owned();
    world
        .send(A, "DELETE", &format!("deals/{deal}"), None)
        .await;
    world
        .send(A, "DELETE", &format!("companies/{company}"), None)
        .await;
    let operation = |model: &str, id: &str| json!({"op": "restore", "model": model, "id": id});
    let both = [operation("companies", &company), operation("deals", &deal)];
    let wrong = json!({"operations": [both[1], both[0]]});
    let seen = world.send(A, "POST", "batch", Some(wrong)).await;
    assert_eq!(
        (seen.status, rows(&seen)),
        (
            StatusCode::CONFLICT,
            vec!["0 company_id REFERENCE_NOT_FOUND".to_owned()]
        ),
        "{}",
        seen.text
    );
    let mut stale = both[1].clone();
    stale["version"] = json!(1);
    let seen = world
        .send(
            A,
            "POST",
            "batch",
            Some(json!({"operations": [both[0], stale]})),
        )
        .await;
    assert_eq!(rows(&seen), ["1 version STALE_VERSION"], "{}", seen.text);
    let all = json!({"operations": both});
    let seen = world.send(B, "POST", "batch", Some(all.clone())).await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    let writer = world.caller_with(A, &["crm.companies.write", "crm.deals.delete"]);
    let seen = world
        .send_as(&writer, "POST", "batch", &[], Some(all.clone()))
        .await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    let seen = world.send(A, "POST", "batch", Some(all)).await;
    assert_eq!(
        (
            seen.status,
            &seen.json()["data"][0]["code"],
            &seen.json()["data"][1]["version"]
        ),
        (StatusCode::OK, &json!("X"), &json!(3)),
        "{}",
        seen.text
    );
}

#[tokio::test]
async fn every_value_comes_back_as_it_was_sent() {
    let world = World::new().await;
    let caller = world.caller(A);
    let thing = world.create(A, "things", json!({"a_text": "x"})).await;
    let id = thing["id"].as_str().unwrap();
    let values = concat!(
        r#""a_int64":9007199254740993,"a_decimal":12345678901234567890123456789012.123456,"a_float64":0.1,"#,
        r#""a_text":"\u0001 Ünö 😀 \"quoted\" {a,b} NULL \\","a_timestamp":"2026-01-02T03:04:05.000006Z","#,
        r#""a_json":{"n": 1.100000000000000000000000000001, "s": "NULL"},"a_bytes":"AP8Q","a_inet":"10.0.0.0/8","#,
        r#""a_vector":[0.1,-0.25,1e-07],"texts":["a","b,\"c","NULL","","\\"],"numbers":[-9223372036854775808,9223372036854775807],"#,
        r#""moments":["2026-01-02T03:04:05.000006Z"],"a_bool":false,"a_date":"2026-02-28","a_time":"03:04:05.000001""#,
    );
    let expected = send_to(
        &world.data,
        &caller,
        "PATCH",
        &format!("things/{id}"),
        &[],
        Some(format!("{{{values}}}")),
    )
    .await;
    let expected = expected.json()["data"].clone();
    let clear = json!({"a_int64": null, "a_decimal": null, "a_text": null, "a_json": null, "texts": null, "numbers": null});
    for (target, body) in [
        ("things", format!("[{{\"id\":\"{id}\",{values}}}]")),
        ("things?a_text=is.null", format!("{{{values}}}")),
    ] {
        world
            .send(A, "PATCH", &format!("things/{id}"), Some(clear.clone()))
            .await;
        let seen = send_to(&world.data, &caller, "PATCH", target, &[], Some(body)).await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
        for exact in [
            "9007199254740993",
            "12345678901234567890123456789012.123456",
            "1.100000000000000000000000000001",
        ] {
            assert!(seen.text.contains(exact), "{target} {exact} {}", seen.text);
        }
        let json = seen.json();
        for (name, value) in expected.as_object().unwrap() {
            if !["version", "updated_at"].contains(&name.as_str()) {
                assert_eq!(&json["data"][0][name], value, "{target} {name}");
            }
        }
    }
}

#[tokio::test]
async fn a_merge_patch_goes_by_names_alone() {
    let world = World::new().await;
    let caller = world.caller(A);
    let before = json!({"a": [{"b": 1}], "": {"0": 1, "kept": [null]}, "s": "text"});
    let thing = world.create(A, "things", json!({"a_json": before})).await;
    let path = &format!("things/{}", thing["id"].as_str().unwrap());
    let patch = |headers: &'static [(&'static str, &'static str)], value: String| {
        let (world, caller) = (&world, &caller);
        let body = format!("{{\"a_json\":{value}}}");
        async move { send_to(&world.data, caller, "PATCH", path, headers, Some(body)).await }
    };
    let merge = &[("content-type", "application/merge-patch+json")][..];
    let odd = r#"{"a":{"0":{"b":2}},"":{"0":null,"-1":{"😀\"\\{},":1.50}},"s":{"":{}}}"#;
    let seen = patch(merge, odd.to_owned()).await;
    assert_eq!(
        seen.json()["data"]["a_json"],
        json!({"a": {"0": {"b": 2}}, "": {"kept": [null], "-1": {"😀\"\\{},": 1.5}}, "s": {"": {}}}),
        "{}",
        seen.text
    );
    assert!(seen.text.contains("1.50"), "{}", seen.text);
    let wide = |objects: usize| {
        let members: Vec<_> = (1..objects).map(|i| format!("\"k{i}\":{{}}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let stale = &[
        ("content-type", "application/merge-patch+json"),
        ("if-match", "\"1\""),
    ][..];
    let csv = &[("content-type", "text/csv")][..];
    for (headers, value, status) in [
        (merge, wide(32), 200),
        (merge, wide(33), 400),
        (merge, r#"{"x":1,"\u0078":null}"#.to_owned(), 400),
        (merge, r#"{"\u0000":1}"#.to_owned(), 400),
        (merge, r#"{"a":"\ud800"}"#.to_owned(), 400),
        (merge, r#"{"x":1},"version":1"#.to_owned(), 409),
        (merge, r#"{"x":1},"version":3"#.to_owned(), 200),
        (stale, "{}".to_owned(), 412),
        (csv, "{}".to_owned(), 415),
    ] {
        let seen = patch(headers, value.clone()).await;
        assert_eq!(seen.status.as_u16(), status, "{value} {}", seen.text);
    }
    let seen = world.send(A, "GET", path, None).await;
    assert_eq!(seen.json()["data"]["version"], 4);
}
