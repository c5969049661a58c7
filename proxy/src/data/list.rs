//! `GET /v1/data/{module}/{model}`: one page.

use http::{HeaderName, StatusCode, header};
use model::Action;
use sql::postgres::select::{Deleted, Page, Scope, Start};

use super::{
    Call, Failure,
    accept::{self, Format},
    count,
    cursor::{Position, Question, Way},
    encode::Encoder,
    export,
    lines::Lines,
    page::{self, Edges},
    parse::{self, ListQuery},
    plan::{self, ListPlan},
    prefer::Preferences,
};
use crate::{
    exchange::Reply,
    postgres::Row,
    problem::{FieldCode, Problem},
    query::refuse,
};

/// Rows of an export: more than a table is going to have.
const EXPORT_ROWS_MAX: u32 = u32::MAX;
/// The count, where the body has no place for it.
const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

pub(super) async fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    call.require(Action::Read)?;
    let format = accept::choose(&call.request.headers, &Format::ALL)?;
    refuse_range(call)?;
    let preferences = Preferences::parse(&call.request.headers)?;
    let query = parse::parse_list(call.names(), call.model, &call.request.query, &preferences)?;
    if query.deleted != Deleted::Exclude {
        call.require(Action::Delete)?;
    }
    call.require_read(&query.needs)?;
    let plan = plan::plan_list(call.model, &query);
    let keeps = plan.related.iter().any(|r| r.keeps());
    let question = Question::new(
        &call.caller.tenant.id,
        call.model.name(),
        &call.request.query,
        keeps,
    );
    let position = page::open_cursor(call, &query, &plan, &question)?;

    let scope = Scope {
        tenant: call.caller.tenant.id,
        model: call.model.name(),
        filter: &query.filter,
        deleted: query.deleted,
        related: &plan.related,
    };
    if export::is_asked(call, format) {
        export::refuse_count(query.count.is_some())?;
        let all = page_statement(&scope, &query, &plan, None, EXPORT_ROWS_MAX);
        let lines = lines_of(format, &plan, &preferences);
        return export::export(call, &all, format, lines).await;
    }
    let mut statements = Vec::with_capacity(2);
    if query.limit > 0 {
        // One more than asked for tells whether more follow.
        let limit = query.limit + 1;
        statements.push(page_statement(
            &scope,
            &query,
            &plan,
            position.as_ref(),
            limit,
        ));
        if let Some(Position {
            way: Way::Back,
            values,
        }) = &position
            && !values.is_empty()
        {
            // Whether the row that the cursor was made of, or one behind it, is still there.
            statements.push(scope.any(&plan.order, Start::At(values)));
        }
    }
    let counted = statements.len();
    if let Some(kind) = query.count {
        statements.extend(count::statements(&scope, kind, plan.distinct()));
    }
    let mut answer = match statements.is_empty() {
        true => Vec::new(),
        false => call.read(plan.lane, statements).await?,
    };
    let count = match query.count {
        Some(kind) => Some(count::read(kind, &answer[counted..])?),
        None => None,
    };
    answer.truncate(counted);
    let follows = answer.get(1).is_some_and(|rows| is_true(rows));
    let rows = answer.into_iter().next().unwrap_or_default();
    let edges = Edges::new(&query, position.as_ref(), rows, follows);
    let wanted = Wanted {
        format,
        preferences,
    };
    Ok(reply(call, &plan, &question, &wanted, &edges, count)?)
}

/// 400 on a header that other servers page by: ignoring it would answer another page than the client meant.
fn refuse_range(call: &Call<'_>) -> Result<(), Problem> {
    if !call.request.headers.contains_key(header::RANGE) {
        return Ok(());
    }
    let error = refuse(
        "Range",
        FieldCode::InvalidValue,
        "is not taken; use limit and cursor or offset",
    );
    Err(Problem::invalid(vec![error]))
}

/// The statement of a page.
pub(super) fn page_statement(
    scope: &Scope<'_>,
    query: &ListQuery,
    plan: &ListPlan,
    position: Option<&Position>,
    limit: u32,
) -> sql::Statement {
    let is_back = position.is_some_and(|p| p.way == Way::Back);
    let reversed: Vec<_> = match is_back {
        true => plan.order.iter().map(|key| key.reversed()).collect(),
        false => Vec::new(),
    };
    scope.page(&Page {
        outputs: &plan.outputs,
        rows: plan.rows,
        order: if is_back { &reversed } else { &plan.order },
        start: match position.map(|p| p.values.as_slice()) {
            None | Some([]) => Start::First,
            Some(values) => Start::After(values),
        },
        offset: query.offset,
        limit,
    })
}

fn is_true(rows: &[Row]) -> bool {
    let value = rows.first().and_then(|row| row.values().next());
    value.flatten() == Some(b"t")
}

/// How the client wants its records.
struct Wanted {
    format: Format,
    preferences: Preferences,
}

fn reply(
    call: &Call<'_>,
    plan: &ListPlan,
    question: &Question,
    wanted: &Wanted,
    edges: &Edges,
    count: Option<u64>,
) -> Result<Reply, Problem> {
    let Wanted {
        format,
        preferences,
    } = wanted;
    let seal = |position: Option<Position>| {
        position
            .map(|position| page::seal_cursor(call, question, &position))
            .transpose()
    };
    let next = seal(edges.next(plan)?)?;
    let prev = seal(edges.prev(plan)?)?;
    let mut reply = match format {
        Format::Json => {
            let cursors = [
                ("nextCursor", next.as_deref()),
                ("prevCursor", prev.as_deref()),
            ];
            let body = envelope(plan, preferences, &edges.page, cursors, count)?;
            Reply::json(StatusCode::OK, body)
                .with_header(header::VARY, "Accept, Prefer, Authorization")
        }
        Format::Ndjson | Format::Csv => {
            let lines = lines_of(*format, plan, preferences);
            let reply = export::page(*format, &lines, &edges.page)?;
            match count {
                Some(count) => reply.with_header(TOTAL_COUNT, &count.to_string()),
                None => reply,
            }
        }
    };
    if let Some(links) = page::links(call, next.as_deref(), prev.as_deref()) {
        reply.headers.insert(header::LINK, links);
    }
    Ok(reply)
}

/// `{"data": […], "meta": {…}}`; the first cursor is the one that leads on.
fn envelope(
    plan: &ListPlan,
    preferences: &Preferences,
    page: &[Row],
    cursors: [(&str, Option<&str>); 2],
    count: Option<u64>,
) -> Result<Vec<u8>, Problem> {
    let encoder = Encoder::new(&plan.tree, preferences.numbers_as_strings);
    let mut body = Vec::with_capacity(64 + page.len() * 256);
    body.extend_from_slice(b"{\"data\":[");
    for (i, row) in page.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        encoder.row(row, &mut body)?;
    }
    let has_more = cursors[0].1.is_some();
    body.extend_from_slice(format!("],\"meta\":{{\"hasMore\":{has_more}").as_bytes());
    // base64url has nothing to escape.
    for (name, cursor) in cursors {
        if let Some(cursor) = cursor {
            body.extend_from_slice(format!(",\"{name}\":\"{cursor}\"").as_bytes());
        }
    }
    if let Some(count) = count {
        body.extend_from_slice(format!(",\"count\":{count}").as_bytes());
    }
    body.extend_from_slice(b"}}");
    Ok(body)
}

fn lines_of(format: Format, plan: &ListPlan, preferences: &Preferences) -> Lines {
    let encoder = Encoder::new(&plan.tree, preferences.numbers_as_strings);
    Lines::new(format, encoder, &plan.tree)
}
