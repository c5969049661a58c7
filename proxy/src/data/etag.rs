//! `ETag`, `If-Match`, `If-None-Match`: the version of a record, in quotes.

use http::{HeaderMap, HeaderName, header};

/// The strong tag of a version.
pub(super) fn tag(version: &str) -> String {
    format!("\"{version}\"")
}

/// A precondition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// `*`: any version.
    Any,
    /// One of these. Tags that cannot be ours are left out, so the list may be empty: nothing matches.
    Versions(Vec<i64>),
}

/// `If-Match`, if sent.
pub(super) fn if_match(headers: &HeaderMap) -> Option<IfMatch> {
    let tags = tags(headers, header::IF_MATCH)?;
    if tags.iter().any(|t| t == "*") {
        return Some(IfMatch::Any);
    }
    // Strong comparison, to the letter: a weak tag matches nothing, nor does a number that we do not spell so.
    let version = |text: &String| {
        let version: i64 = text.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?;
        (*text == tag(&version.to_string())).then_some(version)
    };
    Some(IfMatch::Versions(tags.iter().filter_map(version).collect()))
}

/// Whether `If-None-Match` names this tag; comparison is weak.
pub(crate) fn is_none_match(headers: &HeaderMap, tag: &str) -> bool {
    let strong = |t: &String| t.strip_prefix("W/").unwrap_or(t) == tag;
    tags(headers, header::IF_NONE_MATCH)
        .is_some_and(|tags| tags.iter().any(|t| t == "*" || strong(t)))
}

fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Vec<String>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    // Our tags hold no comma, so splitting there only takes apart tags that are not ours.
    let split = |v: &http::HeaderValue| {
        v.to_str()
            .unwrap_or_default()
            .split(',')
            .map(|t| t.trim().to_owned())
            .collect::<Vec<_>>()
    };
    Some(values.flat_map(split).filter(|t| !t.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_strongly_for_writes_and_weakly_for_reads() {
        let of = |name: HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        let if_match = |value| if_match(&of(header::IF_MATCH, value));
        assert_eq!(super::if_match(&HeaderMap::new()), None);
        assert_eq!(if_match("\"3\""), Some(IfMatch::Versions(vec![3])));
        assert_eq!(
            if_match("\"3\", \"4\""),
            Some(IfMatch::Versions(vec![3, 4]))
        );
        assert_eq!(if_match("*"), Some(IfMatch::Any));
        assert_eq!(if_match("W/\"3\""), Some(IfMatch::Versions(vec![])));
        for not_ours in ["3", "\"03\"", "\"+3\"", "\"3", "\"\"", "\""] {
            assert_eq!(if_match(not_ours), Some(IfMatch::Versions(vec![])));
        }
        let none_match = |value| is_none_match(&of(header::IF_NONE_MATCH, value), "\"3\"");
        assert!(none_match("W/\"3\"") && none_match("\"1\",\"3\"") && none_match("*"));
        assert!(!none_match("\"4\"") && !is_none_match(&HeaderMap::new(), "\"3\""));
    }
}
