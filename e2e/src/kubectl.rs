//! Resources through `kubectl`, as people apply them.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

/// Past every `--timeout` below: a kubectl that hangs is killed.
const COMMAND_MAX: Duration = Duration::from_secs(150);

async fn run(args: &[&str], input: Option<&str>) -> Result<Output> {
    let mut child = Command::new("kubectl")
        .args(args)
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("kubectl (load .stack/env: it puts kubectl on the PATH)")?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin
            .write_all(text.as_bytes())
            .await
            .context("kubectl's standard input")?;
    }
    let done = timeout(COMMAND_MAX, child.wait_with_output()).await;
    done.with_context(|| format!("kubectl {} did not end", args.join(" ")))?
        .context("kubectl")
}

async fn succeed(args: &[&str], input: Option<&str>) -> Result<String> {
    let output = run(args, input).await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "kubectl {}: {}",
        args.join(" "),
        errors.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `kubectl apply -f -` of one resource.
pub async fn apply(resource: &Value) -> Result<()> {
    succeed(&["apply", "-f", "-"], Some(&resource.to_string()))
        .await
        .map(drop)
}

/// Applies a resource that the API server must refuse; what it said.
pub async fn apply_refused(resource: &Value) -> Result<String> {
    let output = run(&["apply", "-f", "-"], Some(&resource.to_string())).await?;
    ensure!(
        !output.status.success(),
        "the API server took what it must refuse: {resource}"
    );
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
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
