//! Limits: what is at the bound is answered, what is past it is a 400 that names the parameter, before the database is
//! asked; and the documentation has the same numbers. Those of heads and bodies as a whole are judged with the chain
//! (`edge::framing`).

use super::lab::{Lab, pair};
use crate::support::world::{A, Seen, send_to};

const PAGE: &str = include_str!("../../../docs/query-language.md");

/// What is asked: a GET, or a POST with its body.
type Asked = (String, Option<String>);

struct Limit {
    /// As the documentation names it.
    what: &'static str,
    bound: usize,
    /// What asks for so much.
    at: fn(usize) -> Asked,
    /// Field and code of the refusal.
    error: &'static str,
}

const fn limit(
    what: &'static str,
    bound: usize,
    at: fn(usize) -> Asked,
    error: &'static str,
) -> Limit {
    Limit {
        what,
        bound,
        at,
        error,
    }
}

fn get(target: String) -> Asked {
    (target, None)
}

fn post(model: &str, body: String) -> Asked {
    (model.to_owned(), Some(body))
}

fn flights(query: String) -> Asked {
    get(format!("flights?{query}"))
}

fn filter(field: &str, value: String) -> Asked {
    flights(pair(field, &value))
}

fn times(word: &str, count: usize, joint: &str) -> String {
    vec![word; count].join(joint)
}

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
}

fn numbered(count: usize, name: impl Fn(usize) -> String) -> String {
    (0..count).map(name).collect::<Vec<_>>().join(",")
}

const COLUMNS: &str =
    "number,status,delay,distance,departs_at,origin_id,destination_id,previous_id,version";

fn first(count: usize) -> String {
    COLUMNS.split(',').take(count).collect::<Vec<_>>().join(",")
}

/// A field is shown as far as 64 characters.
const STEPS_REFUSED: &str =
    "crew->a->a->a->a->a->a->a->a->a->a->a->a->a->a->a->a->a->a->a->a LIMIT_EXCEEDED";

/// API.md, "Defaults and ceilings", and what the documentation adds to it.
#[rustfmt::skip]
const LIMITS: [Limit; 28] = [
    limit("conditions of a request", 50, |n| flights(times("delay=gt.0", n, "&")), "filters LIMIT_EXCEEDED"),
    limit("conditions of a request", 50, |n| flights(format!("or=({})", times("delay.eq.0", n, ","))), "filters LIMIT_EXCEEDED"),
    limit("conditions of a request", 50, |n| flights(format!("include=origin({})", times("iata=neq.x", n, ";"))), "filters LIMIT_EXCEEDED"),
    limit("nesting of groups", 5, |n| flights(format!("or={}", nested("(or", "(delay.eq.0)", ")", n - 1))), "or LIMIT_EXCEEDED"),
    limit("values of `in`, elements of an array", 1_000, |n| filter("delay", format!("in.({})", times("1", n, ","))), "delay LIMIT_EXCEEDED"),
    limit("values of `in`, elements of an array", 1_000, |n| filter("tags", format!("cs.{{{}}}", times("a", n, ","))), "tags LIMIT_EXCEEDED"),
    limit("values of `(any)` and `(all)`", 100, |n| filter("delay", format!("eq(any).{{{}}}", times("1", n, ","))), "delay LIMIT_EXCEEDED"),
    limit("values of `(any)` and `(all)`", 100, |n| filter("number", format!("like(all).{{{}}}", times("a*", n, ","))), "number LIMIT_EXCEEDED"),
    limit("characters of a `match` or `imatch`", 256, |n| filter("number", format!("match.{}", "é".repeat(n))), "number LIMIT_EXCEEDED"),
    limit("characters of a `match` or `imatch`", 256, |n| filter("number", format!("imatch(any).{{{}}}", "é".repeat(n))), "number LIMIT_EXCEEDED"),
    limit("characters of a search", 1_000, |n| filter("number", format!("fts.{}", "é".repeat(n))), "number LIMIT_EXCEEDED"),
    limit("characters of a search", 1_000, |n| filter("number", format!("wfts.{}", "é".repeat(n))), "number LIMIT_EXCEEDED"),
    limit("nesting of an `fts`", 16, |n| filter("number", format!("fts.{}", nested("(", "a", ")", n))), "number INVALID_VALUE"),
    limit("steps of a JSON path", 32, |n| filter(&format!("crew{}", "->a".repeat(n)), "is.null".into()), STEPS_REFUSED),
    limit("nesting of a JSON value", 31, |n| filter("crew", format!("eq.{}", nested("[", "", "]", n))), "crew LIMIT_EXCEEDED"),
    limit("nesting of a JSON value", 31, |n| post("flights", format!(r#"{{"number": "x", "crew": {}}}"#, nested("[", "", "]", n))), "crew LIMIT_EXCEEDED"),
    limit("fields of a `select`", 200, |n| flights(format!("select={}", numbered(n, |i| format!("a{i}:id")))), "select LIMIT_EXCEEDED"),
    limit("characters of an alias", 63, |n| flights(format!("select={}:id", "é".repeat(n))), "select INVALID_VALUE"),
    limit("keys of an order, fields of `distinct`", 8, |n| flights(format!("order={}", first(n))), "order LIMIT_EXCEEDED"),
    limit("keys of an order, fields of `distinct`", 8, |n| flights(format!("distinct={}", first(n))), "distinct LIMIT_EXCEEDED"),
    limit("rows of a page or of an included list", 1_000, |n| flights(format!("limit={n}")), "limit LIMIT_EXCEEDED"),
    limit("rows of a page or of an included list", 1_000, |n| get(format!("airports?include=flights!origin_id(limit={n})")), "limit LIMIT_EXCEEDED"),
    limit("`offset`", 100_000, |n| flights(format!("offset={n}")), "offset LIMIT_EXCEEDED"),
    limit("nesting of includes", 3, |n| flights(format!("include={}", nested("previous(include=", "previous", ")", n - 1))), "include LIMIT_EXCEEDED"),
    limit("includes of one record", 10, |n| flights(format!("include={}", numbered(n, |i| format!("r{i}:origin")))), "include LIMIT_EXCEEDED"),
    limit("includes of a request", 50, |n| {
        // Ten of the row, the rest of the first of them.
        let inner = |from: usize| numbered((n - 10).saturating_sub(from).min(10), |i| format!("s{i}:origin"));
        flights(format!("include={}", numbered(10, |i| match inner(i * 10) {
            none if none.is_empty() => format!("r{i}:previous"),
            some => format!("r{i}:previous(include={some})"),
        })))
    }, "include LIMIT_EXCEEDED"),
    limit("records of a body", 1_000, |n| post("regions", format!("[{}]", times(r#"{"name": "x"}"#, n, ","))), "body LIMIT_EXCEEDED"),
    limit("operations of a batch", 100, |n| {
        let create = r#"{"op": "create", "model": "regions", "data": {"name": "x"}}"#;
        post("batch", format!(r#"{{"operations": [{}]}}"#, times(create, n, ",")))
    }, "operations LIMIT_EXCEEDED"),
];

async fn ask(lab: &Lab, (target, body): Asked) -> Seen {
    let method = if body.is_some() { "POST" } else { "GET" };
    let caller = lab.world.caller(A);
    send_to(&lab.world.data, &caller, method, &target, &[], body).await
}

async fn expect_refusal(lab: &Lab, limit: &Limit) {
    let seen = ask(lab, (limit.at)(limit.bound + 1)).await;
    let named = || seen.errors().iter().all(|e| e == limit.error);
    if seen.status != 400 || !named() || seen.errors().is_empty() {
        lab.fail(format!(
            "{}: {} should be refused with {}\n  {} {}",
            limit.what,
            limit.bound + 1,
            limit.error,
            seen.status,
            seen.text
        ))
        .await;
    }
}

#[tokio::test]
async fn every_limit_holds_at_its_bound_and_not_past_it() {
    let lab = Lab::new().await;
    for limit in &LIMITS {
        let seen = ask(&lab, (limit.at)(limit.bound)).await;
        if !seen.status.is_success() {
            lab.fail(format!(
                "{}: {} is within the bound\n  {} {}",
                limit.what, limit.bound, seen.status, seen.text
            ))
            .await;
        }
        expect_refusal(&lab, limit).await;
    }
    lab.finish().await;
}

#[test]
fn the_documentation_has_the_same_numbers() {
    for Limit { what, bound, .. } in LIMITS {
        let number = match bound {
            small if small < 1_000 => small.to_string(),
            large => format!("{},{:03}", large / 1_000, large % 1_000),
        };
        let row = format!("| {what} | {number} |");
        assert!(PAGE.contains(&row), "the page should have\n{row}");
    }
}

#[tokio::test]
async fn what_is_refused_takes_no_connection() {
    let lab = Lab::new().await;
    // Nothing is connected any more and nothing can connect: whoever asks the database now cannot answer.
    lab.world.database.close().await;
    for limit in &LIMITS {
        expect_refusal(&lab, limit).await;
    }
    for query in [
        "nope=eq.1",
        "delay=eq.x",
        "or=()",
        "select=nope",
        "order=nope",
        "cursor=abc",
        "include=nope",
        "distinct=crew",
    ] {
        let seen = ask(&lab, flights(query.into())).await;
        if seen.status != 400 {
            lab.fail(format!("{query}: {} {}", seen.status, seen.text))
                .await;
        }
    }
    let asked = ask(&lab, get("flights".into())).await;
    assert_eq!(asked.status, 503, "the database is away: {}", asked.text);
    lab.world.database.allow_connections(true).await;
    lab.finish().await;
}
