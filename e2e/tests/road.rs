//! The road: `kubectl apply`, then HTTP, then analytics.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::{
    Scene, kubectl,
    scene::{ADMIN, Turn},
    wait,
};
use serde_json::{Value, json};

/// The bound from commit to analytics.
const VISIBLE_MAX: Duration = Duration::from_secs(5);

fn projects() -> Value {
    json!({
        "fields": [
            {"name": "title", "type": "text", "required": true, "maxLength": 80},
            {"name": "state", "type": "enum", "values": ["open", "done"], "default": "open", "required": true},
            {"name": "budget", "type": "decimal", "precision": 12, "scale": 2},
        ],
        "indexes": [{"name": "by_state", "fields": ["state", "id"]}],
    })
}

fn tasks(module: &str) -> Value {
    json!({
        "fields": [
            {"name": "name", "type": "text", "required": true},
            {"name": "project_id", "type": "uuid", "required": true,
             "references": {"module": module, "model": "projects", "onDelete": "Restrict"}},
        ],
    })
}

#[tokio::test]
async fn a_model_and_a_tenant_applied_by_kubectl_are_served_and_analysed() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        scene.apply_model("projects", projects()).await?;
        scene.apply_model("tasks", tasks(&scene.module)).await?;
        let (api, path) = (&tenant.api, scene.path("projects"));

        let created = api
            .post(&path, &json!({"title": "Road", "budget": "10.50"}))
            .await?
            .expect(201)?;
        let id = created.id()?;
        let record = created.json()?["data"].clone();
        assert_eq!(record["state"], "open", "the default is taken");
        assert_eq!(
            (record["version"].as_i64(), record["created_by"].as_str()),
            (Some(1), Some(ADMIN))
        );
        assert!(
            created.text().contains("\"budget\":10.50"),
            "a decimal keeps its scale: {}",
            created.text()
        );
        assert_eq!(created.header("etag"), Some("\"1\""));
        assert!(
            created
                .header("location")
                .is_some_and(|l| l.ends_with(&format!("{path}/{id}")))
        );

        let one = format!("{path}/{id}");
        let if_match = |version: &'static str| [("if-match", version)];
        let change = Some(json!({"state": "done"}).to_string());
        let patch = |headers: [(&'static str, &'static str); 1]| {
            api.send(
                reqwest::Method::PATCH,
                &one,
                Box::leak(Box::new(headers)),
                change.clone(),
            )
        };
        assert_eq!(patch(if_match("\"7\"")).await?.status, 412);
        let patched = patch(if_match("\"1\"")).await?.expect(200)?;
        assert_eq!(
            (
                patched.json()?["data"]["version"].as_i64(),
                patched.header("etag")
            ),
            (Some(2), Some("\"2\""))
        );

        let task = json!({"name": "Lay it", "project_id": id});
        let task_id = api
            .post(&scene.path("tasks"), &task)
            .await?
            .expect(201)?
            .id()?;
        assert_eq!(
            api.delete(&one).await?.status,
            409,
            "a task refers to the project"
        );
        api.delete(&format!("{}/{task_id}", scene.path("tasks")))
            .await?
            .expect(204)?;

        wait::until("the project in analytics", VISIBLE_MAX, async || {
            let query = json!({"model": "projects", "groupBy": "state",
                "metrics": [{"aggregate": "count"}, {"aggregate": "sum", "field": "budget"}]});
            let answer = api.analytics(&scene.module, &query).await?;
            let seen = (
                answer.first("state"),
                answer.first("count"),
                answer.first("sum"),
            );
            Ok((seen == (Some("\"done\""), Some("1"), Some("10.50"))).then_some(()))
        })
        .await?;

        api.delete(&one).await?.expect(204)?;
        assert_eq!(api.get(&one).await?.status, 404);
        assert_eq!(api.delete(&one).await?.status, 404);
        wait::until("the deletion in analytics", VISIBLE_MAX, async || {
            let answer = api
                .analytics(
                    &scene.module,
                    &json!({"model": "projects", "aggregate": "count"}),
                )
                .await?;
            Ok((answer.first("count") == Some("0")).then_some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_list_is_filtered_ordered_and_paged_to_its_end() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        scene.apply_model("projects", projects()).await?;
        let (api, path) = (&tenant.api, scene.path("projects"));
        for n in 0..25 {
            let state = if n % 5 == 0 { "done" } else { "open" };
            let budget = (n % 7 != 0).then(|| format!("{}.00", n % 4));
            let body =
                json!({"title": format!("Project {n:02}"), "state": state, "budget": budget});
            api.post(&path, &body).await?.expect(201)?;
        }
        // Nulls are last ascending and many budgets are equal: a page must neither skip nor repeat.
        let mut titles: Vec<String> = Vec::new();
        let mut budgets: Vec<Option<f64>> = Vec::new();
        let first = format!("{path}?state=eq.open&order=budget.asc&limit=3&select=title,budget");
        let mut next = Some(first.clone());
        while let Some(page) = next {
            let body = api.get(&page).await?.expect(200)?.json()?;
            for record in body["data"].as_array().context("data is a list")? {
                titles.push(record["title"].as_str().context("title")?.to_owned());
                budgets.push(record["budget"].as_f64());
            }
            let cursor = body["meta"]["nextCursor"].as_str();
            assert_eq!(body["meta"]["hasMore"].as_bool(), Some(cursor.is_some()));
            next = cursor.map(|cursor| format!("{first}&cursor={cursor}"));
        }
        let distinct: std::collections::BTreeSet<_> = titles.iter().collect();
        assert_eq!(
            (titles.len(), distinct.len()),
            (20, 20),
            "every open project once: {titles:?}"
        );
        let key = |b: &Option<f64>| b.unwrap_or(f64::INFINITY);
        assert!(
            budgets
                .windows(2)
                .all(|pair| key(&pair[0]) <= key(&pair[1])),
            "in order: {budgets:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_nullable_field_and_an_enum_value_added_by_kubectl_are_served() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        scene.apply_model("projects", projects()).await?;
        let (api, path) = (&tenant.api, scene.path("projects"));
        let old = api.post(&path, &json!({"title": "Before"})).await?.expect(201)?.id()?;
        assert_eq!(api.post(&path, &json!({"title": "x", "due": "2026-05-01"})).await?.status, 400);

        let mut wider = projects();
        wider["fields"].as_array_mut().context("fields")?.push(json!({"name": "due", "type": "date"}));
        wider["fields"][1]["values"] = json!(["open", "done", "parked"]);
        scene.apply_model("projects", wider).await?;

        // Ready says that it is published; the proxy takes it up by notification.
        let body = json!({"title": "After", "due": "2026-05-01", "state": "parked"});
        let created = wait::until("the new field to be served", Duration::from_secs(5), async || {
            let answer = api.post(&path, &body).await?;
            ensure!(answer.status == 201, "{} {}", answer.status, answer.text());
            Ok(Some(answer))
        })
        .await?;
        assert_eq!(created.json()?["data"]["due"], "2026-05-01");
        let before = api.get(&format!("{path}/{old}")).await?.expect(200)?.json()?;
        assert_eq!(before["data"].get("due"), Some(&Value::Null));

        wait::until("the new field in analytics", VISIBLE_MAX, async || {
            let query = json!({"model": "projects", "aggregate": "max", "field": "due", "filters": {"state": "eq.parked"}});
            let answer = api.analytics(&scene.module, &query).await?;
            Ok((answer.first("max") == Some("\"2026-05-01\"")).then_some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_deleted_model_is_not_served_and_its_data_is_back_when_it_is_applied_again() -> Result<()>
{
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        scene.apply_model("projects", projects()).await?;
        let (api, path) = (&tenant.api, scene.path("projects"));
        let id = api
            .post(&path, &json!({"title": "Kept"}))
            .await?
            .expect(201)?
            .id()?;
        let one = format!("{path}/{id}");

        let name = scene.resource_name("projects");
        kubectl::delete(&["mm", &name, "-n", &scene.module]).await?;
        wait::until(
            "the endpoints to be gone",
            Duration::from_secs(5),
            async || Ok((api.get(&one).await?.status == 404).then_some(())),
        )
        .await?;
        assert_eq!(api.get(&path).await?.status, 404);
        let query = json!({"model": "projects", "aggregate": "count"});
        assert_eq!(
            api.post(&format!("/v1/data/{}/analytics", scene.module), &query)
                .await?
                .status,
            404
        );

        scene.apply_model("projects", projects()).await?;
        let kept = wait::until(
            "the endpoints to be back",
            Duration::from_secs(5),
            async || {
                let answer = api.get(&one).await?;
                Ok((answer.status == 200).then_some(answer))
            },
        )
        .await?;
        assert_eq!(kept.json()?["data"]["title"], "Kept");
        api.synced(&scene.module, "projects", Duration::from_secs(15))
            .await?;
        let answer = api.analytics(&scene.module, &query).await?;
        assert_eq!(answer.first("count"), Some("1"));
        Ok(())
    })
    .await
}
