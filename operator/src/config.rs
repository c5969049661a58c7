//! Configuration: as typed, and as meant.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;

/// Configuration as typed.
#[derive(Debug, Parser)]
#[command(
    name = "septem-operator",
    version,
    about = "Brings databases to what ModuleModels, Tenants and DataPlanes say"
)]
pub struct RawConfig {
    /// Where /live, /ready, /health and /metrics are served.
    #[arg(long, env = "SEPTEM_OPERATOR_LISTEN", default_value = "127.0.0.1:8083")]
    pub listen: SocketAddr,
    /// The DataPlane that this operator serves.
    #[arg(long, env = "SEPTEM_OPERATOR_DATA_PLANE", default_value = "default")]
    pub data_plane: String,
    /// Serve only resources with label `data.septemcore.com/operator` of this value; without it, only those that
    /// lack the label.
    #[arg(long, env = "SEPTEM_OPERATOR_CLASS")]
    pub class: Option<String>,
    /// The topic of change events.
    #[arg(
        long,
        env = "SEPTEM_OPERATOR_EVENTS_TOPIC",
        default_value = "platform.data.events"
    )]
    pub events_topic: String,
    /// Seconds between two looks at the connector and its slot.
    #[arg(long, env = "SEPTEM_OPERATOR_WATCH_SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub watch_seconds: u64,
    /// Log filter.
    #[arg(long, env = "SEPTEM_LOG", default_value = "info,sqlx=warn")]
    pub log: String,
}

/// Configuration as meant.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the admin endpoints are served.
    pub listen: SocketAddr,
    /// The one DataPlane of this operator.
    pub data_plane: String,
    /// Which ModuleModels, Tenants and DataPlanes are watched.
    pub selector: String,
    /// The topic of change events.
    pub events_topic: String,
    /// Between two looks at the connector and its slot.
    pub watch_interval: Duration,
    /// Log filter.
    pub log: String,
}

/// The label by which several operators share a cluster.
pub const CLASS_LABEL: &str = "data.septemcore.com/operator";

/// A variable that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not a label value.
    #[error(
        "SEPTEM_OPERATOR_CLASS must be a label value: 1 to 63 letters, digits, '-', '_' or '.'"
    )]
    Class,
    /// Not a topic.
    #[error(
        "SEPTEM_OPERATOR_EVENTS_TOPIC must be a topic name: 1 to 249 letters, digits, '-', '_' or '.'"
    )]
    Topic,
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let RawConfig {
            listen,
            data_plane,
            class,
            events_topic,
            watch_seconds,
            log,
        } = raw;
        let plain = |text: &str, max: usize| {
            (1..=max).contains(&text.len())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !plain(&events_topic, 249) {
            return Err(ConfigError::Topic);
        }
        let selector = match class {
            Some(class) if plain(&class, 63) => format!("{CLASS_LABEL}={class}"),
            Some(_) => return Err(ConfigError::Class),
            None => format!("!{CLASS_LABEL}"),
        };
        Ok(Self {
            listen,
            data_plane,
            selector,
            events_topic,
            watch_interval: Duration::from_secs(watch_seconds),
            log,
        })
    }
}
