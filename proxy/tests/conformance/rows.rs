//! The rows: of the tenant that asks, and look-alikes of another that nobody may ever see.

use model::ModuleModel;
use sqlx::PgConnection;

use super::{
    kinds::{KINDS, Kind},
    models::models,
};
use crate::support::{
    database::run,
    world::{A, B},
};

/// Stands in the second tenant's required texts; no answer to the first tenant may hold it.
pub const CANARY: &str = "CANARY";
/// Rows of `samples` and of `flights`, per tenant.
pub const ROWS: usize = 66;

/// The id of a row of a model: `flights` is 3. Every third row of the second tenant has the first tenant's id.
pub fn id(model: usize, row: usize) -> String {
    format!("0198f0aa-5b1e-7c3d-9a4e-{model:04}{row:08}")
}

/// Fills all models for both tenants, and makes a view of the first tenant's live rows for each: `oracle.flights`.
pub async fn fill(admin: &mut PgConnection) {
    for (tenant, other) in [(A, false), (B, true)] {
        let system = |model: usize, row: usize| {
            // Same keys under another tenant are the sharpest look-alikes; others catch what is not joined by id.
            let of = if other && !row.is_multiple_of(3) {
                model + 5
            } else {
                model
            };
            let deleted = if row % 11 == 10 { "now()" } else { "null" };
            format!("'{tenant}', '{}', 'x', 'x', {deleted}", id(of, row))
        };
        // References stay within a tenant, so a key is spelled as its row's tenant spells it.
        let key = |model: usize, row: Option<usize>| match row {
            Some(row) if other && !row.is_multiple_of(3) => format!("'{}'", id(model + 5, row)),
            Some(row) => format!("'{}'", id(model, row)),
            None => "null".into(),
        };
        let mark = if other { CANARY } else { "" };
        let columns = "tenant_id, id, created_by, updated_by, deleted_at";

        let regions = (0..4).map(|i| {
            let rank = if i == 2 {
                "null".into()
            } else {
                (i % 2).to_string()
            };
            format!("({}, 'region {i}{mark}', {rank})", system(1, i))
        });
        insert(admin, "regions", &format!("{columns}, name, rank"), regions).await;

        let airports = (0..12).map(|i| {
            let state = ["'CA'", "'NY'", "null", "'ca'"][i % 4];
            let region = key(1, (i % 5 < 4).then_some(i % 5));
            format!(
                "({}, 'A{i:02}{mark}', {state}, date '2000-01-01' + {}, {region})",
                system(2, i),
                i % 3
            )
        });
        insert(
            admin,
            "airports",
            &format!("{columns}, iata, state, opened, region_id"),
            airports,
        )
        .await;

        let flights = (0..ROWS).map(|i| {
            let delay = if i % 7 == 3 { "null".into() } else { ((i * 37) % 90).to_string() };
            let status = ["planned", "flying", "landed"][i % 3];
            let distance = if i % 9 == 4 { "null".into() } else { format!("{}.{:02}", (i * 131) % 5000, i) };
            let departs = format!("timestamptz '2026-01-01T00:00:00Z' + interval '{} h'", (i * 5) % 48);
            let crew = match i % 5 {
                0 => "null".into(),
                1 => format!("'{{\"captain\": \"c{}\", \"seats\": {}}}'", i % 4, i % 10),
                2 => format!("'{{\"captain\": null, \"seats\": {}.5}}'", i % 3),
                3 => format!("'{{\"crew\": [\"a\", \"b{}\"], \"captain\": \"c{}\"}}'", i % 2, i % 6),
                _ => "'[]'".into(),
            };
            let tags = ["'{}'", "'{late}'", "'{late,night}'", "null"][i % 4];
            // Airport 10 is deleted; 9 has no flight.
            let origin = key(2, (i % 6 != 5).then_some([0, 1, 2, 3, 10, 4][i % 6]));
            let destination = key(2, Some([5, 6, 7, 8, 0, 11, 10][i % 7]));
            let previous = key(3, (i % 4 == 1).then(|| i - 1));
            format!(
                "({}, 'SD{i:03}{mark}', '{status}', {delay}, {distance}, {departs}, {crew}, {tags}, {origin}, {destination}, {previous})",
                system(3, i)
            )
        });
        let names = "number, status, delay, distance, departs_at, crew, tags, origin_id, destination_id, previous_id";
        insert(admin, "flights", &format!("{columns}, {names}"), flights).await;

        let samples = (0..ROWS).map(|i| {
            let values = KINDS.iter().enumerate().map(|(n, kind)| value(kind, n, i));
            let values: Vec<_> = values.collect();
            let twin = key(4, (i % 3 == 1).then(|| i - 1));
            format!(
                "({}, 's{i:02}{mark}', {twin}, {})",
                system(4, i),
                values.join(", ")
            )
        });
        let names: Vec<_> = KINDS.iter().map(|k| k.field).collect();
        insert(
            admin,
            "samples",
            &format!("{columns}, label, twin_id, {}", names.join(", ")),
            samples,
        )
        .await;
    }
    run(admin, "create schema oracle").await;
    for model in ["regions", "airports", "flights", "samples"] {
        for (view, condition) in [
            (model.to_owned(), "and deleted_at is null"),
            (format!("all_{model}"), ""),
        ] {
            let view = format!(
                "create view oracle.{view} as select {} from crm.{model} where tenant_id = '{A}' {condition}",
                shown(model)
            );
            run(admin, &view).await;
        }
    }
}

/// The columns of a model by the names of its fields.
fn shown(model: &str) -> String {
    let model = model_of(model);
    let columns = model
        .columns()
        .iter()
        .map(|c| format!("{} as {}", c.column.as_str(), c.name.as_str()));
    columns.collect::<Vec<_>>().join(", ")
}

fn model_of(name: &str) -> ModuleModel {
    let mut models = models().into_iter();
    models.find(|m| m.name().model == *name).unwrap()
}

/// A value of the kind's list or null, so that fields vary against each other and every value appears.
fn value(kind: &Kind, field: usize, row: usize) -> String {
    let choices = kind.values.len() + 1;
    match kind
        .values
        .get((row + field + row / choices * (field % 3)) % choices)
    {
        Some(value) => kind.literal(value),
        None => "null".into(),
    }
}

async fn insert(
    admin: &mut PgConnection,
    model: &str,
    columns: &str,
    rows: impl Iterator<Item = String>,
) {
    let rows: Vec<_> = rows.collect();
    let described = model_of(model);
    let named = columns
        .split(", ")
        .map(|name| match described.column(name) {
            Some(column) => column.column.as_str().to_owned(),
            None => name.to_owned(),
        });
    let columns = named.collect::<Vec<_>>().join(", ");
    let statement = format!(
        "insert into crm.{model} ({columns}) values {}",
        rows.join(", ")
    );
    run(admin, &statement).await;
}
