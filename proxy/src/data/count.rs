//! `count=exact|planned|estimated`.

use sql::{
    Statement,
    postgres::select::{Output, Scope},
};

use super::parse::Count;
use crate::{
    postgres::Row,
    problem::{Problem, ProblemKind},
};

/// As far as this an estimate is exact: a count of so many rows is quick, and a small number that is wrong is seen.
/// It is the largest page, as in PostgREST.
const EXACT_MAX: u32 = model::module_model::PAGE_SIZE_MAX_DEFAULT;

/// The statements that count.
pub(super) fn statements(
    scope: &Scope<'_>,
    count: Count,
    distinct: Option<&[Output]>,
) -> Vec<Statement> {
    match count {
        Count::Exact => vec![scope.count(distinct)],
        Count::Planned => vec![scope.count_planned(distinct)],
        Count::Estimated => vec![
            scope.count_up_to(EXACT_MAX, distinct),
            scope.count_planned(distinct),
        ],
    }
}

/// What their answers say.
pub(super) fn read(count: Count, answers: &[Vec<Row>]) -> Result<u64, Problem> {
    let counted = |rows: Option<&Vec<Row>>| text_of(rows)?.parse().ok();
    let read = match count {
        Count::Exact => counted(answers.first()),
        Count::Planned => planned(answers.first()),
        Count::Estimated => counted(answers.first()).and_then(|exact: u64| {
            if exact <= u64::from(EXACT_MAX) {
                return Some(exact);
            }
            Some(planned(answers.get(1))?.max(exact))
        }),
    };
    read.ok_or_else(|| Problem::new(ProblemKind::Internal, "The rows could not be counted."))
}

fn text_of(rows: Option<&Vec<Row>>) -> Option<&str> {
    let value = rows?.first()?.values().next().flatten()?;
    std::str::from_utf8(value).ok()
}

/// Rows that the outermost node of a plan is expected to answer.
fn planned(rows: Option<&Vec<Row>>) -> Option<u64> {
    let plan: serde_json::Value = serde_json::from_str(text_of(rows)?).ok()?;
    plan.pointer("/0/Plan/Plan Rows")?
        .as_f64()
        .map(|rows| rows as u64)
}
