//! `order=amount.desc.nullslast,created_at`.

use model::ModuleModel;
use sql::postgres::select::SortKey;

use super::{operand::scan_operand, refuse, scan::Scan};
use crate::problem::{FieldCode, FieldError};

/// Most keys of one order; an index has at most as many fields.
pub const ORDER_KEYS_MAX: usize = 8;

/// Reads an order. `asc` is the default; without `nullsfirst` or `nullslast` nulls come last ascending and first
/// descending, as in PostgreSQL. Json, array and vector fields have no order.
pub fn parse_order(model: &ModuleModel, text: &str) -> Result<Vec<SortKey>, FieldError> {
    let mut keys: Vec<SortKey> = Vec::new();
    for part in text.split(',') {
        let key = parse_key(model, part.trim_matches(' '))?;
        if keys.iter().any(|k| k.operand == key.operand) {
            return Err(refuse(
                key.operand.column.name.as_str(),
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

/// Reads one key. A place inside of JSON orders by its text (`->>`).
pub fn parse_key(model: &ModuleModel, text: &str) -> Result<SortKey, FieldError> {
    if text.is_empty() {
        return Err(refuse(
            "order",
            FieldCode::InvalidValue,
            "is a list such as amount.desc,created_at",
        ));
    }
    let mut scan = Scan::new(text);
    let operand = scan_operand(model, &mut scan)?;
    let name = operand.column.name.as_str();
    let kind = operand.field_type();
    if !kind.has_order() {
        let hint = match operand.path {
            Some(_) => "; a path that ends in ->> has the order of its text",
            None => "",
        };
        let message = format!("type {} has no order{hint}", kind.name());
        return Err(refuse(name, FieldCode::InvalidOperator, message));
    }
    let mut words = match scan.rest() {
        "" => "".split('.'),
        rest => rest
            .strip_prefix('.')
            .ok_or_else(|| malformed(name))?
            .split('.'),
    };
    if scan.is_done() {
        words.next();
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
    if words.next().is_some() {
        return Err(malformed(name));
    }
    Ok(SortKey {
        operand,
        via: None,
        descending,
        nulls_first,
    })
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
            ("extra->a", Err(FieldCode::InvalidOperator)),
            ("extra->>a.desc", Ok("extra:down:first")),
            ("extra->>\"a.b\".desc.nullslast", Ok("extra:down:last")),
            ("extra->>a,extra->>b", Ok("extra:up:last extra:up:last")),
            ("title(", Err(FieldCode::InvalidValue)),
            ("title.", Err(FieldCode::InvalidValue)),
            ("tenant_id", Err(FieldCode::UnknownField)),
            ("", Err(FieldCode::InvalidValue)),
            ("title,", Err(FieldCode::InvalidValue)),
        ] {
            let show = |key: &SortKey| {
                let direction = if key.descending { "down" } else { "up" };
                let nulls = if key.nulls_first { "first" } else { "last" };
                format!("{}:{direction}:{nulls}", key.operand.column.name.as_str())
            };
            let actual = parse_order(&model, text);
            let actual = actual
                .map(|keys| keys.iter().map(show).collect::<Vec<_>>().join(" "))
                .map_err(|e| e.code);
            assert_eq!(actual, expected.map(str::to_owned), "{text}");
        }
    }
}
