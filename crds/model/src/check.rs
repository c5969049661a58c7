//! Conditions on a record, in a small grammar of our own: never SQL.
//!
//! ```text
//! condition  = conjunction { "or" conjunction }
//! conjunction = negation { "and" negation }
//! negation   = "not" negation | "(" condition ")" | comparison
//! comparison = operand ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) operand
//!            | operand [ "not" ] "in" "(" constant { "," constant } ")"
//!            | operand [ "not" ] "between" operand "and" operand
//!            | field "is" [ "not" ] "null"
//!            | field                                     (of type bool)
//! operand    = field | "length" "(" field ")" | constant
//! constant   = number | "'" text "'" | "true" | "false"   ('' is a quote in a text)
//! ```
//!
//! As in SQL a comparison with null is neither true nor false, and a record is refused only where the condition is
//! false.

mod parse;
mod types;

use serde::{Deserialize, Serialize};

use crate::{Field, FieldType, Ident};

/// Longest condition in bytes (DESIGN 4).
pub const CHECK_BYTES_MAX: usize = 1_024;
/// Deepest nesting of parentheses and `not`.
pub const CHECK_DEPTH_MAX: usize = 16;

/// A condition on a record, as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name within the model.
    pub name: Ident,
    /// The condition, in the grammar of this module.
    pub expression: String,
}

/// A condition that fits the fields of its model: every constant is canonical for what it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Every one.
    And(Vec<Condition>),
    /// At least one.
    Or(Vec<Condition>),
    /// Its opposite.
    Not(Box<Condition>),
    /// Two values.
    Compare(Operand, Comparison, Operand),
    /// One of several constants.
    In(Operand, Vec<Operand>),
    /// Between two values, both included.
    Between(Operand, Operand, Operand),
    /// No value.
    IsNull(Ident),
    /// A field of type bool.
    Is(Ident),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A value in a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// Of a field.
    Field(Ident),
    /// Characters of a text field.
    Length(Ident),
    /// A constant of that type, in its canonical spelling.
    Constant(FieldType, String),
}

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Too long.
    #[error("is longer than {CHECK_BYTES_MAX} bytes")]
    TooLong,
    /// Too many parentheses.
    #[error("is nested more than {CHECK_DEPTH_MAX} deep")]
    TooDeep,
    /// Something else than the grammar has there.
    #[error("at character {at}: {expected} is expected")]
    Syntax {
        /// Counted from 1.
        at: usize,
        /// What the grammar has there.
        expected: &'static str,
    },
    /// A name that no field has.
    #[error("{0} names no field of this model")]
    UnknownField(String),
    /// Two values that cannot be compared so.
    #[error("{0}")]
    Type(String),
}

impl Check {
    /// Reads the condition against the fields of its model.
    pub fn condition(&self, fields: &[Field]) -> Result<Condition, CheckError> {
        types::check(parse::parse(&self.expression)?, fields)
    }
}

#[cfg(test)]
mod tests;
