//! Configuration of `septem-sink hooks`: as typed, and as meant.

use std::{net::SocketAddr, time::Duration};

use clap::{Parser, Subcommand};
use model::Ident;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::KafkaConfig;

/// Flags and environment, as typed.
#[derive(Debug, Parser)]
#[command(
    name = "hooks",
    about = "Tells modules of committed writes, and looks after the calls that failed"
)]
pub struct RawConfig {
    /// Address of the admin listener: /live, /ready, /health, /metrics.
    #[arg(long, env = "SEPTEM_HOOKS_LISTEN", default_value = "127.0.0.1:17416")]
    pub listen: String,
    /// PostgreSQL as role septem_sink, for the catalogue and the dead letters.
    #[arg(
        long,
        env = "SEPTEM_SINK_DATABASE_URL",
        hide_env_values = true,
        default_value = ""
    )]
    pub database_url: SecretString,
    /// Kafka's bootstrap servers, `host:port,…`.
    #[arg(long, env = "SEPTEM_SINK_KAFKA_BOOTSTRAP", default_value = "")]
    pub kafka_bootstrap: String,
    /// Topic of change events.
    #[arg(
        long,
        env = "SEPTEM_SINK_KAFKA_TOPIC",
        default_value = "platform.data.events"
    )]
    pub kafka_topic: String,
    /// Consumer group, shared by every dispatcher of one database, and not the sink's.
    #[arg(long, env = "SEPTEM_HOOKS_KAFKA_GROUP", default_value = "septem-hooks")]
    pub kafka_group: String,
    /// Name of this dispatcher that survives its restart.
    #[arg(long, env = "SEPTEM_HOOKS_INSTANCE")]
    pub instance: Option<String>,
    /// 32 bytes in base64 from which the keys that sign calls are derived; the same as the proxy's.
    #[arg(
        long,
        env = "SEPTEM_HOOK_KEY",
        hide_env_values = true,
        default_value = ""
    )]
    pub hook_key: SecretString,
    /// The hook key before this one: calls are signed with both.
    #[arg(
        long,
        env = "SEPTEM_HOOK_KEY_PREVIOUS",
        hide_env_values = true,
        default_value = ""
    )]
    pub hook_key_previous: SecretString,
    /// Hosts (comma separated: name, *.suffix, * or address, with a port or without) that hooks may call.
    #[arg(long, env = "SEPTEM_HOOK_HOSTS", default_value = hook::HOSTS_DEFAULT)]
    pub hook_hosts: String,
    /// How long one call is tried before it becomes a dead letter, in seconds, 1 to 3600.
    #[arg(long, env = "SEPTEM_HOOKS_GIVE_UP_SECONDS", default_value_t = 60)]
    pub give_up_seconds: u64,
    /// How long dead letters are kept, in days, 1 to 90; events in the topic are kept for 7.
    #[arg(long, env = "SEPTEM_HOOKS_KEEP_DAYS", default_value_t = 7)]
    pub keep_days: u64,
    /// What to do; without one, dispatch.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What is done by hand.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Shows how many dead letters each hook has, and since when.
    List,
    /// Calls again for dead letters, in order of each record, and forgets those that were taken.
    Replay(Selection),
    /// Forgets dead letters.
    Drop(Selection),
    /// Prints the key that a module verifies signatures with.
    Key {
        /// The module.
        #[arg(long)]
        module: Ident,
    },
}

/// Which dead letters.
#[derive(Debug, Clone, clap::Args)]
pub struct Selection {
    /// Those of this module.
    #[arg(long)]
    pub module: Ident,
    /// Of this model only.
    #[arg(long)]
    pub model: Option<Ident>,
    /// Of this tenant only.
    #[arg(long)]
    pub tenant: Option<uuid::Uuid>,
}

/// What the dispatcher runs by.
pub struct Config {
    /// Address of the admin listener.
    pub listen: SocketAddr,
    /// PostgreSQL as role septem_sink.
    pub database_url: SecretString,
    /// Where events come from.
    pub kafka: KafkaConfig,
    /// What signs calls.
    pub keys: Option<hook::Keys>,
    /// What may be called.
    pub hosts: hook::AllowedHosts,
    /// How long one call is tried.
    pub give_up: Duration,
    /// How long dead letters are kept.
    pub keep: Duration,
    /// Longest time for finishing calls when asked to end.
    pub drain: Duration,
}

/// A variable that cannot be meant; the text names it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not `host:port` with a numeric address.
    #[error("SEPTEM_HOOKS_LISTEN is not an address and a port")]
    Listen(#[source] std::net::AddrParseError),
    /// Not a secret.
    #[error("SEPTEM_HOOK_KEY or SEPTEM_HOOK_KEY_PREVIOUS {0}")]
    Key(hook::KeysError),
    /// There is none, and what is asked for needs it.
    #[error("SEPTEM_HOOK_KEY is not set")]
    NoKey,
    /// Not a list of hosts.
    #[error("SEPTEM_HOOK_HOSTS {0}")]
    Hosts(hook::HostsError),
    /// Nothing in it.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// Too little or too much.
    #[error("{0} is out of range")]
    Range(&'static str),
}

impl RawConfig {
    /// What signs calls, if there is a secret.
    pub fn keys(&self) -> Result<Option<hook::Keys>, ConfigError> {
        let given = |key: &SecretString| !key.expose_secret().is_empty();
        if !given(&self.hook_key) {
            return Ok(None);
        }
        let previous = Some(&self.hook_key_previous).filter(|key| given(key));
        let keys = hook::Keys::parse(&self.hook_key, previous);
        keys.map(Some).map_err(ConfigError::Key)
    }
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let keys = raw.keys()?;
        let RawConfig {
            listen,
            database_url,
            kafka_bootstrap,
            kafka_topic,
            kafka_group,
            instance,
            hook_key: _,
            hook_key_previous: _,
            hook_hosts,
            give_up_seconds,
            keep_days,
            command: _,
        } = raw;
        let not_empty = |name, text: String| match text.is_empty() {
            true => Err(ConfigError::Empty(name)),
            false => Ok(text),
        };
        if !(1..=3_600).contains(&give_up_seconds) {
            return Err(ConfigError::Range("SEPTEM_HOOKS_GIVE_UP_SECONDS"));
        }
        if !(1..=90).contains(&keep_days) {
            return Err(ConfigError::Range("SEPTEM_HOOKS_KEEP_DAYS"));
        }
        if database_url.expose_secret().is_empty() {
            return Err(ConfigError::Empty("SEPTEM_SINK_DATABASE_URL"));
        }
        let topic = not_empty("SEPTEM_SINK_KAFKA_TOPIC", kafka_topic)?;
        Ok(Self {
            listen: listen.parse().map_err(ConfigError::Listen)?,
            database_url,
            kafka: KafkaConfig {
                bootstrap: not_empty("SEPTEM_SINK_KAFKA_BOOTSTRAP", kafka_bootstrap)?,
                dlq_topic: format!("{topic}.dlq"),
                topic,
                group: not_empty("SEPTEM_HOOKS_KAFKA_GROUP", kafka_group)?,
                instance: instance.filter(|name| !name.is_empty()),
                session_timeout: Duration::from_secs(6),
            },
            keys,
            hosts: hook_hosts.parse().map_err(ConfigError::Hosts)?,
            give_up: Duration::from_secs(give_up_seconds),
            keep: Duration::from_secs(keep_days * 86_400),
            drain: Duration::from_secs(6),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let check = |change: &str| {
            let mut args = vec![
                "hooks",
                "--database-url=postgres://sink@localhost/septem",
                "--kafka-bootstrap=localhost:9092",
            ];
            args.extend(Some(change).filter(|c| !c.is_empty()));
            Config::try_from(RawConfig::try_parse_from(args).unwrap())
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(check(""), None);
        for (change, name) in [
            ("--listen=x", "SEPTEM_HOOKS_LISTEN"),
            ("--hook-key=x", "SEPTEM_HOOK_KEY"),
            ("--hook-hosts=http://x", "SEPTEM_HOOK_HOSTS"),
            ("--give-up-seconds=0", "SEPTEM_HOOKS_GIVE_UP_SECONDS"),
            ("--keep-days=91", "SEPTEM_HOOKS_KEEP_DAYS"),
            ("--kafka-group=", "SEPTEM_HOOKS_KAFKA_GROUP"),
        ] {
            let error = check(change).unwrap();
            assert!(error.contains(name), "{error}");
        }
    }
}
