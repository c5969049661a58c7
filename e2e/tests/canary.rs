//! Two tenants and a canary: nothing that A can obtain holds a byte of B.

mod obtained;
mod walk;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result};
use e2e::{
    Scene,
    scene::{Tenant, Turn},
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use obtained::Obtained;
use walk::{ask_analytics, provoke_errors, use_cache_and_schema, walk_lists};

fn parents() -> Value {
    json!({
        "fields": [
            {"name": "code", "type": "text", "required": true, "maxLength": 60},
            {"name": "name", "type": "text"},
            {"name": "kind", "type": "enum", "values": ["x", "y"], "default": "x"},
            {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
            {"name": "day", "type": "date"},
            {"name": "tags", "type": "array", "items": "text"},
            {"name": "doc", "type": "json"},
        ],
        "unique": [{"name": "one_code", "fields": ["code"]}],
        "indexes": [{"name": "by_name", "fields": ["name"]}],
    })
}

fn children(module: &str) -> Value {
    json!({
        "fields": [
            {"name": "note", "type": "text"},
            {"name": "parent_id", "type": "uuid", "references": {"module": module, "model": "parents", "onDelete": "Restrict"}},
        ],
    })
}

/// Ids of B's rows: a live one, a soft-deleted one, a child of the live one, and one that A has as well.
struct RowsOfB {
    live: String,
    deleted: String,
    child: String,
    shared: Uuid,
    cursor: String,
}

async fn write_as_b(scene: &Scene, b: &Tenant, marker: &str) -> Result<RowsOfB> {
    let (parents, children) = (scene.path("parents"), scene.path("children"));
    let row = |code: String| {
        json!({"code": code, "name": format!("name {marker}"), "kind": "y", "amount": "987654321.09", "day": "1999-12-31",
               "tags": [marker], "doc": {marker: [marker]}})
    };
    let live = b
        .api
        .post(&parents, &row(marker.to_owned()))
        .await?
        .expect(201)?
        .id()?;
    let deleted = b
        .api
        .post(&parents, &row(format!("{marker}-gone")))
        .await?
        .expect(201)?
        .id()?;
    b.api
        .delete(&format!("{parents}/{deleted}"))
        .await?
        .expect(204)?;
    let shared = Uuid::now_v7();
    let mut same_id = row(format!("{marker}-shared"));
    same_id["id"] = json!(shared);
    b.api.post(&parents, &same_id).await?.expect(201)?;
    let child = b
        .api
        .post(&children, &json!({"note": marker, "parent_id": live}))
        .await?
        .expect(201)?
        .id()?;
    b.api
        .put("/v1/cache/both", &json!({"value": marker}))
        .await?
        .expect(204)?;
    b.api
        .put(
            &format!("/v1/cache/{marker}"),
            &json!({"value": {marker: marker}}),
        )
        .await?
        .expect(204)?;
    let page = b
        .api
        .get(&format!("{parents}?limit=1&order=name.asc"))
        .await?
        .expect(200)?
        .json()?;
    let cursor = page["meta"]["nextCursor"]
        .as_str()
        .context("B has two rows")?
        .to_owned();
    Ok(RowsOfB {
        live,
        deleted,
        child,
        shared,
        cursor,
    })
}

async fn write_as_a(scene: &Scene, a: &Tenant, b: &RowsOfB) -> Result<String> {
    let path = scene.path("parents");
    let same_id = json!({"id": b.shared, "code": "own-shared", "name": "own"});
    a.api
        .post(&path, &same_id)
        .await?
        .expect(201)
        .context("an id that B has is free for A")?;
    for n in 0..5 {
        let body = json!({"code": format!("own-{n}"), "name": "own", "amount": n, "day": "2026-01-01", "tags": ["own"], "doc": {"n": n}});
        a.api.post(&path, &body).await?.expect(201)?;
    }
    let own = a
        .api
        .post(&path, &json!({"code": "own-last"}))
        .await?
        .expect(201)?
        .id()?;
    a.api
        .post(
            &scene.path("children"),
            &json!({"note": "own", "parent_id": own}),
        )
        .await?
        .expect(201)?;
    Ok(own)
}

#[tokio::test]
async fn no_byte_that_a_can_obtain_holds_the_marker_of_b() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let (a, b) = (scene.tenant("a").await?, scene.tenant("b").await?);
        scene.apply_model("parents", parents()).await?;
        scene
            .apply_model("children", children(&scene.module))
            .await?;
        let marker = format!("canary{}", Uuid::new_v4().simple());
        let rows = write_as_b(scene, &b, &marker).await?;
        let own = write_as_a(scene, &a, &rows).await?;
        for model in ["parents", "children"] {
            b.api
                .synced(&scene.module, model, Duration::from_secs(20))
                .await?;
        }

        let mut obtained = Obtained {
            api: &a.api,
            marker: &marker,
            statuses: BTreeSet::new(),
            answers: 0,
        };
        walk_lists(scene, &mut obtained).await?;
        provoke_errors(scene, &mut obtained, &rows, &own).await?;
        ask_analytics(scene, &mut obtained).await?;
        use_cache_and_schema(scene, &mut obtained, &b).await?;
        for status in [200, 201, 204, 400, 404, 405, 406, 409, 412, 413] {
            assert!(
                obtained.statuses.contains(&status),
                "no answer of A had status {status}: the walk is too narrow"
            );
        }
        println!("{} answers of A, none with B's marker", obtained.answers);

        // The canary is alive: B itself finds it everywhere.
        assert!(
            b.api
                .get(&format!("{}/{}", scene.path("parents"), rows.live))
                .await?
                .contains(&marker)
        );
        let group = json!({"model": "parents", "aggregate": "count", "groupBy": "name"});
        assert!(
            b.api
                .post(&format!("/v1/data/{}/analytics", scene.module), &group)
                .await?
                .contains(&marker)
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_bs_looks_to_a_as_if_it_were_not_there() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let (a, b) = (scene.tenant("a").await?, scene.tenant("b").await?);
        scene.apply_model("parents", parents()).await?;
        scene
            .apply_model("children", children(&scene.module))
            .await?;
        let (parents, children) = (scene.path("parents"), scene.path("children"));
        let of_b = b
            .api
            .post(&parents, &json!({"code": "taken", "name": "B"}))
            .await?
            .expect(201)?
            .id()?;
        let of_nobody = Uuid::now_v7().to_string();

        for (method, body) in [
            (Method::GET, None),
            (Method::PATCH, Some("{\"name\": \"x\"}")),
            (Method::DELETE, None),
        ] {
            let mut seen = Vec::new();
            for id in [&of_b, &of_nobody] {
                let answer = a
                    .api
                    .send(
                        method.clone(),
                        &format!("{parents}/{id}"),
                        &[],
                        body.map(str::to_owned),
                    )
                    .await?;
                assert_eq!(answer.status, 404, "{method}: {}", answer.text());
                seen.push(answer.essence());
            }
            assert_eq!(
                seen[0], seen[1],
                "{method} tells a foreign id from an unknown one"
            );
        }

        let mut seen = Vec::new();
        for id in [&of_b, &of_nobody] {
            let answer = a
                .api
                .post(&children, &json!({"note": "n", "parent_id": id}))
                .await?;
            assert_eq!(answer.status, 409, "{}", answer.text());
            seen.push(answer.essence());
        }
        assert_eq!(
            seen[0], seen[1],
            "a reference tells a foreign row from none"
        );

        let own = a
            .api
            .post(&parents, &json!({"code": "taken", "name": "A"}))
            .await?;
        assert_eq!(
            own.status,
            201,
            "a unique value of B is free for A: {}",
            own.text()
        );
        let again = b
            .api
            .get(&format!("{parents}/{of_b}"))
            .await?
            .expect(200)?
            .json()?;
        assert_eq!(
            (
                again["data"]["name"].as_str(),
                again["data"]["version"].as_i64()
            ),
            (Some("B"), Some(1))
        );
        Ok(())
    })
    .await
}
