//! A collector of traces: takes what is posted to it, and decodes it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Listens until it is dropped.
pub struct Collector {
    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub url: String,
    posted: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

/// A span, with its attributes as text.
#[derive(Debug, Clone)]
pub struct Traced {
    pub span: Span,
    pub attributes: BTreeMap<String, String>,
    /// Of the process.
    pub resource: BTreeMap<String, String>,
}

impl Collector {
    /// One that takes everything.
    pub async fn start() -> Self {
        Self::listen(true).await
    }

    /// One that takes connections, and never answers.
    pub async fn mute() -> Self {
        Self::listen(false).await
    }

    async fn listen(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let posted = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&posted);
        let task = tokio::spawn(async move {
            let mut mute = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                match answers {
                    true => drop(tokio::spawn(take(stream, Arc::clone(&taken)))),
                    false => mute.push(stream),
                }
            }
        });
        Self { url, posted, task }
    }

    /// Every body, as it was posted.
    pub fn posted(&self) -> Vec<Vec<u8>> {
        self.posted.lock().unwrap().clone()
    }

    /// Every span that was posted.
    pub fn spans(&self) -> Vec<Traced> {
        let mut spans = Vec::new();
        for body in self.posted() {
            let request = ExportTraceServiceRequest::decode(&*body).unwrap();
            for of_resource in request.resource_spans {
                let resource = of_resource.resource.unwrap();
                let resource = texts(&resource.attributes);
                let scopes = of_resource.scope_spans.into_iter();
                spans.extend(scopes.flat_map(|s| s.spans).map(|span| Traced {
                    attributes: texts(&span.attributes),
                    resource: resource.clone(),
                    span,
                }));
            }
        }
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let each = attributes.iter().map(|a| {
        let value = a.value.as_ref().and_then(|v| v.value.as_ref());
        (a.key.clone(), value.map(text).unwrap_or_default())
    });
    each.collect()
}

/// Answers the posts of one connection, until it ends.
async fn take(mut stream: TcpStream, posted: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut read = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            if !matches!(stream.read_buf(&mut read).await, Ok(n) if n > 0) {
                return;
            }
        };
        let text = String::from_utf8(read[..head].to_vec()).unwrap();
        assert!(text.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{text}");
        let lower = text.to_lowercase();
        assert!(
            lower.contains("content-type: application/x-protobuf"),
            "{text}"
        );
        let mut lines = lower.lines();
        let length = lines
            .find_map(|l| l.strip_prefix("content-length: "))
            .unwrap();
        let end = head + length.parse::<usize>().unwrap();
        while read.len() < end {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0);
        }
        posted.lock().unwrap().push(read[head..end].to_vec());
        read.drain(..end);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    }
}
