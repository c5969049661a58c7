//! Records in a body, read by the model: JSON, NDJSON or CSV, all by one parser of values. All that is wrong is told at
//! once.

mod csv;
mod format;
mod merge;
mod object;
mod value;

use model::{Field, FieldType, ModuleModel, ValueUse, parse_value};
use sql::postgres::update::JsonChange;

pub(super) use format::{Format, OF_CHANGE, OF_CREATE, OF_PATCH};
use object::Elements;
pub(super) use object::Object;
use value::Given;

use super::prefer::Missing;
use crate::{
    problem::{ERRORS_MAX, FieldCode, FieldError, Problem, ProblemKind},
    query::refuse,
};

/// Most records of one body (API.md "Writing": bulk 1,000 rows).
pub(crate) const ROWS_MAX: usize = 1_000;

/// Columns that nobody sets.
pub(super) const SERVER_KEPT: [&str; 7] = [
    "tenant_id",
    "created_at",
    "updated_at",
    "created_by",
    "updated_by",
    "deleted_at",
    "delete_id",
];

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A new record: `id` may be sent.
    Create,
    /// A change of the record that the path names: `version` may be sent, as the one that the client expects.
    Patch,
    /// A change of the record that `id` in the body names; `version` as with [`Self::Patch`].
    PatchById,
    /// A change of every record that a filter finds: neither `id` nor `version`.
    PatchByFilter,
    /// None: a deletion has no values.
    Delete,
}

/// A record as it was meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Input {
    /// `id`, if sent.
    pub id: Option<String>,
    /// `version`, if sent.
    pub version: Option<i64>,
    /// By field of the model: not sent, null, or a canonical value.
    pub values: Vec<Option<Option<String>>>,
}

/// How many records a body is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// A JSON object.
    One(Input),
    /// A JSON array, NDJSON or CSV: any number, none included.
    Many(Vec<Input>),
}

/// How a body is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    /// Whose records.
    pub model: &'a ModuleModel,
    /// What for.
    pub purpose: Purpose,
    /// `columns=`: members of other names are passed over, right or wrong.
    pub columns: Option<&'a [String]>,
    /// What the bytes are.
    pub format: Format,
}

/// Reads a body that is one JSON object. A value that the type cannot hold, an unknown or server-kept name, a name that
/// is given twice, a required field that is set to null and, on create, one that is missing and has no default are
/// errors, told together.
pub(super) fn parse_body(
    model: &ModuleModel,
    body: &[u8],
    purpose: Purpose,
) -> Result<Input, Problem> {
    let reading = Reading {
        model,
        purpose,
        columns: None,
        format: Format::Json,
    };
    reading.one(body)
}

impl Reading<'_> {
    /// Reads a body that is one record.
    pub fn one(&self, body: &[u8]) -> Result<Input, Problem> {
        match self.parse(body)? {
            Sent::One(input) => Ok(input),
            Sent::Many(_) => Err(malformed("The body is not a JSON object.")),
        }
    }

    /// Reads a body; the rules are those of [`parse_body`], and every error of a record among many names its row.
    pub fn parse(&self, body: &[u8]) -> Result<Sent, Problem> {
        let text = std::str::from_utf8(body).map_err(|_| malformed("The body is not UTF-8."))?;
        match self.format {
            Format::Csv => self.csv(text).map(Sent::Many),
            Format::Ndjson => {
                let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
                self.many(lines.map(|line| {
                    serde_json::from_str(line)
                        .map_err(|_| malformed("A line of the body is not a JSON object."))
                }))
            }
            Format::Json | Format::MergePatch if self.format.is_of_many(body) => {
                let Elements(elements) = serde_json::from_str(text).map_err(|_| {
                    malformed("The body is neither a JSON object nor an array of objects.")
                })?;
                self.many(elements.into_iter().map(|raw| {
                    serde_json::from_str(raw.get())
                        .map_err(|_| malformed("An element of the body is not an object."))
                }))
            }
            Format::Json | Format::MergePatch => {
                // The text of a JSON error may repeat what was sent, so it stays here.
                let object: Object<'_> = serde_json::from_str(text)
                    .map_err(|_| malformed("The body is not a JSON object."))?;
                let mut errors = Vec::new();
                let input = self.record(object.members(), &mut errors);
                if errors.is_empty() {
                    Ok(Sent::One(input))
                } else {
                    Err(Problem::invalid(errors))
                }
            }
        }
    }

    fn many<'b>(
        &self,
        objects: impl Iterator<Item = Result<Object<'b>, Problem>>,
    ) -> Result<Sent, Problem> {
        let mut rows = Rows::default();
        for object in objects {
            let object = object?;
            rows.take(|errors| self.record(object.members(), errors))?;
        }
        rows.finish().map(Sent::Many)
    }

    /// The first record names the fields.
    fn csv(&self, text: &str) -> Result<Vec<Input>, Problem> {
        let mut records = csv::Records::new(text);
        let malformed = |m: csv::Malformed| malformed(&format!("Line {} is not CSV.", m.line));
        let names = records.next().transpose().map_err(malformed)?;
        let names: Option<Vec<String>> = names.unwrap_or_default().into_iter().collect();
        let Some(names) = names.filter(|names| !names.is_empty()) else {
            let detail = "The first line of the body does not name the fields.";
            return Err(Problem::new(ProblemKind::Validation, detail));
        };
        let mut rows = Rows::default();
        for record in records {
            let cells = record.map_err(malformed)?;
            rows.take(|errors| {
                if cells.len() != names.len() {
                    let message = format!("has {} cells for {} fields", cells.len(), names.len());
                    errors.push(refuse("row", FieldCode::InvalidValue, message));
                    return Input::default();
                }
                let cells = cells.iter().map(|c| match c {
                    Some(text) => Given::Text(text),
                    None => Given::Null,
                });
                self.record(names.iter().map(String::as_str).zip(cells), errors)
            })?;
        }
        rows.finish()
    }

    /// One record of its members.
    fn record<'b>(
        &self,
        members: impl Iterator<Item = (&'b str, Given<'b>)>,
        errors: &mut Vec<FieldError>,
    ) -> Input {
        let fields = self.model.fields();
        let mut input = Input {
            values: vec![None; fields.len()],
            ..Input::default()
        };
        let mut seen = std::collections::HashSet::new();
        let before = errors.len();
        for (name, given) in members {
            if errors.len() >= before + ERRORS_MAX {
                break;
            }
            if !self.is_read(name) {
                continue;
            }
            if !seen.insert(name) {
                errors.push(refuse(name, FieldCode::Duplicate, "appears twice"));
                continue;
            }
            if let Err(error) = self.take(&mut input, name, given) {
                errors.push(error);
            }
        }
        let required = match self.purpose {
            Purpose::Create => {
                let missing = |f: &&Field| {
                    f.required && f.default.is_none() && !seen.contains(f.name.as_str())
                };
                fields
                    .iter()
                    .filter(missing)
                    .map(|f| f.name.as_str())
                    .collect()
            }
            Purpose::PatchById if !seen.contains("id") => vec!["id"],
            Purpose::Patch | Purpose::PatchById | Purpose::PatchByFilter | Purpose::Delete => {
                Vec::new()
            }
        };
        let required = required.into_iter();
        errors.extend(required.map(|name| refuse(name, FieldCode::Required, "is required")));
        input
    }

    /// Whether `columns` lets a member in. Which record is meant is no matter of columns.
    fn is_read(&self, name: &str) -> bool {
        let addresses = match self.purpose {
            Purpose::Patch => name == "version",
            Purpose::PatchById => name == "version" || name == "id",
            Purpose::Create | Purpose::PatchByFilter | Purpose::Delete => false,
        };
        addresses
            || self
                .columns
                .is_none_or(|columns| columns.iter().any(|c| c == name))
    }

    fn take(&self, input: &mut Input, name: &str, given: Given<'_>) -> Result<(), FieldError> {
        let error = |(code, message): (FieldCode, String)| refuse(name, code, message);
        let wrong = |message: &str| refuse(name, FieldCode::InvalidValue, message);
        let read_only = |message: &str| Err(refuse(name, FieldCode::ReadOnly, message));
        match (name, self.purpose) {
            ("id", Purpose::Create | Purpose::PatchById) => {
                let id = value::parse(&FieldType::Uuid, given).map_err(error)?;
                input.id = Some(id.ok_or_else(|| wrong("is not a UUID"))?);
                return Ok(());
            }
            ("version", Purpose::Patch | Purpose::PatchById)
                if !self.model.optimistic_locking() =>
            {
                return read_only("is kept by the server, and no condition in this model");
            }
            ("version", Purpose::Patch | Purpose::PatchById) => {
                let version = value::parse(&FieldType::Int64, given).map_err(error)?;
                let version = version.and_then(|v| v.parse().ok());
                input.version = Some(version.ok_or_else(|| wrong("is not an integer"))?);
                return Ok(());
            }
            ("id", _) => return read_only("cannot be changed"),
            ("version", Purpose::PatchByFilter) => {
                return read_only("cannot be expected of records that a filter finds");
            }
            ("version", _) => return read_only("is kept by the server"),
            _ if SERVER_KEPT.contains(&name) => return read_only("is kept by the server"),
            _ => {}
        }
        let fields = self.model.fields();
        let at = fields.iter().position(|f| f.name.as_str() == name);
        let at = at.ok_or_else(|| crate::query::unknown_field(self.model, name))?;
        let field = &fields[at];
        let value = match (&field.field_type, self.format, given) {
            (FieldType::Json, Format::MergePatch, Given::Json(raw)) => merge::check(raw),
            (field_type, _, given) => value::parse(field_type, given),
        };
        let value = value.map_err(error)?;
        if value.is_none() && field.required {
            return Err(refuse(name, FieldCode::Required, "must not be null"));
        }
        input.values[at] = Some(value);
        Ok(())
    }
}

/// Records as they are read, and what is wrong with them.
#[derive(Default)]
struct Rows {
    inputs: Vec<Input>,
    errors: Vec<FieldError>,
}

impl Rows {
    /// Reads one more record. An error when it is one too many, or when there is enough to tell.
    fn take(&mut self, read: impl FnOnce(&mut Vec<FieldError>) -> Input) -> Result<(), Problem> {
        let row = self.inputs.len();
        if row == ROWS_MAX {
            let message = format!("a body has at most {ROWS_MAX} records");
            let error = refuse("body", FieldCode::LimitExceeded, message);
            return Err(Problem::invalid(vec![error]));
        }
        let mut errors = Vec::new();
        self.inputs.push(read(&mut errors));
        let named = |error| FieldError {
            row: Some(row),
            ..error
        };
        self.errors.extend(errors.into_iter().map(named));
        match self.errors.len() {
            enough if enough >= ERRORS_MAX => {
                Err(Problem::invalid(std::mem::take(&mut self.errors)))
            }
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<Vec<Input>, Problem> {
        if self.errors.is_empty() {
            Ok(self.inputs)
        } else {
            Err(Problem::invalid(self.errors))
        }
    }
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemKind::Validation, detail)
}

/// How the values of JSON fields are meant; those of a merge patch become the steps that a statement takes.
pub(super) fn json_change(model: &ModuleModel, format: Format, inputs: &mut [Input]) -> JsonChange {
    if format != Format::MergePatch {
        return JsonChange::Replace;
    }
    for input in inputs {
        for (field, value) in model.fields().iter().zip(&mut input.values) {
            if let (FieldType::Json, Some(Some(patch))) = (&field.field_type, value) {
                *patch = merge::steps(patch);
            }
        }
    }
    JsonChange::Merge
}

/// Every field's value for a new record: what was sent, else what `missing` says.
pub(super) fn with_defaults(
    model: &ModuleModel,
    input: Input,
    missing: Missing,
) -> Vec<Option<String>> {
    let values = model.fields().iter().zip(input.values);
    values
        .map(|(field, sent)| match missing {
            _ if sent.is_some() => sent.flatten(),
            Missing::Default => default_of(field),
            // A required field is never null: its default is what it is missing.
            Missing::Null if field.required => default_of(field),
            Missing::Null => None,
        })
        .collect()
}

/// The value of a field's default now. `now` and `generate` are words for timestamp and uuid only.
fn default_of(field: &Field) -> Option<String> {
    let default = field.default.as_deref()?;
    match (&field.field_type, default) {
        (FieldType::Timestamp, "now") => Some(
            chrono::Utc::now()
                .format("%Y-%m-%dT%H:%M:%S%.6fZ")
                .to_string(),
        ),
        (FieldType::Uuid, "generate") => Some(uuid::Uuid::now_v7().to_string()),
        (field_type, text) => {
            let value = parse_value(field_type, text, ValueUse::Store);
            Some(value.expect("a model's defaults passed this parser when the model was checked"))
        }
    }
}

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;
