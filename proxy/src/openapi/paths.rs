//! The operations of a document.

mod fixed;
mod module;

use serde_json::{Map, Value, json};

use super::{
    access::Reach,
    bodies,
    parameters::reference as parameter,
    record::{key, part_key},
    responses::{self, Deed},
    schemas::{self, reference},
};

pub(super) use fixed::{cache, describing};
pub(super) use module::{analytics, batch};

/// The paths of one model.
pub(super) fn of_model(reach: &Reach, paths: &mut Map<String, Value>) {
    let name = reach.model.name();
    let all = format!("/v1/data/{}/{}", name.module.as_str(), name.model.as_str());
    let one = format!("{all}/{{id}}");

    let mut on_all = Map::new();
    let mut on_one = Map::new();
    if reach.read {
        on_all.insert("get".into(), list(reach));
        on_one.insert("get".into(), get(reach));
    }
    if reach.write {
        on_all.insert("post".into(), create(reach));
        on_all.insert("patch".into(), change_many(reach));
        on_one.insert("patch".into(), change(reach));
    }
    if reach.delete {
        on_one.insert("delete".into(), delete(reach));
        // How many records a filter finds tells of their values.
        if reach.read {
            on_all.insert("delete".into(), delete_many(reach));
        }
    }
    if !on_all.is_empty() {
        paths.insert(all, on_all.into());
    }
    if !on_one.is_empty() {
        paths.insert(one.clone(), on_one.into());
    }
    if reach.delete && reach.model.soft_delete() {
        paths.insert(format!("{one}/restore"), json!({"post": restore(reach)}));
    }
}

/// The members that every operation of a model has.
fn operation(
    reach: &Reach,
    verb: &str,
    summary: &str,
    parameters: Vec<Value>,
    responses: Value,
) -> Value {
    let key = key(&reach.model);
    json!({
        "operationId": format!("{key}.{verb}"), "tags": [key], "summary": summary,
        "parameters": parameters, "responses": responses,
    })
}

fn own(reach: &Reach, name: &str) -> Value {
    parameter(&format!("{}.{name}", key(&reach.model)))
}

/// A filter for each field, and groups.
fn filters(reach: &Reach) -> Vec<Value> {
    let columns = reach.model.columns().iter();
    let mut found: Vec<Value> = columns
        .map(|c| own(reach, &format!("where.{}", c.name.as_str())))
        .collect();
    found.extend(["or", "and", "not.or", "not.and"].map(parameter));
    found
}

fn include(reach: &Reach) -> Option<Value> {
    (!reach.relations.is_empty()).then(|| own(reach, "include"))
}

fn list(reach: &Reach) -> Value {
    let mut parameters: Vec<Value> = ["select", "order", "limit"].map(|n| own(reach, n)).into();
    parameters.extend(["Cursor", "Offset", "Count"].map(parameter));
    parameters.push(own(reach, "distinct"));
    parameters.extend(include(reach));
    if reach.read_deleted {
        parameters.push(parameter("Deleted"));
    }
    parameters.push(parameter("PreferList"));
    parameters.extend(filters(reach));
    let record = part_of(reach);
    let mut page = responses::json(
        "A page.",
        schemas::many(&record, "ListMeta"),
        &["Link", "X-Total-Count"],
    );
    let text =
        |description: &str| json!({"schema": {"description": description, "type": "string"}});
    page["content"]["text/csv"] =
        text("A header row, then a record a row. Without limit and cursor all records.");
    page["content"]["application/x-ndjson"] =
        text("A record a line. Without limit and cursor all records.");
    let responses = responses::of(Deed::List, vec![("200", page)]);
    operation(
        reach,
        "list",
        "Records of a filter, in an order, a page at a time",
        parameters,
        responses,
    )
}

fn get(reach: &Reach) -> Value {
    let mut parameters = vec![parameter("Id"), own(reach, "select")];
    parameters.extend(include(reach));
    parameters.extend(["IfNoneMatch", "PreferRead"].map(parameter));
    let record = schemas::one(&part_of(reach));
    let good = vec![
        ("200", responses::json("The record.", record, &["ETag"])),
        responses::not_modified(),
    ];
    operation(
        reach,
        "get",
        "One record",
        parameters,
        responses::of(Deed::Read, good),
    )
}

fn create(reach: &Reach) -> Value {
    let mut parameters: Vec<Value> = ["select", "columns", "on_conflict"]
        .map(|n| own(reach, n))
        .into();
    parameters.extend(["PreferCreate", "IdempotencyKey"].map(parameter));
    let mut written = WRITTEN.to_vec();
    written.insert(0, "Location");
    let merged = "Upserted: the record, or those that were written; none was created.";
    let good = match reach.read {
        true => {
            let records = one_or_many(&part_of(reach));
            let what =
                "Created: the record, or all of them. No body with return=minimal or headers-only.";
            let mut created = responses::json(what, records.clone(), &written);
            created["links"] = json!({"record": {
                "operationId": format!("{}.get", key(&reach.model)),
                "parameters": {"id": "$response.body#/data/id"},
            }});
            vec![
                ("201", created),
                ("200", responses::json(merged, records, &WRITTEN)),
            ]
        }
        // Nothing of a record is told to who may not read it.
        false => vec![("201", responses::empty("Created.", &written))],
    };
    let mut good = good;
    let unseen = "Upserted, and none was created, with return=minimal or headers-only.";
    good.push(("204", responses::empty(unseen, &WRITTEN)));
    let responses = responses::of(Deed::Create, good);
    let mut operation = operation(
        reach,
        "create",
        "Creates one record, or many as one",
        parameters,
        responses,
    );
    operation["requestBody"] = bodies::create(reach);
    operation
}

/// What is answered of records of a model.
fn part_of(reach: &Reach) -> Value {
    reference(&part_key(&reach.model))
}

fn one_or_many(record: &Value) -> Value {
    json!({"oneOf": [schemas::one(record), schemas::many(record, "AffectedMeta")]})
}

/// Headers of a write of one record.
const WRITTEN: [&str; 3] = ["ETag", "Preference-Applied", "Idempotency-Replayed"];

/// The answers of a write: with what was written, to who may read it, and without.
fn written(
    reach: &Reach,
    what: &str,
    schema: Value,
    headers: &[&str],
) -> Vec<(&'static str, Value)> {
    let unseen =
        format!("{what} With return=minimal or headers-only, and to who may not read the model.");
    let mut good = vec![("204", responses::empty(&unseen, headers))];
    if reach.read {
        good.insert(0, ("200", responses::json(what, schema, headers)));
    }
    good
}

/// What a write of one record takes beside the record.
fn of_one_write(reach: &Reach) -> impl Iterator<Item = Value> {
    let locking = reach.model.optimistic_locking().then_some("IfMatch");
    let all = locking.into_iter().chain(["PreferWrite", "IdempotencyKey"]);
    all.map(parameter)
}

fn change(reach: &Reach) -> Value {
    let mut parameters = vec![parameter("Id"), own(reach, "select")];
    parameters.extend(of_one_write(reach));
    let record = schemas::one(&part_of(reach));
    let good = written(reach, "Changed; the record as it is now.", record, &WRITTEN);
    let responses = responses::of(Deed::Change, good);
    let mut operation = operation(
        reach,
        "update",
        "Changes fields of one record",
        parameters,
        responses,
    );
    operation["requestBody"] = bodies::change(reach);
    operation
}

fn change_many(reach: &Reach) -> Value {
    let mut parameters = vec![own(reach, "select"), own(reach, "columns")];
    parameters.extend(["PreferMany", "IdempotencyKey"].map(parameter));
    if reach.read {
        parameters.extend(filters(reach));
    }
    let records = schemas::many(&part_of(reach), "AffectedMeta");
    let good = written(reach, "Changed.", records, &WRITTEN[1..]);
    let responses = responses::of(Deed::Create, good);
    let summary = match reach.read {
        true => "Changes all records of a filter, or each of a list by its id",
        false => "Changes each record of a list by its id",
    };
    let mut operation = operation(reach, "update-many", summary, parameters, responses);
    operation["requestBody"] = bodies::change_many(reach);
    operation
}

fn delete(reach: &Reach) -> Value {
    let mut parameters = vec![parameter("Id"), own(reach, "select")];
    parameters.extend(of_one_write(reach));
    let record = schemas::one(&part_of(reach));
    let mut good = vec![("204", responses::empty("Deleted.", &WRITTEN))];
    if reach.read {
        let what = "What was deleted, with return=representation.";
        good.push(("200", responses::json(what, record, &WRITTEN)));
    }
    operation(
        reach,
        "delete",
        "Deletes one record",
        parameters,
        responses::of(Deed::Delete, good),
    )
}

fn delete_many(reach: &Reach) -> Value {
    let mut parameters = vec![own(reach, "select")];
    parameters.extend(["PreferMany", "IdempotencyKey"].map(parameter));
    parameters.extend(filters(reach));
    let records = schemas::many(&part_of(reach), "AffectedMeta");
    let good = written(reach, "Deleted.", records, &WRITTEN[1..]);
    let summary = "Deletes all records of a filter, which must be there";
    operation(
        reach,
        "delete-many",
        summary,
        parameters,
        responses::of(Deed::Delete, good),
    )
}

fn restore(reach: &Reach) -> Value {
    let mut parameters = vec![parameter("Id"), own(reach, "select")];
    parameters.extend(of_one_write(reach));
    let record = schemas::one(&part_of(reach));
    let good = written(reach, "The record, live again.", record, &WRITTEN);
    let summary = "Brings a deleted record back, and what was deleted with it";
    operation(
        reach,
        "restore",
        summary,
        parameters,
        responses::of(Deed::Delete, good),
    )
}
