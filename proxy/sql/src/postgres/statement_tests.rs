//! Every kind of statement that the proxy renders, as text. The proxy's tests have a server accept the same.

use std::fmt::Write as _;

use model::{Column, Field, FieldType, ModelName, ModuleModel, TenantId};

use super::{
    batch,
    delete::{self, Deletion, Referrer},
    idempotency::{self, FirstAnswer, Key},
    insert::{self, NewRow},
    select::{
        self, Cast, Deleted, Keep, Link, Output, Page, Related, Rows, Scope, SortKey, Start, Via,
    },
    update::{self, Change, JsonChange},
};
use crate::{
    Statement,
    filter::{Comparison, Condition, Filter, JsonPath, Operand, Pattern, Test},
};

/// A snapshot without the code that made it.
macro_rules! assert_statements {
    ($text:expr) => {
        insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!($text) })
    };
}

mod several;

const ID: &str = "0198f0aa-5b1e-7c3d-9a4e-000000000001";
const PARENT: &str = "0198f0aa-5b1e-7c3d-9a4e-000000000002";

fn tenant() -> TenantId {
    "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01".parse().unwrap()
}

/// Some of its fields have columns of another name.
fn deals() -> ModuleModel {
    serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
        "fields": [
            {"name": "title", "type": "text", "required": true},
            {"name": "amount", "column": "amount__2", "type": "decimal", "precision": 12, "scale": 2},
            {"name": "hot", "type": "bool"},
            {"name": "blob", "column": "blob__3", "type": "bytes"},
            {"name": "tags", "type": "array", "items": "text"},
            {"name": "company_id", "type": "uuid", "references": {"module": "crm", "model": "companies"}},
            {"name": "parent_id", "column": "parent_id__2", "type": "uuid", "references": {"module": "crm", "model": "deals"}},
        ],
    }))
    .unwrap()
}

fn column(name: &str) -> Column {
    deals().column(name).unwrap().clone()
}

fn record(model: &ModuleModel) -> Vec<Output> {
    let columns = model.record_columns().iter();
    columns.map(|c| c.clone().into()).collect()
}

fn key(name: &str, descending: bool, nulls_first: bool) -> SortKey {
    SortKey {
        operand: column(name).into(),
        via: None,
        descending,
        nulls_first,
    }
}

fn condition(name: &str, test: Test) -> Filter {
    Filter::Condition(Condition {
        operand: column(name).into(),
        test,
    })
}

/// Text and binds of statements.
fn show(statements: impl IntoIterator<Item = (&'static str, Statement)>) -> String {
    let mut text = String::new();
    for (what, statement) in statements {
        let binds: Vec<_> = statement
            .binds
            .iter()
            .map(|b| b.as_deref().unwrap_or("null"))
            .collect();
        writeln!(
            text,
            "-- {what}\n{}\n-- {}\n",
            statement.text,
            binds.join(" | ")
        )
        .unwrap();
    }
    text
}

fn page(filter: &Filter, deleted: Deleted, order: &[SortKey], after: &[Option<&str>]) -> Statement {
    let model = deals();
    let scope = Scope {
        tenant: tenant(),
        model: model.name(),
        filter,
        deleted,
        related: &[],
    };
    let after: Vec<_> = after.iter().map(|v| v.map(str::to_owned)).collect();
    let outputs = ["id", "title", "amount"].map(|name| column(name).into());
    scope.page(&Page {
        outputs: &outputs,
        rows: Rows::Each,
        order,
        start: match after.as_slice() {
            [] => Start::First,
            values => Start::After(values),
        },
        offset: 0,
        limit: 51,
    })
}

#[test]
fn reads() {
    let all = Filter::And(vec![]);
    let id = key("id", false, false);
    let every = Filter::And(vec![
        condition("amount", Test::Compare(Comparison::Gte, "1.005".into())),
        condition("title", Test::Pattern(Pattern::ILike, "%a%".into())),
        condition("blob", Test::In(vec!["AP8=".into()])),
        Filter::Or(vec![
            condition("title", Test::In(vec!["a".into(), "b,\"c".into()])),
            Filter::Not(Box::new(condition("hot", Test::IsBool(true)))),
            Filter::And(vec![
                condition("company_id", Test::IsNull),
                condition("blob", Test::Compare(Comparison::Eq, "AP8=".into())),
            ]),
            Filter::Or(vec![]),
        ]),
    ]);
    let model = deals();
    let scope = Scope {
        tenant: tenant(),
        model: model.name(),
        filter: &every,
        deleted: Deleted::Include,
        related: &[],
    };
    assert_statements!(show([
        (
            "get",
            select::get(&tenant(), model.name(), ID, &record(&model), &[])
        ),
        (
            "first page",
            page(&all, Deleted::Exclude, std::slice::from_ref(&id), &[])
        ),
        (
            "next page",
            page(&all, Deleted::Exclude, &[id], &[Some(ID)])
        ),
        (
            "every filter",
            page(
                &every,
                Deleted::Only,
                &[key("title", true, true), key("id", true, true)],
                &[]
            )
        ),
        ("count", scope.count(None)),
    ]));
}

#[test]
fn positions() {
    let all = Filter::And(vec![]);
    let order = |descending, nulls_first| {
        [
            key("amount", descending, nulls_first),
            key("title", false, false),
            key("company_id", true, false),
            key("id", false, false),
        ]
    };
    let value = [Some("1.5"), Some("a"), Some(PARENT), Some(ID)];
    let null = [None, Some("a"), None, Some(ID)];
    let after =
        |order: &[SortKey], values: &[Option<&str>]| page(&all, Deleted::Exclude, order, values);
    let one_way = |descending| {
        [
            key("amount", descending, descending),
            key("title", descending, false),
            key("id", descending, false),
        ]
    };
    let values = [Some("1.5"), Some("a"), Some(ID)];
    assert_statements!(show([
        ("all one way", after(&one_way(false), &values)),
        ("all the other way", after(&one_way(true), &values)),
        ("a value, nulls behind", after(&order(false, false), &value)),
        ("a value, nulls in front", after(&order(true, true), &value)),
        ("null, values in front", after(&order(true, false), &null)),
        ("null, values behind", after(&order(false, true), &null)),
    ]));
}

#[test]
fn writes() {
    let model = deals();
    let id = [column("id").into()];
    let values = [
        Some("a".to_owned()),
        Some("1.5".into()),
        None,
        Some("AP8=".into()),
        Some("{\"x\"}".into()),
        Some(PARENT.into()),
        None,
    ];
    let row = NewRow {
        tenant: tenant(),
        user: "ada",
        id: ID,
        values: &values,
    };
    let fields = model.fields();
    let changes = [
        (&fields[1], None),
        (&fields[3], Some("AP8=".to_owned())),
        (&fields[5], Some(PARENT.into())),
        (&fields[6], None),
    ];
    let change = Change {
        tenant: tenant(),
        user: "ada",
        id: ID,
        values: &changes,
        versions: Some(&[3, 4]),
        json: JsonChange::Replace,
    };
    let contacts = ModelName {
        module: "crm".parse().unwrap(),
        model: "contacts".parse().unwrap(),
    };
    let reference = |name: &str| -> Field {
        serde_json::from_value(
            serde_json::json!({"name": name, "column": format!("{name}__2"), "type": "uuid"}),
        )
        .unwrap()
    };
    let (deal_id, parent_id) = (reference("deal_id"), reference("parent_id"));
    let referrers = [
        Referrer {
            model: &contacts,
            field: &deal_id,
            counts_deleted: false,
        },
        Referrer {
            model: model.name(),
            field: &parent_id,
            counts_deleted: false,
        },
    ];
    let deletion = Deletion {
        tenant: tenant(),
        user: "ada",
        model: model.name(),
        id: ID,
        delete_id: PARENT,
        versions: None,
        referrers: &referrers,
    };
    let alone = Deletion {
        referrers: &[],
        versions: Some(&[2]),
        ..deletion.clone()
    };
    assert_eq!(delete::live_referrers(&alone), None);
    assert_statements!(show([
        (
            "lock a parent",
            insert::lock_parent(&tenant(), fields[5].references.as_ref().unwrap(), PARENT)
        ),
        ("insert", insert::insert(&model, &row, &id)),
        (
            "lock the row",
            update::lock_row(&tenant(), model.name(), ID)
        ),
        ("update", update::update(&model, &change, &id)),
        ("who refers", delete::live_referrers(&deletion).unwrap()),
        ("delete", delete::soft_delete(&deletion, &id)),
        ("delete without referrers", delete::soft_delete(&alone, &id)),
    ]));
}

#[test]
fn several_writes_and_writes_that_are_sent_again() {
    let model = deals();
    let (id, ids) = ([column("id").into()], [ID.to_owned(), PARENT.to_owned()]);
    let row = NewRow {
        tenant: tenant(),
        user: "ada",
        id: ID,
        values: &[const { None }; 7],
    };
    let key = Key {
        tenant: tenant(),
        user: "ada",
        key: "k",
    };
    let answer = FirstAnswer {
        status: 201,
        headers: "{}",
        body: "e30=",
    };
    let lock = |strength| batch::lock_rows(&tenant(), model.name(), &ids, strength);
    let mut all = vec![
        ("lock parents", lock(batch::Strength::Share)),
        ("lock rows", lock(batch::Strength::Update)),
        (
            "a write that must write",
            batch::must_write(insert::insert(&model, &row, &id)),
        ),
    ];
    let claim = idempotency::claim(&key, "AAAA").into_iter();
    all.extend(claim.map(|s| ("claim", s)));
    all.push(("keep", idempotency::keep(&key, &answer)));
    all.push(("look up", idempotency::look_up(&key)));
    assert_statements!(show(all));
}

/// A column that deals do not have.
fn other(name: &str, field_type: FieldType) -> Column {
    Column {
        name: name.parse().unwrap(),
        column: name.parse().unwrap(),
        field_type,
        required: false,
        system: false,
    }
}

/// `extra->a->>b`.
fn path() -> Operand {
    Operand {
        column: other("extra", FieldType::Json),
        path: Some(JsonPath {
            steps: vec!["a".into(), "b\"c".into()],
            as_text: true,
        }),
    }
}

fn name_of(model: &str) -> ModelName {
    ModelName {
        module: "crm".parse().unwrap(),
        model: model.parse().unwrap(),
    }
}

fn related(link: Link, model: &str, outputs: Vec<Output>) -> Related {
    Related {
        link,
        model: name_of(model),
        filter: Filter::And(vec![]),
        keep: Keep::All,
        order: vec![key("id", false, false)],
        limit: 5,
        outputs,
        related: vec![],
    }
}

#[test]
fn shapes() {
    let outputs: Vec<Output> = vec![
        column("title").into(),
        Output {
            operand: column("amount").into(),
            cast: Some(Cast::Text),
        },
        Output {
            operand: path(),
            cast: Some(Cast::Int64),
        },
        column("id").into(),
    ];
    let model = deals();
    let all = Filter::And(vec![]);
    let scope = |related| Scope {
        tenant: tenant(),
        model: model.name(),
        filter: &all,
        deleted: Deleted::Exclude,
        related,
    };
    let company = Link::ToOne("company_id".parse().unwrap());
    let children = Link::ToMany("parent_id".parse().unwrap());
    let every_leaf = ["title", "hot", "blob", "amount"].map(column).into_iter();
    let every_leaf = every_leaf.chain([other("address", FieldType::Inet)]);
    let nested = [
        related(company.clone(), "companies", vec![column("title").into()]),
        Related {
            filter: condition("title", Test::Compare(Comparison::Eq, "x".into())),
            keep: Keep::Matched,
            related: vec![
                Related {
                    keep: Keep::Unmatched,
                    ..related(children.clone(), "deals", vec![])
                },
                related(company.clone(), "companies", vec![column("id").into()]),
            ],
            ..related(children, "deals", every_leaf.map(Output::from).collect())
        },
    ];
    let computed = |descending| {
        [
            SortKey {
                operand: path(),
                ..key("id", descending, true)
            },
            SortKey {
                via: Some(Via {
                    column: "company_id__2".parse().unwrap(),
                    model: name_of("companies"),
                }),
                ..key("title", descending, true)
            },
            key("id", descending, false),
        ]
    };
    let (up, down) = (computed(false), computed(true));
    let values = [Some("a".to_owned()), None, Some(ID.to_owned())];
    let by_id = [key("id", false, false)];
    let page = |order, start| Page {
        outputs: &outputs,
        rows: Rows::Each,
        order,
        start,
        offset: 0,
        limit: 2,
    };
    let pair = [column("title"), column("hot")].map(Output::from);
    let pair_keys = [key("title", false, false), key("hot", true, true)];
    let distinct = |start| Page {
        outputs: &pair,
        rows: Rows::Distinct,
        ..page(&pair_keys, start)
    };
    assert_statements!(show([
        (
            "get",
            select::get(&tenant(), model.name(), ID, &outputs, &[])
        ),
        (
            "get with what belongs to it",
            select::get(&tenant(), model.name(), ID, &outputs, &nested)
        ),
        (
            "casts and paths",
            scope(&[]).page(&page(&by_id, Start::First))
        ),
        ("included", scope(&nested).page(&page(&by_id, Start::First))),
        ("computed keys", scope(&[]).page(&page(&up, Start::First))),
        (
            "computed keys, on",
            scope(&[]).page(&page(&down, Start::After(&values)))
        ),
        (
            "from a row on",
            scope(&[]).page(&page(&by_id, Start::At(&values[2..])))
        ),
        (
            "any row from a row on",
            scope(&[]).any(&by_id, Start::At(&values[2..]))
        ),
        (
            "any row from a row on, of computed keys",
            scope(&[]).any(&down, Start::At(&values))
        ),
        (
            "by offset",
            scope(&[]).page(&Page {
                offset: 7,
                ..page(&by_id, Start::First)
            })
        ),
        ("distinct", scope(&[]).page(&distinct(Start::First))),
        (
            "distinct, on",
            scope(&[]).page(&distinct(Start::After(&values[..2])))
        ),
        ("count of distinct", scope(&[]).count(Some(&pair))),
        ("count of what is kept", scope(&nested).count(None)),
        ("count as far as", scope(&[]).count_up_to(1000)),
        ("count of a sample", scope(&nested).count_sample(5_000)),
        ("count as planned", scope(&[]).count_planned()),
    ]));
}
