//! Records line by line: `application/x-ndjson` and `text/csv`.

use model::FieldType;
use sql::postgres::select::Output;

use super::{
    accept::Format,
    encode::{Encoder, UnknownForm},
    tree::{Field, Node, Tree},
};
use crate::postgres::Row;

/// A column of a CSV table.
struct Header {
    /// What the first row says.
    name: String,
    /// What its cells hold.
    cell: Cell,
}

/// What the cells of a column hold.
#[derive(Clone, Copy)]
enum Cell {
    /// A value as it is in a JSON body, a text without its quotes.
    Value,
    /// JSON text, a text with its quotes: what is in it is part of the document.
    Json,
}

/// Writes records one behind the other.
pub(super) struct Lines {
    encoder: Encoder,
    /// The columns, for CSV.
    table: Option<Vec<Header>>,
}

impl Lines {
    /// For a format that is one record a line; JSON is not, and written as NDJSON.
    pub fn new(format: Format, encoder: Encoder, tree: &Tree) -> Self {
        let header = |field: &Field| Header {
            name: field.name.clone(),
            cell: match &field.node {
                Node::Value(output) if !is_json(output) => Cell::Value,
                _ => Cell::Json,
            },
        };
        Self {
            encoder,
            table: (format == Format::Csv).then(|| tree.0.iter().map(header).collect()),
        }
    }

    /// What stands before the first record.
    pub fn head(&self, out: &mut Vec<u8>) {
        let Some(headers) = &self.table else { return };
        for (i, header) in headers.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_cell(header.name.as_bytes(), out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// One record and the end of its line.
    pub fn row(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), UnknownForm> {
        let Some(headers) = &self.table else {
            self.encoder.row(row, out)?;
            out.push(b'\n');
            return Ok(());
        };
        let mut cells = headers.iter().map(|header| header.cell);
        let mut is_first = true;
        self.encoder.fields(row, |json| {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            let cell = cells.next().unwrap_or(Cell::Json);
            match (cell, json) {
                // Unquoted, which is how a CSV body says null; a text of these letters is quoted.
                (_, b"null") => out.extend_from_slice(b"NULL"),
                (Cell::Value, [b'"', ..]) => match serde_json::from_slice::<String>(json) {
                    Ok(text) => write_cell(text.as_bytes(), out),
                    Err(_) => write_cell(json, out),
                },
                _ => write_cell(json, out),
            }
        })?;
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

fn is_json(output: &Output) -> bool {
    output.cast.is_none() && *output.operand.field_type() == FieldType::Json
}

/// RFC 4180 section 2: quoted where a comma, a quote or an end of line is in it. Beyond that where it could be taken for
/// something else: an empty text (for nothing), `NULL` (for null), blanks at the ends (which some readers drop).
fn write_cell(text: &[u8], out: &mut Vec<u8>) {
    let blank = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_whitespace());
    let quoted = text.is_empty()
        || text == b"NULL"
        || blank(text.first())
        || blank(text.last())
        || text
            .iter()
            .any(|b| matches!(b, b',' | b'"' | b'\r' | b'\n'));
    if !quoted {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for &byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_has_to_be() {
        for (text, expected) in [
            ("a", "a"),
            ("a b", "a b"),
            ("", "\"\""),
            ("NULL", "\"NULL\""),
            ("null", "null"),
            (" a", "\" a\""),
            ("a\t", "\"a\t\""),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("\"", "\"\"\"\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=1+1", "=1+1"),
            ("é😀", "é😀"),
        ] {
            let mut out = Vec::new();
            write_cell(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_cell_is_read_back_as_it_was(text in "[a-zA-Z\", \r\n\t\u{e9}\u{1f600}NUL]{0,12}") {
            let mut out = Vec::new();
            write_cell(text.as_bytes(), &mut out);
            let cell = String::from_utf8(out).unwrap();
            let read = match cell.strip_prefix('"').and_then(|c| c.strip_suffix('"')) {
                Some(quoted) if cell.len() > 1 => quoted.replace("\"\"", "\""),
                _ => {
                    proptest::prop_assert!(!cell.contains(['"', ',', '\r', '\n']) && cell != "NULL");
                    cell
                }
            };
            proptest::prop_assert_eq!(read, text);
        }
    }
}
