//! Requests that nobody means: whatever is asked, the answer is never a fault of ours.

use serde_json::{Value, json};

use super::isolation::Random;
use crate::support::world::{A, World, models, send_to};

const REQUESTS: u64 = 3_000;

const VALUES: [&str; 40] = [
    "",
    "0",
    "-1",
    "1.5",
    "1e309",
    "-0",
    "9223372036854775808",
    "99999999999999999999999999999999999999.9",
    "true",
    "null",
    "NaN",
    "infinity",
    "x",
    "%",
    "*",
    "\\",
    "a\\\\",
    "'",
    "\"",
    ");--",
    "(",
    "()",
    "(1,2)",
    "(\"a\",b)",
    "{a,b}",
    "{",
    "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e0a",
    "2026-01-01",
    "0001-01-01",
    "9999-12-31",
    "2026-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00",
    "23:59:59.999999",
    "24:00:00",
    "10.0.0.0/8",
    "::1/128",
    "AAH/",
    "😀\u{202e}",
    "\u{0}",
];

const OPERATORS: [&str; 14] = [
    "eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "in", "is", "match", "cs", "eq(any)",
    "not",
];

fn pick<'a, T: ?Sized>(random: &mut Random, list: &[&'a T]) -> &'a T {
    list[random.below(list.len() as u64) as usize]
}

fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn no_query_is_a_fault_of_ours() {
    let world = World::new().await;
    for i in 0..5 {
        world.create(A, "things", json!({"a_text": i.to_string(), "a_decimal": i, "a_timestamp": "2026-01-01T00:00:00Z"})).await;
    }
    let model = &models()[2];
    let mut names: Vec<&str> = model.columns().iter().map(|c| c.name.as_str()).collect();
    names.extend(["tenant_id", "a.b"]);
    let mut random = Random(0x5e97);
    let mut good = 0;
    for _ in 0..REQUESTS {
        let mut query = Vec::new();
        for _ in 0..=random.below(5) / 4 {
            let not = if random.below(3) == 0 { "not." } else { "" };
            let condition = format!(
                "{not}{}.{}",
                pick(&mut random, &OPERATORS),
                pick(&mut random, &VALUES)
            );
            let name = pick(&mut random, &names);
            match random.below(4) {
                0 => query.push(format!(
                    "or={}",
                    encode(&format!("({name}.{condition},a_text.is.null)"))
                )),
                _ => query.push(format!("{}={}", encode(name), encode(&condition))),
            }
        }
        match random.below(12) {
            0 => query.push(format!("order={}", pick(&mut random, &names))),
            1 => query.push(format!(
                "order={}.desc.nullslast,a_uuid",
                pick(&mut random, &names)
            )),
            2 => query.push(format!("limit={}", encode(pick(&mut random, &VALUES)))),
            _ => {}
        }
        let target = format!("things?{}", query.join("&"));
        let seen = world.send(A, "GET", &target, None).await;
        good += u32::from(seen.status == 200);
        assert!(
            matches!(seen.status.as_u16(), 200 | 400),
            "{target}: {}",
            seen.text
        );
        seen.json();
    }
    assert!(good > 100, "{good} of {REQUESTS} were understood");
}

#[tokio::test]
async fn no_body_is_a_fault_of_ours() {
    let world = World::new().await;
    let caller = world.caller(A);
    let model = &models()[2];
    let names: Vec<&str> = model.columns().iter().map(|c| c.name.as_str()).collect();
    let mut random = Random(0xb0d1);
    let (mut good, mut last) = (0, String::new());
    for _ in 0..REQUESTS {
        let value = match random.below(5) {
            0 => pick(&mut random, &VALUES).to_owned(),
            1 => format!("[{}]", json!(pick(&mut random, &VALUES))),
            2 => json!({"a": pick(&mut random, &VALUES)}).to_string(),
            _ => json!(pick(&mut random, &VALUES)).to_string(),
        };
        let body = format!("{{\"{}\": {value}}}", pick(&mut random, &names));
        let (method, target) = match random.below(2) {
            0 if !last.is_empty() => ("PATCH", last.clone()),
            _ => ("POST", "things".to_owned()),
        };
        let seen = send_to(
            &world.data,
            &caller,
            method,
            &target,
            &[],
            Some(body.clone()),
        )
        .await;
        assert!(
            matches!(seen.status.as_u16(), 200 | 201 | 400 | 409),
            "{method} {body}: {}",
            seen.text
        );
        if let Value::String(id) = &seen.json()["data"]["id"] {
            good += 1;
            last = format!("things/{id}");
            // What was taken in can be read.
            assert_eq!(
                world.send(A, "GET", &last, None).await.json()["data"],
                seen.json()["data"],
                "{body}"
            );
        }
    }
    assert!(good > 100, "{good} of {REQUESTS} were understood");
}
