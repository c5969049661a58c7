//! kill -9 of one part after the other while writers run: nothing acknowledged is lost, nothing appears from nowhere.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use e2e::{
    Api, NoAnswer, Scene,
    history::{History, Row, Seen},
    parts,
    scene::Turn,
    truth, wait,
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;

/// The parts that a write passes on its way, and the operator; then the engines that the sink and the proxy lean on.
const PARTS: [&str; 8] = [
    "operator",
    "proxy",
    "sink",
    "connect",
    "postgres",
    "kafka",
    "clickhouse",
    "valkey",
];
const WRITERS: usize = 4;
/// Keeps the writers below what two cores carry, so that the parts recover under load and not under starvation.
const WRITE_EVERY: Duration = Duration::from_millis(25);
/// Acknowledged writes before the next part is killed: the system is at work again.
const WRITES_BETWEEN: u64 = 200;
/// After the last fault, until analytics promises to be complete.
const SYNCED_MAX: Duration = Duration::from_secs(60);

struct Writer {
    api: Api,
    path: String,
    history: History,
    acknowledged: Arc<AtomicU64>,
}

impl Writer {
    /// Sends one write; its outcome as the client sees it.
    async fn write(&self, method: Method, path: &str, body: Option<Value>) -> Result<Seen> {
        match self
            .api
            .send(method.clone(), path, &[], body.map(|b| b.to_string()))
            .await
        {
            Ok(answer) => match answer.status {
                200 | 201 | 204 => Ok(Seen::Acknowledged),
                // 503 `unavailable` says that nothing was written; `outcome-unknown` says that nobody knows.
                503 if answer.text().contains("OUTCOME_UNKNOWN") => Ok(Seen::Unknown),
                503 | 429 => Ok(Seen::Refused),
                500.. => Ok(Seen::Unknown),
                _ => anyhow::bail!(
                    "{method} {path} answered {}: {}",
                    answer.status,
                    answer.text()
                ),
            },
            Err(NoAnswer::NotSent(_)) => Ok(Seen::Refused),
            Err(NoAnswer::Lost(_)) => Ok(Seen::Unknown),
        }
    }

    async fn step(&mut self, id: Uuid, before: Option<Row>, after: Row) -> Result<Option<Row>> {
        let one = format!("{}/{id}", self.path);
        let body = json!({"n": after.n, "note": after.note});
        let seen = match &before {
            None => {
                let body = json!({"id": id, "n": after.n, "note": after.note});
                self.write(Method::POST, &self.path, Some(body)).await?
            }
            Some(_) if after.deleted => self.write(Method::DELETE, &one, None).await?,
            Some(_) => self.write(Method::PATCH, &one, Some(body)).await?,
        };
        self.history.note(id, before.clone(), after.clone(), seen);
        if seen == Seen::Acknowledged {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        Ok(match seen {
            Seen::Acknowledged => Some(after),
            Seen::Refused => before,
            Seen::Unknown => None,
        })
    }

    /// One row's life: created, changed, sometimes deleted. It ends early when an answer is lost.
    async fn live(&mut self, n: i64, every: &mut tokio::time::Interval) -> Result<()> {
        let id = Uuid::now_v7();
        let row = |version: i64| Row {
            n: n + version,
            note: format!("n{n}·{version}"),
            version,
            deleted: false,
        };
        every.tick().await;
        let Some(mut now) = self.step(id, None, row(1)).await? else {
            return Ok(());
        };
        for version in 2..=(1 + n % 4) {
            every.tick().await;
            let mut after = row(version);
            // A refused write left the row where it was.
            after.version = now.version + 1;
            let Some(then) = self.step(id, Some(now), after).await? else {
                return Ok(());
            };
            now = then;
        }
        if n % 5 == 0 {
            every.tick().await;
            let gone = Row {
                version: now.version + 1,
                deleted: true,
                ..now.clone()
            };
            self.step(id, Some(now), gone).await?;
        }
        Ok(())
    }

    async fn run(mut self, first: i64, stop: Arc<AtomicBool>) -> Result<History> {
        let mut every = tokio::time::interval(WRITE_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut n = first;
        while !stop.load(Ordering::Relaxed) {
            self.live(n, &mut every).await?;
            n += WRITERS as i64;
        }
        Ok(self.history)
    }
}

async fn rows_in_postgresql(scene: &Scene, tenant: Uuid) -> Result<BTreeMap<Uuid, Row>> {
    let statement = format!(
        "select id, n, note, version, deleted_at is not null from {}.entries where tenant_id = '{tenant}'",
        scene.module
    );
    let mut rows = BTreeMap::new();
    for row in truth::psql(&scene.stack, &statement).await? {
        let entry = Row {
            n: row.try_get(1)?,
            note: row.try_get(2)?,
            version: row.try_get(3)?,
            deleted: row.try_get(4)?,
        };
        rows.insert(row.try_get(0)?, entry);
    }
    Ok(rows)
}

async fn rows_in_clickhouse(scene: &Scene, tenant: Uuid) -> Result<BTreeMap<Uuid, Row>> {
    let table = truth::analytics_table(&scene.stack, &scene.module, "entries").await?;
    let statement = format!(
        "select lower(hex(record_id)), n, note, version, isNotNull(deleted_at) from {table} final \
         where tenant_id = '{tenant}' format TSVRaw"
    );
    let mut rows = BTreeMap::new();
    for line in truth::clickhouse(&scene.stack, &statement).await? {
        let [id, n, note, version, deleted] = line.as_slice() else {
            anyhow::bail!("five columns: {line:?}")
        };
        let entry = Row {
            n: n.parse()?,
            note: note.clone(),
            version: version.parse()?,
            deleted: deleted == "1",
        };
        ensure!(
            rows.insert(Uuid::try_parse(id)?, entry).is_none(),
            "{id} is in ClickHouse twice"
        );
    }
    Ok(rows)
}

fn differences(left: &BTreeMap<Uuid, Row>, right: &BTreeMap<Uuid, Row>) -> Vec<String> {
    let ids: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    ids.into_iter()
        .filter(|id| left.get(id) != right.get(id))
        .map(|id| {
            format!(
                "{id}: PostgreSQL {:?}, ClickHouse {:?}",
                left.get(id),
                right.get(id)
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_parts_are_killed() -> Result<()> {
    Scene::play(Turn::Alone, async |scene| {
        let tenant = scene.tenant("a").await?;
        let fields = json!({"fields": [
            {"name": "n", "type": "int64", "required": true},
            {"name": "note", "type": "text", "required": true},
        ]});
        scene.apply_model("entries", fields).await?;

        let (stop, acknowledged) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let mut writers = tokio::task::JoinSet::new();
        for first in 0..WRITERS {
            let writer = Writer {
                api: tenant.api.clone(),
                path: scene.path("entries"),
                history: History::default(),
                acknowledged: Arc::clone(&acknowledged),
            };
            writers.spawn(writer.run(first as i64, Arc::clone(&stop)));
        }
        let at_work = async |limit: Duration| {
            let goal = acknowledged.load(Ordering::Relaxed) + WRITES_BETWEEN;
            wait::until("the writers to be at work", limit, async || {
                Ok((acknowledged.load(Ordering::Relaxed) >= goal).then_some(()))
            })
            .await
        };
        let killing = async {
            at_work(parts::RECOVERY_MAX).await?;
            for part in PARTS {
                let took = parts::kill(&scene.stack, part).await?;
                at_work(parts::RECOVERY_MAX)
                    .await
                    .with_context(|| format!("after kill of {part}"))?;
                println!(
                    "kill -9 of {part}: healthy again after {:.1} s",
                    took.as_secs_f64()
                );
            }
            anyhow::Ok(())
        };
        let killed = killing.await;
        stop.store(true, Ordering::Relaxed);
        let mut history = History::default();
        while let Some(ended) = writers.join_next().await {
            history.merge(ended.context("a writer")??);
        }
        killed?;
        println!(
            "{} writes acknowledged, {} refused, {} unknown",
            history.acknowledged, history.refused, history.unknown
        );

        let stored = rows_in_postgresql(scene, tenant.id).await?;
        let wrong = history.contradictions(&stored);
        assert!(
            wrong.is_empty(),
            "PostgreSQL: {} rows contradict: {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(10)]
        );

        tenant
            .api
            .synced(&scene.module, "entries", SYNCED_MAX)
            .await?;
        let captured = rows_in_clickhouse(scene, tenant.id).await?;
        let wrong = differences(&stored, &captured);
        assert!(
            wrong.is_empty(),
            "ClickHouse: {} rows differ: {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(10)]
        );
        println!("{} rows equal in PostgreSQL and ClickHouse", stored.len());
        Ok(())
    })
    .await
}
