//! The whole plan, in a ConfigMap beside its resource. It goes with the resource.

use std::collections::BTreeMap;

use crds::{ConditionType, ModuleModel, Reason};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams},
};

use super::{super::apply::Stop, Proposal};
use crate::{
    error::Error,
    module_model::validate::Desired,
    report::{FIELD_MANAGER, Refusal},
};

/// What its name begins with; the API server lets the operator write no other (see the chart's admission policies).
const PREFIX: &str = "septem-plan-";
/// Most characters of the name of an object.
const NAME_MAX: usize = 253;
/// Most bytes of one of the two texts: a ConfigMap holds 1 MiB.
const TEXT_BYTES_MAX: usize = 400 * 1024;

/// Its name.
pub fn name(desired: &Desired) -> String {
    let resource = desired.resource.split('/').next_back().unwrap_or_default();
    match PREFIX.len() + resource.len() <= NAME_MAX {
        true => format!("{PREFIX}{resource}"),
        false => format!("{PREFIX}{}", desired.uid),
    }
}

/// Writes it, unless it holds the plan already. One of that name that is somebody else's stays as it is.
pub async fn keep(
    client: &Client,
    resource: &ModuleModel,
    desired: &Desired,
    proposal: &Proposal,
) -> Result<(), Stop> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), &desired.namespace);
    let name = name(desired);
    let doing = "the ConfigMap of a plan";
    let found = api.get_opt(&name).await.map_err(Error::kubernetes(doing))?;
    if let Some(found) = &found {
        if found
            .owner_references()
            .iter()
            .all(|o| o.uid != desired.uid)
        {
            let message = format!(
                "ConfigMap {name} would hold the plan and belongs to something else: delete it"
            );
            return Err(Stop::Refused(Refusal {
                condition: ConditionType::SchemaApplied,
                reason: Reason::NameConflict,
                message,
            }));
        }
        let held = found.data.as_ref().and_then(|d| d.get("hash"));
        if held == Some(&proposal.hash) {
            return Ok(());
        }
    }
    let texts = [
        ("hash", proposal.hash.clone()),
        ("plan.sql", proposal.text(desired)),
        ("plan.json", proposal.json().to_string()),
    ];
    let short = texts.map(|(key, text)| match text.len() <= TEXT_BYTES_MAX {
        true => (key.to_owned(), text),
        false => (key.to_owned(), "too long for a ConfigMap".to_owned()),
    });
    let object = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            owner_references: resource.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from(short)),
        ..ConfigMap::default()
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&object))
        .await
        .map_err(Error::kubernetes(doing))?;
    Ok(())
}
