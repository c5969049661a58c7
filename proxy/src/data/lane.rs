//! Which lists are quick enough to share a connection: those that one range of a declared index answers, in order, and
//! those that name their few rows by id or by a unique value.
//!
//! Of the operators only equality, order and `in` can do that: the functions behind all others (patterns, JSON, arrays,
//! full text) are not leakproof, so that the policy keeps them from every index, or are served by none.
//!
//! A guess that is wrong costs little: the shared lane has a short timeout, after which the exclusive lane runs it.

use model::{FieldType, ModuleModel};
use sql::{
    filter::{Comparison, Condition, Filter, Operand, Quantifier, Relation, Test},
    postgres::select::{Deleted, Keep, Link, Related, SortKey},
};

use super::parse::ListQuery;
use crate::postgres::Lane;

/// Most rows of a page over a shared connection.
const SHARED_ROWS_MAX: u32 = 100;

/// Most rows of other models that are looked up over a shared connection: some microseconds each.
const SHARED_RELATED_MAX: u64 = 5_000;

/// The lane of a list.
pub(super) fn of(model: &ModuleModel, query: &ListQuery, order: &[SortKey]) -> Lane {
    let quick = query.limit <= SHARED_ROWS_MAX
        && query.count.is_none()
        && query.distinct.is_none()
        && query.offset == 0
        && query.deleted == Deleted::Exclude
        && served_by_index(model, &query.filter, order);
    if !quick {
        return Lane::Exclusive;
    }
    let related: Vec<_> = query.included.iter().map(|i| i.related.clone()).collect();
    of_related(query.limit, &related)
}

/// The lane of so many rows with what belongs to each: shared where all of it is found by a key, in the order that it
/// is found, and not too much altogether. How many rows lie behind one key is not known; mostly it is few.
pub(super) fn of_related(rows: u32, related: &[Related]) -> Lane {
    match rows_of(related).map(|each| u64::from(rows) * each) {
        Some(all) if all <= SHARED_RELATED_MAX => Lane::Shared,
        _ => Lane::Exclusive,
    }
}

/// Most rows of other models that belong to one row; `None` where they are not found by a key alone.
fn rows_of(related: &[Related]) -> Option<u64> {
    related.iter().try_fold(0, |sum, related| {
        let by_id = matches!(related.order.as_slice(), [key] if is_plain(key, "id"));
        let by_key = related.keep == Keep::All
            && by_id
            && matches!(&related.filter, Filter::And(members) if members.is_empty());
        let own = match related.link {
            Link::ToOne(_) => 1,
            Link::ToMany(_) => u64::from(related.limit),
        };
        by_key.then_some(sum + own * (1 + rows_of(&related.related)?))
    })
}

fn is_plain(key: &SortKey, name: &str) -> bool {
    key.plain().is_some_and(|c| c.name.as_str() == name)
}

/// What the filter asks of each column, if it is nothing but ANDed equalities, one `in` and one range.
#[derive(Default)]
struct Bounds<'a> {
    equal: Vec<&'a str>,
    /// The column of an `in` with at most [`SHARED_ROWS_MAX`] values.
    one_of: Option<&'a str>,
    range: Option<&'a str>,
}

fn served_by_index(model: &ModuleModel, filter: &Filter, order: &[SortKey]) -> bool {
    let mut bounds = Bounds::default();
    if !collect(filter, &mut bounds) {
        return false;
    }
    if let Some(one_of) = bounds.one_of {
        return bounds.range.is_none() && names_few_rows(model, one_of, &bounds.equal);
    }
    indexes(model)
        .iter()
        .any(|fields| serves(fields, &bounds, order))
}

/// Whether each value of the `in` leads to one row at most: it and the equalities fill a unique key.
fn names_few_rows(model: &ModuleModel, one_of: &str, equal: &[&str]) -> bool {
    let fills = |key: &[&str]| {
        key.contains(&one_of) && key.iter().all(|f| *f == one_of || equal.contains(f))
    };
    fills(&["id"])
        || model.unique().iter().any(|u| {
            let key: Vec<_> = u.fields.iter().map(model::Ident::as_str).collect();
            fills(&key)
        })
}

fn collect<'a>(filter: &'a Filter, bounds: &mut Bounds<'a>) -> bool {
    match filter {
        Filter::And(members) => members.iter().all(|member| collect(member, bounds)),
        Filter::Condition(Condition {
            operand: Operand { column, path: None },
            test: Test::Compare(comparison, _),
        }) => {
            let name = column.name.as_str();
            // The operators of these are leakproof, so a policy does not keep them from the index; those of decimal
            // are made so by the operator.
            let leakproof = column.field_type != FieldType::Json && !column.field_type.is_list();
            match comparison {
                Comparison::Eq => bounds.equal.push(name),
                Comparison::Neq => return false,
                _ if bounds.range.is_some_and(|r| r != name) => return false,
                _ => bounds.range = Some(name),
            }
            leakproof
        }
        Filter::Condition(Condition {
            operand: Operand { column, path: None },
            test:
                Test::In(values)
                | Test::Quantified(Relation::Compare(Comparison::Eq), Quantifier::Any, values),
        }) => {
            let is_free = bounds.one_of.replace(column.name.as_str()).is_none();
            is_free && values.len() <= SHARED_ROWS_MAX as usize
        }
        Filter::Condition(_) | Filter::Or(_) | Filter::Not(_) => false,
    }
}

/// The fields of every index behind `tenant_id`, as the operator makes them.
fn indexes(model: &ModuleModel) -> Vec<Vec<&str>> {
    let mut all = vec![vec!["id"]];
    all.extend(
        model
            .fields()
            .iter()
            .filter(|f| f.references.is_some())
            .map(|f| vec![f.name.as_str()]),
    );
    all.extend(
        model
            .unique()
            .iter()
            .map(|i| i.fields.iter().map(model::Ident::as_str).collect()),
    );
    all.extend(model.indexes().iter().map(|i| {
        let mut fields: Vec<_> = i.fields.iter().map(model::Ident::as_str).collect();
        if !fields.contains(&"id") {
            fields.push("id");
        }
        fields
    }));
    all
}

/// Equalities fix the first fields; a range may lie on the next; the order goes on from there, all one way, with
/// nulls where the index has them.
fn serves(fields: &[&str], bounds: &Bounds<'_>, order: &[SortKey]) -> bool {
    let fixed = fields
        .iter()
        .take_while(|f| bounds.equal.contains(f))
        .count();
    if !bounds
        .equal
        .iter()
        .all(|name| fields[..fixed].contains(name))
    {
        return false;
    }
    let rest = &fields[fixed..];
    if bounds
        .range
        .is_some_and(|range| rest.first() != Some(&range))
    {
        return false;
    }
    if order.iter().any(|key| key.plain().is_none()) {
        return false;
    }
    let keys: Vec<_> = order
        .iter()
        .filter(|k| !fields[..fixed].contains(&k.operand.column.name.as_str()))
        .collect();
    // Few rows share the values of a whole index; sorting those by id is quick.
    let only_id = |keys: &[&SortKey]| matches!(keys, [key] if is_plain(key, "id"));
    if keys.is_empty() || fixed > 0 && rest.is_empty() && only_id(&keys) {
        return true;
    }
    let descending = keys[0].descending;
    let matched = keys
        .iter()
        .zip(rest)
        .take_while(|(key, field)| is_plain(key, field))
        .count();
    let one_way = keys.iter().take(matched).all(|key| {
        key.descending == descending && (key.required() || key.nulls_first == key.descending)
    });
    let ends =
        matched == keys.len() || matched == rest.len() && matched > 0 && only_id(&keys[matched..]);
    one_way && ends
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        data::{parse::parse_list, plan::plan_list, prefer::Preferences, relation::Names},
        postgres::Lane::{Exclusive, Shared},
    };

    #[test]
    fn an_index_decides() {
        let model: ModuleModel = serde_json::from_value(serde_json::json!({
            "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
            "fields": [
                {"name": "title", "type": "text"},
                {"name": "stage", "type": "text"},
                {"name": "extra", "type": "json"},
                {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
                {"name": "company_id", "type": "uuid", "references": {"module": "crm", "model": "companies"}},
            ],
            "indexes": [{"name": "by_stage", "fields": ["stage", "created_at"]}, {"name": "by_amount", "fields": ["amount"]}],
            "unique": [{"name": "one_title", "fields": ["title"]}],
        }))
        .unwrap();
        let companies = serde_json::json!({
            "module": "crm", "model": "companies", "autoApi": true, "analytics": true, "maxPageSize": 1000,
            "fields": [{"name": "name", "type": "text"}],
        });
        let document = serde_json::json!({
            "revision": 1, "generation": 1, "database": "x",
            "models": [{"served": true, "document": model}, {"served": true, "document": companies}],
            "tenants": [{"id": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", "slug": "a", "state": "Active", "modules": ["crm"]}],
        });
        let catalog = model::Catalog::parse(&document.to_string()).unwrap();
        let company = "company_id=eq.0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";
        let ids = |n: usize| format!("id=in.({})", vec![&company[14..]; n].join(","));
        let (few, many) = (ids(100), ids(101));
        for (query, expected) in [
            ("", Shared),
            ("limit=101", Exclusive),
            ("count=exact", Exclusive),
            ("deleted=only", Exclusive),
            ("order=id.desc", Shared),
            ("title=eq.a", Shared),
            ("title=like.a*", Exclusive),
            ("title=neq.a", Exclusive),
            ("title=gt.a", Exclusive),
            ("title=gt.a&order=title", Shared),
            ("amount=gt.5", Exclusive),
            ("amount=gt.5&amount=lt.9&order=amount.desc", Shared),
            ("order=amount.desc.nullslast", Exclusive),
            ("order=amount.desc", Shared),
            ("order=created_at", Exclusive),
            ("stage=eq.a&order=created_at.desc", Shared),
            ("stage=eq.a", Exclusive),
            ("stage=eq.a&amount=eq.1", Exclusive),
            ("order=stage,created_at", Shared),
            ("order=stage,created_at.desc", Exclusive),
            ("order=stage", Exclusive),
            (company, Shared),
            ("or=(stage.eq.a)", Exclusive),
            ("stage=in.(a,b)", Exclusive),
            ("offset=1", Exclusive),
            ("distinct=stage", Exclusive),
            ("order=company(name)", Exclusive),
            ("include=company", Shared),
            ("include=company(select=id)&limit=100", Shared),
            ("include=company!inner", Exclusive),
            ("include=company(name=eq.a)", Exclusive),
            ("include=company(include=deals)", Shared),
            ("include=company(include=deals(limit=100))", Exclusive),
            ("include=company(include=deals(order=title))", Exclusive),
            ("title=in.(a,b)", Shared),
            ("title=in.(a,b)&order=amount&stage=eq.a", Shared),
            ("title=eq(any).{a,b}", Shared),
            ("title=eq(all).{a,b}", Exclusive),
            ("title=in.(a,b)&stage=in.(a)", Exclusive),
            ("title=in.(a,b)&amount=gt.5", Exclusive),
            (&few, Shared),
            (&many, Exclusive),
            ("extra->>a=eq.b", Exclusive),
            ("extra=eq.1", Exclusive),
            ("title=match.^a", Exclusive),
            ("title=isdistinct.a", Exclusive),
            ("title=plfts.a", Exclusive),
        ] {
            let pairs: Vec<_> = query
                .split('&')
                .filter_map(|p| p.split_once('='))
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect();
            let names = Names {
                catalog: &catalog,
                tenant: catalog.tenants().next().unwrap(),
                permissions: &HashSet::new(),
            };
            let list = parse_list(names, &model, &pairs, &Preferences::default()).unwrap();
            assert_eq!(plan_list(&model, &list).lane, expected, "{query}");
        }
    }
}
