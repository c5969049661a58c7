//! `kubectl-septem`, which kubectl finds on the PATH as `kubectl septem`.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Chosen once, before the first connection; there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli::run(cli::args::Args::parse()).await {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
