//! Reading a body, bounded.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::proxy::Session;

use crate::problem::{Problem, ProblemKind};

/// A body that nobody reads is read away up to this size, so that the connection can be used again.
const DISCARDED_BYTES_MAX: usize = 64 * 1024;
/// And no longer than this.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// The whole body. More than `bytes_max` is refused before it is read, if its length was announced, or as soon as
/// that many have come.
pub async fn read(session: &mut Session, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            ProblemKind::TooLarge,
            format!("The body is larger than {bytes_max} bytes."),
        )
    };
    let announced = announced(session);
    if announced.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    let broken = |_| {
        Problem::new(
            ProblemKind::Validation,
            "The body could not be read to its end.",
        )
    };
    if expects_continue(session) {
        // Written before the body has come, which to the library looks like an answer that ends the connection.
        let keepalive = session.get_keepalive();
        session
            .as_downstream_mut()
            .write_continue_response()
            .await
            .map_err(broken)?;
        session.as_downstream_mut().set_keepalive(keepalive);
    }
    let Some(first) = session
        .as_downstream_mut()
        .read_request_body()
        .await
        .map_err(broken)?
    else {
        return Ok(Bytes::new());
    };
    if announced == Some(first.len() as u64) {
        // Nothing is left but the end; reading it marks the body as done.
        while session
            .as_downstream_mut()
            .read_request_body()
            .await
            .map_err(broken)?
            .is_some()
        {}
        return Ok(first);
    }
    let mut body = BytesMut::from(first);
    while let Some(chunk) = session
        .as_downstream_mut()
        .read_request_body()
        .await
        .map_err(broken)?
    {
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads away a small body that was not asked for. What is larger ends the connection with the reply.
pub async fn discard(session: &mut Session) {
    let small = announced(session).is_none_or(|length| length <= DISCARDED_BYTES_MAX as u64);
    if !small || expects_continue(session) {
        return;
    }
    let session = session.as_downstream_mut();
    let mut read = 0;
    let all = async {
        while !session.is_body_done() {
            match session.read_request_body().await {
                Ok(Some(chunk)) => read += chunk.len(),
                _ => return,
            }
            if read > DISCARDED_BYTES_MAX {
                return;
            }
        }
    };
    // Too slow: then the connection is closed, which is what happens to a body that is not done.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, all).await;
}

fn announced(session: &Session) -> Option<u64> {
    session
        .req_header()
        .headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn expects_continue(session: &Session) -> bool {
    let expect = session.req_header().headers.get(header::EXPECT);
    expect.is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
