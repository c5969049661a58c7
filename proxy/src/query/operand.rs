//! What a condition asks about: `amount`, `extra->crew->>captain`, `"seats"`.

use model::{FieldType, ModuleModel};
use sql::filter::{JsonPath, Operand};

use super::{refuse, scan::Scan, unknown_field};
use crate::problem::{FieldCode, FieldError};

/// Most steps of a JSON path: no value that we keep is nested deeper (API.md: JSON depth 32).
pub const JSON_STEPS_MAX: usize = 32;

/// Reads a column, or a place inside of its JSON. The text ends with it.
///
/// A path is `->` or `->>` before each step, `->>` only before the last. A step is a key, an index of an array (from the
/// end when negative), or a key in double quotes where it holds one of `( : . , >`. As with PostgreSQL's `#>`, a step of
/// digits is an index in an array and a key in an object.
pub fn parse_operand(model: &ModuleModel, text: &str) -> Result<Operand, FieldError> {
    let mut scan = Scan::new(text);
    let operand = scan_operand(model, &mut scan)?;
    if scan.is_done() {
        return Ok(operand);
    }
    // A name that is no field is told as such, whatever it holds.
    Err(match &operand.path {
        None => unknown_field(model, text),
        Some(_) => malformed(
            text,
            "has text after its JSON path; keys with ( : . , > are quoted",
        ),
    })
}

/// Whether a parameter's name can only be that of an operand: it has a path or a quote.
pub fn is_operand(name: &str) -> bool {
    name.contains("->") || name.starts_with('"')
}

/// The same at the start of a longer text.
pub(super) fn scan_operand(
    model: &ModuleModel,
    scan: &mut Scan<'_>,
) -> Result<Operand, FieldError> {
    let start = scan.rest();
    let name = match scan.quoted() {
        Some(name) => name,
        None => scan.name().to_owned(),
    };
    let column = model
        .column(&name)
        .ok_or_else(|| unknown_field(model, &name))?
        .clone();
    let mut steps = Vec::new();
    let mut as_text = false;
    loop {
        let arrow = if scan.take("->>") {
            true
        } else if scan.take("->") {
            false
        } else {
            break;
        };
        let shown = &start[..start.len() - scan.rest().len()];
        if as_text {
            return Err(malformed(shown, "->> ends a JSON path"));
        }
        as_text = arrow;
        if steps.len() == JSON_STEPS_MAX {
            let message = format!("a JSON path has at most {JSON_STEPS_MAX} steps");
            return Err(refuse(shown, FieldCode::LimitExceeded, message));
        }
        let (step, is_empty) = match scan.quoted() {
            Some(step) => (step, false),
            None => {
                let step = scan.step().to_owned();
                let is_empty = step.is_empty();
                (step, is_empty)
            }
        };
        if is_empty {
            return Err(malformed(
                shown,
                "an arrow is followed by a key or an index",
            ));
        }
        if step.contains('\0') {
            return Err(malformed(shown, "contains the character U+0000"));
        }
        steps.push(step);
    }
    if steps.is_empty() {
        return Ok(column.into());
    }
    if column.field_type != FieldType::Json {
        let message = format!(
            "a JSON path does not lead into type {}; it takes json",
            column.field_type.name()
        );
        return Err(refuse(&name, FieldCode::InvalidOperator, message));
    }
    Ok(Operand {
        column,
        path: Some(JsonPath { steps, as_text }),
    })
}

fn malformed(text: &str, message: &str) -> FieldError {
    refuse(text, FieldCode::InvalidValue, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModuleModel {
        serde_json::from_value(serde_json::json!({
            "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
            "fields": [{"name": "title", "type": "text"}, {"name": "seats", "type": "int32"}, {"name": "extra", "type": "json"}],
        }))
        .unwrap()
    }

    #[test]
    fn paths_lead_into_json() {
        let long = |n: usize| format!("extra{}", "->a".repeat(n));
        let deepest = format!("extra {}", vec!["a"; JSON_STEPS_MAX].join("|"));
        let (most, more) = (long(JSON_STEPS_MAX), long(JSON_STEPS_MAX + 1));
        for (text, expected) in [
            ("title", Ok("title")),
            ("\"seats\"", Ok("seats")),
            ("extra->a", Ok("extra a")),
            ("extra->>a", Ok("extra a text")),
            ("extra->a->0->>b-c", Ok("extra a|0|b-c text")),
            ("extra->-1", Ok("extra -1")),
            ("extra->a b", Ok("extra a b")),
            (
                "extra->\"a.b->(c)\"->>\"d\\\"e\"",
                Ok("extra a.b->(c)|d\"e text"),
            ),
            ("\"extra\"->\"\"", Ok("extra ")),
            ("extra->é😀", Ok("extra é😀")),
            (&most, Ok(&*deepest)),
            (&more, Err(FieldCode::LimitExceeded)),
            ("extra->", Err(FieldCode::InvalidValue)),
            ("extra->>a->b", Err(FieldCode::InvalidValue)),
            ("extra->a.b", Err(FieldCode::InvalidValue)),
            ("extra->a>b", Err(FieldCode::InvalidValue)),
            ("extra->a\0", Err(FieldCode::InvalidValue)),
            ("title->a", Err(FieldCode::InvalidOperator)),
            ("nope->a", Err(FieldCode::UnknownField)),
            ("title.x", Err(FieldCode::UnknownField)),
            ("tenant_id", Err(FieldCode::UnknownField)),
            ("\"title", Err(FieldCode::UnknownField)),
            ("", Err(FieldCode::UnknownField)),
        ] {
            let show = |operand: Operand| {
                let mut text = operand.column.name.as_str().to_owned();
                if let Some(path) = operand.path {
                    text += &format!(" {}", path.steps.join("|"));
                    text += if path.as_text { " text" } else { "" };
                }
                text
            };
            let actual = parse_operand(&model(), text).map(show).map_err(|e| e.code);
            assert_eq!(actual, expected.map(str::to_owned), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(extra|title|\"seats\")?[>a.,:(\"\\\\é0-9-]{0,40}") {
            let _ = parse_operand(&model(), &text);
        }
    }
}
