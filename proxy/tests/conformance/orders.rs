//! Orders, pages and cursors: every order gives the rows as PostgreSQL sorts them, on one page or walked either way.

use serde_json::Value;

use super::{kinds::KINDS, lab::Lab};

/// Model, `order`, and the same in SQL. `id` behind it goes the way of the key before.
#[rustfmt::skip]
const ORDERS: &[(&str, &str, &str)] = &[
    ("flights", "", "id"),
    ("flights", "id.desc", "id desc"),
    ("flights", "delay", "delay, id"),
    ("flights", "delay.desc", "delay desc, id desc"),
    ("flights", "delay.nullsfirst", "delay nulls first, id"),
    ("flights", "delay.desc.nullslast", "delay desc nulls last, id desc"),
    ("flights", "delay.desc.nullslast,id", "delay desc nulls last, id"),
    ("flights", "status.desc,distance.nullsfirst", "status desc, distance nulls first, id"),
    ("flights", "status,distance.desc.nullslast,delay", "status, distance desc nulls last, delay, id"),
    ("flights", "previous_id.desc,delay.nullsfirst,status.desc", "previous_id desc, delay nulls first, status desc, id desc"),
    ("flights", "departs_at.desc,number", "departs_at desc, number, id"),
    ("flights", "created_at,version.desc,updated_by", "created_at, version desc, updated_by, id"),
];

/// Orders that reach outside of the row's columns.
#[rustfmt::skip]
const FAR_ORDERS: &[(&str, &str, &str)] = &[
    ("flights", "origin(iata)", "(select iata from oracle.airports a where a.id = t.origin_id), id"),
    ("flights", "origin(iata).desc.nullslast,number", "(select iata from oracle.airports a where a.id = t.origin_id) desc nulls last, number, id"),
    ("flights", "destination(state).nullsfirst,delay.desc", "(select state from oracle.airports a where a.id = t.destination_id) nulls first, delay desc, id desc"),
    ("flights", "crew->>captain,number", "crew->>'captain', number, id"),
    ("flights", "crew->>captain.desc.nullslast", "crew->>'captain' desc nulls last, id desc"),
];

#[tokio::test]
async fn rows_come_in_the_order_of_sql() {
    let lab = Lab::new().await;
    for (model, order, sql) in ORDERS.iter().chain(FAR_ORDERS) {
        let query = if order.is_empty() {
            String::new()
        } else {
            format!("order={order}")
        };
        lab.expect_ids(model, &query, "true", sql).await;
    }
    for kind in KINDS.iter().filter(|k| k.has_order()) {
        for (words, sql) in [
            ("", ""),
            (".desc", " desc"),
            (".asc.nullsfirst", " nulls first"),
            (".desc.nullslast", " desc nulls last"),
        ] {
            let field = kind.field;
            let query = format!("order={field}{words},id.desc");
            lab.expect_ids("samples", &query, "true", &format!("{field}{sql}, id desc"))
                .await;
        }
    }
    lab.finish().await;
}

/// Walks a list to its end and back to its beginning; every page but the last is full.
pub async fn walk(lab: &Lab, target: &str, limit: usize) -> (Vec<String>, Vec<String>) {
    let mut pages = Vec::new();
    let (mut forth, mut back) = (Vec::new(), Vec::new());
    let mut cursor = String::new();
    let page = |text: Value| -> Vec<String> {
        let rows = text["data"].as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|r| r["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let mut last;
    loop {
        let seen = lab.get(&format!("{target}&limit={limit}{cursor}")).await;
        if seen.status != 200 {
            lab.fail(format!("a page of {target}: {} {}", seen.status, seen.text))
                .await;
            return (forth, back);
        }
        last = seen.json();
        let ids = page(last.clone());
        let next = last["meta"]["nextCursor"].as_str().map(str::to_owned);
        if last["meta"]["hasMore"].as_bool() != Some(next.is_some())
            || next.is_some() && ids.len() != limit
        {
            lab.fail(format!(
                "a page of {target} of {} rows with {}",
                ids.len(),
                last["meta"]
            ))
            .await;
        }
        if last["meta"].get("prevCursor").is_some() == cursor.is_empty() && !ids.is_empty() {
            lab.fail(format!(
                "prevCursor is on all pages but the first: {target}{cursor} {}",
                last["meta"]
            ))
            .await;
        }
        forth.extend(ids.iter().cloned());
        pages.push(ids);
        match next {
            Some(next) if pages.len() < 500 => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    let mut backwards = vec![pages.pop().unwrap_or_default()];
    while let Some(previous) = last["meta"]["prevCursor"].as_str() {
        let seen = lab
            .get(&format!("{target}&limit={limit}&cursor={previous}"))
            .await;
        if seen.status != 200 || backwards.len() > 500 {
            lab.fail(format!("back in {target}: {} {}", seen.status, seen.text))
                .await;
            break;
        }
        last = seen.json();
        backwards.push(page(last.clone()));
    }
    back.extend(backwards.into_iter().rev().flatten());
    (forth, back)
}

#[tokio::test]
async fn every_order_can_be_walked_both_ways() {
    let lab = Lab::new().await;
    for (model, order, sql) in ORDERS.iter().chain(FAR_ORDERS) {
        for (filter, condition) in [
            ("", "true"),
            (
                "&or=(delay.gt.40,delay.is.null)",
                "delay > 40 or delay is null",
            ),
        ] {
            let expected = lab
                .rows(&format!(
                    "select id::text from oracle.{model} t where {condition} order by {sql}"
                ))
                .await;
            for limit in [5, 20, 1000] {
                let order = if order.is_empty() {
                    String::new()
                } else {
                    format!("&order={order}")
                };
                let (forth, back) =
                    walk(&lab, &format!("{model}?select=id{order}{filter}"), limit).await;
                if forth != expected || back != expected {
                    lab.fail(format!(
                        "{order}{filter} by {limit}: {} forth, {} back of {}",
                        forth.len(),
                        back.len(),
                        expected.len()
                    ))
                    .await;
                }
            }
        }
    }
    for kind in KINDS.iter().filter(|k| k.has_order()) {
        for (words, sql) in [
            ("", ""),
            (".desc", " desc"),
            (".nullsfirst", " nulls first"),
            (".desc.nullslast", " desc nulls last"),
        ] {
            let field = kind.field;
            let expected = lab
                .rows(&format!(
                    "select id::text from oracle.samples t order by {field}{sql}, id"
                ))
                .await;
            let (forth, back) = walk(
                &lab,
                &format!("samples?select=id&order={field}{words},id"),
                9,
            )
            .await;
            if forth != expected || back != expected {
                lab.fail(format!(
                    "{field}{words}: {} forth, {} back of {}",
                    forth.len(),
                    back.len(),
                    expected.len()
                ))
                .await;
            }
        }
    }
    lab.finish().await;
}

#[tokio::test]
async fn json_and_arrays_are_no_order() {
    let lab = Lab::new().await;
    for kind in KINDS.iter().filter(|k| !k.has_order()) {
        lab.refused(
            &format!("samples?order={}", kind.field),
            &[&format!("{} INVALID_OPERATOR", kind.field)],
        )
        .await;
    }
    lab.finish().await;
}

#[tokio::test]
async fn counts_are_of_all_rows_that_match() {
    let lab = Lab::new().await;
    for (filter, condition) in [
        ("", "true"),
        ("delay=gt.30", "delay > 30"),
        (
            "or=(delay.is.null,status.eq.landed)",
            "delay is null or status = 'landed'",
        ),
    ] {
        let expected = lab
            .rows(&format!(
                "select count(*)::text from oracle.flights where {condition}"
            ))
            .await;
        for limit in [0, 3, 1000] {
            let seen = lab
                .get(&format!("flights?limit={limit}&count=exact&{filter}"))
                .await;
            let count = seen.json()["meta"]["count"].to_string();
            if count != expected[0] {
                lab.fail(format!("{filter}: counts {count} for {}", expected[0]))
                    .await;
            }
        }
        for kind in ["planned", "estimated"] {
            let seen = lab
                .get(&format!("flights?limit=1&count={kind}&{filter}"))
                .await;
            if !seen.json()["meta"]["count"].is_u64() {
                lab.fail(format!("count={kind}&{filter}: {}", seen.text))
                    .await;
            }
        }
    }
    lab.finish().await;
}
