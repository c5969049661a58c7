//! One request whose head is in order: chain, body, handler, reply, log.
//!
//! Everything is answered in `request_filter`; no request of this issue goes to an upstream.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora::{
    Error, ErrorType,
    http::ResponseHeader,
    prelude::HttpPeer,
    proxy::{FailToProxy, ProxyHttp, Session},
};
use prometheus_client::metrics::counter::Counter;
use tokio::time::timeout;

use super::{body, target};
use crate::{
    caller::TraceId,
    chain::{
        Chain, Note, cors,
        real_ip::{Cidr, real_ip},
        route::{Route, RouteClass},
        trace,
    },
    config::Config,
    exchange::{Body, BrokenOff, Reply, Request},
    openapi::docs::Docs,
    problem::{Problem, ProblemKind},
    telemetry::metrics::BrokenBy,
};

/// Longest wait for the next bytes of a body.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time in which a client takes a piece of the reply.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A streamed body is written in pieces of at most this size, so that [`WRITE_TIMEOUT`] asks the same of a client
/// whatever the size of a row: about 2 KiB/s.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// The public listener's application.
pub struct Edge {
    chain: Arc<Chain>,
    trusted_proxies: Vec<Cidr>,
    cors_origins: HashSet<String>,
    problem_base: String,
    docs: Docs,
}

/// What is known of a request from its head to its log line.
pub struct Context {
    started: Instant,
    request_id: String,
    trace: TraceId,
    client: IpAddr,
    route: RouteClass,
    note: Note,
    problem: Option<ProblemKind>,
    /// Who ended a reply in its middle.
    broken: Option<BrokenBy>,
}

/// How a reply was sent.
enum Sent {
    Whole,
    /// The connection ends here, without what would say that the body is complete.
    Broken(BrokenBy),
}

impl Edge {
    /// An application over a chain.
    pub fn new(chain: Arc<Chain>, config: &Config, docs: Docs) -> Self {
        Self {
            chain,
            trusted_proxies: config.trusted_proxies.clone(),
            cors_origins: config.cors_origins.clone(),
            problem_base: config.problem_base.clone(),
            docs,
        }
    }

    fn begin(&self, session: &mut Session, context: &mut Context) {
        let peer = session
            .client_addr()
            .and_then(|a| a.as_inet())
            .map_or(Ipv4Addr::UNSPECIFIED.into(), |a| a.ip());
        let headers = &session.req_header().headers;
        context.client = real_ip(peer, headers, &self.trusted_proxies);
        context.request_id = trace::request_id(headers);
        context.trace = trace::trace_id(headers);
        let downstream = session.as_downstream_mut();
        downstream.set_read_timeout(Some(READ_TIMEOUT));
        downstream.set_write_timeout(Some(WRITE_TIMEOUT));
    }

    async fn serve(&self, session: &mut Session, context: &mut Context) -> Result<Reply, Problem> {
        let target = parse_target(session)?;
        let (method, headers) = (
            session.req_header().method.clone(),
            session.req_header().headers.clone(),
        );
        if let Some(reply) = cors::preflight(&method, &headers, &self.cors_origins) {
            return Ok(reply);
        }
        let route = target
            .path
            .as_deref()
            .map_or(Route::Unknown, |path| Route::parse(&method, path));
        if !is_served(&method) {
            return Err(Problem::method_not_allowed(route.allow()));
        }
        context.route = route.class();
        let (deadline, bytes_max) = (route.deadline(), route.body_bytes_max());
        let writes = route.writes(&method);
        if let Route::Docs { asset } = &route {
            return self.docs.handle(&method, &headers, asset.as_deref());
        }
        let mut handled = false;
        let road = async {
            let trace = context.trace.clone();
            let admitted = self
                .chain
                .admit(route, &method, &headers, trace, &mut context.note)
                .await?;
            let body = if has_body(&method) {
                body::read(session, bytes_max).await?
            } else {
                Bytes::new()
            };
            let path = target.path.unwrap_or_default();
            let request = Request {
                method,
                path,
                raw_path: target.raw_path,
                query: target.query,
                headers,
                body,
            };
            handled = true;
            self.chain.answer(&admitted, &request).await
        };
        match timeout(deadline, road).await {
            Ok(outcome) => outcome,
            // Whoever gave up on a write cannot say that it was not carried out.
            Err(_) if handled && writes => Err(Problem::new(
                ProblemKind::OutcomeUnknown,
                "The write took too long; it may have been carried out.",
            )),
            Err(_) => Err(Problem::new(
                ProblemKind::Timeout,
                "The request took too long.",
            )),
        }
    }

    async fn send(
        &self,
        session: &mut Session,
        context: &Context,
        mut reply: Reply,
    ) -> pingora::Result<Sent> {
        let origin =
            cors::allowed_origin(&session.req_header().headers, &self.cors_origins).cloned();
        cors::allow(&mut reply, origin);
        reply.headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if let Ok(id) = HeaderValue::from_str(&context.request_id) {
            reply
                .headers
                .insert(HeaderName::from_static(trace::REQUEST_ID), id);
        }
        let bodiless = matches!(
            reply.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        match &reply.body {
            _ if bodiless => {}
            Body::Whole(bytes) => {
                reply
                    .headers
                    .insert(header::CONTENT_LENGTH, bytes.len().into());
            }
            // HTTP/2 has frames of its own.
            Body::Stream(_) if session.req_header().version == Version::HTTP_11 => {
                reply.headers.insert(
                    header::TRANSFER_ENCODING,
                    HeaderValue::from_static("chunked"),
                );
            }
            Body::Stream(_) => {}
        }
        let ends_here = bodiless || session.req_header().method == Method::HEAD;
        let head = Box::new(response_head(reply.status, reply.headers)?);
        session
            .as_downstream_mut()
            .write_response_header(head)
            .await?;
        let bytes = match reply.body {
            Body::Whole(bytes) if !ends_here => bytes,
            Body::Stream(pieces) if !ends_here => return Ok(send_pieces(session, pieces).await),
            Body::Whole(_) | Body::Stream(_) => Bytes::new(),
        };
        session
            .as_downstream_mut()
            .write_response_body(bytes, true)
            .await?;
        Ok(Sent::Whole)
    }
}

/// Writes a streamed body to its end. Whoever produces it is asked for the next piece when the client has taken the last.
async fn send_pieces(
    session: &mut Session,
    mut pieces: BoxStream<'static, Result<Bytes, BrokenOff>>,
) -> Sent {
    let downstream = session.as_downstream_mut();
    loop {
        // A panic in the middle is one more way to break off.
        let next = AssertUnwindSafe(pieces.next()).catch_unwind().await;
        let mut piece = match next {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(BrokenOff(_)))) | Err(_) => return Sent::Broken(BrokenBy::Server),
            Ok(None) => break,
        };
        while !piece.is_empty() {
            let part = piece.split_to(piece.len().min(PIECE_BYTES_MAX));
            if downstream.write_response_body(part, false).await.is_err() {
                return Sent::Broken(BrokenBy::Client);
            }
        }
    }
    match downstream.write_response_body(Bytes::new(), true).await {
        Ok(()) => Sent::Whole,
        Err(_) => Sent::Broken(BrokenBy::Client),
    }
}

/// A panic of ours is answered with 500 and counted: the server library would close the connection without a word.
///
/// No async function: that would have room for `work` twice, once as it comes and once where it is waited for.
fn recovered<T>(
    work: impl Future<Output = Result<T, Problem>>,
    panics: &Counter,
) -> impl Future<Output = Result<T, Problem>> {
    AssertUnwindSafe(work).catch_unwind().map(|outcome| {
        outcome.unwrap_or_else(|_| {
            panics.inc();
            Err(Problem::new(
                ProblemKind::Internal,
                "Something went wrong here.",
            ))
        })
    })
}

fn parse_target(session: &Session) -> Result<target::Target, Problem> {
    // Of an absolute-form target the authority has been held against Host by then.
    target::parse(
        session
            .req_header()
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str()),
    )
}

fn is_served(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::POST | Method::PATCH | Method::PUT | Method::DELETE
    )
}

fn has_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

fn response_head(status: StatusCode, headers: HeaderMap) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(status, Some(headers.len() + 2))?;
    let mut name = None;
    for (next, value) in headers {
        // The map names a header once, before the first of its values.
        name = next.or(name);
        if let Some(name) = &name {
            head.append_header(name.clone(), value)?;
        }
    }
    Ok(head)
}

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context {
            started: Instant::now(),
            request_id: String::new(),
            trace: TraceId(Arc::from("")),
            client: Ipv4Addr::UNSPECIFIED.into(),
            route: RouteClass::Other,
            note: Note::default(),
            problem: None,
            broken: None,
        }
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        _: &mut Context,
    ) -> pingora::Result<Box<HttpPeer>> {
        Error::e_explain(ErrorType::InternalError, "every request is answered here")
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        context: &mut Context,
    ) -> pingora::Result<bool> {
        self.chain.metrics.in_flight.inc();
        self.begin(session, context);
        let panics = &self.chain.metrics.panics;
        let outcome = recovered(self.serve(session, context), panics).await;
        let reply = match outcome {
            Ok(reply) => reply,
            Err(problem) => {
                context.problem = Some(problem.kind);
                self.chain.metrics.problem(problem.kind);
                problem.into_reply(&self.problem_base, &context.trace)
            }
        };
        if session.as_downstream().get_keepalive().is_some() {
            body::discard(session).await;
        }
        let reply = match reply.body {
            // Its end would be that of the connection, which a broken off one has as well.
            Body::Stream(_) if session.req_header().version == Version::HTTP_10 => {
                let problem = Problem::new(
                    ProblemKind::Validation,
                    "An export is sent over HTTP/1.1 or newer only.",
                );
                context.problem = Some(problem.kind);
                problem.into_reply(&self.problem_base, &context.trace)
            }
            _ => reply,
        };
        match self.send(session, context, reply).await {
            Ok(Sent::Whole) => {}
            Ok(Sent::Broken(by)) => {
                context.broken = Some(by);
                self.chain.metrics.broken_off(by);
                // An error, since the library ends the body of everything else as a complete one.
                return Error::e_explain(ErrorType::WriteError, "the reply broke off");
            }
            // A client that has gone is no error of ours; `logging` tells.
            Err(_) => session.as_downstream_mut().set_keepalive(None),
        }
        Ok(true)
    }

    /// The connection is dropped as it is: nothing that we could still write would be right.
    async fn fail_to_proxy(&self, _: &mut Session, _: &Error, _: &mut Context) -> FailToProxy {
        FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        }
    }

    /// `logging` tells.
    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, context: &mut Context) {
        let elapsed = context.started.elapsed();
        let status = session
            .response_written()
            .map_or(StatusCode::BAD_REQUEST, |head| head.status);
        let method = &session.req_header().method;
        let metrics = &self.chain.metrics;
        metrics.answered(context.route, Some(method), status, elapsed.as_secs_f64());
        metrics.in_flight.dec();
        tracing::info!(
            target: "access",
            tenant = context.note.tenant.map(tracing::field::display),
            user = context.note.user.as_deref(),
            client = %context.client,
            method = %method,
            route = context.route.name(),
            status = status.as_u16(),
            problem = context.problem.map(ProblemKind::name),
            broken_by = context.broken.map(BrokenBy::name),
            bytes = session.body_bytes_sent(),
            duration_ms = elapsed.as_secs_f64() * 1000.0,
            request_id = context.request_id,
            trace_id = &*context.trace.0,
            "request"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_500_and_counted() {
        let panics = Counter::default();
        let fine = recovered(async { Ok(7) }, &panics).await;
        assert_eq!((fine.unwrap(), panics.get()), (7, 0));
        let broken = recovered::<()>(async { panic!("an invariant") }, &panics).await;
        assert_eq!(
            (broken.unwrap_err().kind, panics.get()),
            (ProblemKind::Internal, 1)
        );
    }

    #[test]
    fn a_header_with_two_values_is_sent_twice() {
        let mut headers = HeaderMap::new();
        headers.append(header::VARY, HeaderValue::from_static("Accept"));
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        headers.append(header::ETAG, HeaderValue::from_static("\"1\""));
        let head = response_head(StatusCode::OK, headers).unwrap();
        let values: Vec<_> = head.headers.get_all(header::VARY).iter().collect();
        assert_eq!(values, ["Accept", "Origin"]);
        assert_eq!(head.headers.len(), 3);
    }
}
