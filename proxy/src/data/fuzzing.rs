//! What the fuzz targets of `fuzz/` call, and a property of the tests beside it; compiled for these only.
//!
//! A panic here is a finding: text from outside made us panic, or a client's value stands in a statement's text.

mod shape;

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, OnceLock},
};

use model::{Catalog, ModuleModel, Tenant, TenantId};
use sql::{
    Statement,
    postgres::select::{Scope, Start},
};

use super::{
    CursorKeys,
    cursor::{Position, Question, Way},
    list,
    parse::{self, ListQuery},
    plan::{self, ListPlan},
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
                {"name": "k", "type": "bool"}, {"name": "v", "type": "vector", "dimension": 2},
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

/// Reads a query string of a list, plans it and renders every statement that may follow from it. Whether it was read.
pub fn query(text: &str) -> bool {
    let (catalog, tenant) = catalog();
    let permissions = HashSet::new();
    let model = catalog
        .model(&tenant, &permissions, "m", "a")
        .expect("the model is in the catalogue");
    let pairs: Vec<_> = url::form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect();
    let names = Names {
        catalog,
        tenant: &tenant,
        permissions: &permissions,
    };
    let Ok(mut query) = parse::parse_list(names, model, &pairs, &Preferences::default()) else {
        return false;
    };
    let mut plan = plan::plan_list(model, &query);
    // Which keys are null is part of the shape; the length decides it here.
    let nulls: Vec<_> = (0..plan.order.len())
        .map(|i| plan.order[i].required() || text.len() >> i & 1 == 0)
        .collect();
    let asked = statements(&tenant, model, &query, &plan, &nulls, text);
    for statement in &asked {
        check(statement);
    }
    shape::with_other_values(&mut query, &mut plan);
    let other = statements(&tenant, model, &query, &plan, &nulls, shape::OTHER);
    for (asked, other) in asked.iter().zip(&other) {
        assert_eq!(asked.text, other.text, "one shape, one text");
    }
    true
}

/// A first page, one behind and one before a row with this value in its keys, and the counts.
fn statements(
    tenant: &Tenant,
    model: &ModuleModel,
    query: &ListQuery,
    plan: &ListPlan,
    has_value: &[bool],
    value: &str,
) -> Vec<Statement> {
    let scope = Scope {
        tenant: tenant.id,
        model: model.name(),
        filter: &query.filter,
        deleted: query.deleted,
        related: &plan.related,
    };
    let values: Vec<_> = has_value
        .iter()
        .map(|has| has.then(|| value.to_owned()))
        .collect();
    let at = |way| Position {
        way,
        values: values.clone(),
    };
    let page = |position| list::page_statement(&scope, query, plan, position, query.limit + 1);
    vec![
        page(None),
        page(Some(&at(Way::Forward))),
        page(Some(&at(Way::Back))),
        scope.any(&plan.order, Start::At(&values)),
        scope.count(plan.distinct()),
        scope.count_up_to(1_000),
        scope.count_sample(1_000),
        scope.count_planned(),
    ]
}

/// The text is of our own words and the catalogue's names, and reads every bind that there is and no other.
fn check(statement: &Statement) {
    let text = statement.text.as_str();
    // Names of the catalogue are ASCII words and nothing of ours is written with these.
    let is_foreign = !text.is_ascii()
        || text.contains([';', '\\', '\n', '\0'])
        || text.contains("--")
        || text.contains("/*");
    assert!(!is_foreign, "a client's value is in the text: {text}");
    let numbers = text.split('$').skip(1).map(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit());
        let number = &rest[..digits.unwrap_or(rest.len())];
        number.parse::<usize>().expect("a bind has a number")
    });
    let read: BTreeSet<_> = numbers.collect();
    let there: BTreeSet<_> = (1..=statement.binds.len()).collect();
    assert_eq!(read, there, "{text}");
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// The words that the fuzzer is given.
    fn words() -> Vec<String> {
        let dictionary = include_str!("../../../fuzz/query.dict").lines();
        let word = |line: &str| serde_json::from_str(line).expect("a word in quotes");
        let own = [
            ",", "(", ")", "{", "}", ".", "=", ":", "1", "-1", "é", "%00", "+", " ",
        ];
        dictionary.map(word).chain(own.map(str::to_owned)).collect()
    }

    const SHAPES: [&str; 8] = [
        "select=id,x:t,d::text,j->a->>b",
        "include=a,c!x_id(limit=2;x_id=not.is.null),un:c!y_id!none",
        "include=kin:a!inner(t=eq.x;j->y=eq.1)",
        "distinct=t,n",
        "or=(t.eq.x,and(n.in.(1,2),j->q->>r.like.*))",
        "order=a(t).desc,j->>x",
        "offset=3",
        "limit=0",
    ];

    /// Parameters that are often well formed.
    fn parameter() -> impl Strategy<Value = String> {
        let field = proptest::sample::select(vec!["t", "n", "d", "j->a", "j->>b", "l", "k", "b"]);
        let filter = (
            field.clone(),
            "(not\\.)?(eq|gt|in|cs|is|like|match|eq\\(any\\)|fts|plfts)",
        )
            .prop_flat_map(|(field, operator)| {
                let value = prop_oneof![
                    Just("1".to_owned()),
                    Just("null".to_owned()),
                    Just("{1,2}".to_owned()),
                    Just("(1,2)".to_owned()),
                    Just("true".to_owned()),
                    "[^&]{0,8}",
                ];
                value.prop_map(move |value| format!("{field}={operator}.{value}"))
            });
        let order = (
            field.clone(),
            field.clone(),
            "(\\.desc)?(\\.nulls(first|last))?",
        )
            .prop_map(|(a, b, way)| format!("order={a}{way},{b}"));
        let shape = proptest::sample::select(&SHAPES[..]);
        prop_oneof![3 => filter, 1 => order, 2 => shape.prop_map(str::to_owned)]
    }

    #[test]
    fn the_shapes_above_are_read() {
        for shape in SHAPES {
            assert!(super::query(shape), "{shape}");
        }
    }

    proptest! {
        #[test]
        fn any_words_are_read_or_refused(words in proptest::collection::vec(proptest::sample::select(words()), 0..24)) {
            super::query(&words.concat());
            super::cursor(&words.concat());
        }

        #[test]
        fn a_shape_has_one_text(parameters in proptest::collection::vec(parameter(), 1..5)) {
            super::query(&parameters.join("&"));
        }
    }
}
