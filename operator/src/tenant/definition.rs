//! Whether a Tenant goes because its whole kind goes: deleting the CRD deletes every Tenant, and nobody who does that has
//! asked for every tenant's data to be erased (DESIGN 4).

use crds::Tenant;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, CustomResourceExt as _};

use crate::{context::Context, error::Error};

/// Whether the CRD of Tenants is being deleted, asked anew: the API server marks it before it deletes the first
/// resource, so the answer holds for every Tenant that was seen to be deleted before the question. One that cannot be
/// asked is an error, and no licence to erase.
pub(super) async fn is_terminating(context: &Context) -> Result<bool, Error> {
    let api = Api::<CustomResourceDefinition>::all(context.client.clone());
    let found = api.get_metadata(Tenant::crd_name()).await;
    let found = found.map_err(Error::kubernetes("a look at the CRD of Tenants"))?;
    Ok(found.metadata.deletion_timestamp.is_some())
}
