//! How long a commit takes to show in analytics.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use e2e::{Scene, scene::Turn};
use serde_json::json;
use tokio::sync::mpsc;

const WRITES: usize = 200;
/// Writes are single: each is answered before the next is sent, and they are spread over this much time each.
const WRITE_EVERY: Duration = Duration::from_millis(100);
/// The bound, for p99.
const VISIBLE_MAX: Duration = Duration::from_secs(5);
/// Until a write that does not show is given up.
const GIVE_UP: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_commit_is_visible_in_analytics_within_5_seconds_at_p99_of_200_single_writes()
-> Result<()> {
    Scene::play(Turn::Alone, async |scene| {
        let tenant = scene.tenant("a").await?;
        let fields = json!({"fields": [{"name": "n", "type": "int32", "required": true}]});
        scene.apply_model("ticks", fields).await?;
        let (api, path) = (&tenant.api, scene.path("ticks"));
        api.synced(&scene.module, "ticks", Duration::from_secs(20)).await?;

        let (sender, mut answered) = mpsc::unbounded_channel();
        let writer = async {
            let mut every = tokio::time::interval(WRITE_EVERY);
            for n in 0..WRITES {
                every.tick().await;
                api.post(&path, &json!({"n": n})).await?.expect(201)?;
                let _ = sender.send((n, Instant::now()));
            }
            drop(sender);
            anyhow::Ok(())
        };
        // One looker: the rows that each answer shows for the first time became visible before that answer.
        let looker = async {
            let query = json!({"model": "ticks", "aggregate": "count", "groupBy": "n", "limit": 10_000});
            let (mut at, mut delays) = (BTreeMap::new(), BTreeMap::new());
            let from = Instant::now();
            while delays.len() < WRITES && from.elapsed() < GIVE_UP {
                let answer = api.analytics(&scene.module, &query).await?;
                let seen = Instant::now();
                while let Ok((n, answered)) = answered.try_recv() {
                    at.insert(n, answered);
                }
                for row in &answer.data {
                    let n: usize = row["n"].get().parse()?;
                    if let Some(answered) = at.get(&n) {
                        delays.entry(n).or_insert_with(|| seen.saturating_duration_since(*answered));
                    }
                }
            }
            anyhow::Ok(delays)
        };
        let (written, delays) = tokio::join!(writer, looker);
        written?;
        let mut delays: Vec<Duration> = delays?.into_values().collect();
        assert_eq!(delays.len(), WRITES, "every write shows within {GIVE_UP:?}");
        delays.sort();
        let (p50, p99) = (delays[WRITES / 2], delays[WRITES * 99 / 100]);
        println!("commit → visible in analytics, {WRITES} single writes: p50 {p50:.0?}, p99 {p99:.0?}, max {:.0?}", delays[WRITES - 1]);
        assert!(p99 < VISIBLE_MAX, "p99 is {p99:?}");
        Ok(())
    })
    .await
}
