//! `PATCH /v1/data/{module}/{model}` with an array: each record that `id` names changes in its own way, all or none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::ModelName;
use sql::{
    Statement,
    postgres::{
        insert::{self, Key, NewRows, Taken},
        update::{self, Changes, is_written},
    },
};

use super::several::Asked;
use crate::{
    data::{
        Call, Failure,
        body::{self, Input},
        hooked::{Which, run},
        prefer::{Honours, Return},
        reach::text_at,
        refusal::{self, conflict, missing_reference},
        session::Stopped,
        written,
    },
    exchange::Reply,
    postgres::{Answer, DatabaseError, Lane, Row},
    problem::{ERRORS_MAX, FieldCode, FieldError, Problem},
    query::refuse,
};

pub(super) async fn patch(
    call: &Call<'_>,
    asked: &Asked,
    mut inputs: Vec<Input>,
) -> Result<Reply, Failure> {
    let Asked {
        preferences,
        query,
        format,
    } = asked;
    query.nothing_else()?;
    let returning = written::returning(call, preferences, Return::Representation)?;
    let shape = written::shape(call, query.select.as_deref(), false, returning);
    if let Some(most) = preferences.max_affected
        && inputs.len() as u64 > most
    {
        return Err(refusal::too_many_affected(most).into());
    }
    let reply = |rows: &[&Row], affected: usize| {
        let rows = rows.iter().copied();
        let honours = Honours::Several;
        written::several(
            false,
            &shape,
            rows,
            affected as u64,
            preferences,
            returning,
            honours,
        )
    };
    refuse_repeated(&inputs)?;
    if inputs.iter().any(|input| is_written(&input.values)) {
        call.before_update(Which::Ids(&[]), &mut inputs, *format, run(preferences))
            .await?;
    }
    let json = body::json_change(call.model, *format, &mut inputs);
    let edits = Edits::new(call, &inputs);
    if inputs.is_empty() {
        return Ok(reply(&[], 0)?);
    }
    let changes = Changes {
        tenant: call.caller.tenant.id,
        user: &call.caller.user,
        ids: &edits.ids,
        versions: &edits.versions,
        values: &edits.values,
        json,
    };
    let mut statements = edits.lock();
    if edits.written > 0 {
        statements.push(update::update_many(call.model, &changes, &shape.columns));
    }
    // A record that keeps its values is answered as it is.
    if edits.written < inputs.len() {
        let get = update::get_many(&changes.tenant, call.model, &edits.ids, &shape.columns);
        statements.push(get);
    }
    let answer = match call.session.write(statements).await {
        Ok(answer) => answer,
        Err(Stopped::Database(DatabaseError::NotUnique(constraint))) => {
            return Err(edits.not_unique(&constraint).await);
        }
        Err(stopped) => return Err(call.failure(stopped)),
    };
    let changed = match edits.written {
        0 => 0,
        _ => answer.get(edits.locks.len()).map_or(0, Vec::len),
    };
    let rows = answer.last().map(Vec::as_slice).unwrap_or_default();
    if changed < edits.written || rows.len() < inputs.len() {
        edits.check(&answer)?;
        return Err(refusal::unreadable().into());
    }
    if edits.written < inputs.len() {
        // Where nothing was to be written, nothing has asked for versions.
        edits.check(&answer)?;
    }
    let place = |row: &&Row| text_at(row, shape.columns.len()).and_then(|n| n.parse::<u64>().ok());
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(place);
    Ok(reply(&rows, edits.written)?)
}

/// 400 where two name the same record.
fn refuse_repeated(inputs: &[Input]) -> Result<(), Problem> {
    let mut seen = BTreeSet::new();
    match inputs.iter().position(|input| !seen.insert(&input.id)) {
        None => Ok(()),
        Some(row) => {
            let message = "is the same as in a record before it";
            let error = refuse("id", FieldCode::Duplicate, message);
            Err(Problem::invalid(vec![at(error, row)]))
        }
    }
}

/// Changes by record, in the order of the body.
struct Edits<'a> {
    call: &'a Call<'a>,
    inputs: &'a [Input],
    ids: Vec<&'a str>,
    versions: Vec<Option<String>>,
    values: Vec<&'a update::NewValues>,
    /// How many have something to be written.
    written: usize,
    /// The rows to lock: the records themselves, and what new values refer to. By model, so that all writers lock models
    /// in one order, and rows of one model together.
    locks: BTreeMap<ModelName, BTreeSet<&'a str>>,
}

impl<'a> Edits<'a> {
    fn new(call: &'a Call<'a>, inputs: &'a [Input]) -> Self {
        let ids: Vec<&str> = inputs.iter().filter_map(|i| i.id.as_deref()).collect();
        let version = |input: &Input| input.version.map(|v| v.to_string());
        let values: Vec<_> = inputs.iter().map(|input| input.values.as_slice()).collect();
        let mut locks = BTreeMap::from([(
            call.model.name().clone(),
            ids.iter().copied().collect::<BTreeSet<_>>(),
        )]);
        for (at, field) in call.model.fields().iter().enumerate() {
            let Some(reference) = &field.references else {
                continue;
            };
            let parents = inputs
                .iter()
                .filter_map(|i| i.values[at].as_ref()?.as_deref());
            let mut parents = parents.peekable();
            if parents.peek().is_some() {
                let target = ModelName {
                    module: reference.module.clone(),
                    model: reference.model.clone(),
                };
                locks.entry(target).or_default().extend(parents);
            }
        }
        Self {
            call,
            inputs,
            ids,
            versions: inputs.iter().map(version).collect(),
            written: values.iter().filter(|row| is_written(row)).count(),
            values,
            locks,
        }
    }

    /// Each answers the ids of those that are there.
    fn lock(&self) -> Vec<Statement> {
        let tenant = self.call.caller.tenant.id;
        let lock = |(target, ids): (&ModelName, &BTreeSet<&str>)| {
            if target == self.call.model.name() {
                let ids: Vec<_> = ids.iter().copied().collect();
                return update::lock_rows(&tenant, self.call.model, &ids);
            }
            let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
            insert::lock_parents(&tenant, target, &ids)
        };
        self.locks.iter().map(lock).collect()
    }

    /// Why nothing was written: a record is not there, has another version, or refers to what is not there. Passes when
    /// it is none of these.
    fn check(&self, answer: &Answer) -> Result<(), Problem> {
        let mut found: HashMap<&ModelName, HashMap<&str, Option<&str>>> = HashMap::new();
        for (target, rows) in self.locks.keys().zip(answer) {
            let rows = rows
                .iter()
                .filter_map(|row| Some((text_at(row, 0)?, text_at(row, 1))));
            found.insert(target, rows.collect());
        }
        let version_of = |target: &ModelName, id: &str| found.get(target)?.get(id).copied();
        let (mut missing, mut errors) = (Vec::new(), Vec::new());
        for (row, input) in self.inputs.iter().enumerate() {
            let own = version_of(self.call.model.name(), self.ids[row]);
            match (own, &self.versions[row]) {
                (None, _) => {
                    let error = refuse("id", FieldCode::NotFound, "is the id of no record");
                    missing.push(at(error, row));
                }
                (Some(is), Some(expected)) if is != Some(expected) => {
                    let message = "is not the version of the record";
                    errors.push(at(refuse("version", FieldCode::StaleVersion, message), row));
                }
                _ => {}
            }
            for (field, value) in self.call.model.fields().iter().zip(&input.values) {
                if let (Some(reference), Some(Some(id))) = (&field.references, value)
                    && version_of(&reference.target(), id).is_none()
                {
                    errors.push(at(missing_reference(field.name.as_str()), row));
                }
            }
        }
        if !missing.is_empty() {
            missing.truncate(ERRORS_MAX);
            return Err(Problem {
                errors: missing,
                ..Problem::not_found()
            });
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(conflict(errors)),
        }
    }

    /// 409 with the fields of the key that is taken, and the row where it can be found: within the body, else by a look
    /// at the table, which may have changed meanwhile. A key of which a part was not sent is not looked for.
    async fn not_unique(&self, constraint: &str) -> Failure {
        let model = self.call.model;
        let errors = refusal::not_unique(model, constraint);
        let Some(Key::Unique(unique)) = refusal::unique_key(model, constraint) else {
            return conflict(errors).into();
        };
        let in_key = |at: usize| unique.fields.contains(&model.fields()[at].name);
        let sent = |row: &&update::NewValues| -> Vec<Option<String>> {
            let values = row.iter().enumerate();
            let values = values.map(|(at, value)| value.clone().flatten().filter(|_| in_key(at)));
            values.collect()
        };
        let values: Vec<_> = self.values.iter().map(sent).collect();
        let ids: Vec<_> = self.ids.iter().map(|id| (*id).to_owned()).collect();
        let mut seen = HashMap::new();
        let whole = |row: &&Vec<Option<String>>| {
            row.iter().filter(|v| v.is_some()).count() == unique.fields.len()
        };
        let repeated = values.iter().enumerate().filter(|(_, row)| whole(row));
        let repeated = repeated.map(|(at, row)| (at, seen.insert(row, at)));
        let row = match repeated.into_iter().find(|(_, before)| before.is_some()) {
            Some((at, _)) => Some(at),
            None => {
                let rows = NewRows {
                    tenant: self.call.caller.tenant.id,
                    user: &self.call.caller.user,
                    ids: &ids,
                    values: &values,
                    taken: Taken::Fail,
                };
                let look = insert::first_taken(model, &rows, Key::Unique(unique));
                let answer = self.call.read(Lane::Exclusive, [look]).await;
                let answer = answer.unwrap_or_default();
                let row = answer.first().and_then(|rows| rows.first());
                row.and_then(|row| text_at(row, 0)?.parse().ok())
            }
        };
        let named = |error| FieldError { row, ..error };
        conflict(errors.into_iter().map(named).collect()).into()
    }
}

fn at(error: FieldError, row: usize) -> FieldError {
    FieldError {
        row: Some(row),
        ..error
    }
}
