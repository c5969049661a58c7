//! A list without an end: all rows that match, line by line, as they come from the database.

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::{HeaderValue, Method, StatusCode, header};
use sql::Statement;

use super::{Call, Failure, accept::Format, lines::Lines};
use crate::{
    exchange::{Body, BrokenOff, Reply},
    postgres::{DatabaseError, Row, RowStream},
    problem::{FieldCode, Problem, ProblemKind},
    query::refuse,
    telemetry::chain_of,
};

/// Whether a list in that format is an export: nothing says that it is one page of it.
pub(super) fn is_asked(call: &Call<'_>, format: Format) -> bool {
    let query = &call.request.query;
    format != Format::Json
        && !query
            .iter()
            .any(|(name, _)| name == "limit" || name == "cursor")
}

/// 400 on what only a page has.
pub(super) fn refuse_count(counts: bool) -> Result<(), Problem> {
    if !counts {
        return Ok(());
    }
    let message = "is not told of an export, which has every row; ask for it with limit=0";
    let error = refuse("count", FieldCode::InvalidValue, message);
    Err(Problem::invalid(vec![error]))
}

/// The reply, its body as long as there are rows. HEAD runs nothing.
pub(super) async fn export(
    call: &Call<'_>,
    statement: &Statement,
    format: Format,
    lines: Lines,
) -> Result<Reply, Failure> {
    let mut reply = empty(format);
    if call.request.method != Method::HEAD {
        let rows = call.stream(statement).await?;
        reply.body = Body::Stream(pieces(rows, lines));
    }
    Ok(reply)
}

/// One page in a format that is one record a line.
pub(super) fn page(format: Format, lines: &Lines, rows: &[Row]) -> Result<Reply, Problem> {
    let mut out = Vec::with_capacity(256 + rows.len() * 256);
    lines.head(&mut out);
    for row in rows {
        lines.row(row, &mut out)?;
    }
    let mut reply = empty(format);
    reply.body = out.into();
    Ok(reply)
}

fn empty(format: Format) -> Reply {
    let mut reply =
        Reply::empty(StatusCode::OK).with_header(header::VARY, "Accept, Prefer, Authorization");
    reply.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    reply
}

/// Where an export stands.
enum State {
    Head(RowStream, Lines),
    Rows(RowStream, Lines),
    Ended,
}

/// What stands before the rows, and then each batch of them. Nothing is read ahead of what is asked for.
fn pieces(rows: RowStream, lines: Lines) -> BoxStream<'static, Result<Bytes, BrokenOff>> {
    let step = |state| async move {
        match state {
            State::Head(rows, lines) => {
                let mut out = Vec::new();
                lines.head(&mut out);
                Some((Ok(out.into()), State::Rows(rows, lines)))
            }
            State::Rows(mut rows, lines) => {
                let batch = rows.next().await?;
                match batch
                    .map_err(broken_off)
                    .and_then(|batch| write(&lines, &batch))
                {
                    Ok(piece) => Some((Ok(piece), State::Rows(rows, lines))),
                    Err(broken) => Some((Err(broken), State::Ended)),
                }
            }
            State::Ended => None,
        }
    };
    stream::unfold(State::Head(rows, lines), step).boxed()
}

fn write(lines: &Lines, batch: &[Row]) -> Result<Bytes, BrokenOff> {
    let mut out = Vec::with_capacity(96 * 1024);
    for row in batch {
        lines
            .row(row, &mut out)
            .map_err(|error| BrokenOff(Problem::from(error).kind))?;
    }
    Ok(out.into())
}

fn broken_off(error: DatabaseError) -> BrokenOff {
    tracing::warn!(error = chain_of(&error), "an export broke off");
    BrokenOff(match error {
        DatabaseError::Timeout => ProblemKind::Timeout,
        DatabaseError::Unavailable | DatabaseError::Resources(_) => ProblemKind::Unavailable,
        _ => ProblemKind::Internal,
    })
}
