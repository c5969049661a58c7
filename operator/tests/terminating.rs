//! Deleting the CRD of Tenants deletes every Tenant, and erases none. The API server is the real one; only what it says of
//! that CRD is changed on its way, since the CRD is everybody's.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use kube::{Client, api::DeleteParams, client::Body};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    World,
    cluster::{wait, wait_gone},
    condition, in_world,
    script::failure,
    status_of,
};

const CRD: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tenants.data.septemcore.com";

/// What the operator is told of the CRD.
#[derive(Clone, Copy)]
enum Told {
    /// What is so.
    AsItIs,
    /// The same, marked for deletion.
    Terminating,
    /// That it may not ask.
    Forbidden,
}

/// The real API server, but for that one answer.
fn through(client: Client, told: Arc<Mutex<Told>>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, told) = (client.clone(), Arc::clone(&told));
        async move {
            let asks = request.uri().path() == CRD;
            let answer = client.send(request).await.unwrap();
            let told = *told.lock().unwrap();
            if !asks || matches!(told, Told::AsItIs) {
                return Ok::<_, Infallible>(answer);
            }
            let body = answer.into_body().collect_bytes().await.unwrap();
            let mut body: Value = serde_json::from_slice(&body).unwrap();
            let mut code = 200;
            if matches!(told, Told::Forbidden) {
                (code, body) = failure(403, "Forbidden");
            } else {
                body["metadata"]["deletionTimestamp"] = json!("2026-01-31T08:00:00Z");
            }
            let answer = Response::builder()
                .status(code)
                .header("content-type", "application/json");
            Ok(answer
                .body(Body::from(serde_json::to_vec(&body).unwrap()))
                .unwrap())
        }
    });
    Client::new(service, "default")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_goes_with_its_kind_keeps_its_data() {
    in_world(terminating).await;
}

async fn terminating(world: &World) {
    let told = Arc::new(Mutex::new(Told::AsItIs));
    world.stop().await;
    world.start_through(through(world.client.clone(), Arc::clone(&told)), |_| {});
    world
        .apply_ready(&world.model(
            "notes",
            "notes",
            json!({"fields": [{"name": "text", "type": "text"}]}),
        ))
        .await;
    world.everything_is_synced().await;
    let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
    for (name, id) in [("a", a), ("b", b)] {
        applied(world, name, id).await;
        let module = world.module();
        world
            .run(&format!(
                "insert into {module}.notes (tenant_id, id, text, created_by, updated_by)
                 select '{id}', gen_random_uuid(), 'kept', 'x', 'x' from generate_series(1, 10)"
            ))
            .await;
    }
    let name = |tenant: &str| format!("{}-{tenant}", world.name);
    let delete = async |tenant: &str| {
        let (tenants, name) = (world.tenants(), name(tenant));
        tenants
            .delete(&name, &DeleteParams::default())
            .await
            .unwrap();
    };
    let rows = async |id: Uuid| {
        let module = world.module();
        let count = format!("select count(*) from {module}.notes where tenant_id = '{id}'");
        world.number(&count).await
    };

    // Who may not ask erases nothing.
    *told.lock().unwrap() = Told::Forbidden;
    delete("a").await;
    let waits = wait(&world.tenants(), &name("a"), "the reason", |t| {
        let conditions = t.status.as_ref().map(|s| &s.conditions);
        let ready = conditions.and_then(|c| condition(c, "Ready"));
        ready.is_some_and(|c| c.message.contains("needs the verb get of that CRD"))
    })
    .await;
    let ready = waits.status.unwrap().conditions;
    assert_eq!(condition(&ready, "Ready").unwrap().reason, "Erasing");
    assert_eq!(rows(a).await, 10);

    *told.lock().unwrap() = Told::Terminating;
    wait_gone(&world.tenants(), &name("a")).await;
    assert_eq!(rows(a).await, 10);
    let erased = "select count(*) from platform.erased_tenants";
    assert_eq!(world.number(erased).await, 0);
    let served = "select count(*) from platform.tenants where served";
    assert_eq!(world.number(served).await, 1, "it is shut out all the same");

    // Its kind is back, and so is the tenant.
    *told.lock().unwrap() = Told::AsItIs;
    applied(world, "a", a).await;
    assert_eq!(world.number(served).await, 2);

    // The same deletion of the Tenant alone is an order to erase.
    delete("b").await;
    wait_gone(&world.tenants(), &name("b")).await;
    assert_eq!((rows(a).await, rows(b).await), (10, 0));
    assert_eq!(world.number(erased).await, 1);
}

/// With `deletionPolicy: Delete`.
async fn applied(world: &World, name: &str, id: Uuid) {
    let object = world.tenant(name, id, json!({"deletionPolicy": "Delete"}));
    world.apply(&world.tenants(), &object).await.unwrap();
    wait(
        &world.tenants(),
        &format!("{}-{name}", world.name),
        "Ready",
        |t| {
            let status = t.status.as_ref();
            status.is_some_and(|s| status_of(&s.conditions, "Ready") == "True")
        },
    )
    .await;
}
