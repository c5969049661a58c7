//! What comes back: the bytes of every type, chosen columns, other names, casts and paths.

use super::{
    kinds::{KINDS, Kind},
    lab::Lab,
};

/// A name in a record, and the SQL of its JSON text.
pub type Shown<'a> = (&'a str, &'a str);

/// SQL of a record.
pub fn record(fields: &[Shown<'_>]) -> String {
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

/// Target and the SQL of its rows; `{…}` lists names with the SQL of their JSON.
#[rustfmt::skip]
const SELECTS: &[(&str, &[Shown<'_>], &str)] = &[
    ("flights?select=number,delay&order=number&limit=9",
        &[("number", "to_json(number)::text"), ("delay", "delay::text")], "flights order by number limit 9"),
    ("flights?select=delay,number&order=number&limit=9",
        &[("delay", "delay::text"), ("number", "to_json(number)::text")], "flights order by number limit 9"),
    ("flights?select=no:number,late:delay&order=number",
        &[("no", "to_json(number)::text"), ("late", "delay::text")], "flights order by number limit 50"),
    ("flights?select=distance::text,text:distance::text,whole:distance::int8&order=number",
        &[("distance", "to_json(distance::text)::text"), ("text", "to_json(distance::text)::text"), ("whole", "distance::int8::text")],
        "flights order by number limit 50"),
    ("flights?select=delay::text,share:delay::float8,exact:delay::numeric&order=number",
        &[("delay", "to_json(delay::text)::text"), ("share", "delay::float8::text"), ("exact", "delay::numeric::text")],
        "flights order by number limit 50"),
    ("flights?select=day:departs_at::date,on:departs_at::text&order=number",
        &[("day", "to_json(departs_at::date)::text"), ("on", "to_json(departs_at::text)::text")], "flights order by number limit 50"),
    ("samples?select=a_bool::text,a_inet::text,a_bytes::text&order=id",
        &[("a_bool", "to_json(a_bool::text)::text"), ("a_inet", "to_json(a_inet::text)::text"), ("a_bytes", "to_json(a_bytes::text)::text")],
        "samples order by id limit 50"),
    ("samples?select=a_date::timestamp,a_json::text&order=id",
        &[("a_date", "'\"' || to_char(a_date, 'YYYY-MM-DD') || 'T00:00:00.000000Z\"'"), ("a_json", "to_json(a_json::text)::text")],
        "samples order by id limit 50"),
    ("flights?select=number,crew->>captain,crew->seats,first:crew->crew->>0&order=number",
        &[("number", "to_json(number)::text"), ("captain", "to_json(crew->>'captain')::text"), ("seats", "(crew->'seats')::text"),
          ("first", "to_json(crew->'crew'->>0)::text")], "flights order by number limit 50"),
    ("flights?select=seats:crew->>seats::numeric&order=number",
        &[("seats", "(crew->>'seats')::numeric::text")], "flights order by number limit 50"),
    ("flights?select=id,version,created_by,deleted_at&order=number&limit=2",
        &[("id", "to_json(id)::text"), ("version", "version::text"), ("created_by", "to_json(created_by)::text"), ("deleted_at", "null")],
        "flights order by number limit 2"),
    // Distinct combinations.
    ("flights?distinct=status&order=status", &[("status", "to_json(status)::text")],
        "(select distinct status from oracle.flights) s order by status"),
    ("flights?distinct=status,delay&order=delay.desc.nullslast,status&limit=7",
        &[("status", "to_json(status)::text"), ("delay", "delay::text")],
        "(select distinct status, delay from oracle.flights) s order by delay desc nulls last, status limit 7"),
    ("flights?distinct=status&delay=is.null&order=status.desc", &[("status", "to_json(status)::text")],
        "(select distinct status from oracle.flights where delay is null) s order by status desc"),
    // Pages by offset.
    ("flights?select=number&order=number&limit=7&offset=10", &[("number", "to_json(number)::text")], "flights order by number limit 7 offset 10"),
    ("flights?select=number&order=delay.desc,number&offset=55", &[("number", "to_json(number)::text")], "flights order by delay desc, number limit 50 offset 55"),
    ("flights?select=number&order=number&offset=1000", &[("number", "to_json(number)::text")], "flights where false"),
    ("flights?select=number&limit=0", &[("number", "to_json(number)::text")], "flights where false"),
];

#[tokio::test]
async fn columns_come_as_they_are_asked_for() {
    let lab = Lab::new().await;
    for (target, fields, from) in SELECTS {
        let schema = if from.starts_with('(') { "" } else { "oracle." };
        lab.expect(
            target,
            &format!("select {} from {schema}{from}", record(fields)),
        )
        .await;
    }
    lab.finish().await;
}

#[rustfmt::skip]
const REFUSED: &[(&str, &[&str])] = &[
    ("flights?select=number::regclass", &["number INVALID_VALUE"]),
    ("flights?select=delay::date", &["delay INVALID_OPERATOR"]),
    ("flights?select=number,number", &["select DUPLICATE"]),
    ("flights?select=a:number,a:delay", &["select DUPLICATE"]),
    ("flights?select=delay->a", &["delay INVALID_OPERATOR"]),
    ("flights?select=delay.sum()", &["select INVALID_VALUE"]),
    ("flights?select=number,origin(iata)", &["select INVALID_VALUE"]),
    ("flights?select=...origin(iata)", &["select INVALID_VALUE"]),
    ("flights?distinct=nope", &["nope UNKNOWN_FIELD"]),
    ("flights?offset=100001", &["offset LIMIT_EXCEEDED"]),
];

#[tokio::test]
async fn what_cannot_be_shown_is_refused_by_name() {
    let lab = Lab::new().await;
    for (target, errors) in REFUSED {
        lab.refused(target, errors).await;
    }
    lab.finish().await;
}
