//! The parameters and headers of a write.

use http::{HeaderMap, HeaderName, header};
use model::ModuleModel;

use super::{
    body::{Purpose, SERVER_KEPT},
    parse,
    tree::Selected,
};
use crate::{
    problem::{FieldCode, FieldError, Problem},
    query::refuse,
};

/// What the query string of a write says beside its filters.
#[derive(Debug, Default)]
pub(super) struct WriteQuery {
    /// `select`, if given.
    pub select: Option<Vec<Selected>>,
    /// `columns`, if given: the members of the body that count.
    pub columns: Option<Vec<String>>,
    /// `on_conflict`, if given.
    pub on_conflict: Option<Vec<String>>,
    /// Everything else.
    pub rest: Vec<(String, String)>,
}

impl WriteQuery {
    /// Takes `select`, `columns` and `on_conflict` out of the parameters.
    pub fn parse(
        model: &ModuleModel,
        query: &[(String, String)],
        purpose: Purpose,
    ) -> Result<Self, Problem> {
        let (mut select, mut rest) = (Vec::new(), Vec::new());
        let mut parsed = Self::default();
        let mut errors = Vec::new();
        for (name, value) in query {
            let list = match name.as_str() {
                "select" => {
                    select.push((name.clone(), value.clone()));
                    continue;
                }
                "columns" => &mut parsed.columns,
                "on_conflict" if purpose == Purpose::Create => &mut parsed.on_conflict,
                _ => {
                    rest.push((name.clone(), value.clone()));
                    continue;
                }
            };
            if list.is_some() {
                errors.push(refuse(name, FieldCode::Duplicate, "is given twice"));
            } else {
                let names = value.split(',').map(|n| n.trim_matches(' ').to_owned());
                *list = Some(names.collect());
            }
        }
        for name in parsed.columns.iter().flatten() {
            errors.extend(unwritable(model, name, purpose));
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        parsed.select = parse::parse_one(model, &select)?;
        parsed.rest = rest;
        Ok(parsed)
    }

    /// 400 naming every parameter that was not taken.
    pub fn nothing_else(&self) -> Result<(), Problem> {
        crate::query::no_parameters(&self.rest)
    }
}

fn unwritable(model: &ModuleModel, name: &str, purpose: Purpose) -> Option<FieldError> {
    let is_known = match name {
        "id" => matches!(purpose, Purpose::Create | Purpose::PatchById),
        "version" => matches!(purpose, Purpose::Patch | Purpose::PatchById),
        _ => model.field(name).is_some(),
    };
    if is_known {
        None
    } else if model.column(name).is_some() || SERVER_KEPT.contains(&name) {
        Some(refuse(name, FieldCode::ReadOnly, "is kept by the server"))
    } else {
        Some(crate::query::unknown_field(model, name))
    }
}

/// 400 for conditions that name the state of one record where the request is not about one. Ignoring a condition would
/// write what the client did not want written (RFC 9110, 13.1).
pub(super) fn no_conditions(headers: &HeaderMap, names: &[HeaderName]) -> Result<(), Problem> {
    let sent = names.iter().filter(|name| headers.contains_key(*name));
    let errors: Vec<_> = sent
        .map(|name| {
            let (word, message) = match *name {
                header::IF_MATCH => (
                    "If-Match",
                    "names the version of one record, and this is not a write of one that is there",
                ),
                _ => (
                    "If-None-Match",
                    "is a condition of reads; a write takes If-Match",
                ),
            };
            refuse(word, FieldCode::InvalidValue, message)
        })
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}
