//! What is written comes back equal, for every type; and the database accepts every statement that we render.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::world::{A, World, send_to};

#[tokio::test]
async fn every_type_comes_back_as_it_went_in() {
    let world = World::new().await;
    for (field, sent, answered) in [
        ("a_bool", "true", "true"),
        ("a_int16", "-32768", "-32768"),
        ("a_int32", "2147483647", "2147483647"),
        ("a_int64", "\"9223372036854775807\"", "9223372036854775807"),
        ("a_float64", "1e300", "1e+300"),
        ("a_float64", "0.1", "0.1"),
        (
            "a_decimal",
            "12345678901234567890123456789012.123456",
            "12345678901234567890123456789012.123456",
        ),
        ("a_decimal", "5", "5.000000"),
        (
            "a_text",
            "\"\\u0001'\\\"\\\\; drop table -- é 😀 \\u2028\"",
            "\"\\u0001'\\\"\\\\; drop table -- é 😀 \u{2028}\"",
        ),
        (
            "a_uuid",
            "\"0198F0AA-5b1e-7c3d-9a4e-2f6b8c1d0e01\"",
            "\"0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01\"",
        ),
        ("a_date", "\"0001-01-01\"", "\"0001-01-01\""),
        (
            "a_timestamp",
            "\"2026-07-01T12:00:00.5+02:00\"",
            "\"2026-07-01T10:00:00.500000Z\"",
        ),
        (
            "a_timestamp",
            "\"9999-12-31T23:59:59.999999Z\"",
            "\"9999-12-31T23:59:59.999999Z\"",
        ),
        ("a_time", "\"23:59:59.000001\"", "\"23:59:59.000001\""),
        (
            "a_json",
            "{\"b\": [1.50, null, \"é\"]}",
            "{\"b\": [1.50, null, \"é\"]}",
        ),
        (
            "a_json",
            "12345678901234567890123",
            "12345678901234567890123",
        ),
        ("a_bytes", "\"AAH/\"", "\"AAH/\""),
        ("a_enum", "\"y\"", "\"y\""),
        ("a_inet", "\"10.0.0.1/32\"", "\"10.0.0.1\""),
        ("a_inet", "\"2001:db8::/32\"", "\"2001:db8::/32\""),
        (
            "texts",
            "[\"a,b\", \"\\\"q\\\"\", \"\", \"NULL\", \"{}\\\\\"]",
            "[\"a,b\",\"\\\"q\\\"\",\"\",\"NULL\",\"{}\\\\\"]",
        ),
        (
            "numbers",
            "[1, \"-9223372036854775808\"]",
            "[1,-9223372036854775808]",
        ),
        (
            "moments",
            "[\"2026-01-01T00:00:00Z\"]",
            "[\"2026-01-01T00:00:00.000000Z\"]",
        ),
        ("texts", "[]", "[]"),
        ("a_vector", "[1, -0.5, 0.123456789]", "[1,-0.5,0.12345679]"),
        (
            "a_vector",
            "[3.4028235e38, 1e-45, 1e-60]",
            "[3.4028235e+38,1e-45,0]",
        ),
        ("a_vector", "null", "null"),
        ("a_text", "null", "null"),
    ] {
        let body = format!("{{\"{field}\": {sent}}}");
        let caller = world.caller(A);
        let seen =
            crate::support::world::send_to(&world.data, &caller, "POST", "things", &[], Some(body))
                .await;
        assert_eq!(
            seen.status,
            StatusCode::CREATED,
            "{field} {sent}: {}",
            seen.text
        );
        let expected = format!("\"{field}\":{answered}");
        assert!(
            seen.text.contains(&expected),
            "{field} {sent}: {}",
            seen.text
        );
        let id = seen.json()["data"]["id"].as_str().unwrap().to_owned();
        let got = world.send(A, "GET", &format!("things/{id}"), None).await;
        assert_eq!(got.json()["data"], seen.json()["data"]);
        // And as a change of a record that has something else.
        let patch = crate::support::world::send_to(
            &world.data,
            &caller,
            "PATCH",
            &format!("things/{id}"),
            &[],
            Some(format!("{{\"{field}\": {sent}}}")),
        )
        .await;
        assert!(patch.text.contains(&expected), "{field}: {}", patch.text);
    }
}

#[tokio::test]
async fn a_vector_has_its_dimension_and_nothing_but_numbers() {
    let world = World::new().await;
    let created = json!({"a_text": "x", "a_vector": [1, 2, 3]});
    let thing = world.create(A, "things", created).await;
    let one = format!("things/{}", thing["id"].as_str().unwrap());
    let caller = world.caller(A);
    for (value, code, message) in [
        ("[]", "INVALID_VALUE", "has 0 elements, not 3"),
        ("[1, 2]", "INVALID_VALUE", "has 2 elements, not 3"),
        ("[1, 2, 3, 4]", "INVALID_VALUE", "has 4 elements, not 3"),
        ("[1, null, 3]", "INVALID_VALUE", "element 1 is null"),
        (
            "[1, \"2\", 3]",
            "INVALID_VALUE",
            "element 1 is not a number",
        ),
        (
            "[1, 2, \"NaN\"]",
            "INVALID_VALUE",
            "element 2 is not a number",
        ),
        ("[1, 2, 1e39]", "OUT_OF_RANGE", "element 2 is out of range"),
        ("{\"0\": 1}", "INVALID_VALUE", "is not an array"),
    ] {
        let body = format!("{{\"a_vector\": {value}}}");
        let merge = [("content-type", "application/merge-patch+json")];
        for (method, target, headers) in [
            ("POST", "things", &[][..]),
            ("PATCH", &*one, &[]),
            ("PATCH", &one, &merge),
        ] {
            let body = Some(body.clone());
            let seen = send_to(&world.data, &caller, method, target, headers, body).await;
            assert_eq!(
                seen.status,
                StatusCode::BAD_REQUEST,
                "{value}: {}",
                seen.text
            );
            assert_eq!(seen.errors(), [format!("a_vector {code}")], "{value}");
            assert_eq!(seen.json()["errors"][0]["message"], message, "{value}");
        }
    }
    // JSON has no NaN: such a body is none.
    let body = Some("{\"a_vector\": [1, 2, NaN]}".to_owned());
    let seen = send_to(&world.data, &caller, "POST", "things", &[], body).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{}", seen.text);

    // A merge patch replaces it whole, as every list.
    let merge = [("content-type", "application/merge-patch+json")];
    let body = Some("{\"a_vector\": [4, 5, 6]}".to_owned());
    let seen = send_to(&world.data, &caller, "PATCH", &one, &merge, body).await;
    assert_eq!(
        seen.json()["data"]["a_vector"],
        json!([4, 5, 6]),
        "{}",
        seen.text
    );
    assert_eq!(seen.json()["data"]["version"], 2);

    // It is there or not, and that is all that can be asked of it.
    world.create(A, "things", json!({"a_text": "y"})).await;
    for (condition, found) in [("is.null", "y"), ("not.is.null", "x"), ("is.not_null", "x")] {
        let target = format!("things?a_vector={condition}&select=a_text");
        let seen = world.send(A, "GET", &target, None).await;
        assert_eq!(
            seen.json()["data"],
            json!([{"a_text": found}]),
            "{}",
            seen.text
        );
    }
    for target in [
        "things?a_vector=eq.{1,2,3}",
        "things?a_vector=cs.{1}",
        "things?a_vector=eq(any).{1}",
        "things?order=a_vector",
        "things?distinct=a_vector",
        "things?select=a_vector::int4",
    ] {
        let seen = world.send(A, "GET", target, None).await;
        assert_eq!(
            (seen.status, seen.errors()),
            (
                StatusCode::BAD_REQUEST,
                vec!["a_vector INVALID_OPERATOR".to_owned()]
            ),
            "{target}: {}",
            seen.text
        );
    }

    // What does not pass through us meets the check.
    let mut admin = world.database.admin().await;
    for wrong in [
        "{}",
        "{1,2}",
        "{{1,2,3}}",
        "[0:2]={1,2,3}",
        "{1,2,NULL}",
        "{1,2,NaN}",
        "{1,2,Infinity}",
        "{-Infinity,1,2}",
    ] {
        let statement = format!("update crm.things set a_vector__2 = '{wrong}'");
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut admin)
            .await
            .unwrap_err();
        assert!(
            refused.to_string().contains("things__a_vector__2__check"),
            "{wrong}: {refused}"
        );
    }
}

/// A change event holds a record twice and has a bound; what is past it would stop the capture of every tenant.
#[tokio::test]
async fn a_record_has_a_size() {
    let world = World::new().await;
    let long = |n: usize| Value::String("\u{1}".repeat(n));
    // Each of these becomes 309 digits.
    let numbers = format!("[{}]", vec!["1e308"; 20_000].join(","));
    let numbers: Box<serde_json::value::RawValue> = serde_json::from_str(&numbers).unwrap();
    let body = format!("{{\"a_json\": {numbers}}}");
    let caller = world.caller(A);
    let seen = send_to(&world.data, &caller, "POST", "things", &[], Some(body)).await;
    assert_eq!(seen.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", seen.text);
    let list = world.send(A, "GET", "things", None).await;
    assert_eq!(list.json()["data"], json!([]));

    // U+0001 is six bytes of an event: each change fits, all of them do not.
    let body = json!({"a_text": long(170_000), "texts": [long(100_000)]});
    let thing = world.create(A, "things", body).await;
    let target = format!("things/{}", thing["id"].as_str().unwrap());
    let more = json!({"a_json": "x".repeat(1_000_000)});
    assert_eq!(
        world.send(A, "PATCH", &target, Some(more)).await.status,
        200
    );
    let more = json!({"a_text": long(400_000)});
    let seen = world.send(A, "PATCH", &target, Some(more)).await;
    assert_eq!(seen.status, StatusCode::PAYLOAD_TOO_LARGE);
    let seen = world.send(A, "GET", &target, None).await;
    assert_eq!(seen.json()["data"]["version"], 2);
}

/// A page of an index holds 2,704 bytes of a value that does not shrink.
#[tokio::test]
async fn a_value_that_no_index_holds_is_the_clients_fault() {
    let world = World::new().await;
    let code: String = (0..300).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let body = json!({"name": "x", "code": code});
    let seen = world.send(A, "POST", "companies", Some(body)).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{}", seen.text);
}
