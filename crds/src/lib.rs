//! The custom resources of Septem Data, group `data.septemcore.com/v1alpha1`.
//!
//! Each CRD states what the API server can check: patterns, bounds, and CEL rules. The bounds also keep the server's
//! estimate of what the rules cost inside its budget; `crdgen` prints the CRDs as `charts/crds.yaml`.

#![allow(
    clippy::duplicated_attributes,
    reason = "printcolumn(…) repeats its keys; the lint takes them for one attribute"
)]

pub mod condition;
pub mod data_plane;
pub mod field;
pub mod module_model;
pub mod tenant;

pub use condition::{ConditionType, Reason};
pub use data_plane::{DataPlane, DataPlaneSpec, DataPlaneStatus};
pub use field::FieldSpec;
pub use module_model::{ModuleModel, ModuleModelSpec, ModuleModelStatus};
pub use tenant::{Tenant, TenantSpec, TenantStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// The API group.
pub const GROUP: &str = "data.septemcore.com";
/// The finalizer on resources whose removal withdraws something.
pub const FINALIZER: &str = "data.septemcore.com/withdraw";

/// Every CRD, in the order in which they are applied.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![DataPlane::crd(), Tenant::crd(), ModuleModel::crd()]
}

#[cfg(test)]
mod tests;
