//! `order=delay.desc.nullslast,origin(iata)`: keys of the row, and of a row that it refers to.

use model::{ModelName, ModuleModel};
use sql::postgres::select::{SortKey, Via};

use super::{relation::Names, split::split};
use crate::{
    problem::{FieldCode, FieldError},
    query::{
        order::{ORDER_KEYS_MAX, parse_key},
        refuse,
    },
};

/// Reads an order. Models whose fields decide are added to `needs`.
pub(super) fn parse_keys<'a>(
    names: Names<'a>,
    model: &'a ModuleModel,
    text: &str,
    needs: &mut Vec<ModelName>,
) -> Result<Vec<SortKey>, FieldError> {
    let malformed = || {
        let message = "is a list such as amount.desc,created_at,company(name)";
        refuse("order", FieldCode::InvalidValue, message)
    };
    let mut keys: Vec<SortKey> = Vec::new();
    for part in split(text, b',').ok_or_else(malformed)? {
        let part = part.trim_matches(' ');
        let key = match part.split_once('(') {
            Some((relation, rest)) if !part.contains("->") || !relation.contains("->") => {
                let (inner, suffix) = rest.split_once(')').ok_or_else(malformed)?;
                parse_through(names, model, relation, &format!("{inner}{suffix}"), needs)?
            }
            _ => parse_key(model, part)?,
        };
        let same = |k: &SortKey| k.operand == key.operand && k.via == key.via;
        if keys.iter().any(same) {
            let field = key.operand.column.name.as_str();
            return Err(refuse(
                field,
                FieldCode::Duplicate,
                "appears twice in order",
            ));
        }
        keys.push(key);
        if keys.len() > ORDER_KEYS_MAX {
            let message = format!("takes at most {ORDER_KEYS_MAX} keys");
            return Err(refuse("order", FieldCode::LimitExceeded, message));
        }
    }
    Ok(keys)
}

fn parse_through<'a>(
    names: Names<'a>,
    model: &'a ModuleModel,
    relation: &str,
    key: &str,
    needs: &mut Vec<ModelName>,
) -> Result<SortKey, FieldError> {
    let relation = names.relation("order", model, relation, None)?;
    if !relation.is_one {
        let message = "goes by the fields of a record that this one refers to, not of several";
        return Err(refuse("order", FieldCode::InvalidValue, message));
    }
    let target = relation.model.name();
    needs.push(target.clone());
    let key = parse_key(relation.model, key)?;
    Ok(SortKey {
        via: Some(Via {
            column: relation.field.column(),
            model: target.clone(),
        }),
        ..key
    })
}

/// The order with `id` behind it, in the direction of the key before, so that one index range has both.
pub(super) fn with_id(model: &ModuleModel, order: &[SortKey]) -> Vec<SortKey> {
    let mut keys = order.to_vec();
    // Behind the id, which is unique, nothing decides any more.
    let is_id = |k: &SortKey| k.plain().is_some_and(|c| c.name.as_str() == "id");
    if let Some(at) = keys.iter().position(is_id) {
        keys.truncate(at + 1);
        return keys;
    }
    let column = model.column("id").expect("every model has an id").clone();
    let descending = keys.last().is_some_and(|k| k.descending);
    keys.push(SortKey {
        operand: column.into(),
        via: None,
        descending,
        nulls_first: descending,
    });
    keys
}
