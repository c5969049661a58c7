//! The admin port: `/live`, `/ready`, `/health`, `/metrics`. A service of its own, so that load cannot starve it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use http::{Method, Response, StatusCode, header};
use pingora::{apps::http_app::ServeHttp, protocols::http::ServerSession};
use serde::Serialize;

use crate::{analytics::SelfTest, chain::Chain, telemetry::metrics::Metrics, valkey::Valkey};

/// How the parts are.
pub struct Health {
    chain: Arc<Chain>,
    valkey: OnceLock<Arc<Valkey>>,
    draining: AtomicBool,
    analytics_known: AtomicBool,
}

#[derive(Serialize)]
struct Report {
    ready: bool,
    draining: bool,
    /// Revision of the catalogue that is served; `null` before the first.
    catalog: Option<i64>,
    /// Whether CRUD has connections.
    database: &'static str,
    /// Served without it, slower.
    valkey: &'static str,
    /// What the self-test found; analytics answers 503 unless it has passed.
    analytics: String,
}

impl Health {
    /// Nothing is there yet.
    pub fn new(chain: Arc<Chain>) -> Self {
        let (draining, analytics_known) = (AtomicBool::new(false), AtomicBool::new(false));
        Self {
            chain,
            valkey: OnceLock::new(),
            draining,
            analytics_known,
        }
    }

    /// Reports on that connection from now on.
    pub fn watch(&self, valkey: Arc<Valkey>) {
        // Set once at start.
        let _ = self.valkey.set(valkey);
    }

    /// The first self-test of analytics has come to an end, or takes too long.
    pub fn analytics_known(&self) {
        self.analytics_known.store(true, Ordering::Relaxed);
    }

    /// Not ready from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn report(&self) -> Report {
        let parts = self.chain.parts();
        let catalog = parts
            .and_then(|p| p.catalogs.current())
            .map(|c| c.revision.0);
        let draining = self.draining.load(Ordering::Relaxed);
        let data = parts.and_then(|p| p.data.get());
        let database = if data.is_some_and(|d| d.database.is_ready()) {
            "there"
        } else {
            "away"
        };
        let valkey = if self.valkey.get().is_some_and(|v| v.is_there()) {
            "there"
        } else {
            "away"
        };
        let state = parts.map_or(SelfTest::Pending, |p| p.analytics.state());
        let analytics = match &state {
            SelfTest::Pending => "pending".to_owned(),
            SelfTest::Passed => "passed".to_owned(),
            SelfTest::Failed(what) => format!("failed: {what}"),
        };
        let ready = catalog.is_some()
            && data.is_some()
            && self.analytics_known.load(Ordering::Relaxed)
            && !draining;
        Report {
            ready,
            draining,
            catalog,
            database,
            valkey,
            analytics,
        }
    }
}

/// The admin listener's application.
pub struct Admin {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

impl Admin {
    /// An application over health and metrics.
    pub fn new(health: Arc<Health>, metrics: Arc<Metrics>) -> Self {
        Self { health, metrics }
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        const JSON: &str = "application/json";
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n".into());
        }
        match path {
            "/live" => (StatusCode::OK, TEXT, "live\n".into()),
            "/ready" | "/health" => {
                let report = self.health.report();
                let status = if report.ready {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                (
                    status,
                    JSON,
                    serde_json::to_string(&report).expect("a report is plain data"),
                )
            }
            "/metrics" => {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                (StatusCode::OK, kind, self.metrics.encode())
            }
            _ => (
                StatusCode::NOT_FOUND,
                TEXT,
                "there are /live, /ready, /health and /metrics\n".into(),
            ),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let (status, kind, body) = self.answer(&request.method, request.uri.path());
        let mut response = Response::new(body.into_bytes());
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
        let length = response.body().len();
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
        response
    }
}
