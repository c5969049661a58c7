//! A connection before the server library has it: the head of each request is read here, in bounded time and space,
//! and refused by [`framing`] or handed on byte for byte, but for what no URI holds in the target ([`target::escape`]).

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::{
    apps::{HttpServerApp as _, ServerApp},
    protocols::{ALPN, Stream, http::ServerSession},
    proxy::HttpProxy,
    server::ShutdownWatch,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt},
    time::timeout,
};
use uuid::Uuid;

use super::{app::Edge, framing, target};
use crate::{
    caller::TraceId,
    chain::route::RouteClass,
    problem::{Problem, ProblemKind},
    telemetry::metrics::Metrics,
};

/// A connection that says nothing is closed after this time, before its first request and between two.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// From the first byte of a head to its end: a slow drip is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// What a head usually fits.
const HEAD_BYTES_USUAL: usize = 2048;
/// How much of what a refused client still sends is read away, and how long, so that it sees the answer: closing with
/// unread bytes resets the connection.
const LINGER_BYTES_MAX: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// The application of the public listener.
#[derive(Clone)]
pub struct Front {
    proxy: Arc<HttpProxy<Edge>>,
    metrics: Arc<Metrics>,
    problem_base: String,
}

/// What came of reading a head.
enum Head {
    /// Whole and fit to be handed on, with whatever has come after it.
    Fit(BytesMut),
    /// To be answered here.
    Refused(Problem),
    /// The client, or we, ended the connection.
    Ended,
}

impl Front {
    /// In front of that proxy.
    pub fn new(proxy: HttpProxy<Edge>, metrics: Arc<Metrics>, problem_base: String) -> Self {
        Self {
            proxy: Arc::new(proxy),
            metrics,
            problem_base,
        }
    }

    async fn refuse(&self, mut stream: Stream, started: Instant, problem: Problem) {
        let kind = problem.kind;
        let trace = TraceId(Uuid::new_v4().simple().to_string().into());
        let reply = problem.into_reply(&self.problem_base, &trace);
        let status = reply.status;
        self.metrics.problem(kind);
        self.metrics.answered(
            RouteClass::Other,
            None,
            status,
            started.elapsed().as_secs_f64(),
        );
        tracing::info!(
            target: "access",
            client = %peer(&stream),
            route = RouteClass::Other.name(),
            status = status.as_u16(),
            problem = kind.name(),
            duration_ms = started.elapsed().as_secs_f64() * 1000.0,
            trace_id = &*trace.0,
            "request refused by its head"
        );
        // A problem is never streamed.
        let body = reply.body.whole().cloned().unwrap_or_default();
        let mut head = format!(
            "HTTP/1.1 {} {}\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or("Error")
        );
        for (name, value) in &reply.headers {
            head.push_str(&format!(
                "{name}: {}\r\n",
                value.to_str().unwrap_or_default()
            ));
        }
        head.push_str(&format!(
            "content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        ));
        let farewell = async {
            stream.write_all(&[head.as_bytes(), &body].concat()).await?;
            stream.flush().await?;
            AsyncWriteExt::shutdown(&mut stream).await?;
            let (mut read, mut sink) = (0, [0; 4096]);
            while read < LINGER_BYTES_MAX {
                match stream.read(&mut sink).await? {
                    0 => break,
                    n => read += n,
                }
            }
            std::io::Result::Ok(())
        };
        // The client has been told or has gone: either way the connection ends here.
        let _ = timeout(LINGER, farewell).await;
    }
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(
        self: &Arc<Self>,
        mut stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return self.proxy.process_new(stream, shutdown).await;
        }
        loop {
            let started = Instant::now();
            let head = tokio::select! {
                // Biased: a request that has come is served, even while we are stopping.
                biased;
                head = read_head(&mut stream) => head,
                () = stopping(shutdown) => Head::Ended,
            };
            match head {
                Head::Fit(bytes) => {
                    let mut session = ServerSession::new_http1(stream);
                    session.set_pipelined_prefix(bytes);
                    stream = self
                        .proxy
                        .process_new_http(session, shutdown)
                        .await?
                        .consume()
                        .0;
                }
                Head::Refused(problem) => {
                    self.refuse(stream, started, problem).await;
                    return None;
                }
                Head::Ended => return None,
            }
        }
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

async fn stopping(shutdown: &ShutdownWatch) {
    // An error means that the server is gone, which is a stop as well.
    let _ = shutdown.clone().wait_for(|stop| *stop).await;
}

async fn read_head(stream: &mut Stream) -> Head {
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES_USUAL);
    match timeout(IDLE_TIMEOUT, stream.read_buf(&mut bytes)).await {
        Ok(Ok(n)) if n > 0 => {}
        _ => return Head::Ended,
    }
    let whole = async {
        loop {
            // RFC 9112 section 2.2: an empty line before the request line is passed over.
            while bytes.starts_with(b"\r\n") && !bytes.starts_with(b"\r\n\r\n") && bytes.len() > 2 {
                let _ = bytes.split_to(2);
            }
            match framing::end_of_head(&bytes) {
                Ok(Some(end)) => {
                    if let Err(problem) = framing::check(&bytes[..end]) {
                        return Head::Refused(problem);
                    }
                    let all = std::mem::take(&mut bytes);
                    return Head::Fit(match target::escape(&all[..end]) {
                        None => all,
                        Some(head) => [head.as_slice(), &all[end..]].concat().as_slice().into(),
                    });
                }
                Ok(None) => {}
                Err(problem) => return Head::Refused(problem),
            }
            match stream.read_buf(&mut bytes).await {
                Ok(n) if n > 0 => {}
                _ => return Head::Ended,
            }
        }
    };
    let slow = || {
        Head::Refused(Problem::new(
            ProblemKind::Validation,
            "The head of the request took too long.",
        ))
    };
    timeout(HEAD_TIMEOUT, whole)
        .await
        .unwrap_or_else(|_| slow())
}

fn peer(stream: &Stream) -> IpAddr {
    let digest = stream.get_socket_digest();
    let address = digest
        .as_ref()
        .and_then(|d| d.peer_addr())
        .and_then(|a| a.as_inet());
    address.map_or(Ipv4Addr::UNSPECIFIED.into(), |a| a.ip())
}
