//! Whether a resource goes because its whole kind goes: deleting a CRD deletes every resource of its kind, and nobody who
//! does that has asked for all data to be lost (DESIGN 4).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, CustomResourceExt};

use crate::{context::Context, error::Error, telemetry::chain};

/// Whether the CRD of that kind is being deleted, asked anew: the API server marks it before it deletes the first
/// resource, so the answer holds for every resource that was seen to be deleted before the question. One that cannot be
/// asked is an error, and no licence to lose data.
pub async fn is_terminating<K: CustomResourceExt>(context: &Context) -> Result<bool, Error> {
    let api = Api::<CustomResourceDefinition>::all(context.client.clone());
    let found = api.get_metadata(K::crd_name()).await;
    let found = found.map_err(Error::kubernetes("a look at a CRD"))?;
    Ok(found.metadata.deletion_timestamp.is_some())
}

/// What is said while the API server does not tell.
pub fn cannot_tell<K: CustomResourceExt>(error: &Error) -> String {
    format!(
        "nothing is deleted before the API server tells whether CRD {} is being deleted as well, which would retain the \
         data: {}; the operator needs the verb get of that CRD",
        K::crd_name(),
        chain(error)
    )
}
