//! Walks in both directions, over rows that come and go.

use http::StatusCode;
use serde_json::{Value, json};

use super::isolation::Random;
use crate::support::world::{A, World};

fn ids(page: &Value) -> Vec<String> {
    let rows = page["data"].as_array().unwrap().iter();
    rows.map(|r| r["id"].as_str().unwrap().to_owned()).collect()
}

async fn get(world: &World, target: &str) -> Value {
    let seen = world.send(A, "GET", target, None).await;
    assert_eq!(seen.status, StatusCode::OK, "{target}: {}", seen.text);
    let links = seen.header("link").unwrap_or_default().to_owned();
    let page = seen.json();
    let meta = &page["meta"];
    assert_eq!(
        meta["hasMore"].as_bool(),
        Some(meta.get("nextCursor").is_some()),
        "{target}"
    );
    for (name, rel) in [("nextCursor", "next"), ("prevCursor", "prev")] {
        let link = links
            .split(", ")
            .find(|l| l.ends_with(&format!("rel=\"{rel}\"")));
        match meta.get(name).and_then(Value::as_str) {
            Some(cursor) => assert!(link.is_some_and(|l| l.contains(cursor)), "{links}"),
            None => assert_eq!(link, None, "{target}"),
        }
    }
    page
}

async fn with_deals(count: u64, random: &mut Random) -> (World, Vec<String>) {
    let world = World::new().await;
    let mut companies = Vec::new();
    for i in 0..3 {
        let body = json!({"name": format!("c{}", i % 2)});
        let company = world.create(A, "companies", body).await;
        companies.push(company["id"].clone());
    }
    companies.push(Value::Null);
    let mut all = Vec::new();
    for i in 0..count {
        all.push(create(&world, i, &companies, random).await);
    }
    (world, all)
}

async fn create(world: &World, i: u64, companies: &[Value], random: &mut Random) -> String {
    let pick = |n: u64, random: &mut Random| usize::try_from(random.below(n)).unwrap();
    let seats = [json!(null), json!(1), json!(2)][pick(3, random)].clone();
    let amount = [json!(null), json!("1.25"), json!("1.50"), json!("-3")][pick(4, random)].clone();
    let stage = ["open", "won"][pick(2, random)];
    let company = &companies[pick(companies.len() as u64, random)];
    let body = json!({
        "title": format!("t{:02}", i % 7), "seats": seats, "amount": amount, "stage": stage, "company_id": company,
    });
    world.create(A, "deals", body).await["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// An order of random keys, directions and places of nulls.
fn order(random: &mut Random) -> String {
    let mut keys = vec![
        "seats",
        "amount",
        "title",
        "stage",
        "company_id",
        "company(name)",
        "created_at",
        "id",
    ];
    let mut order = Vec::new();
    for _ in 0..=random.below(3) {
        let key = keys.remove(usize::try_from(random.below(keys.len() as u64)).unwrap());
        let direction = ["", ".asc", ".desc"][usize::try_from(random.below(3)).unwrap()];
        let nulls = ["", ".nullsfirst", ".nullslast"][usize::try_from(random.below(3)).unwrap()];
        order.push(format!("{key}{direction}{nulls}"));
    }
    order.join(",")
}

#[tokio::test]
async fn every_walk_there_and_back_meets_every_row_once() {
    let mut random = Random(7);
    let (world, _) = with_deals(23, &mut random).await;
    for round in 0..30 {
        let base = format!("deals?select=id&order={}", order(&mut random));
        let whole = ids(&get(&world, &format!("{base}&limit=100")).await);
        assert_eq!(whole.len(), 23);
        let limit = 1 + random.below(9);
        let mut pages = Vec::new();
        let mut page = get(&world, &format!("{base}&limit={limit}")).await;
        assert_eq!(page["meta"].get("prevCursor"), None);
        loop {
            pages.push(ids(&page));
            let Some(next) = page["meta"]["nextCursor"].as_str() else {
                break;
            };
            page = get(&world, &format!("{base}&limit={limit}&cursor={next}")).await;
        }
        assert_eq!(pages.concat(), whole, "round {round}: {base} by {limit}");
        for expected in pages.iter().rev().skip(1) {
            let prev = page["meta"]["prevCursor"].as_str().unwrap();
            page = get(&world, &format!("{base}&limit={limit}&cursor={prev}")).await;
            assert_eq!(
                ids(&page),
                *expected,
                "round {round}: {base} by {limit}, back"
            );
            assert_eq!(page["meta"]["hasMore"], true);
        }
        assert_eq!(page["meta"].get("prevCursor"), None, "{base}");
        // In the middle by number, on by cursor, and back by cursor.
        let offset = random.below(23);
        let middle = get(&world, &format!("{base}&limit=3&offset={offset}")).await;
        let at = usize::try_from(offset).unwrap();
        assert_eq!(ids(&middle), whole[at..whole.len().min(at + 3)]);
        if let Some(next) = middle["meta"]["nextCursor"].as_str() {
            let next = get(&world, &format!("{base}&limit=3&cursor={next}")).await;
            assert_eq!(ids(&next), whole[at + 3..whole.len().min(at + 6)]);
        }
        match middle["meta"]["prevCursor"].as_str() {
            Some(prev) => {
                let prev = get(&world, &format!("{base}&limit=3&cursor={prev}")).await;
                assert_eq!(ids(&prev), whole[at.saturating_sub(3)..at]);
            }
            None => assert_eq!(at, 0),
        }
    }
}

#[tokio::test]
async fn a_walk_is_steady_in_both_directions_while_rows_come_and_go() {
    let mut random = Random(11);
    let (world, mut all) = with_deals(24, &mut random).await;
    for round in 0..6 {
        let base = format!("deals?select=id&limit=4&order={}", order(&mut random));
        let before = ids(&get(&world, &format!("{base}&limit=100").replace("limit=4&", "")).await);
        let mut seen: Vec<String> = Vec::new();
        let mut back: Vec<String> = Vec::new();
        let mut page = get(&world, &base).await;
        let (mut created, mut deleted) = (Vec::new(), Vec::new());
        let mut turned = false;
        loop {
            match turned {
                false => seen.extend(ids(&page)),
                true => {
                    let mut rows = ids(&page);
                    rows.extend(std::mem::take(&mut back));
                    back = rows;
                }
            }
            if random.below(2) == 0 {
                let id = create(&world, random.below(9), &[Value::Null], &mut random).await;
                created.push(id.clone());
                all.push(id);
            } else {
                let gone =
                    all.swap_remove(usize::try_from(random.below(all.len() as u64)).unwrap());
                let target = format!("deals/{gone}");
                assert_eq!(
                    world.send(A, "DELETE", &target, None).await.status,
                    StatusCode::NO_CONTENT
                );
                deleted.push(gone);
            }
            let meta = &page["meta"];
            let cursor = match (turned, meta["nextCursor"].as_str()) {
                (false, Some(next)) => next.to_owned(),
                _ => {
                    turned = true;
                    match meta["prevCursor"].as_str() {
                        Some(prev) => prev.to_owned(),
                        None => break,
                    }
                }
            };
            page = get(&world, &format!("{base}&cursor={cursor}")).await;
        }
        // What was there all the time is met once there; no row is met twice in one direction, nor out of order.
        let lasting: Vec<_> = before
            .iter()
            .filter(|id| !deleted.contains(id))
            .cloned()
            .collect();
        let only = |rows: &[String]| {
            rows.iter()
                .filter(|id| lasting.contains(id))
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(only(&seen), lasting, "round {round}: {base}");
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), seen.len());
        let met_back = only(&back);
        assert!(
            lasting.starts_with(&met_back),
            "round {round}: {base}\n{met_back:?}\n{lasting:?}"
        );
    }
}

#[tokio::test]
async fn ends_of_a_list_that_has_become_empty_are_ends() {
    let world = World::new().await;
    let mut all = Vec::new();
    for i in 0..4 {
        let deal = world
            .create(A, "deals", json!({"title": format!("t{i}")}))
            .await;
        all.push(deal["id"].as_str().unwrap().to_owned());
    }
    let base = "deals?select=id&order=title&limit=2";
    let first = get(&world, base).await;
    let next = format!(
        "{base}&cursor={}",
        first["meta"]["nextCursor"].as_str().unwrap()
    );
    let second = get(&world, &next).await;
    let prev = format!(
        "{base}&cursor={}",
        second["meta"]["prevCursor"].as_str().unwrap()
    );
    for id in &all[2..] {
        world.send(A, "DELETE", &format!("deals/{id}"), None).await;
    }
    // Nothing follows any more; the way back leads to the last rows.
    let empty = get(&world, &next).await;
    assert_eq!(ids(&empty), Vec::<String>::new());
    let last = format!(
        "{base}&cursor={}",
        empty["meta"]["prevCursor"].as_str().unwrap()
    );
    let last = get(&world, &last).await;
    assert_eq!(
        (ids(&last), last["meta"]["hasMore"].as_bool()),
        (all[..2].to_vec(), Some(false))
    );
    let back = get(&world, &prev).await;
    assert_eq!(
        (ids(&back), back["meta"]["hasMore"].as_bool()),
        (all[..2].to_vec(), Some(false))
    );
    for id in &all[..2] {
        world.send(A, "DELETE", &format!("deals/{id}"), None).await;
    }
    let new = world.create(A, "deals", json!({"title": "t9"})).await;
    let nothing_before = get(&world, &prev).await;
    assert_eq!(
        (
            ids(&nothing_before).len(),
            nothing_before["meta"]["hasMore"].as_bool()
        ),
        (0, Some(true))
    );
    let start = format!(
        "{base}&cursor={}",
        nothing_before["meta"]["nextCursor"].as_str().unwrap()
    );
    assert_eq!(
        ids(&get(&world, &start).await),
        [new["id"].as_str().unwrap()]
    );
    // Past every row.
    let beyond = get(&world, &format!("{base}&offset=100000")).await;
    assert_eq!(ids(&beyond).len(), 0);
    let seen = world
        .send(A, "GET", &format!("{base}&offset=1&cursor=x"), None)
        .await;
    assert_eq!(seen.errors(), ["offset INVALID_VALUE"]);
    let seen = world.send(A, "GET", "deals?offset=100001", None).await;
    assert_eq!(seen.errors(), ["offset LIMIT_EXCEEDED"]);
}
