//! A request as it was asked and a reply as it will be sent, without the server's types.

use std::fmt;

use bytes::Bytes;
use futures::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::problem::ProblemKind;

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

/// What is sent behind the head.
pub enum Body {
    /// All of it; its length becomes `Content-Length`.
    Whole(Bytes),
    /// Piece by piece as it comes, of a length that nobody knows. An error is the last item: the connection is then
    /// ended in the middle of the body, so that nobody takes the part for the whole.
    Stream(BoxStream<'static, Result<Bytes, BrokenOff>>),
}

/// A streamed body that has not come to its end, and what the problem would be if it could still be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenOff(pub ProblemKind);

impl Body {
    /// The bytes of a whole body; none of a stream.
    pub fn whole(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Stream(_) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Whole(bytes.into())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => bytes.fmt(f),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// What is sent back.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers of this reply; the chain adds those of every reply.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Reply {
    /// A JSON body.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let mut reply = Self::empty(status);
        reply.body = Body::Whole(body.into());
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
            body: Body::Whole(Bytes::new()),
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
