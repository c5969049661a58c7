//! Calls to a module before or after a write.

use serde::{Deserialize, Serialize};
use url::Url;

/// Shortest and longest that one call may take, in milliseconds. A client waits for a before-hook while it runs, and
/// module back ends have 5 s in all (DESIGN 11).
pub const HOOK_TIMEOUT_MS: std::ops::RangeInclusive<u32> = 100..=5_000;
/// How long a call may take unless the spec says so, in milliseconds.
pub const HOOK_TIMEOUT_MS_DEFAULT: u32 = 2_000;
/// Most hooks of a model; the CRD says the same.
pub const HOOKS_MAX: usize = 16;
/// Most bytes of a hook's URL; the CRD says the same.
pub const HOOK_URL_BYTES_MAX: usize = 2_048;

/// When a hook is called, spelled as in the resource and in the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HookEvent {
    /// Before new records are written.
    BeforeCreate,
    /// Before records are changed or restored.
    BeforeUpdate,
    /// Before records are deleted.
    BeforeDelete,
    /// After a new record was committed.
    AfterCreate,
    /// After a change of a record was committed.
    AfterUpdate,
    /// After a deletion, soft or hard, was committed.
    AfterDelete,
}

impl HookEvent {
    /// Its one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeCreate => "BeforeCreate",
            Self::BeforeUpdate => "BeforeUpdate",
            Self::BeforeDelete => "BeforeDelete",
            Self::AfterCreate => "AfterCreate",
            Self::AfterUpdate => "AfterUpdate",
            Self::AfterDelete => "AfterDelete",
        }
    }

    /// Whether it is told from the event topic, once the write is durable.
    pub fn is_after(self) -> bool {
        matches!(
            self,
            Self::AfterCreate | Self::AfterUpdate | Self::AfterDelete
        )
    }
}

/// What happens when a hook cannot be reached or answers nothing usable. A refusal is an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailurePolicy {
    /// Before: the write is refused. After: the call is kept as a dead letter.
    Fail,
    /// Before: the write goes on. After: the call is given up.
    Ignore,
}

/// A call to the module. Checked with the model that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// When.
    pub event: HookEvent,
    /// Where: http or https, with a host, without credentials and fragment.
    pub url: String,
    /// How long one call may take, in milliseconds, within [`HOOK_TIMEOUT_MS`].
    pub timeout_ms: u32,
    /// What happens when it fails.
    pub failure_policy: FailurePolicy,
}

/// What is wrong with a model's hooks: a path below `spec`, and a sentence.
pub(crate) fn violations(hooks: &[Hook]) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    if hooks.len() > HOOKS_MAX {
        found.push(("spec.hooks".to_owned(), "must have at most 16 entries"));
    }
    for (i, hook) in hooks.iter().enumerate() {
        if let Err(message) = check_url(&hook.url) {
            found.push((format!("spec.hooks[{i}].url"), message));
        }
        if !HOOK_TIMEOUT_MS.contains(&hook.timeout_ms) {
            found.push((format!("spec.hooks[{i}].timeout"), "must be 100ms to 5s"));
        }
        // Event and URL are what a dead letter names its hook by.
        let twice = |other: &Hook| other.event == hook.event && other.url == hook.url;
        if hooks[..i].iter().any(twice) {
            found.push((
                format!("spec.hooks[{i}].url"),
                "is called twice for one event",
            ));
        }
    }
    found
}

fn check_url(text: &str) -> Result<(), &'static str> {
    if text.len() > HOOK_URL_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("must be at most 2048 visible ASCII characters");
    }
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must start with http:// or https:// and name a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no credentials: calls are signed");
    }
    if url.fragment().is_some() {
        return Err("must have no fragment");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(url: &str, timeout_ms: u32) -> Hook {
        Hook {
            event: HookEvent::AfterCreate,
            url: url.into(),
            timeout_ms,
            failure_policy: FailurePolicy::Fail,
        }
    }

    #[test]
    fn what_is_wrong_with_a_hook_is_named() {
        for (url, timeout_ms, path) in [
            ("http://crm.crm.svc/hooks", 2_000, None),
            ("https://[::1]:8443/a?b=c", 100, None),
            ("http://a/", 99, Some("spec.hooks[0].timeout")),
            ("http://a/", 5_000, None),
            ("http://a/", 5_001, Some("spec.hooks[0].timeout")),
            ("ftp://a/", 2_000, Some("spec.hooks[0].url")),
            ("//a/", 2_000, Some("spec.hooks[0].url")),
            ("http://", 2_000, Some("spec.hooks[0].url")),
            ("http://u:p@a/", 2_000, Some("spec.hooks[0].url")),
            ("http://a/#x", 2_000, Some("spec.hooks[0].url")),
            ("http://a/\n", 2_000, Some("spec.hooks[0].url")),
            (
                &format!("http://a/{}", "x".repeat(2_040)),
                2_000,
                Some("spec.hooks[0].url"),
            ),
        ] {
            let found = violations(&[hook(url, timeout_ms)]);
            assert_eq!(found.first().map(|(path, _)| path.as_str()), path, "{url}");
        }
        let twice = violations(&[hook("http://a/", 2_000), hook("http://a/", 2_000)]);
        assert_eq!(twice[0].0, "spec.hooks[1].url");
        assert_eq!(
            violations(&vec![hook("http://a/", 2_000); 17])[0].0,
            "spec.hooks"
        );
    }

    #[test]
    fn an_event_has_one_spelling() {
        for event in [
            HookEvent::BeforeCreate,
            HookEvent::BeforeUpdate,
            HookEvent::BeforeDelete,
            HookEvent::AfterCreate,
            HookEvent::AfterUpdate,
            HookEvent::AfterDelete,
        ] {
            assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
        }
    }
}
