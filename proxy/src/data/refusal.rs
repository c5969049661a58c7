//! What a failed statement is to a client: a problem with fields of the model, never a name or a text of the database.

use model::ModuleModel;
use sql::postgres::{
    RECORD_BYTES_MAX,
    ddl::{check_name, condition_name, primary_key_name, reference_name, unique_name},
    insert::Key,
};

use crate::{
    postgres::DatabaseError,
    problem::{ERRORS_MAX, FieldCode, FieldError, Problem, ProblemKind},
    query::refuse,
    telemetry::chain_of,
};

/// What a client is told to wait for a place for its export: the short ones are done by then.
const EXPORT_RETRY_SECONDS: u64 = 10;

/// The problem of an error that is not going to be tried again. Faults of ours are logged here, once.
pub(super) fn problem_of(model: &ModuleModel, error: DatabaseError) -> Problem {
    match error {
        DatabaseError::Unavailable
        | DatabaseError::TransactionLost
        | DatabaseError::Resources(_) => {
            tracing::warn!(error = chain_of(&error), "the database is not available");
            Problem::new(
                ProblemKind::Unavailable,
                "The database is busy or away. Try again.",
            )
        }
        // 429 and not 503: only the tenant itself can make room.
        DatabaseError::TooManyStreams => Problem {
            retry_after_seconds: Some(EXPORT_RETRY_SECONDS),
            ..Problem::new(
                ProblemKind::RateLimited,
                "As many exports of this tenant are under way as there may be. Try again when one has ended.",
            )
        },
        DatabaseError::Contention => Problem::new(
            ProblemKind::Unavailable,
            "Concurrent writes got in the way. Try again.",
        ),
        DatabaseError::OutcomeUnknown => {
            tracing::warn!(error = chain_of(&error), "a write's outcome is unknown");
            let detail =
                "The connection was lost after the write was sent; it may have been carried out.";
            Problem::new(ProblemKind::OutcomeUnknown, detail)
        }
        DatabaseError::Timeout => Problem::new(ProblemKind::Timeout, "The request took too long."),
        DatabaseError::Locked => Problem {
            retry_after_seconds: Some(1),
            ..Problem::new(
                ProblemKind::Conflict,
                "The record is being changed by somebody else. Try again.",
            )
        },
        DatabaseError::TooLarge => Problem::new(
            ProblemKind::TooLarge,
            "The answer is too large; ask for fewer rows or fields.",
        ),
        DatabaseError::RecordTooLarge => {
            let detail =
                format!("The record would be larger than {RECORD_BYTES_MAX} bytes of JSON text.");
            Problem::new(ProblemKind::TooLarge, detail)
        }
        DatabaseError::NotUnique(constraint) => conflict(not_unique(model, &constraint)),
        DatabaseError::ReferenceMissing(constraint) => {
            let fields = model.fields().iter().filter(|f| f.references.is_some());
            let named = fields.filter(|f| reference_name(model.name(), f) == constraint);
            let named = named.filter(|f| model.shows([&f.name]));
            conflict(named.map(|f| missing_reference(f.name.as_str())).collect())
        }
        DatabaseError::Invalid { constraint, .. } => {
            let named = model
                .fields()
                .iter()
                .find(|f| Some(check_name(model.name(), f)) == constraint);
            match named {
                Some(field) => Problem::invalid(vec![refuse(
                    field.name.as_str(),
                    FieldCode::InvalidValue,
                    "is not allowed",
                )]),
                None => {
                    let checks = model.checks().iter();
                    let mut broken =
                        checks.filter(|c| Some(condition_name(model.name(), c)) == constraint);
                    let detail = match broken.next() {
                        Some(check) => {
                            format!("The record does not fulfil check {}.", check.name.as_str())
                        }
                        None => "A value is not one that the model can hold.".into(),
                    };
                    Problem::new(ProblemKind::Validation, detail)
                }
            }
        }
        DatabaseError::StaleSchema(_)
        | DatabaseError::NothingWritten
        | DatabaseError::Unexpected { .. } => {
            tracing::error!(error = chain_of(&error), "a statement failed");
            Problem::new(
                ProblemKind::Internal,
                "The request could not be carried out.",
            )
        }
    }
}

/// What PostgreSQL alone can tell of a filter, with the parameters that may have it: that a regular expression is none
/// (2201B) or needs more memory than a value may have (XX000: `((a{1,200}){1,200})b`), or that a text or a JSON is too
/// long to be searched (54000: past 1 MiB of distinct words).
///
/// `None` where no parameter asks for such a thing, so that the fault lies elsewhere.
pub(super) fn of_filter(query: &[(String, String)], sqlstate: &str) -> Option<Problem> {
    let (operators, message): (&[&str], _) = match sqlstate {
        "2201B" | "XX000" => (
            &["match", "imatch"],
            "is not a regular expression, or too complex a one",
        ),
        "54000" => (
            &["fts", "plfts", "phfts", "wfts"],
            "has or meets a text that is too long for full text search",
        ),
        _ => return None,
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let asks = |value: &str| {
        let mut words = value.split_inclusive(['.', '(']);
        words.any(|word| {
            let word = word.trim_end_matches(['.', '(']);
            operators.contains(&word.rsplit(|c| !is_name(c)).next().unwrap_or_default())
        })
    };
    let named = query.iter().filter(|(_, value)| asks(value));
    let errors: Vec<_> = named
        .map(|(name, _)| refuse(name, FieldCode::InvalidValue, message))
        .collect();
    (!errors.is_empty()).then(|| Problem::invalid(errors))
}

/// 409 with the fields.
pub(super) fn conflict(mut errors: Vec<FieldError>) -> Problem {
    let detail = match errors.as_slice() {
        [] => "The write conflicts with another record.".to_owned(),
        [one] => format!("{}: {}", one.field, one.message),
        many => format!("{} fields conflict with other records.", many.len()),
    };
    errors.truncate(ERRORS_MAX);
    Problem {
        errors,
        ..Problem::new(ProblemKind::Conflict, detail)
    }
}

/// A reference to a row that is not there, is deleted, or is somebody else's: one and the same.
pub(super) fn missing_reference(field: &str) -> FieldError {
    refuse(
        field,
        FieldCode::ReferenceNotFound,
        "refers to a record that is not there",
    )
}

/// More rows than the client wanted to reach: nothing is written.
pub(super) fn too_many_affected(most: u64) -> Problem {
    let message = format!("max-affected={most} would be exceeded");
    conflict(vec![refuse("Prefer", FieldCode::LimitExceeded, message)])
}

/// What came back is not what was asked for.
pub(super) fn unreadable() -> Problem {
    Problem::new(ProblemKind::Internal, "The records could not be read.")
}

/// The key whose index has that name.
pub(super) fn unique_key<'m>(model: &'m ModuleModel, constraint: &str) -> Option<Key<'m>> {
    if primary_key_name(model.name()) == constraint {
        return Some(Key::Id);
    }
    let mut unique = model.unique().iter();
    unique
        .find(|u| unique_name(model.name(), u) == constraint)
        .map(Key::Unique)
}

/// The fields of the key whose index has that name; none where the caller does not see all of them.
pub(super) fn not_unique(model: &ModuleModel, constraint: &str) -> Vec<FieldError> {
    let taken = |field: &str| refuse(field, FieldCode::NotUnique, "is taken by another record");
    match unique_key(model, constraint) {
        Some(Key::Id) => vec![taken("id")],
        Some(Key::Unique(unique)) if model.shows(&unique.fields) => {
            unique.fields.iter().map(|f| taken(f.as_str())).collect()
        }
        Some(Key::Unique(_)) | None => Vec::new(),
    }
}
