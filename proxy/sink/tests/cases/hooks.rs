//! Modules are told of committed writes: at least once, in order of each record, whatever dies meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sink::{
    admin::Pulse,
    hooks::{
        command::{Replayed, replay},
        config::{Config, Selection},
        dead::DeadLetters,
    },
    metrics::{HookOutcome, Metrics},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{
    events::{Event, OTHER_TENANT, TENANT, id, row},
    receiver::{Receiver, Response},
    stack::{Stack, eventually, with_stack},
};

fn key() -> SecretString {
    base64::engine::general_purpose::STANDARD
        .encode([5; 32])
        .into()
}

/// The only host that tests call.
const HOSTS: &str = "127.0.0.1";

fn config(stack: &Stack, give_up: Duration) -> Config {
    let sink = stack.config();
    let mut kafka = sink.kafka;
    kafka.group = format!("{}.hooks", kafka.group);
    Config {
        listen: sink.listen,
        database_url: sink.database_url,
        kafka,
        keys: Some(hook::Keys::parse(&key(), None).unwrap()),
        hosts: HOSTS.parse().unwrap(),
        give_up,
        keep: Duration::from_secs(86_400),
        drain: Duration::from_secs(2),
    }
}

/// A dispatcher in this process.
struct Running {
    metrics: Metrics,
    stop: CancellationToken,
    task: JoinHandle<Result<(), sink::hooks::Error>>,
}

impl Running {
    fn start(config: Config) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (metrics, stop) = (Metrics::default(), CancellationToken::new());
        let pool = sink::connect_to(&config.database_url).unwrap();
        let (its, until) = (metrics.clone(), stop.clone());
        let task = tokio::spawn(sink::hooks::run(config, pool, its, Pulse::default(), until));
        Self {
            metrics,
            stop,
            task,
        }
    }

    async fn drain(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.task).await;
        ended.expect("drained in time").unwrap().unwrap();
    }
}

/// A dispatcher as a process; killed when dropped.
struct Process(Child);

impl Process {
    fn start(stack: &Stack) -> Self {
        let config = config(stack, Duration::from_secs(60));
        let child = Command::new(env!("CARGO_BIN_EXE_septem-sink"))
            .arg("hooks")
            .env("SEPTEM_HOOKS_LISTEN", "127.0.0.1:0")
            .env(
                "SEPTEM_SINK_DATABASE_URL",
                config.database_url.expose_secret(),
            )
            .env("SEPTEM_SINK_KAFKA_BOOTSTRAP", &config.kafka.bootstrap)
            .env("SEPTEM_SINK_KAFKA_TOPIC", &config.kafka.topic)
            .env("SEPTEM_HOOKS_KAFKA_GROUP", &config.kafka.group)
            .env("SEPTEM_HOOKS_INSTANCE", "one")
            .env("SEPTEM_HOOK_KEY", key().expose_secret())
            .env("SEPTEM_HOOK_HOSTS", HOSTS)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // kill -9.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Publishes a model with after-hooks at this URL, and both tenants.
async fn publish(stack: &Stack, model: &str, url: &str, policy: &str) {
    for (tenant, slug) in [(TENANT, "one"), (OTHER_TENANT, "two")] {
        let statements = [
            "insert into platform.tenants (tenant_id, slug, display_name, state, resource, resource_uid, served, revision)
             values ($1::uuid, $2, $2, 'Active', $2, $2, true, 1) on conflict do nothing",
            "insert into platform.tenant_modules (tenant_id, module) select $1::uuid, 'crm' where $2 <> ''
             on conflict do nothing",
        ];
        for statement in statements {
            sqlx::query(statement)
                .bind(tenant)
                .bind(slug)
                .execute(&stack.pool)
                .await
                .unwrap();
        }
    }
    let hook = |event: &str| json!({"event": event, "url": url, "timeoutMs": 1000, "failurePolicy": policy});
    let document = json!({
        "module": "crm", "model": model,
        "fields": [{"name": "title", "type": "text"}, {"name": "amount", "type": "decimal", "precision": 12, "scale": 2}],
        "hooks": [hook("AfterCreate"), hook("AfterUpdate"), hook("AfterDelete")],
    });
    stack.publish(document).await;
}

fn change(op: &'static str, model: &str, lsn: u64, record: u64, more: Value) -> Event {
    let mut fields = json!({"title": format!("t{record}"), "amount": "1.50", "version": lsn});
    fields
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Event::change(op, model, lsn, row(record, fields))
}

fn partition(record: u64) -> i32 {
    i32::try_from(record % 3).unwrap()
}

async fn dead(stack: &Stack) -> i64 {
    let count = sqlx::query_scalar("select count(*) from platform.hook_dead_letters");
    count.fetch_one(&stack.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_is_told_what_the_api_would_show() {
    with_stack(|stack| async move {
        let stack = &*stack;
        let module = Receiver::start(|_| Response::empty(204)).await;
        publish(stack, "deals", &module.url, "Fail").await;
        let running = Running::start(config(stack, Duration::from_secs(30)));
        let deleted = json!({"deleted_at": "2026-01-02T03:04:05Z"});
        let canary = json!({"tenant_id": OTHER_TENANT, "title": "canary"});
        let snapshot = Event { snapshot: json!("true"), ..change("r", "deals", 9, 9, json!({})) };
        stack
            .send_all([
                (partition(9), snapshot),
                (partition(1), change("c", "deals", 10, 1, json!({}))),
                (partition(2), change("c", "deals", 11, 2, canary)),
                (partition(1), change("u", "deals", 12, 1, json!({"title": "new"}))),
                (partition(1), change("u", "deals", 13, 1, deleted)),
            ])
            .await;
        let told = || async { module.received().len() >= 4 };
        eventually("four calls", Duration::from_secs(40), told).await;
        running.drain().await;

        let calls = module.received();
        assert_eq!(calls.len(), 4);
        let bodies: Vec<Value> = calls.iter().map(|call| call.json()).collect();
        let of_one: Vec<_> = bodies.iter().filter(|b| b["tenantId"] == TENANT).collect();
        let events: Vec<_> = of_one.iter().map(|b| b["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["AfterCreate", "AfterUpdate", "AfterDelete"]);
        assert_eq!(
            of_one[0]["record"],
            json!({
                "id": id(1), "title": "t1", "amount": 1.50, "created_at": "2026-01-02T03:04:05.000006Z",
                "updated_at": "2026-01-02T03:04:05.000006Z", "created_by": "ada", "updated_by": "ada", "version": 10,
            })
        );
        assert_eq!(of_one[2]["record"]["deleted_at"], "2026-01-02T03:04:05.000000Z");
        for body in &bodies {
            let text = body.to_string();
            assert_eq!(text.contains(OTHER_TENANT), text.contains("canary"), "{text}");
            assert!(!(text.contains(TENANT) && text.contains(OTHER_TENANT)));
        }
        let keys = hook::Keys::parse(&key(), None).unwrap();
        let key = keys.module_key(&"crm".parse().unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        for call in &calls {
            let verify = |body: &[u8]| hook::verify(key.expose_secret(), &call.signature, body, now);
            assert!(verify(&call.body) && !verify(b"{}"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dispatcher_loses_nothing_and_repeats_itself_by_id() {
    with_stack(|stack| async move {
        let stack = &*stack;
        let slow = |_: &_| Response {
            delay: Duration::from_millis(30),
            ..Response::empty(200)
        };
        let module = Receiver::start(slow).await;
        publish(stack, "deals", &module.url, "Fail").await;
        let total = 400;
        let events =
            (0..total).map(|n| (partition(n), change("c", "deals", 100 + n, n, json!({}))));
        stack.send_all(events.collect::<Vec<_>>()).await;
        let mut reached = 0;
        for _ in 0..3 {
            let process = Process::start(stack);
            reached += 60;
            let some = || async { module.received().len() >= reached };
            eventually("some calls", Duration::from_secs(60), some).await;
            drop(process);
            reached = module.received().len();
        }
        let _process = Process::start(stack);
        let versions = || {
            let calls = module.received();
            let told = calls.iter().map(|call| {
                let body = call.json();
                let version = body["record"]["version"].as_u64().unwrap();
                (version, body["eventId"].as_str().unwrap().to_owned())
            });
            told.collect::<Vec<_>>()
        };
        let all = || async {
            let told: BTreeSet<_> = versions().into_iter().map(|(version, _)| version).collect();
            told.len() == usize::try_from(total).unwrap()
        };
        eventually("every call", Duration::from_secs(90), all).await;
        let mut ids = BTreeMap::new();
        for (version, event_id) in versions() {
            let first = ids.entry(version).or_insert_with(|| event_id.clone());
            assert_eq!(*first, event_id);
        }
        let distinct: BTreeSet<_> = ids.values().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(dead(stack).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_is_down_holds_up_nobody_and_can_be_told_later() {
    with_stack(|stack| async move {
        let stack = &*stack;
        let is_up = Arc::new(AtomicBool::new(false));
        let answers = Arc::clone(&is_up);
        let down = Receiver::start(move |_| match answers.load(Ordering::Relaxed) {
            true => Response::empty(204),
            false => Response::empty(503),
        })
        .await;
        let well = Receiver::start(|_| Response::empty(204)).await;
        publish(stack, "deals", &down.url, "Fail").await;
        publish(stack, "notes", &well.url, "Fail").await;
        publish(stack, "memos", &format!("{}ignored", down.url), "Ignore").await;
        let running = Running::start(config(stack, Duration::from_secs(1)));
        let mut events = Vec::new();
        for n in 0..60 {
            // Three changes of each of twenty records.
            events.push((
                partition(n % 20),
                change("u", "deals", 1_000 + n, n % 20, json!({})),
            ));
            events.push((partition(n), change("c", "notes", 2_000 + n, n, json!({}))));
        }
        events.push((0, change("c", "memos", 3_000, 1, json!({}))));
        stack.send_all(events).await;
        let told = || async { well.received().len() >= 60 };
        eventually("the other module is told", Duration::from_secs(40), told).await;
        let buried = || async { dead(stack).await == 60 };
        eventually("sixty dead letters", Duration::from_secs(60), buried).await;
        let given_up = || async { running.metrics.hook_total(HookOutcome::GivenUp) == 1 };
        eventually("one is given up", Duration::from_secs(20), given_up).await;
        assert!(down.received().iter().any(|call| call.target == "/ignored"));
        running.drain().await;

        // What is dead stays so when the events are read again.
        let running = Running::start(config(stack, Duration::from_secs(1)));
        tokio::time::sleep(Duration::from_secs(2)).await;
        running.drain().await;
        assert_eq!(dead(stack).await, 60);

        let pool = sink::connect_to(&stack.config().database_url).unwrap();
        let letters = DeadLetters::new(pool.clone());
        let piles = letters.piles().await.unwrap();
        assert_eq!(
            piles
                .iter()
                .map(|p| (p.model.as_str(), p.count))
                .collect::<Vec<_>>(),
            [("crm.deals", 60)]
        );
        let client = || {
            let keys = hook::Keys::parse(&key(), None).unwrap();
            hook::Client::new(Some(keys), HOSTS.parse().unwrap()).unwrap()
        };
        let all = Selection {
            module: "crm".parse().unwrap(),
            model: None,
            tenant: None,
        };
        let again = replay(&client(), &pool, &letters, &all).await.unwrap();
        assert_eq!((again.taken, again.kept, again.behind), (0, 20, 40));

        is_up.store(true, Ordering::Relaxed);
        let before = down.received().len();
        let nobody = Selection {
            tenant: Some(OTHER_TENANT.parse().unwrap()),
            ..all.clone()
        };
        assert_eq!(
            replay(&client(), &pool, &letters, &nobody).await.unwrap(),
            Replayed::default()
        );
        let taken = replay(&client(), &pool, &letters, &all).await.unwrap();
        assert_eq!(
            taken,
            Replayed {
                taken: 60,
                ..Replayed::default()
            }
        );
        assert_eq!(dead(stack).await, 0);
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for call in &down.received()[before..] {
            let record = call.json()["record"].clone();
            let version = record["version"].as_u64().unwrap();
            let older = last.insert(record["id"].as_str().unwrap().to_owned(), version);
            assert!(
                older.is_none_or(|older| older < version),
                "in order of each record"
            );
        }
    })
    .await;
}
