//! `GET /v1/data/{module}/{model}`: one page.

use http::{HeaderValue, StatusCode, header};
use model::Action;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sql::postgres::select::{Deleted, Page, Scope};

use super::{
    Call, Failure, accept,
    cursor::{CURSOR_BYTES_MAX, Question},
    encode::{Encoder, base64_of},
    parse::{self, ListQuery},
    plan::{self, ListPlan},
    prefer::Preferences,
};
use crate::{
    exchange::Reply,
    postgres::{Lane, Row},
    problem::{FieldCode, Problem, ProblemKind},
    query::refuse,
};

pub(super) async fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    call.require(Action::Read)?;
    accept::require_json_answer(&call.request.headers)?;
    let preferences = Preferences::parse(&call.request.headers)?;
    let query = parse::parse_list(call.model, &call.request.query, &preferences)?;
    if query.deleted != Deleted::Exclude {
        call.require(Action::Delete)?;
    }
    let plan = plan::plan_list(call.model, &query);
    let question = Question::new(
        &call.caller.tenant.id,
        call.model.name(),
        &call.request.query,
    );
    let after = open_cursor(call, &query, &plan, &question)?;

    let scope = Scope {
        tenant: call.caller.tenant.id,
        model: call.model.name(),
        filter: &query.filter,
        deleted: query.deleted,
    };
    let mut statements = Vec::with_capacity(2);
    if query.limit > 0 {
        // One more than asked for tells whether more follow.
        let page = Page {
            columns: &plan.columns,
            order: &plan.order,
            after: after.as_deref(),
            limit: query.limit + 1,
        };
        statements.push(scope.page(&page));
    }
    if query.count {
        statements.push(scope.count());
    }
    let mut answer = match (statements.is_empty(), plan.lane) {
        (true, _) => Vec::new(),
        (false, lane) => {
            let lane = if query.count { Lane::Exclusive } else { lane };
            call.read(lane, statements).await?
        }
    };
    let count = if query.count {
        answer.pop().as_deref().and_then(count_of)
    } else {
        None
    };
    let rows = answer.pop().unwrap_or_default();
    Ok(reply(
        call,
        &query,
        &plan,
        &question,
        &preferences,
        &rows,
        count,
    )?)
}

fn open_cursor(
    call: &Call<'_>,
    query: &ListQuery,
    plan: &ListPlan,
    question: &Question,
) -> Result<Option<Vec<Option<String>>>, Problem> {
    let Some(cursor) = &query.cursor else {
        return Ok(None);
    };
    let values = call
        .data
        .cursor_keys
        .open(question, cursor)
        .filter(|v| v.len() == plan.order.len());
    match values {
        Some(values) => Ok(Some(values)),
        None => {
            let message = "is not a cursor of this list with this filter and order";
            Err(Problem::invalid(vec![refuse(
                "cursor",
                FieldCode::InvalidValue,
                message,
            )]))
        }
    }
}

fn count_of(rows: &[Row]) -> Option<String> {
    let value = rows.first()?.values().next().flatten()?;
    std::str::from_utf8(value).ok().map(str::to_owned)
}

fn reply(
    call: &Call<'_>,
    query: &ListQuery,
    plan: &ListPlan,
    question: &Question,
    preferences: &Preferences,
    rows: &[Row],
    count: Option<String>,
) -> Result<Reply, Problem> {
    let limit = query.limit as usize;
    let more = rows.len() > limit;
    let page = &rows[..rows.len().min(limit)];
    let next = match page.last().filter(|_| more) {
        Some(last) => Some(next_cursor(call, plan, question, last)?),
        None => None,
    };
    let encoder = Encoder::new(&plan.columns[..plan.shown], preferences.numbers_as_strings);
    let mut body = Vec::with_capacity(64 + page.len() * 256);
    body.extend_from_slice(b"{\"data\":[");
    for (i, row) in page.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        encoder.row(row, &mut body)?;
    }
    body.extend_from_slice(b"],\"meta\":{\"hasMore\":");
    body.extend_from_slice(if more { b"true" } else { b"false" });
    if let Some(cursor) = &next {
        // base64url has nothing to escape.
        body.extend_from_slice(format!(",\"nextCursor\":\"{cursor}\"").as_bytes());
    }
    if let Some(count) = &count {
        body.extend_from_slice(format!(",\"count\":{count}").as_bytes());
    }
    body.extend_from_slice(b"}}");
    let mut reply = Reply::json(StatusCode::OK, body)
        .with_header(header::VARY, "Accept, Prefer, Authorization");
    if let Some(link) = next.and_then(|cursor| link(call, &cursor)) {
        reply.headers.insert(header::LINK, link);
    }
    Ok(reply)
}

fn next_cursor(
    call: &Call<'_>,
    plan: &ListPlan,
    question: &Question,
    last: &Row,
) -> Result<String, Problem> {
    let unreadable = || Problem::new(ProblemKind::Internal, "The page could not be read.");
    let values: Vec<Option<&[u8]>> = last.values().collect();
    let value_of = |key: &sql::postgres::select::SortKey| {
        let at = plan
            .columns
            .iter()
            .position(|c| c.name == key.column.name)
            .ok_or_else(unreadable)?;
        let value = values.get(at).copied().ok_or_else(unreadable)?;
        // PostgreSQL reads its own text again, but for bytes, whose binds are base64.
        match (value, &key.column.field_type) {
            (None, _) => Ok(None),
            (Some(hex), model::FieldType::Bytes) => base64_of(hex).map(Some).ok_or_else(unreadable),
            (Some(text), _) => Ok(Some(
                std::str::from_utf8(text)
                    .map_err(|_| unreadable())?
                    .to_owned(),
            )),
        }
    };
    let position: Result<Vec<_>, Problem> = plan.order.iter().map(value_of).collect();
    let cursor = call.data.cursor_keys.seal(question, &position?);
    if cursor.len() > CURSOR_BYTES_MAX {
        let message = "has values too long to go on from; order by another field";
        return Err(Problem::invalid(vec![refuse(
            "order",
            FieldCode::LimitExceeded,
            message,
        )]));
    }
    Ok(cursor)
}

/// What a query keeps as it is (RFC 3986 unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'*');

/// `Link` to the next page: the same request with the next cursor.
fn link(call: &Call<'_>, cursor: &str) -> Option<HeaderValue> {
    let mut target = format!("<{}?", call.request.raw_path);
    for (name, value) in call
        .request
        .query
        .iter()
        .filter(|(name, _)| name != "cursor")
    {
        let (name, value) = (
            utf8_percent_encode(name, ESCAPED),
            utf8_percent_encode(value, ESCAPED),
        );
        target.push_str(&format!("{name}={value}&"));
    }
    target.push_str(&format!("cursor={cursor}>; rel=\"next\""));
    HeaderValue::from_str(&target).ok()
}
