//! Aggregates of change data: exact, and null over nothing as in PostgreSQL.

use model::{Column, FieldType};

use super::filter::column_name;

/// Digits that an average has behind those of its field.
const AVERAGE_DIGITS: u8 = 6;

/// What is computed of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Rows, or values that are not null; 0 over nothing.
    Count,
    /// Exact for integers and decimals; compensated (Kahan) for floats.
    Sum,
    /// Exact for integers and decimals up to 6 digits behind those of the field, cut there.
    Avg,
    /// The least value; of texts by bytes.
    Min,
    /// The greatest value; of texts by bytes.
    Max,
}

impl Aggregate {
    /// All, in the order in which they are documented.
    pub const ALL: [Self; 5] = [Self::Count, Self::Sum, Self::Avg, Self::Min, Self::Max];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    /// Whether it can be computed of values of that type.
    pub fn takes(self, field_type: &FieldType) -> bool {
        match self {
            // A list that is null is stored as empty, so its nulls cannot be left out of a count.
            Self::Count => !field_type.is_list(),
            Self::Sum | Self::Avg => field_type.is_numeric(),
            Self::Min | Self::Max => {
                let is_text = matches!(field_type, FieldType::Text { .. } | FieldType::Enum { .. });
                let is_moment = matches!(field_type, FieldType::Date | FieldType::Timestamp);
                field_type.is_numeric() || is_text || is_moment
            }
        }
    }
}

/// One aggregate and what it is of. That [`Aggregate::takes`] the column's type is the planner's promise.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// What is computed.
    pub aggregate: Aggregate,
    /// Of which column; `None` counts rows.
    pub column: Option<Column>,
}

/// The expression. Sums are widened inside, since a sum over `Int64` or `Decimal(38, s)` wraps silently.
pub(super) fn render(metric: &Metric) -> String {
    let Some(column) = &metric.column else {
        return "count()".to_owned();
    };
    let name = column_name(column);
    match metric.aggregate {
        Aggregate::Count => format!("count({name})"),
        Aggregate::Sum => match &column.field_type {
            FieldType::Decimal { scale, .. } => format!("sumOrNull(toDecimal256({name}, {scale}))"),
            FieldType::Float64 => format!("sumKahanOrNull({name})"),
            _ => format!("sumOrNull(toInt128({name}))"),
        },
        Aggregate::Avg => match &column.field_type {
            FieldType::Decimal { scale, .. } => average(&name, scale + AVERAGE_DIGITS),
            FieldType::Float64 => format!("avgOrNull({name})"),
            _ => average(&name, AVERAGE_DIGITS),
        },
        Aggregate::Min => format!("minOrNull({name})"),
        Aggregate::Max => format!("maxOrNull({name})"),
    }
}

/// A quotient keeps the scale of its dividend. A decimal divided by 0 is an error, even in an empty result.
fn average(name: &str, scale: u8) -> String {
    format!("sumOrNull(toDecimal256({name}, {scale})) / nullIf(count({name}), 0)")
}
