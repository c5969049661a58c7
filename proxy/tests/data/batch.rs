//! Several writes in one transaction.

use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::world::{A, B, Seen, World};

const UNKNOWN: &str = "0198f0aa-0000-7000-8000-00000000ffff";

fn body(operations: &[Value]) -> Option<Value> {
    Some(json!({"operations": operations}))
}

async fn send(world: &World, operations: &[Value]) -> Seen {
    world.send(A, "POST", "batch", body(operations)).await
}

/// The answers, of a batch that must succeed.
async fn run(world: &World, operations: &[Value]) -> Vec<Value> {
    let seen = send(world, operations).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    seen.json()["data"].as_array().unwrap().clone()
}

async fn count(world: &World, tenant: &str, model: &str) -> usize {
    let seen = world
        .send(tenant, "GET", &format!("{model}?limit=1000"), None)
        .await;
    seen.json()["data"].as_array().unwrap().len()
}

fn id(record: &Value) -> &str {
    record["id"].as_str().unwrap()
}

#[tokio::test]
async fn a_deal_with_its_lines_is_one_request() {
    let world = World::new().await;
    let answers = run(
        &world,
        &[
            json!({"op": "create", "model": "companies", "ref": "home", "data": {"name": "Acme", "code": "a"}}),
            json!({"op": "create", "model": "deals", "ref": "top",
                "data": {"title": {"$ref": "home.name"}, "company_id": {"$ref": "home.id"}}}),
            json!({"op": "create", "model": "deals",
                "data": {"title": "line", "company_id": {"$ref": "top.company_id"}, "parent_id": {"$ref": "top.id"}}}),
        ],
    )
    .await;
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[1]["title"], "Acme");
    assert_eq!(answers[1]["company_id"], answers[0]["id"]);
    assert_eq!(answers[2]["company_id"], answers[0]["id"]);
    assert_eq!(answers[2]["parent_id"], answers[1]["id"]);
    for answer in &answers[1..] {
        let read = world
            .send(A, "GET", &format!("deals/{}", id(answer)), None)
            .await;
        assert_eq!(read.json()["data"], *answer);
    }
}

#[tokio::test]
async fn every_operation_does_what_the_single_write_does() {
    let world = World::new().await;
    let old = world
        .create(A, "deals", json!({"title": "old", "seats": 1}))
        .await;
    let gone = world.create(A, "deals", json!({"title": "gone"})).await;
    let operations = [
        json!({"op": "update", "model": "deals", "id": id(&old), "version": 1, "data": {"seats": 2}}),
        json!({"op": "update", "model": "deals", "id": id(&old), "version": 2, "data": {"stage": "won"}}),
        json!({"op": "delete", "model": "deals", "id": id(&gone), "version": 1}),
        json!({"op": "update", "model": "deals", "id": id(&old), "data": {}}),
    ];
    let answers = run(&world, &operations).await;
    assert_eq!(
        (
            &answers[0]["seats"],
            &answers[0]["version"],
            &answers[0]["stage"]
        ),
        (&json!(2), &json!(2), &json!("open"))
    );
    assert_eq!(
        (
            &answers[1]["seats"],
            &answers[1]["version"],
            &answers[1]["stage"]
        ),
        (&json!(2), &json!(3), &json!("won"))
    );
    assert_eq!(answers[2], Value::Null);
    assert_eq!(answers[3]["version"], 3);
    let deleted = format!("deals/{}", id(&gone));
    assert_eq!(
        world.send(A, "GET", &deleted, None).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_reference_stands_for_what_the_api_would_show() {
    let world = World::new().await;
    let old = world
        .create(
            A,
            "deals",
            json!({"title": "old", "seats": 5, "amount": 1.5}),
        )
        .await;
    let answers = run(
        &world,
        &[
            json!({"op": "update", "model": "deals", "ref": "u", "id": id(&old), "data": {"title": "new"}}),
            // Sent; not sent and in the row; kept by the server.
            json!({"op": "create", "model": "deals", "ref": "copy",
                "data": {"title": {"$ref": "u.title"}, "seats": {"$ref": "u.seats"}, "amount": {"$ref": "u.amount"}}}),
            json!({"op": "update", "model": "deals", "id": {"$ref": "copy.id"}, "version": {"$ref": "copy.version"},
                "data": {"title": {"$ref": "copy.created_at"}, "stage": {"$ref": "u.stage"}}}),
            // What is in a JSON field is data.
            json!({"op": "create", "model": "things", "ref": "t", "data": {"a_json": {"$ref": "u.title"}, "a_bytes": "AP8Q"}}),
            json!({"op": "create", "model": "things", "data": {"a_bytes": {"$ref": "t.a_bytes"}, "a_text": {"$ref": "t.a_bytes"},
                "a_timestamp": {"$ref": "t.created_at"}, "a_int64": {"$ref": "t.version"}, "a_uuid": {"$ref": "t.id"}}}),
            // A null in the row.
            json!({"op": "update", "model": "deals", "id": id(&old), "data": {"company_id": {"$ref": "u.company_id"}}}),
        ],
    )
    .await;
    assert_eq!(answers[1]["title"], "new");
    assert_eq!(
        (&answers[1]["seats"], &answers[1]["amount"]),
        (&json!(5), &json!(1.50))
    );
    assert_eq!(answers[2]["title"], answers[1]["created_at"]);
    assert_eq!(answers[2]["version"], 2);
    assert_eq!(answers[3]["a_json"], json!({"$ref": "u.title"}));
    assert_eq!(
        (&answers[4]["a_bytes"], &answers[4]["a_text"]),
        (&json!("AP8Q"), &json!("AP8Q"))
    );
    assert_eq!(answers[4]["a_timestamp"], answers[3]["created_at"]);
    assert_eq!(answers[4]["a_int64"], 1);
    assert_eq!(answers[4]["a_uuid"], answers[3]["id"]);
    assert_eq!(answers[5]["version"], 3);
}

#[tokio::test]
async fn one_failure_undoes_all_and_is_named() {
    let world = World::new().await;
    let theirs = world
        .create(B, "companies", json!({"name": "theirs"}))
        .await;
    let taken = world
        .create(A, "companies", json!({"name": "x", "code": "taken"}))
        .await;
    let used = world.create(A, "companies", json!({"name": "used"})).await;
    let old = world
        .create(A, "deals", json!({"title": "old", "company_id": id(&used)}))
        .await;
    let first = json!({"op": "create", "model": "companies", "ref": "c", "data": {"name": "new", "code": "new"}});
    let create = |data: Value| json!({"op": "create", "model": "deals", "data": data});
    let update = |more: Value| {
        let mut operation =
            json!({"op": "update", "model": "deals", "id": id(&old), "data": {"seats": 1}});
        for (name, value) in more.as_object().unwrap() {
            operation[name] = value.clone();
        }
        operation
    };
    let (ok, conflict, missing) = (
        StatusCode::BAD_REQUEST,
        StatusCode::CONFLICT,
        StatusCode::NOT_FOUND,
    );
    let cases = [
        (update(json!({"id": UNKNOWN})), missing, "id NOT_FOUND"),
        (update(json!({"id": id(&theirs)})), missing, "id NOT_FOUND"),
        (
            update(json!({"version": 7})),
            conflict,
            "version STALE_VERSION",
        ),
        (
            update(json!({"version": 7, "data": {}})),
            conflict,
            "version STALE_VERSION",
        ),
        (
            update(json!({"data": {"company_id": id(&theirs)}})),
            conflict,
            "company_id REFERENCE_NOT_FOUND",
        ),
        (
            create(json!({"title": "x", "company_id": UNKNOWN})),
            conflict,
            "company_id REFERENCE_NOT_FOUND",
        ),
        (
            json!({"op": "create", "model": "companies", "data": {"name": "y", "code": "taken"}}),
            conflict,
            "code NOT_UNIQUE",
        ),
        (
            json!({"op": "create", "model": "companies", "data": {"name": "y", "code": "new"}}),
            conflict,
            "code NOT_UNIQUE",
        ),
        (
            json!({"op": "create", "model": "companies", "id": id(&taken), "data": {"name": "y"}}),
            conflict,
            "id NOT_UNIQUE",
        ),
        (
            json!({"op": "delete", "model": "companies", "id": id(&used)}),
            conflict,
            "deals REFERENCE_IN_USE",
        ),
        (
            json!({"op": "delete", "model": "companies", "id": UNKNOWN}),
            missing,
            "id NOT_FOUND",
        ),
        (
            create(json!({"title": "x", "seats": "many"})),
            ok,
            "seats INVALID_VALUE",
        ),
        (create(json!({})), ok, "title REQUIRED"),
        (
            create(json!({"title": {"$ref": "nobody.id"}})),
            ok,
            "title INVALID_VALUE",
        ),
        (
            create(json!({"title": {"$ref": "c"}})),
            ok,
            "title INVALID_VALUE",
        ),
        (
            create(json!({"title": {"$ref": "c.nothing"}})),
            ok,
            "title UNKNOWN_FIELD",
        ),
        (
            create(json!({"title": {"$ref": "c.tenant_id"}})),
            ok,
            "title UNKNOWN_FIELD",
        ),
        // A type that does not fit, known only with the answer.
        (
            create(json!({"title": "x", "seats": {"$ref": "c.created_at"}})),
            ok,
            "seats INVALID_VALUE",
        ),
        (
            update(json!({"id": {"$ref": "c.name"}})),
            ok,
            "id INVALID_VALUE",
        ),
        (update(json!({"id": 7})), ok, "id INVALID_VALUE"),
        (
            create(json!({"id": "no", "title": "x"})),
            ok,
            "id INVALID_VALUE",
        ),
    ];
    let before = (
        count(&world, A, "companies").await,
        count(&world, A, "deals").await,
    );
    for (wrong, status, error) in cases {
        let last = create(json!({"title": "last", "company_id": {"$ref": "c.id"}}));
        let seen = send(&world, &[first.clone(), wrong.clone(), last]).await;
        assert_eq!(seen.status, status, "{wrong} {}", seen.text);
        assert_eq!(seen.errors(), [error], "{wrong} {}", seen.text);
        assert_eq!(seen.json()["errors"][0]["row"], 1, "{}", seen.text);
    }
    let after = (
        count(&world, A, "companies").await,
        count(&world, A, "deals").await,
    );
    assert_eq!(before, after);
    let read = world
        .send(A, "GET", &format!("deals/{}", id(&old)), None)
        .await;
    assert_eq!(read.json()["data"], old);
}

#[tokio::test]
async fn theirs_and_nobodys_are_the_same_answer() {
    let world = World::new().await;
    let theirs = world
        .create(B, "companies", json!({"name": "canary-b"}))
        .await;
    let theirs = id(&theirs).to_owned();
    let of = |target: &str| {
        vec![
            json!({"op": "update", "model": "companies", "id": target, "data": {"name": "x"}}),
            json!({"op": "update", "model": "companies", "id": target, "data": {}}),
            json!({"op": "delete", "model": "companies", "id": target}),
            json!({"op": "create", "model": "deals", "data": {"title": "x", "company_id": target}}),
        ]
    };
    for (one, other) in of(&theirs).into_iter().zip(of(UNKNOWN)) {
        let (one, other) = (send(&world, &[one]).await, send(&world, &[other]).await);
        assert_eq!((one.status, &one.text), (other.status, &other.text));
        assert!(!one.text.contains("canary"));
    }
    // An id is each tenant's own.
    let operations =
        [json!({"op": "create", "model": "companies", "id": theirs, "data": {"name": "mine"}})];
    assert_eq!(run(&world, &operations).await[0]["name"], "mine");
    let read = world
        .send(B, "GET", &format!("companies/{theirs}"), None)
        .await;
    assert_eq!(read.json()["data"]["name"], "canary-b");
    assert_eq!(
        (
            count(&world, A, "companies").await,
            count(&world, B, "companies").await
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn each_model_and_action_needs_its_permission() {
    let world = World::new().await;
    let old = world
        .create(A, "deals", json!({"title": "secret", "seats": 3}))
        .await;
    let company = json!({"op": "create", "model": "companies", "ref": "c", "data": {"name": "x"}});
    let change =
        json!({"op": "update", "model": "deals", "ref": "d", "id": id(&old), "data": {"seats": 4}});
    let removal = json!({"op": "delete", "model": "deals", "id": id(&old)});
    let write = [
        "crm.companies.write",
        "crm.companies.read",
        "crm.deals.write",
    ];
    for (held, operations, expected) in [
        (
            &write[..2],
            vec![company.clone(), change.clone()],
            StatusCode::FORBIDDEN,
        ),
        (
            &write[..],
            vec![company.clone(), removal],
            StatusCode::FORBIDDEN,
        ),
        (
            &write[..],
            vec![json!({"op": "create", "model": "nothing", "data": {}})],
            StatusCode::NOT_FOUND,
        ),
        (
            &write[..],
            vec![json!({"op": "create", "model": "batch", "data": {}})],
            StatusCode::NOT_FOUND,
        ),
        // Without `read` nothing is told, neither by the answer nor by a copy.
        (
            &write[..],
            vec![company.clone(), change.clone()],
            StatusCode::OK,
        ),
        (
            &write[..],
            vec![
                change.clone(),
                json!({"op": "create", "model": "companies", "data": {"name": {"$ref": "d.title"}}}),
            ],
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let caller = world.caller_with(A, held);
        let seen = world
            .send_as(&caller, "POST", "batch", &[], body(&operations))
            .await;
        assert_eq!(seen.status, expected, "{operations:?} {}", seen.text);
        assert!(!seen.text.contains("secret"), "{}", seen.text);
    }
    let caller = world.caller_with(A, &write);
    let asked = [("prefer", "return=representation")];
    let seen = world
        .send_as(&caller, "POST", "batch", &asked, body(&[change]))
        .await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN, "{}", seen.text);
}

#[tokio::test]
async fn preferences_shape_the_answer() {
    let world = World::new().await;
    let caller = world.caller(A);
    let gone = world.create(A, "deals", json!({"title": "gone"})).await;
    let create =
        json!({"op": "create", "model": "deals", "data": {"title": "x", "amount": "1.10"}});
    let send = |headers: Vec<(&'static str, &'static str)>, operations: Vec<Value>| {
        let (world, caller) = (&world, &caller);
        async move {
            world
                .send_as(caller, "POST", "batch", &headers, body(&operations))
                .await
        }
    };
    let minimal = send(vec![("prefer", "return=minimal")], vec![create.clone()]).await;
    assert_eq!(
        (minimal.status, minimal.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    assert_eq!(minimal.header("preference-applied"), Some("return=minimal"));
    let removal = json!({"op": "delete", "model": "deals", "id": id(&gone)});
    let asked = vec![("prefer", "return=representation, numbers=string")];
    let whole = send(asked, vec![create.clone(), removal]).await.json();
    assert_eq!(whole["data"][0]["amount"], "1.10");
    assert_eq!(
        (
            &whole["data"][1]["id"],
            whole["data"][1]["deleted_at"].is_string()
        ),
        (&gone["id"], true)
    );
    assert_eq!(whole["meta"], json!({}));
    for (headers, expected) in [
        (vec![("if-match", "\"1\"")], StatusCode::BAD_REQUEST),
        (vec![("accept", "text/html")], StatusCode::NOT_ACCEPTABLE),
        (
            vec![("content-type", "text/csv")],
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
    ] {
        assert_eq!(send(headers, vec![create.clone()]).await.status, expected);
    }
    let seen = world
        .send(
            A,
            "POST",
            "batch?select=id",
            body(std::slice::from_ref(&create)),
        )
        .await;
    assert_eq!(seen.errors(), ["select UNKNOWN_FIELD"]);
    let seen = world.send(A, "GET", "batch", None).await;
    assert_eq!(
        (seen.status, seen.header("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, Some("POST"))
    );
}

#[tokio::test]
async fn a_hundred_operations_of_as_many_shapes_run() {
    let world = World::new().await;
    let fields = [
        "a_bool",
        "a_int16",
        "a_int32",
        "a_int64",
        "a_float64",
        "a_text",
        "a_time",
    ];
    let values = [
        json!(true),
        json!(1),
        json!(2),
        json!(3),
        json!(4.5),
        json!("x"),
        json!("01:02:03"),
    ];
    let mut operations = vec![json!({"op": "create", "model": "things", "ref": "t", "data": {}})];
    // A statement of its own for each set of fields.
    for set in 1..100 {
        let members = fields.iter().zip(&values).enumerate();
        let data: serde_json::Map<String, Value> = members
            .filter(|(i, _)| set >> i & 1 == 1)
            .map(|(_, (name, value))| ((*name).to_owned(), value.clone()))
            .collect();
        operations
            .push(json!({"op": "update", "model": "things", "id": {"$ref": "t.id"}, "data": data}));
    }
    let answers = run(&world, &operations).await;
    assert_eq!((answers.len(), &answers[99]["version"]), (100, &json!(100)));
    // Some left out, and one wrong at the end: nothing stays of three round trips.
    operations[99]["version"] = json!(1);
    let before = count(&world, A, "things").await;
    let seen = send(&world, &operations).await;
    assert_eq!(
        (seen.status, seen.json()["errors"][0]["row"].clone()),
        (StatusCode::CONFLICT, json!(99))
    );
    assert_eq!(count(&world, A, "things").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_and_single_writes_over_the_same_rows_all_succeed() {
    let world = World::new().await;
    let world = &world;
    let mut ids = Vec::new();
    for i in 0..4 {
        ids.push(
            id(&world
                .create(A, "deals", json!({"title": format!("{i}"), "seats": 0}))
                .await)
            .to_owned(),
        );
    }
    let ids = &ids;
    for round in 0..6 {
        let batches = (0..6).map(|i| async move {
            let mut operations: Vec<_> = (0..4)
                .map(|j| json!({"op": "update", "model": "deals", "id": ids[(i + j) % 4], "data": {"parent_id": ids[(i + j + 1) % 4], "seats": j}}))
                .collect();
            if i % 2 == 0 {
                operations.reverse();
            }
            send(world, &operations).await
        });
        let singles = (0..4).map(|i| async move {
            let body = json!({"parent_id": ids[(i + 2) % 4]});
            world
                .send(A, "PATCH", &format!("deals/{}", ids[i]), Some(body))
                .await
        });
        let (batches, singles) = futures::future::join(join_all(batches), join_all(singles)).await;
        for seen in batches.iter().chain(&singles) {
            assert_eq!(seen.status, StatusCode::OK, "round {round}: {}", seen.text);
        }
    }
    let deals = world
        .send(A, "GET", "deals?select=version", None)
        .await
        .json();
    let versions: Vec<_> = deals["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["version"].as_i64().unwrap())
        .collect();
    // Six batches and one single write a round.
    assert_eq!(versions, [43, 43, 43, 43]);
}

#[tokio::test]
async fn an_upsert_makes_or_merges() {
    let world = World::new().await;
    let old = world
        .create(A, "companies", json!({"name": "old", "code": "a"}))
        .await;
    let theirs = world
        .create(B, "companies", json!({"name": "theirs", "code": "b"}))
        .await;
    let gone = world.create(A, "companies", json!({"name": "gone"})).await;
    let path = format!("companies/{}", id(&gone));
    world.send(A, "DELETE", &path, None).await;
    let operations = [
        json!({"op": "upsert", "model": "companies", "ref": "a", "on_conflict": ["code"], "data": {"name": "new", "code": "a"}}),
        json!({"op": "upsert", "model": "companies", "ref": "b", "on_conflict": ["code"], "data": {"name": "mine", "code": "b"}}),
        json!({"op": "upsert", "model": "companies", "id": id(&theirs), "data": {"name": "third"}}),
        // The id of a merged record is its own, which only the database knows.
        json!({"op": "create", "model": "deals", "data": {"title": "x", "company_id": {"$ref": "a.id"}}}),
        json!({"op": "upsert", "model": "companies", "id": {"$ref": "b.id"}, "data": {"name": {"$ref": "a.name"}}}),
    ];
    let answers = run(&world, &operations).await;
    let seen = |i: usize| (&answers[i]["name"], &answers[i]["version"]);
    assert_eq!(seen(0), (&json!("new"), &json!(2)));
    assert_eq!(seen(1), (&json!("mine"), &json!(1)));
    assert_eq!(seen(2), (&json!("third"), &json!(1)));
    assert_eq!(answers[0]["id"], old["id"]);
    assert_eq!(answers[3]["company_id"], old["id"]);
    assert_eq!(
        (&answers[4]["id"], seen(4)),
        (&answers[1]["id"], (&json!("new"), &json!(2)))
    );
    let read = world
        .send(B, "GET", &format!("companies/{}", id(&theirs)), None)
        .await;
    assert_eq!(read.json()["data"], theirs);
    let upsert = |more: Value| {
        let mut operation = json!({"op": "upsert", "model": "companies", "data": {"name": "x"}});
        for (name, value) in more.as_object().unwrap() {
            operation[name] = value.clone();
        }
        operation
    };
    let first = json!({"op": "create", "model": "companies", "data": {"name": "first"}});
    let (invalid, conflict) = (StatusCode::BAD_REQUEST, StatusCode::CONFLICT);
    for (wrong, status, error) in [
        (upsert(json!({})), invalid, "id REQUIRED"),
        (
            upsert(json!({"on_conflict": ["name"]})),
            invalid,
            "on_conflict INVALID_VALUE",
        ),
        (
            upsert(json!({"on_conflict": []})),
            invalid,
            "on_conflict INVALID_VALUE",
        ),
        (upsert(json!({"id": id(&gone)})), conflict, "id DELETED"),
        (
            upsert(json!({"id": id(&old), "data": {"name": "x", "code": "b"}})),
            conflict,
            "code NOT_UNIQUE",
        ),
        (
            json!({"op": "upsert", "model": "deals", "id": UNKNOWN, "data": {"title": "x", "company_id": UNKNOWN}}),
            conflict,
            "company_id REFERENCE_NOT_FOUND",
        ),
    ] {
        let seen = send(&world, &[first.clone(), wrong.clone()]).await;
        assert_eq!(seen.status, status, "{wrong} {}", seen.text);
        assert_eq!(seen.errors(), [error], "{wrong} {}", seen.text);
        assert_eq!(seen.json()["errors"][0]["row"], 1, "{}", seen.text);
    }
    assert_eq!(count(&world, A, "companies").await, 3);
    // A dry run answers and keeps nothing.
    let caller = world.caller(A);
    let headers = [("prefer", "tx=rollback"), ("idempotency-key", "k")];
    let dry = world
        .send_as(&caller, "POST", "batch", &headers, body(&operations))
        .await;
    assert_eq!(dry.status, StatusCode::OK, "{}", dry.text);
    assert_eq!(dry.json()["data"][0]["version"], 3);
    assert_eq!(count(&world, A, "companies").await, 3);
}
