//! One call: admitted, signed, sent, and its answer read, all within its time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use model::{Hook, Ident};
use reqwest::{StatusCode, header, redirect::Policy};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use url::Url;

use crate::{AllowedHosts, Keys, SIGNATURE_HEADER, breaker::Breaker, hosts::Outward};

/// Most bytes of an answer: twice the largest body of a client, since a hook may answer more than it was sent.
pub const ANSWER_BYTES_MAX: usize = 2 << 20;
/// Calls at the same time to one host and port. Further ones wait within their time.
const CALLS_MAX: usize = 64;
/// Idle connections kept for one host.
const IDLE_MAX: usize = 16;

/// What a host answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Whether it says that the body is JSON.
    pub is_json: bool,
    /// The body, at most [`ANSWER_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The installation has no secret to sign with.
    #[error("there is no SEPTEM_HOOK_KEY to sign calls with")]
    NoKey,
    /// The host is not one that may be called.
    #[error("the host is not in SEPTEM_HOOK_HOSTS")]
    HostNotAllowed,
    /// The host failed several times in a row, a moment ago.
    #[error("the host is down")]
    Down,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection, or it broke.
    #[error("the call failed")]
    Failed(#[source] reqwest::Error),
    /// More than [`ANSWER_BYTES_MAX`].
    #[error("the answer is too large")]
    TooLarge,
}

impl CallError {
    /// A word for metrics.
    pub fn class(&self) -> &'static str {
        match self {
            Self::NoKey | Self::HostNotAllowed => "forbidden",
            Self::Down => "down",
            Self::Timeout => "timeout",
            Self::Failed(_) => "failed",
            Self::TooLarge => "too_large",
        }
    }
}

struct Host {
    breaker: Breaker,
    calls: Semaphore,
}

/// Calls hooks. Connections are kept and shared.
pub struct Client {
    http: reqwest::Client,
    keys: Option<Keys>,
    allowed: AllowedHosts,
    /// By `host:port`. They come from the catalogue, so there are not more than hooks in it.
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl Client {
    /// A client; without keys every call fails. The process must have a default rustls provider.
    pub fn new(keys: Option<Keys>, allowed: AllowedHosts) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            // What is called stands in the resource: no proxy of the environment, no other place that an answer names.
            .no_proxy()
            .redirect(Policy::none())
            .dns_resolver(Outward)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent("septem-data")
            .build()?;
        Ok(Self {
            http,
            keys,
            allowed,
            hosts: Mutex::default(),
        })
    }

    /// Whether calls can be signed at all.
    pub fn can_sign(&self) -> bool {
        self.keys.is_some()
    }

    /// POSTs JSON to a hook of a module. `limit` is all the time that there is, waiting included.
    ///
    /// Dropped before it ends, the call may or may not have arrived.
    pub async fn call(
        &self,
        module: &Ident,
        hook: &Hook,
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, CallError> {
        let keys = self.keys.as_ref().ok_or(CallError::NoKey)?;
        let url: Url = hook.url.parse().map_err(|_| CallError::HostNotAllowed)?;
        if !self.allowed.allow(&url) {
            return Err(CallError::HostNotAllowed);
        }
        let host = self.host(&url);
        let deadline = Instant::now() + limit;
        // Waiting for a place says nothing of the host: it answers others meanwhile.
        let Ok(_place) = timeout_at(deadline, host.calls.acquire()).await else {
            return Err(CallError::Timeout);
        };
        if !host.breaker.admits(Instant::now()) {
            return Err(CallError::Down);
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let signature = keys.sign(module, since_epoch.unwrap_or_default().as_secs(), &body);
        let request = self
            .http
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(SIGNATURE_HEADER, signature)
            .body(body);
        let outcome = match timeout_at(deadline, exchange(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(CallError::Timeout),
        };
        match &outcome {
            Ok(answer) if !answer.status.is_server_error() => host.breaker.answered(),
            _ => host.breaker.failed(Instant::now()),
        }
        outcome
    }

    fn host(&self, url: &Url) -> Arc<Host> {
        let name = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hosts.entry(name).or_insert_with(|| {
            Arc::new(Host {
                breaker: Breaker::default(),
                calls: Semaphore::new(CALLS_MAX),
            })
        }))
    }
}

async fn exchange(request: reqwest::RequestBuilder) -> Result<Answer, CallError> {
    let mut response = request.send().await.map_err(failed)?;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|k| k.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_json = kind.eq_ignore_ascii_case("application/json")
        || kind.eq_ignore_ascii_case("application/problem+json");
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(CallError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: response.status(),
        is_json,
        body,
    })
}

/// The URL may hold words that are nobody's business in a log.
fn failed(error: reqwest::Error) -> CallError {
    CallError::Failed(error.without_url())
}
