//! Resources through `kubectl`, as people apply them.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::command;

/// Runs kubectl, which must succeed: its standard output.
pub async fn succeed(args: &[&str], input: Option<&str>) -> Result<String> {
    command::succeed("kubectl", args, input).await
}

/// `kubectl apply -f -` of one resource.
pub async fn apply(resource: &Value) -> Result<()> {
    succeed(&["apply", "-f", "-"], Some(&resource.to_string()))
        .await
        .map(drop)
}

/// Applies a resource that the API server must refuse; what it said.
pub async fn apply_refused(resource: &Value) -> Result<String> {
    command::fail(
        "kubectl",
        &["apply", "-f", "-"],
        Some(&resource.to_string()),
    )
    .await
}

/// The resource as JSON; `place` is such as `["mm", "name", "-n", "namespace"]`.
pub async fn get(place: &[&str]) -> Result<Value> {
    let text = succeed(&[&["get", "-o", "json"], place].concat(), None).await?;
    serde_json::from_str(&text).context("kubectl get -o json")
}

/// Waits for a condition, such as `Ready` or `Accepted=False`, for at most 90 s. `kubectl wait` itself leaves
/// conditions of an older generation out of account.
pub async fn wait(place: &[&str], condition: &str) -> Result<()> {
    let condition = format!("--for=condition={condition}");
    let waited = succeed(
        &[&["wait", &condition, "--timeout=90s"], place].concat(),
        None,
    )
    .await;
    let Err(error) = waited else { return Ok(()) };
    let seen = match get(place).await {
        Ok(resource) => resource["status"].to_string(),
        Err(error) => format!("{error:#}"),
    };
    bail!("{error:#}; status: {seen}")
}

/// The condition of that type: `(status, reason, message)`.
pub async fn condition(place: &[&str], condition_type: &str) -> Result<(String, String, String)> {
    let resource = get(place).await?;
    let conditions = resource["status"]["conditions"]
        .as_array()
        .context("no conditions")?;
    let found = conditions.iter().find(|c| c["type"] == condition_type);
    let found = found
        .with_context(|| format!("no condition {condition_type} in {}", resource["status"]))?;
    let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), text("reason"), text("message")))
}

/// Deletes and waits until the resource is gone, finalizers included, for at most 60 s. Gone already is fine.
pub async fn delete(place: &[&str]) -> Result<()> {
    succeed(
        &[&["delete", "--ignore-not-found", "--timeout=60s"], place].concat(),
        None,
    )
    .await
    .map(drop)
}

/// Deletes without waiting for the end.
pub async fn delete_soon(place: &[&str]) -> Result<()> {
    succeed(
        &[&["delete", "--ignore-not-found", "--wait=false"], place].concat(),
        None,
    )
    .await
    .map(drop)
}
