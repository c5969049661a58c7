//! The query string of a request, read against the model. All that is wrong is told at once.

use model::{Column, ModuleModel, ValueUse, parse_value};
use sql::{
    filter::Filter,
    postgres::select::{Deleted, SortKey},
};

use super::prefer::Preferences;
use crate::{
    problem::{FieldCode, FieldError, Problem},
    query::{
        FILTERS_MAX, count_conditions, group::GROUP_KEYS, operand::is_operand, parse_condition,
        parse_group, parse_order, refuse,
    },
};

/// Rows of a page unless `limit` says otherwise (API.md "Reading").
const LIMIT_DEFAULT: u32 = 50;

/// A list as it was asked for.
#[derive(Debug, PartialEq)]
pub(super) struct ListQuery {
    /// All conditions and groups, ANDed.
    pub filter: Filter,
    /// `select`, if given.
    pub select: Option<Vec<Column>>,
    /// `order`, empty when not given.
    pub order: Vec<SortKey>,
    /// Rows of the page, at most the model's `maxPageSize`.
    pub limit: u32,
    /// The sealed cursor, if given.
    pub cursor: Option<String>,
    /// Which rows as to soft deletion.
    pub deleted: Deleted,
    /// `count=exact`.
    pub count: bool,
}

/// Known to the API and not served yet: told apart from a misspelling.
const LATER: [&str; 5] = ["offset", "include", "distinct", "columns", "on_conflict"];

/// Reads a list's parameters. Any that is not known is refused by name.
pub(super) fn parse_list(
    model: &ModuleModel,
    query: &[(String, String)],
    preferences: &Preferences,
) -> Result<ListQuery, Problem> {
    let mut errors = Vec::new();
    let mut members = Vec::new();
    let mut conditions = 0;
    let mut parsed = ListQuery {
        filter: Filter::And(Vec::new()),
        select: None,
        order: Vec::new(),
        limit: LIMIT_DEFAULT.min(model.max_page_size()),
        cursor: None,
        deleted: Deleted::Exclude,
        count: false,
    };
    let mut seen = Vec::new();
    if let Some(kind) = &preferences.count {
        keep(&mut errors, parse_count(kind), |count| parsed.count = count);
    }
    for (name, value) in query {
        let single =
            ["select", "order", "limit", "cursor", "deleted", "count"].contains(&name.as_str());
        if single && seen.contains(&name) {
            errors.push(refuse(name, FieldCode::Duplicate, "is given twice"));
            continue;
        }
        seen.push(name);
        match name.as_str() {
            "select" => keep(&mut errors, parse_select(model, value), |select| {
                parsed.select = Some(select)
            }),
            "order" => keep(&mut errors, parse_order(model, value), |order| {
                parsed.order = order
            }),
            "limit" => keep(&mut errors, parse_limit(model, value), |limit| {
                parsed.limit = limit
            }),
            "cursor" => parsed.cursor = Some(value.clone()),
            "deleted" => keep(&mut errors, parse_deleted(value), |deleted| {
                parsed.deleted = deleted
            }),
            "count" => keep(&mut errors, parse_count(value), |count| {
                parsed.count = count
            }),
            name => {
                let filter = if GROUP_KEYS.contains(&name) {
                    parse_group(model, name, value)
                } else {
                    known_parameter(model, name).and_then(|()| parse_condition(model, name, value))
                };
                keep(&mut errors, filter, |filter| {
                    conditions += count_conditions(&filter);
                    members.push(filter);
                });
            }
        }
    }
    if conditions > FILTERS_MAX {
        let message = format!("a request has at most {FILTERS_MAX} filters");
        errors.push(refuse("filters", FieldCode::LimitExceeded, message));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    parsed.filter = Filter::And(members);
    Ok(parsed)
}

/// Reads the parameters of a request for one record: `select` and nothing else.
pub(super) fn parse_one(
    model: &ModuleModel,
    query: &[(String, String)],
) -> Result<Option<Vec<Column>>, Problem> {
    let mut errors = Vec::new();
    let mut select = None;
    for (name, value) in query {
        match name.as_str() {
            "select" if select.is_some() => {
                errors.push(refuse(name, FieldCode::Duplicate, "is given twice"))
            }
            "select" => keep(&mut errors, parse_select(model, value), |columns| {
                select = Some(columns)
            }),
            name => errors.push(unknown_parameter(name)),
        }
    }
    if errors.is_empty() {
        Ok(select)
    } else {
        Err(Problem::invalid(errors))
    }
}

/// An id in the path, in its canonical spelling.
pub(super) fn parse_id(id: &str) -> Result<String, Problem> {
    parse_value(&model::FieldType::Uuid, id, ValueUse::Compare).map_err(|error| {
        Problem::invalid(vec![refuse(
            "id",
            FieldCode::InvalidValue,
            error.to_string(),
        )])
    })
}

fn keep<T>(errors: &mut Vec<FieldError>, result: Result<T, FieldError>, take: impl FnOnce(T)) {
    match result {
        Ok(value) => take(value),
        Err(error) => errors.push(error),
    }
}

fn unknown_parameter(name: &str) -> FieldError {
    if LATER.contains(&name) {
        return refuse(
            name,
            FieldCode::UnknownField,
            "is a parameter that is not served yet",
        );
    }
    refuse(name, FieldCode::UnknownField, "is not a parameter here")
}

fn known_parameter(model: &ModuleModel, name: &str) -> Result<(), FieldError> {
    match model.column(name) {
        Some(_) => Ok(()),
        None if is_operand(name) => Ok(()),
        None if LATER.contains(&name) => Err(unknown_parameter(name)),
        None => {
            let message = format!(
                "is neither a parameter nor a field of {}",
                model.name().model.as_str()
            );
            Err(refuse(name, FieldCode::UnknownField, message))
        }
    }
}

/// Plain names, or `*` for what a record shows anyway.
fn parse_select(model: &ModuleModel, text: &str) -> Result<Vec<Column>, FieldError> {
    let mut columns: Vec<Column> = Vec::new();
    for name in text.split(',').map(|n| n.trim_matches(' ')) {
        let added = match name {
            "*" => model.record_columns(),
            name => match model.column(name) {
                Some(column) => std::slice::from_ref(column),
                None => return Err(unselectable(model, name)),
            },
        };
        for column in added {
            if columns.iter().any(|c| c.name == column.name) {
                let message = format!("names {} twice", column.name.as_str());
                return Err(refuse("select", FieldCode::Duplicate, message));
            }
            columns.push(column.clone());
        }
    }
    Ok(columns)
}

fn unselectable(model: &ModuleModel, name: &str) -> FieldError {
    if name.is_empty() {
        return refuse(
            "select",
            FieldCode::InvalidValue,
            "is a list of fields such as id,title",
        );
    }
    if name.contains([':', '>', '(', '!']) {
        return refuse(
            "select",
            FieldCode::InvalidValue,
            "takes plain names of fields only, for now",
        );
    }
    crate::query::unknown_field(model, name)
}

fn parse_limit(model: &ModuleModel, text: &str) -> Result<u32, FieldError> {
    let most = model.max_page_size();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(refuse(
            "limit",
            FieldCode::InvalidValue,
            format!("is a number from 0 to {most}"),
        ));
    }
    match text.parse() {
        Ok(limit) if limit <= most => Ok(limit),
        _ => Err(refuse(
            "limit",
            FieldCode::LimitExceeded,
            format!("is at most {most} for this model"),
        )),
    }
}

fn parse_deleted(text: &str) -> Result<Deleted, FieldError> {
    match text {
        "exclude" => Ok(Deleted::Exclude),
        "include" => Ok(Deleted::Include),
        "only" => Ok(Deleted::Only),
        _ => Err(refuse(
            "deleted",
            FieldCode::InvalidValue,
            "is exclude, include or only",
        )),
    }
}

fn parse_count(text: &str) -> Result<bool, FieldError> {
    match text {
        "exact" => Ok(true),
        "planned" | "estimated" => Err(refuse(
            "count",
            FieldCode::InvalidValue,
            format!("{text} is not served yet; use exact"),
        )),
        _ => Err(refuse("count", FieldCode::InvalidValue, "is exact")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModuleModel {
        serde_json::from_value(serde_json::json!({
            "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 200,
            "fields": [{"name": "title", "type": "text"}, {"name": "seats", "type": "int32"}],
        }))
        .unwrap()
    }

    fn parse(query: &str) -> Result<ListQuery, Vec<(String, FieldCode)>> {
        let pairs: Vec<_> = query
            .split('&')
            .filter_map(|p| p.split_once('='))
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect();
        parse_list(&model(), &pairs, &Preferences::default())
            .map_err(|p| p.errors.into_iter().map(|e| (e.field, e.code)).collect())
    }

    #[test]
    fn a_list_has_defaults() {
        let list = parse("").unwrap();
        assert_eq!(
            (list.limit, list.deleted, list.count),
            (50, Deleted::Exclude, false)
        );
        assert_eq!(list.filter, Filter::And(vec![]));
        let list =
            parse("limit=0&title=eq.a&seats=gt.1&or=(seats.eq.1)&select=id,title&count=exact")
                .unwrap();
        assert!(matches!(&list.filter, Filter::And(members) if members.len() == 3));
        assert_eq!(
            (list.limit, list.select.map(|s| s.len()), list.count),
            (0, Some(2), true)
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
            ("offset=5", vec![("offset", UnknownField)]),
            ("nope=eq.1", vec![("nope", UnknownField)]),
            ("select=nope", vec![("nope", UnknownField)]),
            ("select=a:title", vec![("select", InvalidValue)]),
            ("select=title,title", vec![("select", Duplicate)]),
            ("select=tenant_id", vec![("tenant_id", UnknownField)]),
            ("order=title&order=seats", vec![("order", Duplicate)]),
            (
                "deleted=yes&count=planned",
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
            parse_id("0198F0AA-5B1E-7C3D-9A4E-2F6B8C1D0E01")
                .is_ok_and(|id| id.starts_with("0198f0aa"))
        );
        assert!(parse_id("1").is_err());
    }
}
