//! A reply that is one record.

use http::{StatusCode, header};
use model::ModuleModel;
use sql::postgres::select::{Output, Related};

use super::{
    encode::Encoder,
    etag, plan,
    prefer::Preferences,
    tree::{Included, Selected, Tree},
};
use crate::{
    exchange::Reply,
    postgres::Row,
    problem::{Problem, ProblemKind},
};

/// What is fetched of a record: what is shown, and the version for its tag.
pub(super) struct Shape {
    /// Everything fetched of the row itself.
    pub columns: Vec<Output>,
    /// What is fetched with it; its values stand behind.
    pub related: Vec<Related>,
    tree: Tree,
    version_at: usize,
}

impl Shape {
    /// The shape that `select` asks for; `deleted` when the record may be a deleted one.
    pub fn new(model: &ModuleModel, select: Option<&[Selected]>, deleted: bool) -> Self {
        Self::with(model, select, deleted, &[])
    }

    /// The same with what is included.
    pub fn with(
        model: &ModuleModel,
        select: Option<&[Selected]>,
        deleted: bool,
        included: &[Included],
    ) -> Self {
        let shown = plan::shown(model, select, deleted);
        let mut columns: Vec<_> = shown.iter().map(|s| s.output.clone()).collect();
        let is_version = |o: &Output| o.plain().is_some_and(|c| c.name.as_str() == "version");
        let version_at = columns.iter().position(is_version).unwrap_or_else(|| {
            let version = model.column("version").expect("every model has a version");
            columns.push(version.clone().into());
            shown.len()
        });
        Self {
            tree: Tree::new(&shown, columns.len() - shown.len(), included),
            related: included.iter().map(|i| i.related.clone()).collect(),
            columns,
            version_at,
        }
    }

    /// What writes the record.
    pub fn encoder(&self, preferences: &Preferences) -> Encoder {
        Encoder::new(&self.tree, preferences.numbers_as_strings)
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
        Ok(self.encoder(preferences).row(row, body)?)
    }

    /// Appends rows as an array of objects.
    pub fn array<'r>(
        &self,
        rows: impl IntoIterator<Item = &'r Row>,
        preferences: &Preferences,
        body: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let encoder = self.encoder(preferences);
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
        let encoder = self.encoder(preferences);
        let mut body = Vec::with_capacity(512);
        body.extend_from_slice(b"{\"data\":");
        encoder.row(row, &mut body)?;
        body.extend_from_slice(b",\"meta\":{}}");
        let reply =
            Reply::json(status, body).with_header(header::VARY, "Accept, Prefer, Authorization");
        // What is included changes without the record's version.
        if preferences.numbers_as_strings || !self.related.is_empty() {
            return Ok(reply);
        }
        Ok(reply.with_header(header::ETAG, &etag::tag(self.version(row)?)))
    }
}
