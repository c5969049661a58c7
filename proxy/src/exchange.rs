//! A request as it was asked and a reply as it will be sent, without the server's types.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// The methods that are served, as `Allow` names them.
pub const METHODS: &str = "GET, HEAD, POST, PATCH, PUT, DELETE";

/// A request after the chain: path split and decoded, query decoded and in order, body whole and bounded.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, HEAD, POST, PATCH, PUT or DELETE.
    pub method: Method,
    /// Decoded segments after `/v1` (or `/api/v1`), such as `["data", "crm", "deals"]`.
    pub path: Vec<String>,
    /// The path as it was sent, without the query, for `Link` and `Location`.
    pub raw_path: String,
    /// Decoded parameters in the order of the query string; `+` is a space.
    pub query: Vec<(String, String)>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; empty when there is none.
    pub body: Bytes,
}

/// What is sent back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers of this reply; the chain adds those of every reply.
    pub headers: HeaderMap,
    /// The body; its length becomes `Content-Length`.
    pub body: Bytes,
}

impl Reply {
    /// A JSON body.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let mut reply = Self::empty(status);
        reply.body = body.into();
        reply.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        reply
    }

    /// No body.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// The same with one more header. The value must be visible ASCII, which all of ours are.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("values of our headers are visible ASCII");
        self.headers.insert(name, value);
        self
    }
}
