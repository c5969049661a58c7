//! The Helm chart against the stack's API server: what it renders is taken, what it installs changes nothing when
//! installed again and goes when uninstalled, and its account may do what the operator needs and no more.

mod admission;
mod alerts;
mod images;
mod install;
mod kept;
mod operator;
mod render;
mod rights;

use anyhow::{Context as _, Result};
use e2e::{Scene, helm, kubectl};
use serde_json::{Value, json};

/// Installs the chart as release `t` of the scene's namespace, tells the story, uninstalls it. The CRDs are the
/// stack's.
async fn installed(
    scene: &Scene,
    set: &[&str],
    story: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let begin = ["install", "t", helm::CHART, "-n", &scene.module];
    let values = ["-f", helm::LEAST, "--set", "crds.install=false"];
    helm::succeed(&[&begin[..], &values, set].concat()).await?;
    let told = story().await;
    let gone = helm::succeed(&["uninstall", "t", "-n", &scene.module]).await;
    told.and(gone.map(drop))
}

/// A kubeconfig with which one is the operator's ServiceAccount of release `t`, and nothing else.
async fn account(scene: &Scene) -> Result<tempfile::NamedTempFile> {
    kubeconfig_of(scene, "t-septem-data-operator").await
}

/// A kubeconfig with which one is that ServiceAccount of the scene's namespace, and nothing else.
async fn kubeconfig_of(scene: &Scene, name: &str) -> Result<tempfile::NamedTempFile> {
    let token = kubectl::succeed(&["create", "token", name, "-n", &scene.module], None).await?;
    let view = ["config", "view", "--raw", "--minify", "-o", "json"];
    let mut config: Value = serde_json::from_str(&kubectl::succeed(&view, None).await?)?;
    config["users"][0]["user"] = json!({"token": token.trim()});
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), config.to_string()).context("the account's kubeconfig")?;
    Ok(file)
}
