//! `order=amount.desc.nullslast,created_at`.

use model::{FieldType, ModuleModel};
use sql::postgres::select::SortKey;

use super::{refuse, unknown_field};
use crate::problem::{FieldCode, FieldError};

/// Most keys of one order; an index has at most as many fields.
pub const ORDER_KEYS_MAX: usize = 8;

/// Reads an order. `asc` is the default; without `nullsfirst` or `nullslast` nulls come last ascending and first
/// descending, as in PostgreSQL. Json and array fields have no order.
pub fn parse_order(model: &ModuleModel, text: &str) -> Result<Vec<SortKey>, FieldError> {
    let mut keys: Vec<SortKey> = Vec::new();
    for part in text.split(',') {
        let key = parse_key(model, part.trim_matches(' '))?;
        if keys.iter().any(|k| k.column.name == key.column.name) {
            return Err(refuse(
                key.column.name.as_str(),
                FieldCode::Duplicate,
                "appears twice in order",
            ));
        }
        keys.push(key);
    }
    if keys.len() > ORDER_KEYS_MAX {
        let message = format!("takes at most {ORDER_KEYS_MAX} keys");
        return Err(refuse("order", FieldCode::LimitExceeded, message));
    }
    Ok(keys)
}

fn parse_key(model: &ModuleModel, text: &str) -> Result<SortKey, FieldError> {
    let mut words = text.split('.');
    let name = words.next().unwrap_or_default();
    if name.is_empty() {
        return Err(refuse(
            "order",
            FieldCode::InvalidValue,
            "is a list such as amount.desc,created_at",
        ));
    }
    let column = model
        .column(name)
        .ok_or_else(|| unknown_field(model, name))?
        .clone();
    if matches!(column.field_type, FieldType::Json | FieldType::Array { .. }) {
        let message = format!("type {} has no order", column.field_type.name());
        return Err(refuse(name, FieldCode::InvalidOperator, message));
    }
    let mut word = words.next();
    let descending = match word {
        Some("asc") => {
            word = words.next();
            false
        }
        Some("desc") => {
            word = words.next();
            true
        }
        _ => false,
    };
    let nulls_first = match word {
        None => descending,
        Some("nullsfirst") => true,
        Some("nullslast") => false,
        Some(_) => return Err(malformed(name)),
    };
    match words.next() {
        None => Ok(SortKey {
            column,
            descending,
            nulls_first,
        }),
        Some(_) => Err(malformed(name)),
    }
}

fn malformed(name: &str) -> FieldError {
    refuse(
        name,
        FieldCode::InvalidValue,
        "is ordered by .asc or .desc, then .nullsfirst or .nullslast",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_and_nulls() {
        let model: ModuleModel = serde_json::from_value(serde_json::json!({
            "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
            "fields": [{"name": "title", "type": "text"}, {"name": "extra", "type": "json"}],
        }))
        .unwrap();
        for (text, expected) in [
            ("title", Ok("title:up:last")),
            ("title.desc", Ok("title:down:first")),
            ("title.desc.nullslast,id", Ok("title:down:last id:up:last")),
            ("title.nullsfirst", Ok("title:up:first")),
            ("title.asc.nullsfirst", Ok("title:up:first")),
            ("title.ascc", Err(FieldCode::InvalidValue)),
            ("title.nullslast.asc", Err(FieldCode::InvalidValue)),
            ("title.desc.nulslast", Err(FieldCode::InvalidValue)),
            ("title,title.desc", Err(FieldCode::Duplicate)),
            ("extra", Err(FieldCode::InvalidOperator)),
            ("tenant_id", Err(FieldCode::UnknownField)),
            ("", Err(FieldCode::InvalidValue)),
            ("title,", Err(FieldCode::InvalidValue)),
        ] {
            let show = |key: &SortKey| {
                let direction = if key.descending { "down" } else { "up" };
                let nulls = if key.nulls_first { "first" } else { "last" };
                format!("{}:{direction}:{nulls}", key.column.name.as_str())
            };
            let actual = parse_order(&model, text);
            let actual = actual
                .map(|keys| keys.iter().map(show).collect::<Vec<_>>().join(" "))
                .map_err(|e| e.code);
            assert_eq!(actual, expected.map(str::to_owned), "{text}");
        }
    }
}
