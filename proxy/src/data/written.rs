//! The reply of a write, as `Prefer: return=…` asks for it.

use http::{HeaderName, HeaderValue, StatusCode, header};
use model::{Action, Permission};

use super::{
    Call, etag,
    prefer::{Honours, Preferences, Return},
    record::Shape,
    tree::Selected,
};
use crate::{exchange::Reply, postgres::Row, problem::Problem};

/// What a write answers: what was asked for, else `usual`. Who may not read the model is told nothing of its records:
/// nothing is usual then, and asking for them is a 403. `headers-only` tells a version and no value.
pub(super) fn returning(
    call: &Call<'_>,
    preferences: &Preferences,
    usual: Return,
) -> Result<Return, Problem> {
    let read = Permission::on(call.model.name(), Action::Read);
    match preferences.returning.unwrap_or(usual) {
        Return::Representation if preferences.returning.is_some() => {
            call.caller.require(&read)?;
            Ok(Return::Representation)
        }
        Return::Representation if !call.caller.permissions.contains(&read) => Ok(Return::Minimal),
        returning => Ok(returning),
    }
}

/// What is fetched for such an answer: without a representation, the version alone.
pub(super) fn shape(
    call: &Call<'_>,
    select: Option<&[Selected]>,
    deleted: bool,
    returning: Return,
) -> Shape {
    let select = match returning {
        Return::Representation => select,
        Return::Minimal | Return::HeadersOnly => Some(&[][..]),
    };
    Shape::new(call.model, select, deleted)
}

/// Which write a reply is of.
pub(super) enum Wrote {
    /// A new record, with its id for `Location`.
    Created(String),
    /// A changed record.
    Changed,
    /// A record that was asked to be new and was there.
    Merged,
    /// A deleted record.
    Deleted,
}

/// The reply of a write of one record.
pub(super) fn one(
    call: &Call<'_>,
    wrote: &Wrote,
    shape: &Shape,
    row: &Row,
    preferences: &Preferences,
    returning: Return,
) -> Result<Reply, Problem> {
    let (status, bare, honours) = match wrote {
        Wrote::Created(_) => (StatusCode::CREATED, StatusCode::CREATED, Honours::Create),
        Wrote::Merged => (StatusCode::OK, StatusCode::NO_CONTENT, Honours::Create),
        Wrote::Changed | Wrote::Deleted => (StatusCode::OK, StatusCode::NO_CONTENT, Honours::One),
    };
    let mut reply = match returning {
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
    Ok(with_applied(reply, preferences, honours))
}

/// The reply of a write of several records: `{"data": […], "meta": {"affected": n}}`.
pub(super) fn several<'r>(
    created: bool,
    shape: &Shape,
    rows: impl IntoIterator<Item = &'r Row>,
    affected: u64,
    preferences: &Preferences,
    returning: Return,
    honours: Honours,
) -> Result<Reply, Problem> {
    let (status, bare) = match created {
        true => (StatusCode::CREATED, StatusCode::CREATED),
        false => (StatusCode::OK, StatusCode::NO_CONTENT),
    };
    let reply = match returning {
        Return::Representation => {
            let mut body = b"{\"data\":".to_vec();
            shape.array(rows, preferences, &mut body)?;
            body.extend_from_slice(format!(",\"meta\":{{\"affected\":{affected}}}}}").as_bytes());
            Reply::json(status, body).with_header(header::VARY, "Accept, Prefer, Authorization")
        }
        Return::Minimal | Return::HeadersOnly => Reply::empty(bare),
    };
    Ok(with_applied(reply, preferences, honours))
}

/// The reply with `Preference-Applied`.
pub(super) fn with_applied(mut reply: Reply, preferences: &Preferences, honours: Honours) -> Reply {
    let applied = preferences.applied(honours);
    // What was asked is made of words of ours and of digits.
    if let Some(Ok(applied)) = applied.map(|a| HeaderValue::from_str(&a)) {
        let name = HeaderName::from_static("preference-applied");
        reply.headers.insert(name, applied);
    }
    reply
}
