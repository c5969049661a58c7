//! The plan that a ModuleModel waits with.

use anyhow::{Result, anyhow, bail};
use crds::{ModuleModel, module_model::Approval, status::PlanStatus};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::cluster::{Cluster, said};

/// Digits that tell one plan from another.
const PREFIX_MIN: usize = 8;

/// Prints it.
pub async fn show(cluster: &Cluster, name: &str) -> Result<String> {
    let model = cluster.model(name).await?;
    let plan = of(cluster, &model).await?;
    Ok(plan.unwrap_or_else(|| format!("modulemodel/{name}: {}\n", nothing(&model))))
}

/// All of it where its ConfigMap can be read, and what the status holds otherwise; none when there is no plan.
pub async fn of(cluster: &Cluster, model: &ModuleModel) -> Result<Option<String>> {
    let Some(plan) = plan_of(model) else {
        return Ok(None);
    };
    if let Some(reference) = &plan.config_map_ref {
        let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), &cluster.namespace);
        let map = maps.get_opt(&reference.name).await.map_err(said)?;
        let data = map.and_then(|m| m.data).unwrap_or_default();
        if data.get("hash") == Some(&plan.hash) {
            return Ok(data.get("plan.sql").cloned());
        }
    }
    Ok(Some(format!(
        "-- Plan {}, of {} statements and files{}\n{}\n",
        plan.hash,
        plan.statements,
        loses(plan),
        plan.sql
    )))
}

/// What is said where there is none.
pub fn nothing(model: &ModuleModel) -> &'static str {
    let seen = model.status.as_ref().and_then(|s| s.observed_generation);
    match seen == model.metadata.generation {
        true => "nothing is left to do",
        false => "its operator has not looked at this spec yet",
    }
}

/// Names the plan in the spec. The version that was read is the one that is changed: whatever comes in between makes it
/// fail.
pub async fn approve(
    cluster: &Cluster,
    name: &str,
    hash: Option<&str>,
    allow_data_loss: bool,
) -> Result<String> {
    let model = cluster.model(name).await?;
    let manual = model
        .spec
        .migrations
        .as_ref()
        .is_some_and(|m| m.approval == Approval::Manual);
    if !manual {
        bail!("{name} asks for no approval: its spec.migrations.approval is Auto");
    }
    let plan = plan_of(&model).ok_or_else(|| anyhow!("{name}: {}", nothing(&model)))?;
    if let Some(hash) = hash {
        if hash.len() < PREFIX_MIN {
            bail!("--plan takes {PREFIX_MIN} digits of the hash at least");
        }
        if !plan.hash.starts_with(hash) {
            bail!("the plan of {name} is {} now: read it again", plan.hash);
        }
    }
    if plan.destructive && !allow_data_loss {
        bail!(
            "plan {} loses data; say --allow-data-loss if that is meant",
            plan.hash
        );
    }
    let patch = json!({
        "metadata": {"resourceVersion": model.resource_version()},
        "spec": {"migrations": {"approvedPlan": plan.hash}},
    });
    cluster
        .models()
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .map_err(said)?;
    Ok(format!(
        "modulemodel/{name}: plan {} approved ({} statements and files{})\n",
        plan.hash,
        plan.statements,
        loses(plan)
    ))
}

fn plan_of(model: &ModuleModel) -> Option<&PlanStatus> {
    model.status.as_ref().and_then(|s| s.plan.as_ref())
}

fn loses(plan: &PlanStatus) -> &'static str {
    match plan.destructive {
        true => ", data is lost",
        false => "",
    }
}
