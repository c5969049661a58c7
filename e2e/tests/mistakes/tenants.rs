//! Tenants.

use anyhow::Result;
use e2e::{Scene, kubectl, scene::Turn};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{fields, page::Section, says};

pub const SECTION: &str = "Tenants";

#[tokio::test]
async fn a_tenant_that_is_wrong_says_what_to_change() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let mut page = Section::read(SECTION)?;
        scene.apply_model("deals", fields(&[])).await?;
        let acme = scene.tenant("acme").await?;
        let name = format!("{}-globex", scene.module);
        let place = ["tn", &*name];
        let globex = |id: Uuid, more: Value| scene.tenant_resource(&name, id, more);
        let told = async {
            let typo = format!("{}_sales", scene.module);
            let id = Uuid::now_v7();
            kubectl::apply(&globex(id, json!({"modules": [scene.module, typo]}))).await?;
            says(scene, &mut page, "a module that nobody has applied", &place).await?;
            kubectl::apply(&globex(id, json!({}))).await?;
            kubectl::wait(&place, "ModulesServed").await?;
            kubectl::delete(&place).await?;

            kubectl::apply(&globex(acme.id, json!({}))).await?;
            let row = page.take("an id that another Tenant has")?;
            page.put("an id that another Tenant has", row.with_id(acme.id));
            says(scene, &mut page, "an id that another Tenant has", &place).await?;
            kubectl::delete(&place).await?;
            kubectl::apply(&globex(Uuid::now_v7(), json!({"slug": acme.name}))).await?;
            says(scene, &mut page, "a slug that another Tenant has", &place).await?;
            kubectl::delete(&place).await?;

            kubectl::apply(&globex(id, json!({"dataPlaneRef": "defualt"}))).await?;
            says(scene, &mut page, "a DataPlane that does not exist", &place).await?;
            kubectl::delete(&place).await?;
            kubectl::apply(&globex(id, json!({}))).await?;
            kubectl::wait(&place, "Ready").await?;
            page.end()
        };
        let told = told.await;
        kubectl::delete(&place).await?;
        told
    })
    .await
}
