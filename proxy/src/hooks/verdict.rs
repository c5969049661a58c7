//! What a hook's answer means.
//!
//! - 204, or 200 without `records`: the write goes on as it is.
//! - 200 with `records`: it goes on with what they name.
//! - 400, 403, 409 or 422 with a JSON object: the write is refused. Without one it is no word of the module, but of
//!   something before it, such as an ingress that asks for a login.
//! - Everything else is a failure: it says nothing about the write.

use hook::Answer;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::problem::{ERRORS_MAX, FieldCode, FieldError, Problem, ProblemKind};

/// Most characters of a sentence that a module may say to a client.
const SENTENCE_CHARS_MAX: usize = 300;
/// Most characters of a field's name in a refusal.
const FIELD_CHARS_MAX: usize = 64;

/// What becomes of a write.
#[derive(Debug)]
pub(super) enum Verdict<'a> {
    /// It goes on.
    Pass,
    /// It goes on with these in place of its records, in their order.
    Amend(Vec<&'a RawValue>),
    /// It is refused.
    Refuse(Problem),
}

/// An answer that means nothing here. Says what is wrong with it, never what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// Another status than those of the contract.
    #[error("the hook answered status {0}")]
    Status(u16),
    /// Not JSON of the expected form.
    #[error("the hook answered something else than the contract's JSON")]
    Form,
    /// Not as many records as were sent.
    #[error("the hook answered {0} records for {1}")]
    Count(usize, usize),
    /// A value that the model does not take, or a field that is not the hook's to set.
    #[error("the hook answered a value that record {0} cannot take")]
    Value(usize),
}

#[derive(Deserialize)]
struct Passed<'a> {
    #[serde(borrow)]
    records: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Refusal {
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<RefusedField>,
}

#[derive(Deserialize)]
struct RefusedField {
    field: String,
    message: Option<String>,
    row: Option<usize>,
}

/// Reads an answer.
pub(super) fn verdict_of(answer: &Answer) -> Result<Verdict<'_>, Unusable> {
    let status = answer.status.as_u16();
    match status {
        204 => Ok(Verdict::Pass),
        200 if answer.body.is_empty() => Ok(Verdict::Pass),
        200 => {
            let passed: Passed<'_> =
                serde_json::from_slice(&answer.body).map_err(|_| Unusable::Form)?;
            Ok(passed.records.map_or(Verdict::Pass, Verdict::Amend))
        }
        400 | 403 | 409 | 422 => {
            let refusal: Option<Refusal> = serde_json::from_slice(&answer.body).ok();
            let refusal = refusal.filter(|_| answer.is_json);
            let refusal = refusal.ok_or(Unusable::Status(status))?;
            Ok(Verdict::Refuse(problem_of(status, refusal)))
        }
        _ => Err(Unusable::Status(status)),
    }
}

/// 422 is our answer to a reused Idempotency-Key, so a module's 422 is a 400.
fn problem_of(status: u16, refusal: Refusal) -> Problem {
    let kind = match status {
        403 => ProblemKind::Forbidden,
        409 => ProblemKind::Conflict,
        _ => ProblemKind::Validation,
    };
    let detail = refusal.detail.unwrap_or_default();
    let detail = sentence(&detail, SENTENCE_CHARS_MAX);
    let errors = refusal.errors.into_iter().take(ERRORS_MAX);
    let errors = errors.map(|error| FieldError {
        field: sentence(&error.field, FIELD_CHARS_MAX),
        code: FieldCode::Refused,
        message: match error.message.as_deref() {
            None | Some("") => "is refused by the module".to_owned(),
            Some(text) => sentence(text, SENTENCE_CHARS_MAX),
        },
        row: error.row,
    });
    Problem {
        errors: errors.collect(),
        ..Problem::new(
            kind,
            if detail.is_empty() {
                "The module refused the write.".to_owned()
            } else {
                detail
            },
        )
    }
}

/// A module's words as a client may see them: bounded, on one line.
fn sentence(text: &str, chars_max: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(chars_max).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, is_json: bool, body: &str) -> Answer {
        Answer {
            status: status.try_into().unwrap(),
            is_json,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn an_answer_passes_changes_refuses_or_means_nothing() {
        let check = |status, is_json, body: &str, expected: &str| {
            let answer = answer(status, is_json, body);
            let found = match verdict_of(&answer) {
                Ok(Verdict::Pass) => "pass".to_owned(),
                Ok(Verdict::Amend(records)) => format!("amend {}", records.len()),
                Ok(Verdict::Refuse(problem)) => {
                    format!("{} {}", problem.kind.name(), problem.detail)
                }
                Err(unusable) => unusable.to_string(),
            };
            assert_eq!(found, expected, "{status} {body}");
        };
        check(204, false, "", "pass");
        check(200, false, "", "pass");
        check(200, true, "{}", "pass");
        check(200, true, "{\"records\": null}", "pass");
        check(200, true, "{\"records\": [{}, {}]}", "amend 2");
        let form = "the hook answered something else than the contract's JSON";
        check(200, true, "OK", form);
        check(200, true, "[]", form);
        check(200, true, "{\"records\": {}}", form);
        check(400, true, "{\"detail\": \"No.\"}", "validation-error No.");
        check(422, true, "{\"detail\": \"No.\"}", "validation-error No.");
        check(403, true, "{}", "forbidden The module refused the write.");
        check(409, true, "{\"detail\": \"a\\nb\\u0007\"}", "conflict a b ");
        check(403, false, "{}", "the hook answered status 403");
        check(403, true, "<html>", "the hook answered status 403");
        for status in [201, 301, 401, 404, 412, 429, 500, 503] {
            check(
                status,
                true,
                "{}",
                &format!("the hook answered status {status}"),
            );
        }
    }

    #[test]
    fn what_a_module_says_is_bounded() {
        let long = "é".repeat(5_000);
        let errors = vec![serde_json::json!({"field": long, "message": long, "row": 3}); 200];
        let body = serde_json::json!({"detail": long, "errors": errors}).to_string();
        let answer = answer(400, true, &body);
        let Ok(Verdict::Refuse(problem)) = verdict_of(&answer) else {
            panic!("a refusal")
        };
        assert_eq!(problem.detail.chars().count(), 300);
        assert_eq!(problem.errors.len(), ERRORS_MAX);
        let error = &problem.errors[0];
        assert_eq!(error.field.chars().count(), 64);
        assert_eq!(error.message.chars().count(), 300);
        assert_eq!((error.code, error.row), (FieldCode::Refused, Some(3)));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(status in 100u16..600, is_json: bool, body: Vec<u8>) {
            let answer = Answer { status: status.try_into().unwrap(), is_json, body };
            let _ = verdict_of(&answer);
        }
    }
}
