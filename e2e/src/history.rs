//! Writes and what became of them: acknowledged, refused or unknown, as their client saw it.

use std::collections::BTreeMap;

use uuid::Uuid;

/// A row as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Field `n`.
    pub n: i64,
    /// Field `note`.
    pub note: String,
    /// The row's version.
    pub version: i64,
    /// Whether it is soft-deleted.
    pub deleted: bool,
}

/// What the client of one row's writes knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Every write was answered: this is the row, or it was never created.
    Exactly(Option<Row>),
    /// The last write's answer was lost: it is one of the two.
    Either(Option<Row>, Option<Row>),
}

/// All rows of one or more writers.
#[derive(Debug, Default)]
pub struct History {
    rows: BTreeMap<Uuid, Known>,
    /// Writes acknowledged.
    pub acknowledged: u64,
    /// Writes refused: certainly not done.
    pub refused: u64,
    /// Writes whose answer was lost.
    pub unknown: u64,
}

/// What the client saw of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Answered as done.
    Acknowledged,
    /// Answered, or known, as not done.
    Refused,
    /// No whole answer, or one that says so.
    Unknown,
}

impl History {
    /// Notes a write that would make the row `after`.
    pub fn note(&mut self, id: Uuid, before: Option<Row>, after: Row, seen: Seen) {
        let known = match seen {
            Seen::Acknowledged => {
                self.acknowledged += 1;
                Known::Exactly(Some(after))
            }
            Seen::Refused => {
                self.refused += 1;
                Known::Exactly(before)
            }
            Seen::Unknown => {
                self.unknown += 1;
                Known::Either(before, Some(after))
            }
        };
        self.rows.insert(id, known);
    }

    /// Adds another writer's rows.
    pub fn merge(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.unknown += other.unknown;
    }

    /// Everything in `stored` that contradicts what was acknowledged: lost writes, stale rows, ghosts.
    pub fn contradictions(&self, stored: &BTreeMap<Uuid, Row>) -> Vec<String> {
        let mut found = Vec::new();
        for (id, known) in &self.rows {
            let row = stored.get(id);
            let fits = match known {
                Known::Exactly(expected) => row == expected.as_ref(),
                Known::Either(before, after) => row == before.as_ref() || row == after.as_ref(),
            };
            if !fits {
                found.push(format!("{id}: known as {known:?}, stored as {row:?}"));
            }
        }
        let ghosts = stored.iter().filter(|(id, _)| !self.rows.contains_key(id));
        found.extend(ghosts.map(|(id, row)| format!("{id}: nobody wrote it, stored as {row:?}")));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: i64) -> Row {
        Row {
            n,
            note: String::new(),
            version: n,
            deleted: false,
        }
    }

    #[test]
    fn lost_stale_and_ghost_rows_are_contradictions() {
        let ids: Vec<Uuid> = (0..4).map(|_| Uuid::now_v7()).collect();
        let mut history = History::default();
        history.note(ids[0], None, row(1), Seen::Acknowledged);
        history.note(ids[1], Some(row(1)), row(2), Seen::Unknown);
        history.note(ids[2], None, row(1), Seen::Refused);
        let good = BTreeMap::from([(ids[0], row(1)), (ids[1], row(1))]);
        assert!(history.contradictions(&good).is_empty());
        let unknown_done = BTreeMap::from([(ids[0], row(1)), (ids[1], row(2))]);
        assert!(history.contradictions(&unknown_done).is_empty());
        for bad in [
            BTreeMap::from([(ids[1], row(1))]),
            BTreeMap::from([(ids[0], row(2)), (ids[1], row(1))]),
            BTreeMap::from([(ids[0], row(1)), (ids[1], row(3))]),
            BTreeMap::from([(ids[0], row(1)), (ids[1], row(1)), (ids[2], row(1))]),
            BTreeMap::from([(ids[0], row(1)), (ids[1], row(1)), (ids[3], row(1))]),
        ] {
            assert_eq!(history.contradictions(&bad).len(), 1, "{bad:?}");
        }
    }
}
