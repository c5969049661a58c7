//! The connector's configuration, whole: what is not here is not set.

use std::collections::BTreeMap;

use model::Generation;
use secrecy::{ExposeSecret as _, SecretString};
use sql::postgres::ddl::PUBLICATION;

/// Name of a replication slot.
pub type SlotName = String;

/// What differs from one database to another.
#[derive(Debug, Clone)]
pub struct ConnectorSettings {
    /// Host of PostgreSQL, as Connect reaches it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `sslmode` of the URL, `prefer` unless given.
    pub ssl_mode: String,
    /// The database.
    pub database: String,
    /// Debezium's login.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The capture generation.
    pub generation: Generation,
    /// The topic of change events.
    pub events_topic: String,
    /// What stands for a large value that an update did not touch (`platform.data_plane`).
    pub unavailable_placeholder: String,
    /// `schema.table` of what the initial snapshot reads.
    pub snapshot_tables: Vec<String>,
}

/// The property that names the tables of the initial snapshot. Without it Debezium would read every table that it
/// can see, published or not.
pub const SNAPSHOT_TABLES: &str = "snapshot.include.collection.list";

/// `cdc-<database>`.
pub fn connector_name(database: &str) -> String {
    format!("cdc-{database}")
}

/// `cdc_<database>_g<N>`; a slot's name has lower-case letters, digits and underscores only.
pub fn slot_name(database: &str, generation: Generation) -> SlotName {
    let plain = |c: char| {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else {
            '_'
        }
    };
    format!(
        "cdc_{}_g{generation}",
        database.chars().map(plain).collect::<String>()
    )
}

/// `cdc.<database>.g<N>`, the `source.name` of every event.
pub fn topic_prefix(database: &str, generation: Generation) -> String {
    format!("cdc.{database}.g{generation}")
}

/// Every property of the connector. Reasons are beside the surprising ones.
pub fn connector_config(settings: &ConnectorSettings) -> BTreeMap<String, String> {
    let ConnectorSettings {
        host,
        port,
        ssl_mode,
        database,
        user,
        password,
        generation,
        events_topic,
        unavailable_placeholder,
        snapshot_tables,
    } = settings;
    let prefix = topic_prefix(database, *generation);
    // Tables of models and the heartbeat share the topic; Debezium's own topics do not match.
    let tables = r"cdc\.[^.]+\.g\d+\.([a-z0-9_]+\.[a-z0-9_]+)";
    let properties = [
        ("name", connector_name(database)),
        (
            "connector.class",
            "io.debezium.connector.postgresql.PostgresConnector".into(),
        ),
        ("tasks.max", "1".into()),
        ("plugin.name", "pgoutput".into()),
        ("database.hostname", host.clone()),
        ("database.port", port.to_string()),
        ("database.sslmode", ssl_mode.clone()),
        ("database.user", user.clone()),
        ("database.password", password.expose_secret().to_owned()),
        ("database.dbname", database.clone()),
        ("slot.name", slot_name(database, *generation)),
        ("slot.drop.on.stop", "false".into()),
        ("slot.failover", "true".into()),
        // The operator owns the publication; what is in it is captured, a new table needs no restart.
        ("publication.name", PUBLICATION.into()),
        ("publication.autocreate.mode", "disabled".into()),
        // A new generation has a new prefix, so no offsets, so a clean initial snapshot.
        ("topic.prefix", prefix.clone()),
        ("snapshot.mode", "initial".into()),
        // What is streamed is what is published: there is no list of tables for that, and so no restart.
        (
            SNAPSHOT_TABLES,
            snapshot_tables
                .iter()
                .map(|t| t.replace('.', "\\."))
                .collect::<Vec<_>>()
                .join(","),
        ),
        ("snapshot.isolation.mode", "repeatable_read".into()),
        ("snapshot.locking.mode", "none".into()),
        ("snapshot.max.threads", "1".into()),
        ("snapshot.fetch.size", "10240".into()),
        ("incremental.snapshot.chunk.size", "4096".into()),
        (
            "incremental.snapshot.watermarking.strategy",
            "insert_delete".into(),
        ),
        ("offset.mismatch.strategy", "trust_offset".into()),
        // The slot advances only after Kafka has acknowledged.
        ("lsn.flush.mode", "connector".into()),
        ("signal.data.collection", "platform.cdc_signal".into()),
        ("signal.enabled.channels", "source".into()),
        ("notification.enabled.channels", "sink".into()),
        (
            "notification.sink.topic.name",
            format!("{prefix}.notifications"),
        ),
        // The clock of lastSyncAt.
        ("heartbeat.interval.ms", "1000".into()),
        (
            "heartbeat.action.query",
            "UPDATE platform.cdc_heartbeat SET ts = clock_timestamp() WHERE id = 1".into(),
        ),
        ("decimal.handling.mode", "string".into()),
        ("time.precision.mode", "microseconds".into()),
        ("binary.handling.mode", "base64".into()),
        ("hstore.handling.mode", "json".into()),
        ("interval.handling.mode", "string".into()),
        ("tombstones.on.delete", "false".into()),
        // With schema changes, an incremental snapshot of a table added while streaming reads nothing.
        ("include.schema.changes", "false".into()),
        ("event.processing.failure.handling.mode", "fail".into()),
        ("errors.tolerance", "none".into()),
        ("errors.max.retries", "-1".into()),
        ("retriable.restart.connector.wait.ms", "1000".into()),
        ("slot.retry.delay.ms", "2000".into()),
        ("max.batch.size", "4096".into()),
        ("max.queue.size", "16384".into()),
        ("max.queue.size.in.bytes", "134217728".into()),
        ("poll.interval.ms", "10".into()),
        (
            "unavailable.value.placeholder",
            unavailable_placeholder.clone(),
        ),
        ("extended.headers.enabled", "false".into()),
        ("provide.transaction.metadata", "false".into()),
        (
            "key.converter",
            "org.apache.kafka.connect.json.JsonConverter".into(),
        ),
        ("key.converter.schemas.enable", "false".into()),
        ("key.converter.replace.null.with.default", "false".into()),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter".into(),
        ),
        ("value.converter.schemas.enable", "false".into()),
        // With the default, a null in a column that has a default arrives as the default.
        ("value.converter.replace.null.with.default", "false".into()),
        ("transforms", "one".into()),
        (
            "transforms.one.type",
            "io.debezium.transforms.ToLogicalTopicRouter".into(),
        ),
        ("transforms.one.topic.regex", tables.into()),
        ("transforms.one.topic.replacement", events_topic.clone()),
        ("transforms.one.key.enforce.uniqueness", "true".into()),
        ("transforms.one.key.field.name", "__table".into()),
        ("transforms.one.key.field.regex", tables.into()),
        ("transforms.one.key.field.replacement", "$1".into()),
        // -1: as the brokers say.
        ("topic.creation.default.partitions", "1".into()),
        ("topic.creation.default.replication.factor", "-1".into()),
        ("topic.creation.default.cleanup.policy", "delete".into()),
        ("topic.creation.default.retention.ms", "604800000".into()),
        ("topic.creation.groups", "events".into()),
        (
            "topic.creation.events.include",
            events_topic.replace('.', "\\."),
        ),
        ("topic.creation.events.partitions", "6".into()),
        ("topic.creation.events.replication.factor", "-1".into()),
        ("topic.creation.events.cleanup.policy", "delete".into()),
        ("topic.creation.events.retention.ms", "604800000".into()),
        ("topic.creation.events.max.message.bytes", "16777216".into()),
        ("producer.override.compression.type", "lz4".into()),
        ("producer.override.linger.ms", "5".into()),
        ("producer.override.max.request.size", "16777216".into()),
        ("guardrail.collections.max", "1000".into()),
        ("guardrail.collections.limit.action", "warn".into()),
    ];
    properties
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connector_is_configured_so() {
        let config = connector_config(&ConnectorSettings {
            host: "db".into(),
            port: 5432,
            ssl_mode: "verify-full".into(),
            database: "septem".into(),
            user: "septem_cdc".into(),
            password: SecretString::from("secret"),
            generation: Generation(2),
            events_topic: "platform.data.events".into(),
            unavailable_placeholder: "__septem_unavailable_x".into(),
            snapshot_tables: vec!["crm.deals".into(), "platform.cdc_heartbeat".into()],
        });
        let lines: Vec<_> = config
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_slot_has_letters_that_slots_may_have() {
        assert_eq!(slot_name("My-db", Generation(3)), "cdc__y_db_g3");
    }
}
