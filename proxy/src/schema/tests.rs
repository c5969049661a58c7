use std::{collections::HashSet, sync::Arc};

use http::HeaderMap;
use model::Catalog;
use serde_json::{Value, json};

use super::*;
use crate::{caller::TraceId, problem::ProblemKind};

const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";

fn every_type() -> Value {
    json!([
        {"name": "a", "type": "bool"}, {"name": "b", "type": "int16"}, {"name": "c", "type": "int32"},
        {"name": "d", "type": "int64"}, {"name": "e", "type": "float64"},
        {"name": "f", "type": "decimal", "precision": 12, "scale": 2, "default": "0"},
        {"name": "g", "type": "text", "maxLength": 200, "required": true, "description": "what it is"},
        {"name": "h", "type": "uuid"}, {"name": "i", "type": "date"}, {"name": "j", "type": "timestamp"},
        {"name": "k", "type": "time"}, {"name": "l", "type": "json"}, {"name": "m", "type": "bytes"},
        {"name": "n", "type": "enum", "values": ["open", "won"]}, {"name": "o", "type": "inet"},
        {"name": "p", "type": "array", "items": "text"}, {"name": "q", "type": "vector", "dimension": 3},
    ])
}

fn caller(permissions: &[&str]) -> Caller {
    let document = |module: &str, model: &str, fields: Value| {
        json!({"served": true, "document": {
            "module": module, "model": model, "autoApi": true, "analytics": true, "maxPageSize": 100, "fields": fields,
            "indexes": [{"name": "by_time", "fields": ["created_at"]}],
        }})
    };
    let key = |name: &str, module: &str, model: &str| json!({"name": name, "type": "uuid", "references": {"module": module, "model": model}});
    let catalog = json!({
        "revision": 7, "generation": 1, "database": "septem",
        "models": [
            document("crm", "companies", every_type()),
            document("crm", "deals", json!([key("company_id", "crm", "companies"), key("buyer_id", "crm", "people")])),
            document("crm", "people", json!([key("home_id", "crm", "companies"), key("work_id", "crm", "companies")])),
            document("hr", "staff", json!([key("firm_id", "crm", "companies")])),
        ],
        "tenants": [{"id": TENANT, "slug": "acme", "state": "Active", "modules": ["crm"]}],
    });
    let catalog = Arc::new(Catalog::parse(&catalog.to_string()).unwrap());
    Caller {
        tenant: Arc::clone(catalog.tenant(&TENANT.parse().unwrap()).unwrap()),
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

fn request(headers: &[(&'static str, &str)]) -> Request {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    Request {
        method: Method::GET,
        path: Vec::new(),
        raw_path: String::new(),
        query: Vec::new(),
        headers: map,
        body: bytes::Bytes::new(),
    }
}

fn ask(permissions: &[&str], module: Option<&str>, model: Option<&str>) -> Result<Value, Problem> {
    handle(&caller(permissions), &request(&[]), module, model)
        .map(|r| serde_json::from_slice(r.body.whole().unwrap()).unwrap())
}

#[test]
fn only_what_may_be_read_is_listed() {
    let names = |permissions: &[&str], module| {
        let answer = ask(permissions, module, None).unwrap();
        let list = answer["data"].as_array().unwrap().clone();
        list.iter()
            .map(|m| m["model"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = [
        "crm.companies.read",
        "crm.deals.read",
        "crm.people.write",
        "hr.staff.read",
    ];
    assert_eq!(names(&all, None), ["companies", "deals"]);
    assert_eq!(names(&all, Some("crm")), ["companies", "deals"]);
    assert!(names(&all, Some("hr")).is_empty());
    assert!(names(&[], None).is_empty());
    assert_eq!(
        ask(&["crm.people.write"], Some("crm"), Some("people"))
            .unwrap_err()
            .kind,
        ProblemKind::Forbidden
    );
}

#[test]
fn a_description_names_no_model_out_of_reach() {
    let answer = ask(
        &["crm.companies.read", "crm.deals.read", "hr.staff.read"],
        Some("crm"),
        Some("companies"),
    )
    .unwrap();
    let relations = answer["data"]["relations"].as_array().unwrap();
    assert_eq!(relations.len(), 1, "{relations:?}");
    assert_eq!(
        relations[0],
        json!({"name": "deals", "kind": "to-many", "module": "crm", "model": "deals", "field": "company_id"})
    );
    let text = answer.to_string();
    assert!(
        !text.contains("people") && !text.contains("staff"),
        "{text}"
    );

    let answer = ask(
        &["crm.companies.read", "crm.people.read", "crm.people.write"],
        Some("crm"),
        Some("companies"),
    )
    .unwrap();
    let names: Vec<_> = answer["data"]["relations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].clone())
        .collect();
    assert_eq!(names, ["people!home_id", "people!work_id"]);
    assert_eq!(answer["data"]["limits"]["filters"], 50);
    assert_eq!(answer["data"]["limits"]["bulkRows"], 1_000);
    assert_eq!(answer["data"]["limits"]["filteredRows"], 100_000);
    let answer = ask(
        &["crm.companies.read", "crm.deals.read"],
        Some("crm"),
        Some("deals"),
    )
    .unwrap();
    let names: Vec<_> = answer["data"]["relations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].clone())
        .collect();
    assert_eq!(names, ["company"]);
}

#[test]
fn relations_are_named_as_include_takes_them() {
    let caller = caller(&["crm.companies.read", "crm.people.read", "crm.deals.read"]);
    let names = crate::data::relation::Names {
        catalog: &caller.catalog,
        tenant: &caller.tenant,
        permissions: &caller.permissions,
    };
    let mut told = Vec::new();
    for model in ["companies", "people", "deals"] {
        let model = caller.model(&caller.catalog, "crm", model).unwrap();
        for relation in relations::relations(&caller, model) {
            let (name, hint) = match relation.name.split_once('!') {
                Some((name, hint)) => (name, Some(hint)),
                None => (relation.name.as_str(), None),
            };
            let meant = names.relation("include", model, name, hint).unwrap();
            assert_eq!(
                (meant.model.name().model.as_str(), meant.field.name.as_str()),
                (relation.model.as_str(), relation.field.as_str())
            );
            told.push(relation.name);
        }
    }
    let expected = [
        "deals",
        "people!home_id",
        "people!work_id",
        "home",
        "work",
        "deals",
        "company",
        "buyer",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_description_says_what_may_be_done() {
    let answer = ask(
        &["crm.companies.read", "crm.companies.write"],
        Some("crm"),
        Some("companies"),
    )
    .unwrap();
    let data = &answer["data"];
    assert_eq!(data["permissions"], json!(["read", "write"]));
    assert_eq!(answer["meta"]["revision"], 7);
    let field = |name: &str| {
        data["fields"]
            .as_array()
            .unwrap()
            .iter()
            .find(|f| f["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(field("f")["precision"], 12);
    assert_eq!(field("f")["default"], "0");
    assert_eq!(field("n")["values"], json!(["open", "won"]));
    assert_eq!(field("p")["items"], "text");
    assert_eq!(
        (
            field("g")["required"].clone(),
            field("g")["maxLength"].clone()
        ),
        (json!(true), json!(200))
    );
    assert_eq!(
        (
            field("version")["readOnly"].clone(),
            field("id")["readOnly"].clone()
        ),
        (json!(true), json!(false))
    );
    let endpoints: Vec<_> = data["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["method"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        endpoints,
        ["GET", "GET", "POST", "POST", "PATCH", "PATCH", "POST"]
    );
}

#[test]
fn an_answer_that_is_known_is_not_sent_again() {
    let caller = caller(&["crm.deals.read"]);
    let first = handle(&caller, &request(&[]), None, None).unwrap();
    let tag = first.headers[header::ETAG].to_str().unwrap().to_owned();
    let status = |tag: &str| {
        handle(&caller, &request(&[("if-none-match", tag)]), None, None)
            .unwrap()
            .status
    };
    assert_eq!(status(&tag), StatusCode::NOT_MODIFIED);
    assert_eq!(status(&format!("\"x\", W/{tag}")), StatusCode::NOT_MODIFIED);
    assert_eq!(status("\"x\""), StatusCode::OK);
}
