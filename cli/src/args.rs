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
    /// Approves the plan that a ModuleModel waits with.
    Approve {
        /// Name of a ModuleModel.
        name: String,
        /// Its hash or the first 8 digits at least: another plan that was made meanwhile is not approved.
        #[arg(long, value_name = "HASH")]
        plan: Option<String>,
        /// Approves a plan that loses data.
        #[arg(long)]
        allow_data_loss: bool,
    },
    /// Prints what of a ModuleModel the databases do not hold yet, and what they hold besides; with a file, what that
    /// would change in the spec: the API server checks it and keeps nothing.
    Diff {
        /// Name of a ModuleModel.
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        name: Option<String>,
        /// A file of one resource.
        #[arg(short, long)]
        file: Option<PathBuf>,
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
    /// Prints the plan that a ModuleModel waits with or carries out: statements, locks, what is lost.
    Plan {
        /// Name of a ModuleModel.
        name: String,
    },
    /// Lists the Tenants.
    Tenants,
    /// Prints on one screen what an object waits for.
    Why {
        /// `mm/<name>`, `tenant/<name>` or `dataplane/<name>`.
        object: String,
    },
}
