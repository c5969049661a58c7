//! Rows to JSON, from PostgreSQL's text format. The one encoder: a field has the same bytes wherever it appears.
//!
//! The connection's settings fix that format (DateStyle ISO, UTC, hex); what does not look like it is a fault of
//! ours and answered as 500, never passed on.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::FieldType;
use sql::postgres::select::{Cast, Output};

use super::{
    pg_array,
    tree::{Node, Tree},
};
use crate::{
    postgres::Row,
    problem::{Problem, ProblemKind},
};

/// Writes rows as JSON objects.
pub(super) struct Encoder {
    record: Object,
    numbers_as_strings: bool,
}

/// A tree, ready to be written.
struct Object {
    fields: Vec<Part>,
}

struct Part {
    /// Which value of the row.
    at: usize,
    /// What stands before it: a bracket or comma, its name and a colon.
    prefix: Vec<u8>,
    kind: Kind,
}

enum Kind {
    Leaf(Form),
    One(Object),
    Many(Object),
    /// The same in every record; no value of the row.
    Constant(&'static [u8]),
}

/// A value is not of the form that its type has; names the column, never the value.
#[derive(Debug, thiserror::Error)]
#[error("the value of a column of type {0} has an unknown form")]
pub(super) struct UnknownForm(&'static str);

impl From<UnknownForm> for Problem {
    fn from(error: UnknownForm) -> Self {
        tracing::error!(error = %error, "a row could not be encoded");
        Self::new(ProblemKind::Internal, "The record could not be read.")
    }
}

/// How a type's text becomes JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bool,
    /// Exact as it is, or a string by preference.
    LongNumber,
    Number,
    Float,
    /// ASCII without anything to escape.
    Plain,
    Text,
    Timestamp,
    /// A text read as one: years before the first and infinity come as PostgreSQL writes them.
    CastTimestamp,
    Time,
    Json,
    Bytes,
    Array(Element),
}

/// The forms that an array's elements can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Bool,
    LongNumber,
    Number,
    Float,
    Plain,
    Text,
    Timestamp,
}

impl Object {
    fn new(tree: &Tree) -> Self {
        let part = |(i, field): (usize, &super::tree::Field)| {
            let mut prefix = vec![if i == 0 { b'{' } else { b',' }];
            serde_json::to_writer(&mut prefix, &field.name).expect("a text is always JSON");
            prefix.push(b':');
            Part {
                at: field.at,
                prefix,
                kind: match &field.node {
                    Node::Value(output) => Kind::Leaf(form_of_output(output)),
                    Node::One(tree) => Kind::One(Self::new(tree)),
                    Node::Many(tree) => Kind::Many(Self::new(tree)),
                    Node::NoOne => Kind::Constant(b"null"),
                    Node::Nobody => Kind::Constant(b"[]"),
                },
            }
        };
        Self {
            fields: tree.0.iter().enumerate().map(part).collect(),
        }
    }
}

impl Encoder {
    pub fn new(tree: &Tree, numbers_as_strings: bool) -> Self {
        Self {
            record: Object::new(tree),
            numbers_as_strings,
        }
    }

    /// Appends one row as an object. Values that the tree does not name are left out.
    pub fn row(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), UnknownForm> {
        self.object(&self.record, &mut row.values(), out)
    }

    /// Hands over each field of a row as JSON, in order.
    pub fn fields(&self, row: &Row, mut take: impl FnMut(&[u8])) -> Result<(), UnknownForm> {
        let mut values = row.values();
        let (mut passed, mut text) = (0, Vec::new());
        for part in &self.record.fields {
            text.clear();
            self.part(part, &mut values, &mut passed, &mut text)?;
            take(&text);
        }
        Ok(())
    }

    fn object(
        &self,
        object: &Object,
        values: &mut dyn Iterator<Item = Option<&[u8]>>,
        out: &mut Vec<u8>,
    ) -> Result<(), UnknownForm> {
        let mut passed = 0;
        for part in &object.fields {
            out.extend_from_slice(&part.prefix);
            self.part(part, values, &mut passed, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Writes a field; `passed` counts the values that are behind.
    fn part(
        &self,
        part: &Part,
        values: &mut dyn Iterator<Item = Option<&[u8]>>,
        passed: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<(), UnknownForm> {
        if let Kind::Constant(text) = part.kind {
            out.extend_from_slice(text);
            return Ok(());
        }
        let value = values.nth(part.at - *passed).ok_or(UnknownForm("none"))?;
        *passed = part.at + 1;
        let Some(value) = value else {
            out.extend_from_slice(b"null");
            return Ok(());
        };
        match &part.kind {
            Kind::Leaf(form) => self.value(*form, value, out),
            Kind::One(object) => {
                let values = text_of(value).and_then(pg_array::parse);
                self.nested(object, &values.ok_or(UnknownForm("included"))?, out)
            }
            Kind::Many(object) => {
                let rows = text_of(value).and_then(pg_array::parse_rows);
                out.push(b'[');
                for (i, values) in rows.ok_or(UnknownForm("included"))?.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    self.nested(object, values, out)?;
                }
                out.push(b']');
                Ok(())
            }
            Kind::Constant(_) => Ok(()),
        }
    }

    fn nested(
        &self,
        object: &Object,
        values: &[Option<String>],
        out: &mut Vec<u8>,
    ) -> Result<(), UnknownForm> {
        let mut values = values.iter().map(|v| v.as_deref().map(str::as_bytes));
        self.object(object, &mut values, out)
    }

    fn value(&self, form: Form, value: &[u8], out: &mut Vec<u8>) -> Result<(), UnknownForm> {
        match form {
            Form::Bool => write_bool(value, out),
            Form::LongNumber if self.numbers_as_strings => write_plain(value, out),
            Form::LongNumber | Form::Number => write_number(value, out),
            Form::Float => write_number(value, out),
            Form::Plain => write_plain(value, out),
            Form::Text => write_text(value, out),
            Form::Timestamp => write_timestamp(value, out),
            Form::CastTimestamp => {
                let whole = out.len();
                write_timestamp(value, out).or_else(|_| {
                    out.truncate(whole);
                    write_text(value, out)
                })
            }
            Form::Time => write_time(value, out),
            Form::Json => {
                out.extend_from_slice(value);
                Ok(())
            }
            Form::Bytes => write_bytes(value, out),
            Form::Array(element) => self.array(element, value, out),
        }
    }

    fn array(&self, element: Element, value: &[u8], out: &mut Vec<u8>) -> Result<(), UnknownForm> {
        let form = match element {
            Element::Bool => Form::Bool,
            Element::LongNumber => Form::LongNumber,
            Element::Number => Form::Number,
            Element::Float => Form::Float,
            Element::Plain => Form::Plain,
            Element::Text => Form::Text,
            Element::Timestamp => Form::Timestamp,
        };
        let elements = text_of(value)
            .and_then(pg_array::parse)
            .ok_or(UnknownForm("array"))?;
        out.push(b'[');
        for (i, element) in elements.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            match element {
                Some(text) => self.value(form, text.as_bytes(), out)?,
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b']');
        Ok(())
    }
}

fn text_of(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

fn form_of_output(output: &Output) -> Form {
    match output.cast {
        None => form_of(output.operand.field_type()),
        Some(Cast::Text) => Form::Text,
        Some(Cast::Int16 | Cast::Int32) => Form::Number,
        Some(Cast::Int64 | Cast::Decimal) => Form::LongNumber,
        Some(Cast::Float64) => Form::Float,
        Some(Cast::Bool) => Form::Bool,
        Some(Cast::Date) => Form::Plain,
        Some(Cast::Timestamp) => Form::CastTimestamp,
    }
}

fn form_of(field_type: &FieldType) -> Form {
    match field_type {
        FieldType::Bool => Form::Bool,
        FieldType::Int16 | FieldType::Int32 => Form::Number,
        FieldType::Int64 | FieldType::Decimal { .. } => Form::LongNumber,
        FieldType::Float64 => Form::Float,
        FieldType::Text { .. } | FieldType::Enum { .. } => Form::Text,
        FieldType::Uuid | FieldType::Date | FieldType::Inet => Form::Plain,
        FieldType::Timestamp => Form::Timestamp,
        FieldType::Time => Form::Time,
        FieldType::Json => Form::Json,
        FieldType::Bytes => Form::Bytes,
        FieldType::Array { items } => Form::Array(match form_of(&items.as_field_type()) {
            Form::Bool => Element::Bool,
            Form::LongNumber => Element::LongNumber,
            Form::Number => Element::Number,
            Form::Float => Element::Float,
            Form::Timestamp => Element::Timestamp,
            Form::Text => Element::Text,
            _ => Element::Plain,
        }),
        FieldType::Vector { .. } => Form::Array(Element::Float),
    }
}

fn write_bool(value: &[u8], out: &mut Vec<u8>) -> Result<(), UnknownForm> {
    // The wire says it in one letter, a text in a word.
    match value {
        b"t" | b"true" => out.extend_from_slice(b"true"),
        b"f" | b"false" => out.extend_from_slice(b"false"),
        _ => return Err(UnknownForm("bool")),
    }
    Ok(())
}

/// PostgreSQL writes numbers as JSON does, but for NaN and the infinities, which JSON does not have; they cannot
/// come in through us.
fn write_number(value: &[u8], out: &mut Vec<u8>) -> Result<(), UnknownForm> {
    match value.first() {
        Some(b'0'..=b'9') => out.extend_from_slice(value),
        Some(b'-') if value.get(1).is_some_and(u8::is_ascii_digit) => out.extend_from_slice(value),
        Some(b'N' | b'I' | b'-') => out.extend_from_slice(b"null"),
        _ => return Err(UnknownForm("number")),
    }
    Ok(())
}

fn write_plain(value: &[u8], out: &mut Vec<u8>) -> Result<(), UnknownForm> {
    if value
        .iter()
        .any(|b| !(b' '..=b'~').contains(b) || matches!(b, b'"' | b'\\'))
    {
        return Err(UnknownForm("plain text"));
    }
    out.push(b'"');
    out.extend_from_slice(value);
    out.push(b'"');
    Ok(())
}

fn write_text(value: &[u8], out: &mut Vec<u8>) -> Result<(), UnknownForm> {
    // `client_encoding` is UTF8, so this holds.
    let text = std::str::from_utf8(value).map_err(|_| UnknownForm("text"))?;
    serde_json::to_writer(out, text).map_err(|_| UnknownForm("text"))
}

/// `2026-01-02 03:04:05.1+00` as `2026-01-02T03:04:05.100000Z`.
fn write_timestamp(value: &[u8], out: &mut Vec<u8>) -> Result<(), UnknownForm> {
    let unknown = UnknownForm("timestamp");
    let local = match value.strip_suffix(b"+00") {
        Some(local) if local.len() >= 19 && local[10] == b' ' && local[4] == b'-' => local,
        _ => return Err(unknown),
    };
    out.push(b'"');
    out.extend_from_slice(&local[..10]);
    out.push(b'T');
    write_clock(&local[11..], out).ok_or(unknown)?;
    out.extend_from_slice(b"Z\"");
    Ok(())
}

fn write_time(value: &[u8], out: &mut Vec<u8>) -> Result<(), UnknownForm> {
    out.push(b'"');
    write_clock(value, out).ok_or(UnknownForm("time"))?;
    out.push(b'"');
    Ok(())
}

/// `03:04:05` or `03:04:05.1` with six digits.
fn write_clock(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (whole, fraction) = match value {
        whole if whole.len() == 8 => (whole, &b""[..]),
        _ if value.len() > 9 && value[8] == b'.' => (&value[..8], &value[9..]),
        _ => return None,
    };
    if fraction.len() > 6 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    out.extend_from_slice(whole);
    out.push(b'.');
    out.extend_from_slice(fraction);
    out.extend_from_slice(&b"000000"[fraction.len()..]);
    Some(())
}

fn write_bytes(value: &[u8], out: &mut Vec<u8>) -> Result<(), UnknownForm> {
    out.push(b'"');
    out.extend_from_slice(base64_of(value).ok_or(UnknownForm("bytes"))?.as_bytes());
    out.push(b'"');
    Ok(())
}

/// PostgreSQL's hex form of bytes (`\x0aff`) as base64.
pub(super) fn base64_of(hex: &[u8]) -> Option<String> {
    let digits = hex.strip_prefix(b"\\x")?;
    let nibble = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let bytes: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect();
    Some(STANDARD.encode(bytes?))
}

#[cfg(test)]
mod tests;
