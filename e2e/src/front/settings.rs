//! The settings of a request: the profile's values and bounds, and what the client may change of them.

use std::collections::BTreeMap;

use super::{
    access::{Element, Writability},
    error::Refusal,
};

/// Parameters of the HTTP interface that are no settings.
const NOT_SETTINGS: [&str; 17] = [
    "query",
    "database",
    "default_format",
    "query_id",
    "role",
    "user",
    "password",
    "session_id",
    "session_timeout",
    "session_check",
    "close_session",
    "compress",
    "decompress",
    "buffer_size",
    "quota_key",
    "stacktrace",
    "wait_end_of_query",
];

/// Settings that would undo the fence; nobody but an administrator sends them.
const FENCE: [&str; 3] = [
    "additional_table_filters",
    "additional_result_filter",
    "readonly",
];

/// Whether a parameter of the URL is a setting.
pub fn is_setting(name: &str) -> bool {
    !NOT_SETTINGS.contains(&name) && !name.starts_with("param_")
}

/// A word of the fence that occurs in a text, where no client has any business with it.
pub fn fence_word(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    FENCE[..2]
        .iter()
        .find(|word| text.contains(**word))
        .copied()
}

/// The settings to send: the profile's, then the client's, each checked. `read_only` is the answer's second part.
pub fn resolve(
    profile: &[&Element],
    client: &[(String, String)],
) -> Result<(Vec<(String, String)>, bool), Refusal> {
    let mut bounds: BTreeMap<&str, Bounds<'_>> = BTreeMap::new();
    for element in profile {
        let Element::Setting {
            name,
            value,
            min,
            max,
            writability,
        } = element
        else {
            continue;
        };
        let known = bounds.entry(name).or_default();
        known.value = value.as_deref().or(known.value);
        known.min = min.as_deref().or(known.min);
        known.max = max.as_deref().or(known.max);
        known.writability = writability.or(known.writability);
    }
    let read_only = bounds
        .get("readonly")
        .and_then(|b| b.value)
        .is_some_and(|value| value != "0");
    let strict = bounds.get("readonly").and_then(|b| b.value) == Some("1");
    let mut settings: BTreeMap<String, String> = (bounds.iter())
        .filter(|(name, _)| **name != "readonly")
        .filter_map(|(name, b)| Some(((*name).to_owned(), b.value?.to_owned())))
        .collect();
    for (name, value) in client {
        if FENCE.contains(&name.as_str()) {
            return Err(Refusal::read_only(name));
        }
        let known = bounds.get(name.as_str());
        if known.and_then(|b| b.value) != Some(value) {
            known
                .unwrap_or(&Bounds::default())
                .check(name, value, strict)?;
        }
        settings.insert(name.clone(), value.clone());
    }
    Ok((settings.into_iter().collect(), read_only))
}

#[derive(Debug, Default)]
struct Bounds<'a> {
    value: Option<&'a str>,
    min: Option<&'a str>,
    max: Option<&'a str>,
    writability: Option<Writability>,
}

impl Bounds<'_> {
    fn check(&self, name: &str, value: &str, read_only: bool) -> Result<(), Refusal> {
        if self.writability == Some(Writability::Const) {
            return Err(Refusal::constraint(format!(
                "Setting {name} should not be changed"
            )));
        }
        if read_only && self.writability != Some(Writability::ChangeableInReadonly) {
            return Err(Refusal::read_only(name));
        }
        let number = |text: &str| text.parse::<f64>().ok();
        let Some(asked) = number(value) else {
            return Ok(());
        };
        if let Some(min) = self
            .min
            .filter(|min| number(min).is_some_and(|min| asked < min))
        {
            return Err(Refusal::constraint(format!(
                "Setting {name} shouldn't be less than {min}"
            )));
        }
        // Zero means "no limit" for the limits, which is more than any maximum.
        if let Some(max) = self
            .max
            .filter(|max| number(max).is_some_and(|max| asked > max))
        {
            return Err(Refusal::constraint(format!(
                "Setting {name} shouldn't be greater than {max}"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::ddl::{Statement, parse};

    #[test]
    fn a_client_moves_within_the_profile_and_nowhere_else() {
        let Statement::Create(_, _, _, clauses) = parse(
            "create settings profile p settings readonly = 1, max_execution_time = 30 min 1 max 30 \
             changeable_in_readonly, max_memory_usage = 4 const, log_comment changeable_in_readonly",
        )
        .unwrap() else {
            panic!("not a profile")
        };
        let elements = clauses.settings.unwrap();
        let elements: Vec<_> = elements.iter().collect();
        let ask = |name: &str, value: &str| resolve(&elements, &[(name.into(), value.into())]);
        assert_eq!(ask("log_comment", "x").unwrap().0.len(), 3);
        assert!(ask("max_execution_time", "5").unwrap().1);
        assert_eq!(ask("max_memory_usage", "4").unwrap().0.len(), 2);
        for (name, value, code) in [
            ("max_execution_time", "31", 452),
            ("max_execution_time", "0", 452),
            ("max_memory_usage", "5", 452),
            ("max_threads", "5", 164),
            ("readonly", "0", 164),
            ("additional_table_filters", "{}", 164),
        ] {
            assert_eq!(ask(name, value).unwrap_err().code, code, "{name}");
        }
    }
}
