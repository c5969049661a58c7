//! How fast the operator's binary is, and how much it takes: many models and tenants against the stack's real API server
//! and databases. Not run by `make test`; `make bench-operator MODELS=1000 TENANTS=10000` prints the figures.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use operator::config::CLASS_LABEL;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{World, in_world};

/// Longest time for all of it to become ready.
const PATIENCE: Duration = Duration::from_secs(3 * 3_600);

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long; run by `make bench-operator`"]
async fn bench() {
    in_world(story).await;
}

/// The operator's process and where it tells its figures.
struct Operator {
    child: Child,
    metrics: String,
}

impl Operator {
    fn start(world: &World) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        drop(listener);
        let child = Command::new(env!("CARGO_BIN_EXE_septem-operator"))
            .env("SEPTEM_OPERATOR_LISTEN", admin.to_string())
            .env("SEPTEM_OPERATOR_CLASS", &world.name)
            .env(
                "SEPTEM_OPERATOR_EVENTS_TOPIC",
                format!("{}.events", world.name),
            )
            .env("SEPTEM_LOG", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            metrics: format!("http://{admin}/metrics"),
        }
    }

    /// The sum over all metrics whose line begins so and contains that; 0 while it does not answer.
    async fn sum(&self, begin: &str, with: &str) -> f64 {
        let Ok(answer) = reqwest::get(&self.metrics).await else {
            return 0.0;
        };
        let text = answer.text().await.unwrap_or_default();
        let lines = text
            .lines()
            .filter(|l| l.starts_with(begin) && l.contains(with));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Resident memory now and at its highest, in MiB.
    fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let of = |key: &str| {
            let line = status.lines().find(|l| l.starts_with(key)).unwrap();
            line.split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<u64>()
                .unwrap()
                / 1_024
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

async fn apply_all<K>(api: &Api<K>, objects: Vec<Value>)
where
    K: kube::Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    let params = PatchParams::apply("operator-tests").force();
    let each = stream::iter(objects).map(|object| {
        let params = &params;
        async move {
            let name = object["metadata"]["name"].as_str().unwrap();
            api.patch(name, params, &Patch::Apply(&object))
                .await
                .unwrap();
        }
    });
    each.buffer_unordered(16).collect::<Vec<()>>().await;
}

async fn delete_all<K>(api: &Api<K>, labels: &ListParams)
where
    K: kube::Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    let began = Instant::now();
    api.delete_collection(&DeleteParams::default(), labels)
        .await
        .unwrap();
    while !api
        .list_metadata(&labels.clone().limit(1))
        .await
        .unwrap()
        .items
        .is_empty()
    {
        assert!(began.elapsed() < PATIENCE, "they are not withdrawn");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn story(world: &World) {
    world.stop().await;
    let (models, tenants) = (number("MODELS", 20), number("TENANTS", 100));
    let analytics = number("ANALYTICS", 0) != 0;
    let fields: Vec<_> = (0..10)
        .map(|i| json!({"name": format!("f{i}"), "type": "text", "maxLength": 50}))
        .collect();
    let spec = json!({"fields": fields, "analytics": {"enabled": analytics}});
    let model = |i| world.model(&format!("m{i}"), &format!("m{i}"), spec.clone());
    let tenant = |i: usize| world.tenant(&format!("t{i}"), uuid::Uuid::new_v4(), json!({}));
    let all = models + tenants;

    let operator = Operator::start(world);
    let began = Instant::now();
    apply_all(&world.models(), (0..models).map(model).collect()).await;
    apply_all(&world.tenants(), (0..tenants).map(tenant).collect()).await;
    println!(
        "{all} objects created in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let mut ready = 0;
    while ready < all {
        assert!(began.elapsed() < PATIENCE, "{ready} of {all} are ready");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let served = "select (select count(*) from platform.models where served) + (select count(*) from platform.tenants where served)";
        ready = usize::try_from(world.number(served).await).unwrap();
    }
    let names = ListParams::default().labels(&format!("{CLASS_LABEL}={}", world.name));
    let is_ready = |conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]| {
        conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
    };
    loop {
        let of_models = world.models().list(&names).await.unwrap().items;
        let of_tenants = world.tenants().list(&names).await.unwrap().items;
        let count = of_models
            .iter()
            .filter(|m| m.status.as_ref().is_some_and(|s| is_ready(&s.conditions)))
            .count()
            + of_tenants
                .iter()
                .filter(|t| t.status.as_ref().is_some_and(|s| is_ready(&s.conditions)))
                .count();
        if count == all {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{count} of {all} are ready");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!(
        "{models} ModuleModels and {tenants} Tenants all Ready after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let (now, highest) = operator.memory();
    println!("resident memory {now} MiB, highest {highest} MiB");
    operator.kill();

    // A new start reconciles everything once and finds nothing to do.
    let began = Instant::now();
    let operator = Operator::start(world);
    let (mut first, target) = (None, f64::from(u32::try_from(all).unwrap()));
    loop {
        let done = operator.sum("operator_reconciles_total", "Unchanged").await
            - operator.sum("operator_reconciles_total", "DataPlane").await;
        if done > 0.0 && first.is_none() {
            first = Some((Instant::now(), done));
        }
        if done >= target {
            let (at, before) = first.unwrap();
            let seconds = at.elapsed().as_secs_f64().max(0.001);
            println!(
                "restart to steady state {:.1} s",
                began.elapsed().as_secs_f64()
            );
            println!(
                "no-op reconciles per second {:.0}",
                (done - before) / seconds
            );
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{done} of {all}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut line = Vec::new();
    for verb in ["Get", "Patch", "Post", "Put", "Delete"] {
        let count = operator
            .sum("operator_api_requests_total", &format!("\"{verb}\""))
            .await;
        line.push(format!("{verb} {:.4}", count / target));
    }
    println!(
        "API server requests per no-op reconcile: {}",
        line.join(", ")
    );
    let (now, highest) = operator.memory();
    println!("resident memory {now} MiB, highest {highest} MiB");

    delete_all(&world.models(), &names).await;
    delete_all(&world.tenants(), &names).await;
    operator.kill();
}
