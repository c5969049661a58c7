//! The query string of a request, read against the model. All that is wrong is told at once.

use model::{ModelName, ModuleModel, ValueUse, parse_value};
use sql::{
    filter::Filter,
    postgres::select::{Deleted, SortKey},
};

use super::{
    distinct::{self, Distinct},
    include::{self, Sum},
    order,
    prefer::Preferences,
    relation::Names,
    select::parse_select,
    tree::{Included, Selected},
};
use crate::{
    problem::{FieldCode, FieldError, Problem},
    query::{
        FILTERS_MAX, count_conditions, group::GROUP_KEYS, operand::is_operand, parse_condition,
        parse_group, refuse,
    },
};

/// Rows of a page, or of what is included, unless `limit` says otherwise (API.md "Reading").
pub(crate) const LIMIT_DEFAULT: u32 = 50;
/// Most rows that are passed over: they are read all the same (API.md "Reading").
pub(crate) const OFFSET_MAX: u32 = 100_000;

/// How rows are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Every row.
    Exact,
    /// As many as the planner expects.
    Planned,
    /// Every row as far as a bound, and as many as the planner expects beyond it.
    Estimated,
}

/// A list as it was asked for.
#[derive(Debug, PartialEq)]
pub(super) struct ListQuery {
    /// All conditions and groups, ANDed.
    pub filter: Filter,
    /// `select`, if given.
    pub select: Option<Vec<Selected>>,
    /// `order`, empty when not given.
    pub order: Vec<SortKey>,
    /// Rows of the page, at most the model's `maxPageSize`.
    pub limit: u32,
    /// Rows that are passed over first.
    pub offset: u32,
    /// The sealed cursor, if given.
    pub cursor: Option<String>,
    /// Which rows as to soft deletion.
    pub deleted: Deleted,
    /// `count`, if given.
    pub count: Option<Count>,
    /// `distinct`, if given.
    pub distinct: Option<Distinct>,
    /// `include`.
    pub included: Vec<Included>,
    /// Other models that decide or are shown, whose `.read` is needed.
    pub needs: Vec<ModelName>,
}

/// Known to the API and of no use in a read: told apart from a misspelling.
const ELSEWHERE: [&str; 2] = ["columns", "on_conflict"];

/// Parameters that are given once.
pub(super) const SINGLE: [&str; 9] = [
    "select", "order", "limit", "cursor", "deleted", "count", "offset", "include", "distinct",
];

/// Reads a list's parameters. Any that is not known is refused by name.
pub(super) fn parse_list(
    names: Names<'_>,
    model: &ModuleModel,
    query: &[(String, String)],
    preferences: &Preferences,
) -> Result<ListQuery, Problem> {
    let mut errors = Vec::new();
    let mut members = Vec::new();
    let mut sum = Sum::default();
    let mut parsed = ListQuery {
        filter: Filter::And(Vec::new()),
        select: None,
        order: Vec::new(),
        limit: LIMIT_DEFAULT.min(model.max_page_size()),
        offset: 0,
        cursor: None,
        deleted: Deleted::Exclude,
        count: None,
        distinct: None,
        included: Vec::new(),
        needs: Vec::new(),
    };
    let mut seen = Vec::new();
    if let Some(kind) = &preferences.count {
        keep(&mut errors, parse_count(kind), |count| {
            parsed.count = Some(count)
        });
    }
    for (name, value) in query {
        if SINGLE.contains(&name.as_str()) && seen.contains(&name) {
            errors.push(refuse(name, FieldCode::Duplicate, "is given twice"));
            continue;
        }
        seen.push(name);
        match name.as_str() {
            "select" => keep(&mut errors, parse_select(model, value), |select| {
                parsed.select = Some(select)
            }),
            "order" => {
                let order = order::parse_keys(names, model, value, &mut parsed.needs);
                keep(&mut errors, order, |order| parsed.order = order)
            }
            "limit" => keep(&mut errors, parse_limit(model, value), |limit| {
                parsed.limit = limit
            }),
            "offset" => keep(&mut errors, parse_offset(value), |offset| {
                parsed.offset = offset
            }),
            "cursor" => parsed.cursor = Some(value.clone()),
            "deleted" => keep(&mut errors, parse_deleted(model, value), |deleted| {
                parsed.deleted = deleted
            }),
            "count" => keep(&mut errors, parse_count(value), |count| {
                parsed.count = Some(count)
            }),
            "distinct" => keep(
                &mut errors,
                distinct::parse_distinct(model, value),
                |columns| parsed.distinct = Some(columns),
            ),
            "include" => {
                let included = include::parse_include(names, model, value, 1, &mut sum);
                keep(&mut errors, included, |included| parsed.included = included)
            }
            name => {
                keep(&mut errors, parse_filter(model, name, value), |filter| {
                    sum.conditions += count_conditions(&filter);
                    members.push(filter);
                });
            }
        }
    }
    if sum.conditions > FILTERS_MAX {
        let message = format!("a request has at most {FILTERS_MAX} filters");
        errors.push(refuse("filters", FieldCode::LimitExceeded, message));
    }
    if errors.is_empty() {
        errors.extend(conflicts(model, &parsed));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    parsed.filter = Filter::And(members);
    parsed.needs.extend(sum.needs);
    Ok(parsed)
}

/// What does not go together, each part being well formed.
fn conflicts(model: &ModuleModel, query: &ListQuery) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if query.cursor.is_some() && query.offset > 0 {
        let message = "does not go with cursor, which says where to go on";
        errors.push(refuse("offset", FieldCode::InvalidValue, message));
    }
    if let Some(columns) = &query.distinct {
        errors.extend(distinct::conflicts(columns, query));
    } else {
        let shown = super::plan::shown(
            model,
            query.select.as_deref(),
            query.deleted != Deleted::Exclude,
        );
        errors.extend(include::check_names(&shown, &query.included).err());
    }
    errors
}

/// What is shown of one record.
pub(super) struct OneQuery {
    /// `select`, if given.
    pub select: Option<Vec<Selected>>,
    /// `include`.
    pub included: Vec<Included>,
    /// Other models that are shown, whose `.read` is needed.
    pub needs: Vec<ModelName>,
}

/// Reads the parameters of a read of one record: `select` and `include`.
pub(super) fn parse_get(
    names: Names<'_>,
    model: &ModuleModel,
    query: &[(String, String)],
) -> Result<OneQuery, Problem> {
    let (included, others): (Vec<_>, Vec<_>) = query
        .iter()
        .cloned()
        .partition(|(name, _)| name == "include");
    let select = parse_one(model, &others)?;
    let mut sum = Sum::default();
    let included = match included.as_slice() {
        [] => Vec::new(),
        [(_, text)] => include::parse_include(names, model, text, 1, &mut sum)
            .map_err(|error| Problem::invalid(vec![error]))?,
        _ => {
            let error = refuse("include", FieldCode::Duplicate, "is given twice");
            return Err(Problem::invalid(vec![error]));
        }
    };
    let mut errors = Vec::new();
    if sum.conditions > FILTERS_MAX {
        let message = format!("a request has at most {FILTERS_MAX} filters");
        errors.push(refuse("filters", FieldCode::LimitExceeded, message));
    }
    let shown = super::plan::shown(model, select.as_deref(), false);
    errors.extend(include::check_names(&shown, &included).err());
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    Ok(OneQuery {
        select,
        included,
        needs: sum.needs,
    })
}

/// Reads the parameters of a write of one record: `select` and nothing else.
pub(super) fn parse_one(
    model: &ModuleModel,
    query: &[(String, String)],
) -> Result<Option<Vec<Selected>>, Problem> {
    let mut errors = Vec::new();
    let mut select = None;
    for (name, value) in query {
        match name.as_str() {
            "select" if select.is_some() => {
                errors.push(refuse(name, FieldCode::Duplicate, "is given twice"))
            }
            "select" => keep(&mut errors, parse_select(model, value), |selected| {
                select = Some(selected)
            }),
            name => errors.push(refuse(
                name,
                FieldCode::UnknownField,
                "is not a parameter here",
            )),
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

/// One parameter that is a condition or a group.
pub(super) fn parse_filter(
    model: &ModuleModel,
    name: &str,
    value: &str,
) -> Result<Filter, FieldError> {
    match GROUP_KEYS.contains(&name) {
        true => parse_group(model, name, value),
        false => known_parameter(model, name).and_then(|()| parse_condition(model, name, value)),
    }
}

fn known_parameter(model: &ModuleModel, name: &str) -> Result<(), FieldError> {
    if is_operand(name) || model.column(name).is_some() {
        return Ok(());
    }
    let message = match ELSEWHERE.contains(&name) {
        true => "is a parameter of writes".to_owned(),
        false => format!(
            "is neither a parameter nor a field of {}",
            model.name().model.as_str()
        ),
    };
    Err(refuse(name, FieldCode::UnknownField, message))
}

pub(super) fn parse_limit(model: &ModuleModel, text: &str) -> Result<u32, FieldError> {
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

fn parse_offset(text: &str) -> Result<u32, FieldError> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let message = format!("is a number from 0 to {OFFSET_MAX}; a cursor goes further");
    match text.parse() {
        Ok(offset) if is_number && offset <= OFFSET_MAX => Ok(offset),
        _ if is_number => Err(refuse("offset", FieldCode::LimitExceeded, message)),
        _ => Err(refuse("offset", FieldCode::InvalidValue, message)),
    }
}

fn parse_deleted(model: &ModuleModel, text: &str) -> Result<Deleted, FieldError> {
    if !model.soft_delete() {
        return Err(crate::query::keeps_no_deleted(model, "deleted"));
    }
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

fn parse_count(text: &str) -> Result<Count, FieldError> {
    match text {
        "exact" => Ok(Count::Exact),
        "planned" => Ok(Count::Planned),
        "estimated" => Ok(Count::Estimated),
        _ => Err(refuse(
            "count",
            FieldCode::InvalidValue,
            "is exact, planned or estimated",
        )),
    }
}

#[cfg(test)]
mod tests;
