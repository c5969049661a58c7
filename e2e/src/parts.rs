//! The stack's parts, stopped and brought back through the names of its Makefile.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::{Stack, wait};

/// Longest until a killed part is healthy again (issue's goal for every part).
pub const RECOVERY_MAX: Duration = Duration::from_secs(60);

async fn make(stack: &Stack, args: &[&str]) -> Result<(bool, String)> {
    let output = Command::new("make")
        .arg("--silent")
        .args(args)
        .current_dir(&stack.root)
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("make {}", args.join(" ")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), text))
}

/// The part's pid, from `.stack/run`.
async fn pid(stack: &Stack, part: &str) -> Result<u32> {
    let path = stack.root.join(".stack/run").join(format!("{part}.pid"));
    let text = tokio::fs::read_to_string(&path)
        .await
        .with_context(|| path.display().to_string())?;
    text.trim()
        .parse()
        .with_context(|| format!("{} holds no pid", path.display()))
}

async fn healthy(stack: &Stack) -> Result<Option<()>> {
    let (ok, table) = make(stack, &["status"]).await?;
    ensure!(ok, "make status:\n{table}");
    Ok(Some(()))
}

/// kill -9, then waits until the supervisor has brought the part back and the whole stack is healthy: how long.
pub async fn kill(stack: &Stack, part: &str) -> Result<Duration> {
    bring_back(stack, "kill", part).await
}

/// Stops and starts the part, then waits until the whole stack is healthy: how long.
pub async fn restart(stack: &Stack, part: &str) -> Result<Duration> {
    bring_back(stack, "restart", part).await
}

async fn bring_back(stack: &Stack, verb: &str, part: &str) -> Result<Duration> {
    let before = pid(stack, part).await?;
    let from = Instant::now();
    let named = format!("PART={part}");
    let (ok, text) = make(stack, &[verb, &named]).await?;
    ensure!(ok, "make {verb} {named}: {text}");
    wait::until(
        &format!("{part} to run again after {verb}"),
        RECOVERY_MAX,
        async || Ok(pid(stack, part).await.ok().filter(|now| *now != before)),
    )
    .await?;
    wait::until(
        &format!("the stack to be healthy after {verb} of {part}"),
        RECOVERY_MAX,
        || healthy(stack),
    )
    .await?;
    Ok(from.elapsed())
}
