//! Which records a write by filter reaches, how many it may reach, and what is answered of them.

use model::Action;
use sql::{filter::Filter, postgres::Filtered};

use super::{
    Call,
    prefer::{Honours, Preferences, Return},
    record::Shape,
    refusal,
    writing::WriteQuery,
    written,
};
use crate::{
    exchange::Reply,
    postgres::Row,
    problem::{FieldCode, Problem},
    query::refuse,
};

/// Most records that a filter may reach where they are not answered: what one transaction holds locks for, and what its
/// change events are still a burst of (API.md "Writing").
pub(crate) const ROWS_MAX: u64 = 100_000;

/// A filter, and what comes back.
pub(super) struct Reach {
    filter: Filter,
    most: u64,
    returning: Return,
    pub shape: Shape,
}

/// What the statement answered.
pub(super) struct Reached<'r> {
    /// What is shown, then the id of each; nothing when they are not shown.
    pub rows: &'r [Row],
    /// How many were written.
    pub written: u64,
    /// How many the filter found, at most one more than may be written.
    pub found: u64,
}

impl Reach {
    /// A filter is required. Reading is needed: how many records a filter finds tells of their values.
    pub fn plan(
        call: &Call<'_>,
        query: &WriteQuery,
        preferences: &Preferences,
        deleted: bool,
    ) -> Result<Self, Problem> {
        let filter = query.filter(call.model)?;
        call.require(Action::Read)?;
        let returning = written::returning(call, preferences, Return::Representation)?;
        let most = match returning {
            Return::Representation => u64::from(call.model.max_page_size()),
            Return::Minimal | Return::HeadersOnly => ROWS_MAX,
        };
        Ok(Self {
            filter,
            most: preferences
                .max_affected
                .map_or(most, |asked| asked.min(most)),
            shape: written::shape(call, query.select.as_deref(), deleted, returning),
            returning,
        })
    }

    /// The records, for the statement that writes them.
    pub fn rows<'a>(&'a self, call: &Call<'a>) -> Filtered<'a> {
        Filtered {
            tenant: call.caller.tenant.id,
            model: call.model.name(),
            filter: &self.filter,
            most: self.most,
        }
    }

    /// Whether the records are answered; else the statement answers numbers.
    pub fn is_shown(&self) -> bool {
        self.returning == Return::Representation
    }

    /// Reads the answer; an error when the filter found too many, and so nothing was written.
    pub fn read<'r>(
        &self,
        rows: &'r [Row],
        preferences: &Preferences,
    ) -> Result<Reached<'r>, Problem> {
        let first = rows.first().ok_or_else(refusal::unreadable)?;
        let reached = match self.is_shown() {
            true => {
                let id_at = self.shape.columns.len();
                let is_none = first.values().nth(id_at).flatten().is_none();
                let rows = if is_none { &[] } else { rows };
                Reached {
                    rows,
                    written: rows.len() as u64,
                    found: number_at(first, first.values().count() - 1)?,
                }
            }
            false => Reached {
                rows: &[],
                written: number_at(first, 0)?,
                found: number_at(first, 1)?,
            },
        };
        if reached.found > self.most {
            return Err(self.too_many(preferences));
        }
        Ok(reached)
    }

    fn too_many(&self, preferences: &Preferences) -> Problem {
        let most = self.most;
        if preferences.max_affected == Some(most) {
            return refusal::too_many_affected(most);
        }
        let message = match self.is_shown() {
            true => format!(
                "find more than {most} records; with Prefer: return=minimal they may be {ROWS_MAX}"
            ),
            false => format!("find more than {most} records"),
        };
        Problem::invalid(vec![refuse("filters", FieldCode::LimitExceeded, message)])
    }

    /// The reply about what was written.
    pub fn reply(
        &self,
        reached: &Reached<'_>,
        preferences: &Preferences,
    ) -> Result<Reply, Problem> {
        written::several(
            false,
            &self.shape,
            reached.rows,
            reached.written,
            preferences,
            self.returning,
            Honours::Several,
        )
    }
}

/// The text of a value.
pub(super) fn text_at(row: &Row, at: usize) -> Option<&str> {
    let value = row.values().nth(at).flatten()?;
    std::str::from_utf8(value).ok()
}

fn number_at(row: &Row, at: usize) -> Result<u64, Problem> {
    let number = text_at(row, at).and_then(|text| text.parse().ok());
    number.ok_or_else(refusal::unreadable)
}
