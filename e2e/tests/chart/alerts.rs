//! Alerts and panels are about metrics that exist, in the part that they name.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use e2e::helm;

/// Names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| ["septem_", "operator_"].iter().any(|p| word.starts_with(p)))
        .collect()
}

/// What a part of the stack tells now: names as samples have them, counters with `_total`.
async fn told(variable: &str) -> Result<String> {
    let url = std::env::var(variable).with_context(|| format!("{variable} is not set"))?;
    let answer = reqwest::get(format!("{url}/metrics"))
        .await?
        .error_for_status()?;
    Ok(answer.text().await?)
}

#[tokio::test]
async fn every_metric_of_an_alert_or_a_panel_is_told_by_its_part() -> Result<()> {
    // reqwest is built without a default provider, so that every crate of the workspace shares one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let documents = helm::template("somewhere", &["-f", helm::EVERYTHING]).await?;
    let of = |kind: &str, part: &str| {
        let found = documents
            .iter()
            .find(|d| helm::kind(d) == Some(kind) && d.contains(part));
        found.with_context(|| format!("no {kind}"))
    };
    let rules = of("PrometheusRule", "alert:")?;
    let panels = of("ConfigMap", "septem-data.json")?;
    let (_, dashboard) = panels
        .split_once("septem-data.json: |-")
        .context("no dashboard")?;
    let dashboard: serde_json::Value = serde_json::from_str(dashboard)?;
    ensure!(
        dashboard["panels"]
            .as_array()
            .is_some_and(|p| p.len() >= 10)
    );
    // What counts by label is there from the first request on.
    let url = std::env::var("SEPTEM_URL").context("SEPTEM_URL is not set")?;
    reqwest::get(format!("{url}/v1/schema")).await?;
    let parts = [
        ("operator_", "SEPTEM_OPERATOR_ADMIN_URL"),
        ("septem_proxy_", "SEPTEM_ADMIN_URL"),
        ("septem_sink_hook_", "SEPTEM_HOOKS_ADMIN_URL"),
        ("septem_sink_", "SEPTEM_SINK_ADMIN_URL"),
    ];
    let mut seen = 0;
    for metric in metrics(rules).union(&metrics(panels)).copied() {
        let (_, variable) = parts
            .iter()
            .find(|(prefix, _)| metric.starts_with(prefix))
            .with_context(|| format!("{metric} is no part's"))?;
        let told = told(variable).await?;
        ensure!(
            metrics(&told).contains(metric),
            "{variable} does not tell {metric}"
        );
        seen += 1;
    }
    ensure!(seen >= 15, "{seen} metrics in rules and panels");
    Ok(())
}
