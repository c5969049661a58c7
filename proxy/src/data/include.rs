//! `include=company,late:flights!origin_id(select=id;delay=gt.30;order=delay.desc;limit=5;include=destination)`.

use model::{ModelName, ModuleModel};
use sql::{
    filter::Filter,
    postgres::select::{Keep, Related},
};

use super::{
    order,
    parse::{LIMIT_DEFAULT, parse_limit},
    relation::{Names, Relation},
    select::{parse_alias, parse_select, twice},
    split::{split, unquoted},
    tree::{Included, Selected, Tree},
};
use crate::{
    problem::{FieldCode, FieldError},
    query::{count_conditions, group::GROUP_KEYS, parse_condition, parse_group, refuse, shown},
};

/// Deepest nesting of includes; the outermost is 1 (API.md "Defaults and ceilings").
pub(crate) const DEPTH_MAX: usize = 3;
/// Most includes beside each other (API.md "Defaults and ceilings").
pub(crate) const BREADTH_MAX: usize = 10;
/// Most includes of one request: each is a sub-select that the planner has to think about.
pub(super) const INCLUDES_MAX: usize = 50;

/// What the includes of a request hold altogether.
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// Models that are read, whose `.read` is needed.
    pub needs: Vec<ModelName>,
    /// Conditions, to be held against the bound of a request.
    pub conditions: usize,
    includes: usize,
}

/// Reads a list of includes of a model. `selected` are the names that its records show otherwise.
pub(super) fn parse_include<'a>(
    names: Names<'a>,
    model: &'a ModuleModel,
    text: &str,
    depth: usize,
    sum: &mut Sum,
) -> Result<Vec<Included>, FieldError> {
    if depth > DEPTH_MAX {
        let message = format!("nests at most {DEPTH_MAX} deep");
        return Err(refuse("include", FieldCode::LimitExceeded, message));
    }
    let items = split(text, b',').ok_or_else(malformed)?;
    if items.len() > BREADTH_MAX {
        let message = format!("takes at most {BREADTH_MAX} relations of one record");
        return Err(refuse("include", FieldCode::LimitExceeded, message));
    }
    let mut all: Vec<Included> = Vec::new();
    for item in items {
        sum.includes += 1;
        if sum.includes > INCLUDES_MAX {
            let message = format!("takes at most {INCLUDES_MAX} relations in all");
            return Err(refuse("include", FieldCode::LimitExceeded, message));
        }
        let included = parse_one(names, model, item.trim_matches(' '), depth, sum)?;
        if all.iter().any(|other| other.name == included.name) {
            let message = format!(
                "names {} twice; an alias is written alias:relation",
                shown(&included.name)
            );
            return Err(refuse("include", FieldCode::Duplicate, message));
        }
        all.push(included);
    }
    Ok(all)
}

/// 400 when a relation has the name of a value beside it.
pub(super) fn check_names(selected: &[Selected], included: &[Included]) -> Result<(), FieldError> {
    let clash = included
        .iter()
        .find(|i| selected.iter().any(|s| s.name == i.name));
    clash.map_or(Ok(()), |included| Err(twice(&included.name)))
}

fn malformed() -> FieldError {
    let message = "is a list such as company,late:deals!company_id(select=id;amount=gt.5;limit=5)";
    refuse("include", FieldCode::InvalidValue, message)
}

fn parse_one<'a>(
    names: Names<'a>,
    model: &'a ModuleModel,
    text: &str,
    depth: usize,
    sum: &mut Sum,
) -> Result<Included, FieldError> {
    let (head, body) = match text.split_once('(') {
        Some((head, rest)) => {
            let body = rest.strip_suffix(')').ok_or_else(malformed)?;
            (head, Some(body))
        }
        None => (text, None),
    };
    let (alias, path) = match head.split_once(':') {
        Some((alias, path)) => (Some(parse_alias("include", alias)?), path),
        None => (None, head),
    };
    let (mut keep, mut hint) = (Keep::All, None);
    let mut words = path.split('!').map(|w| w.trim_matches(' '));
    let name = words
        .next()
        .filter(|n| !n.is_empty())
        .ok_or_else(malformed)?;
    for word in words {
        match word {
            "inner" if keep == Keep::All => keep = Keep::Matched,
            "none" if keep == Keep::All => keep = Keep::Unmatched,
            // What PostgREST calls the default.
            "left" if keep == Keep::All => {}
            word if hint.is_none() && !["", "inner", "none", "left"].contains(&word) => {
                hint = Some(word)
            }
            _ => return Err(malformed()),
        }
    }
    let relation = names.relation("include", model, name, hint)?;
    sum.needs.push(relation.model.name().clone());
    let name = alias.unwrap_or_else(|| name.to_owned());
    parse_body(
        names,
        &relation,
        name,
        keep,
        body.unwrap_or_default(),
        depth,
        sum,
    )
}

fn parse_body<'a>(
    names: Names<'a>,
    relation: &Relation<'a>,
    name: String,
    keep: Keep,
    body: &str,
    depth: usize,
    sum: &mut Sum,
) -> Result<Included, FieldError> {
    let model = relation.model;
    let mut members = Vec::new();
    let mut selected = None;
    let mut order = Vec::new();
    let mut limit = LIMIT_DEFAULT.min(model.max_page_size());
    let mut included = Vec::new();
    let mut seen = Vec::new();
    let parameters = split(body, b';').ok_or_else(malformed)?;
    for parameter in parameters
        .into_iter()
        .filter(|p| !p.trim_matches(' ').is_empty())
    {
        let (key, value) = split_parameter(parameter).ok_or_else(malformed)?;
        let single = ["select", "order", "limit", "include"].contains(&key);
        if single && seen.contains(&key) {
            return Err(refuse(
                key,
                FieldCode::Duplicate,
                "is given twice in include",
            ));
        }
        seen.push(key);
        match key {
            "select" => selected = Some(parse_select(model, value)?),
            "order" | "limit" if relation.is_one => {
                let message = format!("is of no use in {}, which is one record", shown(&name));
                return Err(refuse(key, FieldCode::InvalidValue, message));
            }
            "order" => order = order::parse_keys(names, model, value, &mut sum.needs)?,
            "limit" => limit = parse_limit(model, value)?,
            "include" => included = parse_include(names, model, value, depth + 1, sum)?,
            key if GROUP_KEYS.contains(&key) => members.push(parse_group(model, key, value)?),
            key => members.push(parse_condition(model, key, &unquote_value(value))?),
        }
    }
    sum.conditions += members.iter().map(count_conditions).sum::<usize>();
    let selected =
        selected.unwrap_or_else(|| model.record_columns().iter().map(Selected::from).collect());
    check_names(&selected, &included)?;
    Ok(Included {
        name,
        tree: Tree::new(&selected, 0, &included),
        related: Related {
            link: relation.link(),
            model: model.name().clone(),
            filter: Filter::And(members),
            keep,
            order: order::with_id(model, &order),
            limit,
            outputs: selected.into_iter().map(|s| s.output).collect(),
            related: included.into_iter().map(|i| i.related).collect(),
        },
    })
}

/// `name=value`; the name of a filter may be a path with quotes.
fn split_parameter(text: &str) -> Option<(&str, &str)> {
    let name = split(text, b'=')?.first()?.len();
    let value = text.get(name + 1..)?;
    Some((text[..name].trim_matches(' '), value))
}

/// A condition whose value is wholly in quotes, which protect `;`, `,` and brackets here as they do in groups.
fn unquote_value(text: &str) -> String {
    let start = if text.starts_with("not.") { 4 } else { 0 };
    let value = text[start..].find('.').map(|dot| start + dot + 1);
    let meant = value.and_then(|at| Some(format!("{}{}", &text[..at], unquoted(&text[at..])?)));
    meant.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests;
