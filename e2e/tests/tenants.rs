//! What a change of a Tenant does to its users.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
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

/// Rounds of the measurement; the middle one has to hold, since one alone may meet a snapshot or a checkpoint.
const ROUNDS: usize = 5;
/// From the API server's answer to the last request that was served.
const SHUT_OUT_MAX: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_suspended_tenant_is_served_for_less_than_a_second_more() -> Result<()> {
    Scene::play(Turn::Alone, async |scene| {
        let tenant = scene.tenant("a").await?;
        let fields = json!({"fields": [{"name": "text", "type": "text"}]});
        scene.apply_model("notes", fields).await?;
        let path = scene.path("notes");
        let read = async || tenant.api.get(&path).await;
        answered("reads", 200, "", read).await?;
        let apply = async |state: &str| {
            let state = json!({"state": state});
            kubectl::apply(&scene.tenant_resource(&tenant.name, tenant.id, state)).await
        };
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let (mut served, mut applied, mut refused) = (None, None, 0);
            let reader = async {
                // Long enough to see that nobody is let in again.
                while refused < 50 {
                    let answer = read().await?;
                    match answer.status {
                        200 => (served, refused) = (Some(Instant::now()), 0),
                        403 => refused += 1,
                        status => anyhow::bail!("{status}: {}", answer.text()),
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(())
            };
            let writer = async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                apply("Suspended").await?;
                applied = Some(Instant::now());
                Ok(())
            };
            tokio::try_join!(reader, writer)?;
            let (served, applied) = (served.context("never served")?, applied.context("never")?);
            took.push(served.saturating_duration_since(applied));
            apply("Active").await?;
            answered("the tenant to be let in", 200, "", read).await?;
        }
        took.sort();
        println!("suspended → the last request served: {took:.0?}");
        ensure!(took[ROUNDS / 2] < SHUT_OUT_MAX, "{took:?}");
        Ok(())
    })
    .await
}
