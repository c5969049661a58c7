//! Two tenants, a canary, and every endpoint.

use std::time::Duration;

use http::StatusCode;
use proxy::postgres::{DatabaseConfig, DatabaseError};
use serde_json::{Value, json};

use crate::support::world::{A, B, Seen, World};

/// What must never reach tenant A.
fn canary() -> String {
    format!("canary{}", uuid::Uuid::new_v4().simple())
}

#[tokio::test]
async fn no_byte_of_another_tenant_is_ever_seen() {
    let world = World::new().await;
    let canary = canary();
    let company = world
        .create(B, "companies", json!({"name": canary, "code": canary}))
        .await;
    let company = company["id"].as_str().unwrap().to_owned();
    let deal = world
        .create(
            B,
            "deals",
            json!({"title": canary, "company_id": company, "seats": 7}),
        )
        .await;
    let deal = deal["id"].as_str().unwrap().to_owned();
    let unknown = "0198f0aa-0000-7000-8000-00000000ffff";
    let mine = world.create(A, "deals", json!({"title": "mine"})).await;
    let mine = mine["id"].as_str().unwrap().to_owned();

    // Theirs and nobody's: the same answer, byte for byte.
    let pairs: Vec<(&str, String, String, Option<Value>)> = vec![
        (
            "GET",
            format!("deals/{deal}"),
            format!("deals/{unknown}"),
            None,
        ),
        (
            "PATCH",
            format!("deals/{deal}"),
            format!("deals/{unknown}"),
            Some(json!({"title": "x"})),
        ),
        (
            "PATCH",
            format!("deals/{deal}"),
            format!("deals/{unknown}"),
            Some(json!({})),
        ),
        (
            "DELETE",
            format!("deals/{deal}"),
            format!("deals/{unknown}"),
            None,
        ),
        (
            "DELETE",
            format!("companies/{company}"),
            format!("companies/{unknown}"),
            None,
        ),
        (
            "GET",
            format!("deals?id=eq.{deal}"),
            format!("deals?id=eq.{unknown}"),
            None,
        ),
        (
            "GET",
            format!("deals?company_id=eq.{company}&count=exact"),
            format!("deals?company_id=eq.{unknown}&count=exact"),
            None,
        ),
    ];
    for (method, theirs, nobodys, body) in pairs {
        let theirs_seen = world.send(A, method, &theirs, body.clone()).await;
        let nobodys_seen = world.send(A, method, &nobodys, body).await;
        assert_eq!(theirs_seen.text, nobodys_seen.text, "{method} {theirs}");
        assert_eq!(theirs_seen.status, nobodys_seen.status, "{method} {theirs}");
        assert_clean(&theirs_seen, &canary);
    }
    for field in ["company_id", "parent_id"] {
        let target = if field == "company_id" {
            &company
        } else {
            &deal
        };
        let theirs = world
            .send(
                A,
                "POST",
                "deals",
                Some(json!({"title": "x", field: target})),
            )
            .await;
        let nobodys = world
            .send(
                A,
                "POST",
                "deals",
                Some(json!({"title": "x", field: unknown})),
            )
            .await;
        assert_eq!(
            (theirs.status, &theirs.text),
            (StatusCode::CONFLICT, &nobodys.text)
        );
        let patched = world
            .send(
                A,
                "PATCH",
                &format!("deals/{mine}"),
                Some(json!({field: target})),
            )
            .await;
        assert_eq!(
            (patched.status, &patched.text),
            (StatusCode::CONFLICT, &nobodys.text)
        );
    }
    // Uniques and ids are each tenant's own.
    let created = world
        .send(
            A,
            "POST",
            "companies",
            Some(json!({"id": company, "name": "a", "code": canary})),
        )
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    world
        .send(A, "DELETE", &format!("companies/{company}"), None)
        .await;

    for target in [
        "deals",
        "deals?limit=1000&count=exact",
        "deals?deleted=include",
        "deals?order=title.desc",
        "companies",
        "deals?seats=gt.0",
        "deals?or=(seats.eq.7,title.like.*canary*)",
        "deals?title=not.is.null&select=title",
        "things",
        "deals?title=eq.x'%20or%20true--",
        "deals?title=like.*&order=seats.desc.nullslast",
    ] {
        let seen = world.send(A, "GET", target, None).await;
        assert_eq!(seen.status, StatusCode::OK, "{target} {}", seen.text);
        let text = seen.text.replace(&format!("\"code\":\"{canary}\""), "");
        assert!(!text.contains(&canary), "{target}");
        assert!(!seen.text.contains(&deal), "{target}");
    }
    // And B still has what B had.
    let theirs = world
        .send(B, "GET", &format!("deals/{deal}"), None)
        .await
        .json();
    assert_eq!(
        (
            theirs["data"]["title"].as_str(),
            theirs["data"]["version"].as_i64()
        ),
        (Some(&*canary), Some(1))
    );
}

fn assert_clean(seen: &Seen, canary: &str) {
    assert!(!seen.text.contains(canary), "{}", seen.text);
    for value in seen.headers.values() {
        assert!(!value.to_str().unwrap_or_default().contains(canary));
    }
}

#[tokio::test]
async fn row_level_security_holds_where_our_own_fence_is_left_out() {
    let world = World::new().await;
    world.create(A, "deals", json!({"title": "a"})).await;
    world.create(B, "deals", json!({"title": "b"})).await;
    let unfenced = |text: &str| sql::Statement {
        text: text.to_owned(),
        binds: vec![],
    };
    let scope = |tenant: &str| proxy::postgres::Scope {
        tenant: tenant.parse().unwrap(),
        user: "ada".into(),
    };
    let titles = |rows: &[proxy::postgres::Row]| -> Vec<String> {
        rows.iter()
            .map(|r| String::from_utf8(r.values().next().unwrap().unwrap().to_vec()).unwrap())
            .collect()
    };
    for (tenant, expected) in [(A, "a"), (B, "b")] {
        let read = world
            .data
            .database
            .run_read(
                &scope(tenant),
                proxy::postgres::Lane::Shared,
                [unfenced("select title from crm.deals")],
            )
            .await
            .unwrap();
        assert_eq!(titles(&read[0]), [expected]);
    }
    // An update that forgets the tenant changes one's own rows; one that gives rows away is refused.
    let forgotten = unfenced("update crm.deals set seats = 1 returning title");
    let changed = world
        .data
        .database
        .run_write(&scope(A), [forgotten])
        .await
        .unwrap();
    assert_eq!(titles(&changed[0]), ["a"]);
    let given = unfenced(&format!("update crm.deals set tenant_id = '{B}'"));
    let refused = world
        .data
        .database
        .run_write(&scope(A), [given])
        .await
        .unwrap_err();
    assert!(matches!(refused, DatabaseError::Unexpected { code, .. } if code == "42501"));
    for text in [
        "delete from crm.deals",
        "truncate crm.deals",
        "create temp table x ()",
        "select * from pg_catalog.pg_authid",
    ] {
        assert!(
            world
                .data
                .database
                .run_write(&scope(A), [unfenced(text)])
                .await
                .is_err(),
            "{text}"
        );
    }
    // The shared lane writes nothing at all.
    let write = unfenced("update crm.deals set seats = 2");
    assert!(
        world
            .data
            .database
            .run_read(&scope(A), proxy::postgres::Lane::Shared, [write])
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_never_meet_on_a_connection() {
    never_meet(&World::with(two_connections).await).await;
}

/// One connection of each lane, for which everybody may wait.
pub fn two_connections(config: &mut DatabaseConfig) {
    config.shared.connections = 1;
    config.exclusive.connections = 1;
    config.exclusive.queue = 4096;
    config.shared.queue = 4096;
}

/// Ten thousand requests of two tenants, many of them given up midway.
pub async fn never_meet(world: &World) {
    let canary = canary();
    let mut ids = Vec::new();
    for i in 0..20 {
        let a = world
            .create(A, "deals", json!({"title": format!("a{i}"), "seats": i}))
            .await;
        let b = world
            .create(
                B,
                "deals",
                json!({"title": format!("{canary}{i}"), "seats": i}),
            )
            .await;
        ids.push((
            a["id"].as_str().unwrap().to_owned(),
            b["id"].as_str().unwrap().to_owned(),
        ));
    }
    let (canary, ids) = (&canary, &ids);
    let worker = |number: u64| async move {
        let mut random = Random(number + 1);
        let mut answered = 0;
        for _ in 0..10_000 / 32 {
            let tenant = if random.below(2) == 0 { A } else { B };
            let (own, other) = {
                let (a, b) = &ids[random.below(20) as usize];
                if tenant == A { (a, b) } else { (b, a) }
            };
            let bad = random.below(10) == 0;
            let (method, target, body) = match random.below(8) {
                0 | 1 => ("GET", format!("deals/{own}"), None),
                2 => ("GET", format!("deals/{other}"), None),
                3 => ("GET", "deals?limit=5".to_owned(), None),
                4 => (
                    "GET",
                    format!("deals?title=like.*{}*&limit=3", random.below(20)),
                    None,
                ),
                5 => (
                    "PATCH",
                    format!("deals/{own}"),
                    Some(json!({"seats": random.below(100)})),
                ),
                // Errors within chunks: a missing parent, a taken id.
                6 if bad => (
                    "POST",
                    "deals".to_owned(),
                    Some(json!({"title": "x", "parent_id": other})),
                ),
                6 => (
                    "POST",
                    "deals".to_owned(),
                    Some(json!({"id": own, "title": "x"})),
                ),
                _ => ("PATCH", format!("deals/{other}"), Some(json!({"seats": 1}))),
            };
            let patience = Duration::from_micros(random.below(3_000));
            let sent = world.send(tenant, method, &target, body);
            let seen = if random.below(3) == 0 {
                match tokio::time::timeout(patience, sent).await {
                    Ok(seen) => seen,
                    Err(_) => continue,
                }
            } else {
                sent.await
            };
            answered += 1;
            let expected: &[u16] = match (method, target.contains(other.as_str())) {
                ("POST", _) => &[409],
                (_, true) => &[404],
                _ => &[200],
            };
            assert!(
                expected.contains(&seen.status.as_u16()),
                "{method} {target}: {} {}",
                seen.status,
                seen.text
            );
            assert_eq!(
                seen.text.contains(canary.as_str()),
                tenant == B && seen.status == 200 && has_rows(&seen),
                "{target}"
            );
        }
        answered
    };
    let answered: u64 = futures::future::join_all((0..32).map(worker))
        .await
        .into_iter()
        .sum();
    assert!(answered > 5_000, "{answered}");
}

fn has_rows(seen: &Seen) -> bool {
    match &seen.json()["data"] {
        Value::Array(rows) => !rows.is_empty(),
        _ => true,
    }
}

/// xorshift: a run can be repeated.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}
