//! Configuration: [`RawConfig`] as typed, [`Config`] as meant. What can be wrong is wrong at start.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// Flags and environment, as typed.
#[derive(Debug, Parser)]
#[command(
    name = "septem-sink",
    version,
    about = "Carries change events from Kafka to ClickHouse"
)]
pub struct RawConfig {
    /// Address of the admin listener: /live, /ready, /health, /metrics.
    #[arg(long, env = "SEPTEM_SINK_LISTEN", default_value = "127.0.0.1:17404")]
    pub listen: String,
    /// PostgreSQL as role septem_sink, for the catalogue and the watermark.
    #[arg(long, env = "SEPTEM_SINK_DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
    /// Kafka's bootstrap servers, `host:port,…`.
    #[arg(long, env = "SEPTEM_SINK_KAFKA_BOOTSTRAP")]
    pub kafka_bootstrap: String,
    /// Topic of change events.
    #[arg(
        long,
        env = "SEPTEM_SINK_KAFKA_TOPIC",
        default_value = "platform.data.events"
    )]
    pub kafka_topic: String,
    /// Topic of records that cannot be written; default is the topic with `.dlq`.
    #[arg(long, env = "SEPTEM_SINK_KAFKA_DLQ_TOPIC")]
    pub kafka_dlq_topic: Option<String>,
    /// Consumer group, shared by every sink of one database.
    #[arg(long, env = "SEPTEM_SINK_KAFKA_GROUP", default_value = "septem-sink")]
    pub kafka_group: String,
    /// Name of this sink that survives its restart; with it a restarted sink gets its partitions back at once.
    #[arg(long, env = "SEPTEM_SINK_INSTANCE")]
    pub instance: Option<String>,
    /// ClickHouse's HTTP endpoint.
    #[arg(long, env = "SEPTEM_SINK_CLICKHOUSE_URL")]
    pub clickhouse_url: String,
    /// ClickHouse user: INSERT and SELECT on the database, outside the row policies.
    #[arg(
        long,
        env = "SEPTEM_SINK_CLICKHOUSE_USER",
        default_value = "septem_sink"
    )]
    pub clickhouse_user: String,
    /// Its password.
    #[arg(
        long,
        env = "SEPTEM_SINK_CLICKHOUSE_PASSWORD",
        hide_env_values = true,
        default_value = ""
    )]
    pub clickhouse_password: SecretString,
    /// ClickHouse database of the tables.
    #[arg(long, env = "SEPTEM_SINK_CLICKHOUSE_DATABASE", default_value = sql::clickhouse::DATABASE)]
    pub clickhouse_database: String,
    /// Memory for records between Kafka and ClickHouse, in MiB; reading pauses when it is full.
    #[arg(long, env = "SEPTEM_SINK_BUFFER_MIB", default_value_t = 128)]
    pub buffer_mib: usize,
}

/// What the sink runs by.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the admin listener.
    pub listen: SocketAddr,
    /// PostgreSQL as role septem_sink.
    pub database_url: SecretString,
    /// Where records come from.
    pub kafka: KafkaConfig,
    /// Where rows go to.
    pub clickhouse: ClickHouseConfig,
    /// How rows are put together.
    pub batch: BatchConfig,
    /// Longest time for writing what is held when asked to end. Committing, the last positions and leaving the group
    /// have a bound of their own, so that the whole takes less than 10 s.
    pub drain: Duration,
}

/// Where records come from.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Bootstrap servers.
    pub bootstrap: String,
    /// Topic of change events.
    pub topic: String,
    /// Topic of records that cannot be written.
    pub dlq_topic: String,
    /// Consumer group.
    pub group: String,
    /// Static member name.
    pub instance: Option<String>,
    /// After this long without a sign of life a sink's partitions go to another. Kafka's floor is 6 s.
    pub session_timeout: Duration,
}

/// Where rows go to.
#[derive(Debug, Clone)]
pub struct ClickHouseConfig {
    /// HTTP endpoint.
    pub url: Url,
    /// User.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// Database of the tables.
    pub database: String,
    /// Longest wait for one insert; a hung one is tried again.
    pub insert_timeout: Duration,
    /// How long a table may be refused alone before its records go to the dead-letter topic.
    pub refused_timeout: Duration,
}

/// How rows are put together.
#[derive(Debug, Clone, Copy)]
pub struct BatchConfig {
    /// Most rows of one insert.
    pub rows_max: usize,
    /// Most bytes of one insert.
    pub bytes_max: usize,
    /// A table is written at most once in this time, so that it makes at most two parts a second.
    pub interval: Duration,
    /// What a change waits for company when its table was quiet: one commit arrives within a few milliseconds.
    pub linger: Duration,
    /// Memory for everything between Kafka and ClickHouse.
    pub buffer_bytes_max: usize,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            rows_max: 50_000,
            bytes_max: 16 << 20,
            interval: Duration::from_millis(500),
            linger: Duration::from_millis(50),
            buffer_bytes_max: 128 << 20,
        }
    }
}

/// A variable that cannot be meant; the text names it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not `host:port` with a numeric address.
    #[error("SEPTEM_SINK_LISTEN is not an address and a port")]
    Listen(#[source] std::net::AddrParseError),
    /// Not a `postgres://` URL.
    #[error("SEPTEM_SINK_DATABASE_URL is not a postgres:// URL")]
    DatabaseUrl,
    /// Not an `http://` or `https://` URL.
    #[error("SEPTEM_SINK_CLICKHOUSE_URL is not an http:// or https:// URL")]
    ClickHouseUrl,
    /// Nothing in it.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// Too little to hold one batch and the next.
    #[error("SEPTEM_SINK_BUFFER_MIB is below 32")]
    Buffer,
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let RawConfig {
            listen,
            database_url,
            kafka_bootstrap,
            kafka_topic,
            kafka_dlq_topic,
            kafka_group,
            instance,
            clickhouse_url,
            clickhouse_user,
            clickhouse_password,
            clickhouse_database,
            buffer_mib,
        } = raw;
        let scheme = |url: &str| {
            Url::parse(url)
                .map(|u| u.scheme().to_owned())
                .unwrap_or_default()
        };
        if !matches!(
            &*scheme(database_url.expose_secret()),
            "postgres" | "postgresql"
        ) {
            return Err(ConfigError::DatabaseUrl);
        }
        let clickhouse = Url::parse(&clickhouse_url)
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https"));
        if buffer_mib < 32 {
            return Err(ConfigError::Buffer);
        }
        let topic = not_empty("SEPTEM_SINK_KAFKA_TOPIC", kafka_topic)?;
        Ok(Self {
            listen: listen.parse().map_err(ConfigError::Listen)?,
            database_url,
            kafka: KafkaConfig {
                bootstrap: not_empty("SEPTEM_SINK_KAFKA_BOOTSTRAP", kafka_bootstrap)?,
                dlq_topic: kafka_dlq_topic.unwrap_or_else(|| format!("{topic}.dlq")),
                topic,
                group: not_empty("SEPTEM_SINK_KAFKA_GROUP", kafka_group)?,
                instance: instance.filter(|name| !name.is_empty()),
                session_timeout: Duration::from_secs(6),
            },
            clickhouse: ClickHouseConfig {
                url: clickhouse.ok_or(ConfigError::ClickHouseUrl)?,
                user: clickhouse_user,
                password: clickhouse_password,
                database: not_empty("SEPTEM_SINK_CLICKHOUSE_DATABASE", clickhouse_database)?,
                insert_timeout: Duration::from_secs(30),
                refused_timeout: Duration::from_secs(30),
            },
            batch: BatchConfig {
                buffer_bytes_max: buffer_mib << 20,
                ..BatchConfig::default()
            },
            drain: Duration::from_secs(5),
        })
    }
}

fn not_empty(name: &'static str, text: String) -> Result<String, ConfigError> {
    if text.is_empty() {
        Err(ConfigError::Empty(name))
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: &[&str]) -> Result<Config, ConfigError> {
        let mut args = vec![
            "septem-sink",
            "--database-url=postgres://sink@localhost/septem",
            "--kafka-bootstrap=localhost:9092",
            "--clickhouse-url=http://localhost:8123",
        ];
        args.extend(change);
        RawConfig::try_parse_from(args).unwrap().try_into()
    }

    #[test]
    fn what_is_wrong_is_named() {
        let config = check(&[]).unwrap();
        assert_eq!(config.kafka.dlq_topic, "platform.data.events.dlq");
        for (change, name) in [
            ("--listen=x", "SEPTEM_SINK_LISTEN"),
            ("--kafka-topic=", "SEPTEM_SINK_KAFKA_TOPIC"),
            ("--buffer-mib=1", "SEPTEM_SINK_BUFFER_MIB"),
        ] {
            let error = check(&[change]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
