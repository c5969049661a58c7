//! `POST /v1/data/{module}/{model}/{id}/restore`: a deleted record is there again.

use http::{Method, header};
use model::{Action, Field};
use sql::{
    Statement,
    postgres::delete::{self, Cascade, Restoration},
};

use super::{
    Call, Failure, accept,
    body::Format,
    delete::cascade,
    hooked::{Which, run},
    parse,
    patch::Expected,
    prefer::{Preferences, Return},
    reach::text_at,
    record::Shape,
    refusal::{conflict, missing_reference},
    writing,
    written::{self, Wrote},
};
use crate::{
    exchange::Reply,
    postgres::Row,
    problem::{FieldCode, FieldError, Problem},
    query::{keeps_no_deleted, refuse},
};

/// 404 for a record that is not there or not deleted; 409 when what it refers to is gone, or a unique value is taken.
pub(super) async fn restore(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    if call.request.method != Method::POST {
        return Err(Problem::method_not_allowed("POST").into());
    }
    call.require(Action::Delete)?;
    let headers = &call.request.headers;
    accept::require_json_answer(headers)?;
    writing::no_conditions(headers, &[header::IF_NONE_MATCH])?;
    let preferences = Preferences::parse(headers)?;
    let id = parse::parse_id(id)?;
    let selected = parse::parse_one(call.model, &call.request.query)?;
    let returning = written::returning(call, &preferences, Return::Representation)?;
    let shape = written::shape(call, selected.as_deref(), false, returning);
    let expected = Expected {
        if_match: call.if_match()?,
        version: None,
    };
    let revival = Revival::plan(call, id, expected)?;
    let which = Which::Ids(std::slice::from_ref(&revival.id));
    call.before_update(which, &mut [], Format::Json, run(&preferences))
        .await?;
    let answer = call.write(revival.statements(&shape)).await?;
    let row = revival.read(&answer)?;
    Ok(written::one(
        call,
        &Wrote::Changed,
        &shape,
        row,
        &preferences,
        returning,
    )?)
}

/// A deleted record to be restored: what runs, and what the answers mean. The last statement is the one that writes.
pub(super) struct Revival<'a> {
    /// Of which model, and by whom.
    pub call: &'a Call<'a>,
    /// Which record.
    pub id: String,
    expected: Expected,
    /// What refers, in the order of what it refers to.
    references: Vec<&'a Field>,
    cascade: Cascade<'a>,
    /// How many of them are locked before the record itself: models are locked in one order by all writers.
    before: usize,
}

impl<'a> Revival<'a> {
    /// Finds what the record may refer to. 400 where deleted records are not kept.
    pub fn plan(call: &'a Call<'a>, id: String, expected: Expected) -> Result<Self, Problem> {
        if !call.model.soft_delete() {
            return Err(Problem::invalid(vec![keeps_no_deleted(
                call.model, "restore",
            )]));
        }
        let target = |field: &Field| {
            let reference = field.references.as_ref();
            reference.map(|r| (r.module.clone(), r.model.clone()))
        };
        let references = call.model.fields().iter();
        let mut references: Vec<&Field> = references.filter(|f| f.references.is_some()).collect();
        references.sort_by_key(|field| target(field));
        let own = call.model.name();
        let own = Some((own.module.clone(), own.model.clone()));
        Ok(Self {
            before: references.partition_point(|field| target(field) < own),
            call,
            id,
            expected,
            references,
            cascade: cascade(call),
        })
    }

    /// The statements of one transaction.
    pub fn statements(&self, shape: &Shape) -> Vec<Statement> {
        let (tenant, model) = (self.call.caller.tenant.id, self.call.model);
        let versions = self.expected.versions();
        let restoration = Restoration {
            tenant,
            user: &self.call.caller.user,
            id: &self.id,
            versions: versions.as_deref(),
        };
        let locks = self.references.iter();
        let locks = locks
            .filter_map(|field| delete::lock_parent_of(&tenant, model.name(), &self.id, field));
        let mut statements: Vec<_> = locks.collect();
        let own = delete::lock_deleted(&tenant, model.name(), &self.id, &self.references);
        statements.insert(self.before, own);
        if self.cascade.takes_along() {
            statements.extend(self.cascade.lock_needs(&restoration));
            statements.push(self.cascade.unmet(&restoration));
            statements.push(self.cascade.carry_back(&restoration));
        }
        statements.push(delete::restore(
            model,
            &self.cascade,
            &restoration,
            &shape.columns,
        ));
        statements
    }

    /// The restored row, or why it was not restored.
    pub fn read<'r>(&self, answer: &'r [Vec<Row>]) -> Result<&'r Row, Problem> {
        if let Some(row) = answer.last().and_then(|rows| rows.first()) {
            return Ok(row);
        }
        let locked = answer.get(self.before).and_then(|rows| rows.first());
        self.expected.check(locked)?;
        let gone = |(at, field): (usize, &&Field)| {
            let refers = locked.and_then(|row| text_at(row, at + 1));
            let lock = if at < self.before { at } else { at + 1 };
            let is_there = answer.get(lock).is_some_and(|rows| !rows.is_empty());
            let is_gone = refers.is_some_and(|id| id != self.id) && !is_there;
            is_gone.then(|| missing_reference(field.name.as_str()))
        };
        let errors = self.references.iter().enumerate().filter_map(gone);
        // A field that the caller does not see is not named.
        let model = self.call.model;
        let errors = errors.filter(|error| model.column(&error.field).is_some());
        Err(conflict(errors.chain(self.unmet(answer)).collect()))
    }

    /// What records need that would come back with it.
    fn unmet(&self, answer: &[Vec<Row>]) -> Vec<FieldError> {
        let look = answer.iter().rev().nth(2).and_then(|rows| rows.first());
        let Some(look) = look.filter(|_| self.cascade.takes_along()) else {
            return Vec::new();
        };
        let needs = self.cascade.needs();
        let unmet = needs.iter().zip(look.values());
        let unmet = unmet.filter(|(_, told)| *told == Some(b"t"));
        let named = unmet.map(|(need, _)| {
            refuse(
                &self.call.relation_through(need.model, need.field),
                FieldCode::ReferenceNotFound,
                "has records that would come back and refer to one that is not there",
            )
        });
        named.collect()
    }
}
