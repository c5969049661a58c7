//! Kafka Connect's REST interface.

mod config;

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use url::Url;

use crate::telemetry::spans;

pub use config::{
    ConnectorSettings, SNAPSHOT_TABLES, SlotName, connector_config, connector_name, slot_name,
    topic_prefix,
};

/// Connect answers slowly while it rebalances.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Characters of an answer or a trace that are kept.
const ANSWER_CHARS_MAX: usize = 300;

/// A call that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No answer.
    #[error("no answer")]
    Unreachable(#[source] reqwest::Error),
    /// Connect's own error.
    #[error("status {status}: {answer}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The beginning of what it said.
        answer: String,
    },
}

/// Where a connector stands, as Connect sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorStatus {
    /// Whether somebody has paused it.
    pub paused: bool,
    /// `RUNNING`, `FAILED`, … of the only task; none while there is no task. The connector's own state proves
    /// nothing: it stays RUNNING while its task has failed.
    pub task: Option<String>,
    /// The beginning of the failed task's trace.
    pub trace: String,
}

/// How far a connector has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing has been read.
    Nothing,
    /// The initial snapshot is being read; it starts again after a restart.
    Snapshot,
    /// The initial snapshot is done.
    Streaming,
}

/// While the snapshot runs the offset says so; streamed offsets do not mention one.
fn progress_of(offset: &serde_json::Value) -> Progress {
    let running = !matches!(
        &offset["snapshot"],
        serde_json::Value::Null | serde_json::Value::Bool(false)
    );
    let done = ["snapshot_completed", "last_snapshot_record"]
        .iter()
        .any(|key| offset[key] == true);
    if running && !done {
        Progress::Snapshot
    } else {
        Progress::Streaming
    }
}

/// One Connect cluster.
#[derive(Debug, Clone)]
pub struct Connect {
    http: reqwest::Client,
    endpoint: Url,
}

impl Connect {
    /// The cluster behind this URL.
    pub fn new(http: reqwest::Client, endpoint: Url) -> Self {
        Self { http, endpoint }
    }

    /// The configuration of a connector, none when there is no such connector.
    pub async fn config(
        &self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ConnectError> {
        let call = self.call(reqwest::Method::GET, &["connectors", name, "config"]);
        let response = self.send(call).await?;
        read(response).await
    }

    /// Creates the connector or gives it another configuration.
    pub async fn put_config(
        &self,
        name: &str,
        config: &BTreeMap<String, String>,
    ) -> Result<(), ConnectError> {
        let call = self
            .call(reqwest::Method::PUT, &["connectors", name, "config"])
            .json(config);
        accept(self.send(call).await?).await
    }

    /// Where the connector stands, none when there is no such connector.
    pub async fn status(&self, name: &str) -> Result<Option<ConnectorStatus>, ConnectError> {
        #[derive(Deserialize)]
        struct Status {
            connector: State,
            tasks: Vec<Task>,
        }
        #[derive(Deserialize)]
        struct State {
            state: String,
        }
        #[derive(Deserialize)]
        struct Task {
            state: String,
            #[serde(default)]
            trace: String,
        }
        let call = self.call(reqwest::Method::GET, &["connectors", name, "status"]);
        let response = self.send(call).await?;
        let status: Option<Status> = read(response).await?;
        Ok(status.map(|status| {
            let task = status.tasks.into_iter().next();
            ConnectorStatus {
                paused: status.connector.state == "PAUSED",
                trace: task.as_ref().map(|t| shorten(&t.trace)).unwrap_or_default(),
                task: task.map(|t| t.state),
            }
        }))
    }

    /// How far the connector has come.
    pub async fn progress(&self, name: &str) -> Result<Progress, ConnectError> {
        #[derive(Deserialize)]
        struct Offsets {
            offsets: Vec<Offset>,
        }
        #[derive(Deserialize)]
        struct Offset {
            offset: Option<serde_json::Value>,
        }
        let call = self.call(reqwest::Method::GET, &["connectors", name, "offsets"]);
        let response = self.send(call).await?;
        let offsets: Option<Offsets> = read(response).await?;
        let offset = offsets.and_then(|o| o.offsets.into_iter().find_map(|o| o.offset));
        Ok(offset.map_or(Progress::Nothing, |offset| progress_of(&offset)))
    }

    /// Stops reading, or goes on where it stopped. The slot keeps what comes meanwhile.
    pub async fn pause(&self, name: &str, pause: bool) -> Result<(), ConnectError> {
        let verb = if pause { "pause" } else { "resume" };
        let call = self.call(reqwest::Method::PUT, &["connectors", name, verb]);
        accept(self.send(call).await?).await
    }

    /// Starts failed tasks again.
    pub async fn restart_failed(&self, name: &str) -> Result<(), ConnectError> {
        let mut url = self.url(&["connectors", name, "restart"]);
        url.set_query(Some("includeTasks=true&onlyFailed=true"));
        let call = self.http.post(url).timeout(CALL_TIMEOUT);
        accept(self.send(call).await?).await
    }

    async fn send(&self, call: reqwest::RequestBuilder) -> Result<reqwest::Response, ConnectError> {
        let request = call.build().map_err(ConnectError::Unreachable)?;
        let span = spans::call(request.method(), request.url());
        let response = spans::within(span.clone(), self.http.execute(request)).await;
        let response = response.map_err(ConnectError::Unreachable)?;
        span.record("http.response.status_code", response.status().as_u16());
        Ok(response)
    }

    fn call(&self, method: reqwest::Method, path: &[&str]) -> reqwest::RequestBuilder {
        self.http
            .request(method, self.url(path))
            .timeout(CALL_TIMEOUT)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        // An http URL always has a path to extend.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

async fn read<Answer: serde::de::DeserializeOwned>(
    response: reqwest::Response,
) -> Result<Option<Answer>, ConnectError> {
    if response.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let response = refuse_errors(response).await?;
    response
        .json()
        .await
        .map(Some)
        .map_err(ConnectError::Unreachable)
}

async fn accept(response: reqwest::Response) -> Result<(), ConnectError> {
    refuse_errors(response).await.map(drop)
}

async fn refuse_errors(response: reqwest::Response) -> Result<reqwest::Response, ConnectError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    // Connect never repeats a password in an error: values are named by their key.
    let answer = response.text().await.map_err(ConnectError::Unreachable)?;
    Err(ConnectError::Refused {
        status: status.as_u16(),
        answer: shorten(&answer),
    })
}

fn shorten(text: &str) -> String {
    text.chars().take(ANSWER_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_tells_whether_the_snapshot_is_done() {
        for (offset, expected) in [
            (
                r#"{"snapshot": "INITIAL", "snapshot_completed": false, "lsn": 1}"#,
                Progress::Snapshot,
            ),
            (
                r#"{"snapshot": true, "last_snapshot_record": false}"#,
                Progress::Snapshot,
            ),
            (
                r#"{"snapshot": "INITIAL", "snapshot_completed": true}"#,
                Progress::Streaming,
            ),
            (r#"{"lsn": 7, "txId": 3}"#, Progress::Streaming),
        ] {
            assert_eq!(
                progress_of(&serde_json::from_str(offset).unwrap()),
                expected,
                "{offset}"
            );
        }
    }
}
