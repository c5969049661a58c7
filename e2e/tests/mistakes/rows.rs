//! Changes that stand against the rows that are there.

use anyhow::Result;
use e2e::{Scene, kubectl, scene::Turn};
use serde_json::{Value, json};

use super::{fields, page::Section, says, with};

pub const SECTION: &str = "Changes of a model with rows";

#[tokio::test]
async fn a_change_that_rows_stand_against_says_what_to_do() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let mut page = Section::read(SECTION)?;
        let api = scene.tenant("acme").await?.api;
        let due = json!({"name": "due", "type": "date"});
        let amount = json!({"name": "amount", "type": "int32"});
        let both = || fields(&[due.clone(), amount.clone()]);
        let row = json!({"title": "a", "due": "2026-01-31", "amount": -5});
        // Each mistake has a model of its own, so that its Events are its own.
        let made = async |model: &str| {
            scene.apply_model(model, both()).await?;
            api.post(&scene.path(model), &row).await?.expect(201)?.id()
        };
        let name = |model: &str| scene.resource_name(model);
        let apply =
            async |model: &str, spec: Value| kubectl::apply(&scene.model(model, spec)).await;

        made("deals").await?;
        apply(
            "deals",
            fields(&[json!({"name": "due", "type": "bool"}), amount.clone()]),
        )
        .await?;
        let place = ["mm", &name("deals"), "-n", &scene.module];
        says(
            scene,
            &mut page,
            "a type that the values cannot have",
            &place,
        )
        .await?;
        let overdue = json!({"name": "overdue", "type": "bool"});
        scene
            .apply_model("deals", fields(&[due.clone(), amount.clone(), overdue]))
            .await?;

        made("offers").await?;
        let narrow = json!({"name": "amount", "type": "int16"});
        apply("offers", fields(&[due.clone(), narrow])).await?;
        let place = ["mm", &name("offers"), "-n", &scene.module];
        says(scene, &mut page, "a type that holds less", &place).await?;
        scene.apply_model("offers", both()).await?;

        made("orders").await?;
        apply("orders", fields(std::slice::from_ref(&due))).await?;
        let place = ["mm", &name("orders"), "-n", &scene.module];
        says(
            scene,
            &mut page,
            "a field is dropped, or renamed, without a word",
            &place,
        )
        .await?;
        let dropped = json!({"migrations": {"policy": {"allowDrop": ["amount"]}}});
        scene
            .apply_model("orders", with(fields(std::slice::from_ref(&due)), dropped))
            .await?;

        made("parcels").await?;
        let required = |more: Value| {
            fields(&[
                due.clone(),
                amount.clone(),
                with(
                    json!({"name": "size", "type": "int32", "required": true}),
                    more,
                ),
            ])
        };
        apply("parcels", required(json!({}))).await?;
        let place = ["mm", &name("parcels"), "-n", &scene.module];
        says(
            scene,
            &mut page,
            "a required field that older rows do not have",
            &place,
        )
        .await?;
        scene
            .apply_model("parcels", required(json!({"default": "1"})))
            .await?;

        let id = made("bills").await?;
        let checked = |more: Value| {
            with(
                both(),
                with(
                    json!({"checks": [{"name": "positive", "expression": "amount >= 0"}]}),
                    more,
                ),
            )
        };
        apply("bills", checked(json!({}))).await?;
        let place = ["mm", &name("bills"), "-n", &scene.module];
        says(scene, &mut page, "a check that rows do not fulfil", &place).await?;
        let bill = format!("{}/{id}", scene.path("bills"));
        api.patch(&bill, &json!({"amount": 5})).await?.expect(200)?;
        scene
            .apply_model("bills", checked(json!({"limits": {"maxPageSize": 500}})))
            .await?;

        made("seats").await?;
        let second = api
            .post(&scene.path("seats"), &row)
            .await?
            .expect(201)?
            .id()?;
        let unique = |more: Value| {
            with(
                both(),
                with(
                    json!({"unique": [{"name": "one_title", "fields": ["title"]}]}),
                    more,
                ),
            )
        };
        apply("seats", unique(json!({}))).await?;
        let place = ["mm", &name("seats"), "-n", &scene.module];
        says(scene, &mut page, "a unique that rows do not fulfil", &place).await?;
        api.delete(&format!("{}/{second}", scene.path("seats")))
            .await?
            .expect(204)?;
        scene
            .apply_model("seats", unique(json!({"limits": {"maxPageSize": 500}})))
            .await?;
        page.end()
    })
    .await
}
