//! The operations of a body, before their models are known.

use serde_json::value::RawValue;

use super::{OPERATIONS_MAX, at_row};
use crate::{
    data::body::Object,
    problem::{ERRORS_MAX, FieldCode, FieldError, Problem, ProblemKind},
    query::refuse,
};

/// Longest local name: it is a name and not a value.
const REFERENCE_BYTES_MAX: usize = 64;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A new record.
    Create,
    /// A partial change.
    Update,
    /// A new record, or a change of the one that has its key.
    Upsert,
    /// A deletion.
    Delete,
    /// Taking back a deletion.
    Restore,
}

/// One operation as it was sent.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    pub kind: Kind,
    /// The model, as asked.
    pub model: String,
    /// `ref`: its name for the operations that follow.
    pub reference: Option<String>,
    /// `id`: JSON.
    pub id: Option<&'a RawValue>,
    /// `version`: JSON.
    pub version: Option<&'a RawValue>,
    /// `on_conflict`: the key of an upsert, `id` when not sent.
    pub on_conflict: Vec<String>,
    /// Members of `data`, repeated names included.
    pub data: Vec<(String, &'a RawValue)>,
}

/// Reads a body. Everything that is wrong with the form of operations is told at once.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Operation<'_>>, Problem> {
    let malformed = |_| Problem::new(ProblemKind::Validation, "The body is not a JSON object.");
    let text = std::str::from_utf8(body)
        .map_err(|_| Problem::new(ProblemKind::Validation, "The body is not UTF-8."))?;
    let Object(members) = serde_json::from_str(text).map_err(malformed)?;
    let mut operations = None;
    for (name, raw) in members {
        let error = match name.as_str() {
            "operations" if operations.is_some() => (FieldCode::Duplicate, "appears twice"),
            "operations" => {
                operations = Some(raw);
                continue;
            }
            _ => (FieldCode::UnknownField, "is not a member of a batch"),
        };
        return Err(Problem::invalid(vec![refuse(&name, error.0, error.1)]));
    }
    let list = |code, message: String| Problem::invalid(vec![refuse("operations", code, message)]);
    let raw = operations.ok_or_else(|| list(FieldCode::Required, "is required".into()))?;
    let items: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| list(FieldCode::InvalidValue, "is not an array".into()))?;
    if items.is_empty() {
        return Err(list(FieldCode::Required, "is empty".into()));
    }
    if items.len() > OPERATIONS_MAX {
        let message = format!("has at most {OPERATIONS_MAX} operations");
        return Err(list(FieldCode::LimitExceeded, message));
    }
    let (mut parsed, mut errors) = (Vec::with_capacity(items.len()), Vec::new());
    let mut names = std::collections::HashSet::new();
    for (row, item) in items.into_iter().enumerate() {
        let mut wrong = Vec::new();
        let operation = parse_one(item.get(), &mut wrong);
        if let Some(name) = operation.as_ref().and_then(|o| o.reference.as_ref())
            && !names.insert(name.clone())
        {
            wrong.push(refuse("ref", FieldCode::Duplicate, "is given twice"));
        }
        errors.extend(wrong.into_iter().map(|e| at_row(e, row)));
        parsed.extend(operation);
        if errors.len() >= ERRORS_MAX {
            break;
        }
    }
    if errors.is_empty() {
        Ok(parsed)
    } else {
        Err(Problem::invalid(errors))
    }
}

fn parse_one<'a>(text: &'a str, errors: &mut Vec<FieldError>) -> Option<Operation<'a>> {
    let Ok(Object(members)) = serde_json::from_str::<Object<'a>>(text) else {
        let message = "is not an object";
        errors.push(refuse("operations", FieldCode::InvalidValue, message));
        return None;
    };
    let [
        mut op,
        mut model,
        mut reference,
        mut id,
        mut version,
        mut data,
        mut on_conflict,
    ] = [None; 7];
    for (name, raw) in &members {
        let slot = match name.as_str() {
            "op" => &mut op,
            "model" => &mut model,
            "ref" => &mut reference,
            "id" => &mut id,
            "version" => &mut version,
            "data" => &mut data,
            "on_conflict" => &mut on_conflict,
            _ => {
                let message = "is not a member of an operation";
                errors.push(refuse(name, FieldCode::UnknownField, message));
                continue;
            }
        };
        if slot.replace(*raw).is_some() {
            errors.push(refuse(name, FieldCode::Duplicate, "appears twice"));
        }
    }
    let kind = parse_kind(op).map_err(|e| errors.push(e)).ok();
    let model = parse_text("model", model)
        .and_then(|model| model.ok_or_else(|| refuse("model", FieldCode::Required, "is required")));
    let reference = parse_text("ref", reference).and_then(|name| match name {
        Some(name) if !is_name(&name) => {
            let message = "is 1 to 64 letters, digits, _ or -";
            Err(refuse("ref", FieldCode::InvalidValue, message))
        }
        name => Ok(name),
    });
    let (model, reference) = (
        model.map_err(|e| errors.push(e)).ok(),
        reference.map_err(|e| errors.push(e)).ok(),
    );
    let kind = kind?;
    errors.extend(misplaced(kind, id, version, data));
    let on_conflict = parse_key(kind, on_conflict)
        .map_err(|e| errors.push(e))
        .ok();
    let data = match data.map(|raw| serde_json::from_str(raw.get())) {
        Some(Ok(Object(members))) => members,
        Some(Err(_)) => {
            errors.push(refuse("data", FieldCode::InvalidValue, "is not an object"));
            return None;
        }
        None => Vec::new(),
    };
    Some(Operation {
        kind,
        model: model?,
        reference: reference?,
        id,
        version,
        on_conflict: on_conflict?,
        data,
    })
}

fn parse_kind(op: Option<&RawValue>) -> Result<Kind, FieldError> {
    let op = parse_text("op", op)?;
    match op.as_deref() {
        Some("create") => Ok(Kind::Create),
        Some("update") => Ok(Kind::Update),
        Some("delete") => Ok(Kind::Delete),
        Some("upsert") => Ok(Kind::Upsert),
        Some("restore") => Ok(Kind::Restore),
        Some(_) => {
            let message = "is create, update, delete, upsert or restore";
            Err(refuse("op", FieldCode::InvalidValue, message))
        }
        None => Err(refuse("op", FieldCode::Required, "is required")),
    }
}

/// Members that the operation needs and has not, or has and cannot use.
fn misplaced(
    kind: Kind,
    id: Option<&RawValue>,
    version: Option<&RawValue>,
    data: Option<&RawValue>,
) -> Vec<FieldError> {
    let required = |name: &str| refuse(name, FieldCode::Required, "is required");
    let useless = |name: &str| refuse(name, FieldCode::UnknownField, "is not for this operation");
    let mut errors = Vec::new();
    if matches!(kind, Kind::Create | Kind::Upsert) {
        errors.extend(version.map(|_| useless("version")));
    } else if id.is_none() {
        errors.push(required("id"));
    }
    match (kind, data) {
        (Kind::Create | Kind::Update | Kind::Upsert, None) => errors.push(required("data")),
        (Kind::Delete | Kind::Restore, Some(_)) => errors.push(useless("data")),
        _ => {}
    }
    errors
}

/// The names of an upsert's key.
fn parse_key(kind: Kind, raw: Option<&RawValue>) -> Result<Vec<String>, FieldError> {
    let wrong = |code, message: &str| Err(refuse("on_conflict", code, message));
    match (kind, raw) {
        (Kind::Upsert, None) => Ok(vec!["id".to_owned()]),
        (Kind::Upsert, Some(raw)) => match serde_json::from_str(raw.get()) {
            Ok(names) => Ok(names),
            Err(_) => wrong(FieldCode::InvalidValue, "is not an array of names"),
        },
        (_, None) => Ok(Vec::new()),
        (_, Some(_)) => wrong(FieldCode::UnknownField, "is not for this operation"),
    }
}

/// The text of a JSON string.
fn parse_text(name: &str, raw: Option<&RawValue>) -> Result<Option<String>, FieldError> {
    let Some(raw) = raw else { return Ok(None) };
    let text = serde_json::from_str(raw.get());
    text.map(Some)
        .map_err(|_| refuse(name, FieldCode::InvalidValue, "is not a string"))
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..=REFERENCE_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[(&str, FieldCode, Option<usize>)]) {
        let errors = match parse(body.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(problem) => problem.errors,
        };
        let found: Vec<_> = errors
            .iter()
            .map(|e| (e.field.as_str(), e.code, e.row))
            .collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn an_operation_has_what_it_needs_and_nothing_else() {
        use FieldCode::{Duplicate, InvalidValue, LimitExceeded, Required, UnknownField};
        check(
            r#"{"operations":[{"op":"create","model":"a","ref":"x-1_Y","data":{}},{"op":"delete","model":"a","id":"i","version":1}]}"#,
            &[],
        );
        check("{}", &[("operations", Required, None)]);
        check(r#"{"operations":[]}"#, &[("operations", Required, None)]);
        check(
            r#"{"operations":{}}"#,
            &[("operations", InvalidValue, None)],
        );
        check(
            r#"{"operations":[],"operations":[]}"#,
            &[("operations", Duplicate, None)],
        );
        check(
            r#"{"more":1,"operations":[]}"#,
            &[("more", UnknownField, None)],
        );
        check(
            r#"{"operations":[7]}"#,
            &[("operations", InvalidValue, Some(0))],
        );
        check(
            r#"{"operations":[{}]}"#,
            &[("op", Required, Some(0)), ("model", Required, Some(0))],
        );
        let create = r#"{"op":"create","model":"a","data":{}}"#;
        for (wrong, expected) in [
            (
                r#"{"op":"replace","model":"a"}"#,
                vec![("op", InvalidValue)],
            ),
            (r#"{"op":"create","model":"a"}"#, vec![("data", Required)]),
            (
                r#"{"op":"create","model":"a","data":[]}"#,
                vec![("data", InvalidValue)],
            ),
            (
                r#"{"op":"create","model":1,"data":{}}"#,
                vec![("model", InvalidValue)],
            ),
            (
                r#"{"op":"create","model":"a","data":{},"version":1}"#,
                vec![("version", UnknownField)],
            ),
            (
                r#"{"op":"create","model":"a","data":{},"data":{}}"#,
                vec![("data", Duplicate)],
            ),
            (
                r#"{"op":"create","model":"a","data":{},"ref":"a.b"}"#,
                vec![("ref", InvalidValue)],
            ),
            (
                r#"{"op":"create","model":"a","data":{},"ref":""}"#,
                vec![("ref", InvalidValue)],
            ),
            (
                r#"{"op":"create","model":"a","data":{},"if":1}"#,
                vec![("if", UnknownField)],
            ),
            (
                r#"{"op":"create","model":"a","data":{},"on_conflict":["id"]}"#,
                vec![("on_conflict", UnknownField)],
            ),
            (
                r#"{"op":"upsert","model":"a","data":{},"on_conflict":"id"}"#,
                vec![("on_conflict", InvalidValue)],
            ),
            (
                r#"{"op":"update","model":"a"}"#,
                vec![("id", Required), ("data", Required)],
            ),
            (
                r#"{"op":"delete","model":"a","id":"i","data":{}}"#,
                vec![("data", UnknownField)],
            ),
            (
                r#"{"op":"restore","model":"a","data":{}}"#,
                vec![("id", Required), ("data", UnknownField)],
            ),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(f, c)| (f, c, Some(1))).collect();
            check(&format!("{{\"operations\":[{create},{wrong}]}}"), &expected);
        }
        let twice = r#"{"op":"create","model":"a","data":{},"ref":"r"}"#;
        check(
            &format!("{{\"operations\":[{twice},{twice}]}}"),
            &[("ref", Duplicate, Some(1))],
        );
        let many = |n| format!("{{\"operations\":[{}]}}", vec![create; n].join(","));
        check(&many(100), &[]);
        check(&many(101), &[("operations", LimitExceeded, None)]);
    }
}
