//! Who reaches what: tokens, permissions, tenants, freshness.

use serde_json::json;
use uuid::Uuid;

use super::{
    client::Connection,
    world::{World, bearer, eventually, model},
};

#[test]
fn each_sees_what_is_theirs_and_nothing_else() {
    let world = World::open();
    let models = |tenant, user| {
        let answer = world.get(tenant, user, "/v1/schema");
        assert_eq!(answer.status, 200);
        let list = answer.json()["data"].as_array().unwrap().clone();
        list.iter()
            .map(|m| format!("{}.{}", m["module"], m["model"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(models(world.a, "ada"), ["crm.companies", "crm.deals"]);
    assert_eq!(
        models(world.b, "ada"),
        ["crm.companies", "crm.deals", "hr.people"]
    );
    assert_eq!(models(world.a, "rob"), ["crm.deals"]);
    assert!(models(world.a, "eve").is_empty());

    let status = |tenant, user, path: &str| {
        let answer = world.get(tenant, user, path);
        (
            answer.status,
            if answer.status < 400 {
                String::new()
            } else {
                answer.problem()
            },
        )
    };
    let not_found = (404, "NOT_FOUND".to_owned());
    let forbidden = (403, "FORBIDDEN".to_owned());
    assert_eq!(status(world.a, "rob", "/v1/schema/crm/deals").0, 200);
    assert_eq!(status(world.a, "rob", "/api/v1/schema/crm/deals").0, 200);
    assert_eq!(
        status(world.a, "rob", "/v1/schema/crm/companies"),
        forbidden
    );
    assert_eq!(status(world.a, "eve", "/v1/schema/crm/deals"), forbidden);
    for path in [
        "/v1/schema/hr",
        "/v1/schema/hr/people",
        "/v1/schema/no",
        "/v1/schema/crm/no",
        "/v1/docs",
        "/v1/docs/page.js",
        "/v1",
        "/",
        "/v1/data/hr/people",
        "/v1/data/no/x/1",
    ] {
        assert_eq!(status(world.a, "ada", path), not_found, "{path}");
    }
    // Tenants that are not here get what everything that is not here gets.
    assert_eq!(status(Uuid::now_v7(), "ada", "/v1/schema"), not_found);
    // Byte for byte the same but for the trace.
    let text = |path: &str| {
        let mut body = world.get(world.a, "ada", path).json();
        body["traceId"] = json!("");
        body.to_string()
    };
    assert_eq!(text("/v1/data/hr/people"), text("/v1/data/no/people"));
    assert_eq!(text("/v1/data/hr/people"), text("/v1/data/crm/nothing"));
}

#[test]
fn a_request_without_a_good_token_is_401() {
    let world = World::open();
    let good = bearer(world.a, "ada");
    let forged = format!("{}x", &good[..good.len() - 1]);
    for header in [
        None,
        Some("Bearer x"),
        Some("Basic YTpi"),
        Some(forged.as_str()),
    ] {
        let headers: Vec<_> = header.iter().map(|h| ("Authorization", *h)).collect();
        let mut connection = Connection::open(world.proxy.address);
        let answer = connection.ask("GET", "/v1/schema", &headers, b"");
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (401, "UNAUTHORIZED"),
            "{header:?}"
        );
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Bearer")
        );
        // The connection serves on, also after a refused body.
        let answer = connection.ask(
            "POST",
            "/v1/cache/invalidate",
            &headers,
            br#"{"pattern":"*"}"#,
        );
        assert_eq!(answer.status, 401);
        assert_eq!(
            connection
                .ask("GET", "/v1/schema", &[("Authorization", &good)], b"")
                .status,
            200
        );
    }
    let path = format!("/v1/schema?access_token={}", &good[7..]);
    assert_eq!(
        Connection::open(world.proxy.address)
            .ask("GET", &path, &[], b"")
            .status,
        401
    );
}

#[test]
fn changes_take_effect_at_once() {
    let world = World::open();
    let status = |user, path: &str| world.get(world.a, user, path).status;
    assert_eq!(status("rob", "/v1/schema/crm/deals"), 200);
    assert_eq!(status("rob", "/v1/schema/crm/companies"), 403);

    // A model is there with the first request after it is published.
    world.database.publish(&model(
        "crm",
        "notes",
        json!([{"name": "text", "type": "text"}]),
    ));
    assert_eq!(status("ada", "/v1/schema/crm/notes"), 200);

    // A permission that is taken, with the first request after the notification.
    world.database.publish(&format!(
        "delete from platform.user_roles where tenant_id = '{}' and user_id = 'rob'",
        world.a
    ));
    eventually("the permission is gone", || {
        status("rob", "/v1/schema/crm/deals") == 403
    });

    world.database.publish(&format!(
        "update platform.tenants set state = 'ReadOnly' where tenant_id = '{}'",
        world.a
    ));
    eventually("read-only", || {
        world
            .ask(world.a, "ada", "PUT", "/v1/cache/x", r#"{"value":1}"#)
            .status
            == 403
    });
    assert_eq!(
        world
            .ask(world.a, "ada", "PUT", "/v1/cache/x", r#"{"value":1}"#)
            .problem(),
        "TENANT_READ_ONLY"
    );
    assert_eq!(status("ada", "/v1/schema"), 200);
    world.database.publish(&format!(
        "update platform.tenants set state = 'Suspended' where tenant_id = '{}'",
        world.a
    ));
    eventually("suspended", || status("ada", "/v1/schema") == 403);
    assert_eq!(
        world.get(world.a, "ada", "/v1/schema").problem(),
        "TENANT_SUSPENDED"
    );
    assert_eq!(world.get(world.b, "ada", "/v1/schema").status, 200);
}

#[test]
fn every_reply_carries_its_ids_and_origins() {
    let world = World::open();
    let token = bearer(world.a, "ada");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let mut connection = Connection::open(world.proxy.address);
    let headers = [
        ("X-Request-Id", "abc-1"),
        ("traceparent", traceparent.as_str()),
        ("Authorization", token.as_str()),
    ];
    let answer = connection.ask("GET", "/v1/schema/no", &headers, b"");
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    assert_eq!(answer.json()["traceId"], trace);
    assert_eq!(answer.header("vary"), Some("Origin"));

    let preflight = |origin: &str, connection: &mut Connection| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "PATCH"),
        ];
        connection.ask("OPTIONS", "/v1/data/crm/deals/1", &headers, b"")
    };
    let answer = preflight("https://app.test", &mut connection);
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (204, Some("https://app.test"))
    );
    let answer = preflight("https://evil.test", &mut connection);
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (405, None)
    );
    let answer = connection.ask("HEAD", "/v1/schema", &[("Authorization", &token)], b"");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert!(
        answer
            .header("content-length")
            .unwrap()
            .parse::<usize>()
            .unwrap()
            > 0
    );
    let answer = connection.ask("BREW", "/v1/schema", &[("Authorization", &token)], b"");
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
    let answer = connection.ask("POST", "/v1/schema", &[("Authorization", &token)], b"{}");
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
}
