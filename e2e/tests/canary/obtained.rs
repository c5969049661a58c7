//! What one tenant has obtained, with the other's marker looked for in every byte.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use e2e::{Answer, Api};
use reqwest::Method;
use serde_json::Value;

/// Everything that A has obtained so far, looked through at once.
pub struct Obtained<'a> {
    pub api: &'a Api,
    pub marker: &'a str,
    pub statuses: BTreeSet<u16>,
    pub answers: usize,
}

impl Obtained<'_> {
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Answer> {
        let asked = format!("{method} {path} {}", body.as_deref().unwrap_or_default());
        let answer = self
            .api
            .send(method, path, headers, body)
            .await
            .with_context(|| asked.clone())?;
        ensure!(
            !answer.contains(self.marker),
            "B's marker in the answer to {asked}: {:?} {}",
            answer.headers,
            answer.text()
        );
        ensure!(
            answer.status < 500,
            "{asked} answered {}: {}",
            answer.status,
            answer.text()
        );
        self.statuses.insert(answer.status);
        self.answers += 1;
        Ok(answer)
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, &[], Some(body.to_string()))
            .await
    }
}
