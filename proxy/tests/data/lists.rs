//! Pages, filters, cursors.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::world::{A, B, World};

/// Titles of a page.
fn titles(page: &Value) -> Vec<String> {
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["title"].as_str().unwrap().to_owned())
        .collect()
}

/// Walks every page of a list and returns the titles in order.
async fn walk(world: &World, target: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world
            .send(A, "GET", &format!("{target}{cursor}"), None)
            .await;
        assert_eq!(
            page.status,
            StatusCode::OK,
            "{target}{cursor}: {}",
            page.text
        );
        let page = page.json();
        all.extend(titles(&page));
        let next = page["meta"].get("nextCursor").and_then(Value::as_str);
        assert_eq!(page["meta"]["hasMore"].as_bool(), Some(next.is_some()));
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

async fn with_deals(count: i64) -> World {
    let world = World::new().await;
    for i in 0..count {
        let seats = if i % 4 == 3 {
            Value::Null
        } else {
            json!(i % 3)
        };
        let stage = ["open", "won", "lost"][usize::try_from(i % 3).unwrap()];
        let amount = format!("{}.25", i % 5);
        let body =
            json!({"title": format!("t{i:02}"), "seats": seats, "stage": stage, "amount": amount});
        world.create(A, "deals", body).await;
    }
    world
}

#[tokio::test]
async fn every_order_walks_over_every_row_once() {
    let world = with_deals(30).await;
    let reference: Vec<_> = (0..30).map(|i| format!("t{i:02}")).collect();
    for order in [
        "id",
        "id.desc",
        "seats",
        "seats.desc",
        "seats.nullsfirst",
        "seats.desc.nullslast",
        "seats.desc.nullsfirst,amount",
        "stage,seats.desc.nullslast,amount",
        "amount.desc,seats.nullsfirst",
        "title.desc",
        "created_at",
        "stage.desc,id",
        "seats,parent_id.desc,company_id.nullsfirst",
    ] {
        let whole = world
            .send(A, "GET", &format!("deals?order={order}&limit=100"), None)
            .await;
        assert_eq!(whole.status, StatusCode::OK, "{order}: {}", whole.text);
        let whole = titles(&whole.json());
        for limit in [1, 7, 30] {
            let walked = walk(&world, &format!("deals?order={order}&limit={limit}")).await;
            assert_eq!(walked, whole, "{order} by {limit}");
        }
        let mut sorted = whole;
        sorted.sort();
        assert_eq!(sorted, reference, "{order}");
    }
    let filtered = walk(
        &world,
        "deals?or=(stage.eq.won,seats.is.null)&order=seats.desc.nullslast&limit=4",
    )
    .await;
    let expected = (0..30).filter(|i| i % 3 == 1 || i % 4 == 3).count();
    assert_eq!(filtered.len(), expected);
}

#[tokio::test]
async fn a_walk_is_steady_while_rows_come_and_go() {
    let world = with_deals(12).await;
    let first = world
        .send(A, "GET", "deals?order=title&limit=5", None)
        .await;
    let link = first.header("link").unwrap().to_owned();
    let first = first.json();
    // One in front, one deleted behind, the last of the page deleted.
    world.create(A, "deals", json!({"title": "a-new"})).await;
    let second_id = first["data"][4]["id"].as_str().unwrap();
    world
        .send(A, "DELETE", &format!("deals/{second_id}"), None)
        .await;
    let cursor = first["meta"]["nextCursor"].as_str().unwrap();
    let target = link
        .strip_prefix("</v1/data/crm/")
        .and_then(|l| l.strip_suffix(">; rel=\"next\""))
        .unwrap();
    assert!(target.ends_with(&format!("cursor={cursor}")), "{link}");
    let next = world.send(A, "GET", target, None).await.json();
    assert_eq!(titles(&next), ["t05", "t06", "t07", "t08", "t09"]);
    // The page's size and columns may change on the way.
    let rest = world
        .send(
            A,
            "GET",
            &format!("deals?order=title&limit=1&select=title&cursor={cursor}"),
            None,
        )
        .await;
    assert_eq!(titles(&rest.json()), ["t05"]);
}

#[tokio::test]
async fn a_cursor_is_of_use_only_where_it_was_given() {
    let world = with_deals(6).await;
    for i in 0..6 {
        world
            .create(B, "deals", json!({"title": format!("b{i}")}))
            .await;
    }
    let page = world
        .send(A, "GET", "deals?order=title&stage=eq.open&limit=1", None)
        .await
        .json();
    let cursor = page["meta"]["nextCursor"].as_str().unwrap().to_owned();
    let good = format!("deals?order=title&stage=eq.open&limit=1&cursor={cursor}");
    assert_eq!(
        world.send(A, "GET", &good, None).await.status,
        StatusCode::OK
    );
    let mut flipped = cursor.clone().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    for (tenant, target) in [
        (B, good.clone()),
        (A, format!("companies?order=name&limit=1&cursor={cursor}")),
        (
            A,
            format!("deals?order=title&stage=eq.won&limit=1&cursor={cursor}"),
        ),
        (
            A,
            format!("deals?order=title.desc&stage=eq.open&limit=1&cursor={cursor}"),
        ),
        (
            A,
            format!("deals?order=title&stage=eq.open&limit=1&cursor={flipped}"),
        ),
        (A, "deals?cursor=".to_owned()),
        (A, "deals?cursor=x%00".to_owned()),
    ] {
        let seen = world.send(tenant, "GET", &target, None).await;
        assert_eq!(
            (seen.status, seen.errors()),
            (
                StatusCode::BAD_REQUEST,
                vec!["cursor INVALID_VALUE".to_owned()]
            ),
            "{target}"
        );
    }
    // A position that fits no URI is not given out.
    for i in 0..2 {
        world
            .create(
                A,
                "companies",
                json!({"name": format!("n{i}"), "code": format!("{i}{}", "x".repeat(5000))}),
            )
            .await;
    }
    let long = world
        .send(A, "GET", "companies?order=code&limit=1", None)
        .await;
    assert_eq!(long.errors(), ["order LIMIT_EXCEEDED"]);
}

#[tokio::test]
async fn pages_have_bounds_and_counts() {
    let world = with_deals(7).await;
    let page = world.send(A, "GET", "deals?limit=0", None).await;
    assert_eq!(page.json(), json!({"data": [], "meta": {"hasMore": false}}));
    let page = world
        .send(A, "GET", "deals?limit=0&count=exact", None)
        .await;
    assert_eq!(page.json()["meta"]["count"], 7);
    let page = world
        .send_as(
            &world.caller(A),
            "GET",
            "deals?limit=2&stage=eq.open",
            &[("prefer", "count=exact")],
            None,
        )
        .await;
    assert_eq!(page.json()["meta"]["count"], 3);
    assert_eq!(titles(&page.json()).len(), 2);
    assert_eq!(
        world
            .send(A, "GET", "deals?limit=1001", None)
            .await
            .errors(),
        ["limit LIMIT_EXCEEDED"]
    );
    let exact = world.send(A, "GET", "deals?limit=7", None).await;
    assert_eq!(
        (exact.json()["meta"].clone(), exact.header("link")),
        (json!({"hasMore": false}), None)
    );
    let like = world
        .send(
            A,
            "GET",
            "deals?title=ilike.T0*&amount=gte.3&order=title",
            None,
        )
        .await
        .json();
    assert_eq!(titles(&like), ["t03", "t04"]);
    let none = world.send(A, "GET", "deals?title=in.()", None).await.json();
    assert_eq!(titles(&none).len(), 0);
    let text = "deals?title=in.(\"t01\",\"a,b\")&select=title,version";
    assert_eq!(
        world.send(A, "GET", text, None).await.json()["data"],
        json!([{"title": "t01", "version": 1}])
    );
}

#[tokio::test]
async fn an_unbounded_answer_is_cut_off_as_too_large() {
    let world = World::with(|config| config.answer_bytes_max = 50_000).await;
    for _ in 0..6 {
        world
            .create(A, "things", json!({"a_text": "x".repeat(10_000)}))
            .await;
    }
    let large = world.send(A, "GET", "things", None).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    // The connection is in step afterwards.
    assert_eq!(
        world.send(A, "GET", "things?limit=2", None).await.status,
        StatusCode::OK
    );
}
