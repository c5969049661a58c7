//! Databases that do not answer, and Secrets that do not open them.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use e2e::{Scene, kubectl, scene::Turn};
use serde_json::{Value, json};

use super::{page::Section, says};

pub const SECTION: &str = "DataPlanes";

const PLACE: [&str; 2] = ["dp", "default"];

/// A Secret of the stack's DataPlane, and its URL.
async fn secret(name: &str) -> Result<(Value, url::Url)> {
    let secret = kubectl::get(&["secret", name, "-n", "septem-system"]).await?;
    let url = secret["data"]["url"].as_str().context("key url")?;
    let url = String::from_utf8(STANDARD.decode(url)?)?;
    let kept = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": "septem-system"}, "data": secret["data"]});
    Ok((kept, url.trim().parse()?))
}

async fn replace(secret: &Value) -> Result<()> {
    let secret = secret.to_string();
    kubectl::succeed(&["replace", "-f", "-"], Some(&secret)).await?;
    Ok(())
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_says_where_to_look() -> Result<()> {
    Scene::play(Turn::Alone, async |scene| {
        let mut page = Section::read(SECTION)?;
        let (owner, url) = secret("postgres-owner").await?;
        let (app, _) = secret("postgres-app").await?;
        let with_url = |url: &url::Url| {
            let mut wrong = owner.clone();
            wrong["data"]["url"] = json!(STANDARD.encode(url.as_str()));
            wrong
        };
        let told = async {
            let mut closed = url.clone();
            closed.set_port(Some(1)).ok().context("a port")?;
            replace(&with_url(&closed)).await?;
            says(scene, &mut page, "a database that does not answer", &PLACE).await?;
            replace(&owner).await?;
            kubectl::wait(&PLACE, "Ready").await?;

            let mut stranger = url.clone();
            stranger
                .set_password(Some("wrong"))
                .ok()
                .context("a password")?;
            replace(&with_url(&stranger)).await?;
            says(scene, &mut page, "a Secret with a wrong password", &PLACE).await?;
            replace(&owner).await?;
            kubectl::wait(&PLACE, "Ready").await?;

            let mut wrong = app.clone();
            wrong["data"] = json!({"uri": app["data"]["url"]});
            replace(&wrong).await?;
            says(scene, &mut page, "a Secret with another key", &PLACE).await?;
            page.end()
        };
        let told = told.await;
        replace(&owner).await?;
        replace(&app).await?;
        kubectl::wait(&PLACE, "Ready").await?;
        told
    })
    .await
}
