//! One user's connection to the proxy's HTTP API.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::{Method, header::HeaderMap};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

use crate::{Stack, wait};

/// Longer than any deadline of the proxy's own, so that its answer is seen.
const REQUEST_MAX: Duration = Duration::from_secs(40);
/// Long enough for the longest test.
const TOKEN_SECONDS: u64 = 3_600;

/// Speaks to the proxy as one user of one tenant.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    authorization: String,
}

/// What came back, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as it was sent.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing reached the proxy.
    #[error("no connection to the proxy")]
    NotSent(#[source] reqwest::Error),
    /// The request may have been carried out.
    #[error("the answer was lost")]
    Lost(#[source] reqwest::Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    tenant_id: Uuid,
    iss: &'a str,
    aud: &'a str,
    exp: u64,
    jti: Uuid,
}

impl Api {
    /// With a token for `user` of `tenant`, signed by the stack's own key.
    pub fn new(stack: &Stack, tenant: Uuid, user: &str) -> Result<Self> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the clock is before 1970")?
            .as_secs();
        let claims = Claims {
            sub: user,
            tenant_id: tenant,
            iss: &stack.issuer,
            aud: &stack.audience,
            exp: now + TOKEN_SECONDS,
            jti: Uuid::new_v4(),
        };
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        let token = jsonwebtoken::encode(&header, &claims, &stack.key).context("sign a token")?;
        Ok(Self {
            http: reqwest::Client::builder()
                .timeout(REQUEST_MAX)
                .build()
                .context("HTTP client")?,
            base: stack.proxy.as_str().trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {token}"),
        })
    }

    /// What its requests carry as `Authorization`.
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    /// Sends a request; `path` starts with `/` and carries its query, encoded.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Answer, NoAnswer> {
        let url = format!("{}{path}", self.base);
        let mut request = self
            .http
            .request(method, url)
            .header("authorization", &self.authorization);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let lost = |error: reqwest::Error| {
            if error.is_connect() {
                NoAnswer::NotSent(error)
            } else {
                NoAnswer::Lost(error)
            }
        };
        let response = request.send().await.map_err(lost)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.map_err(NoAnswer::Lost)?;
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        Ok(self.send(Method::GET, path, &[], None).await?)
    }

    /// POST of a JSON value.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        Ok(self
            .send(Method::POST, path, &[], Some(body.to_string()))
            .await?)
    }

    /// PATCH with a JSON value.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        Ok(self
            .send(Method::PATCH, path, &[], Some(body.to_string()))
            .await?)
    }

    /// PUT of a JSON value.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        Ok(self
            .send(Method::PUT, path, &[], Some(body.to_string()))
            .await?)
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        Ok(self.send(Method::DELETE, path, &[], None).await?)
    }

    /// An analytics query of a module that must be answered 200.
    pub async fn analytics(&self, module: &str, query: &Value) -> Result<Analytics> {
        let answer = self
            .post(&format!("/v1/data/{module}/analytics"), query)
            .await?;
        serde_json::from_slice(&answer.expect(200)?.body)
            .context("an analytics answer has data and meta")
    }

    /// Waits until analytics promises to hold every write of a model acknowledged before this call.
    pub async fn synced(&self, module: &str, model: &str, limit: Duration) -> Result<()> {
        let now = Utc::now();
        wait::until(
            &format!("lastSyncAt of {module}.{model} to pass {now}"),
            limit,
            async || {
                let answer = self
                    .analytics(module, &json!({"model": model, "aggregate": "count"}))
                    .await?;
                Ok(answer.meta.last_sync_at.filter(|at| *at >= now).map(drop))
            },
        )
        .await
    }
}

/// An analytics answer. Values keep their text: a sum is exact.
#[derive(Debug, serde::Deserialize)]
pub struct Analytics {
    /// One row a group.
    pub data: Vec<BTreeMap<String, Box<RawValue>>>,
    /// How complete it is.
    pub meta: AnalyticsMeta,
}

/// How complete an analytics answer is.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsMeta {
    /// Every write acknowledged up to this instant is in it; null while history loads.
    pub last_sync_at: Option<DateTime<Utc>>,
}

impl Analytics {
    /// The text of a value of the first row, `None` when there is no such row or value.
    pub fn first(&self, name: &str) -> Option<&str> {
        Some(self.data.first()?.get(name)?.get())
    }
}

impl Answer {
    /// Itself if the status is that one, else an error that shows the body.
    pub fn expect(self, status: u16) -> Result<Self> {
        ensure!(
            self.status == status,
            "expected {status}, got {}: {}",
            self.status,
            self.text()
        );
        Ok(self)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `data` as one record whose values keep their text.
    pub fn record(&self) -> Result<BTreeMap<String, Box<RawValue>>> {
        #[derive(serde::Deserialize)]
        struct Body {
            data: BTreeMap<String, Box<RawValue>>,
        }
        let body: Body = serde_json::from_slice(&self.body)
            .with_context(|| format!("not one record: {}", self.text()))?;
        Ok(body.data)
    }

    /// `data.id`.
    pub fn id(&self) -> Result<String> {
        match self.json()?.pointer("/data/id").and_then(Value::as_str) {
            Some(id) => Ok(id.to_owned()),
            None => bail!("no data.id in {}", self.text()),
        }
    }

    /// Whether any byte that the client got (headers, body) contains the text, in any letter case.
    pub fn contains(&self, text: &str) -> bool {
        let needle = text.to_ascii_lowercase();
        let in_headers = self.headers.iter().any(|(name, value)| {
            name.as_str().contains(&needle)
                || String::from_utf8_lossy(value.as_bytes())
                    .to_ascii_lowercase()
                    .contains(&needle)
        });
        in_headers || self.text().to_ascii_lowercase().contains(&needle)
    }

    /// What a client can tell two answers apart by: all but the ids and the clock of the request itself.
    pub fn essence(&self) -> (u16, Vec<(String, String)>, String) {
        const OF_THE_REQUEST: [&str; 5] = [
            "date",
            "traceparent",
            "x-request-id",
            "x-trace-id",
            "request-id",
        ];
        let mut headers: Vec<(String, String)> = self
            .headers
            .iter()
            .filter(|(name, _)| !OF_THE_REQUEST.contains(&name.as_str()))
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        headers.sort();
        let body = match self.json() {
            Ok(Value::Object(mut body)) => {
                body.remove("traceId");
                Value::Object(body).to_string()
            }
            _ => self.text(),
        };
        (self.status, headers, body)
    }
}
