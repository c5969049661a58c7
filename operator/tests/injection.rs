//! Hostile texts in every place of a resource where a text can stand: each is refused, or is the value that it is and
//! nothing else. What stands in the databases is compared before and after.

mod hostile;
mod positions;
mod snapshot;

use std::collections::BTreeSet;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sqlx::Row as _;

use crate::support::{World, cluster::wait, condition, in_world, status_of};
use hostile::texts;
use positions::{NAMES, put};
use snapshot::Snapshot;

#[test]
fn no_hostile_text_is_a_name_whatever_the_api_server_lets_through() {
    // What the operator itself says, of resources that no schema has looked at.
    let validate = |position, text: &str| {
        let mut object = put(position, text, "crm", "crm");
        // Nothing that would be refused for what it is.
        object["spec"]["analytics"] = json!({"enabled": true});
        object["spec"]["cache"] = Value::Null;
        operator::module_model::validate(&serde_json::from_value(object).unwrap())
    };
    // Those two are compared with names, and go nowhere.
    let compared = ["allowDrop", "dataPlaneRefs", "/analytics/", "/cache/"];
    let positions = NAMES.iter().filter(|p| p.kind == "ModuleModel");
    let positions = positions.filter(|p| !compared.iter().any(|c| p.path.contains(c)));
    for position in positions {
        let fine = validate(position, position.fine);
        assert!(fine.is_ok(), "{}: {fine:?}", position.path);
        for text in texts() {
            let refused = validate(position, &text);
            assert!(refused.is_err(), "{}: {text:?}", position.path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_name_does_not_pass_the_api_server() {
    in_world(names).await;
}

async fn names(world: &World) {
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::apply("operator-tests").force()
    };
    for position in NAMES {
        let fine = put(position, position.fine, &world.name, &world.module());
        let texts = texts();
        let tries = texts
            .iter()
            .map(|text| put(position, text, &world.name, &world.module()));
        let tries = futures::future::join_all(tries.map(|object| {
            let dry = dry.clone();
            async move { apply_dry(world, position.kind, &object, &dry).await }
        }));
        // What is tried is refused for the text alone.
        let passed = apply_dry(world, position.kind, &fine, &dry).await;
        assert!(passed.is_ok(), "{}: {passed:?}", position.path);
        for (text, refused) in texts.iter().zip(tries.await) {
            let refused = refused.expect_err(&format!("{}: {text:?}", position.path));
            let kube::Error::Api(status) = &refused else {
                panic!("{}: {text:?}: {refused}", position.path);
            };
            assert!(
                [400, 422].contains(&status.code),
                "{}: {text:?}: {refused}",
                position.path
            );
        }
    }
}

async fn apply_dry(
    world: &World,
    kind: &str,
    object: &Value,
    dry: &PatchParams,
) -> Result<(), kube::Error> {
    let patch = Patch::Apply(object);
    match kind {
        "ModuleModel" => world.models().patch("dry", dry, &patch).await.map(drop),
        "Tenant" => world.tenants().patch("dry", dry, &patch).await.map(drop),
        _ => world.planes().patch("dry", dry, &patch).await.map(drop),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_text_is_stored_as_it_is_or_refused() {
    in_world(stored).await;
}

/// `'` doubled, as the grammar of checks has it.
fn constant(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn short(text: &&String) -> bool {
    (1..=63).contains(&text.len()) && !text.contains('\0')
}

async fn stored(world: &World) {
    let all: Vec<String> = texts().into_iter().collect();
    let values: Vec<_> = all.iter().filter(short).cloned().collect();
    world
        .run(
            "create schema canary; create table canary.canary (text text);
             insert into canary.canary values ('alive')",
        )
        .await;
    // The first model waits for everything that is there once.
    let first = json!({"fields": [{"name": "title", "type": "text"}]});
    world
        .apply_ready(&world.model("first", "first", first))
        .await;
    let before = Snapshot::of(world).await;

    // One field for each text: its default, its description. One enum of all. One check for each.
    let mut fields = vec![
        json!({"name": "probe", "type": "text"}),
        json!({"name": "stage", "type": "enum", "values": values, "default": values[0]}),
    ];
    fields.extend(values.iter().enumerate().map(|(i, text)| {
        json!({"name": format!("t{i}"), "type": "text", "default": text, "description": text})
    }));
    let checks = values.iter().enumerate().take(32).map(|(i, text)| {
        json!({"name": format!("c{i}"), "expression": format!("probe != {}", constant(text))})
    });
    let hooks = [
        json!({"event": "BeforeCreate", "url": "http://h/';drop/**/table/**/canary.canary;--?$$=%s\"\\u0000&{p:String}"}),
    ];
    let spec = json!({"fields": fields, "checks": checks.collect::<Vec<_>>(), "hooks": hooks,
                      "indexes": [{"name": "select", "fields": ["stage"]}],
                      "unique": [{"name": "table", "fields": ["probe"]}]});
    world
        .apply_ready(&world.model("hostile", "order", spec.clone()))
        .await;

    let after = Snapshot::of(world).await;
    assert_eq!(before.missing_in(&after), BTreeSet::new(), "nothing went");
    let (module, name) = (world.module(), "order");
    for made in after.missing_in(&before) {
        let ours = made.starts_with(&format!("schema {module}"))
            || made.contains(&format!(" {module}.{name} "))
            || made.contains(&format!(" {module}.{name}_"))
            || made.contains(&format!("septem_data.{module}__{name}__g1"));
        assert!(ours, "{made}");
    }
    let tables = after
        .missing_in(&before)
        .into_iter()
        .filter(|made| made.starts_with("relation r "));
    assert_eq!(
        tables.collect::<Vec<_>>(),
        [format!("relation r {module}.{name} ")]
    );

    // The document is what proxies read.
    let document: Value = sqlx::query_scalar::<_, sqlx::types::Json<Value>>(
        "select document from platform.models where model = 'order'",
    )
    .fetch_one(&world.admin)
    .await
    .unwrap()
    .0;
    let of = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    for (i, text) in values.iter().enumerate() {
        let field = &document["fields"][i + 2];
        assert_eq!(of(field, "description").as_ref(), Some(text));
        assert_eq!(of(field, "default").as_ref(), Some(text));
    }
    assert_eq!(document["hooks"][0]["url"], hooks[0]["url"]);

    rows(world, &values).await;
    refused(world, &spec).await;
    tenants(world, &values).await;
    let alive: String = sqlx::query_scalar("select text from canary.canary")
        .fetch_one(&world.admin)
        .await
        .unwrap();
    assert_eq!(alive, "alive");
}

/// As the proxy writes: its role, its setting.
async fn rows(world: &World, values: &[String]) {
    let (module, tenant) = (world.module(), uuid::Uuid::now_v7());
    let mut conn = world.app.acquire().await.unwrap();
    sqlx::query("select set_config('app.tenant_id', $1, false)")
        .bind(tenant.to_string())
        .execute(&mut *conn)
        .await
        .unwrap();
    let insert = format!(
        "insert into {module}.\"order\" (tenant_id, id, stage, probe, created_by, updated_by)
         values ($1, gen_random_uuid(), $2, $3, 'x', 'x') returning *"
    );
    let insert = || sqlx::query(sqlx::AssertSqlSafe(insert.clone())).bind(tenant);
    for (i, value) in values.iter().enumerate() {
        let row = insert()
            .bind(value)
            .bind(format!("{i}"))
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        assert_eq!(&row.get::<String, _>("stage"), value);
        for (j, text) in values.iter().enumerate() {
            assert_eq!(&row.get::<String, _>(&*format!("t{j}")), text);
        }
        // The check of that text refuses that text, and no other check does.
        if i < 32 {
            let error = insert()
                .bind(value)
                .bind(value)
                .fetch_one(&mut *conn)
                .await
                .unwrap_err();
            let error = error.into_database_error().unwrap();
            assert_eq!(
                error.constraint(),
                Some(&*format!("order__c{i}")),
                "{value:?}: {error}"
            );
        }
    }
    let other = insert()
        .bind("other")
        .bind("x")
        .fetch_one(&mut *conn)
        .await
        .unwrap_err();
    let other = other.into_database_error().unwrap();
    assert_eq!(other.constraint(), Some("order__stage__check"));
    sqlx::query("select set_config('app.tenant_id', '', false)")
        .execute(&mut *conn)
        .await
        .unwrap();
}

/// What PostgreSQL could not hold, or what is longer than the schema allows.
async fn refused(world: &World, spec: &Value) {
    let long = "x".repeat(10_000);
    type Change<'a> = &'a dyn Fn(&mut Value);
    let by_schema: [Change<'_>; 6] = [
        &|s| s["fields"][2]["default"] = json!(long),
        &|s| s["fields"][2]["description"] = json!(long),
        &|s| s["fields"][1]["values"][0] = json!(long),
        &|s| s["fields"][1]["values"][0] = json!(""),
        &|s| s["checks"][0]["expression"] = json!(long),
        &|s| s["hooks"][0]["url"] = json!(long),
    ];
    for (i, change) in by_schema.iter().enumerate() {
        let mut spec = spec.clone();
        change(&mut spec);
        let said = world
            .apply(&world.models(), &world.model("hostile", "order", spec))
            .await;
        assert!(said.is_err(), "{i}");
    }
    let emoji = "\u{1f600}".repeat(63);
    let by_condition: [(Change<'_>, &str); 7] = [
        (
            &|s| s["fields"][2]["default"] = json!("a\0b"),
            "spec.fields[2].default: contains the character U+0000",
        ),
        (
            &|s| s["fields"][2]["description"] = json!("a\0b"),
            "spec.fields[2].description: contains the character U+0000",
        ),
        (
            &|s| s["fields"][1]["values"][1] = json!("a\0b"),
            "spec.fields[1].values[1]: must have 1 to 63 bytes and no U+0000",
        ),
        (
            &|s| s["fields"][1]["values"][1] = json!(emoji),
            "spec.fields[1].values[1]: must have 1 to 63 bytes and no U+0000",
        ),
        (
            &|s| s["checks"][0]["expression"] = json!("probe != 'a\0b'"),
            "spec.checks[0].expression: at character 12",
        ),
        (
            &|s| s["checks"][0]["expression"] = json!("probe != 'a'; drop table canary.canary"),
            "spec.checks[0].expression: at character 13",
        ),
        (
            &|s| s["hooks"][0]["url"] = json!("http://h/\0"),
            "spec.hooks[0].url: must be at most 2048 visible ASCII characters",
        ),
    ];
    for (change, expected) in by_condition {
        let mut spec = spec.clone();
        change(&mut spec);
        let stalled = world
            .apply_stalled(&world.model("hostile", "order", spec))
            .await;
        let conditions = stalled.status.unwrap().conditions;
        let accepted = condition(&conditions, "Accepted").unwrap();
        assert_eq!(accepted.reason, "InvalidModel");
        assert!(
            accepted.message.starts_with(expected),
            "{}",
            accepted.message
        );
    }
}

/// Names for people, and ids of users.
async fn tenants(world: &World, values: &[String]) {
    let before = Snapshot::of(world).await;
    let id = uuid::Uuid::now_v7();
    let name: String = values.concat().chars().take(255).collect();
    let admins: Vec<_> = values.iter().take(64).collect();
    let object = world.tenant(
        "hostile",
        id,
        json!({"displayName": name, "admins": admins}),
    );
    world.apply(&world.tenants(), &object).await.unwrap();
    let place = format!("{}-hostile", world.name);
    wait(&world.tenants(), &place, "Ready", |t| {
        let status = t.status.as_ref();
        status.is_some_and(|s| status_of(&s.conditions, "Ready") == "True")
    })
    .await;
    let stored: String = sqlx::query_scalar("select display_name from platform.tenants")
        .fetch_one(&world.admin)
        .await
        .unwrap();
    assert_eq!(stored, name);
    let users: Vec<String> = sqlx::query_scalar("select user_id from platform.user_roles")
        .fetch_all(&world.admin)
        .await
        .unwrap();
    let (users, admins): (BTreeSet<_>, BTreeSet<_>) =
        (users.iter().collect(), admins.into_iter().collect());
    assert_eq!(users, admins);
    // Its role and policy are called after its id, and everything else is as it was.
    assert_eq!(Snapshot::of(world).await, before);
    let policy =
        format!("select select_filter from system.row_policies where short_name = 't_{id}'");
    let policy = world.clickhouse(policy).await;
    assert!(
        policy.contains(&format!("tenant_id = \\'{id}\\'")),
        "{policy}"
    );
}
