//! Configuration: as typed, and as meant.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;

use crate::lease::LeaseConfig;

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
    /// Names of the DataPlanes that this operator serves, separated by commas; all that it watches unless given.
    #[arg(long, env = "SEPTEM_OPERATOR_DATA_PLANES", value_delimiter = ',')]
    pub data_planes: Vec<String>,
    /// Serve only resources with label `data.septemcore.com/operator` of this value; without it, only those that
    /// lack the label.
    #[arg(long, env = "SEPTEM_OPERATOR_CLASS")]
    pub class: Option<String>,
    /// The topic of change events of a DataPlane that names none.
    #[arg(
        long,
        env = "SEPTEM_OPERATOR_EVENTS_TOPIC",
        default_value = "platform.data.events"
    )]
    pub events_topic: String,
    /// Namespaces whose ModuleModels are watched, separated by commas; every namespace unless given.
    #[arg(long, env = "SEPTEM_OPERATOR_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Namespace of the Lease that lets one of several operators work; without it this one is alone.
    #[arg(long, env = "SEPTEM_OPERATOR_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Name of the Lease, the same for all operators of one class and for no other.
    #[arg(long, env = "SEPTEM_OPERATOR_LEASE", default_value = "septem-operator")]
    pub lease: String,
    /// Who holds the Lease, for people: the name of the pod.
    #[arg(long, env = "SEPTEM_OPERATOR_IDENTITY", default_value = "operator")]
    pub identity: String,
    /// Seconds between two looks at the connector and its slot.
    #[arg(long, env = "SEPTEM_OPERATOR_WATCH_SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub watch_seconds: u64,
    /// Seconds between two comparisons of what was applied with what is there, of a resource that says nothing else.
    #[arg(long, env = "SEPTEM_OPERATOR_DRIFT_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    pub drift_seconds: u64,
    /// Log filter.
    #[arg(long, env = "SEPTEM_LOG", default_value = "info,sqlx=warn")]
    pub log: String,
}

/// Configuration as meant.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the admin endpoints are served.
    pub listen: SocketAddr,
    /// The DataPlanes of this operator; all that it watches when empty.
    pub data_planes: Vec<String>,
    /// Which ModuleModels, Tenants and DataPlanes are watched.
    pub selector: String,
    /// The topic of change events of a DataPlane that names none.
    pub events_topic: String,
    /// Namespaces whose ModuleModels are watched; every one when empty.
    pub namespaces: Vec<String>,
    /// The Lease; none when this operator is alone.
    pub lease: Option<LeaseConfig>,
    /// Between two looks at the connector and its slot.
    pub watch_interval: Duration,
    /// Between two comparisons of what was applied with what is there.
    pub drift_interval: Duration,
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
            data_planes,
            class,
            events_topic,
            namespaces,
            lease_namespace,
            lease,
            identity,
            watch_seconds,
            drift_seconds,
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
            data_planes: listed(data_planes),
            selector,
            events_topic,
            namespaces: listed(namespaces),
            lease: lease_namespace
                .filter(|n| !n.is_empty())
                .map(|namespace| LeaseConfig {
                    namespace,
                    name: lease,
                    identity: format!("{identity}_{}", uuid::Uuid::new_v4()),
                }),
            watch_interval: Duration::from_secs(watch_seconds),
            drift_interval: Duration::from_secs(drift_seconds),
            log,
        })
    }
}

/// A list from a variable that may be set to nothing.
fn listed(names: Vec<String>) -> Vec<String> {
    names.into_iter().filter(|n| !n.is_empty()).collect()
}

impl Config {
    /// Whether the DataPlane of that name is ours.
    pub fn serves(&self, data_plane: &str) -> bool {
        self.data_planes.is_empty() || self.data_planes.iter().any(|name| name == data_plane)
    }
}
