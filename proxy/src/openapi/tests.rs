use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use http::HeaderMap;
use model::Catalog;
use serde_json::{Value, json};

use super::*;
use crate::caller::TraceId;

const A: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";
const B: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e02";
/// In the names of all that tenant A does not have or its caller may not use.
const CANARY: &str = "canary";

fn every_type() -> Value {
    json!([
        {"name": "a", "type": "bool", "default": "true"}, {"name": "b", "type": "int16"},
        {"name": "c", "type": "int32", "required": true}, {"name": "d", "type": "int64"},
        {"name": "e", "type": "float64", "default": "1.5"},
        {"name": "f", "type": "decimal", "precision": 12, "scale": 2, "default": "0"},
        {"name": "g", "type": "text", "maxLength": 200, "required": true, "description": "what it is"},
        {"name": "h", "type": "uuid", "default": "generate"}, {"name": "i", "type": "date"},
        {"name": "j", "type": "timestamp", "default": "now"}, {"name": "k", "type": "time"},
        {"name": "l", "type": "json", "required": true}, {"name": "m", "type": "bytes"},
        {"name": "n", "type": "enum", "values": ["open", "won"], "default": "open"},
        {"name": "o", "type": "inet"}, {"name": "p", "type": "array", "items": "text"},
        {"name": "q", "type": "decimal", "precision": 38, "scale": 38},
        {"name": "r", "type": "decimal", "precision": 38, "scale": 0},
        {"name": "s", "type": "text"}, {"name": "t", "type": "vector", "dimension": 3},
    ])
}

fn document_of(module: &str, model: &str, fields: Value) -> Value {
    json!({"served": true, "document": {
        "module": module, "model": model, "autoApi": true, "analytics": true, "maxPageSize": 100, "fields": fields,
    }})
}

fn reference(name: &str, module: &str, model: &str) -> Value {
    json!({"name": name, "type": "uuid", "references": {"module": module, "model": model}})
}

fn catalog(revision: i64, state: &str) -> Arc<Catalog> {
    let text = json!([{"name": "title", "type": "text"}]);
    let deals = json!([
        reference("company_id", "crm", "companies"),
        reference("buyer_id", "crm", "canary_people"),
        reference("other_id", "canary", "things"),
    ]);
    let people = json!([
        reference("home_id", "crm", "companies"),
        reference("work_id", "crm", "companies")
    ]);
    let catalog = json!({
        "revision": revision, "generation": 1, "database": "septem",
        "models": [
            document_of("crm", "companies", every_type()), document_of("crm", "deals", deals),
            document_of("crm", "canary_people", people), document_of("canary", "things", text),
        ],
        "tenants": [
            {"id": A, "slug": "acme", "state": state, "modules": ["crm"]},
            {"id": B, "slug": "canaryslug", "state": "Active", "modules": ["crm", "canary"]},
        ],
    });
    Arc::new(Catalog::parse(&catalog.to_string()).unwrap())
}

fn caller_of(catalog: Arc<Catalog>, tenant: &str, permissions: &[&str]) -> Caller {
    Caller {
        tenant: Arc::clone(catalog.tenant(&tenant.parse().unwrap()).unwrap()),
        user: "ada".into(),
        permissions: Arc::new(
            permissions
                .iter()
                .map(|p| p.parse().unwrap())
                .collect::<HashSet<_>>(),
        ),
        catalog,
        trace: TraceId("0".repeat(32).into()),
    }
}

const ALL: [&str; 8] = [
    "crm.companies.read",
    "crm.companies.write",
    "crm.companies.delete",
    "crm.deals.read",
    "crm.deals.write",
    "crm.deals.delete",
    "cache.read",
    "cache.write",
];

fn build(tenant: &str, permissions: &[&str]) -> Value {
    document::build(&access::Access::of(&caller_of(
        catalog(7, "Active"),
        tenant,
        permissions,
    )))
}

fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let each = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().keys();
        methods
            .filter(|m| *m != "parameters")
            .map(|m| format!("{m} {}", path.trim_start_matches("/v1/")))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(each).collect()
}

fn each_object<'a>(value: &'a Value, visit: &mut impl FnMut(&'a serde_json::Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            visit(map);
            map.values().for_each(|v| each_object(v, visit));
        }
        Value::Array(list) => list.iter().for_each(|v| each_object(v, visit)),
        _ => {}
    }
}

/// A validator of the schema at a pointer, formats included.
fn validator(document: &Value, schema: Value) -> jsonschema::Validator {
    let mut root = schema;
    root["components"] = document["components"].clone();
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&root);
    validator.unwrap_or_else(|e| panic!("{e}: {root}"))
}

#[test]
fn every_document_is_openapi_3_1() {
    let official = include_str!("../../tests/fixtures/openapi-3.1.schema.json");
    let official: Value = serde_json::from_str(official).unwrap();
    let official = jsonschema::validator_for(&official).unwrap();
    let sets: [&[&str]; 6] = [
        &[],
        &ALL,
        &["crm.deals.read"],
        &["crm.deals.write"],
        &["crm.deals.delete"],
        &["cache.write"],
    ];
    for permissions in sets {
        let document = build(A, permissions);
        let wrong: Vec<_> = official
            .iter_errors(&document)
            .map(|e| format!("{} at {}", e, e.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{permissions:?}: {wrong:#?}");

        let mut ids = BTreeSet::new();
        each_object(&document, &mut |object| {
            if let Some(Value::String(target)) = object.get("$ref") {
                assert!(document.pointer(&target[1..]).is_some(), "{target}");
            }
            if let Some(Value::String(id)) = object.get("operationId")
                && object.contains_key("responses")
            {
                assert!(ids.insert(id.clone()), "{id} twice");
            }
        });
        assert_eq!(ids.len(), operations(&document).len());
    }
}

#[test]
fn every_example_is_valid() {
    let document = build(A, &ALL);
    let check = |schema: &Value, example: &Value, place: &str| {
        let validator = validator(&document, schema.clone());
        let wrong: Vec<_> = validator
            .iter_errors(example)
            .map(|e| e.to_string())
            .collect();
        assert!(wrong.is_empty(), "{place}: {wrong:#?} {example}");
    };
    let mut checked = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for example in schema["examples"].as_array().into_iter().flatten() {
            check(
                &json!({"$ref": format!("#/components/schemas/{name}")}),
                example,
                name,
            );
            checked += 1;
        }
    }
    each_object(&document, &mut |object| {
        if let (Some(schema), Some(example)) = (object.get("schema"), object.get("example")) {
            check(schema, example, &json!(object).to_string());
            checked += 1;
        }
        let schema = object.get("schema");
        for example in schema
            .and_then(|s| s["examples"].as_array())
            .into_iter()
            .flatten()
        {
            check(&object["schema"], example, &json!(object).to_string());
            checked += 1;
        }
    });
    assert!(checked > 60, "{checked}");
}

#[test]
fn examples_of_filters_are_read_by_the_filter_parser() {
    let caller = caller_of(catalog(7, "Active"), A, &ALL);
    let model = caller.model(&caller.catalog, "crm", "companies").unwrap();
    let document = build(A, &ALL);
    let filter = |name: &str| {
        let pointer =
            format!("/components/parameters/crm.companies.where.{name}/schema/examples/0/0");
        document
            .pointer(&pointer)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    for column in model.columns() {
        let (name, text) = (column.name.as_str(), filter(column.name.as_str()));
        crate::query::parse_condition(model, name, &text)
            .unwrap_or_else(|e| panic!("{name}={text}: {e:?}"));
    }
    let group = &document["components"]["parameters"]["or"]["schema"]["examples"][0];
    crate::query::parse_group(model, "or", group.as_str().unwrap()).unwrap();
}

#[test]
fn operations_are_those_that_the_caller_may_use() {
    let always = [
        "get schema",
        "get schema/{module}",
        "get schema/{module}/{model}",
        "get openapi.json",
    ];
    let check = |state: &str, permissions: &[&str], more: &[&str]| {
        let caller = caller_of(catalog(7, state), A, permissions);
        let found = operations(&document::build(&access::Access::of(&caller)));
        let expected: BTreeSet<String> =
            always.iter().chain(more).map(|o| (*o).to_owned()).collect();
        assert_eq!(found, expected, "{state} {permissions:?}");
    };
    let reads = [
        "get data/crm/deals",
        "get data/crm/deals/{id}",
        "post data/crm/analytics",
    ];
    let writes = [
        "post data/crm/deals",
        "patch data/crm/deals",
        "patch data/crm/deals/{id}",
        "post data/crm/batch",
    ];
    let deletes = [
        "delete data/crm/deals/{id}",
        "post data/crm/deals/{id}/restore",
        "post data/crm/batch",
    ];
    check("Active", &[], &[]);
    check("Active", &["crm.deals.read"], &reads);
    check("Active", &["crm.deals.write"], &writes);
    check("Active", &["crm.deals.delete"], &deletes);
    // A filter tells of values, so it is for who may read.
    let filtered = [&reads[..], &deletes[..], &["delete data/crm/deals"]].concat();
    check("Active", &["crm.deals.read", "crm.deals.delete"], &filtered);
    check("ReadOnly", &["crm.deals.write", "crm.deals.delete"], &[]);
    check("ReadOnly", &["crm.deals.read", "crm.deals.write"], &reads);
    check("Active", &["cache.read"], &["get cache/{key}"]);
    check("ReadOnly", &["cache.write"], &[]);
    let cache = [
        "put cache/{key}",
        "delete cache/{key}",
        "post cache/invalidate",
    ];
    check("Active", &["cache.write"], &cache);
    // Of modules that the tenant does not have nothing is told, whatever a role says.
    check(
        "Active",
        &["canary.things.read", "canary.things.write"],
        &[],
    );
}

#[test]
fn a_description_lists_the_operations_of_its_model() {
    let caller = caller_of(catalog(7, "Active"), A, &ALL);
    let reply = crate::schema::handle(&caller, &request(None), Some("crm"), Some("deals")).unwrap();
    let description: Value = serde_json::from_slice(bytes_of(&reply)).unwrap();
    let endpoints = description["data"]["endpoints"].as_array().unwrap().iter();
    let listed: BTreeSet<String> = endpoints
        .map(|e| {
            let (method, path) = (e["method"].as_str().unwrap(), e["path"].as_str().unwrap());
            format!(
                "{} {}",
                method.to_lowercase(),
                path.trim_start_matches("/v1/")
            )
        })
        .collect();
    let is_of_deals = |o: &String| {
        let (_, path) = o.split_once(' ').unwrap();
        let parts: Vec<_> = path.split('/').collect();
        matches!(
            parts[..],
            ["data", "crm", "deals", ..] | ["data", "crm", "batch" | "analytics"]
        )
    };
    let mut described = operations(&build(A, &ALL));
    described.retain(is_of_deals);
    assert_eq!(listed, described);
}

#[test]
fn nothing_out_of_reach_is_named() {
    let mut permissions = ALL.to_vec();
    permissions.push("canary.things.read");
    let text = build(A, &permissions).to_string();
    for word in [CANARY, "home_id", "buyer!", A, B, "acme"] {
        assert!(!text.contains(word), "{word}");
    }
    assert!(
        build(B, &["crm.deals.read", "canary.things.read"])
            .to_string()
            .contains(CANARY)
    );
    // A field that refers out of reach is a field like any other, and no relation.
    assert!(text.contains("crm.deals.where.buyer_id"));
    let properties = &build(A, &ALL)["components"]["schemas"]["crm.deals.part"]["properties"];
    assert!(properties.get("buyer").is_none() && properties.get("company").is_some());
}

#[test]
fn a_document_depends_on_nothing_but_revision_and_shape() {
    let shape = |tenant, permissions: &[&str]| {
        access::Access::shape(&caller_of(catalog(7, "Active"), tenant, permissions))
    };
    // Tenant B has one module more, which its caller may not use; the shape may differ, the text may not.
    assert_eq!(build(A, &ALL).to_string(), build(B, &ALL).to_string());
    assert_eq!(shape(A, &ALL), shape(A, &ALL));
    for other in [&ALL[1..], &ALL[..7], &[][..], &["crm.deals.read"][..]] {
        assert_ne!(shape(A, &ALL), shape(A, other), "{other:?}");
    }
}

fn request(tag: Option<&str>) -> Request {
    let mut headers = HeaderMap::new();
    if let Some(tag) = tag {
        headers.insert(header::IF_NONE_MATCH, tag.parse().unwrap());
    }
    Request {
        method: Method::GET,
        path: Vec::new(),
        raw_path: String::new(),
        query: Vec::new(),
        headers,
        body: bytes::Bytes::new(),
    }
}

fn bytes_of(reply: &Reply) -> &bytes::Bytes {
    reply.body.whole().unwrap()
}

#[tokio::test]
async fn a_document_is_built_once_a_revision_and_known_by_its_tag() {
    let documents = Arc::new(Documents::default());
    let first = caller_of(catalog(7, "Active"), A, &ALL);
    let reply = handle(&documents, &first, &request(None)).await.unwrap();
    let tag = reply.headers[header::ETAG].to_str().unwrap().to_owned();
    let again = handle(&documents, &first, &request(None)).await.unwrap();
    assert_eq!(bytes_of(&reply).as_ptr(), bytes_of(&again).as_ptr());
    let known = handle(&documents, &first, &request(Some(&tag)))
        .await
        .unwrap();
    assert_eq!(
        (known.status, bytes_of(&known).len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    let held = documents.bytes();
    let later = caller_of(catalog(8, "Active"), A, &ALL);
    let same = handle(&documents, &later, &request(Some(&tag)))
        .await
        .unwrap();
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    assert_eq!(
        documents.bytes(),
        held,
        "the document of revision 7 is gone"
    );
    let less = caller_of(catalog(8, "Active"), A, &["crm.deals.read"]);
    let other = handle(&documents, &less, &request(Some(&tag)))
        .await
        .unwrap();
    assert_eq!(other.status, StatusCode::OK);
    assert_eq!(
        documents.bytes(),
        held + bytes_of(&other).len(),
        "both are kept"
    );
}

#[test]
fn a_model_of_thirty_fields_takes_at_most_60_kib() {
    const MODELS: usize = 200;
    let name = |i: usize| format!("model{i}");
    let models = (0..MODELS).map(|i| {
        let mut fields: Vec<Value> = every_type().as_array().unwrap().clone();
        fields.push(reference("next_id", "crm", &name((i + 1) % MODELS)));
        fields.extend((0..10).map(|n| json!({"name": format!("more_{n}"), "type": "text"})));
        document_of("crm", &name(i), json!(fields))
    });
    let catalog = json!({
        "revision": 1, "generation": 1, "database": "septem", "models": models.collect::<Vec<_>>(),
        "tenants": [{"id": A, "slug": "acme", "state": "Active", "modules": ["crm"]}],
    });
    let permissions: Vec<String> = (0..MODELS)
        .flat_map(|i| ["read", "write", "delete"].map(|a| format!("crm.{}.{a}", name(i))))
        .collect();
    let permissions: Vec<&str> = permissions.iter().map(String::as_str).collect();
    let caller = caller_of(
        Arc::new(Catalog::parse(&catalog.to_string()).unwrap()),
        A,
        &permissions,
    );
    let begun = std::time::Instant::now();
    let text = document::build(&access::Access::of(&caller)).to_string();
    // Shown by `--nocapture`.
    println!(
        "{MODELS} models: {} KiB in {:?}",
        text.len() / 1024,
        begun.elapsed()
    );
    assert!(text.len() < MODELS * 60 * 1024, "{}", text.len());
}
