//! Metrics. Labels come from enums: never a tenant, a path or an error's text.

use std::sync::atomic::AtomicU64;

use http::{Method, StatusCode};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{chain::route::RouteClass, hooks::HookMetrics, problem::ProblemKind};

/// From half a millisecond to the longest deadline, in seconds.
const DURATION_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 35.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// Who ended a streamed reply before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenBy {
    /// It has gone, or took too long for a piece.
    Client,
    /// An error, or the deadline, behind us.
    Server,
}

impl BrokenBy {
    /// Its label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BrokenLabels {
    by: &'static str,
}

/// Every metric of the edge; other parts add theirs to the same registry.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    problems: Family<KindLabels, Counter>,
    broken_off: Family<BrokenLabels, Counter>,
    /// Requests whose handler panicked.
    pub panics: Counter,
    /// Requests that are being answered.
    pub in_flight: Gauge,
    /// Revision of the catalogue that is served.
    pub catalog_revision: Gauge,
    /// Calls to Valkey that failed, ran out of time or were not tried because it was away.
    pub valkey_failures: Counter<u64, AtomicU64>,
    /// How before-hooks answer.
    pub hooks: HookMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let durations: Family<RouteLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        let mut metrics = Self {
            registry: Registry::with_prefix("septem_proxy"),
            requests: Family::default(),
            durations,
            problems: Family::default(),
            broken_off: Family::default(),
            panics: Counter::default(),
            in_flight: Gauge::default(),
            catalog_revision: Gauge::default(),
            valkey_failures: Counter::default(),
            hooks: HookMetrics::default(),
        };
        let r = &mut metrics.registry;
        r.register(
            "requests",
            "Requests answered (route, method, status class)",
            metrics.requests.clone(),
        );
        r.register(
            "request_duration_seconds",
            "Head read to reply written (route)",
            metrics.durations.clone(),
        );
        r.register(
            "problems",
            "Problems answered (kind)",
            metrics.problems.clone(),
        );
        r.register(
            "replies_broken_off",
            "Streamed replies that did not come to their end (by: client, server)",
            metrics.broken_off.clone(),
        );
        r.register("panics", "Handlers that panicked", metrics.panics.clone());
        r.register(
            "requests_in_flight",
            "Requests being answered",
            metrics.in_flight.clone(),
        );
        r.register(
            "catalog_revision",
            "Revision of the catalogue served",
            metrics.catalog_revision.clone(),
        );
        r.register(
            "valkey_failures",
            "Calls to Valkey without an answer",
            metrics.valkey_failures.clone(),
        );
        metrics.hooks.register(r);
        metrics
    }
}

impl Metrics {
    /// Counts one answered request; without a method, one whose head was refused.
    pub fn answered(
        &self,
        route: RouteClass,
        method: Option<&Method>,
        status: StatusCode,
        seconds: f64,
    ) {
        let method = method.map_or("none", method_name);
        let labels = RequestLabels {
            route: route.name(),
            method,
            status: status_class(status),
        };
        self.requests.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&RouteLabels {
                route: route.name(),
            })
            .observe(seconds);
    }

    /// Counts one problem.
    pub fn problem(&self, kind: ProblemKind) {
        self.problems
            .get_or_create(&KindLabels { kind: kind.name() })
            .inc();
    }

    /// Counts one streamed reply that did not come to its end.
    pub fn broken_off(&self, by: BrokenBy) {
        self.broken_off
            .get_or_create(&BrokenLabels { by: by.name() })
            .inc();
    }

    /// The text that Prometheus reads.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to a String cannot fail");
        out
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_odd_methods_are_one_series() {
        let metrics = Metrics::default();
        for i in 0..1000 {
            let method = Method::from_bytes(format!("M{i}").as_bytes()).unwrap();
            metrics.answered(
                RouteClass::Other,
                Some(&method),
                StatusCode::METHOD_NOT_ALLOWED,
                0.001,
            );
        }
        metrics.problem(ProblemKind::NotFound);
        let text = metrics.encode();
        assert_eq!(
            text.matches("septem_proxy_requests_total{").count(),
            1,
            "{text}"
        );
        assert!(text.contains(
            "septem_proxy_requests_total{route=\"other\",method=\"other\",status=\"4xx\"} 1000"
        ));
        assert!(text.contains("septem_proxy_problems_total{kind=\"not-found\"} 1"));
    }
}
