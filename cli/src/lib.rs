//! `kubectl septem`: what waits, why, and what would help. It reads resources, with the rights of whoever runs it.

pub mod args;
pub mod changes;
pub mod cluster;
pub mod table;
pub mod tenants;
pub mod why;

use anyhow::Result;

use args::{Args, Command};

/// Does what was asked; the text goes to stdout.
pub async fn run(args: Args) -> Result<String> {
    let Args {
        context,
        namespace,
        command,
    } = args;
    let cluster = cluster::Cluster::connect(context, namespace).await?;
    match command {
        Command::Diff { file } => changes::diff(&cluster, &file).await,
        Command::Drift { name, all } => changes::drift(&cluster, name.as_deref(), all).await,
        Command::Tenants => tenants::list(&cluster).await,
        Command::Why { object } => why::explain(&cluster, &object).await,
    }
}
