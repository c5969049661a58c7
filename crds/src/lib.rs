//! The custom resources of Septem Data, group `data.septemcore.com/v1alpha1`.
//!
//! Each CRD states what the API server can check: patterns, bounds, and CEL rules. The bounds also keep the server's
//! estimate of what the rules cost inside its budget; `crdgen` prints the CRDs as the chart's `files/crds.yaml`.

#![allow(
    clippy::duplicated_attributes,
    reason = "printcolumn(…) repeats its keys; the lint takes them for one attribute"
)]

pub mod condition;
pub mod data_plane;
pub mod field;
pub mod module_model;
pub mod status;
pub mod tenant;

pub use condition::{ConditionType, Reason};
pub use data_plane::{DataPlane, DataPlaneSpec, DataPlaneStatus};
pub use field::FieldSpec;
pub use module_model::{ModuleModel, ModuleModelSpec, ModuleModelStatus};
pub use tenant::{Tenant, TenantSpec, TenantStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt as _;

/// The API group.
pub const GROUP: &str = "data.septemcore.com";
/// The finalizer on resources whose removal withdraws something.
pub const FINALIZER: &str = "data.septemcore.com/withdraw";

/// Every CRD, in the order in which they are applied.
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![DataPlane::crd(), Tenant::crd(), ModuleModel::crd()];
    let versions = crds.iter_mut().flat_map(|crd| &mut crd.spec.versions);
    for schema in versions.filter_map(|v| v.schema.as_mut()?.open_api_v3_schema.as_mut()) {
        leave_list_members_alone(schema, false);
    }
    crds
}

/// Removes defaults inside list members; reading a resource supplies them. A server that fills members in makes every
/// `kubectl apply` and every GitOps comparison of the same file see a changed list.
fn leave_list_members_alone(schema: &mut JSONSchemaProps, inside_list: bool) {
    if inside_list {
        schema.default = None;
    }
    for property in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        leave_list_members_alone(property, inside_list);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        leave_list_members_alone(items, true);
    }
}

#[cfg(test)]
mod tests;
