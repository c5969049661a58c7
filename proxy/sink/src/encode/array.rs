//! Arrays: a count and the elements. A null element becomes its type's default, since elements are not Nullable.

use model::{FieldType, ScalarType};
use serde_json::value::RawValue;

use super::{Adjusted, Value, ValueError, encode_value, number, put_default};
use crate::rowbinary::put_length;

pub(super) fn encode(
    out: &mut Vec<u8>,
    items: ScalarType,
    text: &str,
    adjusted: &mut Adjusted,
) -> Result<(), ValueError> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| ValueError::Malformed)?;
    let field_type = items.as_field_type();
    put_length(out, elements.len());
    for element in elements {
        encode_element(out, &field_type, element.get(), adjusted)?;
    }
    Ok(())
}

/// A vector as singles. The check of its column allows neither null nor `NaN`; should one come all the same, it becomes
/// 0 and is counted as in an array.
pub(super) fn encode_vector(
    out: &mut Vec<u8>,
    text: &str,
    adjusted: &mut Adjusted,
) -> Result<(), ValueError> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| ValueError::Malformed)?;
    put_length(out, elements.len());
    for element in elements {
        let value = match element.get() {
            "null" => {
                adjusted.null_filled += 1;
                0.0
            }
            text => match number::float::<f32>(text)? {
                Value::Is(value) => value,
                Value::NotFinite => {
                    adjusted.not_finite += 1;
                    0.0
                }
            },
        };
        out.extend_from_slice(&value.to_le_bytes());
    }
    Ok(())
}

fn encode_element(
    out: &mut Vec<u8>,
    field_type: &FieldType,
    text: &str,
    adjusted: &mut Adjusted,
) -> Result<(), ValueError> {
    if text == "null" {
        adjusted.null_filled += 1;
        put_default(out, field_type);
        return Ok(());
    }
    let start = out.len();
    match encode_value(out, field_type, text, adjusted)? {
        Value::Is(()) => {}
        Value::NotFinite => {
            adjusted.not_finite += 1;
            out.truncate(start);
            put_default(out, field_type);
        }
    }
    Ok(())
}
