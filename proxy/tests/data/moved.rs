//! Columns that are others by the time a request arrives: it is planned again, and answered once.

use std::sync::Arc;

use http::StatusCode;
use model::ModuleModel;
use serde_json::{Value, json};

use crate::support::{
    database::run,
    world::{A, Published, Seen, World, catalog_of, models, send_to},
};

/// Replaces a field of a model.
fn with_field(models: &mut [ModuleModel], model: usize, field: &str, change: impl Fn(&mut Value)) {
    let mut document = serde_json::to_value(&models[model]).unwrap();
    let fields = document["fields"].as_array_mut().unwrap();
    change(fields.iter_mut().find(|f| f["name"] == field).unwrap());
    models[model] = serde_json::from_value(document).unwrap();
}

/// A world whose requests still come with a catalogue from before these statements.
async fn behind(statements: &str, models: &[ModuleModel]) -> World {
    let mut world = World::new().await;
    for (title, amount) in [("a", "1.50"), ("b", "2.50")] {
        let deal = json!({"title": title, "amount": amount.parse::<f64>().unwrap()});
        world.create(A, "deals", deal).await;
    }
    world
        .create(A, "companies", json!({"name": "x", "code": "7"}))
        .await;
    let mut owner = world.database.admin().await;
    run(&mut owner, "set role septem_owner").await;
    run(&mut owner, statements).await;
    world.data.catalogs = Arc::new(Published(Some(catalog_of(models, 2))));
    world
}

async fn ask(world: &World, method: &str, target: &str, accept: &str, body: &str) -> Seen {
    let old = world.caller(A);
    let headers = [("accept", accept)];
    let body = (!body.is_empty()).then(|| body.to_owned());
    send_to(&world.data, &old, method, target, &headers, body).await
}

#[tokio::test]
async fn a_column_that_moved_is_found_again_by_every_kind_of_request() {
    let mut models = models();
    with_field(&mut models, 1, "amount", |f| {
        f["column"] = "amount__3".into()
    });
    let world = behind(
        "alter table crm.deals rename column amount__2 to amount__3",
        &models,
    )
    .await;
    let first = ask(
        &world,
        "GET",
        "deals?order=title&limit=1",
        "application/json",
        "",
    )
    .await;
    let id = first.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let one = format!("deals/{id}");
    let json = "application/json";
    let batch = format!(
        r#"{{"operations": [{{"op": "create", "model": "deals", "data": {{"title": "c", "amount": 3.5}}}},
            {{"op": "update", "model": "deals", "id": "{id}", "data": {{"amount": 4.5}}}}]}}"#
    );
    for (method, target, accept, body, shown) in [
        ("GET", one.as_str(), json, "", "\"amount\":1.50"),
        (
            "GET",
            "deals?amount=gte.1.5&order=amount.desc",
            json,
            "",
            "\"amount\":2.50",
        ),
        (
            "GET",
            "deals?select=amount&count=exact",
            json,
            "",
            "\"amount\":1.50",
        ),
        ("GET", "deals?order=amount", "text/csv", "", "1.50"),
        (
            "GET",
            "deals?select=title,amount",
            "application/x-ndjson",
            "",
            "{\"title\":\"a\",\"amount\":1.50}",
        ),
        (
            "PATCH",
            one.as_str(),
            json,
            r#"{"amount": 1.25}"#,
            "\"amount\":1.25",
        ),
        (
            "PATCH",
            "deals?amount=eq.2.5",
            json,
            r#"{"amount": 2.25}"#,
            "\"amount\":2.25",
        ),
        (
            "POST",
            "deals",
            json,
            r#"{"title": "d", "amount": 9}"#,
            "\"amount\":9.00",
        ),
        (
            "POST",
            "deals",
            json,
            r#"[{"title": "e", "amount": 8}, {"title": "f"}]"#,
            "\"amount\":8.00",
        ),
        ("POST", "batch", json, batch.as_str(), "\"amount\":4.50"),
        ("DELETE", "deals?amount=eq.8", json, "", ""),
    ] {
        let seen = ask(&world, method, target, accept, body).await;
        assert!(
            seen.status.is_success(),
            "{method} {target} {} {}",
            seen.status,
            seen.text
        );
        assert!(seen.text.contains(shown), "{method} {target} {}", seen.text);
        assert!(!seen.text.contains("__"), "{}", seen.text);
    }
    // Each was carried out once.
    let counted = ask(
        &world,
        "GET",
        "deals?select=title,amount&order=title",
        json,
        "",
    )
    .await;
    let rows: Vec<_> = counted.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| format!("{} {}", r["title"].as_str().unwrap(), r["amount"]))
        .collect();
    assert_eq!(rows, ["a 4.5", "b 2.25", "c 3.5", "d 9.0", "f 0.0"]);
}

#[tokio::test]
async fn a_column_of_the_same_name_and_another_type_is_planned_for_again() {
    let mut models = models();
    with_field(&mut models, 0, "code", |f| f["type"] = "int64".into());
    let world = behind(
        "alter table crm.companies alter column code__2 type bigint using code__2::bigint",
        &models,
    )
    .await;
    let json = "application/json";
    // Text compared with a number (42883), text written into one (42804).
    for (method, target, accept, body, shown) in [
        ("GET", "companies?code=eq.7", json, "", "\"code\":7"),
        ("GET", "companies?code=eq.7", "text/csv", "", ",7,"),
        (
            "POST",
            "companies",
            json,
            r#"{"name": "y", "code": null}"#,
            "\"code\":null",
        ),
        (
            "PATCH",
            "companies?code=eq.7",
            json,
            r#"{"code": null}"#,
            "\"code\":null",
        ),
    ] {
        let seen = ask(&world, method, target, accept, body).await;
        assert!(
            seen.status.is_success(),
            "{method} {target} {} {}",
            seen.status,
            seen.text
        );
        assert!(seen.text.contains(shown), "{method} {target} {}", seen.text);
    }
    let count = ask(
        &world,
        "GET",
        "companies?code=is.null&count=exact",
        json,
        "",
    )
    .await;
    assert_eq!(count.status, StatusCode::OK);
    assert_eq!(count.json()["data"].as_array().unwrap().len(), 2);
}
