//! The cache API with two tenants and keys made to escape.

use super::world::{World, eventually};
use serde_json::{Value, json};

fn encoded(key: &str) -> String {
    key.bytes().map(|b| format!("%{b:02x}")).collect()
}

#[test]
fn what_is_put_is_got_by_its_tenant_alone() {
    let world = World::open();
    let put = |tenant, key: &str, body: &str| {
        world.ask(
            tenant,
            "ada",
            "PUT",
            &format!("/v1/cache/{}", encoded(key)),
            body,
        )
    };
    let get = |tenant, key: &str| world.get(tenant, "ada", &format!("/v1/cache/{}", encoded(key)));
    let keys = [
        "a",
        "*",
        "a*",
        "[ab]",
        "?",
        "a:b",
        "a\\*",
        "}{",
        "{x}",
        "ключ",
        "a/b",
        "a b",
        "\n",
        "^a-z",
        "a\0b",
        "invalidate",
    ];
    for key in keys {
        assert_eq!(
            put(
                world.a,
                key,
                &json!({"value": {"of": key, "n": 1}, "ttl": 60}).to_string()
            )
            .status,
            204,
            "{key}"
        );
    }
    for key in keys {
        let answer = get(world.a, key);
        assert_eq!(answer.status, 200, "{key}");
        assert_eq!(answer.json()["data"]["of"], key);
        let ttl = answer.json()["meta"]["ttl"].as_u64().unwrap();
        assert!((55..=60).contains(&ttl), "{ttl}");
        assert_eq!(get(world.b, key).problem(), "NOT_FOUND", "{key}");
    }
    assert_eq!(
        put(world.b, "a", r#"{"value": 12345678901234567890.10}"#).status,
        204
    );
    let text = String::from_utf8(get(world.b, "a").body).unwrap();
    assert_eq!(
        text,
        r#"{"data":12345678901234567890.10,"meta":{"ttl":300}}"#
    );
    assert_eq!(
        world
            .ask(world.b, "ada", "DELETE", "/v1/cache/a", "")
            .status,
        204
    );
    assert_eq!(
        world
            .ask(world.b, "ada", "DELETE", "/v1/cache/a", "")
            .status,
        204
    );
    assert_eq!(get(world.b, "a").status, 404);
    assert_eq!(get(world.a, "a").status, 200);
}

#[test]
fn a_pattern_takes_what_it_matches_and_counts_it() {
    let world = World::open();
    let put = |tenant, key: &str| {
        let answer = world.ask(
            tenant,
            "ada",
            "PUT",
            &format!("/v1/cache/{}", encoded(key)),
            r#"{"value":1}"#,
        );
        assert_eq!(answer.status, 204);
    };
    let invalidate = |tenant, pattern: &str| -> Value {
        let body = json!({"pattern": pattern}).to_string();
        let answer = world.ask(tenant, "ada", "POST", "/v1/cache/invalidate", &body);
        assert_eq!(answer.status, 200, "{pattern}");
        answer.json()["data"]["invalidated"].clone()
    };
    let there = |tenant, key: &str| {
        world
            .get(tenant, "ada", &format!("/v1/cache/{}", encoded(key)))
            .status
            == 200
    };
    for tenant in [world.a, world.b] {
        for key in [
            "contacts:1",
            "contacts:2",
            "contact:3",
            "[ab]",
            "a",
            "b",
            "a?c",
            "abc",
            "a*c",
            "\\",
            "x]",
        ] {
            put(tenant, key);
        }
    }
    assert_eq!(invalidate(world.a, "contacts:*"), 2);
    assert_eq!(invalidate(world.a, "contacts:*"), 0);
    assert!(there(world.a, "contact:3") && !there(world.a, "contacts:1"));
    assert_eq!(invalidate(world.a, "[ab]"), 1);
    assert!(there(world.a, "a") && there(world.a, "b"));
    assert_eq!(invalidate(world.a, "a?c"), 1);
    assert!(there(world.a, "abc"));
    assert_eq!(invalidate(world.a, "\\"), 1);
    assert_eq!(invalidate(world.a, "a*c"), 2);
    put(world.a, "contacts:1");
    assert_eq!(invalidate(world.a, "*"), 5);
    assert_eq!(invalidate(world.a, "*"), 0);
    assert_eq!(
        invalidate(world.b, "*"),
        11,
        "the other tenant's keys were untouched"
    );
}

#[test]
fn many_keys_are_counted_exactly() {
    let world = World::open();
    let token = super::world::bearer(world.a, "ada");
    let mut connection = super::client::Connection::open(world.proxy.address);
    let auth = [("Authorization", token.as_str())];
    for n in 0..1200 {
        let answer = connection.ask(
            "PUT",
            &format!("/v1/cache/k:{}:{n}", n % 2),
            &auth,
            br#"{"value":0}"#,
        );
        assert_eq!(answer.status, 204);
    }
    let answer = connection.ask(
        "POST",
        "/v1/cache/invalidate",
        &auth,
        br#"{"pattern":"k:1:*"}"#,
    );
    assert_eq!(answer.json()["data"]["invalidated"], 600);
    assert_eq!(
        connection.ask("GET", "/v1/cache/k:0:2", &auth, b"").status,
        200
    );
    assert_eq!(
        connection.ask("GET", "/v1/cache/k:1:3", &auth, b"").status,
        404
    );
}

#[test]
fn time_runs_out_and_expired_keys_do_not_count() {
    let world = World::open();
    assert_eq!(
        world
            .ask(
                world.a,
                "ada",
                "PUT",
                "/v1/cache/short",
                r#"{"value":1,"ttl":1}"#
            )
            .status,
        204
    );
    assert_eq!(
        world
            .ask(
                world.a,
                "ada",
                "PUT",
                "/v1/cache/long",
                r#"{"value":1,"ttl":100}"#
            )
            .status,
        204
    );
    eventually("the key expires", || {
        world.get(world.a, "ada", "/v1/cache/short").status == 404
    });
    let answer = world.ask(
        world.a,
        "ada",
        "POST",
        "/v1/cache/invalidate",
        r#"{"pattern":"*"}"#,
    );
    assert_eq!(answer.json()["data"]["invalidated"], 1);
}

#[test]
fn what_is_refused_writes_nothing() {
    let world = World::open();
    let long = "k".repeat(513);
    for (path, body, status) in [
        ("/v1/cache/x", r#"{"value":1,"ttl":0}"#, 400),
        ("/v1/cache/x", r#"{"value":1,"ttl":-5}"#, 400),
        ("/v1/cache/x", r#"{"value":1,"ttl":1.5}"#, 400),
        ("/v1/cache/x", r#"{"value":1,"ttl":86401}"#, 400),
        ("/v1/cache/x", r#"{"ttl":5}"#, 400),
        ("/v1/cache/x", r#"{"value":1"#, 400),
        ("/v1/cache/x", "", 400),
        ("/v1/cache/x?y=1", r#"{"value":1}"#, 400),
        ("/v1/cache/", r#"{"value":1}"#, 404),
        (&format!("/v1/cache/{long}"), r#"{"value":1}"#, 400),
    ] {
        let answer = world.ask(world.a, "ada", "PUT", path, body);
        assert_eq!(answer.status, status, "{path} {body}");
        answer.problem();
    }
    assert_eq!(world.get(world.a, "ada", "/v1/cache/x").status, 404);
    // Every role has the cache; without a role there is nothing.
    assert_eq!(
        world
            .ask(world.a, "rob", "PUT", "/v1/cache/x", r#"{"value":1}"#)
            .status,
        204
    );
    assert_eq!(
        world
            .ask(world.a, "eve", "PUT", "/v1/cache/x", r#"{"value":2}"#)
            .status,
        403
    );
    assert_eq!(world.get(world.a, "eve", "/v1/cache/x").status, 403);
    assert_eq!(
        world
            .ask(
                world.a,
                "eve",
                "POST",
                "/v1/cache/invalidate",
                r#"{"pattern":"*"}"#
            )
            .status,
        403
    );
    assert_eq!(world.get(world.a, "ada", "/v1/cache/x").json()["data"], 1);
    for bad in [
        r#"{}"#,
        r#"{"pattern":""}"#,
        r#"{"pattern":1}"#,
        r#"{"pattern":"*","x":1}"#,
    ] {
        assert_eq!(
            world
                .ask(world.a, "ada", "POST", "/v1/cache/invalidate", bad)
                .status,
            400,
            "{bad}"
        );
    }
    let value = "v".repeat(1024 * 1024 - 2);
    assert_eq!(
        world
            .ask(
                world.a,
                "ada",
                "PUT",
                "/v1/cache/big",
                &json!({"value": value}).to_string()
            )
            .status,
        204
    );
    assert_eq!(
        world.get(world.a, "ada", "/v1/cache/big").json()["data"]
            .as_str()
            .unwrap()
            .len(),
        value.len()
    );
    let body = json!({"value": format!("{value}v")}).to_string();
    assert_eq!(
        world
            .ask(world.a, "ada", "PUT", "/v1/cache/big", &body)
            .status,
        413
    );
}
