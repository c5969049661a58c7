//! What a deletion does to records that refer to the record: as the spec says, from the revision on that says so.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Scene, scene::Turn, wait};
use serde_json::{Value, json};

#[tokio::test]
async fn what_a_deletion_does_is_changed_with_the_spec() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let title = json!({"name": "title", "type": "text"});
        let tasks = |on_delete: &str| {
            json!({"fields": [title, {"name": "project_id", "type": "uuid", "references":
                {"module": scene.module, "model": "projects", "onDelete": on_delete}}]})
        };
        scene
            .apply_model("projects", json!({"fields": [title]}))
            .await?;
        scene.apply_model("tasks", tasks("Restrict")).await?;
        let acme = scene.tenant("acme").await?.api;
        let globex = scene.tenant("globex").await?.api;
        let id = uuid::Uuid::now_v7();
        let mut tasks_of = Vec::new();
        // Both tenants have a project of that id.
        for api in [&acme, &globex] {
            api.post(&scene.path("projects"), &json!({"id": id}))
                .await?
                .expect(201)?;
            let task = json!({"project_id": id});
            let task = api
                .post(&scene.path("tasks"), &task)
                .await?
                .expect(201)?
                .id()?;
            tasks_of.push(format!("{}/{task}", scene.path("tasks")));
        }
        let project = format!("{}/{id}", scene.path("projects"));
        let delete = async || anyhow::Ok(acme.delete(&project).await?.status);
        ensure!(delete().await? == 409);

        scene.apply_model("tasks", tasks("Cascade")).await?;
        let cascades = async || Ok((delete().await? == 204).then_some(()));
        wait::until("the deletion of both", Duration::from_secs(30), cascades).await?;
        ensure!(acme.get(&tasks_of[0]).await?.status == 404);
        acme.post(&format!("{project}/restore"), &Value::Null)
            .await?
            .expect(200)?;
        acme.get(&tasks_of[0]).await?.expect(200)?;

        scene.apply_model("tasks", tasks("SetNull")).await?;
        let cleared = async || {
            acme.delete(&project).await?.expect(204)?;
            let task = acme.get(&tasks_of[0]).await?;
            if task.status == 200 && task.json()?["data"]["project_id"].is_null() {
                return Ok(Some(()));
            }
            acme.post(&format!("{project}/restore"), &Value::Null)
                .await?
                .expect(200)?;
            Ok(None)
        };
        wait::until(
            "the reference to be cleared",
            Duration::from_secs(30),
            cleared,
        )
        .await?;
        // The other tenant has seen none of it.
        let others = globex.get(&tasks_of[1]).await?.expect(200)?.json()?;
        ensure!(others["data"]["project_id"] == json!(id) && others["data"]["version"] == 1);
        globex.get(&project).await?.expect(200)?;
        Ok(())
    })
    .await
}
