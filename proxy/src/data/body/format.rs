//! What the bytes of a body are.

use http::{HeaderMap, header};

use crate::problem::{Problem, ProblemKind};

/// A media type that records are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Format {
    /// `application/json`: an object or an array of objects.
    Json,
    /// `application/merge-patch+json`: the same, and what is sent for a JSON field is merged into it (RFC 7396).
    MergePatch,
    /// `text/csv`: the first line names the fields.
    Csv,
    /// `application/x-ndjson`: an object a line.
    Ndjson,
}

/// What a new record is read from.
pub(in crate::data) const OF_CREATE: &[Format] = &[Format::Json, Format::Csv, Format::Ndjson];
/// What a change is read from.
pub(in crate::data) const OF_PATCH: &[Format] = &[
    Format::Json,
    Format::MergePatch,
    Format::Csv,
    Format::Ndjson,
];

/// What a change of the one record that a path names is read from.
pub(in crate::data) const OF_CHANGE: &[Format] = &[Format::Json, Format::MergePatch];

impl Format {
    /// The format of a body by its `Content-Type`, 415 where it is none of `formats` in UTF-8. A body that says nothing
    /// is JSON, as with PostgREST.
    pub fn of(headers: &HeaderMap, formats: &[Self]) -> Result<Self, Problem> {
        let mut said = headers.get_all(header::CONTENT_TYPE).iter();
        let Some(first) = said.next() else {
            return Ok(Self::Json);
        };
        let format = first.to_str().ok().and_then(Self::parse);
        match format.filter(|f| formats.contains(f)) {
            Some(format) if said.next().is_none() => Ok(format),
            _ => {
                let names: Vec<_> = formats.iter().map(|f| f.name()).collect();
                let detail = format!("The body is read as {} in UTF-8.", names.join(", "));
                Err(Problem::new(ProblemKind::UnsupportedMediaType, detail))
            }
        }
    }

    /// Whether a body of this format is a list of records rather than one.
    pub(in crate::data) fn is_of_many(self, body: &[u8]) -> bool {
        let first = body.iter().find(|b| !b.is_ascii_whitespace());
        match self {
            Self::Csv | Self::Ndjson => true,
            Self::Json | Self::MergePatch => first == Some(&b'['),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::MergePatch => "application/merge-patch+json",
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split(';').map(str::trim);
        let media = parts.next()?;
        let all = [Self::Json, Self::MergePatch, Self::Csv, Self::Ndjson];
        let format = all
            .into_iter()
            .find(|f| f.name().eq_ignore_ascii_case(media))?;
        let readable = parts.all(|p| {
            let lower = p.to_ascii_lowercase();
            // A CSV whose first line is data would be read wrongly.
            (!lower.starts_with("charset=")
                || matches!(lower.as_str(), "charset=utf-8" | "charset=\"utf-8\""))
                && lower != "header=absent"
        });
        readable.then_some(format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_it_says_or_json() {
        let of = |value: &str, formats| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            Format::of(&headers, formats).ok()
        };
        for (value, on_create, on_patch) in [
            ("application/json", Some(Format::Json), Some(Format::Json)),
            (
                "Application/JSON; charset=UTF-8",
                Some(Format::Json),
                Some(Format::Json),
            ),
            ("application/json; charset=latin1", None, None),
            (
                "application/merge-patch+json",
                None,
                Some(Format::MergePatch),
            ),
            (
                "text/csv; header=present",
                Some(Format::Csv),
                Some(Format::Csv),
            ),
            ("text/csv; header=absent", None, None),
            (
                "application/x-ndjson",
                Some(Format::Ndjson),
                Some(Format::Ndjson),
            ),
            ("text/json", None, None),
            ("", None, None),
        ] {
            assert_eq!(of(value, OF_CREATE), on_create, "{value}");
            assert_eq!(of(value, OF_PATCH), on_patch, "{value}");
        }
        assert_eq!(
            Format::of(&HeaderMap::new(), OF_CREATE).ok(),
            Some(Format::Json)
        );
        let mut both = HeaderMap::new();
        both.append(header::CONTENT_TYPE, "application/json".parse().unwrap());
        both.append(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        assert!(Format::of(&both, OF_CREATE).is_err());
    }
}
