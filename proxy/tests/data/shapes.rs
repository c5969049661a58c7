//! What a record shows: names, casts, paths; counts and combinations.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::world::{A, B, World, send_to};

const EVERYTHING: &str = r#"{"a_bool": true, "a_int16": -5, "a_int32": 7, "a_int64": 9007199254740993, "a_float64": 1.5e300,
    "a_decimal": "12345678901234567890.100000", "a_text": "a\"b\\c,{}\n\u00e9 NULL", "a_uuid": "0198f0aa-5b1e-7c3d-9a4e-000000000009",
    "a_date": "2026-01-02", "a_timestamp": "2026-01-02T03:04:05.1Z", "a_time": "03:04:05", "a_json": {"k": [1.10, {"x": "y"}], "n": "12"},
    "a_bytes": "AP8Q", "a_enum": "x", "a_inet": "10.0.0.1", "texts": ["a,b", "c\"}", "NULL", ""], "numbers": [9007199254740993, 2],
    "moments": ["2026-01-02T03:04:05Z"], "a_vector": [0.1, -2, 1e10]}"#;

/// A thing with a value of every type, one without, and a note of each.
async fn with_things() -> (World, Vec<String>) {
    let world = World::new().await;
    let caller = world.caller(A);
    let mut ids = Vec::new();
    // As text: a `Value` would not keep the digits of the numbers.
    for body in [EVERYTHING, "{}"] {
        let seen = send_to(
            &world.data,
            &caller,
            "POST",
            "things",
            &[],
            Some(body.into()),
        )
        .await;
        assert_eq!(seen.status, StatusCode::CREATED, "{}", seen.text);
        let id = seen.json()["data"]["id"].as_str().unwrap().to_owned();
        world
            .create(A, "notes", json!({"text": "n", "thing_id": id}))
            .await;
        ids.push(id);
    }
    (world, ids)
}

/// The text of the first object behind a key.
fn object_behind<'a>(text: &'a str, key: &str) -> &'a str {
    let start = text.find(key).unwrap_or_else(|| panic!("{key} in {text}")) + key.len();
    let mut stream = serde_json::Deserializer::from_str(&text[start..])
        .into_iter::<&serde_json::value::RawValue>();
    stream.next().unwrap().unwrap().get()
}

#[tokio::test]
async fn a_value_has_the_same_bytes_wherever_it_appears() {
    let (world, ids) = with_things().await;
    for headers in [&[][..], &[("prefer", "numbers=string")]] {
        for id in &ids {
            let caller = world.caller(A);
            let get = async |target: &str| {
                let seen = world.send_as(&caller, "GET", target, headers, None).await;
                assert_eq!(seen.status, StatusCode::OK, "{target}: {}", seen.text);
                seen
            };
            let one = get(&format!("things/{id}")).await;
            let top = object_behind(&one.text, "{\"data\":");
            let listed = get(&format!("things?id=eq.{id}")).await;
            assert_eq!(object_behind(&listed.text, "{\"data\":["), top);
            let note = get(&format!("notes?thing_id=eq.{id}&include=thing")).await;
            assert_eq!(object_behind(&note.text, "\"thing\":"), top);
            // Through a list and back, three levels deep.
            let target = format!(
                "things/{id}?select=id&include=notes(include=thing(include=notes(select=id)))"
            );
            let deep = get(&target).await;
            assert_eq!(deep.header("etag"), None);
            let inner = object_behind(&deep.text, "\"thing\":");
            let without = inner.split(",\"notes\":[{").next().unwrap();
            assert_eq!(format!("{without}}}"), top);
        }
    }
}

#[tokio::test]
async fn values_are_named_cast_and_reached_into() {
    let (world, ids) = with_things().await;
    let select = "n:a_int64,a_int64::text,t:a_timestamp::text,d:a_timestamp::date,b:a_bool::text,y:a_bool::int,i:a_float64::decimal,\
        a_json->k,first:a_json->k->0,second:a_json->k->1->>x,num:a_json->>n::int,nope:a_json->z->>z,q:a_json->\"k\"->-1,who:a_inet::text";
    let expected = r#"{"n":9007199254740993,"a_int64":"9007199254740993","t":"2026-01-02 03:04:05.1+00","d":"2026-01-02","b":"true","y":1,"i":"#;
    for target in [
        format!("things/{}", ids[0]),
        format!("things?id=eq.{}", ids[0]),
    ] {
        let target = format!(
            "{target}{}select={select}",
            if target.contains('?') { '&' } else { '?' }
        );
        let seen = world.send(A, "GET", &target, None).await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
        assert!(seen.text.contains(expected), "{}", seen.text);
        let rest = r#""k":[1.10, {"x": "y"}],"first":1.10,"second":"y","num":12,"nope":null,"q":{"x": "y"},"who":"10.0.0.1/32"}"#;
        assert!(seen.text.contains(rest), "{}", seen.text);
    }
    // Selected of a write too.
    let body = json!({"a_json": {"k": {"x": 5}}});
    let seen = world
        .send(
            A,
            "PATCH",
            &format!("things/{}?select=x:a_json->k->>x", ids[0]),
            Some(body),
        )
        .await;
    assert_eq!(seen.json()["data"], json!({"x": "5"}));
    let seen = world
        .send(A, "POST", "things?select=v:version::text", Some(json!({})))
        .await;
    assert_eq!(seen.json()["data"], json!({"v": "1"}));
    // A value that is not of the type is told; nothing is a fault of the server.
    for select in [
        "a_text::int",
        "a_text::bool",
        "a_text::timestamp",
        "a_text::date",
        "a_int64::int16",
        "a_json->k::int",
    ] {
        let seen = world
            .send(
                A,
                "GET",
                &format!("things/{}?select={select}", ids[0]),
                None,
            )
            .await;
        let is_fine = select == "a_json->k::int" && seen.status == StatusCode::OK;
        assert!(
            is_fine || seen.status == StatusCode::BAD_REQUEST,
            "{select}: {}",
            seen.text
        );
    }
    for (text, cast) in [
        ("infinity", "timestamp"),
        ("-infinity", "date"),
        ("0044-03-15 BC", "timestamp"),
        ("NaN", "decimal"),
        ("Infinity", "float64"),
        ("99999-01-01", "timestamp"),
    ] {
        let thing = world.create(A, "things", json!({"a_text": text})).await;
        let target = format!(
            "things/{}?select=a_text::{cast}",
            thing["id"].as_str().unwrap()
        );
        let seen = world.send(A, "GET", &target, None).await;
        assert_eq!(seen.status, StatusCode::OK, "{text} {}", seen.text);
        seen.json();
    }
}

async fn with_deals() -> World {
    let world = World::new().await;
    for i in 0..12i64 {
        let seats = (i % 4 != 3).then_some(i % 2);
        let stage = ["open", "won", "lost"][usize::try_from(i % 3).unwrap()];
        world
            .create(
                A,
                "deals",
                json!({"title": format!("t{i}"), "seats": seats, "stage": stage}),
            )
            .await;
    }
    for _ in 0..3 {
        world
            .create(B, "deals", json!({"title": "theirs", "seats": 77}))
            .await;
    }
    world
}

#[tokio::test]
async fn distinct_answers_combinations() {
    let world = with_deals().await;
    let rows = |json: &Value| json["data"].as_array().unwrap().clone();
    let all = world
        .send(A, "GET", "deals?distinct=seats,stage&count=exact", None)
        .await;
    assert_eq!(all.status, StatusCode::OK, "{}", all.text);
    let all = all.json();
    assert_eq!(all["meta"], json!({"hasMore": false, "count": 9}));
    assert_eq!(rows(&all)[0], json!({"seats": 0, "stage": "lost"}));
    for order in [
        "",
        "&order=stage.desc",
        "&order=seats.desc.nullsfirst,stage",
        "&order=seats.nullsfirst",
    ] {
        let target = format!("deals?distinct=seats,stage{order}");
        let whole = rows(&world.send(A, "GET", &target, None).await.json());
        assert_eq!(whole.len(), 9);
        let mut walked = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = world
                .send(A, "GET", &format!("{target}&limit=2{cursor}"), None)
                .await
                .json();
            walked.extend(rows(&page));
            match page["meta"]["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(walked, whole, "{order}");
    }
    for (query, errors) in [
        ("distinct=", "distinct INVALID_VALUE"),
        ("distinct=nope", "nope UNKNOWN_FIELD"),
        ("distinct=stage,stage", "distinct DUPLICATE"),
        ("distinct=stage&select=stage", "select INVALID_VALUE"),
        ("distinct=stage&order=title", "order INVALID_VALUE"),
        ("distinct=stage&include=company", "include INVALID_VALUE"),
    ] {
        let seen = world.send(A, "GET", &format!("deals?{query}"), None).await;
        assert_eq!(seen.errors(), [errors], "{query}");
    }
    let seen = world.send(A, "GET", "things?distinct=a_json", None).await;
    assert_eq!(seen.errors(), ["a_json INVALID_OPERATOR"]);
}

#[tokio::test]
async fn counts_are_exact_or_the_planners() {
    let world = with_deals().await;
    for (query, expected) in [
        ("count=exact", 12),
        ("count=estimated", 12),
        ("count=estimated&stage=eq.open&limit=0", 4),
        ("count=exact&distinct=stage", 3),
        ("count=estimated&distinct=stage", 3),
    ] {
        let seen = world.send(A, "GET", &format!("deals?{query}"), None).await;
        assert_eq!(
            seen.json()["meta"]["count"],
            expected,
            "{query} {}",
            seen.text
        );
    }
    let mut admin = world.database.admin().await;
    crate::support::database::run(
        &mut admin,
        &format!(
            "insert into crm.deals (tenant_id, id, title, stage__2, created_by, updated_by)
             select '{A}', gen_random_uuid(), 'x', case i % 4 when 0 then 'lost' else 'open' end, 'x', 'x'
             from generate_series(1, 12000) i"
        ),
    )
    .await;
    crate::support::database::run(&mut admin, "analyze crm.deals").await;
    for (query, expected) in [
        ("count=planned", 12_000),
        ("count=estimated", 12_000),
        ("count=planned&stage=eq.lost", 3_000),
        ("count=estimated&stage=eq.lost", 3_000),
        ("count=estimated&stage=eq.won", 4),
    ] {
        let seen = world
            .send(A, "GET", &format!("deals?limit=1&{query}"), None)
            .await
            .json();
        let count = seen["meta"]["count"].as_u64().unwrap();
        let near = expected * 9 / 10..=expected * 11 / 10;
        assert!(near.contains(&count), "{query} {count}");
    }
    // The other tenant learns nothing of these rows, not even that a value is frequent.
    let own = world.send(B, "GET", "deals?limit=1000", None).await.json();
    let own = own["data"].as_array().unwrap();
    for kind in ["planned", "estimated"] {
        for (filter, matches) in [
            ("", own.len()),
            ("&title=eq.x", 0),
            (
                "&stage=eq.lost",
                own.iter().filter(|r| r["stage"] == "lost").count(),
            ),
        ] {
            let target = format!("deals?count={kind}&limit=0{filter}");
            let theirs = world.send(B, "GET", &target, None).await.json();
            assert_eq!(theirs["meta"]["count"], matches, "{target}");
        }
    }
    let unknown = world.send(A, "GET", "deals?count=all", None).await;
    assert_eq!(unknown.errors(), ["count INVALID_VALUE"]);
}
