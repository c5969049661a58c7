//! Install, upgrade, uninstall.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use e2e::{Scene, helm, kubectl, scene::Turn};
use serde_json::Value;

use super::installed;

/// Every object of the release as the API server has it, by kind and name, without what a mere look could change.
async fn objects(namespace: &str) -> Result<BTreeMap<String, Value>> {
    let manifest = helm::succeed(&["get", "manifest", "t", "-n", namespace]).await?;
    let list = kubectl::succeed(&["get", "-o", "json", "-f", "-"], Some(&manifest)).await?;
    let mut list: Value = serde_json::from_str(&list)?;
    let items = list["items"].as_array_mut().context("no items")?;
    let named = items.iter_mut().map(|object| {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        object["status"].take();
        for volatile in ["managedFields", "resourceVersion"] {
            object["metadata"][volatile].take();
        }
        (name, object.take())
    });
    Ok(named.collect())
}

#[tokio::test]
async fn an_upgrade_changes_what_was_asked_and_an_uninstall_leaves_nothing() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let namespace = &scene.module;
        let roles = format!("rbac.namespaces={{{namespace}}}");
        let mut last = BTreeMap::new();
        installed(scene, &["--set", &roles], async || {
            let first = objects(namespace).await?;
            ensure!(first.len() > 15, "{:?}", first.keys());
            let upgrade = ["upgrade", "t", helm::CHART, "-n", namespace, "--reuse-values"];
            helm::succeed(&upgrade).await?;
            let second = objects(namespace).await?;
            for (name, object) in &first {
                ensure!(second.get(name) == Some(object), "{name} was changed by an upgrade to the same");
            }
            ensure!(first.len() == second.len(), "the upgrade made or removed an object");

            helm::succeed(&[&upgrade[..], &["--set", "proxy.replicas=3"]].concat()).await?;
            let third = objects(namespace).await?;
            let changed: Vec<_> = third.iter().filter(|(name, object)| second.get(*name) != Some(object)).collect();
            ensure!(
                changed.len() == 1 && changed[0].0 == "\"Deployment\" \"t-septem-data-proxy\"",
                "{changed:?}"
            );
            last = third;
            Ok(())
        })
        .await?;
        // By the names that were there, cluster-wide ones included.
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": last.values().collect::<Vec<_>>()});
        let get = ["get", "--ignore-not-found", "-o", "name", "-f", "-"];
        let left = kubectl::succeed(&get, Some(&list.to_string())).await?;
        ensure!(left.is_empty(), "left behind: {left}");
        Ok(())
    })
    .await
}
