use std::collections::HashSet;

use super::*;

fn model() -> ModuleModel {
    serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 200,
        "fields": [{"name": "title", "type": "text"}, {"name": "seats", "type": "int32"}],
    }))
    .unwrap()
}

fn world() -> model::Catalog {
    let document = serde_json::json!({
        "revision": 1, "generation": 1, "database": "x", "models": [{"served": true, "document": model()}],
        "tenants": [{"id": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", "slug": "a", "state": "Active", "modules": ["crm"]}],
    });
    model::Catalog::parse(&document.to_string()).unwrap()
}

fn parse(query: &str) -> Result<ListQuery, Vec<(String, FieldCode)>> {
    let pairs: Vec<_> = query
        .split('&')
        .filter_map(|p| p.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let world = world();
    let tenant = world.tenants().next().unwrap();
    let names = Names {
        catalog: &world,
        tenant,
        permissions: &HashSet::new(),
    };
    parse_list(names, &model(), &pairs, &Preferences::default())
        .map_err(|p| p.errors.into_iter().map(|e| (e.field, e.code)).collect())
}

#[test]
fn a_list_has_defaults() {
    let list = parse("").unwrap();
    assert_eq!(
        (list.limit, list.deleted, list.count),
        (50, Deleted::Exclude, None)
    );
    assert_eq!(list.filter, Filter::And(vec![]));
    let list =
        parse("limit=0&title=eq.a&seats=gt.1&or=(seats.eq.1)&select=id,title&count=exact").unwrap();
    assert!(matches!(&list.filter, Filter::And(members) if members.len() == 3));
    assert_eq!(
        (list.limit, list.select.map(|s| s.len()), list.count),
        (0, Some(2), Some(Count::Exact))
    );
    assert_eq!(
        parse("select=*,deleted_at")
            .unwrap()
            .select
            .map(|s| s.len()),
        Some(9)
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    use FieldCode::{Duplicate, InvalidValue, LimitExceeded, UnknownField};
    for (query, expected) in [
        ("limit=abc", vec![("limit", InvalidValue)]),
        ("limit=-1", vec![("limit", InvalidValue)]),
        ("limit=", vec![("limit", InvalidValue)]),
        ("limit=201", vec![("limit", LimitExceeded)]),
        ("limit=99999999999999999999", vec![("limit", LimitExceeded)]),
        ("offset=x", vec![("offset", InvalidValue)]),
        ("offset=-1", vec![("offset", InvalidValue)]),
        ("offset=100001", vec![("offset", LimitExceeded)]),
        ("offset=5&cursor=x", vec![("offset", InvalidValue)]),
        ("columns=title", vec![("columns", UnknownField)]),
        ("include=nope", vec![("include", UnknownField)]),
        ("nope=eq.1", vec![("nope", UnknownField)]),
        ("select=nope", vec![("nope", UnknownField)]),
        ("select=a:", vec![("", UnknownField)]),
        ("select=title,title", vec![("select", Duplicate)]),
        ("select=tenant_id", vec![("tenant_id", UnknownField)]),
        ("order=title&order=seats", vec![("order", Duplicate)]),
        (
            "deleted=yes&count=all",
            vec![("deleted", InvalidValue), ("count", InvalidValue)],
        ),
        (
            "seats=eq.x&title=eq.a&limit=x",
            vec![("seats", InvalidValue), ("limit", InvalidValue)],
        ),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(f, c)| (f.to_owned(), c))
            .collect();
        assert_eq!(parse(query).err(), Some(expected), "{query}");
    }
    let many = vec!["seats=gt.1"; FILTERS_MAX + 1].join("&");
    assert_eq!(
        parse(&many).err(),
        Some(vec![("filters".to_owned(), LimitExceeded)])
    );
}

#[test]
fn an_id_is_a_uuid() {
    assert!(
        parse_id("0198F0AA-5B1E-7C3D-9A4E-2F6B8C1D0E01").is_ok_and(|id| id.starts_with("0198f0aa"))
    );
    assert!(parse_id("1").is_err());
}
