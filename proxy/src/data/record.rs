//! A reply that is one record.

use http::{StatusCode, header};
use model::{Column, ModuleModel};

use super::{encode::Encoder, etag, plan, prefer::Preferences};
use crate::{
    exchange::Reply,
    postgres::Row,
    problem::{Problem, ProblemKind},
};

/// What is fetched of a record: what is shown, and the version for its tag.
pub(super) struct Shape {
    /// Everything fetched.
    pub columns: Vec<Column>,
    shown: usize,
    version_at: usize,
}

impl Shape {
    /// The shape that `select` asks for; `deleted` when the record may be a deleted one.
    pub fn new(model: &ModuleModel, select: Option<&[Column]>, deleted: bool) -> Self {
        let mut columns = plan::shown(model, select, deleted);
        let shown = columns.len();
        let version_at = columns
            .iter()
            .position(|c| c.name.as_str() == "version")
            .unwrap_or_else(|| {
                columns.push(
                    model
                        .column("version")
                        .expect("every model has a version")
                        .clone(),
                );
                shown
            });
        Self {
            columns,
            shown,
            version_at,
        }
    }

    /// The text of the record's version.
    pub fn version<'a>(&self, row: &'a Row) -> Result<&'a str, Problem> {
        let value = row.values().nth(self.version_at).flatten();
        value
            .and_then(|v| std::str::from_utf8(v).ok())
            .ok_or_else(|| Problem::new(ProblemKind::Internal, "The record could not be read."))
    }

    /// Appends a row as an object.
    pub fn object(
        &self,
        row: &Row,
        preferences: &Preferences,
        body: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let encoder = Encoder::new(&self.columns[..self.shown], preferences.numbers_as_strings);
        Ok(encoder.row(row, body)?)
    }

    /// Appends rows as an array of objects.
    pub fn array<'r>(
        &self,
        rows: impl IntoIterator<Item = &'r Row>,
        preferences: &Preferences,
        body: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let encoder = Encoder::new(&self.columns[..self.shown], preferences.numbers_as_strings);
        body.push(b'[');
        for (i, row) in rows.into_iter().enumerate() {
            if i > 0 {
                body.push(b',');
            }
            encoder.row(row, body)?;
        }
        body.push(b']');
        Ok(())
    }

    /// `{"data": {…}, "meta": {}}` with `ETag` where the form is the one that the tag names.
    pub fn reply(
        &self,
        status: StatusCode,
        row: &Row,
        preferences: &Preferences,
    ) -> Result<Reply, Problem> {
        let encoder = Encoder::new(&self.columns[..self.shown], preferences.numbers_as_strings);
        let mut body = Vec::with_capacity(512);
        body.extend_from_slice(b"{\"data\":");
        encoder.row(row, &mut body)?;
        body.extend_from_slice(b",\"meta\":{}}");
        let reply =
            Reply::json(status, body).with_header(header::VARY, "Accept, Prefer, Authorization");
        if preferences.numbers_as_strings {
            return Ok(reply);
        }
        Ok(reply.with_header(header::ETAG, &etag::tag(self.version(row)?)))
    }
}
