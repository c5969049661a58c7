//! The body of a request as its members, before anything is known of them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    problem::{FieldCode, FieldError, Problem, ProblemKind},
    query::refuse,
};

/// Members that are known and not served yet: told apart from a misspelling.
const LATER: [&str; 14] = [
    "fill",
    "having",
    "quantiles",
    "distinct",
    "histogram",
    "funnel",
    "retention",
    "top",
    "other",
    "compare",
    "period",
    "models",
    "join",
    "offset",
];

/// The members of a JSON object in their order, each once.
pub(super) struct Members {
    /// Where the object stands in the body, with a point after it: `""`, or `metrics[0].`.
    path: String,
    members: Vec<(String, Box<RawValue>)>,
}

impl Members {
    /// Reads the body of a request.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Problem::new(ProblemKind::Validation, "The body is not UTF-8."))?;
        let object: Object<Box<RawValue>> =
            serde_json::from_str(text).map_err(|error| match error.classify() {
                // serde_json's texts name a position and what was expected there, never a value.
                serde_json::error::Category::Data => Problem::new(
                    ProblemKind::Validation,
                    "The body must be one JSON object whose members appear once.",
                ),
                _ => Problem::new(
                    ProblemKind::Validation,
                    format!("The body is not JSON: {error}."),
                ),
            })?;
        Self::at(String::new(), object).map_err(|e| Problem::invalid(vec![e]))
    }

    /// The members of an object that stands at `path`.
    pub fn at(path: String, object: Object<Box<RawValue>>) -> Result<Self, FieldError> {
        match object.duplicate {
            Some(name) => Err(refuse(
                &format!("{path}{name}"),
                FieldCode::Duplicate,
                "appears twice",
            )),
            None => Ok(Self {
                path,
                members: object.members,
            }),
        }
    }

    /// Takes a member out and reads it; `null` is as if it was not there.
    pub fn take<T: DeserializeOwned>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, FieldError> {
        let Some(at) = self.members.iter().position(|(n, _)| n == name) else {
            return Ok(None);
        };
        let (_, raw) = self.members.remove(at);
        serde_json::from_str(raw.get())
            .map_err(|_| self.error(name, FieldCode::InvalidValue, format!("must be {expected}")))
    }

    /// An error of the member of that name.
    pub fn error(&self, name: &str, code: FieldCode, message: impl Into<String>) -> FieldError {
        refuse(&format!("{}{name}", self.path), code, message)
    }

    /// An error for each member that nobody took.
    pub fn unknown(&self) -> Vec<FieldError> {
        let unknown = |(name, _): &(String, _)| {
            let message = match LATER.contains(&name.as_str()) {
                true => "is not served yet",
                false => "is not a member of an analytics request",
            };
            self.error(name, FieldCode::UnknownField, message)
        };
        self.members.iter().map(unknown).collect()
    }
}

/// A JSON object in the order of its members; the first name that appears twice is kept apart.
pub(super) struct Object<T> {
    /// Names and values.
    pub members: Vec<(String, T)>,
    /// A name that appears twice.
    pub duplicate: Option<String>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<T>, A::Error> {
                let mut object = Object {
                    members: Vec::new(),
                    duplicate: None,
                };
                let mut seen = std::collections::HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if !seen.insert(name.clone()) {
                        object.duplicate.get_or_insert(name.clone());
                    }
                    object.members.push((name, value));
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(Pairs(std::marker::PhantomData))
    }
}

/// One text or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    /// One.
    One(String),
    /// Several, in their order.
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        }
    }
}
