//! `kubectl septem`: what waits, why, and what would help. It reads resources, and approves plans, with the rights of
//! whoever runs it.

pub mod args;
pub mod changes;
pub mod cluster;
pub mod plan;
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
        Command::Approve {
            name,
            plan,
            allow_data_loss,
        } => plan::approve(&cluster, &name, plan.as_deref(), allow_data_loss).await,
        Command::Diff { name, file } => match file {
            Some(file) => changes::diff(&cluster, &file).await,
            None => changes::left(&cluster, &name.unwrap_or_default()).await,
        },
        Command::Drift { name, all } => changes::drift(&cluster, name.as_deref(), all).await,
        Command::Plan { name } => plan::show(&cluster, &name).await,
        Command::Tenants => tenants::list(&cluster).await,
        Command::Why { object } => why::explain(&cluster, &object).await,
    }
}
