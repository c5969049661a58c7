//! Traces by OTLP over HTTP, as OpenTelemetry's own variables say. Without an endpoint there are none.
//!
//! Spans wait in a queue of 2,048 (`OTEL_BSP_MAX_QUEUE_SIZE`) for a thread that sends them; one that does not fit is dropped.
//! So a collector that is away, or slow, holds up nothing.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData},
};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};
use url::Url;

use super::TARGET;

/// Sending one batch, tries that failed included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Sending what is left at the end.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two lines of the log about spans that were not delivered.
const TELL_INTERVAL: Duration = Duration::from_secs(60);
/// Most of a collector's answer that is read.
const ANSWER_BYTES_MAX: usize = 65_536;
/// What is traced, unless `OTEL_SERVICE_NAME` says otherwise.
const SERVICE: &str = "septem-operator";

const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

/// A variable that makes no sense. Values are not repeated: a URL may hold a password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TracesError {
    /// Not a URL.
    #[error("{0} must be the URL of a collector's OTLP over HTTP, such as http://collector:4318")]
    Endpoint(&'static str),
    /// Another protocol.
    #[error("{0} must be http/protobuf, the one protocol that traces are sent by")]
    Protocol(&'static str),
    /// Another exporter.
    #[error("OTEL_TRACES_EXPORTER must be otlp or none")]
    Exporter,
    /// Not a sampler.
    #[error(
        "OTEL_TRACES_SAMPLER must be always_on, always_off or traceidratio, each also as parentbased_…"
    )]
    Sampler,
    /// Not a share.
    #[error("OTEL_TRACES_SAMPLER_ARG must be the share of traces that are kept, from 0.0 to 1.0")]
    SamplerArg,
    /// Refused by the exporter.
    #[error("traces cannot be sent: {0}")]
    Exporting(String),
}

/// The exporter and what feeds it.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// None where nothing is to be sent. `variable` reads the environment.
    pub fn start(
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, TracesError> {
        // Set to nothing is not set.
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let Some(endpoint) = endpoint(&variable)? else {
            return Ok(None);
        };
        let exporting = |error: &dyn std::error::Error| TracesError::Exporting(error.to_string());
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| exporting(&error))?;
        let client = Client {
            http,
            runtime: Handle::current(),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| exporting(&error))?;
        let exporter = Exporter {
            exporter,
            lost: Mutex::default(),
        };
        let named = variable("OTEL_SERVICE_NAME").is_some()
            || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|a| a.contains("service.name="));
        let mut resource = Resource::builder();
        if !named {
            resource = resource.with_service_name(SERVICE);
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.with_attribute(version).build())
            .with_span_processor(BatchSpanProcessor::builder(exporter).build())
            .build();
        Ok(Some(Self { provider }))
    }

    /// What makes traces of our spans, and of nobody else's: an HTTP client's would follow each other without end.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer: SdkTracer = self.provider.tracer("operator");
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| {
                metadata.is_span() && metadata.target() == TARGET
            }))
    }

    /// Sends what is left, for [`END_TIMEOUT`] at most.
    pub async fn end(self) {
        // It waits for the thread that sends, which waits for the runtime.
        let ended =
            tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(END_TIMEOUT));
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::warn!("the last spans were not delivered");
        }
    }
}

/// Where spans are sent; none where none are.
fn endpoint(
    variable: &impl Fn(&'static str) -> Option<String>,
) -> Result<Option<String>, TracesError> {
    if variable("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let (name, given) = match (variable(TRACES_ENDPOINT), variable(ENDPOINT)) {
        (Some(whole), _) => (TRACES_ENDPOINT, whole),
        (None, Some(base)) => (ENDPOINT, base),
        (None, None) => return Ok(None),
    };
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(_) => return Err(TracesError::Exporter),
    }
    let url = Url::parse(&given).map_err(|_| TracesError::Endpoint(name))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(TracesError::Endpoint(name));
    }
    for name in [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ] {
        match variable(name).as_deref() {
            None => {}
            Some("http/protobuf") => break,
            Some(_) => return Err(TracesError::Protocol(name)),
        }
    }
    // The SDK reads them itself, and keeps every trace of a sampler that it does not know.
    let sampler = variable(SAMPLER);
    let sampler = sampler.as_deref().unwrap_or("parentbased_always_on");
    let share = variable(SAMPLER_ARG).map(|share| share.parse::<f64>());
    match sampler.strip_prefix("parentbased_").unwrap_or(sampler) {
        "always_on" | "always_off" => {}
        "traceidratio" => match share {
            None => {}
            Some(Ok(share)) if (0.0..=1.0).contains(&share) => {}
            _ => return Err(TracesError::SamplerArg),
        },
        _ => return Err(TracesError::Sampler),
    }
    Ok(Some(match name {
        ENDPOINT => format!("{}/v1/traces", given.trim_end_matches('/')),
        _ => given,
    }))
}

/// An exporter whose losses are told.
#[derive(Debug)]
struct Exporter {
    exporter: SpanExporter,
    lost: Mutex<Lost>,
}

/// Spans that were not delivered since it was told last.
#[derive(Debug, Default)]
struct Lost {
    spans: usize,
    told: Option<Instant>,
}

impl Lost {
    /// How many to tell of now; none while it was told of lately.
    fn more(&mut self, spans: usize, now: Instant) -> Option<usize> {
        self.spans += spans;
        let lately = |told| now.duration_since(told) < TELL_INTERVAL;
        if self.told.is_some_and(lately) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.spans))
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.exporter.export(batch).await;
        if let Err(error) = &sent {
            let mut lost = self
                .lost
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(spans) = lost.more(spans, Instant::now()) {
                tracing::warn!(spans, error = %error, "spans were not delivered; told once a minute");
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Our HTTP client on the runtime's threads: batches are sent from a thread that is none of them.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            // Begun here: it sets a timer of the runtime's.
            let mut response = http.execute(request).await?;
            // Read, so that the connection can be used again, and not kept.
            let mut read = 0;
            while let Some(chunk) = response.chunk().await? {
                read += chunk.len();
                if read > ANSWER_BYTES_MAX {
                    break;
                }
            }
            Ok::<_, reqwest::Error>(response)
        });
        let response = sent.await??;
        let mut answer = Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        Ok(answer.body(Bytes::new())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&'static str, &str)]) -> Result<Option<String>, TracesError> {
        endpoint(&|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_endpoint_is_read_as_opentelemetry_says() {
        let is = |variables: &[_], expected: Option<&str>| {
            assert_eq!(
                read(variables).unwrap().as_deref(),
                expected,
                "{variables:?}"
            );
        };
        is(&[], None);
        // A path of ours is added to the one for all signals, and to no other.
        is(
            &[(ENDPOINT, "http://a:4318")],
            Some("http://a:4318/v1/traces"),
        );
        is(&[(ENDPOINT, "http://a/b/")], Some("http://a/b/v1/traces"));
        is(
            &[(TRACES_ENDPOINT, "https://a/x"), (ENDPOINT, "://")],
            Some("https://a/x"),
        );
        let off = [
            ("OTEL_SDK_DISABLED", "True"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ];
        for off in off {
            is(&[(ENDPOINT, "http://a"), off], None);
        }
        let protocols = [
            (ENDPOINT, "http://a"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ];
        is(&protocols, Some("http://a/v1/traces"));
        for (sampler, share) in [
            ("always_off", ""),
            ("parentbased_always_on", "0.1"),
            ("traceidratio", "0.25"),
            ("parentbased_traceidratio", "1"),
        ] {
            let variables = [
                (ENDPOINT, "http://a"),
                (SAMPLER, sampler),
                (SAMPLER_ARG, share),
            ];
            is(&variables, Some("http://a/v1/traces"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_one_sentence_without_the_value() {
        let refused = |name, value: &str, error: TracesError| {
            let found = read(&[(ENDPOINT, "http://a"), (name, value)]).unwrap_err();
            assert_eq!(found, error, "{name}={value}");
            let text = found.to_string();
            assert!(
                text.starts_with("OTEL_") && !text.contains("canary"),
                "{text}"
            );
        };
        for bad in [
            "canary",
            "canary:4318",
            "grpc://canary",
            "http://",
            "unix:///canary",
        ] {
            refused(TRACES_ENDPOINT, bad, TracesError::Endpoint(TRACES_ENDPOINT));
            let base = read(&[(ENDPOINT, bad)]).unwrap_err();
            assert_eq!(base, TracesError::Endpoint(ENDPOINT), "{bad}");
        }
        let protocol = "OTEL_EXPORTER_OTLP_PROTOCOL";
        refused(protocol, "grpc", TracesError::Protocol(protocol));
        refused("OTEL_TRACES_EXPORTER", "canary", TracesError::Exporter);
        refused(SAMPLER, "canary", TracesError::Sampler);
        for share in ["canary", "1.5", "-1", "NaN"] {
            let variables = [
                (ENDPOINT, "http://a"),
                (SAMPLER, "traceidratio"),
                (SAMPLER_ARG, share),
            ];
            assert_eq!(read(&variables), Err(TracesError::SamplerArg), "{share}");
        }
    }

    #[test]
    fn losses_are_told_once_a_minute_and_all_of_them() {
        let mut lost = Lost::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(lost.more(3, start), Some(3));
        assert_eq!(lost.more(4, after(5)), None);
        assert_eq!(lost.more(5, after(59)), None);
        assert_eq!(lost.more(6, after(60)), Some(15));
        assert_eq!(lost.more(1, after(200)), Some(1));
    }
}
