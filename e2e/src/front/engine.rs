//! The engine behind the front.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{config::Config, error::Refusal};

/// Any body, with any error.
pub type Body = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// As whom the engine sees a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// Everything.
    Admin,
    /// SELECT, nowhere in `system`.
    Reader,
    /// SELECT and INSERT, nowhere in `system`.
    Writer,
}

/// A client of the engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    client: Client<HttpConnector, Body>,
    authority: String,
    admin: (String, String),
    password: String,
}

/// A complete answer of the engine.
pub struct Answer {
    /// Status and headers.
    pub head: http::response::Parts,
    /// ClickHouse's error number, 0 if there is none.
    pub code: u32,
    /// The body.
    pub bytes: Bytes,
}

impl Engine {
    /// Connects when first asked. The engine closes idle connections after 30 s, so they are not kept as long.
    pub fn new(config: &Config) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(std::time::Duration::from_secs(10))
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build_http();
        Self {
            client,
            authority: config.engine.clone(),
            admin: (config.admin_user.clone(), config.admin_password.clone()),
            password: config.engine_password.clone(),
        }
    }

    /// Sends a query and returns what the engine answers, streamed both ways.
    pub async fn send(
        &self,
        login: Login,
        method: Method,
        params: &[(String, String)],
        mut headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Incoming>, Refusal> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(params)
            .finish();
        let (user, password) = match login {
            Login::Admin => (self.admin.0.as_str(), self.admin.1.as_str()),
            Login::Reader => ("front_reader", self.password.as_str()),
            Login::Writer => ("front_writer", self.password.as_str()),
        };
        headers.insert("x-clickhouse-user", value(user)?);
        headers.insert("x-clickhouse-key", value(password)?);
        headers.insert(header::HOST, value(&self.authority)?);
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://{}/?{query}", self.authority)
            .parse()
            .map_err(|error| {
                Refusal::broken(format!("the request is too long for the engine: {error}"))
            })?;
        *request.headers_mut() = headers;
        self.client
            .request(request)
            .await
            .map_err(|error| Refusal::broken(format!("the engine is away: {error}")))
    }

    /// Runs a statement as administrator and waits for the whole answer.
    pub async fn ask(
        &self,
        params: &[(String, String)],
        sql: impl Into<Bytes>,
    ) -> Result<Answer, Refusal> {
        let body = full(sql);
        let response = self
            .send(Login::Admin, Method::POST, params, HeaderMap::new(), body)
            .await?;
        let (head, body) = response.into_parts();
        let away = |error: hyper::Error| Refusal::broken(format!("the engine went away: {error}"));
        let bytes = body.collect().await.map_err(away)?.to_bytes();
        let code = head.headers.get("x-clickhouse-exception-code");
        let code = code
            .and_then(|code| code.to_str().ok())
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        Ok(Answer { head, code, bytes })
    }

    /// Like [`Engine::ask`], where an error of the engine is an error of the front.
    pub async fn must(&self, sql: impl Into<Bytes>) -> Result<String, Refusal> {
        let Answer { code, bytes, .. } = self.ask(&[], sql).await?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if code == 0 {
            Ok(text)
        } else {
            Err(Refusal::broken(text))
        }
    }

    /// Whether it is there.
    pub async fn ping(&self) -> bool {
        let uri = format!("http://{}/ping", self.authority);
        let Ok(request) = Request::get(uri).body(full("")) else {
            return false;
        };
        self.client
            .request(request)
            .await
            .is_ok_and(|response| response.status().is_success())
    }
}

/// A body that is known already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

fn value(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text).map_err(|error| Refusal::broken(error.to_string()))
}
