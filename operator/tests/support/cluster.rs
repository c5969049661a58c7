//! Talking to the API server in tests.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Resource};
use serde::{Serialize, de::DeserializeOwned};

/// Longer than anything takes on a busy machine of two cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// Looks until the condition is met; then panics with what is there.
pub async fn wait<K>(api: &Api<K>, name: &str, what: &str, met: impl Fn(&K) -> bool) -> K
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize,
{
    let started = std::time::Instant::now();
    loop {
        let found = api.get_opt(name).await.unwrap();
        if let Some(found) = found.as_ref().filter(|f| met(f)) {
            return found.clone();
        }
        if started.elapsed() > PATIENCE {
            let found = serde_json::to_string_pretty(&found).unwrap();
            panic!("{name}: waited {PATIENCE:?} for {what}; it is {found}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Looks until the object is gone.
pub async fn wait_gone<K>(api: &Api<K>, name: &str)
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let started = std::time::Instant::now();
    while api.get_opt(name).await.unwrap().is_some() {
        assert!(started.elapsed() < PATIENCE, "{name} is still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A condition by type.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}

/// Its state, or nothing.
pub fn status_of<'a>(conditions: &'a [Condition], kind: &str) -> &'a str {
    condition(conditions, kind).map_or("", |c| c.status.as_str())
}

/// Its reason, or nothing.
pub fn reason<'a>(conditions: &'a [Condition], kind: &str) -> &'a str {
    condition(conditions, kind).map_or("", |c| c.reason.as_str())
}
