//! References and unique values.

use http::StatusCode;
use serde_json::json;

use crate::support::world::{A, World};

const UNKNOWN: &str = "0198f0aa-0000-7000-8000-00000000ffff";

#[tokio::test]
async fn references_hold_in_both_directions() {
    let world = World::new().await;
    let company = world.create(A, "companies", json!({"name": "Acme"})).await;
    let company = company["id"].as_str().unwrap().to_owned();
    let missing = world
        .send(
            A,
            "POST",
            "deals",
            Some(json!({"title": "x", "company_id": UNKNOWN})),
        )
        .await;
    assert_eq!(
        (missing.status, missing.errors()),
        (
            StatusCode::CONFLICT,
            vec!["company_id REFERENCE_NOT_FOUND".to_owned()]
        )
    );
    let deal = world
        .create(A, "deals", json!({"title": "x", "company_id": company}))
        .await;
    let deal = deal["id"].as_str().unwrap().to_owned();
    let in_use = world
        .send(A, "DELETE", &format!("companies/{company}"), None)
        .await;
    assert_eq!(
        (in_use.status, in_use.errors()),
        (
            StatusCode::CONFLICT,
            vec!["deals REFERENCE_IN_USE".to_owned()]
        )
    );
    let moved = world
        .send(
            A,
            "PATCH",
            &format!("deals/{deal}"),
            Some(json!({"company_id": UNKNOWN, "seats": 5})),
        )
        .await;
    assert_eq!(moved.errors(), ["company_id REFERENCE_NOT_FOUND"]);
    assert!(
        world
            .send(A, "GET", &format!("deals/{deal}"), None)
            .await
            .json()["data"]["seats"]
            .is_null()
    );
    // A record may refer to itself, from the start or later, and may go.
    let own = "0198f0aa-5b1e-7c3d-9a4e-000000000001";
    world
        .create(
            A,
            "deals",
            json!({"id": own, "title": "self", "parent_id": own}),
        )
        .await;
    let parent = world
        .send(
            A,
            "PATCH",
            &format!("deals/{deal}"),
            Some(json!({"parent_id": deal})),
        )
        .await;
    assert_eq!(parent.status, StatusCode::OK, "{}", parent.text);
    assert_eq!(
        world
            .send(A, "DELETE", &format!("deals/{own}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    // A deleted parent is a missing parent, word for word.
    assert_eq!(
        world
            .send(A, "DELETE", &format!("deals/{deal}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        world
            .send(A, "DELETE", &format!("companies/{company}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    let deleted = world
        .send(
            A,
            "POST",
            "deals",
            Some(json!({"title": "x", "company_id": company})),
        )
        .await;
    assert_eq!(deleted.text, missing.text);
}

#[tokio::test]
async fn a_unique_value_is_taken_among_live_records_only() {
    let world = World::new().await;
    let first = world
        .create(A, "companies", json!({"name": "a", "code": "X"}))
        .await;
    let taken = world
        .send(
            A,
            "POST",
            "companies",
            Some(json!({"name": "b", "code": "X"})),
        )
        .await;
    assert_eq!(
        (taken.status, taken.errors()),
        (StatusCode::CONFLICT, vec!["code NOT_UNIQUE".to_owned()])
    );
    assert!(!taken.text.contains("one_code") && !taken.text.contains("companies"));
    world.create(A, "companies", json!({"name": "b"})).await;
    world.create(A, "companies", json!({"name": "c"})).await;
    world
        .send(
            A,
            "DELETE",
            &format!("companies/{}", first["id"].as_str().unwrap()),
            None,
        )
        .await;
    world
        .create(A, "companies", json!({"name": "b", "code": "X"}))
        .await;
}
