//! Many records in one request.

use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::world::{A, B, Seen, World, send_to};

const UNKNOWN: &str = "0198f0aa-0000-7000-8000-00000000ffff";

/// `row field code` of each error.
fn rows(seen: &Seen) -> Vec<String> {
    let errors = seen.json()["errors"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |e: &Value| {
        let row = e["row"]
            .as_u64()
            .map_or("-".to_owned(), |row| row.to_string());
        format!(
            "{row} {} {}",
            e["field"].as_str().unwrap(),
            e["code"].as_str().unwrap()
        )
    };
    errors.iter().map(text).collect()
}

async fn count(world: &World, tenant: &str, target: &str) -> u64 {
    let join = if target.contains('?') { '&' } else { '?' };
    let seen = world
        .send(
            tenant,
            "GET",
            &format!("{target}{join}count=exact&limit=0"),
            None,
        )
        .await;
    seen.json()["meta"]["count"].as_u64().unwrap()
}

async fn send_text(world: &World, target: &str, headers: &[(&str, &str)], body: &str) -> Seen {
    let caller = world.caller(A);
    send_to(
        &world.data,
        &caller,
        "POST",
        target,
        headers,
        Some(body.to_owned()),
    )
    .await
}

#[tokio::test]
async fn an_array_is_created_whole_or_not_at_all() {
    let world = World::new().await;
    let own = "0198f0aa-5b1e-7c3d-9a4e-0000000000a1";
    let company = world.create(A, "companies", json!({"name": "Acme"})).await;
    let company = company["id"].as_str().unwrap();
    // Out of the order of their keys, with a row that refers to another of the same body.
    let body = json!([
        {"title": "z", "parent_id": own, "company_id": company},
        {"title": "a", "id": own, "amount": "12.5"},
        {"title": "m", "seats": null, "stage": "won"},
    ]);
    let seen = world.send(A, "POST", "deals", Some(body)).await;
    assert_eq!(seen.status, StatusCode::CREATED, "{}", seen.text);
    assert_eq!((seen.header("location"), seen.header("etag")), (None, None));
    let data = seen.json()["data"].as_array().unwrap().clone();
    let titles: Vec<_> = data.iter().map(|r| r["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["z", "a", "m"]);
    assert_eq!(
        (data[0]["stage"].as_str(), data[0]["version"].as_i64()),
        (Some("open"), Some(1))
    );
    assert_eq!(
        (data[1]["id"].as_str(), data[2]["amount"].as_f64()),
        (Some(own), Some(0.0))
    );
    assert_eq!(seen.json()["meta"], json!({"affected": 3}));
    assert!(seen.text.contains("\"amount\":12.50"), "{}", seen.text);

    for (body, status, expected) in [
        (
            json!([{"title": "x"}, {"title": 1}, {}]),
            400,
            vec!["1 title INVALID_VALUE", "2 title REQUIRED"],
        ),
        (
            json!([{"title": "x"}, {"title": "x", "company_id": UNKNOWN}]),
            409,
            vec!["1 company_id REFERENCE_NOT_FOUND"],
        ),
        (
            json!([{"title": "x"}, {"title": "x", "id": own}]),
            409,
            vec!["1 id NOT_UNIQUE"],
        ),
        (
            json!([{"title": "x", "id": UNKNOWN}, {"title": "x", "id": UNKNOWN}]),
            400,
            vec!["1 id DUPLICATE"],
        ),
        (json!([{"title": "x"}, [{"title": "x"}]]), 400, vec![]),
    ] {
        let seen = world.send(A, "POST", "deals", Some(body)).await;
        assert_eq!(
            (seen.status.as_u16(), rows(&seen)),
            (status, expected.into_iter().map(str::to_owned).collect()),
            "{}",
            seen.text
        );
    }
    // A value of a unique that another record has, and one that is twice in the body.
    world
        .create(A, "companies", json!({"name": "a", "code": "X"}))
        .await;
    let seen = world
        .send(
            A,
            "POST",
            "companies",
            Some(json!([{"name": "b"}, {"name": "c", "code": "X"}])),
        )
        .await;
    assert_eq!(
        (seen.status, rows(&seen)),
        (StatusCode::CONFLICT, vec!["1 code NOT_UNIQUE".to_owned()])
    );
    let seen = world
        .send(
            A,
            "POST",
            "companies",
            Some(json!([{"name": "b", "code": "Y"}, {"name": "c"}, {"name": "c", "code": "Y"}])),
        )
        .await;
    assert_eq!(rows(&seen), ["2 code NOT_UNIQUE"]);
    assert_eq!(count(&world, A, "deals").await, 3);
    assert_eq!(count(&world, A, "companies").await, 2);
    let seen = world.send(A, "POST", "deals", Some(json!([]))).await;
    assert_eq!(
        (seen.status, seen.json()["data"].clone()),
        (StatusCode::CREATED, json!([]))
    );
}

#[tokio::test]
async fn a_body_has_a_thousand_records_at_most() {
    let world = World::new().await;
    let many = |n: usize| {
        Some(Value::from(
            (0..n)
                .map(|i| json!({"title": format!("{i}")}))
                .collect::<Vec<_>>(),
        ))
    };
    let seen = world
        .send(A, "POST", "deals?select=title", many(1_000))
        .await;
    assert_eq!(seen.status, StatusCode::CREATED);
    let data = seen.json()["data"].as_array().unwrap().clone();
    assert!(
        data.iter()
            .enumerate()
            .all(|(i, r)| r == &json!({"title": format!("{i}")}))
    );
    let over = world.send(A, "POST", "deals", many(1_001)).await;
    assert_eq!(
        (over.status, over.errors()),
        (
            StatusCode::BAD_REQUEST,
            vec!["body LIMIT_EXCEEDED".to_owned()]
        )
    );
    assert_eq!(count(&world, A, "deals").await, 1_000);
}

#[tokio::test]
async fn csv_and_ndjson_are_read_like_json() {
    let world = World::new().await;
    let csv = [("content-type", "text/csv")];
    let seen = send_text(
        &world,
        "things",
        &csv,
        "a_text,a_int64,a_decimal,a_bool,a_json,a_bytes,texts,numbers,a_timestamp\r\n\
         \"a,\"\"b\"\"\nc\",9223372036854775807,12345678901234567890123456789012.123456,true,\"{\"\"a\"\": 1.10}\",AP8=,\"{a,\"\"b,c\"\"}\",\"[1, 2]\",2026-01-02T03:04:05.123456+01:00\r\n\
         NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL\n\
         \"NULL\",0,0,false,\"null\",,{},[],2026-01-02T00:00:00Z\n",
    )
    .await;
    assert_eq!(seen.status, StatusCode::CREATED, "{}", seen.text);
    let data = seen.json()["data"].as_array().unwrap().clone();
    assert_eq!(data[0]["a_text"], "a,\"b\"\nc");
    assert!(seen.text.contains("\"a_int64\":9223372036854775807,"));
    assert!(
        seen.text
            .contains("\"a_decimal\":12345678901234567890123456789012.123456,")
    );
    assert_eq!(
        (&data[0]["texts"], &data[0]["numbers"]),
        (&json!(["a", "b,c"]), &json!([1, 2]))
    );
    assert_eq!(
        (&data[0]["a_timestamp"], &data[0]["a_bytes"]),
        (&json!("2026-01-02T02:04:05.123456Z"), &json!("AP8="))
    );
    assert!(
        ["a_text", "a_int64", "a_bool", "texts"]
            .iter()
            .all(|f| data[1][f].is_null())
    );
    assert_eq!(
        (&data[2]["a_text"], &data[2]["a_bytes"], &data[2]["texts"]),
        (&json!("NULL"), &json!(""), &json!([]))
    );

    for (target, body, expected) in [
        (
            "deals",
            "title,seats\na,1\nb,x\nc",
            vec!["1 seats INVALID_VALUE", "2 row INVALID_VALUE"],
        ),
        ("deals", "title,nope\na,1", vec!["0 nope UNKNOWN_FIELD"]),
        ("deals", "title,title\na,b", vec!["0 title DUPLICATE"]),
        ("deals", "title,seats\na,", vec!["0 seats INVALID_VALUE"]),
        ("deals", "title,version\na,1", vec!["0 version READ_ONLY"]),
        ("deals", "", vec![]),
        ("deals", "title\n\"a", vec![]),
    ] {
        let seen = send_text(&world, target, &csv, body).await;
        assert_eq!(
            (seen.status, rows(&seen)),
            (
                StatusCode::BAD_REQUEST,
                expected.into_iter().map(str::to_owned).collect()
            ),
            "{body} {}",
            seen.text
        );
    }
    let seen = send_text(&world, "deals?columns=title", &csv, "title,nope\na,1").await;
    assert_eq!(seen.status, StatusCode::CREATED, "{}", seen.text);
    let ndjson = [("content-type", "application/x-ndjson")];
    let seen = send_text(
        &world,
        "deals",
        &ndjson,
        "{\"title\": \"a\"}\r\n\n {\"title\": \"b\"}",
    )
    .await;
    assert_eq!(
        (seen.status, seen.json()["meta"]["affected"].as_i64()),
        (StatusCode::CREATED, Some(2))
    );
    let seen = send_text(
        &world,
        "deals",
        &ndjson,
        "{\"title\": \"a\"}\n{\"title\": 5}",
    )
    .await;
    assert_eq!(rows(&seen), ["1 title INVALID_VALUE"]);
    assert_eq!(
        send_text(&world, "deals", &ndjson, "{\"title\": \"a\"}\n[]")
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn columns_and_missing_decide_what_is_written() {
    let world = World::new().await;
    let caller = world.caller(A);
    let body = || {
        Some(json!([{"title": "a", "seats": 5, "nope": {"x": 1}}, {"title": "b", "stage": "won"}]))
    };
    let seen = world
        .send(A, "POST", "deals?columns=title,stage", body())
        .await;
    assert_eq!(seen.status, StatusCode::CREATED, "{}", seen.text);
    let data = seen.json()["data"].clone();
    assert_eq!(
        (&data[0]["seats"], &data[0]["stage"], &data[1]["stage"]),
        (&Value::Null, &json!("open"), &json!("won"))
    );
    let headers = [("prefer", "missing=null, handling=strict")];
    let seen = world
        .send_as(
            &caller,
            "POST",
            "deals?columns=title,stage",
            &headers,
            body(),
        )
        .await;
    assert_eq!(seen.json()["data"][0]["stage"], Value::Null);
    assert_eq!(
        seen.header("preference-applied"),
        Some("handling=strict, missing=null")
    );
    for columns in ["nope", "title,tenant_id", "version", "delete_id", "title,"] {
        let seen = world
            .send(A, "POST", &format!("deals?columns={columns}"), body())
            .await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{columns}");
    }
    let seen = world
        .send_as(
            &caller,
            "POST",
            "deals?columns=title",
            &[("prefer", "max-affected=1")],
            body(),
        )
        .await;
    assert_eq!(
        (seen.status, seen.errors()),
        (
            StatusCode::CONFLICT,
            vec!["Prefer LIMIT_EXCEEDED".to_owned()]
        )
    );
    let seen = world
        .send_as(
            &caller,
            "POST",
            "deals?columns=title",
            &[("prefer", "return=minimal, max-affected=2")],
            body(),
        )
        .await;
    assert_eq!((seen.status, seen.text.as_str()), (StatusCode::CREATED, ""));
    assert_eq!(
        seen.header("preference-applied"),
        Some("return=minimal, max-affected=2")
    );
}

#[tokio::test]
async fn a_record_that_is_there_is_merged_or_left() {
    let world = World::new().await;
    let caller = world.caller(A);
    let send = |target: &'static str, resolution: &'static str, body: Value| {
        let (world, caller) = (&world, &caller);
        async move {
            let prefer = format!("resolution={resolution}");
            world
                .send_as(caller, "POST", target, &[("prefer", &prefer)], Some(body))
                .await
        }
    };
    let (merge, ignore) = ("merge-duplicates", "ignore-duplicates");
    let first = world
        .create(A, "companies", json!({"name": "a", "code": "X"}))
        .await;
    // The order of the body, not of the keys.
    let body = json!([{"name": "y", "code": "Y"}, {"name": "x", "code": "X"}, {"name": "none", "code": null}]);
    let seen = send("companies?on_conflict=code", merge, body.clone()).await;
    assert_eq!(seen.status, StatusCode::CREATED, "{}", seen.text);
    let data = seen.json()["data"].clone();
    assert_eq!(
        (&data[0]["name"], &data[1]["name"], &data[2]["name"]),
        (&json!("y"), &json!("x"), &json!("none"))
    );
    assert_eq!(
        (&data[1]["id"], &data[1]["version"]),
        (&first["id"], &json!(2))
    );
    let seen = send("companies?on_conflict=code", ignore, body.clone()).await;
    // Null is like nothing, so that one is created again.
    assert_eq!(
        (seen.status, seen.json()["meta"]["affected"].as_i64()),
        (StatusCode::CREATED, Some(1))
    );
    let seen = send(
        "companies?on_conflict=code",
        merge,
        json!([{"name": "x2", "code": "X"}]),
    )
    .await;
    assert_eq!(
        (seen.status, seen.json()["data"][0]["version"].as_i64()),
        (StatusCode::OK, Some(3))
    );
    let seen = send(
        "companies?on_conflict=code",
        ignore,
        json!([{"name": "x2", "code": "X"}]),
    )
    .await;
    assert_eq!(
        (seen.status, seen.json()["data"].clone()),
        (StatusCode::OK, json!([]))
    );
    // One object answers one object.
    let seen = send(
        "companies?on_conflict=code",
        merge,
        json!({"name": "x3", "code": "X"}),
    )
    .await;
    assert_eq!(
        (seen.status, seen.header("location"), seen.header("etag")),
        (StatusCode::OK, None, Some("\"4\"")),
        "{}",
        seen.text
    );
    let id = "0198f0aa-5b1e-7c3d-9a4e-0000000000b1";
    let seen = send(
        "companies?on_conflict=id",
        merge,
        json!({"id": id, "name": "n"}),
    )
    .await;
    assert_eq!(
        (seen.status, seen.header("location").is_some()),
        (StatusCode::CREATED, true)
    );
    let seen = send(
        "companies?on_conflict=id",
        ignore,
        json!({"id": id, "name": "m"}),
    )
    .await;
    assert_eq!(
        (seen.status, seen.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    assert_eq!(
        world
            .send(A, "GET", &format!("companies/{id}"), None)
            .await
            .json()["data"]["name"],
        "n"
    );
    // What was not sent stays as it was.
    let seen = send(
        "companies?on_conflict=id",
        merge,
        json!({"id": id, "name": "n", "code": "C"}),
    )
    .await;
    assert_eq!(seen.json()["data"]["code"], "C");
    let seen = send(
        "companies?on_conflict=id",
        merge,
        json!({"id": id, "name": "o"}),
    )
    .await;
    assert_eq!(seen.json()["data"]["code"], "C");

    for (target, resolution, body, status, expected) in [
        (
            "companies?on_conflict=code",
            merge,
            json!([{"name": "a", "code": "Q"}, {"name": "b", "code": "Q"}]),
            400,
            vec!["1 code DUPLICATE"],
        ),
        (
            "companies?on_conflict=id",
            ignore,
            json!([{"id": id, "name": "b"}, {"id": id, "name": "b"}]),
            400,
            vec!["1 id DUPLICATE"],
        ),
        (
            "companies?on_conflict=code",
            merge,
            json!([{"name": "a", "code": "Q"}, {"name": "b"}]),
            400,
            vec!["1 row INVALID_VALUE"],
        ),
        (
            "companies?on_conflict=name",
            merge,
            json!({"name": "a"}),
            400,
            vec!["- on_conflict INVALID_VALUE"],
        ),
        (
            "companies?on_conflict=code,name",
            merge,
            json!({"name": "a"}),
            400,
            vec!["- on_conflict INVALID_VALUE"],
        ),
        (
            "companies",
            merge,
            json!({"name": "a"}),
            400,
            vec!["- on_conflict INVALID_VALUE"],
        ),
        (
            "deals?on_conflict=id",
            merge,
            json!([{"title": "a"}, {"title": "b", "company_id": UNKNOWN}]),
            400,
            vec!["1 row INVALID_VALUE"],
        ),
        (
            "deals?on_conflict=id",
            merge,
            json!([{"title": "b", "company_id": UNKNOWN}]),
            409,
            vec!["0 company_id REFERENCE_NOT_FOUND"],
        ),
    ] {
        let seen = send(target, resolution, body).await;
        assert_eq!(
            (seen.status.as_u16(), rows(&seen)),
            (status, expected.into_iter().map(str::to_owned).collect()),
            "{target} {}",
            seen.text
        );
    }
    // A deleted record is neither changed nor passed over.
    assert_eq!(
        world
            .send(A, "DELETE", &format!("companies/{id}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    for resolution in [merge, ignore] {
        let body = json!([{"id": UNKNOWN, "name": "new"}, {"id": id, "name": "back"}]);
        let seen = send("companies?on_conflict=id", resolution, body).await;
        assert_eq!(
            (seen.status, rows(&seen)),
            (StatusCode::CONFLICT, vec!["1 id DELETED".to_owned()]),
            "{}",
            seen.text
        );
        assert_eq!(
            count(&world, A, &format!("companies?id=eq.{UNKNOWN}")).await,
            0
        );
    }
}

#[tokio::test]
async fn who_may_not_read_is_told_nothing() {
    let world = World::new().await;
    let writer = world.caller_with(A, &["crm.deals.write"]);
    let canary = "CANARY";
    let body = || Some(json!({"title": canary}));
    for body in [body(), Some(json!([{"title": canary}]))] {
        let seen = world.send_as(&writer, "POST", "deals", &[], body).await;
        assert_eq!((seen.status, seen.text.as_str()), (StatusCode::CREATED, ""));
    }
    let asked = [("prefer", "return=representation")];
    let refused = world
        .send_as(&writer, "POST", "deals", &asked, body())
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("crm.deals.read") && !refused.text.contains(canary));
    let id = world.create(A, "deals", json!({"title": canary})).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("deals/{id}");
    for change in [json!({"seats": 1}), json!({})] {
        let seen = world
            .send_as(&writer, "PATCH", &path, &[], Some(change))
            .await;
        assert_eq!(
            (seen.status, seen.text.as_str()),
            (StatusCode::NO_CONTENT, "")
        );
    }
    assert_eq!(
        world
            .send_as(&writer, "PATCH", &path, &asked, body())
            .await
            .status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_dry_run_answers_and_keeps_nothing() {
    let world = World::new().await;
    let caller = world.caller(A);
    let dry = [("prefer", "tx=rollback")];
    for body in [
        json!({"title": "a"}),
        json!([{"title": "a"}, {"title": "b"}]),
    ] {
        let seen = world
            .send_as(&caller, "POST", "deals", &dry, Some(body))
            .await;
        assert_eq!(
            (seen.status, seen.header("preference-applied")),
            (StatusCode::CREATED, Some("tx=rollback")),
            "{}",
            seen.text
        );
    }
    assert_eq!(count(&world, A, "deals").await, 0);
    let id = world.create(A, "deals", json!({"title": "a"})).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("deals/{id}");
    let seen = world
        .send_as(&caller, "PATCH", &path, &dry, Some(json!({"seats": 5})))
        .await;
    assert_eq!(
        (seen.status, seen.json()["data"]["seats"].as_i64()),
        (StatusCode::OK, Some(5))
    );
    let seen = world.send_as(&caller, "DELETE", &path, &dry, None).await;
    assert_eq!(seen.status, StatusCode::NO_CONTENT);
    let kept = world.send(A, "GET", &path, None).await.json()["data"].clone();
    assert_eq!(
        (&kept["seats"], kept["version"].as_i64()),
        (&Value::Null, Some(1))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_write_the_same_keys_at_once_and_never_meet() {
    let world = World::new().await;
    let world = &world;
    let keys: Vec<usize> = (0..40).collect();
    let writes = (0..12).map(|i| {
        let tenant = if i % 2 == 0 { A } else { B };
        let mut keys = keys.clone();
        keys.rotate_left(i * 3);
        if i % 3 == 0 {
            keys.reverse();
        }
        async move {
            let body: Vec<_> = keys
                .iter()
                .map(|k| json!({"name": format!("of {tenant}"), "code": format!("K{k}")}))
                .collect();
            let headers = [("prefer", "resolution=merge-duplicates")];
            let seen = world
                .send_as(
                    &world.caller(tenant),
                    "POST",
                    "companies?on_conflict=code",
                    &headers,
                    Some(Value::from(body)),
                )
                .await;
            assert!(seen.status.is_success(), "{}", seen.text);
            let other = if tenant == A { B } else { A };
            assert!(!seen.text.contains(other), "{}", seen.text);
            let codes: Vec<_> = seen.json()["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r["code"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(
                codes,
                keys.iter().map(|k| format!("K{k}")).collect::<Vec<_>>()
            );
        }
    });
    join_all(writes).await;
    for tenant in [A, B] {
        assert_eq!(count(world, tenant, "companies").await, 40);
        assert_eq!(count(world, tenant, "companies?version=eq.6").await, 40);
    }
}
