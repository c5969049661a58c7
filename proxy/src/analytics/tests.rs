use std::collections::HashSet;

use model::{Catalog, Permission};

use super::*;
use crate::{
    caller::TraceId,
    problem::{FieldError, ProblemKind},
};

const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";

fn catalog() -> Catalog {
    let document = serde_json::json!({
        "revision": 1, "generation": 1, "database": "septem",
        "models": [
            {"served": true, "document": {
                "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
                "fields": [
                    {"name": "title", "type": "text"},
                    {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
                    {"name": "vat", "type": "decimal", "precision": 12, "scale": 4},
                    {"name": "stage", "type": "enum", "values": ["open", "won"]},
                    {"name": "closes_on", "type": "date"},
                    {"name": "seats", "type": "int32"},
                    {"name": "weight", "type": "float64"},
                    {"name": "sum", "type": "int64"},
                    {"name": "tags", "type": "array", "items": "text"},
                    {"name": "extra", "type": "json"},
                ],
            }},
            {"served": true, "document": {
                "module": "crm", "model": "drafts", "autoApi": true, "analytics": false, "maxPageSize": 10,
                "fields": [{"name": "title", "type": "text"}],
            }},
        ],
        "tenants": [{"id": TENANT, "slug": "acme", "state": "Active", "modules": ["crm"]}],
    });
    Catalog::parse(&document.to_string()).unwrap()
}

fn caller(permissions: &[&str]) -> Caller {
    let catalog = Arc::new(catalog());
    let tenant = Arc::clone(catalog.tenant(&TENANT.parse().unwrap()).unwrap());
    let permissions: HashSet<Permission> = permissions.iter().map(|p| p.parse().unwrap()).collect();
    let trace = TraceId("0af7651916cd43dd8448eb211c80319c".into());
    Caller {
        tenant,
        user: "ada".into(),
        permissions: Arc::new(permissions),
        catalog,
        trace,
    }
}

fn reader() -> Caller {
    caller(&["crm.deals.read", "crm.drafts.read"])
}

fn plan_of(body: &str) -> Result<Plan, Problem> {
    decide(&reader(), "crm", body.as_bytes())
}

fn names_of(body: &str) -> Vec<String> {
    plan_of(body)
        .unwrap()
        .outputs
        .into_iter()
        .map(|o| o.name)
        .collect()
}

/// `field CODE` of each error.
fn errors_of(body: &str) -> Vec<String> {
    let Err(problem) = plan_of(body) else {
        panic!("{body} was not refused")
    };
    assert_eq!(problem.kind, ProblemKind::Validation, "{body}: {problem:?}");
    let code = |e: &FieldError| serde_json::to_string(&e.code).unwrap().replace('"', "");
    problem
        .errors
        .iter()
        .map(|e| format!("{} {}", e.field, code(e)))
        .collect()
}

#[test]
fn an_answer_is_named_as_the_seeds_name_it() {
    let cases: [(&str, &[&str]); 9] = [
        (r#"{"model":"deals","aggregate":"count"}"#, &["count"]),
        (
            r#"{"model":"deals","aggregate":"sum","field":"amount"}"#,
            &["sum"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupBy":"stage"}"#,
            &["stage", "count"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupBy":["stage","seats"]}"#,
            &["stage", "seats", "count"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupBy":"created_at","groupByInterval":"day","order":"created_at.asc"}"#,
            &["created_at", "count"],
        ),
        (
            r#"{"model":"deals","metrics":[{"aggregate":"count"},{"aggregate":"sum","field":"amount"},{"aggregate":"avg","field":"amount"}]}"#,
            &["count", "sum", "avg"],
        ),
        (
            r#"{"model":"deals","metrics":[{"aggregate":"sum","field":"vat"},{"aggregate":"sum","field":"amount"}]}"#,
            &["sum_vat", "sum_amount"],
        ),
        (
            r#"{"model":"deals","metrics":[{"aggregate":"sum","field":"vat","alias":"Tax"},{"aggregate":"sum","field":"amount"}]}"#,
            &["Tax", "sum_amount"],
        ),
        (
            r#"{"model":"deals","metrics":[{"aggregate":"count"},{"aggregate":"count","field":"title"}]}"#,
            &["count", "count_title"],
        ),
    ];
    for (body, names) in cases {
        assert_eq!(names_of(body), names, "{body}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let cases: [(&str, &[&str]); 46] = [
        (r#"{"aggregate":"count"}"#, &["model REQUIRED"]),
        (
            r#"{"model":7,"aggregate":"count"}"#,
            &["model INVALID_VALUE"],
        ),
        (
            r#"{"model":"drafts","aggregate":"count"}"#,
            &["model INVALID_VALUE"],
        ),
        (r#"{"model":"deals"}"#, &["aggregate REQUIRED"]),
        (
            r#"{"model":"deals","model":"deals","aggregate":"count"}"#,
            &["model DUPLICATE"],
        ),
        (
            r#"{"model":"deals","aggregate":"median","field":"amount"}"#,
            &["aggregate INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"sum"}"#,
            &["field REQUIRED"],
        ),
        (
            r#"{"model":"deals","aggregate":"sum","field":"nope"}"#,
            &["field UNKNOWN_FIELD"],
        ),
        (
            r#"{"model":"deals","aggregate":"sum","field":"tenant_id"}"#,
            &["field UNKNOWN_FIELD"],
        ),
        (
            r#"{"model":"deals","aggregate":"sum","field":"title"}"#,
            &["field INVALID_OPERATOR"],
        ),
        (
            r#"{"model":"deals","aggregate":"avg","field":"closes_on"}"#,
            &["field INVALID_OPERATOR"],
        ),
        (
            r#"{"model":"deals","aggregate":"max","field":"tags"}"#,
            &["field INVALID_OPERATOR"],
        ),
        (
            r#"{"model":"deals","aggregate":"min","field":"id"}"#,
            &["field INVALID_OPERATOR"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","field":"tags"}"#,
            &["field INVALID_OPERATOR"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","metrics":[{"aggregate":"count"}]}"#,
            &["aggregate INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","metrics":[]}"#,
            &["metrics INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","metrics":[{"aggregate":"count","x":1}]}"#,
            &["metrics[0].x UNKNOWN_FIELD"],
        ),
        (
            r#"{"model":"deals","metrics":[{"aggregate":"count"},{"aggregate":"x"}]}"#,
            &["metrics[1].aggregate INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","metrics":[{"aggregate":"sum","field":"x"}]}"#,
            &["metrics[0].field UNKNOWN_FIELD"],
        ),
        (
            r#"{"model":"deals","metrics":[{"aggregate":"count","alias":"a b"}]}"#,
            &["metrics[0].alias INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","metrics":[{"aggregate":"count","alias":"stage"}],"groupBy":"stage"}"#,
            &["metrics[0].alias DUPLICATE"],
        ),
        (
            r#"{"model":"deals","aggregate":"sum","field":"amount","groupBy":"sum"}"#,
            &["alias DUPLICATE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupBy":"nope"}"#,
            &["groupBy UNKNOWN_FIELD"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupBy":["stage","stage"]}"#,
            &["groupBy DUPLICATE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupBy":"extra"}"#,
            &["groupBy INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupBy":{}}"#,
            &["groupBy INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupByInterval":"day"}"#,
            &["groupByInterval INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupBy":"stage","groupByInterval":"day"}"#,
            &["groupByInterval INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupBy":"created_at","groupByInterval":"eon"}"#,
            &["groupByInterval INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","groupBy":"closes_on","groupByInterval":"hour"}"#,
            &["groupByInterval INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","timeZone":"Mars/Base"}"#,
            &["timeZone INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","filters":{"amount":"5"}}"#,
            &["filters.amount INVALID_OPERATOR"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","filters":{"nope":"eq.5"}}"#,
            &["filters.nope UNKNOWN_FIELD"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","filters":{"tenant_id":"eq.5"}}"#,
            &["filters.tenant_id UNKNOWN_FIELD"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","filters":{"tags":"is.null"}}"#,
            &["filters.tags INVALID_OPERATOR"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","filters":{"seats":["gt.1","lt.x"]}}"#,
            &["filters.seats INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","filters":{"seats":"gt.1","seats":"lt.2"}}"#,
            &["filters.seats DUPLICATE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","filters":"seats"}"#,
            &["filters INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","deleted":"yes"}"#,
            &["deleted INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","order":"stage"}"#,
            &["order UNKNOWN_FIELD"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","order":"count.up"}"#,
            &["order INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","limit":10001}"#,
            &["limit LIMIT_EXCEEDED"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","limit":-1}"#,
            &["limit INVALID_VALUE"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","having":{},"tenantId":"x"}"#,
            &["having UNKNOWN_FIELD", "tenantId UNKNOWN_FIELD"],
        ),
        (
            r#"{"model":"deals","aggregate":"count","order":"a,b,c,d,e,f,g,h,i"}"#,
            &["order LIMIT_EXCEEDED"],
        ),
        (
            r#"{"model":"deals","aggregate":"x","limit":-1,"order":""}"#,
            &[
                "aggregate INVALID_VALUE",
                "order INVALID_VALUE",
                "limit INVALID_VALUE",
            ],
        ),
    ];
    for (body, errors) in cases {
        assert_eq!(errors_of(body), errors, "{body}");
    }
    for body in ["", "[]", "7", "{", "{\"model\":}", "\u{0}"] {
        assert_eq!(
            plan_of(body).unwrap_err().kind,
            ProblemKind::Validation,
            "{body}"
        );
    }
    assert_eq!(
        decide(&reader(), "crm", b"\xff").unwrap_err().kind,
        ProblemKind::Validation
    );
}

#[test]
fn absence_and_permission_come_before_everything_else() {
    let kind = |caller: &Caller, module: &str, body: &str| {
        decide(caller, module, body.as_bytes()).unwrap_err().kind
    };
    let bad = r#"{"model":"deals","aggregate":"x","y":1}"#;
    assert_eq!(kind(&reader(), "hr", bad), ProblemKind::NotFound);
    assert_eq!(
        kind(&reader(), "crm", r#"{"model":"nope","aggregate":"count"}"#),
        ProblemKind::NotFound
    );
    assert_eq!(
        kind(&caller(&["crm.deals.write"]), "crm", bad),
        ProblemKind::Forbidden
    );
    assert_eq!(kind(&reader(), "crm", bad), ProblemKind::Validation);
    let deleted = r#"{"model":"deals","aggregate":"count","deleted":"only"}"#;
    assert_eq!(kind(&reader(), "crm", deleted), ProblemKind::Forbidden);
    assert!(
        decide(
            &caller(&["crm.deals.read", "crm.deals.delete"]),
            "crm",
            deleted.as_bytes()
        )
        .is_ok()
    );
}

mod properties;
