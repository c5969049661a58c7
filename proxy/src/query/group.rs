//! Groups: `or=(a.eq.1,and(b.gt.2,c.is.null))`, `not.or=(…)`.

use model::ModuleModel;
use sql::filter::Filter;

use super::{GROUP_DEPTH_MAX, filter::scan_condition, refuse, scan::Scan};
use crate::problem::{FieldCode, FieldError};

/// The parameters that hold a group.
pub const GROUP_KEYS: [&str; 4] = ["or", "and", "not.or", "not.and"];

/// Reads the value of one of [`GROUP_KEYS`]. A group has at least one member, and nothing follows its bracket.
pub fn parse_group(model: &ModuleModel, key: &str, text: &str) -> Result<Filter, FieldError> {
    let (negated, kind) = match key.strip_prefix("not.") {
        Some(kind) => (true, kind),
        None => (false, key),
    };
    let mut scan = Scan::new(text);
    scan.skip_spaces();
    let members = scan_members(model, key, &mut scan, 1)?;
    scan.skip_spaces();
    if !scan.is_done() {
        return Err(refuse(
            key,
            FieldCode::InvalidValue,
            "has text after its closing bracket",
        ));
    }
    wrap(key, negated, kind, members)
}

fn wrap(key: &str, negated: bool, kind: &str, members: Vec<Filter>) -> Result<Filter, FieldError> {
    let group = match kind {
        "or" => Filter::Or(members),
        "and" => Filter::And(members),
        _ => {
            return Err(refuse(
                key,
                FieldCode::UnknownField,
                "a group is or, and, not.or or not.and",
            ));
        }
    };
    Ok(if negated {
        Filter::Not(Box::new(group))
    } else {
        group
    })
}

fn scan_members(
    model: &ModuleModel,
    key: &str,
    scan: &mut Scan<'_>,
    depth: usize,
) -> Result<Vec<Filter>, FieldError> {
    if depth > GROUP_DEPTH_MAX {
        let message = format!("groups nest at most {GROUP_DEPTH_MAX} deep");
        return Err(refuse(key, FieldCode::LimitExceeded, message));
    }
    if !scan.take("(") {
        return Err(refuse(
            key,
            FieldCode::InvalidValue,
            "a group is written in brackets, such as (a.eq.1,b.gt.2)",
        ));
    }
    let mut members = Vec::new();
    loop {
        scan.skip_spaces();
        members.push(scan_member(model, key, scan, depth)?);
        scan.skip_spaces();
        if scan.take(")") {
            return Ok(members);
        }
        if !scan.take(",") {
            return Err(refuse(
                key,
                FieldCode::InvalidValue,
                "a group's members are separated by commas and closed by )",
            ));
        }
    }
}

fn scan_member(
    model: &ModuleModel,
    key: &str,
    scan: &mut Scan<'_>,
    depth: usize,
) -> Result<Filter, FieldError> {
    // `not`, `and` and `or` are reserved, so no field of a model is hidden by them.
    let negated = scan.take("not.");
    for kind in ["and", "or"] {
        let is_group = scan
            .rest()
            .strip_prefix(kind)
            .is_some_and(|r| r.starts_with('('));
        if is_group {
            scan.take(kind);
            let members = scan_members(model, key, scan, depth + 1)?;
            return wrap(key, negated, kind, members);
        }
    }
    if negated {
        return Err(refuse(
            key,
            FieldCode::InvalidOperator,
            "not stands before an operator or a group, as in a.not.eq.1",
        ));
    }
    if matches!(scan.peek(), None | Some(',' | ')')) {
        return Err(refuse(
            key,
            FieldCode::InvalidValue,
            "a group has at least one member",
        ));
    }
    scan_condition(model, scan)
}

#[cfg(test)]
mod tests;
