//! `softDelete: false`, there and back, on the running stack.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Scene, kubectl, scene::Turn, truth, wait};
use serde_json::{Value, json};
use sqlx::Row as _;

#[tokio::test]
async fn deleted_records_are_kept_or_not_as_the_spec_says() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let module = &scene.module;
        let spec = |keeps: bool| {
            json!({"fields": [{"name": "text", "type": "text"}], "softDelete": keeps})
        };
        scene.apply_model("notes", spec(true)).await?;
        let acme = scene.tenant("acme").await?.api;
        let path = scene.path("notes");
        let write = async || acme.post(&path, &json!({"text": "x"})).await?.expect(201)?.id();
        let one = async |query: &str| {
            let rows = truth::psql(&scene.stack, query).await?;
            anyhow::Ok(rows[0].try_get::<i64, _>(0)?)
        };
        let rows = format!("select count(*) from {module}.notes");
        let privilege = format!("select has_table_privilege('septem_app', '{module}.notes', 'delete')::int::bigint");
        let deletes_a_row = async || {
            let (note, before) = (write().await?, one(&rows).await?);
            acme.delete(&format!("{path}/{note}")).await?.expect(204)?;
            anyhow::Ok((note, one(&rows).await? < before))
        };
        let fence = async || {
            let name = scene.resource_name("notes");
            let place = ["mm", &name, "-n", module];
            let (status, _, message) = kubectl::condition(&place, "IsolationEnforced").await?;
            ensure!(status == "True", "{message}");
            anyhow::Ok(())
        };
        let kept = deletes_a_row().await?;
        ensure!(!kept.1 && one(&privilege).await? == 0);

        scene.apply_model("notes", spec(false)).await?;
        ensure!(one(&privilege).await? == 1);
        fence().await?;
        let removes = async || Ok(deletes_a_row().await?.1.then_some(()));
        wait::until("a row to be removed", Duration::from_secs(30), removes).await?;
        for asked in [format!("{path}?deleted=include"), format!("{path}?deleted=only")] {
            acme.get(&asked).await?.expect(400)?;
        }
        let restore = format!("{path}/{}/restore", kept.0);
        acme.post(&restore, &Value::Null).await?.expect(400)?;
        // Analytics follow: of all that was written only this is left.
        write().await?;
        acme.synced(module, "notes", Duration::from_secs(60)).await?;
        let count = json!({"model": "notes", "aggregate": "count"});
        let counted = acme.analytics(module, &count).await?;
        ensure!(counted.first("count") == Some("1"), "{:?}", counted.data);

        scene.apply_model("notes", spec(true)).await?;
        fence().await?;
        let revoked = async || Ok((one(&privilege).await? == 0).then_some(()));
        wait::until("the privilege to be taken back", Duration::from_secs(30), revoked).await?;
        let (note, removed) = deletes_a_row().await?;
        ensure!(!removed);
        for deleted in [kept.0, note] {
            let restore = format!("{path}/{deleted}/restore");
            acme.post(&restore, &Value::Null).await?.expect(200)?;
        }
        Ok(())
    })
    .await
}
