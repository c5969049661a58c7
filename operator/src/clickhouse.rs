//! ClickHouse over HTTP, as its administrator.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use crate::telemetry::spans;

/// A statement of the operator answers within this; creating a table takes milliseconds.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Characters of the server's answer that are kept.
const ANSWER_CHARS_MAX: usize = 300;

/// A statement that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ClickHouseError {
    /// No answer.
    #[error("no answer")]
    Unreachable(#[source] reqwest::Error),
    /// The server's own error.
    #[error("code {code}: {answer}")]
    Refused {
        /// ClickHouse's number, 0 when it did not say.
        code: u32,
        /// The beginning of what it said.
        answer: String,
    },
    /// An answer in another form than asked for.
    #[error("the answer cannot be read")]
    Answer(#[source] serde_json::Error),
}

/// A user of one server.
#[derive(Debug, Clone)]
pub struct ClickHouse {
    http: reqwest::Client,
    endpoint: Url,
    user: String,
    password: SecretString,
}

impl ClickHouse {
    /// A server and a user, from a URL such as `http://user:password@host:8123`.
    pub fn new(http: reqwest::Client, endpoint: Url, user: String, password: SecretString) -> Self {
        Self {
            http,
            endpoint,
            user,
            password,
        }
    }

    /// Host and port of the server.
    pub fn host(&self) -> String {
        let port = self.endpoint.port_or_known_default().unwrap_or(0);
        format!("{}:{port}", self.endpoint.host_str().unwrap_or_default())
    }

    /// Carries out one statement without an answer.
    pub async fn execute(&self, statement: &str) -> Result<(), ClickHouseError> {
        self.send(statement.to_owned()).await.map(drop)
    }

    /// Reads rows; the statement names no format.
    pub async fn fetch<Row: DeserializeOwned>(
        &self,
        statement: &str,
    ) -> Result<Vec<Row>, ClickHouseError> {
        let answer = self.send(format!("{statement} format JSONEachRow")).await?;
        answer
            .lines()
            .map(|line| serde_json::from_str(line).map_err(ClickHouseError::Answer))
            .collect()
    }

    async fn send(&self, statement: String) -> Result<String, ClickHouseError> {
        let span = spans::statement("clickhouse", &statement, Some(&self.endpoint));
        spans::within(span, self.answer(statement)).await
    }

    async fn answer(&self, statement: String) -> Result<String, ClickHouseError> {
        let response = self
            .http
            .post(self.endpoint.clone())
            .timeout(STATEMENT_TIMEOUT)
            .basic_auth(&self.user, Some(self.password.expose_secret()))
            .body(statement)
            .send()
            .await
            .map_err(ClickHouseError::Unreachable)?;
        let code = response.headers().get("X-ClickHouse-Exception-Code");
        let code = code
            .and_then(|c| c.to_str().ok())
            .and_then(|c| c.parse().ok());
        let ok = response.status().is_success() && code.is_none();
        let answer = response
            .text()
            .await
            .map_err(ClickHouseError::Unreachable)?;
        if ok {
            return Ok(answer);
        }
        let answer = answer.chars().take(ANSWER_CHARS_MAX).collect();
        Err(ClickHouseError::Refused {
            code: code.unwrap_or(0),
            answer,
        })
    }
}
