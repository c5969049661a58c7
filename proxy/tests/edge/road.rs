//! CRUD through the binary: the chain and the endpoints together, for two tenants.

use serde_json::{Value, json};

use super::world::{World, bearer, model};

const CANARY: &str = "canary-5b0c1f";

fn notes() -> Value {
    json!([{"name": "title", "type": "text", "required": true}, {"name": "amount", "type": "decimal", "precision": 12, "scale": 2}])
}

#[test]
fn a_row_is_its_tenants_through_the_whole_road() {
    let world = World::open();
    let document = json!({
        "module": "crm", "model": "notes", "autoApi": true, "analytics": false, "maxPageSize": 100, "fields": notes(),
    });
    world
        .database
        .create_table(&serde_json::from_value(document).unwrap());
    world.database.publish(&model("crm", "notes", notes()));

    let body = json!({"title": CANARY, "amount": 12.5}).to_string();
    let created = world.ask(world.b, "ada", "POST", "/v1/data/crm/notes", &body);
    assert_eq!(created.status, 201, "{created:?}");
    let record = created.json()["data"].clone();
    let path = format!("/v1/data/crm/notes/{}", record["id"].as_str().unwrap());
    assert_eq!(created.header("location"), Some(path.as_str()));
    let got = world.get(world.b, "ada", &path);
    assert_eq!((got.status, got.json()["data"].clone()), (200, record));
    assert!(String::from_utf8_lossy(&got.body).contains("12.50"));
    assert_eq!(got.header("etag"), Some("\"1\""));

    // Nothing that A can ask for holds it, nor tells that it is there.
    let absent = format!("/v1/data/crm/notes/{}", uuid::Uuid::now_v7());
    let without_trace = |answer: &super::client::Answer| {
        let mut body = answer.json();
        body["traceId"] = json!("");
        (answer.status, body.to_string())
    };
    let (restore, no_restore) = (format!("{path}/restore"), format!("{absent}/restore"));
    let theirs = world.ask(world.a, "ada", "POST", &restore, "");
    let nobodys = world.ask(world.a, "ada", "POST", &no_restore, "");
    assert_eq!(without_trace(&theirs), without_trace(&nobodys));
    assert_eq!(theirs.status, 404);
    for method in ["GET", "DELETE"] {
        let theirs = world.ask(world.a, "ada", method, &path, "");
        let nobodys = world.ask(world.a, "ada", method, &absent, "");
        assert_eq!(without_trace(&theirs), without_trace(&nobodys), "{method}");
        assert_eq!(theirs.status, 404);
    }
    let patch = world.ask(world.a, "ada", "PATCH", &path, r#"{"title":"taken"}"#);
    assert_eq!(patch.status, 404);
    for path in [
        "/v1/data/crm/notes",
        "/v1/schema/crm/notes",
        &format!("/v1/data/crm/notes?title=eq.{CANARY}"),
    ] {
        let answer = world.get(world.a, "ada", path);
        assert_eq!(answer.status, 200);
        let text = format!(
            "{:?} {}",
            answer.headers,
            String::from_utf8_lossy(&answer.body)
        );
        assert!(
            !text.contains(CANARY) || path.contains(CANARY) && answer.json()["data"] == json!([]),
            "{text}"
        );
    }
    assert_eq!(
        world.get(world.b, "ada", "/v1/data/crm/notes").json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // All of a filter, for whoever asks: here nothing, there the record, away and back.
    let all = format!("/v1/data/crm/notes?title=eq.{CANARY}");
    for (tenant, affected) in [(world.a, 0), (world.b, 1)] {
        let change = r#"{"amount":1.25}"#;
        let changed = world.ask(tenant, "ada", "PATCH", &all, change);
        assert_eq!(changed.json()["meta"]["affected"], affected, "{changed:?}");
        let deleted = world.ask(tenant, "ada", "DELETE", &all, "");
        assert_eq!(deleted.json()["meta"]["affected"], affected, "{deleted:?}");
    }
    let restored = world.ask(world.b, "ada", "POST", &restore, "");
    assert_eq!(
        (restored.status, restored.header("etag")),
        (200, Some("\"4\""))
    );
    assert!(String::from_utf8_lossy(&restored.body).contains("1.25"));
    let got = world.ask(world.b, "ada", "GET", &restore, "");
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
    let bare = world.ask(world.b, "ada", "DELETE", "/v1/data/crm/notes", "");
    assert_eq!(bare.status, 400, "{bare:?}");

    // Permissions, and what a path does not take.
    assert_eq!(world.get(world.b, "rob", "/v1/data/crm/notes").status, 403);
    assert_eq!(
        world.get(world.b, "rob", &path).problem(),
        world.get(world.b, "rob", &absent).problem()
    );
    let put = world.ask(world.b, "ada", "PUT", &path, "{}");
    assert_eq!((put.status, put.header("allow").is_some()), (405, true));
    assert_eq!(
        world
            .ask(world.b, "ada", "POST", "/v1/data/crm/batch", "{}")
            .status,
        400
    );
    // Analytics is served as soon as its fences are proven, which without ClickHouse they are not.
    let asked = world.ask(
        world.b,
        "ada",
        "POST",
        "/v1/data/crm/analytics",
        r#"{"model":"notes","aggregate":"count"}"#,
    );
    assert!(asked.status == 503 || asked.status == 400, "{asked:?}");
    assert_eq!(
        world
            .ask(world.b, "ada", "POST", "/v1/data/no/analytics", "{}")
            .status,
        404
    );
}

#[test]
fn two_tenants_on_one_connection_stay_apart() {
    let world = World::open();
    let (a, b) = (bearer(world.a, "ada"), bearer(world.b, "ada"));
    let mut connection = super::client::Connection::open(world.proxy.address);
    for n in 0..300 {
        let (token, expected) = if n % 2 == 0 { (&a, 2) } else { (&b, 3) };
        let answer = connection.ask("GET", "/v1/schema", &[("Authorization", token)], b"");
        assert_eq!(
            answer.json()["data"].as_array().unwrap().len(),
            expected,
            "{n}"
        );
    }
}
