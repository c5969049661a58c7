//! `select=id,total:amount,amount::text,extra->crew->>captain`.

use model::{FieldType, ModuleModel};
use sql::{
    filter::Operand,
    postgres::select::{Cast, Output},
};

use super::{split::split, tree::Selected};
use crate::{
    problem::{FieldCode, FieldError},
    query::{operand::parse_operand, refuse, shown},
};

/// Most values of one `select`: every column of the widest model (128 fields, 8 of ours), and some of them twice.
pub(crate) const SELECT_MAX: usize = 200;
/// Most characters of an alias, as many as PostgreSQL's names have bytes.
const ALIAS_CHARS_MAX: usize = 63;

/// Reads a list of what a record shows. `*` is everything that it shows anyway.
pub(super) fn parse_select(model: &ModuleModel, text: &str) -> Result<Vec<Selected>, FieldError> {
    let malformed = || {
        let message = "is a list such as id,total:amount,amount::text,extra->a->>b";
        refuse("select", FieldCode::InvalidValue, message)
    };
    let mut all: Vec<Selected> = Vec::new();
    for item in split(text, b',').ok_or_else(malformed)? {
        match item.trim_matches(' ') {
            "" => return Err(malformed()),
            "*" => all.extend(model.record_columns().iter().map(Selected::from)),
            item => all.push(parse_item(model, item)?),
        }
        if all.len() > SELECT_MAX {
            let message = format!("takes at most {SELECT_MAX} values");
            return Err(refuse("select", FieldCode::LimitExceeded, message));
        }
    }
    for (i, selected) in all.iter().enumerate() {
        if all[..i].iter().any(|other| other.name == selected.name) {
            return Err(twice(&selected.name));
        }
    }
    Ok(all)
}

/// Two values of a record cannot have one name.
pub(super) fn twice(name: &str) -> FieldError {
    let message = format!(
        "names {} twice; an alias is written alias:field",
        shown(name)
    );
    refuse("select", FieldCode::Duplicate, message)
}

fn parse_item(model: &ModuleModel, text: &str) -> Result<Selected, FieldError> {
    if text.starts_with("...") || text.contains('(') && !text.contains('"') {
        return Err(not_a_field(text));
    }
    let (alias, text) = match alias_of(text) {
        Some((alias, rest)) => (Some(parse_alias("select", alias)?), rest),
        None => (None, text),
    };
    let (text, cast) = match split_last(text, "::") {
        Some((text, cast)) => (text, Some(cast)),
        None => (text, None),
    };
    let operand = parse_operand(model, text.trim_matches(' '))?;
    let cast = cast
        .map(|name| parse_cast(text, &operand, name))
        .transpose()?;
    let name = alias.unwrap_or_else(|| default_name(&operand));
    Ok(Selected {
        name,
        output: Output { operand, cast },
    })
}

/// What other servers take in `select` and we take elsewhere.
fn not_a_field(text: &str) -> FieldError {
    let message = match text {
        _ if text.starts_with("...") => "takes no spread; use include",
        _ if text.ends_with("()") => "takes no aggregates; use POST analytics",
        _ => "takes no relations; use include",
    };
    refuse("select", FieldCode::InvalidValue, message)
}

/// `alias:rest`; the colons of a cast are none of it, nor are those of a quoted key.
fn alias_of(text: &str) -> Option<(&str, &str)> {
    let at = text.find(':')?;
    let (alias, rest) = (&text[..at], &text[at + 1..]);
    let is_alias = !rest.starts_with(':') && !alias.contains("->");
    is_alias.then_some((alias, rest))
}

/// An alias is a key of JSON and a header of CSV, so it may have letters of any script.
pub(super) fn parse_alias(parameter: &str, alias: &str) -> Result<String, FieldError> {
    let alias = alias.trim_matches(' ');
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | ' ');
    let length = alias.chars().count();
    if length == 0 || length > ALIAS_CHARS_MAX || !alias.chars().all(fits) {
        let message =
            format!("an alias is 1 to {ALIAS_CHARS_MAX} letters, digits, spaces, _, - and $");
        return Err(refuse(parameter, FieldCode::InvalidValue, message));
    }
    Ok(alias.to_owned())
}

fn split_last<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let (head, tail) = text.rsplit_once(separator)?;
    // Inside of a quoted key it is data.
    (!tail.contains('"')).then_some((head, tail.trim_matches(' ')))
}

/// The last key of a path, passing over indexes; else the column.
fn default_name(operand: &Operand) -> String {
    let steps = operand.path.as_ref().map(|p| p.steps.as_slice());
    let is_index = |step: &&String| step.parse::<i64>().is_ok();
    let key = steps
        .unwrap_or_default()
        .iter()
        .rev()
        .find(|s| !is_index(s));
    key.map_or(operand.column.name.as_str(), String::as_str)
        .to_owned()
}

fn parse_cast(shown: &str, operand: &Operand, name: &str) -> Result<Cast, FieldError> {
    let cast = match name {
        "text" => Cast::Text,
        "int16" | "int2" | "smallint" => Cast::Int16,
        "int32" | "int4" | "int" | "integer" => Cast::Int32,
        "int64" | "int8" | "bigint" => Cast::Int64,
        "float64" | "float8" | "double precision" => Cast::Float64,
        "decimal" | "numeric" => Cast::Decimal,
        "bool" | "boolean" => Cast::Bool,
        "date" => Cast::Date,
        "timestamp" | "timestamptz" => Cast::Timestamp,
        _ => {
            let message = format!(
                "there is no cast to {}; there are text int16 int32 int64 float64 decimal bool date timestamp",
                crate::query::shown(name)
            );
            return Err(refuse(shown, FieldCode::InvalidValue, message));
        }
    };
    let from = operand.field_type();
    if is_castable(from, cast) {
        return Ok(cast);
    }
    let message = format!(
        "type {} cannot be cast to {}",
        from.name(),
        crate::query::shown(name)
    );
    Err(refuse(shown, FieldCode::InvalidOperator, message))
}

/// The casts that PostgreSQL has. Whether a value has the form that one needs shows when it is read.
fn is_castable(from: &FieldType, to: Cast) -> bool {
    use Cast::{Bool, Date, Decimal, Float64, Int16, Int32, Int64, Text, Timestamp};
    let number = matches!(to, Int16 | Int32 | Int64 | Float64 | Decimal);
    match from {
        _ if to == Text => true,
        FieldType::Text { .. } | FieldType::Enum { .. } => true,
        FieldType::Int32 => number || to == Bool,
        FieldType::Int16 | FieldType::Int64 | FieldType::Float64 | FieldType::Decimal { .. } => {
            number
        }
        FieldType::Json => number || to == Bool,
        FieldType::Bool => matches!(to, Bool | Int32),
        FieldType::Date | FieldType::Timestamp => matches!(to, Date | Timestamp),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
