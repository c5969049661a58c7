//! Where a page begins and ends, and the cursors from there.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Call,
    cursor::{CURSOR_BYTES_MAX, Position, Question, Way},
    encode::base64_of,
    parse::ListQuery,
    plan::ListPlan,
};
use crate::{
    postgres::Row,
    problem::{FieldCode, Problem, ProblemKind},
    query::refuse,
};

/// The position that the request's cursor names.
pub(super) fn open_cursor(
    call: &Call<'_>,
    query: &ListQuery,
    plan: &ListPlan,
    question: &Question,
) -> Result<Option<Position>, Problem> {
    let Some(cursor) = &query.cursor else {
        return Ok(None);
    };
    let position = call.data.cursor_keys.open(question, cursor);
    // From an end there are no values.
    let fits = |p: &Position| p.values.is_empty() || p.values.len() == plan.order.len();
    match position.filter(fits) {
        Some(position) => Ok(Some(position)),
        None => {
            let message = "is not a cursor of this list with this filter and order";
            let error = refuse("cursor", FieldCode::InvalidValue, message);
            Err(Problem::invalid(vec![error]))
        }
    }
}

/// The rows of a page in their order, and what is known of those around it.
pub(super) struct Edges {
    /// The rows that are answered.
    pub page: Vec<Row>,
    /// Whether rows stand before the page.
    before: bool,
    /// Whether rows follow the page.
    behind: bool,
}

impl Edges {
    /// Takes the rows that were read, of which there is one more than answered where more follow in the way that was
    /// read. `follows` tells, of a page that was read back, whether rows follow it.
    pub fn new(
        query: &ListQuery,
        position: Option<&Position>,
        mut rows: Vec<Row>,
        follows: bool,
    ) -> Self {
        let limit = query.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let is_empty = limit == 0;
        match position {
            Some(Position { way: Way::Back, .. }) => {
                rows.reverse();
                Self {
                    page: rows,
                    before: more,
                    behind: follows,
                }
            }
            position => Self {
                page: rows,
                // Where a cursor stands a row was read before.
                before: !is_empty
                    && (query.offset > 0 || position.is_some_and(|p| !p.values.is_empty())),
                behind: more,
            },
        }
    }

    /// Where the next page begins.
    pub fn next(&self, plan: &ListPlan) -> Result<Option<Position>, Problem> {
        let way = Way::Forward;
        self.behind
            .then(|| position_of(plan, way, self.page.last()))
            .transpose()
    }

    /// Where the page before ends.
    pub fn prev(&self, plan: &ListPlan) -> Result<Option<Position>, Problem> {
        let way = Way::Back;
        self.before
            .then(|| position_of(plan, way, self.page.first()))
            .transpose()
    }
}

/// The values of the order's keys in a row; an end of the list where the page has no row.
fn position_of(plan: &ListPlan, way: Way, row: Option<&Row>) -> Result<Position, Problem> {
    let unreadable = || Problem::new(ProblemKind::Internal, "The page could not be read.");
    let Some(row) = row else {
        return Ok(Position {
            way,
            values: Vec::new(),
        });
    };
    let values: Vec<Option<&[u8]>> = row.values().collect();
    let keys = plan.order.iter().zip(&plan.keys_at);
    let keys = keys.map(|(key, at)| {
        let value = values.get(*at).copied().ok_or_else(unreadable)?;
        // PostgreSQL reads its own text again, but for bytes, whose binds are base64.
        match (value, key.operand.field_type()) {
            (None, _) => Ok(None),
            (Some(hex), model::FieldType::Bytes) => base64_of(hex).map(Some).ok_or_else(unreadable),
            (Some(text), _) => {
                let text = std::str::from_utf8(text).map_err(|_| unreadable())?;
                Ok(Some(text.to_owned()))
            }
        }
    });
    let values: Result<Vec<_>, Problem> = keys.collect();
    Ok(Position {
        way,
        values: values?,
    })
}

/// The cursor of a position, or 400 when it would not fit into a request.
pub(super) fn seal_cursor(
    call: &Call<'_>,
    question: &Question,
    position: &Position,
) -> Result<String, Problem> {
    let cursor = call.data.cursor_keys.seal(question, position);
    if cursor.len() > CURSOR_BYTES_MAX {
        let message = "has values too long to go on from; order by another field";
        let error = refuse("order", FieldCode::LimitExceeded, message);
        return Err(Problem::invalid(vec![error]));
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

/// `Link` to the pages around this one: the same request with another cursor.
pub(super) fn links(
    call: &Call<'_>,
    next: Option<&str>,
    prev: Option<&str>,
) -> Option<HeaderValue> {
    let mut same = format!("<{}?", call.request.raw_path);
    for (name, value) in &call.request.query {
        if !["cursor", "offset"].contains(&name.as_str()) {
            let name = utf8_percent_encode(name, ESCAPED);
            let value = utf8_percent_encode(value, ESCAPED);
            same.push_str(&format!("{name}={value}&"));
        }
    }
    let link = |(cursor, rel): (Option<&str>, &str)| {
        cursor.map(|cursor| format!("{same}cursor={cursor}>; rel=\"{rel}\""))
    };
    let links: Vec<_> = [(next, "next"), (prev, "prev")]
        .into_iter()
        .filter_map(link)
        .collect();
    let links = links.join(", ");
    HeaderValue::from_str(&links)
        .ok()
        .filter(|_| !links.is_empty())
}
