//! What `Prefer: resolution=…` with `on_conflict` means for a body.

use std::collections::HashMap;

use model::{Field, ModuleModel};
use sql::postgres::insert::Key;

use crate::{
    data::{body::Input, prefer::Resolution},
    problem::{FieldCode, FieldError, Problem},
    query::refuse,
};

/// The key that decides, and what then happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Upsert<'a> {
    pub key: Key<'a>,
    pub resolution: Resolution,
}

/// Which key `on_conflict` names; one without the other says half of what is to be done.
pub(super) fn key_of<'m>(
    model: &'m ModuleModel,
    resolution: Option<Resolution>,
    on_conflict: Option<&[String]>,
) -> Result<Option<Upsert<'m>>, Problem> {
    let wrong = |message: String| {
        Problem::invalid(vec![refuse(
            "on_conflict",
            FieldCode::InvalidValue,
            message,
        )])
    };
    let (resolution, names) = match (resolution, on_conflict) {
        (None, None) => return Ok(None),
        (Some(resolution), Some(names)) => (resolution, names),
        (Some(_), None) => {
            let message = format!("is needed beside resolution: {}", choices(model));
            return Err(wrong(message));
        }
        (None, Some(_)) => {
            let message = "needs Prefer: resolution=merge-duplicates or ignore-duplicates";
            return Err(wrong(message.to_owned()));
        }
    };
    let same = |fields: &[model::Ident]| {
        fields.len() == names.len() && fields.iter().all(|f| names.iter().any(|n| n == f.as_str()))
    };
    let key = match names {
        [id] if id == "id" => Some(Key::Id),
        _ => model
            .shown_unique()
            .find(|unique| same(&unique.fields))
            .map(Key::Unique),
    };
    match key {
        Some(key) => Ok(Some(Upsert { key, resolution })),
        None => Err(wrong(format!("is {}", choices(model)))),
    }
}

fn choices(model: &ModuleModel) -> String {
    let mut choices = vec!["id".to_owned()];
    choices.extend(model.shown_unique().map(|unique| {
        let fields: Vec<_> = unique.fields.iter().map(model::Ident::as_str).collect();
        fields.join(",")
    }));
    choices.join(" or ")
}

/// The fields that a merge sets: those that were sent, which must be the same in every record unless `columns` names
/// them, since one statement sets the same fields of all.
pub(super) fn merged_fields<'m>(
    model: &'m ModuleModel,
    inputs: &[Input],
    columns: Option<&[String]>,
    key: Key<'_>,
) -> Result<Vec<&'m Field>, Problem> {
    let sent = |input: &Input| input.values.iter().map(Option::is_some).collect::<Vec<_>>();
    let first = inputs.first().map(sent).unwrap_or_default();
    let is_key = |field: &Field| match key {
        Key::Id => false,
        Key::Unique(unique) => unique.fields.contains(&field.name),
    };
    let other = inputs.iter().position(|input| sent(input) != first);
    if let (None, Some(row)) = (columns, other) {
        let message = "has other fields than the first record; name the fields in columns=";
        let error = refuse("row", FieldCode::InvalidValue, message);
        return Err(Problem::invalid(vec![FieldError {
            row: Some(row),
            ..error
        }]));
    }
    let fields = model.fields().iter().enumerate();
    let set = fields.filter(|(at, field)| {
        let named = match columns {
            Some(columns) => columns.iter().any(|c| c == field.name.as_str()),
            None => first.get(*at) == Some(&true),
        };
        named && !is_key(field)
    });
    Ok(set.map(|(_, field)| field).collect())
}

/// The values of a key in a row; `None` when one is null, which is like nothing.
pub(super) fn key_values<'v>(
    model: &ModuleModel,
    key: Key<'_>,
    id: &'v str,
    values: &'v [Option<String>],
) -> Option<Vec<&'v str>> {
    match key {
        Key::Id => Some(vec![id]),
        Key::Unique(unique) => {
            let fields = model.fields().iter().zip(values);
            fields
                .filter(|(field, _)| unique.fields.contains(&field.name))
                .map(|(_, value)| value.as_deref())
                .collect()
        }
    }
}

/// The first row that has the key of one before it.
pub(super) fn repeated(
    model: &ModuleModel,
    key: Key<'_>,
    ids: &[String],
    rows: &[Vec<Option<String>>],
) -> Option<usize> {
    let mut seen = HashMap::new();
    ids.iter()
        .zip(rows)
        .enumerate()
        .find_map(|(row, (id, values))| {
            let key = key_values(model, key, id, values)?;
            seen.insert(key, row).map(|_| row)
        })
}

/// The names of a key's fields.
pub(super) fn key_names(key: Key<'_>) -> Vec<&str> {
    match key {
        Key::Id => vec!["id"],
        Key::Unique(unique) => unique.fields.iter().map(model::Ident::as_str).collect(),
    }
}
