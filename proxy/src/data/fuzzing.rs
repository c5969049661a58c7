//! What the fuzz targets of `fuzz/` call; compiled for them only.
//!
//! A panic here is a finding: text from outside made us panic, or a client's value stands in a statement's text.

use std::sync::{Arc, OnceLock};

use model::{Catalog, Tenant, TenantId};
use sql::postgres::select::Scope;

use super::{
    CursorKeys,
    cursor::{Position, Question, Way},
    list, parse, plan,
    prefer::Preferences,
    relation::Names,
};

const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e0a";
/// Two models that refer to each other, with the types that are read in their own way.
const CATALOG: &str = r#"{"revision": 1, "generation": 1, "database": "fuzz",
    "tenants": [{"id": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e0a", "slug": "a", "state": "Active", "modules": ["m"]}],
    "models": [
        {"served": true, "document": {"module": "m", "model": "a", "autoApi": true, "analytics": false, "maxPageSize": 1000,
            "fields": [{"name": "t", "type": "text"}, {"name": "n", "type": "int32"}, {"name": "d", "type": "decimal", "precision": 9, "scale": 2},
                {"name": "at", "type": "timestamp"}, {"name": "j", "type": "json"}, {"name": "l", "type": "array", "items": "text"},
                {"name": "i", "type": "array", "items": "int64"}, {"name": "b", "type": "bytes"}, {"name": "ip", "type": "inet"},
                {"name": "k", "type": "bool"},
                {"name": "a_id", "type": "uuid", "references": {"module": "m", "model": "a"}}]}},
        {"served": true, "document": {"module": "m", "model": "c", "autoApi": true, "analytics": false, "maxPageSize": 1000,
            "fields": [{"name": "x_id", "type": "uuid", "references": {"module": "m", "model": "a"}},
                {"name": "y_id", "type": "uuid", "references": {"module": "m", "model": "a"}}]}}
    ]}"#;

fn catalog() -> (&'static Catalog, Arc<Tenant>) {
    static PARSED: OnceLock<Catalog> = OnceLock::new();
    let catalog =
        PARSED.get_or_init(|| Catalog::parse(CATALOG).expect("the catalogue above is one"));
    let id: TenantId = TENANT.parse().expect("the tenant above is one");
    let tenant = catalog.tenant(&id).expect("the tenant is in the catalogue");
    (catalog, Arc::clone(tenant))
}

/// Reads a query string of a list, plans it and renders it.
pub fn query(text: &str) {
    let (catalog, tenant) = catalog();
    let model = catalog
        .model(&tenant, "m", "a")
        .expect("the model is in the catalogue");
    let pairs: Vec<_> = url::form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect();
    let names = Names {
        catalog,
        tenant: &tenant,
    };
    let Ok(query) = parse::parse_list(names, model, &pairs, &Preferences::default()) else {
        return;
    };
    let plan = plan::plan_list(model, &query);
    let scope = Scope {
        tenant: tenant.id,
        model: model.name(),
        filter: &query.filter,
        deleted: query.deleted,
        related: &plan.related,
    };
    let statement = list::page_statement(&scope, &query, &plan, None);
    // Names of the catalogue are ASCII words and nothing of ours is written with these.
    let foreign = |text: &str| {
        !text.is_ascii() || text.contains([';', '\\', '\n', '\0']) || text.contains("--")
    };
    assert!(
        !foreign(&statement.text),
        "a client's value is in the text: {}",
        statement.text
    );
}

/// Opens a text that we never gave out, and one that we did, once whole and once with a byte of it changed.
pub fn cursor(text: &str) {
    static KEYS: OnceLock<CursorKeys> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        CursorKeys::parse(&key.into(), None).expect("32 bytes in base64")
    });
    let (_, tenant) = catalog();
    let name = model::ModelName {
        module: "m".parse().expect("a name"),
        model: "a".parse().expect("a name"),
    };
    let question = Question::new(&tenant.id, &name, &[("order".into(), text.into())], false);
    assert!(
        keys.open(&question, text).is_none(),
        "a text that was not given out is no cursor"
    );
    let values = text
        .split(',')
        .map(|v| (v != "null").then(|| v.to_owned()))
        .collect();
    let position = Position {
        way: if text.len().is_multiple_of(2) {
            Way::Forward
        } else {
            Way::Back
        },
        values,
    };
    let sealed = keys.seal(&question, &position);
    if sealed.len() > super::cursor::CURSOR_BYTES_MAX {
        return;
    }
    assert_eq!(keys.open(&question, &sealed).as_ref(), Some(&position));
    let elsewhere = Question::new(
        &tenant.id,
        &name,
        &[("order".into(), format!("{text}x"))],
        false,
    );
    assert!(
        keys.open(&elsewhere, &sealed).is_none(),
        "a cursor is of one question"
    );
    let at = text.len() % sealed.len();
    let mut changed = sealed.into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("still ASCII");
    assert!(
        keys.open(&question, &changed).is_none(),
        "a changed cursor is no cursor"
    );
}
