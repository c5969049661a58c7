//! `GET /v1/docs`: a page that shows the OpenAPI document with Swagger UI.
//!
//! Whoever comes gets the page: it holds nothing of any tenant. It fetches `openapi.json` with the token that its
//! reader pastes, or that the tab keeps from before. All that it loads comes from here, as its policy demands.

use std::{collections::BTreeMap, fs, io, path::Path};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::{data::etag::is_none_match, exchange::Reply, problem::Problem};

/// What is taken of `swagger-ui-dist`, and the media type of each.
const TAKEN: [(&str, &str); 2] = [
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("swagger-ui.css", "text/css; charset=utf-8"),
];
/// Nothing from elsewhere and nothing written into the page; the images are those in Swagger UI's style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and what it loads, read once at start.
#[derive(Debug, Default)]
pub struct Docs {
    files: BTreeMap<&'static str, File>,
}

#[derive(Debug)]
struct File {
    media_type: &'static str,
    text: Bytes,
    tag: String,
}

impl Docs {
    /// With the assets of that folder, which is an unpacked `swagger-ui-dist`.
    pub fn read(assets: &Path) -> io::Result<Self> {
        let mut docs = Self::default();
        for (name, media_type) in TAKEN {
            docs.add(name, media_type, fs::read(assets.join(name))?.into());
        }
        let page = include_bytes!("docs/page.html");
        docs.add("", "text/html; charset=utf-8", Bytes::from_static(page));
        let script = include_bytes!("docs/page.js");
        docs.add(
            "page.js",
            "text/javascript; charset=utf-8",
            Bytes::from_static(script),
        );
        let style = include_bytes!("docs/page.css");
        docs.add(
            "page.css",
            "text/css; charset=utf-8",
            Bytes::from_static(style),
        );
        Ok(docs)
    }

    fn add(&mut self, name: &'static str, media_type: &'static str, text: Bytes) {
        let tag = format!("\"{:.32}\"", format!("{:x}", Sha256::digest(&text)));
        let file = File {
            media_type,
            text,
            tag,
        };
        self.files.insert(name, file);
    }

    /// `GET docs` and `GET docs/{asset}`; 404 for all of it where no assets are configured.
    pub fn handle(
        &self,
        method: &Method,
        headers: &HeaderMap,
        asset: Option<&str>,
    ) -> Result<Reply, Problem> {
        let file = self
            .files
            .get(asset.unwrap_or_default())
            .ok_or_else(Problem::not_found)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Problem::method_not_allowed("GET, HEAD"));
        }
        let reply = if is_none_match(headers, &file.tag) {
            Reply::empty(StatusCode::NOT_MODIFIED)
        } else {
            let mut reply = Reply::json(StatusCode::OK, file.text.clone());
            let media_type = HeaderValue::from_static(file.media_type);
            reply.headers.insert(header::CONTENT_TYPE, media_type);
            reply
        };
        Ok(reply
            .with_header(header::ETAG, &file.tag)
            .with_header(header::CACHE_CONTROL, "no-cache")
            .with_header(header::CONTENT_SECURITY_POLICY, POLICY)
            .with_header(header::REFERRER_POLICY, "no-referrer"))
    }
}
