//! Programs of the stack, run to their end with a limit.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

/// Past every `--timeout` that callers give: a program that hangs is killed.
const COMMAND_MAX: Duration = Duration::from_secs(150);

/// Runs a program with that standard input, if any.
pub async fn run(program: &str, args: &[&str], input: Option<&str>) -> Result<Output> {
    let mut child = Command::new(program)
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
        .with_context(|| format!("{program} (load .stack/env: it puts {program} on the PATH)"))?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin
            .write_all(text.as_bytes())
            .await
            .with_context(|| format!("{program}'s standard input"))?;
    }
    let done = timeout(COMMAND_MAX, child.wait_with_output()).await;
    done.with_context(|| format!("{program} {} did not end", args.join(" ")))?
        .with_context(|| program.to_owned())
}

/// Runs a program that must succeed: its standard output.
pub async fn succeed(program: &str, args: &[&str], input: Option<&str>) -> Result<String> {
    let output = run(program, args, input).await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        args.join(" "),
        errors.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program that must fail: its standard error.
pub async fn fail(program: &str, args: &[&str], input: Option<&str>) -> Result<String> {
    let output = run(program, args, input).await?;
    ensure!(
        !output.status.success(),
        "{program} {} did what must be refused: {}",
        args.join(" "),
        input.unwrap_or_default()
    );
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}
