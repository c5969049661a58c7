//! An operator that starts again finds its work done and changes nothing.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use e2e::{Scene, Stack, kubectl, parts, scene::Turn, truth, wait};
use serde_json::{Value, json};
use sqlx::Row as _;

/// The restarted operator lists everything at once and has nothing to do; twice its usual time to Ready.
const WATCHED: Duration = Duration::from_secs(10);

/// Version of every resource, by kind and name.
async fn versions() -> Result<BTreeMap<String, String>> {
    let list = kubectl::get(&["mm,tn", "-A"]).await?;
    let items = list["items"].as_array().context("items")?;
    let text = |item: &Value, path: &str| {
        item.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Ok(items
        .iter()
        .map(|item| {
            let name = format!("{}/{}", text(item, "/kind"), text(item, "/metadata/name"));
            (name, text(item, "/metadata/resourceVersion"))
        })
        .collect())
}

/// Catalogue revision and the number of statements in the ledger.
async fn published(stack: &Stack) -> Result<(i64, i64)> {
    let statement = "select (select revision from platform.catalog_revision), (select count(*) from platform.schema_migrations)";
    let rows = truth::psql(stack, statement).await?;
    let row = rows.first().context("one row")?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

async fn unchanged_by(scene: &Scene, verb: &str) -> Result<()> {
    let before = (versions().await?, published(&scene.stack).await?);
    match verb {
        "kill" => parts::kill(&scene.stack, "operator").await?,
        _ => parts::restart(&scene.stack, "operator").await?,
    };
    wait::throughout(WATCHED, async || {
        let now = (versions().await?, published(&scene.stack).await?);
        ensure!(
            now == before,
            "{verb} of the operator changed {before:?} into {now:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_operator_that_starts_again_changes_nothing_and_goes_on_working() -> Result<()> {
    Scene::play(Turn::Alone, async |scene| {
        let tenant = scene.tenant("a").await?;
        let notes = json!({"fields": [{"name": "text", "type": "text"}]});
        scene.apply_model("notes", notes.clone()).await?;
        // The tenant is told of its module a moment later.
        let told = format!("tn/{}-a", scene.module);
        let wait = [
            "wait",
            &told,
            "--for=condition=ModulesServed",
            "--timeout=60s",
        ];
        kubectl::succeed(&wait, None).await?;
        unchanged_by(scene, "restart").await?;
        unchanged_by(scene, "kill").await?;
        // It works: another model becomes Ready and is served.
        scene.apply_model("more", notes).await?;
        tenant
            .api
            .post(&scene.path("more"), &json!({"text": "x"}))
            .await?
            .expect(201)?;
        Ok(())
    })
    .await
}
