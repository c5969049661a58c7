//! The admin listener: `/live`, `/ready`, `/health`, `/metrics`. Four fixed answers over HTTP/1.1, one a connection.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{chain::chain, metrics::Metrics};

/// A request's head must fit; ours are probes and scrapes.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// From the connection to the last byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections answered at the same time.
const CONNECTIONS_MAX: usize = 16;
/// The pipeline turns four times a second; without a turn for so long it hangs.
const PULSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Shows that the pipeline turns, and that it has begun to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<PulseInner>);

#[derive(Debug)]
struct PulseInner {
    started: Instant,
    ready: AtomicBool,
    /// Milliseconds from `started` to the last turn.
    last: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        let inner = PulseInner {
            started: Instant::now(),
            ready: AtomicBool::new(false),
            last: AtomicU64::new(0),
        };
        Self(Arc::new(inner))
    }
}

impl Pulse {
    /// The pipeline turns.
    pub fn beat(&self) {
        let elapsed = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(elapsed, Ordering::Relaxed);
        self.0.ready.store(true, Ordering::Relaxed);
    }

    /// Nothing more is taken on.
    pub fn drain(&self) {
        self.0.ready.store(false, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }

    /// Until the first turn there is only waiting for other services, which a restart would not help.
    fn is_alive(&self) -> bool {
        let last = Duration::from_millis(self.0.last.load(Ordering::Relaxed));
        !self.is_ready() || self.0.started.elapsed().saturating_sub(last) < PULSE_TIMEOUT
    }
}

/// What the listener tells.
#[derive(Clone)]
pub struct Admin {
    metrics: Metrics,
    pulse: Pulse,
}

impl Admin {
    /// Tells of these.
    pub fn new(metrics: Metrics, pulse: Pulse) -> Self {
        Self { metrics, pulse }
    }

    /// Listens from now on, in a task of its own, until `stop`. Answers the address, should the port have been 0.
    pub async fn listen(
        self,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        tokio::spawn(async move {
            tokio::select! {
                () = self.serve(listener) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(bound)
    }

    async fn serve(self, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let slot = Arc::clone(&slots)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, _)) => {
                    let admin = self.clone();
                    tokio::spawn(async move {
                        // A client that went away or is slow is its own concern.
                        let _ = timeout(REQUEST_TIMEOUT, admin.answer(stream)).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "admin connection not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut head = Vec::with_capacity(1_024);
        while !head.windows(4).any(|w| w == b"\r\n\r\n") {
            if head.len() >= HEAD_BYTES_MAX || stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
        let mut words = line.split(|b| *b == b' ');
        let (method, target) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let path = target.split(|b| *b == b'?').next().unwrap_or_default();
        let (status, kind, body) = self.respond(method, path);
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        if method != b"HEAD" {
            stream.write_all(body.as_bytes()).await?;
        }
        stream.shutdown().await
    }

    fn respond(&self, method: &[u8], path: &[u8]) -> (&'static str, &'static str, String) {
        const OK: &str = "200 OK";
        const UNAVAILABLE: &str = "503 Service Unavailable";
        let text = |is_ok, yes: &str, no: &str| {
            if is_ok {
                (OK, "text/plain", format!("{yes}\n"))
            } else {
                (UNAVAILABLE, "text/plain", format!("{no}\n"))
            }
        };
        if !matches!(method, b"GET" | b"HEAD") {
            return ("405 Method Not Allowed", "text/plain", "only GET\n".into());
        }
        match path {
            b"/live" => text(self.pulse.is_alive(), "alive", "the pipeline hangs"),
            b"/ready" => text(self.pulse.is_ready(), "ready", "starting or draining"),
            b"/health" => self.health(OK, UNAVAILABLE),
            b"/metrics" => match self.metrics.render() {
                Ok(body) => (
                    OK,
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    body,
                ),
                Err(_) => (
                    "500 Internal Server Error",
                    "text/plain",
                    "metrics cannot be written\n".into(),
                ),
            },
            _ => ("404 Not Found", "text/plain", "not found\n".into()),
        }
    }

    fn health(
        &self,
        ok: &'static str,
        unavailable: &'static str,
    ) -> (&'static str, &'static str, String) {
        let health = self.metrics.health();
        let is_ok = self.pulse.is_ready() && health.out_of_range_partitions == 0;
        let mut body = serde_json::json!(health);
        body["status"] = if is_ok {
            "ok".into()
        } else {
            "degraded".into()
        };
        (
            if is_ok { ok } else { unavailable },
            "application/json",
            format!("{body}\n"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probes_tell_starting_from_running() {
        let (pulse, stop) = (Pulse::default(), CancellationToken::new());
        let admin = Admin::new(Metrics::default(), pulse.clone());
        let address = admin
            .listen("127.0.0.1:0".parse().unwrap(), stop.clone())
            .await
            .unwrap();
        let line = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        assert!(
            get(address, &line("/live"))
                .await
                .starts_with("HTTP/1.1 200")
        );
        assert!(
            get(address, &line("/ready"))
                .await
                .starts_with("HTTP/1.1 503")
        );
        pulse.beat();
        assert!(
            get(address, &line("/ready?x=1"))
                .await
                .starts_with("HTTP/1.1 200")
        );
        assert!(
            get(address, &line("/health"))
                .await
                .contains("\"status\":\"ok\"")
        );
        assert!(
            get(address, &line("/metrics"))
                .await
                .contains("septem_sink_rows_total 0")
        );
        assert!(get(address, &line("/x")).await.starts_with("HTTP/1.1 404"));
        assert!(
            get(address, "POST /live HTTP/1.1\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 405")
        );
        pulse.drain();
        assert!(
            get(address, &line("/ready"))
                .await
                .starts_with("HTTP/1.1 503")
        );
        stop.cancel();
    }
}
