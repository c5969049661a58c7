//! The operator itself, run with the chart's account in namespaced mode. It has a class of its own and a DataPlane
//! whose Secrets do not exist, so it reaches no database.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use e2e::{Scene, kubectl, scene::Turn, wait};
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use super::{account, installed};

/// Statuses are left alone for half a minute after a start.
const SAID_MAX: Duration = Duration::from_secs(60);

fn resource(kind: &str, scene: &Scene, namespace: Option<&str>, spec: Value) -> Value {
    let labels = json!({"data.septemcore.com/operator": scene.module});
    let mut metadata = json!({"name": scene.module, "labels": labels});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({"apiVersion": "data.septemcore.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn data_plane(namespace: &str) -> Value {
    let secret = |name: &str| json!({"name": name});
    json!({
        "secretNamespace": namespace,
        "postgres": {
            "ownerSecretRef": secret("postgres-owner"), "appSecretRef": secret("postgres-app"),
            "cdcSecretRef": secret("postgres-cdc"), "sinkSecretRef": secret("postgres-sink"),
        },
        "clickhouse": {
            "adminSecretRef": secret("clickhouse-admin"), "gatewaySecretRef": secret("clickhouse-gateway"),
            "sinkSecretRef": secret("clickhouse-sink"),
        },
        "kafka": {"secretRef": secret("kafka")},
        "connect": {"secretRef": secret("connect")},
        "valkey": {"secretRef": secret("valkey")},
    })
}

/// The binary that the stack runs, as another process.
fn start(
    scene: &Scene,
    kubeconfig: &std::path::Path,
    log: std::fs::File,
) -> Result<tokio::process::Child> {
    let pid = std::fs::read_to_string(scene.stack.root.join(".stack/run/operator.pid"))
        .context("the stack's operator does not run")?;
    Command::new(format!("/proc/{}/exe", pid.trim()))
        .env("KUBECONFIG", kubeconfig)
        .env("SEPTEM_OPERATOR_CLASS", &scene.module)
        .env("SEPTEM_OPERATOR_DATA_PLANES", &scene.module)
        .env("SEPTEM_OPERATOR_NAMESPACES", &scene.module)
        .env("SEPTEM_OPERATOR_LEASE_NAMESPACE", &scene.module)
        .env("SEPTEM_OPERATOR_LEASE", "t-septem-data-operator")
        .env("SEPTEM_OPERATOR_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("a second operator")
}

/// Waits for the reason of `Ready`.
async fn said(place: &[&str], reason: &str) -> Result<()> {
    wait::until(&format!("{reason} of {place:?}"), SAID_MAX, async || {
        let (_, found, _) = kubectl::condition(place, "Ready").await?;
        Ok((found == reason).then_some(()))
    })
    .await
}

async fn story(scene: &Scene, elsewhere: &str) -> Result<()> {
    let account = account(scene).await?;
    let log = tempfile::NamedTempFile::new()?;
    let _operator = start(scene, account.path(), log.reopen()?)?;
    let (name, ours) = (&*scene.module, &*scene.module);
    let model =
        json!({"module": name, "model": "things", "fields": [{"name": "a", "type": "text"}]});
    for resource in [
        resource("DataPlane", scene, None, data_plane(ours)),
        resource(
            "Tenant",
            scene,
            None,
            json!({"tenantId": Uuid::now_v7(), "slug": name}),
        ),
        resource("ModuleModel", scene, Some(ours), model.clone()),
        resource("ModuleModel", scene, Some(elsewhere), model),
    ] {
        kubectl::apply(&resource).await?;
    }
    // It has tried to read a Secret, and has written a status and an Event of each kind.
    said(&["dp", name], "CredentialsMissing").await?;
    said(&["tn", name], "DataPlaneNotReady").await?;
    said(&["mm", name, "-n", ours], "DataPlaneNotReady").await?;
    for (kind, namespace) in [
        ("DataPlane", "default"),
        ("Tenant", "default"),
        ("ModuleModel", ours),
    ] {
        let selector = format!("involvedObject.kind={kind},involvedObject.name={name}");
        wait::until(&format!("an Event of {kind}"), SAID_MAX, async || {
            let get = [
                "get",
                "events",
                "-n",
                namespace,
                "-o",
                "name",
                "--field-selector",
                &selector,
            ];
            let found = kubectl::succeed(&get, None).await?;
            Ok((!found.is_empty()).then_some(()))
        })
        .await?;
    }

    // It asks for nothing that it may not have: everything above went by without a refusal, a watch among it.
    let text = std::fs::read_to_string(log.path())?;
    let refused: Vec<_> = text
        .lines()
        .filter(|line| line.contains("forbidden") || line.contains("watch interrupted"))
        .collect();
    ensure!(refused.is_empty(), "held back: {refused:?}");
    // In a namespace that is not listed it sees nothing.
    let outside = kubectl::get(&["mm", name, "-n", elsewhere]).await?;
    ensure!(outside["status"].is_null(), "{}", outside["status"]);
    ensure!(
        outside["metadata"]["finalizers"].is_null(),
        "{}",
        outside["metadata"]
    );
    Ok(())
}

#[tokio::test]
async fn the_operator_works_with_its_account_and_is_held_to_its_namespaces() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let (name, elsewhere) = (&*scene.module, format!("{}-elsewhere", scene.module));
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere}});
        kubectl::apply(&namespace).await?;
        let roles = format!("rbac.namespaces={{{name}}}");
        let told = installed(scene, &["--set", &roles], async || {
            story(scene, &elsewhere).await
        })
        .await;
        // Gone before the next test looks, which their namespaces are not.
        for place in [
            &["tn", name][..],
            &["dp", name],
            &["mm", name, "-n", name],
            &["mm", name, "-n", &elsewhere],
        ] {
            kubectl::delete(place).await?;
        }
        kubectl::delete_soon(&["namespace", &elsewhere]).await?;
        told
    })
    .await
}
