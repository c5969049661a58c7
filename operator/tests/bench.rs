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

use crate::support::{World, engine::Engine, in_world, world::env};

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
    // The API server cuts a request off after a minute; what it has not come to is asked for again.
    while api
        .delete_collection(&DeleteParams::default(), labels)
        .await
        .is_err()
    {
        assert!(began.elapsed() < PATIENCE, "they are not deleted");
    }
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

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// What of all figures is needed to read the others.
async fn tell_of_machine(world: &World) {
    let postgres: String = sqlx::query_scalar("select current_setting('server_version')")
        .fetch_one(&world.admin)
        .await
        .unwrap();
    let kubernetes = world.client.apiserver_version().await.unwrap().git_version;
    let cores = std::thread::available_parallelism().unwrap();
    let profile = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    println!(
        "profile {profile}, {cores} cores, PostgreSQL {postgres}, Kubernetes {kubernetes}, load {}",
        load()
    );
}

/// Least, middle and most of some figures.
fn spread(mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let (least, most) = (figures[0], figures[figures.len() - 1]);
    let middle = figures[figures.len() / 2];
    format!("{middle:.1} ({least:.1} to {most:.1} of {})", figures.len())
}

/// How many objects of a kind the operator says are ready.
async fn ready(operator: &Operator, kind: &str) -> f64 {
    operator
        .sum(
            &format!("operator_objects{{kind=\"{kind}\""),
            "state=\"Ready\"",
        )
        .await
}

async fn story(world: &World) {
    world.stop().await;
    let (models, tenants) = (number("MODELS", 20), number("TENANTS", 100));
    let analytics = number("ANALYTICS", 0) != 0;
    let rounds = number("ROUNDS", 3);
    // Tenants leave roles and policies behind.
    let engine = Engine::start().await;
    for (secret, url) in [
        ("clickhouse-admin", "CLICKHOUSE_FRONT_ADMIN_URL"),
        ("clickhouse-gateway", "CLICKHOUSE_GATEWAY_URL"),
        ("clickhouse-sink", "CLICKHOUSE_SINK_URL"),
    ] {
        world.secret(secret, &engine.at(&env(url))).await;
    }
    tell_of_machine(world).await;
    let fields: Vec<_> = (0..10)
        .map(|i| json!({"name": format!("f{i}"), "type": "text", "maxLength": 50}))
        .collect();
    let spec = json!({"fields": fields, "analytics": {"enabled": analytics}});
    let model = |i| world.model(&format!("m{i}"), &format!("m{i}"), spec.clone());
    let tenant = |i: usize| world.tenant(&format!("t{i}"), uuid::Uuid::new_v4(), json!({}));
    let all = models + tenants;

    let operator = Operator::start(world);
    let began = Instant::now();
    while ready(&operator, "DataPlane").await < 1.0 {
        assert!(began.elapsed() < PATIENCE, "the DataPlane is not ready");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let began = Instant::now();
    apply_all(&world.tenants(), (0..tenants).map(tenant).collect()).await;
    apply_all(&world.models(), (0..models).map(model).collect()).await;
    println!(
        "{all} objects created in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let mut told = Instant::now();
    let mut ended = [None, None];
    let kinds = [("ModuleModel", models), ("Tenant", tenants)];
    while ended.contains(&None) {
        for ((kind, count), ended) in kinds.iter().zip(&mut ended) {
            let now = ready(&operator, kind).await;
            if ended.is_none() && now >= f64::from(u32::try_from(*count).unwrap()) {
                *ended = Some(began.elapsed().as_secs_f64());
                println!("{count} {kind}s Ready after {:.1} s", ended.unwrap());
            }
            if told.elapsed() > Duration::from_secs(10) {
                println!("{now} {kind}s after {:.0} s", began.elapsed().as_secs_f64());
            }
        }
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
        }
        assert!(began.elapsed() < PATIENCE, "they do not become ready");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let revision = world
        .number("select revision from platform.catalog_revision")
        .await;
    let (now, highest) = operator.memory();
    println!(
        "catalogue revision {revision}; resident memory {now} MiB, highest {highest} MiB; load {}",
        load()
    );
    operator.kill();

    // A new start reconciles everything once and finds nothing to do.
    let (mut restarts, mut rates) = (Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        let began = Instant::now();
        let operator = Operator::start(world);
        let mut seen = [None, None];
        let mut done = [false, false];
        while done.contains(&false) {
            for (i, (kind, count)) in kinds.iter().enumerate() {
                if done[i] || *count == 0 {
                    done[i] = true;
                    continue;
                }
                let labels = format!("operator_reconciles_total{{kind=\"{kind}\"");
                let now = operator.sum(&labels, "Unchanged").await;
                if now > 0.0 && seen[i].is_none() {
                    seen[i] = Some((Instant::now(), now));
                }
                if now >= f64::from(u32::try_from(*count).unwrap()) {
                    done[i] = true;
                    let (at, before) = seen[i].unwrap();
                    rates[i].push((now - before) / at.elapsed().as_secs_f64().max(0.05));
                }
            }
            assert!(began.elapsed() < PATIENCE, "not steady");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        restarts.push(began.elapsed().as_secs_f64());
        let verb = async |verb| {
            let verb = format!("\"{verb}\"");
            operator.sum("operator_api_requests_total", &verb).await
        };
        let reads = verb("Get").await;
        let mut writes = -operator
            .sum("operator_status_writes_total", "DataPlane")
            .await;
        for kind in ["Patch", "Post", "Put", "Delete"] {
            writes += verb(kind).await;
        }
        let reconciles = operator.sum("operator_reconciles_total", "Unchanged").await;
        println!(
            "API server requests per no-op reconcile: {:.4} reads (lists, watches and Secrets), {writes} writes in all but for the DataPlane's status, {reconciles} reconciles",
            reads / reconciles
        );
        let (now, highest) = operator.memory();
        println!(
            "resident memory {now} MiB, highest {highest} MiB; load {}",
            load()
        );
        operator.kill();
    }
    println!("restart to steady state {} s", spread(restarts));
    for ((kind, count), rates) in kinds.iter().zip(rates) {
        if *count > 0 {
            println!("no-op reconciles of {kind}s per second {}", spread(rates));
        }
    }

    let operator = Operator::start(world);
    let began = Instant::now();
    let names = ListParams::default().labels(&format!("{CLASS_LABEL}={}", world.name));
    delete_all(&world.models(), &names).await;
    delete_all(&world.tenants(), &names).await;
    println!(
        "all deleted, their data retained, after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    operator.kill();
}
