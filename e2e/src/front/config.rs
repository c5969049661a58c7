//! Configuration, from the environment.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

/// As typed.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "clickhouse-front",
    about = "Users, roles and row policies for the local stack's ClickHouse engine"
)]
pub struct Config {
    /// Where to listen.
    #[arg(long, env = "SEPTEM_FRONT_LISTEN")]
    pub listen: SocketAddr,
    /// The engine's HTTP endpoint, as `host:port`.
    #[arg(long, env = "SEPTEM_FRONT_ENGINE")]
    pub engine: String,
    /// The administrator, the same here and in the engine.
    #[arg(long, env = "SEPTEM_FRONT_ADMIN_USER", default_value = "septem_admin")]
    pub admin_user: String,
    /// Its password.
    #[arg(long, env = "SEPTEM_FRONT_ADMIN_PASSWORD", hide_env_values = true)]
    pub admin_password: String,
    /// Password of the engine's users `front_reader` and `front_writer`, as whom everybody else's queries run.
    #[arg(long, env = "SEPTEM_FRONT_ENGINE_PASSWORD", hide_env_values = true)]
    pub engine_password: String,
    /// The engine's database for what an administrator reads as `system.users` and so on.
    #[arg(long, env = "SEPTEM_FRONT_DATABASE", default_value = "septem_access")]
    pub database: String,
    /// Where users, roles and policies are kept.
    #[arg(long, env = "SEPTEM_FRONT_STATE")]
    pub state: PathBuf,
}
