//! Writes of several records are asked about as others are, and carried out once under a key.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    hooks::{world, world_of},
    idempotency::{self, assert_replay, keyed},
    several::{deals, seats},
};
use crate::support::{
    receiver::{Receiver, Response},
    world::{A, B, World, send_to},
};

/// What the module was asked, less what is the same every time.
fn asked(module: &Receiver) -> Vec<Value> {
    let calls = module.received();
    let bodies = calls.iter().map(|call| {
        let mut body = call.json();
        for name in ["module", "model", "tenantId", "userId", "traceId", "dryRun"] {
            body.as_object_mut().unwrap().remove(name);
        }
        body
    });
    bodies.collect()
}

#[tokio::test]
async fn a_hook_is_asked_about_each_write_of_several() {
    let module = Receiver::start(|_| Response::empty(204)).await;
    let events = ["BeforeUpdate", "BeforeDelete"];
    let hooks = events.map(|event| (event, module.url.as_str(), 2_000, "Fail"));
    let world = world(&hooks).await;
    let ids = deals(&world, A, 2).await;
    let one = format!("deals/{}", ids[0]);
    world
        .send(
            A,
            "PATCH",
            "deals?seats=gte.0&or=(title.eq.0,title.eq.a b)&select=id",
            Some(json!({"amount": 1.50})),
        )
        .await;
    let body = json!([{"id": ids[1], "seats": null}, {"id": ids[0]}]);
    world.send(A, "PATCH", "deals", Some(body)).await;
    // Nothing to change is nothing to ask about.
    world
        .send(A, "PATCH", "deals", Some(json!([{"id": ids[0]}])))
        .await;
    world.send(A, "DELETE", &one, None).await;
    world.send(A, "POST", &format!("{one}/restore"), None).await;
    world.send(A, "DELETE", "deals?title=eq.0", None).await;
    let caller = world.caller(A);
    let merge = [("prefer", "resolution=merge-duplicates")];
    let upsert = json!({"id": ids[1], "title": "u"});
    let seen = world
        .send_as(
            &caller,
            "POST",
            "deals?on_conflict=id",
            &merge,
            Some(upsert),
        )
        .await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    let ignore = [("prefer", "resolution=ignore-duplicates")];
    let upsert = json!({"id": ids[1], "title": "v"});
    world
        .send_as(
            &caller,
            "POST",
            "deals?on_conflict=id",
            &ignore,
            Some(upsert),
        )
        .await;
    let event = |event: &str, records: Value| json!({"event": event, "records": records});
    let mut filtered = event("BeforeUpdate", json!([{"values": {"amount": 1.50}}]));
    filtered["filter"] = json!("seats=gte.0&or=%28title.eq.0%2Ctitle.eq.a+b%29");
    let mut gone = event("BeforeDelete", json!([]));
    gone["filter"] = json!("title=eq.0");
    assert_eq!(
        asked(&module),
        [
            filtered,
            event(
                "BeforeUpdate",
                json!([{"id": ids[1], "values": {"seats": null}}, {"id": ids[0], "values": {}}])
            ),
            event("BeforeDelete", json!([{"id": ids[0]}])),
            event("BeforeUpdate", json!([{"id": ids[0]}])),
            gone,
            event(
                "BeforeUpdate",
                json!([{"id": ids[1], "values": {"title": "u"}}])
            ),
        ]
    );
    // What a batch would ask is not known before its transaction.
    for operation in [
        json!({"op": "restore", "model": "deals", "id": ids[0]}),
        json!({"op": "upsert", "model": "deals", "id": ids[0], "data": {"title": "x"}}),
    ] {
        let seen = world
            .send(A, "POST", "batch", Some(json!({"operations": [operation]})))
            .await;
        assert_eq!(
            (seen.status, seen.errors()),
            (
                StatusCode::BAD_REQUEST,
                vec!["model INVALID_VALUE".to_owned()]
            )
        );
    }
}

#[tokio::test]
async fn no_write_goes_around_a_hook_that_refuses() {
    let module = Receiver::start(|_| Response::json(403, json!({"detail": "no"}))).await;
    let events = ["BeforeUpdate", "BeforeDelete"];
    let world = world(&events.map(|event| (event, module.url.as_str(), 2_000, "Fail"))).await;
    let ids = deals(&world, A, 2).await;
    let mut admin = world.database.admin().await;
    let gone = format!(
        "update crm.deals set deleted_at = now(), delete_id = id where id = '{}'",
        ids[1]
    );
    crate::support::database::run(&mut admin, &gone).await;
    let caller = world.caller(A);
    let merge = [("prefer", "resolution=merge-duplicates")];
    let restore = format!("deals/{}/restore", ids[1]);
    for (method, target, headers, body) in [
        (
            "PATCH",
            "deals?seats=gte.0",
            &[][..],
            Some(json!({"seats": 9})),
        ),
        (
            "PATCH",
            "deals",
            &[],
            Some(json!([{"id": ids[0], "seats": 9}])),
        ),
        ("DELETE", "deals?seats=gte.0", &[], None),
        ("POST", &restore, &[], None),
        (
            "POST",
            "deals?on_conflict=id",
            &merge,
            Some(json!([{"id": ids[0], "title": "t", "seats": 9}])),
        ),
    ] {
        let seen = world.send_as(&caller, method, target, headers, body).await;
        assert_eq!(
            seen.status,
            StatusCode::FORBIDDEN,
            "{method} {target} {}",
            seen.text
        );
    }
    assert_eq!(module.received().len(), 5);
    assert_eq!(seats(&world, A).await, [json!(0)]);
}

#[tokio::test]
async fn a_hook_changes_each_record_of_several() {
    let module = Receiver::start(|call| {
        let records = call.json()["records"].as_array().unwrap().clone();
        let doubled = records.iter().map(|record| {
            let seats = record["values"]["seats"].as_i64().unwrap_or(50);
            json!({"values": {"seats": seats * 2}})
        });
        Response::json(200, json!({"records": doubled.collect::<Vec<_>>()}))
    })
    .await;
    let world = world(&[("BeforeUpdate", &module.url, 2_000, "Fail")]).await;
    let ids = deals(&world, A, 3).await;
    deals(&world, B, 3).await;
    let body = json!([{"id": ids[2], "seats": 4}, {"id": ids[0], "title": "0"}]);
    let seen = world
        .send(A, "PATCH", "deals?select=seats", Some(body))
        .await;
    assert_eq!(
        seen.json()["data"],
        json!([{"seats": 8}, {"seats": 100}]),
        "{}",
        seen.text
    );
    let seen = world
        .send(A, "PATCH", "deals?seats=gt.7", Some(json!({"seats": 3})))
        .await;
    assert_eq!(seen.json()["meta"]["affected"], 2);
    assert_eq!(seats(&world, A).await, [json!(6), json!(1), json!(6)]);
    assert_eq!(seats(&world, B).await, [json!(0), json!(1), json!(2)]);
}

#[tokio::test]
async fn a_hook_sees_a_merge_patch_as_one() {
    let module = Receiver::start(|_| {
        let values = json!({"a_json": {"checked": true, "secret": null}});
        Response::json(200, json!({"records": [{"values": values}]}))
    })
    .await;
    let world: World = world_of(2, &[("BeforeUpdate", &module.url, 2_000, "Fail")]).await;
    let before = json!({"a_json": {"keep": 1, "secret": 2}});
    let thing = world.create(A, "things", before).await;
    let path = format!("things/{}", thing["id"].as_str().unwrap());
    let caller = world.caller(A);
    let patch = |media: &'static str, target: String| {
        let (world, caller) = (&world, &caller);
        let body = r#"{"a_json": {"big": 1.10, "gone": null}}"#.to_owned();
        async move {
            let headers = [("content-type", media)];
            send_to(&world.data, caller, "PATCH", &target, &headers, Some(body)).await
        }
    };
    // What the hook answers takes the place of what the client sent, and is read as that was.
    let merged = patch("application/merge-patch+json", path.clone()).await;
    assert_eq!(
        merged.json()["data"]["a_json"],
        json!({"keep": 1, "checked": true}),
        "{}",
        merged.text
    );
    let replaced = patch("application/json", "things?a_json=not.is.null".to_owned()).await;
    assert_eq!(
        replaced.json()["data"][0]["a_json"],
        json!({"checked": true, "secret": null}),
        "{}",
        replaced.text
    );
    let calls = asked(&module);
    assert_eq!(calls[0]["mergePatch"], true);
    assert_eq!(
        calls[0]["records"][0]["values"],
        json!({"a_json": {"big": 1.10, "gone": null}})
    );
    assert!(calls[1].get("mergePatch").is_none());
}

#[tokio::test]
async fn writes_of_several_records_are_carried_out_once() {
    let world = idempotency::world().await;
    let caller = world.caller(A);
    let ids = deals(&world, A, 3).await;
    let one = format!("deals/{}", ids[2]);
    let restore = format!("{one}/restore");
    let many = json!([{"id": ids[0], "seats": 5}]);
    let cases = [
        ("PATCH", "deals?seats=gte.0", Some(json!({"stage": "won"}))),
        ("PATCH", "deals", Some(many)),
        ("DELETE", &one, None),
        ("POST", &restore, None),
        ("DELETE", "deals?stage=eq.won", None),
    ];
    for (n, (method, target, body)) in cases.into_iter().enumerate() {
        let key = format!("several-{n}");
        let first = keyed(&world, &caller, &key, method, target, body.clone()).await;
        assert!(first.status.is_success(), "{method} {}", first.text);
        let again = keyed(&world, &caller, &key, method, target, body.clone()).await;
        assert_replay(&first, &again);
        let sign = if target.contains('?') { '&' } else { '?' };
        let other = format!("{target}{sign}select=id");
        let other = keyed(&world, &caller, &key, method, &other, body).await;
        assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let seen = world
        .send(
            A,
            "GET",
            "deals?deleted=only&select=version&order=title",
            None,
        )
        .await;
    // Created, won, (changed | deleted and restored,) deleted.
    assert_eq!(
        seen.json()["data"],
        json!([{"version": 4}, {"version": 3}, {"version": 5}])
    );
    // What is refused keeps nothing, and what was done before it is undone.
    let parent = world.create(A, "deals", json!({"title": "p"})).await;
    let parent = parent["id"].as_str().unwrap();
    let child = json!({"title": "c", "parent_id": parent});
    world.create(A, "deals", child).await;
    for expected in [StatusCode::CONFLICT, StatusCode::OK] {
        let seen = keyed(&world, &caller, "k", "DELETE", "deals?title=eq.p", None).await;
        assert_eq!(seen.status, expected, "{}", seen.text);
        world.send(A, "DELETE", "deals?title=eq.c", None).await;
    }
}
