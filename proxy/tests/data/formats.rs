//! Lists as CSV and NDJSON, page by page and whole.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::world::{A, B, Seen, World};

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";

async fn get(world: &World, tenant: &str, target: &str, accept: &str) -> Seen {
    let caller = world.caller(tenant);
    let headers = [("accept", accept)];
    world.send_as(&caller, "GET", target, &headers, None).await
}

fn records(seen: &Seen) -> Vec<Value> {
    assert!(
        seen.text.is_empty() || seen.text.ends_with('\n'),
        "{}",
        seen.text
    );
    let lines = seen.text.lines();
    lines.map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[tokio::test]
async fn a_list_is_the_same_in_every_format() {
    let world = World::new().await;
    for i in 0..7 {
        let company = json!({"name": format!("c{i}"), "code": if i == 3 { Value::Null } else { json!(format!("k,{i}")) }});
        world.create(A, "companies", company).await;
    }
    world
        .create(B, "companies", json!({"name": "canary-b"}))
        .await;
    let query = "companies?order=name.desc&name=neq.c5&select=name,code";
    let whole = world.send(A, "GET", query, None).await.json()["data"].clone();
    let expected = whole.as_array().unwrap().clone();

    let export = get(&world, A, query, NDJSON).await;
    assert_eq!(export.status, StatusCode::OK, "{}", export.text);
    assert_eq!(export.header("content-type"), Some(NDJSON));
    assert_eq!(export.header("vary"), Some("Accept, Prefer, Authorization"));
    assert_eq!(export.header("etag"), None);
    assert_eq!(records(&export), expected);

    let csv = get(&world, A, query, CSV).await;
    assert_eq!(
        csv.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    assert_eq!(
        csv.text,
        "name,code\r\nc6,\"k,6\"\r\nc4,\"k,4\"\r\nc3,NULL\r\nc2,\"k,2\"\r\nc1,\"k,1\"\r\nc0,\"k,0\"\r\n"
    );
    // Page by page: the same rows, and the way on is in the head.
    let mut walked = Vec::new();
    let mut target = format!("{query}&limit=2");
    loop {
        let page = get(&world, A, &target, NDJSON).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        walked.extend(records(&page));
        let Some(link) = page.header("link").and_then(|l| {
            let next = l.split(", <").find(|l| l.contains("rel=\"next\""))?;
            next.trim_start_matches('<').split_once('>')
        }) else {
            break;
        };
        target = link.0.trim_start_matches("/v1/data/crm/").to_owned();
    }
    assert_eq!(walked, expected);
    let counted = get(&world, A, &format!("{query}&limit=0&count=exact"), CSV).await;
    assert_eq!(counted.text, "name,code\r\n");
    assert_eq!(counted.header("x-total-count"), Some("6"));
    // Nothing but the header where nothing matches.
    let none = get(&world, A, "companies?name=eq.canary-b&select=name", CSV).await;
    assert_eq!(none.text, "name\r\n");
    assert_eq!(
        get(&world, A, "companies?name=eq.canary-b", NDJSON)
            .await
            .text,
        ""
    );
}

#[tokio::test]
async fn a_value_has_the_same_text_everywhere() {
    let world = World::new().await;
    let thing = json!({
        "a_bool": true, "a_int16": -1, "a_int64": 9223372036854775807_i64, "a_float64": 1.5,
        "a_text": "a \"quoted\", text\r\nNULL", "a_date": "2026-01-02",
        "a_timestamp": "2026-01-02T03:04:05.6Z", "a_time": "03:04:05", "a_json": {"k": ["v", null, 1.25]},
        "a_bytes": "AP8Q", "a_enum": "x", "a_inet": "10.0.0.1", "texts": ["a", "b,\"c"], "numbers": [1, 2],
        "a_vector": [0.5, -1, 1e30],
    });
    world.create(A, "things", thing).await;
    world
        .create(A, "things", json!({"a_text": "", "a_json": "a string"}))
        .await;
    world.create(A, "things", json!({"a_text": "NULL"})).await;
    let fields = "a_bool,a_int16,a_int64,a_float64,a_text,a_date,a_timestamp,a_time,a_json,a_bytes,a_enum,a_inet,texts,numbers,a_vector";
    let query = format!("things?order=created_at&select={fields}");
    let seen = get(&world, A, &query, CSV).await;
    let rows: Vec<_> = seen.text.split_inclusive("\r\n").collect();
    assert_eq!(rows[0], format!("{fields}\r\n"));
    assert_eq!(
        rows[1..3].concat(),
        "true,-1,9223372036854775807,1.5,\"a \"\"quoted\"\", text\r\nNULL\",2026-01-02,2026-01-02T03:04:05.600000Z,\
         03:04:05.000000,\"{\"\"k\"\": [\"\"v\"\", null, 1.25]}\",AP8Q,x,10.0.0.1,\"[\"\"a\"\",\"\"b,\\\"\"c\"\"]\",\"[1,2]\",\"[0.5,-1,1e+30]\"\r\n"
    );
    let nulls = |text: &str, json: &str| {
        format!(
            "NULL,NULL,NULL,NULL,{text},NULL,NULL,NULL,{json},NULL,NULL,NULL,NULL,NULL,NULL\r\n"
        )
    };
    // A text inside of JSON keeps its quotes: it is part of the document.
    assert_eq!(rows[3], nulls("\"\"", "\"\"\"a string\"\"\""));
    assert_eq!(rows[4], nulls("\"NULL\"", "NULL"));

    let caller = world.caller(A);
    for (accept, expected) in [
        (NDJSON, "{\"a_int64\":\"9223372036854775807\"}\n"),
        (CSV, "a_int64\r\n9223372036854775807\r\n"),
    ] {
        let headers = [("accept", accept), ("prefer", "numbers=string")];
        let query = "things?select=a_int64&a_int64=gt.0";
        let seen = world.send_as(&caller, "GET", query, &headers, None).await;
        assert_eq!(seen.text, expected);
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_export_is_told_before_it_begins() {
    let world = World::new().await;
    for (target, accept, status) in [
        ("deals", "text/html", StatusCode::NOT_ACCEPTABLE),
        ("deals", "text/csv;q=0", StatusCode::NOT_ACCEPTABLE),
        ("deals?count=exact", CSV, StatusCode::BAD_REQUEST),
        ("deals?nope=eq.1", CSV, StatusCode::BAD_REQUEST),
        ("deals?limit=1001", NDJSON, StatusCode::BAD_REQUEST),
        ("deals?cursor=x", NDJSON, StatusCode::BAD_REQUEST),
    ] {
        let seen = get(&world, A, target, accept).await;
        assert_eq!(seen.status, status, "{target} {accept} {}", seen.text);
        assert_eq!(
            seen.header("content-type"),
            Some("application/problem+json")
        );
    }
    let nobody = world.caller_with(A, &["crm.companies.read"]);
    let headers = [("accept", CSV)];
    let seen = world.send_as(&nobody, "GET", "deals", &headers, None).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    let deleted = world.caller_with(A, &["crm.deals.read"]);
    let seen = world
        .send_as(&deleted, "GET", "deals?deleted=only", &headers, None)
        .await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
}
