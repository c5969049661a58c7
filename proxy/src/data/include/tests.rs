use std::collections::HashSet;

use model::Catalog;

use super::*;

/// Flights between airports, of carriers; a hidden module refers to airports as well.
fn world() -> Catalog {
    let model = |module: &str, name: &str, fields: serde_json::Value| {
        serde_json::json!({"served": true, "document": {
            "module": module, "model": name, "autoApi": true, "analytics": true, "maxPageSize": 100, "fields": fields,
        }})
    };
    let to = |field: &str, target: &str| serde_json::json!({"name": field, "type": "uuid", "references": {"module": "air", "model": target}});
    let document = serde_json::json!({
        "revision": 1, "generation": 1, "database": "x",
        "models": [
            model("air", "airports", serde_json::json!([{"name": "iata", "type": "text"}, {"name": "city", "type": "text"}])),
            model("air", "carriers", serde_json::json!([{"name": "name", "type": "text"}, to("home", "airports")])),
            model("air", "flights", serde_json::json!([
                {"name": "delay", "type": "int32"},
                to("origin_id", "airports"),
                to("destination_id", "airports"),
                to("carrier_id", "carriers"),
                to("next_id", "flights"),
            ])),
            model("hidden", "secrets", serde_json::json!([{"name": "x", "type": "text"}, to("airport_id", "airports")])),
        ],
        "tenants": [{"id": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", "slug": "a", "state": "Active", "modules": ["air"]}],
    });
    Catalog::parse(&document.to_string()).unwrap()
}

fn show(included: &Included) -> String {
    let related = &included.related;
    let columns: Vec<_> = related
        .outputs
        .iter()
        .map(|o| o.operand.column.name.as_str())
        .collect();
    let (arrow, column) = match &related.link {
        sql::postgres::select::Link::ToOne(column) => ("->", column),
        sql::postgres::select::Link::ToMany(column) => ("<-", column),
    };
    let keep = match related.keep {
        Keep::All => "",
        Keep::Matched => "!inner",
        Keep::Unmatched => "!none",
    };
    format!(
        "{}{arrow}{}.{}{keep}[{}]{}",
        included.name,
        related.model.model.as_str(),
        column.as_str(),
        columns.join(" "),
        related.limit
    )
}

fn parse(model: &str, text: &str) -> Result<(Vec<Included>, Sum), FieldError> {
    let catalog = world();
    let tenant = catalog.tenants().next().unwrap();
    let names = Names {
        catalog: &catalog,
        tenant,
        permissions: &HashSet::new(),
    };
    let model = catalog
        .model(tenant, &HashSet::new(), "air", model)
        .unwrap();
    let mut sum = Sum::default();
    Ok((parse_include(names, model, text, 1, &mut sum)?, sum))
}

#[test]
fn relations_go_by_name_alias_and_hint() {
    for (model, text, expected) in [
        (
            "flights",
            "origin(select=iata)",
            vec!["origin->airports.origin_id[iata]50"],
        ),
        (
            "flights",
            "from:origin(select=iata), to:destination!inner(select=city)",
            vec![
                "from->airports.origin_id[iata]50",
                "to->airports.destination_id!inner[city]50",
            ],
        ),
        (
            "airports",
            "late:flights!origin_id!none(select=id,delay;delay=gt.30;order=delay.desc;limit=5)",
            vec!["late<-flights.origin_id!none[id delay]5"],
        ),
        (
            "airports",
            "carriers(select=id;limit=100)",
            vec!["carriers<-carriers.home[id]100"],
        ),
        (
            "carriers",
            "at:home(select=id)",
            vec!["at->airports.home[id]50"],
        ),
        // Both ends of a key that refers to its own model.
        (
            "flights",
            "next(select=id),flights(select=id;limit=0)",
            vec![
                "next->flights.next_id[id]50",
                "flights<-flights.next_id[id]0",
            ],
        ),
        (
            "flights",
            "carrier!left(select=id)",
            vec!["carrier->carriers.carrier_id[id]50"],
        ),
    ] {
        let (included, _) = parse(model, text).unwrap();
        let actual: Vec<_> = included.iter().map(show).collect();
        assert_eq!(actual, expected, "{text}");
    }
}

#[test]
fn what_is_inside_is_read_as_outside() {
    let text = r#"flights!origin_id(or=(delay.gt.1,delay.is.null);delay=not.eq.3;include=carrier(name=eq."a;b),c";select=id),next())"#;
    let (included, sum) = parse("airports", text).unwrap();
    assert_eq!((sum.conditions, sum.needs.len()), (4, 3));
    let carrier = &included[0].related.related[0];
    let expected = parse_condition_of_carriers("a;b),c");
    assert_eq!(carrier.filter, Filter::And(vec![expected]));
    assert_eq!(included[0].tree.0.last().unwrap().name, "next");
}

fn parse_condition_of_carriers(name: &str) -> Filter {
    let catalog = world();
    let tenant = catalog.tenants().next().unwrap();
    let model = catalog
        .model(tenant, &HashSet::new(), "air", "carriers")
        .unwrap();
    parse_condition(model, "name", &format!("eq.{name}")).unwrap()
}

#[test]
fn what_is_wrong_is_told() {
    use FieldCode::{Duplicate, InvalidValue, LimitExceeded, UnknownField};
    for (model, text, field, code) in [
        ("flights", "", "include", InvalidValue),
        ("flights", "origin,", "include", InvalidValue),
        ("flights", "origin(", "include", InvalidValue),
        ("flights", "origin)x(", "include", InvalidValue),
        ("flights", "origin()x", "include", InvalidValue),
        ("flights", "origin!a!b", "include", InvalidValue),
        ("flights", "origin!inner!none", "include", InvalidValue),
        ("flights", "origin(city)", "include", InvalidValue),
        ("flights", "a\"b:origin", "include", InvalidValue),
        ("flights", "origin_id", "include", UnknownField),
        ("flights", "origin!destination_id", "include", UnknownField),
        ("airports", "flights", "include", InvalidValue),
        ("airports", "secrets", "include", UnknownField),
        ("flights", "origin,origin", "include", Duplicate),
        (
            "flights",
            "origin,x:destination,x:carrier",
            "include",
            Duplicate,
        ),
        ("carriers", "home", "select", Duplicate),
        ("flights", "origin(limit=5)", "limit", InvalidValue),
        ("flights", "origin(order=iata)", "order", InvalidValue),
        (
            "flights",
            "origin(select=id;select=id)",
            "select",
            Duplicate,
        ),
        ("flights", "origin(select=nope)", "nope", UnknownField),
        ("flights", "origin(nope=eq.1)", "nope", UnknownField),
        ("flights", "origin(offset=1)", "offset", UnknownField),
        ("flights", "origin(cursor=a)", "cursor", UnknownField),
        (
            "flights",
            "origin(tenant_id=not.is.null)",
            "tenant_id",
            UnknownField,
        ),
        (
            "airports",
            "flights!origin_id(limit=101)",
            "limit",
            LimitExceeded,
        ),
        (
            "airports",
            "flights!origin_id(limit=-1)",
            "limit",
            InvalidValue,
        ),
        (
            "airports",
            "flights!origin_id(select=id,a:id;include=a:carrier)",
            "select",
            Duplicate,
        ),
    ] {
        let parsed = parse(model, text).map(|(included, _)| included.len());
        // A value's name is compared with what the including model shows by whoever reads the request.
        if (model, text) == ("carriers", "home") {
            assert_eq!(parsed, Ok(1));
            continue;
        }
        let error = parsed.unwrap_err();
        assert_eq!((error.field.as_str(), error.code), (field, code), "{text}");
    }
    let error = parse("airports", "flights").err().unwrap();
    assert!(
        error
            .message
            .contains("flights!origin_id, flights!destination_id")
    );
}

#[test]
fn depth_breadth_and_sum_have_bounds() {
    let nested = |depth: usize| {
        let text = format!(
            "{}next(select=id){}",
            "next(include=".repeat(depth - 1),
            ")".repeat(depth - 1)
        );
        parse("flights", &text).map(|_| ()).map_err(|e| e.code)
    };
    assert_eq!(nested(DEPTH_MAX), Ok(()));
    assert_eq!(nested(DEPTH_MAX + 1), Err(FieldCode::LimitExceeded));
    let wide = |breadth: usize, inner: &str| {
        let items: Vec<_> = (0..breadth).map(|i| format!("a{i}:next{inner}")).collect();
        items.join(",")
    };
    let parse = |text: &str| parse("flights", text).map(|_| ()).map_err(|e| e.code);
    assert_eq!(parse(&wide(BREADTH_MAX, "")), Ok(()));
    assert_eq!(
        parse(&wide(BREADTH_MAX + 1, "")),
        Err(FieldCode::LimitExceeded)
    );
    let inner = |breadth: usize| format!("(include={})", wide(breadth, ""));
    assert_eq!(parse(&wide(BREADTH_MAX, &inner(4))), Ok(()));
    assert_eq!(
        parse(&wide(BREADTH_MAX, &inner(5))),
        Err(FieldCode::LimitExceeded)
    );
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(next|origin|flights|a:|!inner|!|[(]|[)]|;|,|=|select=id|include=|limit=1|\"|\\\\|delay=eq[.]1|or=|ä| ){0,14}") {
        let _ = parse("flights", &text);
    }
}
