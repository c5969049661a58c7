//! The header `Prefer` (RFC 7240).

use http::HeaderMap;

use crate::{
    problem::{FieldCode, FieldError, Problem},
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

/// What happens to a row that meets one with the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// The one that is there takes the values that were sent.
    MergeDuplicates,
    /// The one that is there stays as it is.
    IgnoreDuplicates,
}

/// What a field is that a new record was sent without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Its default.
    Default,
    /// Null.
    Null,
}

/// What becomes of a write that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is kept.
    Commit,
    /// It is undone: a dry run.
    Rollback,
}

/// The preferences that are honoured; `None` where the client has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// `return=…`
    pub returning: Option<Return>,
    /// `count=…`, as an alternative to the parameter.
    pub count: Option<String>,
    /// `numbers=string`: int64 and decimal as JSON strings.
    pub numbers_as_strings: bool,
    /// `resolution=…`
    pub resolution: Option<Resolution>,
    /// `missing=…`
    pub missing: Option<Missing>,
    /// `max-affected=…`: most rows that a write over several may reach.
    pub max_affected: Option<u64>,
    /// `tx=…`
    pub tx: Option<Ending>,
    /// `handling=strict`: an unknown preference is an error.
    pub strict: bool,
}

/// The preferences that one kind of request can honour, beside those of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Honours {
    /// A write of the one record that the path names.
    One,
    /// A new record, or several.
    Create,
    /// A write over several records.
    Several,
}

impl Preferences {
    /// Whether the write is to be undone.
    pub fn is_dry_run(&self) -> bool {
        self.tx == Some(Ending::Rollback)
    }

    /// The text of `Preference-Applied`, or none when nothing was asked that this request honours.
    pub fn applied(&self, honours: Honours) -> Option<String> {
        let mut applied = Vec::new();
        if self.strict {
            applied.push("handling=strict".to_owned());
        }
        applied.extend(self.returning.map(|r| match r {
            Return::Minimal => "return=minimal".to_owned(),
            Return::HeadersOnly => "return=headers-only".to_owned(),
            Return::Representation => "return=representation".to_owned(),
        }));
        if self.numbers_as_strings {
            applied.push("numbers=string".to_owned());
        }
        if honours == Honours::Create {
            applied.extend(self.resolution.map(|r| match r {
                Resolution::MergeDuplicates => "resolution=merge-duplicates".to_owned(),
                Resolution::IgnoreDuplicates => "resolution=ignore-duplicates".to_owned(),
            }));
            applied.extend(self.missing.map(|m| match m {
                Missing::Default => "missing=default".to_owned(),
                Missing::Null => "missing=null".to_owned(),
            }));
        }
        if honours != Honours::One {
            applied.extend(self.max_affected.map(|n| format!("max-affected={n}")));
        }
        applied.extend(self.tx.map(|t| match t {
            Ending::Commit => "tx=commit".to_owned(),
            Ending::Rollback => "tx=rollback".to_owned(),
        }));
        (!applied.is_empty()).then(|| applied.join(", "))
    }

    /// Reads every `Prefer`. Unknown preferences are ignored, as the RFC wants, unless `handling=strict` is among
    /// them; the first of a repeated preference counts. A value that is not known of a preference that changes what
    /// is written is an error in any case: ignoring it would do what the client did not mean.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut preferences = Self::default();
        let mut unknown = None;
        for value in headers.get_all("prefer") {
            for preference in value.to_str().unwrap_or_default().split(',') {
                let preference = preference.split(';').next().unwrap_or_default().trim();
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                let name = name.trim().to_ascii_lowercase();
                let value = value.trim().trim_matches('"');
                if !name.is_empty() && !preferences.take(&name, value)? {
                    unknown = Some(name.chars().take(64).collect::<String>());
                }
            }
        }
        match unknown {
            Some(name) if preferences.strict => {
                let message = format!("the preference {name} is unknown");
                Err(refused(message))
            }
            _ => Ok(preferences),
        }
    }

    /// Takes one preference; false when it is not known.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, Problem> {
        let wrong = |values: &str| Err(refused(format!("{name} is {values}")));
        match (name, value) {
            ("return", "minimal") => _ = self.returning.get_or_insert(Return::Minimal),
            ("return", "headers-only") => _ = self.returning.get_or_insert(Return::HeadersOnly),
            ("return", "representation") => {
                _ = self.returning.get_or_insert(Return::Representation)
            }
            ("count", kind) => _ = self.count.get_or_insert_with(|| kind.to_owned()),
            ("numbers", "string") => self.numbers_as_strings = true,
            ("numbers", "number") | ("handling", "lenient") => {}
            ("handling", "strict") => self.strict = true,
            ("resolution", "merge-duplicates") => {
                _ = self.resolution.get_or_insert(Resolution::MergeDuplicates)
            }
            ("resolution", "ignore-duplicates") => {
                _ = self.resolution.get_or_insert(Resolution::IgnoreDuplicates)
            }
            ("resolution", _) => return wrong("merge-duplicates or ignore-duplicates"),
            ("missing", "default") => _ = self.missing.get_or_insert(Missing::Default),
            ("missing", "null") => _ = self.missing.get_or_insert(Missing::Null),
            ("missing", _) => return wrong("default or null"),
            ("tx", "commit") => _ = self.tx.get_or_insert(Ending::Commit),
            ("tx", "rollback") => _ = self.tx.get_or_insert(Ending::Rollback),
            ("tx", _) => return wrong("commit or rollback"),
            ("max-affected", number) => {
                let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                match number.parse() {
                    Ok(number) if digits => _ = self.max_affected.get_or_insert(number),
                    _ => return wrong("a number of rows"),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn refused(message: String) -> Problem {
    let error: FieldError = refuse("Prefer", FieldCode::InvalidValue, message);
    Problem::invalid(vec![error])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Preferences, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("prefer", value.parse().unwrap());
        }
        Preferences::parse(&headers)
    }

    #[test]
    fn preferences_are_read_from_every_header() {
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
        assert!(parse(&["wait=10, handling=strict"]).is_err());
        assert!(parse(&["tx=rollback"]).unwrap().is_dry_run());
        assert!(parse(&[]).unwrap() == Preferences::default());
    }

    #[test]
    fn what_changes_a_write_is_never_guessed() {
        for wrong in [
            "tx=maybe",
            "tx",
            "resolution=replace",
            "missing=zero",
            "max-affected=-1",
            "max-affected=+1",
            "max-affected=ten",
            "max-affected=",
            "max-affected=99999999999999999999",
        ] {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_honoured_is_told() {
        let asked = parse(&["return=minimal, missing=default, max-affected=5, tx=rollback, resolution=merge-duplicates, handling=strict, numbers=string"]).unwrap();
        for (honours, expected) in [
            (
                Honours::One,
                "handling=strict, return=minimal, numbers=string, tx=rollback",
            ),
            (
                Honours::Several,
                "handling=strict, return=minimal, numbers=string, max-affected=5, tx=rollback",
            ),
            (
                Honours::Create,
                "handling=strict, return=minimal, numbers=string, resolution=merge-duplicates, missing=default, max-affected=5, tx=rollback",
            ),
        ] {
            assert_eq!(asked.applied(honours).as_deref(), Some(expected));
        }
        assert_eq!(parse(&["wait=1"]).unwrap().applied(Honours::Create), None);
    }
}
