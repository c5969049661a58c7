//! What is answered of a row: columns, places in their JSON, and either as another type.

use model::{Column, FieldType};

use crate::{filter::Operand, postgres::binds::Binds};

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// What is read.
    pub operand: Operand,
    /// As what it is answered, where that is not its own type.
    pub cast: Option<Cast>,
}

/// A type that a value can be answered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// PostgreSQL's own text of the value.
    Text,
    /// `smallint`
    Int16,
    /// `integer`
    Int32,
    /// `bigint`
    Int64,
    /// `double precision`
    Float64,
    /// `numeric`, without bounds.
    Decimal,
    /// `boolean`
    Bool,
    /// `date`
    Date,
    /// `timestamptz`
    Timestamp,
}

impl From<Column> for Output {
    fn from(column: Column) -> Self {
        Self {
            operand: column.into(),
            cast: None,
        }
    }
}

impl Output {
    /// The column, if it is one as it stands.
    pub fn plain(&self) -> Option<&Column> {
        let is_plain = self.cast.is_none() && self.operand.path.is_none();
        is_plain.then_some(&self.operand.column)
    }
}

impl Cast {
    fn as_sql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int16 => "smallint",
            Self::Int32 => "integer",
            Self::Int64 => "bigint",
            Self::Float64 => "double precision",
            Self::Decimal => "numeric",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamptz",
        }
    }
}

impl Binds {
    /// Values of a row, separated by commas.
    pub fn outputs(&mut self, outputs: &[Output]) -> String {
        let each: Vec<_> = outputs.iter().map(|o| self.output(o)).collect();
        each.join(", ")
    }

    pub(super) fn output(&mut self, output: &Output) -> String {
        let expression = self.operand(&output.operand);
        match output.cast {
            Some(cast) => format!("{expression}::{}", cast.as_sql()),
            None => expression,
        }
    }

    /// A value as the text that the wire would carry of it, but for `true` and `false`.
    pub(super) fn output_as_text(&mut self, output: &Output) -> String {
        let expression = self.output(output);
        match (output.cast, output.operand.field_type()) {
            (Some(Cast::Text), _) | (None, FieldType::Text { .. } | FieldType::Enum { .. }) => {
                expression
            }
            // The cast to text writes the mask of a single address, the wire does not.
            (None, FieldType::Inet) => format!("abbrev({expression})"),
            _ => format!("{expression}::text"),
        }
    }
}
