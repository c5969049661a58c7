//! Expressions inside a table: defaults, checks, and what replication needs to know of a row's size.

use model::{Field, FieldType, ModuleModel, ValueUse, parse_value};

use crate::postgres::{column_type, literal, quote};

/// Bytes of a row up to which PostgreSQL never moves a value out of line (TOAST_TUPLE_THRESHOLD, rounded down).
const ROW_BYTES_INLINE: u64 = 2_000;
/// Most bytes that a user id takes in `created_by` and `updated_by` (OpenID Connect Core 2: `sub` has at most 255).
pub(super) const USER_BYTES_MAX: u64 = 255;

/// The expression after `default`, or none. Text is literal; `now` and `generate` are words of timestamp and uuid.
pub fn default_of(field: &Field) -> Option<String> {
    let text = field.default.as_deref()?;
    match (&field.field_type, text) {
        (FieldType::Timestamp, "now") => return Some("now()".into()),
        (FieldType::Uuid, "generate") => return Some("gen_random_uuid()".into()),
        _ => {}
    }
    // A checked model holds only defaults that parse; an unparsed text would still be a harmless literal.
    let value =
        parse_value(&field.field_type, text, ValueUse::Store).unwrap_or_else(|_| text.to_owned());
    Some(match &field.field_type {
        FieldType::Bytes => format!("decode({}, 'base64')", literal(&value)),
        other => format!("{}::{}", literal(&value), column_type(other)),
    })
}

/// The condition that the type alone does not state, or none.
pub fn check_of(field: &Field) -> Option<String> {
    check_condition(&field.field_type, &quote(&field.column()))
}

/// What a type states beside its PostgreSQL type, of the value of an expression; or none.
pub(super) fn check_condition(field_type: &FieldType, operand: &str) -> Option<String> {
    match field_type {
        FieldType::Text {
            max_length: Some(max),
        } => Some(format!("char_length({operand}) <= {max}")),
        FieldType::Enum { values } => {
            let values: Vec<_> = values
                .iter()
                .map(|v| format!("{}::text", literal(v)))
                .collect();
            Some(format!("{operand} = any (array[{}])", values.join(", ")))
        }
        // ClickHouse arrays hold no null here, and a matrix would arrive as a list.
        FieldType::Array { .. } => Some(format!("array_position({operand}, null) is null")),
        // `array_dims` of an empty array is null, which a check lets pass. NaN is greater than infinity.
        FieldType::Vector { dimension } => Some(format!(
            "cardinality({operand}) = {dimension} and array_dims({operand}) = '[1:{dimension}]'::text \
             and array_position({operand}, null) is null \
             and '-Infinity'::real < all ({operand}) and 'Infinity'::real > all ({operand})"
        )),
        _ => None,
    }
}

/// Whether an update must log the whole old row. An unchanged value that is stored out of line is absent from the
/// change event otherwise; a row that can never exceed [`ROW_BYTES_INLINE`] has no such value.
pub fn replica_identity_full(model: &ModuleModel) -> bool {
    // Header, null bitmap, the two key UUIDs, three timestamps, version, delete_id.
    let system = 24 + 24 + 32 + 24 + 8 + 16 + 2 * (USER_BYTES_MAX + 4);
    let fields = model.fields().iter().map(|f| bytes_max(&f.field_type));
    match fields.sum::<Option<u64>>() {
        Some(bytes) => system + bytes > ROW_BYTES_INLINE,
        None => true,
    }
}

/// Most bytes of a value with alignment, none when unbounded.
fn bytes_max(field_type: &FieldType) -> Option<u64> {
    match field_type {
        FieldType::Bool
        | FieldType::Int16
        | FieldType::Int32
        | FieldType::Int64
        | FieldType::Float64
        | FieldType::Date
        | FieldType::Timestamp
        | FieldType::Time => Some(8),
        FieldType::Uuid => Some(16),
        // 38 digits in groups of four, two bytes each, and a header.
        FieldType::Decimal { .. } => Some(32),
        FieldType::Inet => Some(24),
        FieldType::Text {
            max_length: Some(max),
        } => Some(u64::from(*max) * 4 + 4),
        FieldType::Enum { values } => values.iter().map(|v| v.len() as u64 + 4).max(),
        // Its header, and four bytes an element.
        FieldType::Vector { dimension } => Some(24 + u64::from(*dimension) * 4),
        FieldType::Text { max_length: None }
        | FieldType::Json
        | FieldType::Bytes
        | FieldType::Array { .. } => None,
    }
}
