//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// What waits, why, and what would help.
#[derive(Debug, Parser)]
#[command(name = "kubectl-septem", bin_name = "kubectl septem", version)]
pub struct Args {
    /// The context of the kubeconfig; the current one unless given.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The namespace; that of the context unless given.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// What is asked.
    #[command(subcommand)]
    pub command: Command,
}

/// What is asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints what a file would change in the spec of a ModuleModel; the API server checks it and keeps nothing.
    Diff {
        /// A file of one resource.
        #[arg(short, long)]
        file: PathBuf,
    },
    /// Prints where databases differ from what was applied.
    Drift {
        /// Name of a ModuleModel; all of the namespace unless given.
        #[arg(conflicts_with = "all")]
        name: Option<String>,
        /// In all namespaces.
        #[arg(short = 'A', long = "all-namespaces")]
        all: bool,
    },
    /// Lists the Tenants.
    Tenants,
    /// Prints on one screen what an object waits for.
    Why {
        /// `mm/<name>`, `tenant/<name>` or `dataplane/<name>`.
        object: String,
    },
}
