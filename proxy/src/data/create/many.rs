//! Many new records in one statement, all or none; with a key, records that may be there already.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::{ModelName, ModuleModel};
use sql::{
    Statement,
    postgres::insert::{self, Key, NewRows, Taken},
};

use super::{
    Asked, new_id,
    upsert::{self, Upsert},
};
use crate::{
    data::{
        Call, Failure,
        body::{self, Sent},
        prefer::{Honours, Missing, Resolution, Return},
        refusal::{self, conflict, missing_reference},
        session::Stopped,
        written::{self, Wrote},
    },
    exchange::Reply,
    postgres::{DatabaseError, Lane, Row},
    problem::{FieldCode, FieldError, Problem},
    query::refuse,
};

/// Records on their way into the table, in the order in which they are written.
///
/// That is the order of their keys, so that two requests that write the same keys meet in one order and neither waits
/// for the other in a circle.
pub(super) struct Batch<'a> {
    model: &'a ModuleModel,
    /// Their ids.
    pub ids: Vec<String>,
    /// Their values.
    pub values: Vec<Vec<Option<String>>>,
    /// Where each was in the body.
    places: Vec<usize>,
}

pub(super) async fn create(
    call: &Call<'_>,
    asked: &Asked,
    sent: Sent,
    upsert: Option<Upsert<'_>>,
) -> Result<Reply, Failure> {
    let (is_one, inputs) = match sent {
        Sent::One(input) => (true, vec![input]),
        Sent::Many(inputs) => (false, inputs),
    };
    let Asked {
        preferences,
        query,
        returning,
    } = asked;
    if let Some(most) = preferences.max_affected
        && inputs.len() as u64 > most
    {
        return Err(refusal::too_many_affected(most).into());
    }
    let merged = match upsert {
        Some(Upsert {
            key,
            resolution: Resolution::MergeDuplicates,
        }) => upsert::merged_fields(call.model, &inputs, query.columns.as_deref(), key)?,
        _ => Vec::new(),
    };
    let missing = preferences.missing.unwrap_or(Missing::Default);
    let batch = Batch::new(call.model, inputs, missing, upsert.map(|u| u.key))?;
    let shape = written::shape(call, query.select.as_deref(), false, *returning);
    if batch.ids.is_empty() {
        return Ok(written::several(
            true,
            &shape,
            [],
            0,
            preferences,
            *returning,
            Honours::Create,
        )?);
    }

    let rows = NewRows {
        tenant: call.caller.tenant.id,
        user: &call.caller.user,
        ids: &batch.ids,
        values: &batch.values,
        taken: match upsert {
            None => Taken::Fail,
            Some(Upsert {
                key,
                resolution: Resolution::MergeDuplicates,
            }) => Taken::Merge(key, &merged),
            Some(Upsert { key, .. }) => Taken::Ignore(key),
        },
    };
    let parents = batch.parents();
    let mut statements: Vec<Statement> = parents
        .iter()
        .map(|(target, ids)| insert::lock_parents(&rows.tenant, target, ids))
        .collect();
    let by_id = upsert.is_some_and(|u| u.key == Key::Id);
    if by_id {
        statements.push(insert::deleted_among(
            &rows.tenant,
            call.model.name(),
            &batch.ids,
        ));
    }
    statements.push(insert::insert_many(call.model, &rows, &shape.columns));
    let mut answer = match call.session.write(statements).await {
        Ok(answer) => answer,
        Err(Stopped::Database(DatabaseError::NotUnique(constraint))) => {
            return Err(batch.not_unique(call, &rows, &constraint, is_one).await);
        }
        // A row of that id was deleted meanwhile.
        Err(Stopped::Database(DatabaseError::Invalid { code, .. })) if by_id && code == "22P02" => {
            let deleted = refuse("id", FieldCode::Deleted, "is the id of a deleted record");
            return Err(conflict(vec![deleted]).into());
        }
        Err(stopped) => return Err(call.failure(stopped)),
    };
    let written = answer.pop().unwrap_or_default();
    let ignores = matches!(rows.taken, Taken::Ignore(_));
    if written.is_empty() || !ignores && written.len() < batch.ids.len() {
        batch.check(&parents, &answer, by_id, is_one)?;
        // Where every row was there already nothing is written, and nothing is wrong.
        if !ignores {
            return Err(refusal::unreadable().into());
        }
    }
    let places = batch.places(&written, shape.columns.len(), ignores)?;
    let created = match rows.taken {
        Taken::Fail => written.len(),
        Taken::Ignore(_) => written.len(),
        // A record begins with version 1, and a merge adds to it.
        Taken::Merge(..) => {
            let mut created = 0;
            for row in &written {
                created += usize::from(shape.version(row)? == "1");
            }
            created
        }
    };
    let mut ordered: Vec<(usize, &Row)> = places.into_iter().zip(&written).collect();
    ordered.sort_by_key(|(place, _)| *place);
    if is_one && let Some((_, row)) = ordered.first() {
        let wrote = match (created, id_of(row, shape.columns.len())) {
            (1, Some(id)) => Wrote::Created(id.to_owned()),
            _ => Wrote::Merged,
        };
        return Ok(written::one(
            call,
            &wrote,
            &shape,
            row,
            preferences,
            *returning,
        )?);
    }
    let affected = written.len() as u64;
    // One record that was there already: there is none to be answered.
    let returning = if is_one { Return::Minimal } else { *returning };
    let rows = ordered.into_iter().map(|(_, row)| row);
    Ok(written::several(
        created > 0,
        &shape,
        rows,
        affected,
        preferences,
        returning,
        Honours::Create,
    )?)
}

/// The id that a row ends with, behind what is fetched for the answer.
fn id_of(row: &Row, columns: usize) -> Option<&str> {
    let id = row.values().nth(columns).flatten()?;
    std::str::from_utf8(id).ok()
}

impl<'a> Batch<'a> {
    /// 400 when two have the same key.
    pub fn new(
        model: &'a ModuleModel,
        inputs: Vec<body::Input>,
        missing: Missing,
        key: Option<Key<'_>>,
    ) -> Result<Self, Problem> {
        let mut ids = Vec::with_capacity(inputs.len());
        let mut values = Vec::with_capacity(inputs.len());
        for mut input in inputs {
            ids.push(input.id.take().unwrap_or_else(new_id));
            values.push(body::with_defaults(model, input, missing));
        }
        for key in [Some(Key::Id), key].into_iter().flatten() {
            if let Some(row) = upsert::repeated(model, key, &ids, &values) {
                let repeated = |name: &str| {
                    let message = "is the same as in a record before it";
                    in_row(refuse(name, FieldCode::Duplicate, message), row, false)
                };
                let names = upsert::key_names(key);
                return Err(Problem::invalid(names.into_iter().map(repeated).collect()));
            }
        }
        let decides = key.or_else(|| model.unique().first().map(Key::Unique));
        let mut places: Vec<usize> = (0..ids.len()).collect();
        if let Some(key) = decides {
            places.sort_by_key(|at| upsert::key_values(model, key, &ids[*at], &values[*at]));
        }
        let mut take = |at: &usize| {
            (
                std::mem::take(&mut ids[*at]),
                std::mem::take(&mut values[*at]),
            )
        };
        let (ids, values) = places.iter().map(&mut take).unzip();
        Ok(Self {
            model,
            ids,
            values,
            places,
        })
    }

    /// The parents to lock, by model and id; rows of the batch itself are not there yet.
    pub fn parents(&self) -> Vec<(ModelName, Vec<String>)> {
        let own: BTreeSet<&String> = self.ids.iter().collect();
        let mut parents: BTreeMap<ModelName, BTreeSet<&String>> = BTreeMap::new();
        for (at, field) in self.model.fields().iter().enumerate() {
            let Some(reference) = &field.references else {
                continue;
            };
            let target = ModelName {
                module: reference.module.clone(),
                model: reference.model.clone(),
            };
            let is_own = |id: &&String| target == *self.model.name() && own.contains(id);
            let ids = self.values.iter().filter_map(|row| row[at].as_ref());
            let ids: Vec<_> = ids.filter(|id| !is_own(id)).collect();
            if !ids.is_empty() {
                parents.entry(target).or_default().extend(ids);
            }
        }
        parents
            .into_iter()
            .map(|(target, ids)| (target, ids.into_iter().cloned().collect()))
            .collect()
    }

    /// Why nothing was written: a record of that id is deleted, or parents are not there. Passes when it is neither.
    pub fn check(
        &self,
        parents: &[(ModelName, Vec<String>)],
        answer: &[Vec<Row>],
        by_id: bool,
        is_one: bool,
    ) -> Result<(), Problem> {
        let ids_in = |at: usize| -> BTreeSet<&str> {
            let rows = answer.get(at).into_iter().flatten();
            rows.filter_map(|row| id_of(row, 0)).collect()
        };
        let mut errors: Vec<FieldError> = Vec::new();
        if by_id {
            let deleted = ids_in(parents.len());
            let rows = self.ids.iter().zip(&self.places);
            errors.extend(rows.filter(|(id, _)| deleted.contains(id.as_str())).map(
                |(_, place)| {
                    let error = refuse("id", FieldCode::Deleted, "is the id of a deleted record");
                    in_row(error, *place, is_one)
                },
            ));
        }
        for (at, (target, asked)) in parents.iter().enumerate() {
            let found = ids_in(at);
            let gone: BTreeSet<&str> = asked
                .iter()
                .map(String::as_str)
                .filter(|id| !found.contains(id))
                .collect();
            for (column, field) in self.model.fields().iter().enumerate() {
                let refers = field.references.as_ref();
                if !refers.is_some_and(|r| r.module == target.module && r.model == target.model) {
                    continue;
                }
                for (row, place) in self.values.iter().zip(&self.places) {
                    if row[column].as_deref().is_some_and(|id| gone.contains(id)) {
                        let error = missing_reference(field.name.as_str());
                        errors.push(in_row(error, *place, is_one));
                    }
                }
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        errors.sort_by(|a, b| (a.row, &a.field).cmp(&(b.row, &b.field)));
        Err(conflict(errors))
    }

    /// Where each answered row was in the body.
    fn places(&self, written: &[Row], columns: usize, by_id: bool) -> Result<Vec<usize>, Problem> {
        if !by_id {
            // Rows are written and answered in the order of the statement's source.
            return Ok(self.places.clone());
        }
        let places: HashMap<&str, usize> = self
            .ids
            .iter()
            .map(String::as_str)
            .zip(self.places.iter().copied())
            .collect();
        let place = |row: &Row| id_of(row, columns).and_then(|id| places.get(id).copied());
        let found: Option<Vec<usize>> = written.iter().map(place).collect();
        found.ok_or_else(refusal::unreadable)
    }

    /// 409 with the fields of the key that is taken, and the row where it can be found: within the body, else by a
    /// look at the table, which may have changed meanwhile.
    async fn not_unique(
        &self,
        call: &Call<'_>,
        rows: &NewRows<'_>,
        constraint: &str,
        is_one: bool,
    ) -> Failure {
        let errors = refusal::not_unique(self.model, constraint);
        let Some(key) = refusal::unique_key(self.model, constraint).filter(|_| !is_one) else {
            return conflict(errors).into();
        };
        let row = match upsert::repeated(self.model, key, rows.ids, rows.values) {
            Some(at) => Some(at),
            None => {
                let look = insert::first_taken(self.model, rows, key);
                let answer = call.read(Lane::Exclusive, [look]).await;
                let answer = answer.unwrap_or_default();
                let row = answer.first().and_then(|rows| rows.first());
                row.and_then(|row| id_of(row, 0)?.parse().ok())
            }
        };
        let place = row.and_then(|at: usize| self.places.get(at).copied());
        let named = |error| FieldError {
            row: place,
            ..error
        };
        conflict(errors.into_iter().map(named).collect()).into()
    }
}

fn in_row(error: FieldError, row: usize, is_one: bool) -> FieldError {
    FieldError {
        row: (!is_one).then_some(row),
        ..error
    }
}
