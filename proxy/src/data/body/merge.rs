//! A JSON merge patch (RFC 7396) as steps that one statement of constant text carries out.
//!
//! `{"v": <value>}` puts a value in place of the whole; `{"o": [{"p": […], "d": […], "s": {…}}, …]}` makes an object of
//! what lies at each path, outer ones first, takes away the members `d` and sets the members `s`. Values keep their
//! text, so that every number keeps its digits.

use std::fmt::Write as _;

use super::{object::Object, value::Given};
use crate::{
    json::{self, Wrong},
    problem::FieldCode,
};

/// Most objects in a patch: each is a step over the whole value, and the server keeps what every step has made until the
/// last. 256 objects on a record of the largest size took 700 MB of its temporary files and 6.7 s (EXPLAIN ANALYZE); 32 take
/// an eighth of that.
const OBJECTS_MAX: usize = 32;

/// A patch as it was sent, once it is known to be one; `None` is null.
pub(super) fn check(raw: &str) -> Result<Option<String>, Wrong> {
    Ok(changes(raw)?.map(|_| raw.to_owned()))
}

/// The steps of a patch that [`check`] has let through, as `sql::postgres::update` takes them.
pub(super) fn steps(patch: &str) -> String {
    let steps = changes(patch).expect("a patch is checked when it is read");
    steps.expect("null is no patch")
}

fn changes(raw: &str) -> Result<Option<String>, Wrong> {
    if raw == "null" {
        return Ok(None);
    }
    json::check(raw)?;
    if !raw.starts_with('{') {
        return Ok(Some(format!("{{\"v\":{raw}}}")));
    }
    let mut steps = Vec::new();
    walk(raw, &mut Vec::new(), &mut steps)?;
    Ok(Some(format!("{{\"o\":[{}]}}", steps.join(","))))
}

fn walk(raw: &str, path: &mut Vec<String>, steps: &mut Vec<String>) -> Result<(), Wrong> {
    if steps.len() == OBJECTS_MAX {
        let message = format!("is a patch of more than {OBJECTS_MAX} objects");
        return Err((FieldCode::LimitExceeded, message));
    }
    let object: Object<'_> = serde_json::from_str(raw).map_err(|_| malformed())?;
    let (mut gone, mut set, mut inner) = (Vec::new(), String::new(), Vec::new());
    for (name, given) in object.members() {
        let Given::Json(value) = given else { continue };
        let key = serde_json::to_string(name).map_err(|_| malformed())?;
        match value {
            "null" => gone.push(key),
            object if object.starts_with('{') => inner.push((key, object)),
            value => {
                let comma = if set.is_empty() { "" } else { "," };
                let _ = write!(set, "{comma}{key}:{value}");
            }
        }
    }
    steps.push(format!(
        "{{\"p\":[{}],\"d\":[{}],\"s\":{{{set}}}}}",
        path.join(","),
        gone.join(",")
    ));
    for (key, object) in inner {
        path.push(key);
        walk(object, path, steps)?;
        path.pop();
    }
    Ok(())
}

fn malformed() -> Wrong {
    (FieldCode::InvalidValue, "is not JSON".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_becomes_steps_from_the_outside_in() {
        for (patch, expected) in [
            ("null", None),
            ("[1, 2.50]", Some(r#"{"v":[1, 2.50]}"#)),
            ("\"a\"", Some(r#"{"v":"a"}"#)),
            ("{}", Some(r#"{"o":[{"p":[],"d":[],"s":{}}]}"#)),
            (
                r#"{"a": 1.10, "b": null, "c\"": {"d": null, "e": [{"x": null}]}, "f": {}}"#,
                Some(
                    r#"{"o":[{"p":[],"d":["b"],"s":{"a":1.10}},{"p":["c\""],"d":["d"],"s":{"e":[{"x": null}]}},{"p":["f"],"d":[],"s":{}}]}"#,
                ),
            ),
        ] {
            assert_eq!(changes(patch), Ok(expected.map(str::to_owned)), "{patch}");
        }
        assert_eq!(
            changes(r#"{"a": 1, "a": 2}"#).unwrap_err().0,
            FieldCode::Duplicate
        );
        let wide = |n: usize| {
            let members: Vec<_> = (0..n).map(|i| format!("\"k{i}\": {{}}")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(changes(&wide(OBJECTS_MAX - 1)).is_ok());
        assert_eq!(
            changes(&wide(OBJECTS_MAX)).unwrap_err().0,
            FieldCode::LimitExceeded
        );
    }
}
