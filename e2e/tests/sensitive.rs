//! Fields that are marked sensitive, on the running stack: for whom they are there.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{
    Api, Scene,
    scene::{Tenant, Turn},
    truth, wait,
};
use serde_json::{Value, json};

const CANARY: u32 = 731_942;
const READER: &str = "eve";
/// Until a role that was given counts: the life of a cached set, and time to spare.
const GRANTED_MAX: Duration = Duration::from_secs(90);

/// A user who may do all of this module but see what is sensitive.
async fn reader(scene: &Scene, tenant: &Tenant) -> Result<Api> {
    let (id, module) = (tenant.id, &scene.module);
    let role = uuid::Uuid::now_v7();
    for statement in [
        format!("insert into platform.roles values ('{id}', '{role}', 'reader')"),
        format!(
            "insert into platform.role_permissions select '{id}', '{role}', concat_ws('.', module, model, action) \
             from platform.permissions where module = '{module}' and action <> 'sensitive'"
        ),
        format!("insert into platform.user_roles values ('{id}', '{READER}', '{role}')"),
    ] {
        truth::psql(&scene.stack, &statement).await?;
    }
    Api::new(&scene.stack, id, READER)
}

#[tokio::test]
async fn sensitive_fields_are_there_for_those_who_may_see_them() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let spec = |sensitive: bool| {
            json!({"fields": [
                {"name": "name", "type": "text"},
                {"name": "salary", "type": "int32", "sensitive": sensitive},
            ]})
        };
        scene.apply_model("people", spec(true)).await?;
        let tenant = scene.tenant("acme").await?;
        let admin = &tenant.api;
        let eve = reader(scene, &tenant).await?;
        let (people, module) = (scene.path("people"), &scene.module);
        let person = json!({"name": "Ada", "salary": CANARY});
        let shown = admin.post(&people, &person).await?.expect(201)?.json()?;
        ensure!(shown["data"]["salary"] == CANARY);
        let may_read = async || {
            let status = eve.get(&people).await?.status;
            Ok((status == 200).then_some(()))
        };
        wait::until("the role to count", GRANTED_MAX, may_read).await?;
        admin
            .synced(module, "people", Duration::from_secs(30))
            .await?;

        let sum = json!({"model": "people", "aggregate": "sum", "field": "salary"});
        let grouped = json!({"model": "people", "aggregate": "count", "groupBy": "salary"});
        let filtered =
            json!({"model": "people", "aggregate": "count", "filters": {"salary": {"gt": 1}}});
        let analytics = format!("/v1/data/{module}/analytics");
        let seen = admin.analytics(module, &sum).await?;
        ensure!(
            seen.first("sum") == Some(&CANARY.to_string()),
            "{:?}",
            seen.data
        );
        for query in [&sum, &grouped, &filtered] {
            let refused = eve.post(&analytics, query).await?.expect(400)?;
            ensure!(!refused.contains(&CANARY.to_string()), "{}", refused.text());
        }
        let everybody = json!({"model": "people", "aggregate": "count"});
        ensure!(eve.analytics(module, &everybody).await?.first("count") == Some("1"));

        let described = format!("/v1/schema/{module}/people");
        for path in [&people, &described] {
            let hidden = eve.get(path).await?.expect(200)?.text();
            ensure!(
                !hidden.contains("salary") && !hidden.contains("sensitive"),
                "{path}: {hidden}"
            );
            let shown = admin.get(path).await?.expect(200)?;
            ensure!(shown.contains("salary"), "{path}: {}", shown.text());
        }
        // The document has it in bodies that write, and nowhere else.
        let document = eve.get("/v1/openapi.json").await?.expect(200)?.json()?;
        let schemas = document["components"]["schemas"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let names = schemas
            .iter()
            .filter(|(name, _)| name.starts_with(module.as_str()));
        let with_salary: Vec<_> = names
            .filter(|(_, schema)| schema.to_string().contains("\"salary\""))
            .map(|(name, _)| name.trim_start_matches(&**module))
            .collect();
        ensure!(
            !with_salary.is_empty()
                && with_salary.iter().all(|n| n.contains(".create")
                    || n.contains(".change")
                    || n.contains(".upsert")
                    || n.contains("batch")),
            "{with_salary:?}"
        );
        let parameters = document["components"]["parameters"].to_string();
        ensure!(!parameters.contains(&format!("{module}.people.where.salary")));

        // What is not sensitive any more is there with the next revision; and the other way round.
        let sees = async |expected: bool| {
            let look = async || {
                let text = eve.get(&people).await?.expect(200)?.text();
                Ok((text.contains("salary") == expected).then_some(()))
            };
            wait::until("the field", Duration::from_secs(30), look).await
        };
        scene.apply_model("people", spec(false)).await?;
        sees(true).await?;
        scene.apply_model("people", spec(true)).await?;
        sees(false).await?;
        let unchanged = admin.get(&people).await?.expect(200)?.json()?;
        ensure!(unchanged["data"][0]["version"] == 1 && unchanged["data"][0]["salary"] == CANARY);
        let none: Value = eve
            .get(&format!("{people}?salary=gt.1"))
            .await?
            .expect(400)?
            .json()?;
        ensure!(none["errors"][0]["code"] == "UNKNOWN_FIELD", "{none}");
        Ok(())
    })
    .await
}
