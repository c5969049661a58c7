//! The chart, as people install it.

use anyhow::Result;

use crate::command;

/// Where the chart is.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/septem-data");
/// The values that every installation must say.
pub const LEAST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../charts/septem-data/ci/install.yaml"
);
/// Every switch on, every list filled.
pub const EVERYTHING: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../charts/septem-data/ci/everything.yaml"
);

/// Runs helm, which must succeed: its standard output.
pub async fn succeed(args: &[&str]) -> Result<String> {
    command::succeed("helm", args, None).await
}

/// Runs helm, which must fail: what it said.
pub async fn fail(args: &[&str]) -> Result<String> {
    command::fail("helm", args, None).await
}

/// The documents of `helm template` with [`LEAST`] and those arguments.
pub async fn template(namespace: &str, args: &[&str]) -> Result<Vec<String>> {
    let all = [
        &["template", "t", CHART, "-n", namespace, "-f", LEAST],
        args,
    ]
    .concat();
    let text = succeed(&all).await?;
    let documents = text.split("\n---\n").map(str::to_owned);
    Ok(documents.filter(|d| kind(d).is_some()).collect())
}

/// The kind of a document.
pub fn kind(document: &str) -> Option<&str> {
    document
        .lines()
        .find_map(|line| line.strip_prefix("kind: "))
}
