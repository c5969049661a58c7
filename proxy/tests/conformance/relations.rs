//! `include`: nested records of other models, and rows kept or left out by what they are related to.

use super::{
    kinds::KINDS,
    lab::Lab,
    shapes::{Shown, json_of, record},
};

/// The JSON of a list of records from SQL, in an order.
fn list(fields: &[(&str, &str)], order: &str, from: &str) -> String {
    format!(
        "(select '[' || coalesce(string_agg({}, ',' order by {order}), '') || ']' from {from})",
        record(fields)
    )
}

/// The JSON of the one record from SQL, or null.
fn one(fields: &[(&str, &str)], from: &str) -> String {
    format!("(select {} from {from})", record(fields))
}

const NUMBER: (&str, &str) = ("number", "to_json(f.number)::text");

#[tokio::test]
async fn related_records_are_nested_as_sql_joins_them() {
    let lab = Lab::new().await;
    let iata = ("iata", "to_json(a.iata)::text");
    let origin = one(&[iata], "oracle.airports a where a.id = f.origin_id");
    let destination = one(&[iata], "oracle.airports a where a.id = f.destination_id");
    let region = one(
        &[("name", "to_json(r.name)::text")],
        "oracle.regions r where r.id = a.region_id",
    );
    let deep = one(
        &[iata, ("region", &region)],
        "oracle.airports a where a.id = f.origin_id",
    );
    let previous = one(
        &[("number", "to_json(p.number)::text")],
        "oracle.flights p where p.id = f.previous_id",
    );
    let next = list(
        &[("number", "to_json(n.number)::text")],
        "n.id",
        "oracle.flights n where n.previous_id = f.id",
    );
    let flights = "oracle.flights f order by f.number limit 50";
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<Shown<'_>>, String)> = vec![
        ("flights?select=number&order=number&include=origin(select=iata)", vec![NUMBER, ("origin", &origin)], flights.into()),
        ("flights?select=number&order=number&include=origin(select=iata),destination(select=iata)",
            vec![NUMBER, ("origin", &origin), ("destination", &destination)], flights.into()),
        ("flights?select=number&order=number&include=from:origin(select=iata),to:destination(select=iata)",
            vec![NUMBER, ("from", &origin), ("to", &destination)], flights.into()),
        ("flights?select=number&order=number&include=origin(select=iata;include=region(select=name))", vec![NUMBER, ("origin", &deep)], flights.into()),
        ("flights?select=number&order=number&include=previous(select=number)", vec![NUMBER, ("previous", &previous)], flights.into()),
        ("flights?select=number&order=number&include=flights(select=number)", vec![NUMBER, ("flights", &next)], flights.into()),
        ("flights?select=number&delay=gt.40&order=number&include=origin(select=iata)", vec![NUMBER, ("origin", &origin)],
            "oracle.flights f where f.delay > 40 order by f.number limit 50".into()),
    ];
    for (target, fields, from) in &cases {
        lab.expect(target, &format!("select {} from {from}", record(fields)))
            .await;
    }
    lab.finish().await;
}

#[tokio::test]
async fn children_have_their_own_filter_order_and_limit() {
    let lab = Lab::new().await;
    let iata = ("iata", "to_json(a.iata)::text");
    let children = |condition: &str, order: &str, limit: &str| {
        list(
            &[NUMBER, ("delay", "f.delay::text")],
            &format!("f.{order}"),
            &format!(
                "(select * from oracle.flights f where f.origin_id = a.id and {condition} order by {order} limit {limit}) f"
            ),
        )
    };
    let airports = "oracle.airports a order by a.iata limit 50";
    let plain = children("true", "id", "1000");
    let late = children("delay > 30", "delay desc, id desc", "5").replace(
        "order by f.delay desc, id desc",
        "order by f.delay desc, f.id desc",
    );
    let grouped = children("(delay < 10 or status = 'flying')", "id", "1000");
    let few = children("true", "id", "2");
    let nested = list(
        &[
            NUMBER,
            (
                "destination",
                &one(
                    &[("iata", "to_json(d.iata)::text")],
                    "oracle.airports d where d.id = f.destination_id",
                ),
            ),
        ],
        "f.number",
        "(select * from oracle.flights f where f.origin_id = a.id and delay > 30 order by number limit 3) f",
    );
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("airports?select=iata&order=iata&include=flights!origin_id(select=number,delay;limit=1000)", vec![iata, ("flights", &plain)]),
        ("airports?select=iata&order=iata&include=late:flights!origin_id(select=number,delay;delay=gt.30;order=delay.desc;limit=5)",
            vec![iata, ("late", &late)]),
        ("airports?select=iata&order=iata&include=flights!origin_id(select=number,delay;or=(delay.lt.10,status.eq.flying);limit=1000)",
            vec![iata, ("flights", &grouped)]),
        ("airports?select=iata&order=iata&include=flights!origin_id(select=number,delay;limit=2)", vec![iata, ("flights", &few)]),
        ("airports?select=iata&order=iata&include=late:flights!origin_id(select=number;delay=gt.30;order=number;limit=3;include=destination(select=iata))",
            vec![iata, ("late", &nested)]),
        ("airports?select=iata&order=iata&include=a:flights!origin_id(select=number,delay;limit=2),b:flights!origin_id(select=number,delay;limit=1000)",
            vec![iata, ("a", &few), ("b", &plain)]),
    ];
    for (target, fields) in &cases {
        lab.expect(
            target,
            &format!("select {} from {airports}", record(fields)),
        )
        .await;
    }
    lab.finish().await;
}

#[tokio::test]
async fn relations_decide_which_rows_there_are() {
    let lab = Lab::new().await;
    #[rustfmt::skip]
    let cases = [
        ("flights", "include=origin!inner(state=eq.CA)", "exists (select from oracle.airports a where a.id = t.origin_id and a.state = 'CA')"),
        ("flights", "include=origin!inner", "exists (select from oracle.airports a where a.id = t.origin_id)"),
        ("flights", "include=origin!none", "not exists (select from oracle.airports a where a.id = t.origin_id)"),
        ("flights", "include=origin!none(state=eq.CA)", "not exists (select from oracle.airports a where a.id = t.origin_id and a.state = 'CA')"),
        ("flights", "include=origin!inner(or=(state.eq.CA,state.is.null))&delay=gt.20",
            "delay > 20 and exists (select from oracle.airports a where a.id = t.origin_id and (a.state = 'CA' or a.state is null))"),
        ("flights", "include=flights!none(delay=gt.30)", "not exists (select from oracle.flights n where n.previous_id = t.id and n.delay > 30)"),
        ("airports", "include=flights!origin_id!inner(delay=gt.60)", "exists (select from oracle.flights f where f.origin_id = t.id and f.delay > 60)"),
        ("airports", "include=flights!origin_id!none", "not exists (select from oracle.flights f where f.origin_id = t.id)"),
        ("airports", "include=flights!destination_id!none(delay=gt.30)", "not exists (select from oracle.flights f where f.destination_id = t.id and f.delay > 30)"),
        ("airports", "include=region!inner(rank=gte.1)", "exists (select from oracle.regions r where r.id = t.region_id and r.rank >= 1)"),
        ("regions", "include=airports!inner(include=flights!origin_id!inner(delay=gt.60))",
            "exists (select from oracle.airports a where a.region_id = t.id and exists (select from oracle.flights f where f.origin_id = a.id and f.delay > 60))"),
    ];
    for (model, include, condition) in cases {
        // What an include shows is judged above: here it is which rows there are.
        let seen = lab
            .get(&format!("{model}?select=id&limit=1000&{include}"))
            .await;
        let rows = seen.json()["data"].as_array().map(|rows| {
            rows.iter()
                .map(|r| r["id"].as_str().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        });
        let sql = format!("select id::text from oracle.{model} t where {condition} order by id");
        let expected = lab.rows(&sql).await;
        if rows.as_ref() != Some(&expected) {
            lab.fail(format!(
                "other rows\n  {model}?{include}\n  {sql}\n  is {rows:?}\n  be {expected:?}\n  {}",
                seen.text
            ))
            .await;
        }
        let count = lab
            .get(&format!("{model}?limit=1&count=exact&{include}"))
            .await;
        let count = count.json()["meta"]["count"].as_u64();
        if count != Some(expected.len() as u64) {
            lab.fail(format!(
                "counts {count:?} for {}\n  {model}?{include}",
                expected.len()
            ))
            .await;
        }
    }
    lab.finish().await;
}

#[tokio::test]
async fn an_included_value_has_the_bytes_of_a_direct_one() {
    let lab = Lab::new().await;
    let names: Vec<_> = KINDS.iter().map(|k| k.field).collect();
    let fields = |table: &str| -> Vec<(&str, String)> {
        KINDS.iter().map(|k| (k.field, json_of(k, table))).collect()
    };
    let whole = |table: &str| {
        let fields = fields(table);
        let fields: Vec<_> = fields.iter().map(|(n, j)| (*n, j.as_str())).collect();
        record(&fields)
    };
    let twin = format!(
        "(select {} from oracle.samples w where w.id = t.twin_id)",
        whole("w")
    );
    let twins = format!(
        "(select '[' || coalesce(string_agg({}, ',' order by w.id), '') || ']' from oracle.samples w where w.twin_id = t.id)",
        whole("w")
    );
    let select = names.join(",");
    let sql = format!(
        "select {} from oracle.samples t order by id",
        record(&[("id", "to_json(t.id)::text"), ("twin", &twin)])
    );
    lab.expect(
        &format!("samples?limit=1000&select=id&include=twin(select={select})"),
        &sql,
    )
    .await;
    let sql = format!(
        "select {} from oracle.samples t order by id",
        record(&[("id", "to_json(t.id)::text"), ("samples", &twins)])
    );
    lab.expect(
        &format!("samples?limit=1000&select=id&include=samples(select={select})"),
        &sql,
    )
    .await;
    lab.finish().await;
}

#[rustfmt::skip]
const REFUSED: &[(&str, &[&str])] = &[
    ("flights?include=nope", &["include UNKNOWN_FIELD"]),
    ("flights?include=origin(select=nope)", &["nope UNKNOWN_FIELD"]),
    ("flights?include=origin(nope=eq.1)", &["nope UNKNOWN_FIELD"]),
    ("flights?include=origin(limit=abc)", &["limit INVALID_VALUE"]),
    ("flights?include=origin(", &["include INVALID_VALUE"]),
    ("flights?include=origin)", &["include INVALID_VALUE"]),
    ("flights?include=", &["include INVALID_VALUE"]),
    ("flights?include=origin,origin", &["include DUPLICATE"]),
    ("flights?include=origin!nope(select=iata)", &["include UNKNOWN_FIELD"]),
];

#[tokio::test]
async fn what_is_no_relation_is_refused_by_name() {
    let lab = Lab::new().await;
    for (target, errors) in REFUSED {
        lab.refused(target, errors).await;
    }
    // Two keys join these models: the answer names both.
    let seen = lab.get("airports?include=flights").await;
    if seen.status != 400
        || !seen.text.contains("flights!origin_id")
        || !seen.text.contains("flights!destination_id")
    {
        lab.fail(format!(
            "should name the choices: {} {}",
            seen.status, seen.text
        ))
        .await;
    }
    // A model that may not be read is not reached through another.
    let caller = lab
        .world
        .caller_with(crate::support::world::A, &["crm.flights.read"]);
    for target in [
        "flights?include=origin",
        "flights?include=origin!none",
        "flights?order=origin(iata)",
    ] {
        let seen = lab.world.send_as(&caller, "GET", target, &[], None).await;
        if seen.status != 403 || !seen.text.contains("crm.airports.read") {
            lab.fail(format!(
                "should be forbidden by name: {target}\n  {} {}",
                seen.status, seen.text
            ))
            .await;
        }
    }
    lab.finish().await;
}
