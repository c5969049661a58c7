//! The way to the API server: only who works may write, and every request is counted.

use std::sync::Arc;

use kube::{Client, client::Body};

use crate::{lease::Leadership, metrics::Metrics};

/// A write that was not sent.
#[derive(Debug, thiserror::Error)]
#[error("this operator does not hold the Lease, so it writes nothing")]
struct Standby;

/// A client of the same server that refuses to write unless `leadership` holds at that moment. A reconcile that was
/// frozen between its look and its status finds the gate shut when it goes on.
pub fn gated(client: Client, leadership: Arc<Leadership>, metrics: Arc<Metrics>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (client, metrics) = (client.clone(), Arc::clone(&metrics));
        let reads = matches!(*request.method(), http::Method::GET | http::Method::HEAD);
        let allowed = reads || leadership.holds();
        async move {
            if !allowed {
                return Err(Box::from(Standby));
            }
            metrics.requested(request.method());
            client.send(request).await.map_err(tower::BoxError::from)
        }
    });
    Client::new(service, namespace)
}
