//! `DELETE /v1/data/{module}/{model}/{id}`. Records that refer to the record are in its way, go with it,
//! or lose their reference, as `onDelete` says.

pub(super) mod filtered;

use http::header;
use model::Action;
use sql::{
    Statement,
    postgres::{
        delete::{self, Cascade, Deletion, Referrer},
        update,
    },
};

use super::{
    Call, Failure, accept,
    hooked::{Which, run},
    parse,
    patch::Expected,
    prefer::{Preferences, Return},
    record::Shape,
    refusal::conflict,
    writing,
    written::{self, Wrote},
};
use crate::{
    exchange::Reply,
    postgres::Row,
    problem::{FieldCode, Problem},
    query::refuse,
};

pub(super) async fn delete(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    call.require(Action::Delete)?;
    accept::require_json_answer(&call.request.headers)?;
    writing::no_conditions(&call.request.headers, &[header::IF_NONE_MATCH])?;
    let preferences = Preferences::parse(&call.request.headers)?;
    let id = parse::parse_id(id)?;
    let selected = parse::parse_one(call.model, &call.request.query)?;
    let returning = written::returning(call, &preferences, Return::Minimal)?;
    let shape = written::shape(call, selected.as_deref(), true, returning);
    let expected = Expected {
        if_match: call.if_match()?,
        version: None,
    };
    let which = Which::Ids(std::slice::from_ref(&id));
    call.before_delete(which, run(&preferences)).await?;
    let removal = Removal::plan(call, id, expected);
    let answer = call.write(removal.statements(&shape)).await?;
    let row = removal.read(&answer)?;
    Ok(written::one(
        call,
        &Wrote::Deleted,
        &shape,
        row,
        &preferences,
        returning,
    )?)
}

/// A live record to be deleted: what runs, and what the answers mean.
pub(super) struct Removal<'a> {
    /// Of which model, and by whom.
    pub call: &'a Call<'a>,
    /// Which record.
    pub id: String,
    delete_id: String,
    expected: Expected,
    cascade: Cascade<'a>,
}

impl<'a> Removal<'a> {
    /// Finds what may refer to the record.
    pub fn plan(call: &'a Call<'a>, id: String, expected: Expected) -> Self {
        Self {
            call,
            id,
            delete_id: uuid::Uuid::now_v7().to_string(),
            expected,
            cascade: cascade(call),
        }
    }

    /// The statements of one transaction.
    pub fn statements(&self, shape: &Shape) -> Vec<Statement> {
        let tenant = self.call.caller.tenant.id;
        let versions = self.expected.versions();
        let referrers = self.cascade.referrers();
        let deletion = Deletion {
            tenant,
            user: &self.call.caller.user,
            model: self.call.model.name(),
            id: &self.id,
            delete_id: &self.delete_id,
            versions: versions.as_deref(),
            referrers: &referrers,
        };
        let mut statements = vec![update::lock_row(&tenant, deletion.model, &self.id)];
        if self.cascade.acts() {
            statements.extend(self.cascade.blocked(&deletion));
            statements.push(self.cascade.carry_out(&deletion));
            statements.extend(self.cascade.guard(&deletion));
        } else {
            statements.extend(delete::live_referrers(&deletion));
        }
        if self.is_removal() {
            statements.push(delete::remove(&deletion, &shape.columns));
        } else {
            statements.push(delete::soft_delete(&deletion, &shape.columns));
            statements.extend(self.cascade.purge(&deletion));
        }
        statements
    }

    /// How many statements follow the one that tells whether the record was deleted.
    pub fn afterwards(&self) -> usize {
        usize::from(!self.is_removal() && self.cascade.removes())
    }

    /// Whether the record leaves its table and nothing goes with it.
    fn is_removal(&self) -> bool {
        !self.call.model.soft_delete() && !self.cascade.acts()
    }

    /// The deleted row, or why it was not deleted.
    pub fn read<'r>(&self, answer: &'r [Vec<Row>]) -> Result<&'r Row, Problem> {
        let mut told = answer.iter().rev().skip(self.afterwards());
        if let Some(row) = told.next().and_then(|rows| rows.first()) {
            return Ok(row);
        }
        self.expected
            .check(answer.first().and_then(|rows| rows.first()))?;
        let found = answer.get(1).and_then(|rows| rows.first());
        Err(in_use(self.call, &self.cascade.blockers(), found))
    }
}

/// What a deletion of a record of the model reaches.
pub(super) fn cascade<'a>(call: &'a Call<'_>) -> Cascade<'a> {
    Cascade::of(call.model, |name| {
        let referrers = call.catalog.referrers(name);
        referrers.map(|(model, field)| (&**model, field))
    })
}

/// 409 naming the relations: by the model that refers, and by its field where it has several that the caller sees.
fn in_use(call: &Call<'_>, referrers: &[Referrer<'_>], found: Option<&Row>) -> Problem {
    let found: Vec<bool> = found
        .map(|row| row.values().map(|v| v == Some(b"t")).collect())
        .unwrap_or_default();
    let named = referrers
        .iter()
        .zip(found)
        .filter(|(_, found)| *found)
        .map(|(referrer, _)| {
            let several = referrers
                .iter()
                .filter(|r| r.model == referrer.model)
                .count()
                > 1;
            let relation = match several {
                true => call.relation_through(referrer.model, referrer.field),
                false => referrer.model.model.as_str().to_owned(),
            };
            refuse(
                &relation,
                FieldCode::ReferenceInUse,
                "has records that refer to this one",
            )
        });
    conflict(named.collect())
}
