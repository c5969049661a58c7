//! What comes back: the bytes of every type, chosen columns, other names, casts and paths.

use super::{
    kinds::{KINDS, Kind},
    lab::Lab,
};

/// SQL of a record: names with the SQL of their JSON text.
pub fn record(fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, json)| format!("'\"{name}\":' || coalesce({json}, 'null')"))
        .collect();
    format!("'{{' || {} || '}}'", fields.join(" || ',' || "))
}

/// SQL of the JSON text that the wire has for a field, from the contract: exact numbers, UTC with microseconds,
/// base64, texts escaped as JSON does.
pub fn json_of(kind: &Kind, table: &str) -> String {
    let field = format!("{table}.{}", kind.field);
    match kind.sql_type.strip_suffix("[]") {
        Some(item) => format!(
            "(case when {field} is not null then '[' || coalesce((select string_agg({}, ',' order by n) from unnest({field}) with ordinality u(v, n)), '') || ']' end)",
            scalar_json(item, "v")
        ),
        None => scalar_json(kind.sql_type, &field),
    }
}

fn scalar_json(sql_type: &str, value: &str) -> String {
    match sql_type {
        "text" | "uuid" | "date" => format!("to_json({value}::text)::text"),
        "inet" => format!(
            "'\"' || case when masklen({value}) = (case family({value}) when 4 then 32 else 128 end) then host({value}) else {value}::text end || '\"'"
        ),
        "timestamptz" => format!(
            "'\"' || to_char({value} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || 'Z\"'"
        ),
        "time" => format!("'\"' || to_char(date '2000-01-01' + {value}, 'HH24:MI:SS.US') || '\"'"),
        "bytea" => format!("'\"' || replace(encode({value}, 'base64'), E'\\n', '') || '\"'"),
        _ => format!("{value}::text"),
    }
}

#[tokio::test]
async fn every_value_comes_back_exactly() {
    let lab = Lab::new().await;
    let names: Vec<_> = KINDS.iter().map(|k| k.field).collect();
    let jsons: Vec<_> = KINDS.iter().map(|k| json_of(k, "t")).collect();
    let fields: Vec<_> = names
        .iter()
        .copied()
        .zip(jsons.iter().map(String::as_str))
        .collect();
    let sql = format!(
        "select {} from oracle.samples t order by id",
        record(&fields)
    );
    lab.expect(
        &format!("samples?limit=1000&select={}", names.join(",")),
        &sql,
    )
    .await;
    lab.finish().await;
}
