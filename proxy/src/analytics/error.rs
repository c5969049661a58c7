//! What can go wrong behind an analytics request, and what the client is told of it.

use crate::{
    problem::{FieldCode, Problem, ProblemKind},
    query::refuse,
    telemetry::chain_of,
};

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Role and parameter name different tenants: nothing was sent.
    #[error("the role and the parameter of a query name different tenants")]
    FenceMismatch,
    /// ClickHouse answered with an exception. Its text is not kept: it may repeat values.
    #[error("ClickHouse answered with exception {code} ({name})")]
    Exception {
        /// Its number.
        code: u32,
        /// Its name, such as `TIMEOUT_EXCEEDED`; empty if it told none.
        name: String,
        /// Whether it is about a time zone, which it may not know although we do.
        about_time_zone: bool,
    },
    /// The proxy's own timer, which is later than ClickHouse's.
    #[error("ClickHouse did not answer in time")]
    Timeout,
    /// The answer has more bytes than are kept.
    #[error("the answer has more than {0} bytes")]
    AnswerTooLarge(usize),
    /// No connection, or one that broke.
    #[error("ClickHouse cannot be reached")]
    Unreachable(#[source] clickhouse::error::Error),
    /// The answer is not what was asked for.
    #[error("ClickHouse's answer cannot be read: {0}")]
    Answer(&'static str),
    /// History still loads.
    #[error("the table is not synced yet")]
    NotSynced,
    /// `lastSyncAt` could not be read.
    #[error("PostgreSQL did not tell lastSyncAt")]
    Watermark(#[source] sqlx::Error),
    /// The tenant has as many queries running and waiting as it may.
    #[error("the tenant's queue is full")]
    QueueFull,
    /// The self-test has not passed.
    #[error("the self-test has not passed")]
    Closed,
}

impl Error {
    /// What the client is told; and one log line where it is our fault or a neighbour's.
    pub(super) fn into_problem(self, query_id: &str) -> Problem {
        let problem = self.problem();
        let chain = || chain_of(&self);
        match (&self, problem.kind) {
            (Self::FenceMismatch, _) => tracing::error!(
                query_id,
                fence = true,
                error = chain(),
                "analytics fence fault"
            ),
            (Self::Exception { code, .. }, ProblemKind::Internal) if is_fence_fault(*code) => {
                tracing::error!(
                    query_id,
                    fence = true,
                    error = chain(),
                    "analytics fence fault"
                );
            }
            (_, ProblemKind::Internal) => {
                tracing::error!(query_id, error = chain(), "analytics failed")
            }
            (Self::QueueFull | Self::Closed | Self::NotSynced, _) => {}
            _ => tracing::warn!(query_id, error = chain(), "analytics not answered"),
        }
        problem
    }

    fn problem(&self) -> Problem {
        let problem = Problem::new;
        match self {
            Self::Exception {
                about_time_zone: true,
                ..
            } => Problem::invalid(vec![refuse(
                "timeZone",
                FieldCode::InvalidValue,
                "is not known to the analytics store",
            )]),
            Self::Exception { code, .. } => match code {
                // TIMEOUT_EXCEEDED, TOO_SLOW, QUERY_WAS_CANCELLED.
                159 | 160 | 394 => timeout(),
                // TOO_MANY_ROWS, MEMORY_LIMIT_EXCEEDED, TOO_MANY_ROWS_OR_BYTES, TOO_MANY_BYTES.
                158 | 241 | 396 | 307 => too_large(),
                // QUOTA_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES: time heals both.
                201 | 202 => problem(
                    ProblemKind::Unavailable,
                    "The analytics store is busy. Try again.",
                ),
                // UNKNOWN_TABLE, UNKNOWN_DATABASE: the operator has not made it yet.
                60 | 81 => not_synced(),
                _ => problem(ProblemKind::Internal, "The query could not be answered."),
            },
            Self::Timeout => timeout(),
            Self::AnswerTooLarge(_) => too_large(),
            Self::NotSynced => not_synced(),
            Self::Unreachable(_) | Self::Watermark(_) => problem(
                ProblemKind::Unavailable,
                "Analytics cannot be reached at the moment. Try again.",
            ),
            Self::QueueFull => problem(
                ProblemKind::Unavailable,
                "Too many analytics queries of this tenant are under way. Try again.",
            ),
            Self::Closed => problem(
                ProblemKind::Unavailable,
                "Analytics is not ready yet. Try again.",
            ),
            Self::FenceMismatch | Self::Answer(_) => {
                problem(ProblemKind::Internal, "The query could not be answered.")
            }
        }
    }
}

/// ACCESS_DENIED, UNKNOWN_ROLE, SET_NON_GRANTED_ROLE: the role that shows a tenant its rows is missing or opens
/// nothing. The second fence is then not as the operator left it.
pub(super) fn is_fence_fault(code: u32) -> bool {
    matches!(code, 497 | 511 | 512)
}

fn timeout() -> Problem {
    Problem::new(
        ProblemKind::Timeout,
        "The query took too long and was stopped. Narrow it with filters.",
    )
}

fn too_large() -> Problem {
    let detail = "The query reads or answers more than is allowed. Narrow it with filters, or make fewer groups.";
    Problem::new(ProblemKind::TooLarge, detail)
}

fn not_synced() -> Problem {
    let detail = "Records are still being loaded into analytics. Try again later.";
    Problem {
        retry_after_seconds: Some(5),
        ..Problem::new(ProblemKind::NotSynced, detail)
    }
}

impl From<clickhouse::error::Error> for Error {
    fn from(error: clickhouse::error::Error) -> Self {
        match &error {
            clickhouse::error::Error::BadResponse(text) => match exception_code(text) {
                Some(code) => Self::Exception {
                    code,
                    name: exception_name(text).unwrap_or_default().to_owned(),
                    about_time_zone: code == 36 && text.contains("Cannot load time zone"),
                },
                None => Self::Unreachable(clickhouse::error::Error::BadResponse(
                    "no exception code".into(),
                )),
            },
            clickhouse::error::Error::TimedOut => Self::Timeout,
            _ => Self::Unreachable(error),
        }
    }
}

/// The number in `Code: 159. DB::Exception: …`.
fn exception_code(text: &str) -> Option<u32> {
    let after = text.split_once("Code: ")?.1;
    let end = after
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(after.len());
    after[..end].parse().ok()
}

/// The last word in capitals in brackets, as in `(TIMEOUT_EXCEEDED) (version 26.7)`.
fn exception_name(text: &str) -> Option<&str> {
    let is_name = |t: &&str| {
        t.len() > 3
            && t.bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    text.rsplit('(')
        .filter_map(|part| part.split(')').next())
        .find(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> ProblemKind {
        Error::from(clickhouse::error::Error::BadResponse(text.into()))
            .problem()
            .kind
    }

    #[test]
    fn exceptions_become_problems() {
        let cases = [
            (159, ProblemKind::Timeout),
            (394, ProblemKind::Timeout),
            (158, ProblemKind::TooLarge),
            (241, ProblemKind::TooLarge),
            (307, ProblemKind::TooLarge),
            (396, ProblemKind::TooLarge),
            (202, ProblemKind::Unavailable),
            (60, ProblemKind::NotSynced),
            (497, ProblemKind::Internal),
            (47, ProblemKind::Internal),
        ];
        for (code, kind) in cases {
            assert_eq!(
                kind_of(&format!(
                    "Code: {code}. DB::Exception: x. (A_NAME) (version 26.7.2.1)"
                )),
                kind,
                "{code}"
            );
        }
        assert_eq!(kind_of("502 Bad Gateway"), ProblemKind::Unavailable);
    }

    #[test]
    fn no_text_of_the_engine_reaches_client_or_log() {
        let text = "Code: 6. DB::Exception: Cannot parse string 'canary' (CANNOT_PARSE_TEXT) (version 26.7.2.1)";
        let error = Error::from(clickhouse::error::Error::BadResponse(text.into()));
        assert_eq!(
            error.to_string(),
            "ClickHouse answered with exception 6 (CANNOT_PARSE_TEXT)"
        );
        assert!(!format!("{error:?} {:?}", error.problem()).contains("canary"));
        let zone = "Code: 36. DB::Exception: Cannot load time zone X: In scope. (BAD_ARGUMENTS) (version 26.7.2.1)";
        assert_eq!(kind_of(zone), ProblemKind::Validation);
    }
}
