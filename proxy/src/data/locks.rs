//! The locks that a write takes before it writes, in one order for all writers so that they do not wait in circles.

use model::{Field, ModelName, ModuleModel, TenantId};
use sql::{
    Statement,
    postgres::{Filtered, insert, update},
};

use super::{
    Call,
    batch::Locked,
    refusal::{conflict, missing_reference},
};
use crate::{postgres::Row, problem::Problem};

/// Lock statements in order, and what each of them is for.
pub(super) struct Locks<'a> {
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    target: ModelName,
    id: &'a str,
    /// The field that refers to the row; `None` for the row that is written.
    field: Option<&'a Field>,
    statement: Statement,
}

/// The row itself before itself as a parent: a lock that becomes stronger could meet another that does.
fn sort(entries: &mut [Entry<'_>]) {
    entries.sort_by(|a, b| {
        (&a.target, a.id, a.field.is_some()).cmp(&(&b.target, b.id, b.field.is_some()))
    });
}

impl<'a> Locks<'a> {
    /// Locks for the parents that new values of `fields` name, and for the row itself where there is one.
    pub fn new(
        tenant: &TenantId,
        model: &ModuleModel,
        parents: impl IntoIterator<Item = (&'a Field, &'a str)>,
        own: Option<&'a str>,
    ) -> Self {
        let parent = |(field, id): (&'a Field, &'a str)| {
            let reference = field.references.as_ref()?;
            let target = ModelName {
                module: reference.module.clone(),
                model: reference.model.clone(),
            };
            let statement = insert::lock_parent(tenant, reference, id);
            Some(Entry {
                target,
                id,
                field: Some(field),
                statement,
            })
        };
        let mut entries: Vec<_> = parents.into_iter().filter_map(parent).collect();
        entries.extend(own.map(|id| Entry {
            target: model.name().clone(),
            id,
            field: None,
            statement: update::lock_row(tenant, model.name(), id),
        }));
        sort(&mut entries);
        Self { entries }
    }

    /// With the rows that a filter finds, where what they are going to refer to would be locked too early: their own
    /// model comes first in the order, or they refer to rows of it. Else the write locks them, in its place.
    pub fn with_found(mut self, rows: &Filtered<'_>) -> Self {
        let later = self.entries.iter().any(|e| e.target >= *rows.model);
        if later {
            let own = self.entries.iter().filter(|e| e.target == *rows.model);
            let parents: Vec<_> = own.map(|e| e.id.to_owned()).collect();
            self.entries.push(Entry {
                target: rows.model.clone(),
                // Before every id.
                id: "",
                field: None,
                statement: rows.lock(&parents),
            });
            sort(&mut self.entries);
        }
        self
    }

    /// The statements, to stand before the write.
    pub fn statements(&self) -> Vec<Statement> {
        self.entries.iter().map(|e| e.statement.clone()).collect()
    }

    /// The rows, for who locks those of several writes at once.
    pub fn targets<'b>(&self, call: &'b Call<'b>) -> Vec<Locked<'b>> {
        let locked = |e: &Entry<'_>| Locked {
            call,
            target: e.target.clone(),
            id: e.id.to_owned(),
            own: e.field.is_none(),
        };
        self.entries.iter().map(locked).collect()
    }

    /// What the lock on the row itself answered: its version, or nothing when it is not there.
    pub fn own<'b>(&self, answer: &'b [Vec<Row>]) -> Option<&'b Row> {
        let at = self.entries.iter().position(|e| e.field.is_none())?;
        answer.get(at)?.first()
    }

    /// 409 with the fields whose parents are not there.
    pub fn missing(&self, answer: &[Vec<Row>]) -> Problem {
        let missing = self
            .entries
            .iter()
            .zip(answer)
            .filter(|(_, rows)| rows.is_empty());
        let mut errors: Vec<_> = missing
            .filter_map(|(e, _)| e.field)
            .map(|f| missing_reference(f.name.as_str()))
            .collect();
        errors.sort_by(|a, b| a.field.cmp(&b.field));
        conflict(errors)
    }
}
