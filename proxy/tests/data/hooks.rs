//! A module that is asked before a write.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::Engine as _;
use http::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::{
    receiver::{Receiver, Response},
    world::{A, B, HOOK_KEY, World, catalog_of, models},
};

/// A world whose model `deals` has these hooks: event, URL, timeout in ms, policy.
pub(super) async fn world(hooks: &[(&str, &str, u32, &str)]) -> World {
    world_of(1, hooks).await
}

/// The same of the model at that place.
pub(super) async fn world_of(at: usize, hooks: &[(&str, &str, u32, &str)]) -> World {
    let mut world = World::new().await;
    let mut models = models();
    let hooks: Vec<_> = hooks
        .iter()
        .map(|(event, url, timeout, policy)| {
            json!({"event": event, "url": url, "timeoutMs": timeout, "failurePolicy": policy})
        })
        .collect();
    let mut hooked = serde_json::to_value(&models[at]).unwrap();
    hooked["hooks"] = json!(hooks);
    models[at] = serde_json::from_value(hooked).unwrap();
    world.catalog = catalog_of(&models, 1);
    world
}

async fn count(world: &World, tenant: &str) -> usize {
    let list = world.send(tenant, "GET", "deals", None).await.json();
    list["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_hook_sees_the_write_and_its_signature_holds() {
    let module = Receiver::start(|_| Response::empty(204)).await;
    let events = ["BeforeCreate", "BeforeUpdate", "BeforeDelete"];
    let hooks = events.map(|event| (event, module.url.as_str(), 2_000, "Fail"));
    let world = world(&hooks).await;
    let sent = json!({"title": "Ünö \"1\"", "amount": "1234567890.10", "seats": null});
    let record = world.create(A, "deals", sent).await;
    let id = record["id"].as_str().unwrap();
    let path = format!("deals/{id}");
    let patched = world
        .send(A, "PATCH", &path, Some(json!({"seats": 3})))
        .await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    // Nothing to change is nothing to ask about.
    world.send(A, "PATCH", &path, Some(json!({}))).await;
    let deleted = world.send(A, "DELETE", &path, None).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);

    let calls = module.received();
    let about = |event: &str, record: Value| {
        json!({
            "event": event, "module": "crm", "model": "deals", "tenantId": A, "userId": "ada",
            "traceId": "0123456789abcdef0123456789abcdef", "dryRun": false, "records": [record],
        })
    };
    let bodies: Vec<_> = calls.iter().map(|call| call.json()).collect();
    let created =
        json!({"id": id, "values": {"title": "Ünö \"1\"", "amount": 1234567890.10, "seats": null}});
    assert_eq!(
        bodies,
        [
            about("BeforeCreate", created),
            about("BeforeUpdate", json!({"id": id, "values": {"seats": 3}})),
            about("BeforeDelete", json!({"id": id})),
        ]
    );
    assert!(String::from_utf8_lossy(&calls[0].body).contains("\"amount\":1234567890.1,"));

    let key = base64::engine::general_purpose::STANDARD.encode(HOOK_KEY);
    let keys = hook::Keys::parse(&key.into(), None).unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for call in &calls {
        let key = keys.module_key(&"crm".parse().unwrap());
        let other = keys.module_key(&"hr".parse().unwrap());
        let verify = |key: &str, body: &[u8], now| hook::verify(key, &call.signature, body, now);
        assert!(verify(key.expose_secret(), &call.body, now));
        assert!(!verify(other.expose_secret(), &call.body, now));
        assert!(!verify(key.expose_secret(), b"{}", now));
        assert!(!verify(key.expose_secret(), &call.body, now + 3_600));
    }
}

#[tokio::test]
async fn a_hook_changes_what_is_written() {
    let module = Receiver::start(|call| {
        let call = call.json();
        let seats = call["records"][0]["values"]["seats"].as_i64().unwrap_or(0);
        let values = json!({"seats": seats + 1, "stage": "won"});
        Response::json(200, json!({"records": [{"values": values}]}))
    })
    .await;
    let url = module.url.as_str();
    // The second is asked about what the first has made of it.
    let world = world(&[
        ("BeforeCreate", url, 2_000, "Fail"),
        ("BeforeCreate", &format!("{url}again"), 2_000, "Fail"),
        ("BeforeUpdate", url, 2_000, "Fail"),
    ])
    .await;
    let record = world
        .create(A, "deals", json!({"title": "One", "seats": 5}))
        .await;
    assert_eq!(
        (&record["seats"], &record["stage"]),
        (&json!(7), &json!("won"))
    );
    let sent = module.received()[0].json()["records"][0]["id"].clone();
    assert_eq!(record["id"], sent, "the id that the hook was told");
    let path = format!("deals/{}", record["id"].as_str().unwrap());
    let patched = world
        .send(A, "PATCH", &path, Some(json!({"title": "Two"})))
        .await
        .json();
    assert_eq!(patched["data"]["seats"], 1);
    assert_eq!(patched["data"]["title"], "Two");
}

#[tokio::test]
async fn a_hook_refuses_and_nothing_is_written() {
    let status = Arc::new(AtomicU16::new(422));
    let answered = Arc::clone(&status);
    let module = Receiver::start(move |_| {
        let body = json!({"detail": "Too\nmuch <b>", "errors": [{"field": "amount", "message": "is above 10"}]});
        Response::json(answered.load(Ordering::Relaxed), body)
    })
    .await;
    let world = world(&[("BeforeCreate", &module.url, 2_000, "Ignore")]).await;
    for (told, expected, code) in [
        (422, StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
        (400, StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
        (403, StatusCode::FORBIDDEN, "FORBIDDEN"),
        (409, StatusCode::CONFLICT, "CONFLICT"),
    ] {
        status.store(told, Ordering::Relaxed);
        let refused = world
            .send(A, "POST", "deals", Some(json!({"title": "One"})))
            .await;
        assert_eq!(refused.status, expected, "{}", refused.text);
        let problem = refused.json();
        assert_eq!(problem["code"], code);
        assert_eq!(problem["detail"], "Too much <b>");
        assert_eq!(refused.errors(), ["amount REFUSED"]);
    }
    assert_eq!(count(&world, A).await, 0);
    // A refusal before the hook is no business of the hook.
    let calls = module.received().len();
    let operation = json!({"op": "create", "model": "deals", "data": {"title": "One"}});
    let free = json!({"op": "create", "model": "companies", "data": {"name": "One"}});
    let batch = json!({"operations": [free, operation]});
    let refused = world.send(A, "POST", "batch", Some(batch)).await;
    assert_eq!(
        refused.errors(),
        ["model INVALID_VALUE"],
        "{}",
        refused.text
    );
    assert_eq!(refused.json()["errors"][0]["row"], 1);
    let wrong = world
        .send(A, "POST", "deals", Some(json!({"nope": 1})))
        .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let caller = world.caller_with(A, &["crm.deals.read"]);
    let body = Some(json!({"title": "x"}));
    let forbidden = world.send_as(&caller, "POST", "deals", &[], body).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    assert_eq!(module.received().len(), calls);
}

#[tokio::test]
async fn a_hook_that_fails_stops_the_write_or_is_ignored() {
    let inner = Receiver::start(|_| Response::empty(204)).await;
    let target = inner.url.clone();
    let module = Receiver::start(move |call| match call.target.as_str() {
        "/slow" => Response {
            delay: Duration::from_secs(4),
            ..Response::empty(204)
        },
        "/500" => Response::json(500, json!({"detail": "hunter2"})),
        "/redirect" => Response {
            location: Some(target.clone()),
            ..Response::empty(307)
        },
        "/login" => Response {
            content_type: "text/html",
            ..Response::json(403, json!("<html>"))
        },
        "/count" => Response::json(200, json!({"records": []})),
        "/kept" => Response::json(200, json!({"records": [{"values": {"tenant_id": B}}]})),
        "/large" => Response::json(200, json!({"records": ["x".repeat(3 << 20)]})),
        other => panic!("{other}"),
    })
    .await;
    let closed = {
        let gone = Receiver::start(|_| Response::empty(204)).await;
        gone.url.clone()
    };
    let of = |path: &str| format!("{}{path}", module.url);
    for (url, expected) in [
        (of("slow"), StatusCode::GATEWAY_TIMEOUT),
        (of("500"), StatusCode::SERVICE_UNAVAILABLE),
        (of("redirect"), StatusCode::SERVICE_UNAVAILABLE),
        (of("login"), StatusCode::SERVICE_UNAVAILABLE),
        (of("count"), StatusCode::SERVICE_UNAVAILABLE),
        (of("kept"), StatusCode::SERVICE_UNAVAILABLE),
        (of("large"), StatusCode::SERVICE_UNAVAILABLE),
        (closed, StatusCode::SERVICE_UNAVAILABLE),
        // Not in the list of hosts.
        (
            "http://localhost:1/".to_owned(),
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (
            "http://127.0.0.2:1/".to_owned(),
            StatusCode::SERVICE_UNAVAILABLE,
        ),
    ] {
        // One database for all: only what is served differs.
        let limit = if url.ends_with("/slow") { 300 } else { 2_000 };
        let fail = world(&[("BeforeCreate", &url, limit, "Fail")]).await;
        let begun = Instant::now();
        let failed = fail
            .send(A, "POST", "deals", Some(json!({"title": "One"})))
            .await;
        assert_eq!(failed.status, expected, "{url} {}", failed.text);
        assert!(begun.elapsed() < Duration::from_secs(3), "{url}");
        assert!(!failed.text.contains("hunter2") && !failed.text.contains("127.0.0.1"));
        assert_eq!(count(&fail, A).await, 0, "{url}");
        let mut ignore = fail;
        ignore.catalog = world_catalog(&url, limit);
        let passed = ignore
            .send(A, "POST", "deals", Some(json!({"title": "One"})))
            .await;
        assert_eq!(passed.status, StatusCode::CREATED, "{url} {}", passed.text);
    }
    assert!(inner.received().is_empty(), "a redirect was followed");
}

fn world_catalog(url: &str, limit: u32) -> Arc<model::Catalog> {
    let mut models = models();
    let mut deals = serde_json::to_value(&models[1]).unwrap();
    deals["hooks"] = json!([{"event": "BeforeCreate", "url": url, "timeoutMs": limit, "failurePolicy": "Ignore"}]);
    models[1] = serde_json::from_value(deals).unwrap();
    catalog_of(&models, 1)
}

#[tokio::test]
async fn a_hook_that_is_down_is_not_waited_for() {
    let module = Receiver::start(|_| Response {
        delay: Duration::from_secs(9),
        ..Response::empty(204)
    })
    .await;
    let world = world(&[("BeforeCreate", &module.url, 200, "Fail")]).await;
    for _ in 0..5 {
        let slow = world
            .send(A, "POST", "deals", Some(json!({"title": "One"})))
            .await;
        assert_eq!(slow.status, StatusCode::GATEWAY_TIMEOUT);
    }
    let calls = module.received().len();
    let begun = Instant::now();
    for _ in 0..20 {
        let down = world
            .send(A, "POST", "deals", Some(json!({"title": "One"})))
            .await;
        assert_eq!(down.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(down.header("retry-after"), Some("1"));
    }
    assert!(begun.elapsed() < Duration::from_millis(200));
    assert_eq!(module.received().len(), calls);
    // Reads, and models without hooks, do not notice.
    assert_eq!(count(&world, A).await, 0);
    world.create(A, "companies", json!({"name": "x"})).await;
}

#[tokio::test]
async fn concurrent_writes_of_two_tenants_stay_apart() {
    let module = Receiver::start(|call| {
        let call = call.json();
        let tenant = call["tenantId"].as_str().unwrap();
        let title = call["records"][0]["values"]["title"].as_str().unwrap();
        let title = format!("{title} seen as {tenant}");
        Response::json(200, json!({"records": [{"values": {"title": title}}]}))
    })
    .await;
    let world = world(&[("BeforeCreate", &module.url, 5_000, "Fail")]).await;
    let writes = (0..40).map(|i| {
        let (world, tenant) = (&world, if i % 2 == 0 { A } else { B });
        async move {
            let title = format!("canary of {tenant}");
            let record = world.create(tenant, "deals", json!({"title": title})).await;
            assert_eq!(record["title"], format!("{title} seen as {tenant}"));
        }
    });
    futures::future::join_all(writes).await;
    for call in module.received() {
        let text = String::from_utf8(call.body.clone()).unwrap();
        assert!(!(text.contains(A) && text.contains(B)), "{text}");
    }
    assert_eq!((count(&world, A).await, count(&world, B).await), (20, 20));
}

#[tokio::test]
async fn many_records_are_one_call_and_a_dry_run_says_so() {
    let module = Receiver::start(|call| {
        let call = call.json();
        let records = call["records"].as_array().unwrap().iter();
        let seats = |(i, _)| json!({"values": {"seats": i}});
        let records: Vec<_> = records.enumerate().map(seats).collect();
        Response::json(200, json!({"records": records}))
    })
    .await;
    let world = world(&[("BeforeCreate", &module.url, 2_000, "Fail")]).await;
    let body = || Some(json!([{"title": "One"}, {"title": "Two"}, {"title": "Three"}]));
    let created = world.send(A, "POST", "deals", body()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let created = created.json();
    let call = module.received()[0].json();
    for i in 0..3 {
        assert_eq!(created["data"][i]["seats"], i);
        assert_eq!(created["data"][i]["id"], call["records"][i]["id"]);
        assert_eq!(
            created["data"][i]["title"],
            call["records"][i]["values"]["title"]
        );
    }
    assert_eq!(
        (module.received().len(), &call["dryRun"]),
        (1, &json!(false))
    );
    let caller = world.caller(A);
    let dry = [("prefer", "tx=rollback")];
    let tried = world.send_as(&caller, "POST", "deals", &dry, body()).await;
    assert_eq!(tried.status, StatusCode::CREATED, "{}", tried.text);
    assert_eq!(module.received()[1].json()["dryRun"], true);
    assert_eq!(count(&world, A).await, 3);
    // Of a thousand records one too many is refused before anybody is asked.
    let many = vec![json!({"title": "x"}); 1_001];
    let refused = world.send(A, "POST", "deals", Some(json!(many))).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(module.received().len(), 2);
}
