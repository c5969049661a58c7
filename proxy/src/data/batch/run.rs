//! Runs a batch: together, and one by one where something is wrong.

use std::collections::HashSet;

use sql::{Statement, postgres::batch::must_write};

use super::{
    at,
    plan::{Item, Plan, Values},
    reference::{self, Value},
    step::Step,
};
use crate::{
    data::{
        Failure,
        refusal::problem_of,
        session::{Session, Stopped},
    },
    postgres::{DatabaseError, Row},
    problem::Problem,
};

/// Most different statements of one round trip: a connection keeps at least 64 prepared, and one must not take the place
/// of another of its own round.
const TEXTS_MAX: usize = 60;
/// How often a batch is run that lost against others: once and two reruns, as a single write.
const RUNS_MAX: u32 = 3;

/// How many operations share a round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As many as do not wait for an answer.
    Together,
    /// One: then it is known which has failed, and why.
    OneByOne,
}

/// Why an attempt came to no end.
enum Halt {
    /// It is answered.
    Failed(Failure),
    /// One of several has failed.
    Unclear,
    /// Others were in the way, and it has been rolled back.
    Lost(Stopped),
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem.into())
    }
}

/// The written row of each operation. Committed already, unless the session is holding its transaction.
pub(super) async fn run(session: &Session<'_>, plan: &Plan<'_>) -> Result<Vec<Row>, Failure> {
    let mut pace = Pace::Together;
    let mut runs = 1;
    loop {
        match attempt(session, plan, pace).await {
            Ok(rows) => return Ok(rows),
            Err(Halt::Failed(failure)) => {
                session.undo().await;
                return Err(failure);
            }
            Err(Halt::Unclear) => pace = Pace::OneByOne,
            Err(Halt::Lost(_)) if runs < RUNS_MAX => runs += 1,
            Err(Halt::Lost(stopped)) => {
                return Err(stopped.into_failure(|e| problem_of(plan.calls[0].model, e)));
            }
        }
        session.undo().await;
    }
}

async fn attempt(session: &Session<'_>, plan: &Plan<'_>, pace: Pace) -> Result<Vec<Row>, Halt> {
    let mut rows: Vec<Row> = Vec::with_capacity(plan.items.len());
    let mut round = Round::new(plan, pace);
    for (i, item) in plan.items.iter().enumerate() {
        let step = match item {
            Item::Ready(step) => StepOf::Planned(step),
            Item::Waiting(values) => {
                if asks_for(values, rows.len()) {
                    round.run(session, Commit::Later, &mut rows).await?;
                }
                StepOf::Made(Box::new(
                    values
                        .step(|_, value| known(plan, &rows, value))
                        .map_err(|p| at(p, i))?,
                ))
            }
        };
        let shape = &plan.entries[i].shape;
        let statements = step.get().statements(shape);
        if round.is_full(&statements) {
            round.run(session, Commit::Later, &mut rows).await?;
        }
        round.push(step, statements);
    }
    let whole = rows.is_empty();
    let commit = if whole {
        Commit::IfWhole
    } else {
        Commit::Later
    };
    round.run(session, commit, &mut rows).await?;
    Ok(rows)
}

/// Whether a value is in the answer to an operation that has not been run.
fn asks_for(values: &Values<'_>, answered: usize) -> bool {
    values.all().any(
        |(_, value)| matches!(value, Value::Answered { operation, .. } if *operation >= answered),
    )
}

fn known(plan: &Plan<'_>, rows: &[Row], value: &Value) -> Result<String, Problem> {
    match value {
        Value::Known(json) => Ok(json.clone()),
        Value::Answered { operation, column } => {
            reference::shown(&plan.entries[*operation].shape, &rows[*operation], column)
        }
    }
}

/// Whether the statements may be committed with their own round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    /// More follows, or has gone before.
    Later,
    /// They are the whole batch.
    IfWhole,
}

enum StepOf<'a> {
    Planned(&'a Step<'a>),
    Made(Box<Step<'a>>),
}

impl<'a> StepOf<'a> {
    fn get(&self) -> &Step<'a> {
        match self {
            Self::Planned(step) => step,
            Self::Made(step) => step,
        }
    }
}

/// Operations that share a round trip.
struct Round<'a> {
    plan: &'a Plan<'a>,
    pace: Pace,
    steps: Vec<(StepOf<'a>, Vec<Statement>)>,
    texts: HashSet<String>,
    /// Whether the locks have been taken.
    locked: bool,
}

impl<'a> Round<'a> {
    fn new(plan: &'a Plan<'a>, pace: Pace) -> Self {
        Self {
            plan,
            pace,
            steps: Vec::new(),
            texts: plan.locks.iter().map(|s| s.text.clone()).collect(),
            locked: false,
        }
    }

    fn is_full(&self, more: &[Statement]) -> bool {
        let new = more.iter().filter(|s| !self.texts.contains(&s.text));
        !self.steps.is_empty()
            && (self.pace == Pace::OneByOne || self.texts.len() + new.count() > TEXTS_MAX)
    }

    fn push(&mut self, step: StepOf<'a>, statements: Vec<Statement>) {
        self.texts.extend(statements.iter().map(|s| s.text.clone()));
        self.steps.push((step, statements));
    }

    /// Runs what has gathered and appends a row each.
    async fn run(
        &mut self,
        session: &Session<'_>,
        commit: Commit,
        rows: &mut Vec<Row>,
    ) -> Result<(), Halt> {
        let steps = std::mem::take(&mut self.steps);
        self.texts.clear();
        let alone = commit == Commit::IfWhole
            && self.pace == Pace::Together
            && !session.is_held()
            && steps.iter().all(|(step, _)| step.get().tells_by_its_row());
        let mut all = Vec::new();
        if !std::mem::replace(&mut self.locked, true) {
            all.extend(self.plan.locks.iter().cloned());
        }
        let before = all.len();
        let mut counts = Vec::with_capacity(steps.len());
        for (step, statements) in &steps {
            counts.push(statements.len());
            let writes = statements.len().checked_sub(1 + step.get().afterwards());
            for (at, statement) in statements.iter().cloned().enumerate() {
                // Nobody looks at the answers before they are committed.
                all.push(match alone && Some(at) == writes {
                    true => must_write(statement),
                    false => statement,
                });
            }
        }
        let result = if alone {
            session.write(all).await
        } else {
            session.step(all).await
        };
        let answer = result.map_err(|stopped| self.halt(stopped, rows.len()))?;
        let mut rest = answer.get(before..).unwrap_or_default();
        for ((step, _), count) in steps.iter().zip(counts) {
            let (own, others) = rest.split_at(count.min(rest.len()));
            let row = step.get().read(own).map_err(|p| at(p, rows.len()))?;
            rows.push(row.clone());
            rest = others;
        }
        Ok(())
    }

    /// What a failed round means; `first` is its first operation.
    fn halt(&self, stopped: Stopped, first: usize) -> Halt {
        let model = self.plan.calls[first].model;
        match stopped {
            Stopped::Database(DatabaseError::Contention) => Halt::Lost(stopped),
            Stopped::Database(error) if is_of_one(&error) => match self.pace {
                Pace::Together => Halt::Unclear,
                Pace::OneByOne => at(problem_of(model, error), first).into(),
            },
            stopped => Halt::Failed(stopped.into_failure(|error| problem_of(model, error))),
        }
    }
}

/// Whether it is one operation that has failed, for a reason that running it again would show.
fn is_of_one(error: &DatabaseError) -> bool {
    matches!(
        error,
        DatabaseError::NothingWritten
            | DatabaseError::NotUnique(_)
            | DatabaseError::ReferenceMissing(_)
            | DatabaseError::RecordTooLarge
            | DatabaseError::Invalid { .. }
    )
}
