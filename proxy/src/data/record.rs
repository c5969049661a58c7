//! A reply that is one record.

use http::{HeaderName, HeaderValue, StatusCode, header};
use model::{Column, ModuleModel};

use super::{
    Call,
    encode::Encoder,
    etag, plan,
    prefer::{Preferences, Return},
};
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

/// Which write a reply is of.
pub(super) enum Wrote {
    /// A new record, with its id for `Location`.
    Created(String),
    /// A changed record.
    Changed,
    /// A deleted record: unlike the others it answers nothing unless asked.
    Deleted,
}

/// The reply of a write, as `Prefer: return=…` asks for it.
pub(super) fn written(
    call: &Call<'_>,
    wrote: &Wrote,
    shape: &Shape,
    row: &Row,
    preferences: &Preferences,
) -> Result<Reply, Problem> {
    let (status, bare, usual) = match wrote {
        Wrote::Created(_) => (
            StatusCode::CREATED,
            StatusCode::CREATED,
            Return::Representation,
        ),
        Wrote::Changed => (
            StatusCode::OK,
            StatusCode::NO_CONTENT,
            Return::Representation,
        ),
        Wrote::Deleted => (StatusCode::OK, StatusCode::NO_CONTENT, Return::Minimal),
    };
    let mut reply = match preferences.returning.unwrap_or(usual) {
        Return::Representation => shape.reply(status, row, preferences)?,
        Return::Minimal => Reply::empty(bare),
        Return::HeadersOnly => {
            Reply::empty(bare).with_header(header::ETAG, &etag::tag(shape.version(row)?))
        }
    };
    if let Wrote::Created(id) = wrote {
        let location = format!("{}/{id}", call.request.raw_path.trim_end_matches('/'));
        if let Ok(location) = HeaderValue::from_str(&location) {
            reply.headers.insert(header::LOCATION, location);
        }
    }
    if let Some(applied) = preferences.applied() {
        let name = HeaderName::from_static("preference-applied");
        reply
            .headers
            .insert(name, HeaderValue::from_static(applied));
    }
    Ok(reply)
}
