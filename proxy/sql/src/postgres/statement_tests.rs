//! Every kind of statement that the proxy renders, as text. The proxy's tests have a server accept the same.

use std::fmt::Write as _;

use model::{Column, ModelName, ModuleModel, TenantId};

use super::{
    batch,
    delete::{self, Deletion, Referrer},
    idempotency::{self, FirstAnswer, Key},
    insert::{self, NewRow},
    select::{self, Deleted, Page, Scope, SortKey},
    update::{self, Change},
};
use crate::{
    Statement,
    filter::{Comparison, Condition, Filter, Pattern, Test},
};

/// A snapshot without the code that made it.
macro_rules! assert_statements {
    ($text:expr) => {
        insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!($text) })
    };
}

const ID: &str = "0198f0aa-5b1e-7c3d-9a4e-000000000001";
const PARENT: &str = "0198f0aa-5b1e-7c3d-9a4e-000000000002";

fn tenant() -> TenantId {
    "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01".parse().unwrap()
}

fn deals() -> ModuleModel {
    serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
        "fields": [
            {"name": "title", "type": "text", "required": true},
            {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
            {"name": "hot", "type": "bool"},
            {"name": "blob", "type": "bytes"},
            {"name": "tags", "type": "array", "items": "text"},
            {"name": "company_id", "type": "uuid", "references": {"module": "crm", "model": "companies"}},
            {"name": "parent_id", "type": "uuid", "references": {"module": "crm", "model": "deals"}},
        ],
    }))
    .unwrap()
}

fn column(name: &str) -> Column {
    deals().column(name).unwrap().clone()
}

fn key(name: &str, descending: bool, nulls_first: bool) -> SortKey {
    SortKey {
        column: column(name),
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
    };
    let after: Vec<_> = after.iter().map(|v| v.map(str::to_owned)).collect();
    let columns = [column("id"), column("title"), column("amount")];
    let after = (!after.is_empty()).then_some(after.as_slice());
    scope.page(&Page {
        columns: &columns,
        order,
        after,
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
    };
    assert_statements!(show([
        (
            "get",
            select::get(&tenant(), model.name(), ID, model.record_columns())
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
        ("count", scope.count()),
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
    assert_statements!(show([
        ("a value, nulls behind", after(&order(false, false), &value)),
        ("a value, nulls in front", after(&order(true, true), &value)),
        ("null, values in front", after(&order(true, false), &null)),
        ("null, values behind", after(&order(false, true), &null)),
    ]));
}

#[test]
fn writes() {
    let model = deals();
    let id = [column("id")];
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
    };
    let contacts = ModelName {
        module: "crm".parse().unwrap(),
        model: "contacts".parse().unwrap(),
    };
    let (deal_id, parent_id) = ("deal_id".parse().unwrap(), "parent_id".parse().unwrap());
    let referrers = [
        Referrer {
            model: &contacts,
            field: &deal_id,
        },
        Referrer {
            model: model.name(),
            field: &parent_id,
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
    let (id, ids) = ([column("id")], [ID.to_owned(), PARENT.to_owned()]);
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
