//! What is refused by the look of its head, before anything else reads it (RFC 9112, read strictly).
//!
//! The server library is lenient on purpose: it takes HTTP/1.1 without `Host`, bare LF, `Transfer-Encoding` beside
//! `Content-Length`, a space in the target. A proxy that differs from its neighbours in what a request is can be
//! used to smuggle one, so what is ambiguous ends here, and the connection with it.

use super::target;
use crate::{
    exchange::METHODS,
    problem::{Problem, ProblemKind},
};

/// Most bytes of request line and headers together.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of the request target.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Most header lines.
pub const HEADERS_MAX: usize = 100;

/// Where the head ends in what has been read so far: the index after the empty line. Refuses a head that has grown
/// too big without an end.
pub fn end_of_head(bytes: &[u8]) -> Result<Option<usize>, Problem> {
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .map(|at| at + 4);
    if end.unwrap_or(bytes.len()) <= HEAD_BYTES_MAX {
        return Ok(end);
    }
    // Which of the two it is is known once the request line is.
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    Err(if line.len() > TARGET_BYTES_MAX {
        target_too_long()
    } else {
        headers_too_large()
    })
}

/// Checks a head, from the request line to the empty line.
pub fn check(head: &[u8]) -> Result<(), Problem> {
    let lines = head
        .strip_suffix(b"\n\r\n")
        .filter(|lines| lines.ends_with(b"\r"))
        .ok_or_else(|| bad("The head does not end with an empty line."))?;
    // A CR that is left in a line stood alone, which nothing in it may be.
    let mut lines = lines.split(|b| *b == b'\n').map(|line| {
        line.strip_suffix(b"\r")
            .ok_or_else(|| bad("A line of the head does not end with CR LF."))
    });
    let start = StartLine::parse(lines.next().transpose()?.unwrap_or_default())?;
    let mut fields = Fields::default();
    for line in lines {
        fields.add(line?)?;
    }
    fields.judge(&start)
}

struct StartLine<'a> {
    target: &'a [u8],
    is_1_0: bool,
}

impl<'a> StartLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Problem> {
        let mut words = line.split(|b| *b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad("The request line is not method, target and version."));
        };
        if target.len() > TARGET_BYTES_MAX {
            return Err(target_too_long());
        }
        let is_1_0 = version == b"HTTP/1.0";
        if !(is_1_0 || version == b"HTTP/1.1") {
            return Err(bad("Only HTTP/1.0 and HTTP/1.1 are spoken here."));
        }
        if method.is_empty() || !method.iter().all(|b| is_token(*b)) {
            return Err(bad("The method is malformed."));
        }
        if method == b"CONNECT" {
            let mut problem = Problem::new(ProblemKind::MethodNotAllowed, "This is not a tunnel.");
            problem.allow = Some(METHODS);
            return Err(problem);
        }
        // Beyond what a URI may hold, a path and its query may have what `target::escape` makes a URI of.
        let is_visible = match target.starts_with(b"/") {
            true => target.iter().all(|b| b.is_ascii_graphic() || !b.is_ascii()),
            false => target
                .iter()
                .all(|b| b.is_ascii_graphic() && !target::is_escaped(*b)),
        };
        if target.is_empty() || !is_visible || target.contains(&b'#') {
            return Err(bad("The request target is malformed."));
        }
        Ok(Self { target, is_1_0 })
    }

    /// `http://authority` of an absolute-form target.
    fn authority(&self) -> Option<&'a [u8]> {
        let rest = self
            .target
            .strip_prefix(b"http://")
            .or_else(|| self.target.strip_prefix(b"https://"))?;
        rest.split(|b| matches!(b, b'/' | b'?')).next()
    }
}

/// What the header lines say of the message's form.
#[derive(Default)]
struct Fields<'a> {
    count: usize,
    hosts: Vec<&'a [u8]>,
    lengths: Vec<&'a [u8]>,
    codings: Vec<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn add(&mut self, line: &'a [u8]) -> Result<(), Problem> {
        self.count += 1;
        if self.count > HEADERS_MAX {
            return Err(headers_too_large());
        }
        let colon = line.iter().position(|b| *b == b':');
        let (name, value) = match colon {
            Some(at) => (&line[..at], line[at + 1..].trim_ascii()),
            None => return Err(bad("A header line has no colon.")),
        };
        // Spaces before the colon and folded lines fail here too.
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
            return Err(bad("A header name is malformed."));
        }
        if value.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
            return Err(bad("A header value holds a control character."));
        }
        let lists = [
            (&b"host"[..], &mut self.hosts),
            (b"content-length", &mut self.lengths),
            (b"transfer-encoding", &mut self.codings),
        ];
        for (known, list) in lists {
            if name.eq_ignore_ascii_case(known) {
                list.push(value);
            }
        }
        Ok(())
    }

    fn judge(&self, start: &StartLine<'_>) -> Result<(), Problem> {
        match self.hosts.as_slice() {
            [] if start.is_1_0 => {}
            [host] if host.is_empty() || host.contains(&b'@') || host.contains(&b' ') => {
                return Err(bad("The header Host is malformed."));
            }
            [host] => {
                let in_origin_form = start.target.starts_with(b"/") || start.target == b"*";
                if !in_origin_form && start.authority() != Some(host) {
                    return Err(bad("The request target is not that of this host."));
                }
            }
            _ => return Err(bad("The header Host is needed exactly once.")),
        }
        match (self.lengths.as_slice(), self.codings.as_slice()) {
            ([], []) => Ok(()),
            ([length], [])
                if !length.is_empty()
                    && length.len() <= 18
                    && length.iter().all(u8::is_ascii_digit) =>
            {
                Ok(())
            }
            (_, []) => Err(bad("The header Content-Length is no single number.")),
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && !start.is_1_0 => Ok(()),
            ([], _) => Err(bad(
                "The only Transfer-Encoding read here is chunked, once, with HTTP/1.1.",
            )),
            _ => Err(bad(
                "Transfer-Encoding and Content-Length exclude each other.",
            )),
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn bad(detail: &str) -> Problem {
    Problem::new(ProblemKind::Validation, detail)
}

fn target_too_long() -> Problem {
    Problem::new(ProblemKind::UriTooLong, "The URI is longer than 8 KiB.")
}

fn headers_too_large() -> Problem {
    Problem::new(
        ProblemKind::HeadersTooLarge,
        "The headers are larger than 16 KiB or more than 100.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status_of(head: &str) -> Option<u16> {
        match end_of_head(head.as_bytes()) {
            Ok(Some(end)) => check(&head.as_bytes()[..end]).err(),
            Ok(None) => panic!("{head:?} has no end"),
            Err(problem) => Some(problem),
        }
        .map(|p| p.kind.status().as_u16())
    }

    #[test]
    fn good_heads_pass() {
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nhost:a\r\n\r\n",
            "GET http://a:8080/v1?x HTTP/1.1\r\nHost: a:8080\r\n\r\n",
            "POST /v1/x?y=%20 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked \r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \u{e4}\tb\r\nY:\r\n\r\n",
            "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /v1/x?extra->>\"a\"=eq.{\u{e4}} HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(status_of(head), None, "{head:?}");
        }
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        let with = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\t HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/<b> HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "GET /\r\nHost: a\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "hello\r\n\r\n",
            "\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            &with("X: a\0b"),
            &with("X : 1"),
            &with(" X: 1"),
            &with("X: 1\r\n folded"),
            &with("X"),
            &with(": 1"),
            &with("Content-Length: +1"),
            &with("Content-Length: 1, 1"),
            &with("Content-Length:"),
            &with("Content-Length: 1\r\nContent-Length: 1"),
            &with("Content-Length: 9999999999999999999"),
            &with("Transfer-Encoding: chunked\r\nContent-Length: 1"),
            &with("content-length: 1\r\ntransfer-encoding: chunked"),
            &with("Transfer-Encoding: gzip, chunked"),
            &with("Transfer-Encoding: chunked, chunked"),
            &with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            &with("Transfer-Encoding: identity"),
            &with("Transfer-Encoding: xchunked"),
            &with("Transfer-Encoding: \x0bchunked"),
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(status_of(head), Some(400), "{head:?}");
        }
        assert_eq!(
            status_of("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
            Some(405)
        );
    }

    #[test]
    fn big_heads_are_refused_before_they_end() {
        let target = format!(
            "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
            "x".repeat(TARGET_BYTES_MAX)
        );
        assert_eq!(status_of(&target), Some(414));
        let target = format!("GET /{}", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(
            end_of_head(target.as_bytes()).unwrap_err().kind,
            ProblemKind::UriTooLong
        );
        let headers = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(HEAD_BYTES_MAX)
        );
        assert_eq!(status_of(&headers), Some(431));
        let many = format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: 1\r\n".repeat(100)
        );
        assert_eq!(status_of(&many), Some(431));
        assert!(
            end_of_head(b"GET / HTTP/1.1\r\nHost: a\r\n")
                .unwrap()
                .is_none()
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = end_of_head(&bytes);
            let _ = check(&bytes);
        }
    }
}
