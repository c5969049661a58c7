//! Every limit of reading at its bound, where it works, and one past it, where it is refused before the database is
//! asked. Those of bodies and heads are judged with the chain (`edge::framing`).

use super::lab::{Lab, pair};
use crate::support::world::A;

/// A target and the error one past the bound, `at(bound)` and `at(bound + 1)`.
type Limit = (&'static str, usize, fn(usize) -> String, &'static str);

fn groups(depth: usize) -> String {
    format!(
        "flights?or={}delay.eq.0{}",
        "(or".repeat(depth - 1) + "(",
        ")".repeat(depth)
    )
}

fn includes(depth: usize) -> String {
    let open: Vec<_> = (1..=depth).map(|_| "previous").collect();
    format!(
        "flights?include={}{}",
        open.join("(include="),
        ")".repeat(depth - 1)
    )
}

fn beside(breadth: usize) -> String {
    let names: Vec<_> = (0..breadth).map(|i| format!("r{i}:origin")).collect();
    format!("flights?include={}", names.join(","))
}

fn many(field: &str, operator: &str, count: usize) -> String {
    format!(
        "flights?{}",
        pair(
            field,
            &format!("{operator}({})", vec!["1"; count].join(","))
        )
    )
}

/// API.md, "Defaults and ceilings", and what the documentation adds to it.
const LIMITS: [Limit; 11] = [
    (
        "filters",
        50,
        |n| format!("flights?{}", vec!["delay=gt.0"; n].join("&")),
        "filters LIMIT_EXCEEDED",
    ),
    (
        "filters in groups",
        50,
        |n| format!("flights?or=({})", vec!["delay.eq.0"; n].join(",")),
        "filters LIMIT_EXCEEDED",
    ),
    (
        "filters of includes",
        50,
        |n| {
            format!(
                "flights?include=origin({})",
                vec!["iata=neq.x"; n].join(";")
            )
        },
        "filters LIMIT_EXCEEDED",
    ),
    (
        "values of in",
        1_000,
        |n| many("delay", "in.", n),
        "delay LIMIT_EXCEEDED",
    ),
    ("depth of groups", 5, groups, "or LIMIT_EXCEEDED"),
    ("depth of includes", 3, includes, "include LIMIT_EXCEEDED"),
    ("breadth of includes", 10, beside, "include LIMIT_EXCEEDED"),
    (
        "rows of a page",
        1_000,
        |n| format!("flights?limit={n}"),
        "limit LIMIT_EXCEEDED",
    ),
    (
        "rows of an included list",
        1_000,
        |n| format!("airports?include=flights!origin_id(limit={n})"),
        "limit LIMIT_EXCEEDED",
    ),
    (
        "offset",
        100_000,
        |n| format!("flights?offset={n}"),
        "offset LIMIT_EXCEEDED",
    ),
    (
        "keys of an order",
        8,
        |n| {
            let keys = [
                "number",
                "status",
                "delay",
                "distance",
                "departs_at",
                "origin_id",
                "destination_id",
                "previous_id",
                "version",
            ];
            format!("flights?order={}", keys[..n].join(","))
        },
        "order LIMIT_EXCEEDED",
    ),
];

#[tokio::test]
async fn every_limit_holds_at_its_bound_and_not_past_it() {
    let lab = Lab::new().await;
    for (what, bound, at, error) in LIMITS {
        let seen = lab.get(&at(bound)).await;
        if seen.status != 200 {
            lab.fail(format!(
                "{what}: {bound} is within the bound: {} {}",
                seen.status, seen.text
            ))
            .await;
        }
        lab.refused(&at(bound + 1), &[error]).await;
    }
    lab.finish().await;
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_without_the_database() {
    let lab = Lab::new().await;
    // Nothing is connected any more and nothing can connect: whoever asks the database now cannot answer.
    lab.world.database.close().await;
    for (_, bound, at, error) in LIMITS {
        lab.refused(&at(bound + 1), &[error]).await;
    }
    for target in [
        "flights?nope=eq.1",
        "flights?delay=eq.x",
        "flights?or=()",
        "flights?select=nope",
        "flights?order=nope",
        "flights?cursor=abc",
        "flights?include=nope",
    ] {
        let seen = lab.get(target).await;
        if seen.status != 400 {
            lab.fail(format!("{target}: {} {}", seen.status, seen.text))
                .await;
        }
    }
    let asked = lab.world.send(A, "GET", "flights", None).await;
    assert_eq!(asked.status, 503, "the database is away: {}", asked.text);
    lab.world.database.allow_connections(true).await;
    lab.finish().await;
}
