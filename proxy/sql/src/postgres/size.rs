//! How large a record may become.
//!
//! A change event holds a record twice, before and after, as JSON. One that is larger than the event topic takes stops
//! the capture of every tenant, for ever: the log cannot be read past it. A body's own bound does not do: many small
//! changes make a large record, and `1e308` in a JSON field becomes 309 digits.

use model::{FieldType, ModuleModel};

use super::quote;

/// Most bytes of a record's long fields as JSON strings: twice that and the envelope fit the topic's 8 MiB.
pub const RECORD_BYTES_MAX: usize = 3 << 20;

/// Texts up to this many characters are not counted: 128 of them do not fill what is left of the topic's bound.
const SHORT_CHARS_MAX: u32 = 512;
/// Most bytes of a vector's element and its comma: the longest is `-1.17549435E-38` in the event.
const ELEMENT_BYTES_MAX: u32 = 16;
/// Vectors up to this dimension are not counted either: they are no longer than such texts.
const SHORT_DIMENSION_MAX: u16 = 128;

/// What `returning` ends with: a column that fails the statement (division by zero, 22012) when the row has become too
/// large; nothing when no row of the model can.
pub(super) fn guard(model: &ModuleModel) -> String {
    let long = model.fields().iter().filter(|f| is_long(&f.field_type));
    let bytes = long.map(|f| {
        let name = quote(&f.column());
        match &f.field_type {
            FieldType::Vector { .. } => {
                format!("coalesce(cardinality({name}), 0) * {ELEMENT_BYTES_MAX}")
            }
            // As the event spells it: a quote is two bytes, U+0001 six.
            _ => format!("coalesce(octet_length(to_json({name}::text)::text), 0)"),
        }
    });
    let bytes: Vec<_> = bytes.collect();
    if bytes.is_empty() {
        return String::new();
    }
    let sum = bytes.join(" + ");
    format!(", 1 / (case when {sum} > {RECORD_BYTES_MAX} then 0 else 1 end)")
}

fn is_long(field_type: &FieldType) -> bool {
    match field_type {
        FieldType::Text { max_length } => max_length.is_none_or(|most| most > SHORT_CHARS_MAX),
        FieldType::Json | FieldType::Bytes | FieldType::Array { .. } => true,
        FieldType::Vector { dimension } => *dimension > SHORT_DIMENSION_MAX,
        _ => false,
    }
}
