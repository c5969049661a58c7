//! `DELETE /v1/data/{module}/{model}/{id}`: a soft deletion, refused while live records refer to the record.

use model::Action;
use sql::postgres::{
    delete::{self, Deletion, Referrer},
    update,
};

use super::{
    Call, Failure, accept, etag, parse,
    patch::Expected,
    prefer::Preferences,
    record::{self, Shape, Wrote},
    refusal::conflict,
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
    let preferences = Preferences::parse(&call.request.headers)?;
    let id = parse::parse_id(id)?;
    let selected = parse::parse_one(call.model, &call.request.query)?;
    let shape = Shape::new(call.model, selected.as_deref(), true);
    let expected = Expected {
        if_match: etag::if_match(&call.request.headers),
        version: None,
    };

    let tenant = call.caller.tenant.id;
    let referrers: Vec<_> = call
        .catalog
        .referrers(call.model.name())
        .map(|(model, field)| Referrer {
            model: model.name(),
            field: &field.name,
        })
        .collect();
    let delete_id = uuid::Uuid::now_v7().to_string();
    let versions = expected.versions();
    let deletion = Deletion {
        tenant,
        user: &call.caller.user,
        model: call.model.name(),
        id: &id,
        delete_id: &delete_id,
        versions: versions.as_deref(),
        referrers: &referrers,
    };
    let mut statements = vec![update::lock_row(&tenant, call.model.name(), &id)];
    statements.extend(delete::live_referrers(&deletion));
    statements.push(delete::soft_delete(&deletion, &shape.columns));
    let answer = call.write(statements).await?;
    let Some(row) = answer.last().and_then(|rows| rows.first()) else {
        expected.check(answer.first().and_then(|rows| rows.first()))?;
        return Err(in_use(&referrers, answer.get(1).and_then(|rows| rows.first())).into());
    };
    Ok(record::written(
        call,
        &Wrote::Deleted,
        &shape,
        row,
        &preferences,
    )?)
}

/// 409 naming the relations: by the model that refers, and by its field where it has several.
fn in_use(referrers: &[Referrer<'_>], found: Option<&Row>) -> Problem {
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
            let model = referrer.model.model.as_str();
            let relation = if several {
                format!("{model}!{}", referrer.field.as_str())
            } else {
                model.to_owned()
            };
            refuse(
                &relation,
                FieldCode::ReferenceInUse,
                "has records that refer to this one",
            )
        });
    conflict(named.collect())
}
