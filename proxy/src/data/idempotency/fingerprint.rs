//! What was asked, in 32 bytes.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use model::{Action, ModelName, Permission};
use sha2::{Digest as _, Sha256};

use crate::exchange::Request;

/// Preferences that shape what is written or answered. The others may differ between an attempt and the next.
const SHAPING: [&str; 6] = [
    "return",
    "numbers",
    "resolution",
    "missing",
    "max-affected",
    "handling",
];

/// SHA-256 over method, path, query, the headers that shape the write or its answer, the body, and which sensitive
/// fields may be seen: an answer that showed them is not given again to one who may not see them any more.
///
/// Whoever asks is not in it: the key is looked up among the user's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a request.
    pub fn of(request: &Request, held: &HashSet<Permission>) -> Self {
        let mut hash = Parts(Sha256::new());
        hash.part(request.method.as_str());
        hash.list(&request.path);
        hash.list(request.query.iter().flat_map(|(name, value)| [name, value]));
        for name in [header::CONTENT_TYPE, header::ACCEPT, header::IF_MATCH] {
            hash.list(request.headers.get_all(name));
        }
        hash.list(preferences(&request.headers));
        hash.part(&request.body);
        let of_module = |name: &ModelName| {
            let mut path = request.path.iter();
            path.any(|segment| segment == name.module.as_str())
        };
        let is_sight = |p: &&Permission| matches!(p, Permission::Model(name, Action::Sensitive) if of_module(name));
        let mut sight: Vec<_> = held
            .iter()
            .filter(is_sight)
            .map(Permission::to_string)
            .collect();
        sight.sort_unstable();
        // Without any it is as it was before there were such fields.
        if !sight.is_empty() {
            hash.list(sight);
        }
        Self(hash.0.finalize().into())
    }

    /// As it is sent to the database and comes back from it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

/// The first value of each shaping preference, in the order of [`SHAPING`].
fn preferences(headers: &HeaderMap) -> Vec<String> {
    let all: Vec<(String, String)> = headers
        .get_all("prefer")
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(|preference| {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            (name.trim().to_ascii_lowercase(), value.to_owned())
        })
        .collect();
    let first = |name: &&str| all.iter().find(|(n, _)| n == name);
    let named = SHAPING.iter().filter_map(first);
    named
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// A hash of parts, each behind its length: no two lists of parts are the same bytes.
struct Parts(Sha256);

impl Parts {
    fn part(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update(part.len().to_be_bytes());
        self.0.update(part);
    }

    fn list<T: AsRef<[u8]>>(&mut self, parts: impl IntoIterator<Item = T>) {
        let mut count = 0_u64;
        for part in parts {
            self.part(part);
            count += 1;
        }
        self.0.update(count.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn request(
        path: &[&str],
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &str,
    ) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        Request {
            method: Method::POST,
            path: path.iter().map(|p| (*p).to_owned()).collect(),
            raw_path: String::new(),
            query: query
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            headers: map,
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn what_shapes_the_answer_counts_and_nothing_else() {
        let of = |r: Request| Fingerprint::of(&r, &HashSet::new());
        let plain = || request(&["a", "b"], &[], &[], "{}");
        let base = of(plain());
        for (what, other) in [
            ("path", request(&["ab"], &[], &[], "{}")),
            (
                "query",
                request(&["a", "b"], &[("select", "id")], &[], "{}"),
            ),
            ("body", request(&["a", "b"], &[], &[], "{ }")),
            (
                "type",
                request(&["a", "b"], &[], &[("content-type", "text/csv")], "{}"),
            ),
            (
                "version",
                request(&["a", "b"], &[], &[("if-match", "\"1\"")], "{}"),
            ),
            (
                "return",
                request(&["a", "b"], &[], &[("prefer", "return=minimal")], "{}"),
            ),
        ] {
            assert_ne!(of(other), base, "{what}");
        }
        let put = Request {
            method: Method::PUT,
            ..plain()
        };
        assert_ne!(of(put), base);
        for same in [
            &[("prefer", "wait=5, respond-async")][..],
            &[("user-agent", "x"), ("traceparent", "y")],
            &[("idempotency-key", "k")],
        ] {
            assert_eq!(of(request(&["a", "b"], &[], same, "{}")), base);
        }
        let holding = |held: &[&str]| {
            let held = held.iter().map(|p| p.parse().unwrap()).collect();
            Fingerprint::of(&plain(), &held)
        };
        assert_eq!(holding(&["a.b.read", "a.b.write"]), base);
        let sees = holding(&["a.b.sensitive", "a.c.sensitive"]);
        assert_ne!(sees, base);
        assert_ne!(sees, holding(&["a.b.sensitive"]));
        assert_eq!(sees, holding(&["a.c.sensitive", "a.b.sensitive"]));
        assert_eq!(base, holding(&["other.b.sensitive"]));
        let spelled = |prefer| of(request(&["a"], &[], &[("prefer", prefer)], ""));
        assert_eq!(
            spelled("return=minimal, numbers=string"),
            spelled("Numbers=\"string\";x=1,return=minimal,return=representation")
        );
    }
}
