//! Specs that contradict themselves, or others.

use anyhow::Result;
use e2e::{Scene, kubectl, scene::Turn};
use serde_json::json;

use super::{fields, page::Section, refuses, says, with};

pub const SECTION: &str = "Specs";
pub const REFUSED: &str = "What kubectl apply refuses";

#[tokio::test]
async fn a_spec_that_cannot_be_carried_out_says_what_to_change() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let mut page = Section::read(SECTION)?;
        let name = scene.resource_name("deals");
        let deals = ["mm", &name, "-n", &scene.module];
        let amount = json!({"name": "amount", "type": "decimal", "precision": 12, "scale": 2});

        let checked = |expression: &str| {
            with(fields(std::slice::from_ref(&amount)), json!({"checks": [{"name": "positive", "expression": expression}]}))
        };
        kubectl::apply(&scene.model("deals", checked("amuont >= 0"))).await?;
        says(scene, &mut page, "a check names a field wrongly", &deals).await?;
        // The next mistake has an Event of its own, although nothing was right in between.
        kubectl::apply(&scene.model("deals", checked("amount => 0"))).await?;
        says(scene, &mut page, "a check has a typo", &deals).await?;
        scene.apply_model("deals", checked("amount >= 0")).await?;

        let second = scene.resource_name("second");
        let mut claim = scene.model("deals", checked("amount >= 0"));
        claim["metadata"]["name"] = json!(second);
        let place = ["mm", &second, "-n", &scene.module];
        kubectl::apply(&claim).await?;
        says(scene, &mut page, "two resources claim one model", &place).await?;
        kubectl::delete(&deals).await?;
        kubectl::wait(&place, "Ready").await?;

        let size = |default: &str| fields(&[json!({"name": "size", "type": "int16", "default": default})]);
        kubectl::apply(&scene.model("boxes", size("40000"))).await?;
        let name = scene.resource_name("boxes");
        let boxes = ["mm", &name, "-n", &scene.module];
        says(scene, &mut page, "a default does not fit its type", &boxes).await?;
        scene.apply_model("boxes", size("4000")).await?;

        // Two models that refer to each other are fine; one of them alone is not.
        let refers = |model: &str| {
            let reference = json!({"module": scene.module, "model": model});
            fields(&[json!({"name": format!("{model}_id"), "type": "uuid", "references": reference})])
        };
        kubectl::apply(&scene.model("orders", refers("invoices"))).await?;
        let name = scene.resource_name("orders");
        let orders = ["mm", &name, "-n", &scene.module];
        says(scene, &mut page, "a reference leads nowhere, as of two models that refer to each other while one is not applied", &orders).await?;
        scene.apply_model("invoices", refers("orders")).await?;
        scene.wait_model("orders", "Ready").await?;

        let plain = fields(&[]);
        scene.apply_model("shelves", with(plain, json!({"softDelete": false}))).await?;
        let books = |more| {
            let reference = json!({"module": scene.module, "model": "shelves", "onDelete": "Cascade"});
            with(fields(&[json!({"name": "shelf_id", "type": "uuid", "references": reference})]), more)
        };
        kubectl::apply(&scene.model("books", books(json!({})))).await?;
        let name = scene.resource_name("books");
        let place = ["mm", &name, "-n", &scene.module];
        says(scene, &mut page, "what is kept goes with what is not", &place).await?;
        scene.apply_model("books", books(json!({"softDelete": false}))).await?;

        let placed = |plane: &str| scene.model("parcels", with(fields(&[]), json!({"dataPlaneRefs": [plane]})));
        kubectl::apply(&placed("defualt")).await?;
        let name = scene.resource_name("parcels");
        let parcels = ["mm", &name, "-n", &scene.module];
        says(scene, &mut page, "a DataPlane that does not exist", &parcels).await?;
        kubectl::delete(&parcels).await?;
        kubectl::apply(&placed("default")).await?;
        kubectl::wait(&parcels, "Ready").await?;
        page.end()
    })
    .await
}

#[tokio::test]
async fn a_spec_that_the_api_server_refuses_is_refused_with_a_place() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let mut page = Section::read(REFUSED)?;
        scene.apply_model("deals", fields(&[])).await?;
        let mut moved = scene.model("deals", fields(&[]));
        moved["spec"]["model"] = json!("offers");
        refuses(scene, &mut page, "an immutable field is changed", &moved).await?;
        let unknown =
            |type_: &str| scene.model("deals", fields(&[json!({"name": "amount", "type": type_})]));
        refuses(
            scene,
            &mut page,
            "a type that does not exist",
            &unknown("money"),
        )
        .await?;
        let twice = fields(&[json!({"name": "title", "type": "text"})]);
        refuses(
            scene,
            &mut page,
            "a field twice",
            &scene.model("deals", twice),
        )
        .await?;
        let system = fields(&[json!({"name": "version", "type": "int32"})]);
        refuses(
            scene,
            &mut page,
            "a name that is taken by the platform",
            &scene.model("deals", system),
        )
        .await?;
        let values = fields(&[json!({"name": "stage", "type": "enum"})]);
        refuses(
            scene,
            &mut page,
            "an enum without values",
            &scene.model("deals", values),
        )
        .await?;
        let delete = with(fields(&[]), json!({"deletionPolicy": "Delete"}));
        refuses(
            scene,
            &mut page,
            "data may be deleted and not lost",
            &scene.model("deals", delete),
        )
        .await?;
        page.end()?;
        // The new value is fine in a resource of its own.
        moved["metadata"]["name"] = json!(scene.resource_name("offers"));
        kubectl::apply(&moved).await?;
        scene.wait_model("offers", "Ready").await
    })
    .await
}
