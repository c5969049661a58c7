//! Two operators of one class, as processes: one works, the other takes over.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use operator::config::CLASS_LABEL;
use serde_json::json;

use crate::support::{World, cluster::wait, condition, in_world};

/// An operator's process; it ends with the value.
struct Operator {
    child: Child,
    admin: SocketAddr,
}

impl Operator {
    fn start(world: &World, identity: &str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        drop(listener);
        let child = Command::new(env!("CARGO_BIN_EXE_septem-operator"))
            .env("SEPTEM_OPERATOR_LISTEN", admin.to_string())
            .env("SEPTEM_OPERATOR_CLASS", &world.name)
            .env("SEPTEM_OPERATOR_WATCH_SECONDS", "1")
            .env("SEPTEM_OPERATOR_LEASE_NAMESPACE", &world.name)
            .env("SEPTEM_OPERATOR_LEASE", "operators")
            .env("SEPTEM_OPERATOR_IDENTITY", identity)
            .env(
                "SEPTEM_OPERATOR_EVENTS_TOPIC",
                format!("{}.events", world.name),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, admin }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(done.success());
    }

    /// Waits until it ends by itself; whether it says that all is well.
    async fn ended(&mut self) -> bool {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(began.elapsed() < Duration::from_secs(40), "it goes on");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until it is ready, and says whether it works.
    async fn works(&self) -> bool {
        let get = |path: &str| {
            let url = format!("http://{}{path}", self.admin);
            async move { reqwest::get(url).await }
        };
        let began = Instant::now();
        while !get("/ready").await.is_ok_and(|r| r.status().is_success()) {
            assert!(began.elapsed() < Duration::from_secs(40), "not ready");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let metrics = get("/metrics").await.unwrap().text().await.unwrap();
        metrics.contains("\noperator_lease_is_leader 1")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the Lease is held by whoever starts so; how long it took.
async fn held(world: &World, identity: &str) -> Duration {
    let began = Instant::now();
    let leases = Api::<Lease>::namespaced(world.client.clone(), &world.name);
    let prefix = format!("{identity}_");
    loop {
        let lease = leases.get_opt("operators").await.unwrap();
        let holder = lease.and_then(|l| l.spec?.holder_identity);
        if holder.is_some_and(|holder| holder.starts_with(&prefix)) {
            return began.elapsed();
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{identity} does not get it"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standby_takes_over_from_a_frozen_operator_which_then_changes_nothing() {
    in_world(frozen).await;
}

async fn frozen(world: &World) {
    world.stop().await;
    let mut first = Operator::start(world, "first");
    held(world, "first").await;
    let mut second = Operator::start(world, "second");
    assert!(
        !second.works().await,
        "a standby is ready and does not work"
    );
    assert!(first.works().await);
    let fields = json!([{"name": "title", "type": "text", "maxLength": 20}]);
    let model = |fields| world.model("deals", "deals", json!({"fields": fields}));
    world.apply_ready(&model(fields.clone())).await;
    let epoch = "select epoch from platform.operator_epoch";
    let before = world.number(epoch).await;

    first.signal("-STOP");
    let took = held(world, "second").await;
    assert!(
        took > Duration::from_secs(5),
        "taken while it was valid: {took:?}"
    );
    let mut more = fields.clone();
    more.as_array_mut()
        .unwrap()
        .push(json!({"name": "note", "type": "text", "maxLength": 9}));
    world.apply_ready(&model(more)).await;
    let after = world.number(epoch).await;
    assert_eq!(after, before + 1, "the second has taken the epoch");

    // Everything that the first would do now, with a change of the spec that it has not seen yet.
    let revision = world
        .number("select revision from platform.catalog_revision")
        .await;
    let (models, planes) = (world.models(), world.planes());
    let status = models.get("deals").await.unwrap().status;
    first.signal("-CONT");
    assert!(!first.ended().await, "it says that it ended early");
    assert_eq!(world.number(epoch).await, after);
    assert_eq!(
        world
            .number("select revision from platform.catalog_revision")
            .await,
        revision
    );
    assert_eq!(models.get("deals").await.unwrap().status, status);
    let plane = planes.get(&world.name).await.unwrap().status.unwrap();
    assert_eq!(
        condition(&plane.conditions, "Ready").unwrap().status,
        "True"
    );
    assert!(second.works().await);

    // An operator that is asked to end gives the Lease back.
    let third = Operator::start(world, "third");
    assert!(!third.works().await);
    second.signal("-TERM");
    let took = held(world, "third").await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(second.ended().await);
    world
        .apply_ready(&model(json!([{"name": "title", "type": "text", "maxLength": 20}, {"name": "note", "type": "text", "maxLength": 10}])))
        .await;
    // The world's own takes what is left down.
    drop(third);
    world.start();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_is_told_so_and_stops_no_other() {
    in_world(unreadable).await;
}

async fn unreadable(world: &World) {
    // As an older, looser CRD has let it in: the CRD is loosened for a moment.
    let crds = Api::<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>::all(
        world.client.clone(),
    );
    let kind = ApiResource::erase::<crds::ModuleModel>(&());
    let api = Api::<DynamicObject>::namespaced_with(world.client.clone(), &world.name, &kind);
    let fields = json!({"fields": [{"name": "a", "type": "text"}], "drift": {"policy": "Odd"}});
    let mut odd = world.model("odd", "odd", fields);
    odd["metadata"]["labels"] = json!({CLASS_LABEL: world.name});
    let params = PatchParams::apply("operator-tests").force();
    let began = Instant::now();
    loop {
        let name = "modulemodels.data.septemcore.com";
        let mut crd = serde_json::to_value(crds.get(name).await.unwrap()).unwrap();
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/drift/properties/policy/enum";
        let values = crd.pointer_mut(path).unwrap().as_array_mut().unwrap();
        values.push(json!("Odd"));
        let loosened = serde_json::from_value(crd).unwrap();
        // Somebody who writes it at the same time wins, and we try again.
        let _ = crds.replace(name, &Default::default(), &loosened).await;
        // The server takes a moment to learn it, and another test may apply the CRDs meanwhile.
        tokio::time::sleep(Duration::from_millis(500)).await;
        match api.patch("odd", &params, &Patch::Apply(&odd)).await {
            Ok(_) => break,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(60), "{error}"),
        }
    }
    world.install_crds().await;

    let told = wait(&api, "odd", "its status", |object| {
        !object.data["status"]["conditions"].is_null()
    })
    .await;
    let conditions = told.data["status"]["conditions"].as_array().unwrap();
    let of = |kind: &str| conditions.iter().find(|c| c["type"] == kind).unwrap();
    assert_eq!(of("Stalled")["status"], "True");
    assert_eq!(of("Ready")["status"], "False");
    let message = of("Accepted")["message"].as_str().unwrap();
    assert!(
        message.contains("cannot be read by this version") && message.contains("Odd"),
        "{message}"
    );
    // The others are reconciled, before and after a new start, whose first list has it.
    let fine = |name: &str| {
        world.model(
            name,
            name,
            json!({"fields": [{"name": "a", "type": "text"}]}),
        )
    };
    world.apply_ready(&fine("fine")).await;
    world.stop().await;
    world.start();
    world.apply_ready(&fine("finer")).await;
    let again = api.get("odd").await.unwrap();
    assert_eq!(
        again.resource_version(),
        told.resource_version(),
        "written once"
    );
    api.delete("odd", &Default::default()).await.unwrap();
}
