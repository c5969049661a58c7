//! Traces of the operator's own binary, as a collector gets them.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    World,
    collector::{Collector, Traced},
    in_world, reason,
    world::env,
};

/// What stands in rows, and in parts of a spec that are nobody's business.
const CANARY: &str = "canary-7f3e";

/// Every name that a span may have here.
const NAMES: [&str; 25] = [
    "reconcile ModuleModel",
    "reconcile Tenant",
    "reconcile DataPlane",
    "look",
    "look for drift",
    "look at ClickHouse",
    "look at capture",
    "plan",
    "apply",
    "apply publish",
    "apply expand",
    "apply clickhouse",
    "apply concurrently",
    "publish",
    "write status",
    "connect",
    "bootstrap",
    "withdraw",
    "GET connect",
    "PUT connect",
    "POST connect",
    "SELECT clickhouse",
    "CREATE clickhouse",
    "GRANT clickhouse",
    "ALTER clickhouse",
];

/// The binary, and its log.
struct Running {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = command
            .stdout(log.reopen().unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Asks it to end, as a kubelet does; the lines of its log, and how long it took.
    async fn end(mut self) -> (Vec<Value>, Duration) {
        let asked = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(asked.elapsed() < Duration::from_secs(60), "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(status.success(), "{status}");
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        assert!(!text.contains("septem_trace"), "{text}");
        let lines = text.lines().map(|l| serde_json::from_str(l).unwrap());
        (lines.collect(), asked.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended takes no harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the children of a span are called.
fn children<'s>(spans: &'s [Traced], parent: &Traced) -> Vec<&'s Traced> {
    let of = |t: &&Traced| {
        t.span.trace_id == parent.span.trace_id && t.span.parent_span_id == parent.span.span_id
    };
    spans.iter().filter(of).collect()
}

fn child<'s>(spans: &'s [Traced], parent: &Traced, name: &str) -> &'s Traced {
    let all = children(spans, parent);
    let names: Vec<_> = all.iter().map(|t| t.span.name.as_str()).collect();
    let found = all.iter().find(|t| t.span.name == name);
    found.unwrap_or_else(|| panic!("{} has no {name} but {names:?}", parent.span.name))
}

/// The first root of that name with these attributes.
fn root<'s>(spans: &'s [Traced], name: &str, with: &[(&str, &str)]) -> &'s Traced {
    let is = |t: &&Traced| {
        let has = |(key, value): &(&str, &str)| t.attributes.get(*key).is_some_and(|v| v == value);
        t.span.parent_span_id.is_empty() && t.span.name == name && with.iter().all(has)
    };
    spans.iter().find(is).unwrap_or_else(|| {
        let named = spans.iter().filter(|t| t.span.name == name);
        let there: Vec<_> = named.map(|t| &t.attributes).collect();
        panic!("no {name} with {with:?} but {there:#?}")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_is_a_trace() {
    in_world(traced).await;
}

async fn traced(world: &World) {
    world.stop().await;
    let collector = Collector::start().await;
    let running = Running::start(
        world
            .binary()
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
            .env(
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=test",
            ),
    );
    let spec = |unique: Value| {
        json!({
            "fields": [
                {"name": "title", "type": "text", "maxLength": 40, "default": CANARY, "description": CANARY},
            ],
            "unique": unique,
        })
    };
    let resource = world.model("deals", "deals", spec(json!([])));
    world.apply_ready(&resource).await;
    let table = format!("{}.deals", world.module());
    world
        .run(&format!("insert into {table} (tenant_id, id, title, created_by, updated_by) select gen_random_uuid(), gen_random_uuid(), '{CANARY}', '{CANARY}', '{CANARY}'"))
        .await;
    world
        .run(&format!("insert into {table} select tenant_id, gen_random_uuid(), title, created_at, updated_at, created_by, updated_by, version, deleted_at, delete_id from {table}"))
        .await;
    let one = json!([{"name": "one_title", "fields": ["title"]}]);
    let resource = world.model("deals", "deals", spec(one));
    let stalled = world.apply_stalled(&resource).await.status.unwrap();
    assert_eq!(reason(&stalled.conditions, "Ready"), "DestructiveChange");
    let (log, took) = running.end().await;
    // What is left is removed by an operator.
    world.start();
    assert!(took < Duration::from_secs(30), "{took:?}");

    let spans = collector.spans();
    let names: BTreeSet<_> = spans.iter().map(|t| t.span.name.as_str()).collect();
    let postgres = |name: &&&str| !name.ends_with(" postgresql");
    let unknown: Vec<_> = names.iter().filter(postgres).collect();
    let unknown: Vec<_> = unknown.iter().filter(|n| !NAMES.contains(n)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for traced in &spans {
        assert_eq!(traced.resource["service.name"], "septem-operator");
        assert_eq!(traced.resource["deployment.environment.name"], "test");
        assert!(traced.span.end_time_unix_nano >= traced.span.start_time_unix_nano);
        assert!(traced.span.events.is_empty(), "{traced:?}");
        let is_root = traced.span.parent_span_id.is_empty();
        assert_eq!(
            is_root,
            traced.span.name.starts_with("reconcile "),
            "{traced:?}"
        );
    }
    applied(world, &spans);
    let plane = root(
        &spans,
        "reconcile DataPlane",
        &[("septem.outcome", "Unchanged")],
    );
    let call = child(
        &spans,
        child(&spans, plane, "look at capture"),
        "GET connect",
    );
    assert_eq!(call.attributes["http.request.method"], "GET");
    // The first finds no connector yet.
    assert!(call.attributes.contains_key("http.response.status_code"));
    let answered = |t: &Traced| {
        let status = t.attributes.get("http.response.status_code");
        t.span.name == "GET connect" && status.is_some_and(|status| status == "200")
    };
    assert!(spans.iter().any(answered));
    root(
        &spans,
        "reconcile ModuleModel",
        &[("septem.reason", "Applied")],
    );
    let refused = [
        ("septem.outcome", "Refused"),
        ("septem.reason", "DestructiveChange"),
        ("septem.generation", "2"),
    ];
    let refused = root(&spans, "reconcile ModuleModel", &refused);
    child(
        &spans,
        child(&spans, refused, "apply concurrently"),
        "SELECT postgresql",
    );

    // Lines of the log name their trace, and nothing else of it.
    let ids: BTreeMap<String, &Traced> = spans.iter().map(|t| (hex(&t.span.trace_id), t)).collect();
    let of = |message: &str| {
        let is = |line: &&Value| line["message"] == message;
        log.iter()
            .find(is)
            .unwrap_or_else(|| panic!("no {message}"))
    };
    let step = of("step carried out");
    assert!(
        ids.contains_key(step["trace_id"].as_str().unwrap()),
        "{step}"
    );
    assert!(of("stopped").get("trace_id").is_none());

    // Nothing that is somebody's, and nothing that is secret.
    let mut secrets = vec![CANARY.to_owned()];
    for variable in [
        "DATABASE_URL",
        "DATABASE_APP_URL",
        "CLICKHOUSE_FRONT_ADMIN_URL",
    ] {
        let url = url::Url::parse(&env(variable)).unwrap();
        secrets.extend(url.password().filter(|p| p.len() > 5).map(str::to_owned));
    }
    for body in collector.posted() {
        let text = String::from_utf8_lossy(&body);
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
    }
}

/// The reconcile that made the table.
fn applied(world: &World, spans: &[Traced]) {
    let made = [
        ("septem.outcome", "Applied"),
        ("k8s.namespace.name", world.name.as_str()),
        ("k8s.object.kind", "ModuleModel"),
        ("k8s.object.name", "deals"),
        ("septem.generation", "1"),
    ];
    let made = root(spans, "reconcile ModuleModel", &made);
    let look = child(spans, made, "look");
    let select = child(spans, look, "SELECT postgresql");
    assert_eq!(select.attributes["db.system.name"], "postgresql");
    assert_eq!(select.attributes["db.operation.name"], "SELECT");
    assert_eq!(select.span.kind, 3, "a client");
    let select = child(spans, look, "SELECT clickhouse");
    assert_eq!(select.attributes["db.system.name"], "clickhouse");
    assert!(select.attributes.contains_key("server.port"));
    assert_eq!(child(spans, made, "plan").attributes["septem.steps"], "2");
    child(
        spans,
        child(spans, made, "apply clickhouse"),
        "CREATE clickhouse",
    );
    let apply = child(spans, made, "apply publish");
    assert_eq!(apply.attributes["septem.step"], "publish");
    child(spans, apply, "CREATE postgresql");
    let publish = child(spans, apply, "publish");
    assert_eq!(publish.attributes["septem.revision"], "1");
    child(spans, made, "write status");
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_changes_nothing() {
    in_world(away).await;
}

async fn away(world: &World) {
    world.stop().await;
    let mut ended = Vec::new();
    let mute = Collector::mute().await;
    let closed = Collector::start().await.url.clone();
    for (name, url) in [("closed", closed.as_str()), ("mute", mute.url.as_str())] {
        let running = Running::start(
            world
                .binary()
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", url)
                .env("OTEL_BSP_SCHEDULE_DELAY", "100")
                .env("OTEL_BSP_MAX_QUEUE_SIZE", "16")
                .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
        );
        let fields = json!({"fields": [{"name": "a", "type": "text"}]});
        let resource = world.model(name, name, fields);
        world.apply_ready(&resource).await;
        // Longer than sending one batch may take.
        tokio::time::sleep(Duration::from_secs(12)).await;
        ended.push((name, running.end().await));
    }
    world.start();
    for (name, (log, took)) in ended {
        assert!(took < Duration::from_secs(20), "{name}: {took:?}");
        let told = |message: &str| -> Vec<chrono::DateTime<chrono::Utc>> {
            let lines = log.iter().filter(|l| l["message"] == message);
            let times = lines.map(|l| l["timestamp"].as_str().unwrap());
            times.map(|time| time.parse().unwrap()).collect()
        };
        let lost = told("spans were not delivered; told once a minute");
        let messages: Vec<_> = log.iter().map(|l| &l["message"]).collect();
        assert!(!lost.is_empty(), "{name}: {messages:?}");
        let pauses = lost.windows(2).map(|two| (two[1] - two[0]).num_seconds());
        assert!(pauses.min().unwrap_or(60) >= 59, "{name}: {lost:?}");
        assert_eq!(told("stopped").len(), 1, "{name}: {messages:?}");
    }
}

#[test]
fn an_endpoint_that_is_none_is_one_sentence_and_the_end() {
    let output = Command::new(env!("CARGO_BIN_EXE_septem-operator"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "canary:4318")
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "Error: OTEL_EXPORTER_OTLP_ENDPOINT must be the URL of a collector's OTLP over HTTP, such as http://collector:4318\n"
    );
}
