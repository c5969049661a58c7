//! One HTTP request as ClickHouse's interface means it: who asks, with which parameters, for which statement.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::{
    error::Refusal,
    token::{Kind, tokens},
};

/// Most bytes of a statement that are held in memory. Data of an INSERT whose statement is in the URL is streamed.
const STATEMENT_BYTES_MAX: usize = 64 << 20;

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The name; a server takes `default` when there is none.
    pub user: String,
    /// In clear.
    pub password: String,
}

/// What is asked.
pub struct Asked {
    /// GET is read-only.
    pub method: Method,
    /// Who.
    pub credentials: Credentials,
    /// Parameters of the URL and of a form, without `query`, `user`, `password`, `role`.
    pub params: Vec<(String, String)>,
    /// `role=`, in order.
    pub roles: Vec<String>,
    /// Headers that are sent on.
    pub headers: HeaderMap,
    /// The statement.
    pub content: Content,
}

/// A statement and its data.
pub enum Content {
    /// The whole text.
    Whole(String),
    /// An INSERT whose data follows in the body.
    Data(String, Incoming),
    /// A body that cannot be looked into: compressed, or not text. Perhaps with a statement in the URL.
    Opaque(Option<String>, Opaque),
}

/// What cannot be looked into.
pub enum Opaque {
    /// Streamed.
    Stream(Incoming),
    /// Already read.
    Bytes(Bytes),
}

impl Asked {
    /// The current database.
    pub fn database(&self) -> &str {
        self.param("database")
            .or_else(|| self.headers.get("x-clickhouse-database")?.to_str().ok())
            .unwrap_or("default")
    }

    /// The last value of a parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Reads a request, and its body as far as it may be a statement.
pub async fn read(request: Request<Incoming>) -> Result<Asked, Refusal> {
    let (head, body) = request.into_parts();
    let mut headers = head.headers;
    let mut params: Vec<(String, String)> =
        url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let form = form_boundary(&headers);
    let encoded = headers.contains_key(header::CONTENT_ENCODING)
        || params.iter().any(|(n, v)| n == "decompress" && v != "0");
    let mut query = take(&mut params, "query").pop();
    let content = if let Some(boundary) = form {
        headers.remove(header::CONTENT_TYPE);
        for (name, value) in form_fields(&whole(body).await?, &boundary)? {
            if name == "query" {
                query = Some(value)
            } else {
                params.push((name, value))
            }
        }
        Content::Whole(query.unwrap_or_default())
    } else {
        match query {
            Some(query) if is_data_insert(&query) => Content::Data(query, body),
            query if encoded => Content::Opaque(query, Opaque::Stream(body)),
            query => match (query, String::from_utf8(whole(body).await?.into())) {
                (Some(query), Ok(rest)) if rest.is_empty() => Content::Whole(query),
                // The engine reads URL and body as one text, with a line break between.
                (Some(query), Ok(rest)) => Content::Whole(format!("{query}\n{rest}")),
                (None, Ok(text)) => Content::Whole(text),
                (query, Err(binary)) => {
                    Content::Opaque(query, Opaque::Bytes(binary.into_bytes().into()))
                }
            },
        }
    };
    let credentials = credentials(&mut headers, &mut params)?;
    let roles = take(&mut params, "role");
    for name in [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::HOST,
        header::EXPECT,
    ] {
        headers.remove(name);
    }
    Ok(Asked {
        method: head.method,
        credentials,
        params,
        roles,
        headers,
        content,
    })
}

fn take(params: &mut Vec<(String, String)>, name: &str) -> Vec<String> {
    let (taken, kept) = std::mem::take(params)
        .into_iter()
        .partition(|(n, _)| n == name);
    *params = kept;
    let taken: Vec<(String, String)> = taken;
    taken.into_iter().map(|(_, value)| value).collect()
}

async fn whole(body: Incoming) -> Result<Bytes, Refusal> {
    match Limited::new(body, STATEMENT_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refusal::too_long(STATEMENT_BYTES_MAX))
        }
        Err(error) => Err(Refusal::broken(format!("the body broke off: {error}"))),
    }
}

/// Whether a statement of the URL is an INSERT whose data is the body: it names a format and selects nothing.
fn is_data_insert(query: &str) -> bool {
    let Ok(tokens) = tokens(query) else {
        return false;
    };
    let mut words = tokens.iter().filter_map(|token| match &token.kind {
        Kind::Word(word) => Some(word.to_ascii_uppercase()),
        _ => None,
    });
    if words.next().as_deref() != Some("INSERT") {
        return false;
    }
    let words: Vec<_> = words.collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    (has("FORMAT") || has("VALUES"))
        && !["SELECT", "WITH", "FROM", "WATCH"]
            .iter()
            .any(|word| has(word))
}

/// From the headers, Basic authentication, or the URL, whichever is there.
fn credentials(
    headers: &mut HeaderMap,
    params: &mut Vec<(String, String)>,
) -> Result<Credentials, Refusal> {
    let mut text = |name: &str| Some(headers.remove(name)?.to_str().ok()?.to_owned());
    let (user, key, basic) = (
        text("x-clickhouse-user"),
        text("x-clickhouse-key"),
        text("authorization"),
    );
    let (url_user, url_password) = (take(params, "user").pop(), take(params, "password").pop());
    if user.is_some() || key.is_some() {
        return Ok(Credentials {
            user: user.unwrap_or_else(|| "default".into()),
            password: key.unwrap_or_default(),
        });
    }
    if let Some(basic) = basic {
        let bad = || Refusal::unauthenticated("");
        let coded = basic
            .strip_prefix("Basic ")
            .or_else(|| basic.strip_prefix("basic "))
            .ok_or_else(bad)?;
        let text =
            String::from_utf8(base64_decode(coded.trim()).ok_or_else(bad)?).map_err(|_| bad())?;
        let (user, password) = text.split_once(':').unwrap_or((&text, ""));
        return Ok(Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        });
    }
    let user = url_user.unwrap_or_else(|| "default".into());
    Ok(Credentials {
        user,
        password: url_password.unwrap_or_default(),
    })
}

fn base64_decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

fn form_boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let boundary = kind
        .strip_prefix("multipart/form-data")?
        .split("boundary=")
        .nth(1)?;
    Some(boundary.trim_matches('"').to_owned())
}

/// The fields of a form. Files (external tables) are refused: they would be data that nobody asked for.
fn form_fields(body: &Bytes, boundary: &str) -> Result<Vec<(String, String)>, Refusal> {
    let bad = |text: &str| {
        Refusal::not_implemented(format!("a form that the access front cannot read: {text}"))
    };
    let text = std::str::from_utf8(body).map_err(|_| bad("it is not UTF-8"))?;
    let delimiter = format!("--{boundary}");
    let mut parts = text.split(delimiter.as_str());
    if parts.next().is_some_and(|before| !before.trim().is_empty()) {
        return Err(bad("text before the first field"));
    }
    let mut fields = Vec::new();
    for part in parts {
        if part.starts_with("--") {
            return Ok(fields);
        }
        let part = part
            .strip_prefix("\r\n")
            .and_then(|p| p.strip_suffix("\r\n"))
            .ok_or_else(|| bad("a field's end"))?;
        let (head, value) = part
            .split_once("\r\n\r\n")
            .ok_or_else(|| bad("a field's head"))?;
        if head.contains("filename=") {
            return Err(bad("files are not taken"));
        }
        let name = head
            .split("name=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        fields.push((
            name.ok_or_else(|| bad("a field without name"))?.to_owned(),
            value.to_owned(),
        ));
    }
    Err(bad("it does not end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_insert_with_a_format_has_its_data_in_the_body() {
        assert!(is_data_insert("INSERT INTO d.t (a, b) FORMAT RowBinary"));
        assert!(is_data_insert("insert into `from`.`select` values"));
        assert!(!is_data_insert(
            "insert into d.t select * from x format RowBinary"
        ));
        assert!(!is_data_insert("select 1 format RowBinary"));
        assert!(!is_data_insert("insert into d.t"));
    }

    #[test]
    fn a_form_is_read_field_by_field() {
        let body = Bytes::from(
            "--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nselect\r\n1\r\n--b\r\n\
             Content-Disposition: form-data; name=\"param_x\"\r\n\r\ny\r\n--b--\r\n",
        );
        let fields = form_fields(&body, "b").unwrap();
        assert_eq!(
            fields,
            [
                ("query".into(), "select\r\n1".into()),
                ("param_x".into(), "y".into())
            ]
        );
        assert!(form_fields(&Bytes::from("--b\r\nx"), "b").is_err());
    }
}
