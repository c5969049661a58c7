//! The road of one request: prove who asks, look at the statement, send it on or carry it out, note it.

mod fenced;

use std::{convert::Infallible, sync::Arc, time::Instant};

use chrono::Utc;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::{
    config::Config,
    ddl,
    engine::{Answer, Body, Engine, Login, full},
    error::Refusal,
    inspect::Inspection,
    journal::{Entry, Journal, time},
    keeper::Keeper,
    request::{Asked, Content, Opaque, read},
    session::{Principal, authenticate},
    system,
};

/// Engine's codes that mean "valid, but there is nowhere to keep it" or "I know no such name": the front decides.
const ACCESS_CODES: [u32; 7] = [0, 180, 192, 199, 511, 514, 523];

/// The front.
pub struct Front {
    config: Config,
    engine: Engine,
    keeper: Keeper,
    journal: Journal,
    /// What `EXPLAIN AST` said of a text, since the proxy sends the same few texts again and again.
    inspections: std::sync::Mutex<std::collections::HashMap<String, Arc<Inspection>>>,
    /// The tables of `system` in the engine; one refresh at a time.
    written: tokio::sync::Mutex<system::Written>,
}

impl Front {
    /// Reads the state file.
    pub fn new(config: Config) -> std::io::Result<Self> {
        Ok(Self {
            engine: Engine::new(&config),
            keeper: Keeper::open(config.state.clone())?,
            journal: Journal::default(),
            inspections: std::sync::Mutex::default(),
            written: tokio::sync::Mutex::default(),
            config,
        })
    }

    /// Serves until the listener fails or the future is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> std::io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            let front = self.clone();
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let service = service_fn(|request| {
                    let front = front.clone();
                    async move { Ok::<_, Infallible>(front.answer(request).await) }
                });
                let mut http = http1::Builder::new();
                let connection = http
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended early");
                }
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match request.uri().path() {
            "/" => {}
            "/ping" if self.engine.ping().await => return Response::new(full("Ok.\n")),
            "/ping" => return refused(&Refusal::broken("the engine does not answer")),
            path => {
                return refused(&Refusal::not_implemented(format!(
                    "There is no handle {path}"
                )));
            }
        }
        let begun = Instant::now();
        let asked = match read(request).await {
            Ok(asked) => asked,
            Err(refusal) => return refused(&refusal),
        };
        let mut entry = Entry {
            r#type: "QueryFinish",
            event_time: String::new(),
            query_duration_ms: 0,
            query_id: asked
                .param("query_id")
                .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned),
            query: match &asked.content {
                Content::Whole(text) | Content::Data(text, _) | Content::Opaque(Some(text), _) => {
                    text.clone()
                }
                Content::Opaque(None, _) => String::new(),
            },
            user: asked.credentials.user.clone(),
            roles: asked.roles.clone(),
            log_comment: asked.param("log_comment").unwrap_or_default().to_owned(),
            exception_code: 0,
            read_rows: 0,
            read_bytes: 0,
            http_status: 0,
        };
        let query_id = entry.query_id.clone();
        let response = self
            .carry_out(asked, &query_id)
            .await
            .unwrap_or_else(|refusal| {
                tracing::info!(user = entry.user, code = refusal.code, "refused");
                refused(&refusal)
            });
        entry.http_status = response.status().as_u16();
        entry.exception_code = header_number(response.headers(), "x-clickhouse-exception-code");
        if entry.exception_code != 0 {
            entry.r#type = "ExceptionBeforeStart";
        }
        let summary = response
            .headers()
            .get("x-clickhouse-summary")
            .and_then(|s| serde_json::from_slice(s.as_bytes()).ok());
        let summary: serde_json::Value = summary.unwrap_or_default();
        let number = |name: &str| {
            summary[name]
                .as_str()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0)
        };
        entry.read_rows = number("read_rows");
        entry.read_bytes = number("read_bytes");
        entry.event_time = time(Utc::now());
        entry.query_duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.journal.note(entry);
        response
    }

    async fn carry_out(&self, asked: Asked, query_id: &str) -> Result<Response<Body>, Refusal> {
        let (access, _) = self.keeper.current();
        match authenticate(&self.config, &access, &asked.credentials, &asked.roles)? {
            Principal::Admin => self.as_admin(asked).await,
            Principal::User(rights) => {
                let user = asked.credentials.user.clone();
                let _running = self.journal.begin(query_id, &user);
                self.as_user(&rights, asked_parts(&asked), asked.content, query_id)
                    .await
            }
        }
    }

    /// An administrator reaches the engine as it is, except for what the engine has no place for.
    async fn as_admin(&self, asked: Asked) -> Result<Response<Body>, Refusal> {
        let database = asked.database().to_owned();
        let Asked {
            method,
            mut params,
            headers,
            content,
            ..
        } = asked;
        let body = match content {
            Content::Whole(text) if ddl::is_access(&text) => {
                return self.change(&params, text, &database).await;
            }
            Content::Whole(text) => match system::rewrite(&text, &self.config.database) {
                Some(rewritten) => {
                    let mut written = self.written.lock().await;
                    let (access, revision) = self.keeper.current();
                    system::refresh(
                        &self.engine,
                        (&access, revision),
                        &self.journal,
                        (&self.config.database, &rewritten.tables),
                        &mut written,
                    )
                    .await?;
                    full(rewritten.sql)
                }
                None => full(text),
            },
            Content::Data(query, body) => {
                params.push(("query".to_owned(), query));
                stream(body)
            }
            Content::Opaque(query, body) => {
                params.extend(query.map(|query| ("query".to_owned(), query)));
                match body {
                    Opaque::Stream(body) => stream(body),
                    Opaque::Bytes(bytes) => full(bytes),
                }
            }
        };
        self.forward(Login::Admin, &method, params, headers, body)
            .await
    }

    /// Access DDL: the engine judges the text, the front keeps the effect.
    async fn change(
        &self,
        params: &[(String, String)],
        text: String,
        database: &str,
    ) -> Result<Response<Body>, Refusal> {
        let Answer { head, code, bytes } = self.engine.ask(params, text.clone()).await?;
        if !ACCESS_CODES.contains(&code) {
            let mut response = Response::from_parts(head, full(bytes));
            clean(response.headers_mut());
            return Ok(response);
        }
        self.keeper.change(&text, database)?;
        Ok(Response::new(full("")))
    }

    /// Sends a statement on. GET stays read-only, although the engine is always asked by POST, which has room.
    async fn forward(
        &self,
        login: Login,
        method: &Method,
        mut params: Vec<(String, String)>,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Body>, Refusal> {
        if *method == Method::GET && !params.iter().any(|(name, _)| name == "readonly") {
            params.push(("readonly".to_owned(), "2".to_owned()));
        }
        let response = self
            .engine
            .send(login, Method::POST, &params, headers, body)
            .await?;
        let (mut head, body) = response.into_parts();
        clean(&mut head.headers);
        Ok(Response::from_parts(head, stream(body)))
    }
}

/// Everything of a request but its content.
fn asked_parts(asked: &Asked) -> fenced::Parts {
    fenced::Parts {
        method: asked.method.clone(),
        database: asked.database().to_owned(),
        params: asked.params.clone(),
        headers: asked.headers.clone(),
    }
}

fn stream(body: Incoming) -> Body {
    body.map_err(Into::into).boxed()
}

/// Headers that hold for one connection only.
fn clean(headers: &mut HeaderMap) {
    for name in ["connection", "keep-alive", "transfer-encoding"] {
        headers.remove(name);
    }
}

fn header_number(headers: &HeaderMap, name: &str) -> u32 {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok())
        .unwrap_or(0)
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let mut response = Response::new(full(format!("{refusal}\n")));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert("x-clickhouse-exception-code", refusal.code.into());
    headers.insert(
        "content-type",
        http::HeaderValue::from_static("text/plain; charset=UTF-8"),
    );
    debug_assert_ne!(refusal.status, StatusCode::OK);
    response
}
