//! Writes of many records: beside others, at their bounds, and whole or not at all.

use std::collections::HashSet;

use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};

use super::several::{deals, rows};
use crate::support::{
    database::run,
    world::{A, B, World},
};

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
                // One of them becomes the parent of all: it is locked among them, and not before.
                let body = json!({"amount": i, "parent_id": ids[3]});
                world
                    .send(A, "PATCH", "deals?seats=gte.0", Some(body))
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_write_at_once_write_their_own() {
    let world = World::new().await;
    let world = &world;
    let mut companies = Vec::new();
    for (tenant, canary) in [(A, "canary-a"), (B, "canary-b")] {
        let company = world
            .create(tenant, "companies", json!({"name": canary}))
            .await;
        companies.push(company["id"].as_str().unwrap().to_owned());
        deals(world, tenant, 20).await;
    }
    let (a, b) = (&companies[0], &companies[1]);
    let writes = (0..24).map(|i| async move {
        let (tenant, own, other, canary) = match i % 2 {
            0 => (A, a, b, "canary-a"),
            _ => (B, b, a, "canary-b"),
        };
        let change = json!({"stage": "won", "company_id": own});
        // Somebody else's company is not there, and nothing of the request is written.
        let foreign = json!({"stage": "lost", "company_id": other});
        let target = "deals?version=gte.1&select=title,company_id&include=";
        let refused = world
            .send(tenant, "PATCH", target, Some(change.clone()))
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
        let refused = world
            .send(tenant, "PATCH", "deals?version=gte.1", Some(foreign))
            .await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
        let seen = world
            .send(tenant, "PATCH", "deals?version=gte.1", Some(change))
            .await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
        assert!(!seen.text.contains(other.as_str()) && seen.json()["meta"]["affected"] == 20);
        let everyone = format!("companies?name=like.canary*&id=in.({a},{b})");
        let name = json!({"name": format!("{canary}-{i}")});
        let seen = world.send(tenant, "PATCH", &everyone, Some(name)).await;
        assert_eq!(seen.json()["meta"]["affected"], 1, "{}", seen.text);
        assert!(!seen.text.contains(other.as_str()));
    });
    join_all(writes).await;
    let mut admin = world.database.admin().await;
    let found = sqlx::query(
        "select tenant_id::text, company_id__2::text, stage__2, count(*), min(version), max(version) from crm.deals \
         group by 1, 2, 3 order by 1",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    let found: Vec<(String, String, String, i64, i64, i64)> = found
        .iter()
        .map(|r| (r.get(0), r.get(1), r.get(2), r.get(3), r.get(4), r.get(5)))
        .collect();
    let of = |tenant: &str, company: &String| {
        (
            tenant.to_owned(),
            company.clone(),
            "won".to_owned(),
            20,
            13,
            13,
        )
    };
    assert_eq!(found, [of(A, a), of(B, b)]);
    for (tenant, canary) in [(A, "canary-a"), (B, "canary-b")] {
        let seen = world.send(tenant, "GET", "companies", None).await;
        assert!(seen.text.contains(canary) && seen.json()["data"].as_array().unwrap().len() == 1);
        // One of each tenant's deletes all, whatever others do.
        let seen = world
            .send(tenant, "DELETE", "deals?version=gte.1", None)
            .await;
        assert_eq!(seen.json()["meta"]["affected"], 20, "{}", seen.text);
        let left = world
            .send(B, "GET", "deals?limit=0&count=exact", None)
            .await;
        let expected = if tenant == A { 20 } else { 0 };
        assert_eq!(left.json()["meta"]["count"], expected);
    }
    admin.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_to_refer_to_what_goes() {
    let world = World::new().await;
    let world = &world;
    let ids = deals(world, A, 8).await;
    let ids = &ids;
    for round in 0..4 {
        let companies: Vec<_> = (0..3)
            .map(|i| json!({"name": format!("{round}-{i}")}))
            .collect();
        let made = world
            .send(A, "POST", "companies", Some(companies.into()))
            .await;
        let made: Vec<String> = made.json()["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["id"].as_str().unwrap().to_owned())
            .collect();
        let (made, filter) = (&made, &format!("name=like.{round}-*"));
        let writes = (0..9).map(|i| async move {
            let company = &made[i % 3];
            let (method, target, body) = match i {
                0 | 5 => ("DELETE", format!("companies?{filter}"), None),
                1..=4 => {
                    let each = ids
                        .iter()
                        .map(|id| json!({"id": id, "company_id": company}));
                    let body: Vec<_> = each.collect();
                    ("PATCH", "deals".to_owned(), Some(Value::from(body)))
                }
                6 => {
                    let body = json!({"company_id": null});
                    (
                        "PATCH",
                        "deals?company_id=not.is.null".to_owned(),
                        Some(body),
                    )
                }
                _ => {
                    let body = json!({"company_id": company});
                    ("PATCH", "deals?seats=gte.2".to_owned(), Some(body))
                }
            };
            let seen = world.send(A, method, &target, body).await;
            let known = [StatusCode::OK, StatusCode::CONFLICT];
            assert!(
                known.contains(&seen.status),
                "{method} {target} {}",
                seen.text
            );
        });
        join_all(writes).await;
    }
    let mut admin = world.database.admin().await;
    let orphans: i64 = sqlx::query_scalar(
        "select count(*) from crm.deals d join crm.companies c on c.tenant_id = d.tenant_id and c.id = d.company_id__2 \
         where d.deleted_at is null and c.deleted_at is not null",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(orphans, 0);
    admin.close().await.unwrap();
}

#[tokio::test]
async fn the_last_of_a_thousand_undoes_them_all() {
    let world = World::new().await;
    let body: Vec<_> = (0..1000)
        .map(|i| json!({"name": "n", "code": format!("{i}")}))
        .collect();
    let made = world.send(A, "POST", "companies", Some(body.into())).await;
    let mut ids: Vec<String> = made.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["id"].as_str().unwrap().to_owned())
        .collect();
    world
        .create(A, "companies", json!({"name": "t", "code": "taken"}))
        .await;
    let edits = |last: Value| {
        let mut edits: Vec<_> = ids
            .iter()
            .map(|id| json!({"id": id, "name": "new"}))
            .collect();
        edits[999] = last;
        Value::from(edits)
    };
    let last = ids[999].clone();
    let large = "x".repeat(900 * 1024);
    for (edit, status, expected) in [
        (
            json!({"id": last, "code": "taken"}),
            409,
            vec!["999 code NOT_UNIQUE"],
        ),
        // Its own code is not another's.
        (
            json!({"id": last, "code": "0"}),
            409,
            vec!["999 code NOT_UNIQUE"],
        ),
        (
            json!({"id": last, "version": 2}),
            409,
            vec!["999 version STALE_VERSION"],
        ),
        (
            json!({"id": last, "name": null}),
            400,
            vec!["999 name REQUIRED"],
        ),
        (json!({"id": A, "name": "b"}), 404, vec!["999 id NOT_FOUND"]),
        (
            json!({"id": last, "nope": 1}),
            400,
            vec!["999 nope UNKNOWN_FIELD"],
        ),
    ] {
        let seen = world.send(A, "PATCH", "companies", Some(edits(edit))).await;
        assert_eq!(
            (seen.status.as_u16(), rows(&seen)),
            (
                status,
                expected.into_iter().map(str::to_owned).collect::<Vec<_>>()
            ),
            "{}",
            seen.text
        );
    }
    let changed = world
        .send(A, "GET", "companies?version=gt.1&limit=1", None)
        .await;
    assert_eq!(changed.json()["data"], json!([]));
    // A record may keep a unique value and say so.
    let kept = json!({"id": last, "code": "999", "name": "kept"});
    let seen = world.send(A, "PATCH", "companies", Some(edits(kept))).await;
    assert_eq!(seen.json()["meta"]["affected"], 1000, "{}", seen.text);
    // By filter a unique value is one record's.
    let seen = world
        .send(
            A,
            "PATCH",
            "companies?name=eq.new",
            Some(json!({"code": "same"})),
        )
        .await;
    assert_eq!(
        (seen.status, rows(&seen)),
        (StatusCode::CONFLICT, vec!["- code NOT_UNIQUE".to_owned()])
    );
    ids.push(A.to_owned());
    let many: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
    let seen = world.send(A, "PATCH", "companies", Some(many.into())).await;
    assert_eq!(
        (seen.status, rows(&seen)),
        (
            StatusCode::BAD_REQUEST,
            vec!["- body LIMIT_EXCEEDED".to_owned()]
        )
    );

    // No record grows past what an event carries, whichever way it is written.
    let thing = world
        .create(A, "things", json!({"a_text": large, "a_json": [large]}))
        .await;
    let id = thing["id"].as_str().unwrap();
    let grown = json!({"texts": [large]});
    let by_id = world
        .send(
            A,
            "PATCH",
            "things",
            Some(json!([{"id": id, "texts": [large]}])),
        )
        .await;
    assert_eq!(by_id.status, StatusCode::OK);
    let more = json!({"a_bytes": "eHh4".repeat(230 * 1024)});
    for prefer in ["return=representation", "return=minimal"] {
        let headers = [("prefer", prefer)];
        let caller = world.caller(A);
        let filter = "things?a_bool=is.null";
        let seen = world
            .send_as(&caller, "PATCH", filter, &headers, Some(more.clone()))
            .await;
        assert_eq!(seen.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", seen.text);
        let mut edit = more.clone();
        edit["id"] = json!(id);
        let seen = world
            .send_as(&caller, "PATCH", "things", &headers, Some(json!([edit])))
            .await;
        assert_eq!(seen.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", seen.text);
    }
    let again = world
        .send(A, "PATCH", "things?a_bool=is.null", Some(grown))
        .await;
    assert_eq!(again.json()["data"][0]["version"], 3);
}

#[tokio::test]
async fn a_filter_reaches_a_hundred_thousand_and_not_one_more() {
    let world = World::new().await;
    let caller = world.caller(A);
    let mut admin = world.database.admin().await;
    run(
        &mut admin,
        &format!(
            "insert into crm.notes (tenant_id, id, text__2, created_by, updated_by) \
             select t::uuid, gen_random_uuid(), 'n', 'x', 'x' from unnest(array['{A}', '{B}']) t, \
             generate_series(1, 100001)"
        ),
    )
    .await;
    admin.close().await.unwrap();
    let minimal = [("prefer", "return=minimal")];
    let headers_only = [("prefer", "return=headers-only, max-affected=100001")];
    let change = || Some(json!({"text": "m"}));
    let target = "notes?text=in.(n,m)";
    for (headers, body) in [
        (minimal, change()),
        (headers_only, change()),
        (minimal, None),
    ] {
        let method = if body.is_some() { "PATCH" } else { "DELETE" };
        let seen = world.send_as(&caller, method, target, &headers, body).await;
        assert_eq!(
            (seen.status, seen.errors()),
            (
                StatusCode::BAD_REQUEST,
                vec!["filters LIMIT_EXCEEDED".to_owned()]
            )
        );
    }
    let one = world.send(A, "GET", "notes?limit=1", None).await;
    let id = one.json()["data"][0]["id"].as_str().unwrap().to_owned();
    world.send(A, "DELETE", &format!("notes/{id}"), None).await;
    for body in [change(), None] {
        let method = if body.is_some() { "PATCH" } else { "DELETE" };
        let seen = world.send_as(&caller, method, target, &minimal, body).await;
        assert_eq!(seen.status, StatusCode::NO_CONTENT, "{}", seen.text);
    }
    // Twenty are a page of this model, and may be shown.
    let few = world.send(B, "GET", "notes?limit=20&select=id", None).await;
    let ids: HashSet<String> = few.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["id"].as_str().unwrap().to_owned())
        .collect();
    let list = ids.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    let seen = world
        .send(B, "DELETE", &format!("notes?id=in.({list})"), None)
        .await;
    assert_eq!(seen.json()["meta"]["affected"], 20, "{}", seen.text);
    let seen = world.send(B, "PATCH", "notes?text=eq.n", change()).await;
    assert_eq!(seen.errors(), ["filters LIMIT_EXCEEDED"]);
    let count = |tenant: &'static str| world.send(tenant, "GET", "notes?limit=0&count=exact", None);
    assert_eq!(count(A).await.json()["meta"]["count"], 0);
    assert_eq!(count(B).await.json()["meta"]["count"], 99_981);
}
