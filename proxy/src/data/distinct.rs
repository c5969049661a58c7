//! `distinct=stage,company_id`: the combinations of these fields that there are.

use model::{Column, ModuleModel};
use sql::postgres::select::SortKey;

use super::parse::ListQuery;
use crate::{
    problem::{FieldCode, FieldError},
    query::{order::ORDER_KEYS_MAX, refuse, unknown_field},
};

/// The fields whose combinations are answered, in order.
pub(super) type Distinct = Vec<Column>;

/// Reads a list of fields. They order the answer too, so there are at most as many as an order has keys.
pub(super) fn parse_distinct(model: &ModuleModel, text: &str) -> Result<Distinct, FieldError> {
    let mut columns: Distinct = Vec::new();
    for name in text.split(',').map(|n| n.trim_matches(' ')) {
        if name.is_empty() {
            let message = "is a list of fields such as stage,company_id";
            return Err(refuse("distinct", FieldCode::InvalidValue, message));
        }
        let column = model
            .column(name)
            .ok_or_else(|| unknown_field(model, name))?;
        if !column.field_type.has_order() {
            let message = format!("type {} has no order", column.field_type.name());
            return Err(refuse(name, FieldCode::InvalidOperator, message));
        }
        if columns.contains(column) {
            let message = format!("names {name} twice");
            return Err(refuse("distinct", FieldCode::Duplicate, message));
        }
        columns.push(column.clone());
    }
    if columns.len() > ORDER_KEYS_MAX {
        let message = format!("takes at most {ORDER_KEYS_MAX} fields");
        return Err(refuse("distinct", FieldCode::LimitExceeded, message));
    }
    Ok(columns)
}

/// What a list of combinations does not take: it shows these fields and is ordered by them, and no row stands behind
/// one of its records.
pub(super) fn conflicts(columns: &[Column], query: &ListQuery) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse_with = |parameter: &str, message: &str| {
        errors.push(refuse(parameter, FieldCode::InvalidValue, message));
    };
    if query.select.is_some() {
        refuse_with(
            "select",
            "does not go with distinct, which names what is shown",
        );
    }
    if !query.included.is_empty() {
        refuse_with("include", "does not go with distinct");
    }
    let is_shown = |key: &SortKey| key.plain().is_some_and(|c| columns.contains(c));
    if !query.order.iter().all(is_shown) {
        refuse_with(
            "order",
            "goes by the fields of distinct only, where that is given",
        );
    }
    errors
}

/// The order with every other field behind it, so that no two combinations are equal in it.
pub(super) fn with_all(columns: &[Column], order: &[SortKey]) -> Vec<SortKey> {
    let mut keys = order.to_vec();
    for column in columns {
        if !order.iter().any(|key| key.plain() == Some(column)) {
            keys.push(SortKey {
                operand: column.clone().into(),
                via: None,
                descending: false,
                nulls_first: false,
            });
        }
    }
    keys
}
