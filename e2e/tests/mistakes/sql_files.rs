//! SQL files of a module.

use anyhow::Result;
use e2e::{Scene, kubectl, scene::Turn};
use serde_json::json;

use super::{fields, page::Section, says, with};

pub const SECTION: &str = "SQL files";

#[tokio::test]
async fn a_file_that_is_missing_or_changed_says_what_to_do() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let mut page = Section::read(SECTION)?;
        let config_map = format!("{}-sql", scene.module);
        let map = |file: &str, sql: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": config_map, "namespace": scene.module},
                   "data": {file: format!("-- +goose Up\n{sql};\n")}})
        };
        let files = json!({"migrations": {"files": [{"configMapRef": {"name": config_map}}]}});
        let name = scene.resource_name("deals");
        let deals = ["mm", &name, "-n", &scene.module];

        kubectl::apply(&scene.model("deals", with(fields(&[]), files))).await?;
        says(scene, &mut page, "a ConfigMap that does not exist", &deals).await?;
        let numbers = map("20260101_080000_numbers.sql", "create sequence numbers");
        kubectl::apply(&numbers).await?;
        scene.wait_model("deals", "Ready").await?;

        let changed = map("20260101_080000_numbers.sql", "create sequence numbers start 100");
        kubectl::apply(&changed).await?;
        says(scene, &mut page, "a file is changed after it ran", &deals).await?;
        kubectl::apply(&numbers).await?;
        scene.wait_model("deals", "Ready").await?;

        let renamed = map("numbers.sql", "create sequence numbers");
        kubectl::succeed(&["replace", "-f", "-"], Some(&renamed.to_string())).await?;
        says(scene, &mut page, "a file whose name has no version", &deals).await?;
        kubectl::succeed(&["replace", "-f", "-"], Some(&numbers.to_string())).await?;
        scene.wait_model("deals", "Ready").await?;
        page.end()
    })
    .await
}
