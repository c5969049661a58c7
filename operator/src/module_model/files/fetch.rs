//! The files of a resource, from the ConfigMaps that it names.

use crds::Reason;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use super::parse::{SqlFile, parse};
use crate::{error::Error, module_model::apply::Stop, report::Refusal};

/// Most files of one resource: a ledger row each, read at every reconcile.
const FILES_MAX: usize = 1_000;

/// What the ConfigMaps hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Every file, in no order.
    Files(Vec<SqlFile>),
    /// The first ConfigMap that is not there.
    Missing(String),
}

/// Reads them. They are read by name and never listed.
pub async fn fetch(client: &Client, namespace: &str, names: &[String]) -> Result<Fetched, Stop> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let mut files = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let map = api.get_opt(name).await;
        let Some(map) = map.map_err(Error::kubernetes("a ConfigMap of SQL files"))? else {
            return Ok(Fetched::Missing(name.clone()));
        };
        let refuse = |problem: String| {
            let message = format!("spec.migrations.files[{i}]: ConfigMap {name}: {problem}");
            Refusal::of_spec(Reason::InvalidMigration, message)
        };
        if map.binary_data.is_some_and(|data| !data.is_empty()) {
            return Err(refuse("binaryData is not text".into()).into());
        }
        for (key, text) in map.data.unwrap_or_default() {
            files.push(parse(&key, &text).map_err(|error| refuse(error.to_string()))?);
        }
        if files.len() > FILES_MAX {
            return Err(refuse(format!("more than {FILES_MAX} files")).into());
        }
    }
    Ok(Fetched::Files(files))
}
