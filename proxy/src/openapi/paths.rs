//! The operations of a document.

mod fixed;
mod module;

use serde_json::{Map, Value, json};

use super::{
    access::Reach,
    bodies,
    parameters::reference as parameter,
    record::key,
    responses::{self, Deed},
    schemas::{self, reference},
    served,
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
        paths.insert(format!("{one}/restore"), json!({"post": restore(reach)}));
    }
    if !on_all.is_empty() {
        paths.insert(all, on_all.into());
    }
    if !on_one.is_empty() {
        paths.insert(one, on_one.into());
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
    parameters.push(parameter("PreferRead"));
    parameters.extend(filters(reach));
    let record = reference(&key(&reach.model));
    let mut page = responses::json(
        "A page.",
        schemas::many(&record, "ListMeta"),
        &["Link", "Preference-Applied"],
    );
    if served::TABLES_ANSWERED {
        page["content"]["text/csv"] = json!({"schema": {"description": "A header row, then a record a row.", "type": "string"}});
        page["content"]["application/x-ndjson"] =
            json!({"schema": {"description": "A record a line.", "type": "string"}});
    }
    let responses = responses::of(Deed::Read, vec![("200", page)]);
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
    let record = schemas::one(&reference(&key(&reach.model)));
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
    let record = reference(&key(&reach.model));
    let written = one_or_many(&record);
    let headers = [
        "Location",
        "ETag",
        "Preference-Applied",
        "Idempotency-Replayed",
    ];
    let mut created = responses::json(
        "Created: the record, or all of them.",
        written.clone(),
        &headers,
    );
    if reach.read {
        created["links"] = json!({"record": {
            "operationId": format!("{}.get", key(&reach.model)),
            "parameters": {"id": "$response.body#/data/id"},
        }});
    }
    let good = vec![
        ("201", created),
        (
            "200",
            responses::json("Upserted, and nothing was created.", written, &headers[2..]),
        ),
    ];
    let responses = responses::of(Deed::Write, good);
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

fn one_or_many(record: &Value) -> Value {
    json!({
        "type": "object", "required": ["data"],
        "properties": {
            "data": {"oneOf": [record, {"type": "array", "items": record}]},
            "meta": {"type": "object"},
        },
    })
}

fn change(reach: &Reach) -> Value {
    let mut parameters = vec![parameter("Id"), own(reach, "select")];
    parameters.extend(["IfMatch", "PreferWrite", "IdempotencyKey"].map(parameter));
    let record = schemas::one(&reference(&key(&reach.model)));
    let headers = ["ETag", "Preference-Applied", "Idempotency-Replayed"];
    let good = vec![
        (
            "200",
            responses::json("The record as it is now.", record, &headers),
        ),
        (
            "204",
            responses::empty("Changed, with return=minimal or headers-only.", &headers),
        ),
    ];
    let responses = responses::of(Deed::Write, good);
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
    parameters.extend(["PreferWrite", "IdempotencyKey"].map(parameter));
    if reach.read {
        parameters.extend(filters(reach));
    }
    let record = reference(&key(&reach.model));
    let headers = ["Preference-Applied", "Idempotency-Replayed"];
    let good = vec![
        (
            "200",
            responses::json(
                "What was changed.",
                schemas::many(&record, "AffectedMeta"),
                &headers,
            ),
        ),
        (
            "204",
            responses::empty("Changed, with return=minimal or headers-only.", &headers),
        ),
    ];
    let responses = responses::of(Deed::Write, good);
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
    parameters.extend(["IfMatch", "PreferWrite", "IdempotencyKey"].map(parameter));
    let record = schemas::one(&reference(&key(&reach.model)));
    let headers = ["Preference-Applied", "Idempotency-Replayed"];
    let good = vec![
        ("204", responses::empty("Deleted.", &headers)),
        (
            "200",
            responses::json(
                "What was deleted, with return=representation.",
                record,
                &headers,
            ),
        ),
    ];
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
    parameters.extend(["PreferWrite", "IdempotencyKey"].map(parameter));
    parameters.extend(filters(reach));
    let record = reference(&key(&reach.model));
    let headers = ["Preference-Applied", "Idempotency-Replayed"];
    let good = vec![
        (
            "200",
            responses::json(
                "What was deleted.",
                schemas::many(&record, "AffectedMeta"),
                &headers,
            ),
        ),
        (
            "204",
            responses::empty("Deleted, with return=minimal or headers-only.", &headers),
        ),
    ];
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
    parameters.extend(["IfMatch", "PreferWrite", "IdempotencyKey"].map(parameter));
    let record = schemas::one(&reference(&key(&reach.model)));
    let headers = ["ETag", "Preference-Applied", "Idempotency-Replayed"];
    let good = vec![
        (
            "200",
            responses::json("The record, live again.", record, &headers),
        ),
        (
            "204",
            responses::empty("Restored, with return=minimal or headers-only.", &headers),
        ),
    ];
    let summary = "Brings a deleted record back";
    operation(
        reach,
        "restore",
        summary,
        parameters,
        responses::of(Deed::Delete, good),
    )
}
