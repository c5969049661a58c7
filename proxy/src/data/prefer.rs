//! The header `Prefer` (RFC 7240), and headers that would change what a write does and are not served yet.

use http::HeaderMap;

use crate::{
    problem::{FieldCode, Problem},
    query::refuse,
};

/// What comes back of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    /// No body.
    Minimal,
    /// No body, but `Location` and `ETag`.
    HeadersOnly,
    /// The record.
    Representation,
}

/// The preferences that are honoured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// `return=…`
    pub returning: Option<Return>,
    /// `count=…`, as an alternative to the parameter.
    pub count: Option<String>,
    /// `numbers=string`: int64 and decimal as JSON strings.
    pub numbers_as_strings: bool,
}

/// Changes what a write does: ignoring it would do what the client did not mean.
const NOT_SERVED: [&str; 4] = ["resolution", "max-affected", "tx", "missing"];

impl Preferences {
    /// `Preference-Applied` of a write.
    pub fn applied(&self) -> Option<&'static str> {
        Some(match self.returning? {
            Return::Minimal => "return=minimal",
            Return::HeadersOnly => "return=headers-only",
            Return::Representation => "return=representation",
        })
    }

    /// Reads every `Prefer`. Unknown preferences are ignored, as the RFC wants, unless `handling=strict` is among
    /// them; the first of a repeated preference counts.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut preferences = Self::default();
        let (mut strict, mut unknown) = (false, None);
        for value in headers.get_all("prefer") {
            for preference in value.to_str().unwrap_or_default().split(',') {
                let preference = preference.split(';').next().unwrap_or_default().trim();
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                let value = value.trim().trim_matches('"');
                match (name.trim().to_ascii_lowercase().as_str(), value) {
                    ("", _) => {}
                    ("return", "minimal") => {
                        _ = preferences.returning.get_or_insert(Return::Minimal)
                    }
                    ("return", "headers-only") => {
                        _ = preferences.returning.get_or_insert(Return::HeadersOnly)
                    }
                    ("return", "representation") => {
                        preferences.returning.get_or_insert(Return::Representation);
                    }
                    ("count", kind) => _ = preferences.count.get_or_insert_with(|| kind.to_owned()),
                    ("numbers", "string") => preferences.numbers_as_strings = true,
                    ("numbers", "number") | ("handling", "lenient") | ("tx", "commit") => {}
                    ("handling", "strict") => strict = true,
                    (name, _) if NOT_SERVED.contains(&name) => {
                        let message = format!("{name} is not served yet");
                        return Err(Problem::invalid(vec![refuse(
                            "Prefer",
                            FieldCode::InvalidValue,
                            message,
                        )]));
                    }
                    (name, _) => unknown = Some(name.chars().take(64).collect::<String>()),
                }
            }
        }
        match unknown {
            Some(name) if strict => {
                let message = format!("the preference {name} is unknown");
                Err(Problem::invalid(vec![refuse(
                    "Prefer",
                    FieldCode::InvalidValue,
                    message,
                )]))
            }
            _ => Ok(preferences),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_from_every_header() {
        let parse = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().unwrap());
            }
            Preferences::parse(&headers)
        };
        let read = parse(&[
            "return=minimal, wait=10",
            "numbers=string; x=1, return=representation",
        ])
        .unwrap();
        assert_eq!(
            (read.returning, read.numbers_as_strings),
            (Some(Return::Minimal), true)
        );
        assert_eq!(
            parse(&["count=exact"]).unwrap().count.as_deref(),
            Some("exact")
        );
        assert!(parse(&["handling=strict, wait=10"]).is_err());
        assert!(parse(&["tx=rollback"]).is_err());
        assert!(parse(&[]).unwrap() == Preferences::default());
    }
}
