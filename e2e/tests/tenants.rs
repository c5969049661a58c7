//! What a change of a Tenant does to its users.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Answer, Scene, kubectl, scene::Turn, wait};
use serde_json::{Value, json};

/// Until a change that is Ready has reached the proxy: a notification, and for roles the life of a cached set.
const TAKEN_UP_MAX: Duration = Duration::from_secs(30);

/// Waits until the answer has that status and, when it is a problem, that code.
async fn answered(
    what: &str,
    status: u16,
    code: &str,
    ask: impl AsyncFn() -> Result<Answer>,
) -> Result<()> {
    wait::until(what, TAKEN_UP_MAX, async || {
        let answer = ask().await?;
        let said = answer.json().unwrap_or_default()["code"].clone();
        ensure!(
            answer.status == status && said.as_str().unwrap_or_default() == code,
            "{} {said}",
            answer.status
        );
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn state_modules_and_admins_of_a_tenant_are_what_its_resource_says() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        let fields = json!({"fields": [{"name": "text", "type": "text"}]});
        scene.apply_model("notes", fields).await?;
        let (api, path) = (&tenant.api, scene.path("notes"));
        let note = json!({"text": "x"});
        api.post(&path, &note).await?.expect(201)?;
        let apply = async |more: Value| {
            kubectl::apply(&scene.tenant_resource(&tenant.name, tenant.id, more)).await?;
            kubectl::wait(&["tn", &tenant.name], "Ready").await
        };
        let read = async || api.get(&path).await;
        let write = async || api.post(&path, &note).await;
        let analyse = async || {
            let query = json!({"model": "notes", "aggregate": "count"});
            api.post(&format!("/v1/data/{}/analytics", scene.module), &query)
                .await
        };

        apply(json!({"state": "ReadOnly"})).await?;
        answered("writes to be refused", 403, "TENANT_READ_ONLY", write).await?;
        answered("reads to go on", 200, "", read).await?;

        apply(json!({"state": "Suspended"})).await?;
        answered("reads to be refused", 403, "TENANT_SUSPENDED", read).await?;
        answered("analytics to be refused", 403, "TENANT_SUSPENDED", analyse).await?;

        apply(json!({"modules": []})).await?;
        answered("the module to be gone", 404, "NOT_FOUND", read).await?;
        answered("its analytics to be gone", 404, "NOT_FOUND", analyse).await?;
        let schema = api.get("/v1/schema").await?.expect(200)?;
        assert_eq!(schema.json()?["data"], json!([]), "nothing is listed");

        apply(json!({"admins": ["somebody"]})).await?;
        answered("the former admin to be refused", 403, "FORBIDDEN", read).await?;
        answered("its writes to be refused", 403, "FORBIDDEN", write).await?;

        apply(json!({})).await?;
        answered("all to be as it was", 201, "", write).await?;

        kubectl::delete(&["tn", &tenant.name]).await?;
        wait::until("the tenant to be unknown", TAKEN_UP_MAX, async || {
            let status = api.get(&path).await?.status;
            Ok([401, 403, 404].contains(&status).then_some(()))
        })
        .await?;
        apply(json!({})).await?;
        answered("its data to be back", 201, "", write).await?;
        let kept = api.get(&path).await?.expect(200)?.json()?;
        assert_eq!(
            kept["data"].as_array().map(Vec::len),
            Some(3),
            "three notes were written"
        );
        Ok(())
    })
    .await
}
