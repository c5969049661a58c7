//! A tenant that is erased, with everything real around it: nothing of it is left, and nothing brings it back.

mod topic;

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Scene, kubectl, scene::Turn, truth};
use rdkafka::Message as _;
use serde_json::json;
use sqlx::Row as _;

const CANARY: &str = "canary-erased-90b4";
/// An erasure waits for proxies, the sink and a mutation in turn.
const ERASED_MAX: &str = "--timeout=120s";

#[tokio::test]
async fn late_events_of_an_erased_tenant_bring_nothing_back() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let module = &scene.module;
        let text = json!({"fields": [{"name": "text", "type": "text"}]});
        scene.apply_model("notes", text).await?;
        let (gone, stays) = (scene.tenant("gone").await?, scene.tenant("stays").await?);
        let path = scene.path("notes");
        for n in 0..20 {
            let text = json!({"text": format!("{CANARY} {n}")});
            let note = gone.api.post(&path, &text).await?.expect(201)?.id()?;
            // Some are changed, and some deleted: events of each kind come again later.
            if n % 3 == 0 {
                let changed = json!({"text": format!("{CANARY} changed")});
                gone.api
                    .patch(&format!("{path}/{note}"), &changed)
                    .await?
                    .expect(200)?;
            }
            if n % 5 == 0 {
                gone.api
                    .delete(&format!("{path}/{note}"))
                    .await?
                    .expect(204)?;
            }
            stays
                .api
                .post(&path, &json!({"text": "mine"}))
                .await?
                .expect(201)?;
        }
        let key = "/v1/cache/kept";
        gone.api
            .put(key, &json!({"value": CANARY, "ttl": 600}))
            .await?
            .expect(204)?;
        let synced = async || {
            stays
                .api
                .synced(module, "notes", Duration::from_secs(60))
                .await
        };
        synced().await?;
        let table = truth::analytics_table(&scene.stack, module, "notes").await?;
        let in_clickhouse = async |id| {
            let count = format!("select count() from {table} where tenant_id = '{id}'");
            let lines = truth::clickhouse(&scene.stack, &count).await?;
            anyhow::Ok(lines[0][0].parse::<u64>()?)
        };
        let in_postgres = async |id| {
            let count = format!("select count(*) from {module}.notes where tenant_id = '{id}'");
            anyhow::Ok(truth::psql(&scene.stack, &count).await?[0].try_get::<i64, _>(0)?)
        };
        ensure!(in_clickhouse(gone.id).await? > 0 && in_postgres(gone.id).await? == 20);
        let events = topic::holding(CANARY).await?;
        ensure!(events.len() >= 20, "{} events", events.len());

        let erase = json!({"deletionPolicy": "Delete"});
        kubectl::apply(&scene.tenant_resource(&gone.name, gone.id, erase)).await?;
        kubectl::succeed(&["delete", "tn", &gone.name, ERASED_MAX], None).await?;
        ensure!(in_clickhouse(gone.id).await? == 0 && in_postgres(gone.id).await? == 0);
        for path in [path.as_str(), key] {
            let status = gone.api.get(path).await?.status;
            ensure!([401, 403, 404].contains(&status), "{path}: {status}");
        }

        // Kafka still has them, and somebody sends them all again.
        let before: Vec<_> = events.iter().map(|e| (e.partition(), e.offset())).collect();
        topic::replay(events).await?;
        let again = topic::holding(CANARY).await?;
        ensure!(again.len() >= 2 * before.len(), "{} events", again.len());
        // What is written after them shows, so the sink has passed them.
        stays
            .api
            .post(&path, &json!({"text": "after"}))
            .await?
            .expect(201)?;
        synced().await?;
        ensure!(
            in_clickhouse(gone.id).await? == 0,
            "late events brought rows back"
        );
        let everywhere =
            format!("select count() from {table} where position(text, '{CANARY}') > 0");
        ensure!(truth::clickhouse(&scene.stack, &everywhere).await? == [["0"]]);
        let count = json!({"model": "notes", "aggregate": "count"});
        let counted = stays.api.analytics(module, &count).await?;
        ensure!(counted.first("count") == Some("21"), "{:?}", counted.data);
        Ok(())
    })
    .await
}
