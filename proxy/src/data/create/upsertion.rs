//! One record that may be there already, as a piece of a larger transaction.

use model::{Field, ModelName};
use sql::{
    Statement,
    postgres::insert::{self, Key, NewRows, Taken},
};

use super::{
    many::Batch,
    upsert::{self, Upsert},
};
use crate::{
    data::{
        Call,
        body::Input,
        prefer::{Missing, Resolution},
        record::Shape,
        refusal,
    },
    postgres::Row,
    problem::Problem,
};

/// A record to be created, or merged into the one that has its key: what runs, and what the answers mean. The last
/// statement is the one that writes.
pub(in crate::data) struct Upsertion<'a> {
    /// Of which model, and by whom.
    pub call: &'a Call<'a>,
    records: Batch<'a>,
    key: Key<'a>,
    merged: Vec<&'a Field>,
}

impl<'a> Upsertion<'a> {
    /// 400 when the names are not those of a key.
    pub fn plan(call: &'a Call<'a>, input: Input, on_conflict: &[String]) -> Result<Self, Problem> {
        let resolution = Some(Resolution::MergeDuplicates);
        let named = upsert::key_of(call.model, resolution, Some(on_conflict))?;
        let Some(Upsert { key, .. }) = named else {
            return Err(refusal::unreadable());
        };
        let inputs = vec![input];
        let merged = upsert::merged_fields(call.model, &inputs, None, key)?;
        Ok(Self {
            call,
            records: Batch::new(call.model, inputs, Missing::Default, Some(key))?,
            key,
            merged,
        })
    }

    /// The statements of one transaction.
    pub fn statements(&self, shape: &Shape) -> Vec<Statement> {
        let tenant = self.call.caller.tenant.id;
        let rows = NewRows {
            tenant,
            user: &self.call.caller.user,
            ids: &self.records.ids,
            values: &self.records.values,
            taken: Taken::Merge(self.key, &self.merged),
        };
        let parents = self.records.parents();
        let locks = parents.iter();
        let mut statements: Vec<_> = locks
            .map(|(target, ids)| insert::lock_parents(&tenant, target, ids))
            .collect();
        if self.is_by_id() {
            let name = self.call.model.name();
            statements.push(insert::deleted_among(&tenant, name, rows.ids));
        }
        statements.push(insert::insert_many(self.call.model, &rows, &shape.columns));
        statements
    }

    /// The row as it is now, or why there is none.
    pub fn read<'r>(&self, answer: &'r [Vec<Row>]) -> Result<&'r Row, Problem> {
        if let Some(row) = answer.last().and_then(|rows| rows.first()) {
            return Ok(row);
        }
        let parents = self.records.parents();
        let before = &answer[..answer.len().saturating_sub(1)];
        self.records
            .check(&parents, before, self.is_by_id(), true)?;
        Err(refusal::unreadable())
    }

    /// The rows that it refers to.
    pub fn parents(&self) -> Vec<(ModelName, Vec<String>)> {
        self.records.parents()
    }

    /// The row that it may change, where that is known.
    pub fn own(&self) -> Option<&str> {
        let id = self.records.ids.first().map(String::as_str);
        id.filter(|_| self.is_by_id())
    }

    fn is_by_id(&self) -> bool {
        self.key == Key::Id
    }
}
