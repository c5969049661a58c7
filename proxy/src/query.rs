//! The query language: filters, groups, order and page of a request, read against a model.
//!
//! Everything here is pure and is shared by CRUD and analytics. What it returns names columns of the model only
//! and holds canonical values; whatever is refused is refused here, before a connection is taken.

pub mod filter;
pub mod group;
mod literal;
pub mod operand;
pub mod operators;
pub mod order;
mod scan;
pub mod search;

pub use filter::parse_condition;
pub use group::parse_group;
pub use operand::parse_operand;
pub use order::parse_order;

use model::{ModuleModel, ValueError};

use crate::problem::{FieldCode, FieldError, Problem};

/// Most conditions of one request, groups included (API.md "Writing": defaults and ceilings).
pub const FILTERS_MAX: usize = 50;
/// Most values of one `in`.
pub const IN_VALUES_MAX: usize = 1_000;
/// Most values of one `(any)` or `(all)`: unlike those of `in`, each is asked of each row.
pub const QUANTIFIED_VALUES_MAX: usize = 100;
/// Most characters of a regular expression: room for any that a person writes, and PostgreSQL compiles it without a
/// bound of its own but memory.
pub const PATTERN_CHARS_MAX: usize = 256;
/// Deepest nesting of groups; the outermost `or=(…)` is 1.
pub const GROUP_DEPTH_MAX: usize = 5;

/// Most characters of a client's own word that an error repeats.
const SHOWN_CHARS_MAX: usize = 64;

/// An error of one field or parameter, whose name is repeated up to a bound.
pub(crate) fn refuse(field: &str, code: FieldCode, message: impl Into<String>) -> FieldError {
    FieldError {
        field: shown(field),
        code,
        message: message.into(),
        row: None,
    }
}

/// A client's own word as an error repeats it.
pub(crate) fn shown(word: &str) -> String {
    word.chars().take(SHOWN_CHARS_MAX).collect()
}

/// 400 naming every parameter of a path that takes none.
pub(crate) fn no_parameters(query: &[(String, String)]) -> Result<(), Problem> {
    if query.is_empty() {
        return Ok(());
    }
    let refuse = |(name, _): &(String, String)| {
        refuse(name, FieldCode::UnknownField, "is not a parameter here")
    };
    Err(Problem::invalid(query.iter().map(refuse).collect()))
}

/// The code for what is wrong with a value.
pub(crate) fn code_of(error: &ValueError) -> FieldCode {
    match error {
        ValueError::Malformed(_) | ValueError::Nul => FieldCode::InvalidValue,
        ValueError::OutOfRange => FieldCode::OutOfRange,
        ValueError::TooLong(_) => FieldCode::TooLong,
        ValueError::NotInEnum => FieldCode::NotInEnum,
    }
}

/// The error for a name that is no column of the model. It repeats the client's own word, bounded.
pub(crate) fn unknown_field(model: &ModuleModel, field: &str) -> FieldError {
    refuse(
        field,
        FieldCode::UnknownField,
        format!("is not a field of {}", model.name().model.as_str()),
    )
}

/// The error for what asks for deleted records where none are kept.
pub(crate) fn keeps_no_deleted(model: &ModuleModel, parameter: &str) -> FieldError {
    let name = model.name().model.as_str();
    let message = format!("{name} keeps no deleted records");
    refuse(parameter, FieldCode::InvalidValue, message)
}

/// How many conditions a filter holds, to be held against [`FILTERS_MAX`].
pub fn count_conditions(filter: &sql::filter::Filter) -> usize {
    use sql::filter::Filter;
    match filter {
        Filter::Condition(_) => 1,
        Filter::And(list) | Filter::Or(list) => list.iter().map(count_conditions).sum(),
        Filter::Not(inner) => count_conditions(inner),
    }
}
