//! The admin listener: `/live`, `/ready`, `/health` and `/metrics`, for probes and scrapers on a private network.

use std::{sync::Arc, time::Duration};

use kube::ResourceExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use crate::context::{Context, is_listed};

/// A probe's request fits; anything longer is not one.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Connections at once.
const CONNECTIONS_MAX: usize = 32;
/// From the first byte to the last.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until `stopping`.
pub async fn serve(listener: TcpListener, context: Arc<Context>, stopping: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: do not spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            continue;
        };
        let context = Arc::clone(&context);
        tokio::spawn(async move {
            // A prober that went away needs no answer.
            let _ = tokio::time::timeout(EXCHANGE_TIMEOUT, exchange(stream, &context)).await;
            drop(slot);
        });
    }
}

async fn exchange(mut stream: TcpStream, context: &Context) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        if request.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let line = request.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let path = path.split('?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        ("GET" | "HEAD", path) => answer(path, context),
        _ => (
            "405 Method Not Allowed",
            "text/plain",
            String::from("GET only\n"),
        ),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

fn answer(path: &str, context: &Context) -> (&'static str, &'static str, String) {
    let ready = is_listed(&context.models)
        && is_listed(&context.tenants)
        && is_listed(&context.data_planes);
    match path {
        "/live" => ("200 OK", "text/plain", "alive\n".into()),
        "/ready" if ready => ("200 OK", "text/plain", "ready\n".into()),
        "/ready" => (
            "503 Service Unavailable",
            "text/plain",
            "the resources are not listed yet\n".into(),
        ),
        "/health" => {
            let (status, body) = health(context);
            (status, "application/json", format!("{body}\n"))
        }
        "/metrics" => (
            "200 OK",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            context.metrics.encode(),
        ),
        _ => ("404 Not Found", "text/plain", "no such path\n".into()),
    }
}

/// Every DataPlane, and whether work can be done on it. Whoever wants to know why not reads its status.
fn health(context: &Context) -> (&'static str, serde_json::Value) {
    let (mut planes, mut whole) = (serde_json::Map::new(), true);
    for object in context.data_planes.state() {
        let name = object.name_any();
        if !context.config.serves(&name) {
            continue;
        }
        let connected = context.plane(&name).is_ok();
        whole &= connected;
        let state = if connected {
            "connected"
        } else {
            "not connected"
        };
        planes.insert(name, state.into());
    }
    let status = if whole {
        "200 OK"
    } else {
        "503 Service Unavailable"
    };
    (status, serde_json::json!({"dataPlanes": planes}))
}
