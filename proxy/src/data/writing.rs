//! The parameters and headers of a write.

use http::{HeaderMap, HeaderName, header};
use model::ModuleModel;
use sql::filter::Filter;

use super::{
    body::{Purpose, SERVER_KEPT},
    parse,
    tree::Selected,
};
use crate::{
    problem::{FieldCode, FieldError, Problem},
    query::{FILTERS_MAX, count_conditions, refuse},
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
                "columns" if purpose != Purpose::Delete => &mut parsed.columns,
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

    /// What the other parameters find. At least one is needed, and all of them are filters: a list's other parameters
    /// say what is shown of records, or which of them, in ways that a write has not.
    pub fn filter(&self, model: &ModuleModel) -> Result<Filter, Problem> {
        let (mut members, mut errors) = (Vec::new(), Vec::new());
        for (name, value) in &self.rest {
            if parse::SINGLE.contains(&name.as_str()) {
                let message = "is a parameter of lists; a write over several records takes filters and select";
                errors.push(refuse(name, FieldCode::UnknownField, message));
                continue;
            }
            match parse::parse_filter(model, name, value) {
                Ok(filter) => members.push(filter),
                Err(error) => errors.push(error),
            }
        }
        if members.is_empty() && errors.is_empty() {
            let message =
                "say which records are meant, such as id=in.(…); without one nothing is written";
            errors.push(refuse("filters", FieldCode::Required, message));
        }
        if members.iter().map(count_conditions).sum::<usize>() > FILTERS_MAX {
            let message = format!("a request has at most {FILTERS_MAX} filters");
            errors.push(refuse("filters", FieldCode::LimitExceeded, message));
        }
        match errors.is_empty() {
            true => Ok(Filter::And(members)),
            false => Err(Problem::invalid(errors)),
        }
    }

    /// The filters as a query string, for who is asked about them.
    pub fn filter_text(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.rest)
            .finish()
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
