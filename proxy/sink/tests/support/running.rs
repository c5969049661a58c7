//! A sink in this process, or as a process of its own.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use secrecy::ExposeSecret as _;
use sink::{admin::Pulse, config::Config, metrics::Metrics};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::stack::eventually;

/// A sink in this process.
pub struct Running {
    pub metrics: Metrics,
    stop: CancellationToken,
    task: JoinHandle<Result<(), sink::Error>>,
}

impl Running {
    pub fn start(config: Config) -> Self {
        let (metrics, stop) = (Metrics::default(), CancellationToken::new());
        let pool = sink::connect(&config).unwrap();
        let (task_metrics, task_stop) = (metrics.clone(), stop.clone());
        let task = tokio::spawn(async move {
            sink::run(&config, pool, task_metrics, Pulse::default(), task_stop).await
        });
        Self {
            metrics,
            stop,
            task,
        }
    }

    /// Waits until it has partitions.
    pub async fn joined(self) -> Self {
        let assigned = || async { self.metrics.health().assigned_partitions > 0 };
        eventually("a partition is assigned", Duration::from_secs(20), assigned).await;
        self
    }

    /// Ends it as SIGTERM would.
    pub async fn drain(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task)
            .await
            .expect("drained in time")
            .unwrap()
            .unwrap();
    }
}

/// A sink as a process; killed when dropped.
pub struct Process(Child);

impl Process {
    pub fn start(config: &Config) -> Self {
        let Config {
            database_url,
            kafka,
            clickhouse,
            ..
        } = config;
        let mut command = Command::new(env!("CARGO_BIN_EXE_septem-sink"));
        command
            .env("SEPTEM_SINK_LISTEN", "127.0.0.1:0")
            .env("SEPTEM_SINK_DATABASE_URL", database_url.expose_secret())
            .env("SEPTEM_SINK_KAFKA_BOOTSTRAP", &kafka.bootstrap)
            .env("SEPTEM_SINK_KAFKA_TOPIC", &kafka.topic)
            .env("SEPTEM_SINK_KAFKA_GROUP", &kafka.group)
            .env("SEPTEM_SINK_CLICKHOUSE_URL", clickhouse.url.as_str())
            .env("SEPTEM_SINK_CLICKHOUSE_USER", &clickhouse.user)
            .env(
                "SEPTEM_SINK_CLICKHOUSE_PASSWORD",
                clickhouse.password.expose_secret(),
            )
            .env("SEPTEM_SINK_CLICKHOUSE_DATABASE", &clickhouse.database)
            .stdout(Stdio::null());
        if let Some(instance) = &kafka.instance {
            command.env("SEPTEM_SINK_INSTANCE", instance);
        }
        Self(command.spawn().unwrap())
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
