//! The list of Tenants.

use anyhow::Result;
use crds::{Tenant, tenant::TenantState};
use kube::{Api, ResourceExt as _, api::ListParams};

use crate::{
    cluster::{Cluster, said},
    table::{or_dash, table},
};

/// Every Tenant, by name.
pub async fn list(cluster: &Cluster) -> Result<String> {
    let api = Api::<Tenant>::all(cluster.client.clone());
    let tenants = api.list(&ListParams::default()).await.map_err(said)?;
    if tenants.items.is_empty() {
        return Ok("there are no Tenants\n".into());
    }
    let rows: Vec<_> = tenants.items.iter().map(row).collect();
    Ok(table(
        &[
            "NAME", "SLUG", "STATE", "READY", "REASON", "MODULES", "ERASURE",
        ],
        &rows,
    ))
}

fn row(tenant: &Tenant) -> Vec<String> {
    let status = tenant.status.as_ref();
    let ready = status.and_then(|s| s.conditions.iter().find(|c| c.type_ == "Ready"));
    let erasure = status.and_then(|s| s.erasure.as_ref());
    let state = match tenant.spec.state {
        TenantState::Active => "Active",
        TenantState::ReadOnly => "ReadOnly",
        TenantState::Suspended => "Suspended",
    };
    vec![
        tenant.name_any(),
        tenant.spec.slug.clone(),
        state.to_owned(),
        or_dash(ready.map(|c| c.status.as_str())),
        or_dash(ready.map(|c| c.reason.as_str())),
        or_dash(Some(&tenant.spec.modules.join(","))),
        erasure.map_or("-".to_owned(), |e| {
            format!("{:?}, {} rows deleted", e.step, e.rows_deleted)
        }),
    ]
}
