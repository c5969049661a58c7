//! From one type to another without loss: which values convert, and how.
//!
//! Both are expressions over a column. The test never raises, whatever the value (`pg_input_is_valid` is PostgreSQL's
//! own parser, asked without an error); the conversion is evaluated only where the test holds.

use model::FieldType;

use super::check_condition;
use crate::postgres::column_type;

/// A conversion between two types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    to: FieldType,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Every value has its like; PostgreSQL's own cast.
    Cast,
    /// As a number: it has to be the same number there.
    Number,
    /// As a text of this form (a condition on it).
    Form(&'static str),
}

/// A number as text: neither a special value nor a form that only one of the parsers knows.
const NUMBER: &str = "~ '^-?[0-9]+([.][0-9]+)?(e[+-]?[0-9]{1,3})?$'";
const UUID: &str = "~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'";
const DATE: &str = "~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'";
const TIME: &str = "~ '^[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?$'";
const TIMESTAMP: &str = "~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$'";
const BOOL: &str = "in ('true', 'false')";
const ANY: &str = "is not null";

impl Conversion {
    /// How values of one type become values of another; none when there is no way that everybody would expect.
    pub fn between(from: &FieldType, to: &FieldType) -> Option<Self> {
        use FieldType as T;
        let textual = matches!(from, T::Text { .. } | T::Enum { .. });
        let how = match to {
            // The type in PostgreSQL is the same, but elements cannot be made up or left out.
            T::Vector { .. } if from != to => return None,
            _ if column_type(from) == column_type(to) => How::Cast,
            T::Int16 | T::Int32 | T::Int64 | T::Decimal { .. } | T::Float64
                if textual || from.is_numeric() =>
            {
                How::Number
            }
            T::Text { .. } | T::Enum { .. }
                if from.is_numeric() || matches!(from, T::Bool | T::Uuid | T::Json) =>
            {
                How::Cast
            }
            T::Bool if textual => How::Form(BOOL),
            T::Uuid if textual => How::Form(UUID),
            T::Date if textual => How::Form(DATE),
            T::Time if textual => How::Form(TIME),
            T::Timestamp if textual => How::Form(TIMESTAMP),
            T::Inet | T::Json if textual => How::Form(ANY),
            _ => return None,
        };
        Some(Self {
            to: to.clone(),
            how,
        })
    }

    /// A condition that holds where the value of `operand` converts. Null converts.
    pub fn test(&self, operand: &str) -> String {
        let to = column_type(&self.to);
        let text = format!("({operand})::text");
        let mut parts = Vec::new();
        match self.how {
            How::Cast => {}
            How::Form(form) => {
                parts.push(format!("{text} {form}"));
                parts.push(format!("pg_input_is_valid({text}, '{to}')"));
            }
            How::Number => {
                let number = format!("{text}::numeric");
                parts.push(format!("{text} {NUMBER}"));
                parts.push(format!("pg_input_is_valid({text}, 'numeric')"));
                parts.push(match &self.to {
                    FieldType::Decimal { precision, scale } => {
                        let digits = precision - scale;
                        format!("abs({number}) < 1e{digits} and round({number}, {scale}) = {number}")
                    }
                    FieldType::Float64 => format!(
                        "case when pg_input_is_valid({text}, '{to}') then {text}::{to}::numeric = {number} else false end"
                    ),
                    FieldType::Int16 => whole(&number, i16::MIN.into(), i16::MAX.into()),
                    FieldType::Int32 => whole(&number, i32::MIN.into(), i32::MAX.into()),
                    _ => whole(&number, i64::MIN, i64::MAX),
                });
            }
        }
        parts.extend(check_condition(&self.to, &self.convert(operand)));
        let Some(mut test) = parts.pop() else {
            return "true".into();
        };
        // `and` promises no order of evaluation, `case` does.
        while let Some(part) = parts.pop() {
            test = format!("case when {part} then {test} else false end");
        }
        format!("({operand} is null or {test})")
    }

    /// The value of `operand` in the other type.
    pub fn convert(&self, operand: &str) -> String {
        let to = column_type(&self.to);
        match self.how {
            How::Cast => format!("({operand})::{to}"),
            How::Form(_) => format!("({operand})::text::{to}"),
            How::Number => format!("({operand})::text::numeric::{to}"),
        }
    }
}

fn whole(number: &str, min: i64, max: i64) -> String {
    format!("{number} between {min} and {max} and trunc({number}) = {number}")
}
