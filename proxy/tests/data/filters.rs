//! Every operator on every type, as PostgreSQL takes it; and which of them an index can serve under the policy.

use std::fmt::Write as _;

use http::StatusCode;
use model::{Column, FieldType, ModuleModel};
use proxy::{
    postgres::{Lane, Row, Scope as Session},
    query::{
        self,
        operators::{Operator, allowed, every_type, takes_quantifier},
    },
};
use serde_json::{Value, json};
use sql::{
    Statement,
    postgres::select::{Deleted, Scope},
};

use crate::support::{
    database::run,
    world::{A, B, World, models},
};

fn things() -> ModuleModel {
    models().remove(2)
}

/// A value of a type, as a filter writes it.
fn sample(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Bool => "true".into(),
        FieldType::Int16 | FieldType::Int32 | FieldType::Int64 => "700".into(),
        FieldType::Float64 | FieldType::Decimal { .. } => "700.5".into(),
        FieldType::Text { .. } | FieldType::Enum { .. } => "700".into(),
        FieldType::Uuid => "00000000-0000-4000-8000-000000000700".into(),
        FieldType::Date => "2026-01-02".into(),
        FieldType::Timestamp => "2026-01-02T03:04:05.000006Z".into(),
        FieldType::Time => "03:04:05".into(),
        FieldType::Json => "{\"a\":[1,\"700\"]}".into(),
        FieldType::Bytes => "AAH/".into(),
        FieldType::Inet => "10.0.0.7".into(),
        FieldType::Array { items } => format!("{{\"{}\"}}", sample(&items.as_field_type())),
        FieldType::Vector { .. } => "{1,2,3}".into(),
    }
}

/// Every way to ask a column something: what it is called, and the condition.
fn conditions(field_type: &FieldType) -> Vec<(String, String)> {
    let value = sample(field_type);
    let quoted = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let mut found = Vec::new();
    for operator in allowed(field_type) {
        let name = operator.name();
        match operator {
            Operator::In => found.push((name.into(), format!("in.({quoted},{quoted})"))),
            Operator::Is => {
                found.push(("is.null".into(), "is.null".into()));
                if *field_type == FieldType::Bool {
                    found.push(("is.true".into(), "is.true".into()));
                }
            }
            _ if operator.is_search() => {
                found.push((name.into(), format!("{name}.700")));
                found.push((format!("{name}(english)"), format!("{name}(english).700")));
            }
            _ => found.push((name.into(), format!("{name}.{value}"))),
        }
        if *operator == Operator::Lt {
            found.push(("not.lt".into(), format!("not.lt.{value}")));
        }
        if takes_quantifier(*operator, field_type) {
            for quantifier in ["any", "all"] {
                let name = format!("{name}({quantifier})");
                found.push((name.clone(), format!("{name}.{{{quoted},{quoted}}}")));
            }
        }
    }
    found
}

fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn every_operator_of_every_type_is_one_that_postgresql_takes() {
    let world = World::new().await;
    world
        .create(
            A,
            "things",
            json!({"a_text": "700", "a_json": {"a": [1, "700"]}, "texts": ["700"]}),
        )
        .await;
    let model = things();
    let mut asked: Vec<(String, FieldType)> = model
        .columns()
        .iter()
        .map(|c| (c.name.as_str().to_owned(), c.field_type.clone()))
        .collect();
    asked.push(("a_json->a->-1".into(), FieldType::Json));
    asked.push((
        "a_json->>\"a.b\"".into(),
        FieldType::Text { max_length: None },
    ));
    let mut count = 0;
    for (name, field_type) in &asked {
        let plain = conditions(field_type).into_iter();
        for (_, condition) in plain.filter(|(name, _)| !name.starts_with("not.")) {
            for not in ["", "not."] {
                let target = format!(
                    "things?{}={}",
                    encode(name),
                    encode(&format!("{not}{condition}"))
                );
                let seen = world.send(A, "GET", &target, None).await;
                assert_eq!(seen.status, StatusCode::OK, "{target}: {}", seen.text);
                count += 1;
            }
        }
    }
    assert!(count > 700, "{count}");
}

/// What filters find among records of a tenant; the other tenant has the same and a canary.
#[tokio::test]
async fn filters_find_what_they_ask_for_and_nothing_of_others() {
    let world = World::new().await;
    let rows = [
        json!({"a_text": "one", "a_int32": 1, "a_bool": true, "a_enum": "x", "a_bytes": "AAE=", "a_inet": "10.0.0.1",
            "texts": ["a", "b,c"], "numbers": [1, 2], "a_json": {"a": {"b": [10, 20.50, "x"]}, "k.1": "v", "0": "zero", "n": null}}),
        json!({"a_text": "two cats", "a_int32": 2, "a_bool": false, "a_enum": "y", "a_bytes": "AAI=", "a_inet": "10.1.0.0/16",
            "texts": [], "numbers": [2, 3], "a_json": {"a": {"b": [9007199254740993_i64]}, "k.1": "the cat sat"}}),
        json!({"a_text": "50% *", "a_json": [1, {"a": 2}]}),
        json!({"a_text": "none"}),
    ];
    for tenant in [A, B] {
        for row in &rows {
            let mut row = row.clone();
            if tenant == B {
                row["a_time"] = json!("11:11:11");
                row["a_text"] = json!(format!("{} canary", row["a_text"].as_str().unwrap()));
            }
            world.create(tenant, "things", row).await;
        }
    }
    let nots = format!("a_text=fts.{}cats", "!".repeat(900));
    for (query, expected) in [
        ("a_int32=eq(any).{1,7}", "one"),
        ("a_int32=gt(all).{0,1}", "two cats"),
        ("a_int32=eq(any).{}", ""),
        ("a_int32=eq(all).{}", "50% *|none|one|two cats"),
        ("a_int32=isdistinct.1", "50% *|none|two cats"),
        ("a_int32=neq.1", "two cats"),
        ("a_bool=gt.false", "one"),
        ("a_enum=gt.x", "two cats"),
        ("a_bytes=lt.AAI=", "one"),
        ("a_inet=ov.10.0.0.0/8", "one|two cats"),
        ("a_inet=gte.10.0.0.2", "two cats"),
        ("a_text=like(any).{on*,t*}", "one|two cats"),
        ("a_text=like.*\\%*", "50% *"),
        ("a_text=match.^t.*s$", "two cats"),
        ("a_text=match.\\*$", "50% *"),
        ("a_text=imatch(all).{O,^T}", "two cats"),
        ("a_text=not.match.o", "50% *"),
        ("a_text=fts(english).cat", "two cats"),
        ("a_text=fts.cat", ""),
        ("a_text=fts.ca:* & !dog", "two cats"),
        ("a_text=plfts(english).the cats", "two cats"),
        ("a_text=phfts.two cats", "two cats"),
        ("a_text=wfts.\"cats two\" or one", "one"),
        ("a_text=fts.", ""),
        (&nots, "two cats"),
        ("a_json=wfts(english).cats", "two cats"),
        ("texts=cs.{\"b,c\"}", "one"),
        ("texts=cd.{a,\"b,c\",d}", "one|two cats"),
        ("texts=eq.{}", "two cats"),
        ("texts=eq.{a,\"b,c\"}", "one"),
        ("numbers=ov.{2}", "one|two cats"),
        ("numbers=gt.{1,9}", "two cats"),
        ("numbers=isdistinct.{1,2}", "50% *|none|two cats"),
        ("a_json=cs.{\"a\":{\"b\":[10]}}", "one"),
        ("a_json=cs.[1]", "50% *"),
        ("a_json=eq.[1.0,{\"a\":2}]", "50% *"),
        ("a_json->a->b->0=eq.9007199254740993", "two cats"),
        ("a_json->a->b->0=eq.9007199254740992", ""),
        ("a_json->a->b->1=eq.20.5", "one"),
        ("a_json->a->b->>1=eq.20.5", "one"),
        ("a_json->a->b->>-1=eq.x", "one"),
        ("a_json->a->b->-1=eq.\"x\"", "one"),
        ("a_json->a->b->0=gt(any).{9,100}", "one|two cats"),
        ("a_json->\"k.1\"=is.not_null", "one|two cats"),
        ("a_json->>\"k.1\"=plfts(english).cats", "two cats"),
        ("a_json->>0=eq.zero", "one"),
        ("a_json->1->>a=in.(2,3)", "50% *"),
        ("a_json->n=eq.null", "one"),
        ("a_json->>n=is.null;a_json->n=is.not_null", "one"),
        (
            "or=(a_json->\"k.1\".eq.\"\\\"v\\\"\",numbers.cs.{3})",
            "one|two cats",
        ),
        (
            "or=(a_json.cs.{\"a\":{\"b\":[10]}},a_text.eq(any).{none,\"50% *\"})",
            "50% *|none|one",
        ),
        ("not.or=(a_text.match.o,a_text.is.null)", "50% *"),
    ] {
        let target = query
            .split(';')
            .map(|pair| {
                // The first sign that is not inside of a name.
                let (name, value) = pair.split_once('=').unwrap();
                format!("{}={}", encode(name), encode(value))
            })
            .collect::<Vec<_>>()
            .join("&");
        let seen = world
            .send(A, "GET", &format!("things?{target}&order=a_text"), None)
            .await;
        assert_eq!(seen.status, StatusCode::OK, "{query}: {}", seen.text);
        let mut found: Vec<_> = seen.json()["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["a_text"].as_str().unwrap().to_owned())
            .collect();
        found.sort();
        assert_eq!(found.join("|"), expected, "{query}");
        assert!(!seen.text.contains("canary"), "{query}");
    }
}

#[tokio::test]
async fn an_expression_that_the_server_refuses_is_told_by_its_field() {
    let world = World::new().await;
    world.create(A, "things", json!({"a_text": "a"})).await;
    for (query, field) in [
        ("a_text=match.(", "a_text"),
        ("a_text=not.imatch.[", "a_text"),
        (
            "a_bool=eq.true;a_json->>a=match(any).{a,\"(\"}",
            "a_json->>a",
        ),
        ("or=(a_text.match.\"*\",a_bool.eq.true)", "or"),
    ] {
        let target = query
            .split(';')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect::<Vec<_>>()
            .join("&");
        let seen = world
            .send(A, "GET", &format!("things?{target}"), None)
            .await;
        assert_eq!(
            (seen.status, seen.errors()),
            (
                StatusCode::BAD_REQUEST,
                vec![format!("{field} INVALID_VALUE")]
            ),
            "{query}: {}",
            seen.text
        );
    }
}

#[tokio::test]
async fn a_text_that_cannot_be_searched_is_told_by_its_field() {
    let world = World::new().await;
    let mut admin = world.database.admin().await;
    run(
        &mut admin,
        &format!(
            "insert into crm.things (tenant_id, id, a_text__2, created_by, updated_by)
             select '{A}', gen_random_uuid(), string_agg(md5(i::text), ' '), 'x', 'x' from generate_series(1, 60000) i"
        ),
    )
    .await;
    let word = "日".repeat(1_000);
    for (tenant, condition) in [(A, "plfts.a"), (B, &*format!("wfts.{word}"))] {
        let target = format!("things?a_text={}&select=id", encode(condition));
        let seen = world.send(tenant, "GET", &target, None).await;
        assert!(
            seen.status == StatusCode::OK || seen.errors() == ["a_text INVALID_VALUE"],
            "{}",
            seen.text
        );
        assert_eq!(seen.status == StatusCode::OK, tenant == B, "{}", seen.text);
    }
}

#[tokio::test]
async fn a_request_has_fifty_filters_at_most() {
    let world = World::new().await;
    let target = |n: usize| format!("things?{}", vec!["a_int16=gt.1"; n].join("&"));
    let most = world
        .send(A, "GET", &target(query::FILTERS_MAX), None)
        .await;
    assert_eq!(most.status, StatusCode::OK, "{}", most.text);
    let more = world
        .send(A, "GET", &target(query::FILTERS_MAX + 1), None)
        .await;
    assert_eq!(more.errors(), ["filters LIMIT_EXCEEDED"]);
}

#[tokio::test]
async fn an_expression_that_takes_too_long_is_a_timeout() {
    let short = std::time::Duration::from_millis(200);
    let world = World::with(|config| config.exclusive.statement_timeout = short).await;
    let mut admin = world.database.admin().await;
    // Some milliseconds for each of them.
    run(
        &mut admin,
        &format!(
            "insert into crm.things (tenant_id, id, a_text__2, created_by, updated_by)
             select '{A}', gen_random_uuid(), repeat('abcdefghij', 30000), 'x', 'x' from generate_series(1, 200)"
        ),
    )
    .await;
    let slow = encode("match.[aeiou][^z]*z");
    let seen = world
        .send(A, "GET", &format!("things?a_text={slow}"), None)
        .await;
    assert_eq!(seen.status, StatusCode::GATEWAY_TIMEOUT, "{}", seen.text);
    let after = world.send(A, "GET", "things?a_text=eq.a", None).await;
    assert_eq!(after.json()["data"], json!([]), "{}", after.text);
}

#[tokio::test]
async fn an_expression_that_needs_too_much_memory_is_the_clients_fault() {
    let world = World::new().await;
    world.create(A, "things", json!({"a_text": "a"})).await;
    for pattern in [
        "((a{1,200}){1,200})b",
        "(((a{1,100}){1,100}){1,100}){1,100}",
    ] {
        let target = format!("things?a_text={}", encode(&format!("match.{pattern}")));
        let seen = world.send(A, "GET", &target, None).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{}", seen.text);
        assert_eq!(seen.errors(), ["a_text INVALID_VALUE"], "{pattern}");
    }
}

#[tokio::test]
async fn every_language_is_one_that_the_server_has() {
    let world = World::new().await;
    for language in query::search::LANGUAGES {
        let target = format!("things?a_text=plfts({language}).a&limit=1");
        let seen = world.send(A, "GET", &target, None).await;
        assert_eq!(seen.json()["data"], Value::Array(vec![]), "{language}");
    }
}

/// For each operator the types on which an index on the column serves it as `septem_app`, under the policy, and those
/// on which it does not: there every live row of the tenant is read.
#[tokio::test]
async fn which_operators_an_index_serves_under_the_policy() {
    let world = World::new().await;
    let mut admin = world.database.admin().await;
    for name in ["eq", "lt", "le", "gt", "ge", "cmp"] {
        let function = format!("pg_catalog.numeric_{name}(numeric, numeric)");
        run(&mut admin, &format!("alter function {function} leakproof")).await;
    }
    run(
        &mut admin,
        &format!(
            "insert into crm.things (tenant_id, id, created_by, updated_by, a_bool__2, a_int16__2, a_int32__2,
               a_int64__2, a_float64__2, a_decimal__2, a_text__2, a_uuid__2, a_date__2, a_timestamp__2, a_time__2,
               a_json__2, a_bytes__2, a_enum__2, a_inet__2, texts__2, a_vector__2)
             select t, gen_random_uuid(), 'x', 'x', i % 2 = 0, i, i, i, i, i, i::text, lpad(i::text, 32, '0')::uuid,
               date '2020-01-01' + i, timestamptz '2020-01-01 00:00Z' + i * interval '1 day', time '00:00' + i * interval '1 s',
               to_jsonb(i), int4send(i), (array['x', 'y'])[i % 2 + 1], inet '10.0.0.0' + i, array[i::text], array[i, 0, 0]
             from generate_series(1, 3000) i, (values ('{A}'::uuid), ('{B}')) v(t)"
        ),
    )
    .await;
    // Otherwise the rows are read by it where no index serves.
    run(
        &mut admin,
        "alter table crm.things drop constraint things__id__pkey cascade",
    )
    .await;
    let model = things();
    let mut served: Vec<(String, Vec<&str>, Vec<&str>)> = Vec::new();
    for field_type in every_type() {
        let Some(column) = column_of(&model, &field_type) else {
            continue;
        };
        let name = column.name.as_str();
        run(
            &mut admin,
            &format!(
                "create index probe on crm.things (tenant_id, {})",
                column.column.as_str()
            ),
        )
        .await;
        run(&mut admin, "analyze crm.things").await;
        for (operator, condition) in conditions(&column.field_type) {
            let plan = explain(&world, &model, name, &condition).await;
            let is_served = plan
                .lines()
                .any(|line| line.contains("Index Cond") && line.contains(name));
            let at = served
                .iter()
                .position(|(o, ..)| *o == operator)
                .unwrap_or_else(|| {
                    served.push((operator.clone(), Vec::new(), Vec::new()));
                    served.len() - 1
                });
            let types = if is_served {
                &mut served[at].1
            } else {
                &mut served[at].2
            };
            types.push(field_type.name());
        }
        run(&mut admin, "drop index crm.probe").await;
    }
    let mut table =
        String::from("operator | served by an index on | reads every row of the tenant on\n");
    for (operator, by_index, by_scan) in &served {
        let list = |types: &[&str]| match types {
            [] => "-".to_owned(),
            types => types.join(" "),
        };
        writeln!(table, "{operator} | {} | {}", list(by_index), list(by_scan)).unwrap();
    }
    insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!(table) });
}

fn column_of<'a>(model: &'a ModuleModel, field_type: &FieldType) -> Option<&'a Column> {
    model
        .columns()
        .iter()
        .filter(|c| !c.system)
        .find(|c| c.field_type.name() == field_type.name())
}

/// The plan of a condition as the proxy's role runs it, if an index is taken wherever it can be.
async fn explain(world: &World, model: &ModuleModel, field: &str, condition: &str) -> String {
    let filter = query::parse_condition(model, field, condition).unwrap();
    let scope = Scope {
        tenant: A.parse().unwrap(),
        model: model.name(),
        filter: &filter,
        deleted: Deleted::Include,
        related: &[],
    };
    let mut statement = scope.count(None);
    statement.text = format!("explain (costs off) {}", statement.text);
    let indexes_only = Statement {
        text: "select set_config('enable_seqscan', 'off', true)".into(),
        binds: Vec::new(),
    };
    let session = Session {
        tenant: A.parse().unwrap(),
        user: "ada".into(),
    };
    let database = &world.data.database;
    let answer = database
        .run_read(&session, Lane::Exclusive, [indexes_only, statement])
        .await
        .unwrap();
    let line =
        |row: &Row| String::from_utf8(row.values().next().unwrap().unwrap().to_vec()).unwrap();
    answer[1].iter().map(line).collect::<Vec<_>>().join("\n")
}
