//! A failover: the primary is gone, its standby takes its place, and the same address leads there.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{
    database::TestDatabase,
    forwarder::Forwarder,
    server::Server,
    world::{A, B, World, models},
};

/// Writers of each tenant.
const WRITERS: usize = 4;
/// Rows acknowledged before the failover, and after it.
const ROWS: u32 = 200;
const PATIENCE: Duration = Duration::from_secs(60);

/// What happened to the tenants' writes so far.
#[derive(Default)]
struct Course {
    acknowledged: AtomicU32,
    ended: AtomicBool,
}

impl Course {
    async fn until_acknowledged(&self, rows: u32) {
        let until = Instant::now() + PATIENCE;
        while self.acknowledged.load(Ordering::SeqCst) < rows {
            assert!(Instant::now() < until, "nothing is written any more");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_a_failover_and_stays_with_its_tenant() {
    let mut primary = Server::start().await;
    let database = TestDatabase::create_at(primary.url(), &models()).await;
    let standby = primary.standby().await;
    let way = Forwarder::to(primary.address);
    way.mend();
    let mut world = World::over(database, &models(), |config| {
        config.port = way.address.port();
        config.shared.queue_wait = Duration::from_secs(1);
        config.exclusive.queue_wait = Duration::from_secs(1);
    })
    .await;

    let course = Course::default();
    let writers = [A, B].map(|tenant| {
        let writers = (0..WRITERS).map(|_| write_and_read(&world, tenant, &course));
        futures::future::join_all(writers)
    });
    let failover = async {
        course.until_acknowledged(ROWS).await;
        primary.kill();
        way.cut();
        way.lead_to(standby.address);
        way.mend();
        // As long as it is a standby nobody is served: what it has may be old.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = course.acknowledged.load(Ordering::SeqCst);
        let read = world.send(A, "GET", "deals?limit=1", None).await;
        assert_eq!(read.status, 503, "{}", read.text);
        assert_eq!(course.acknowledged.load(Ordering::SeqCst), before);
        standby.promote();
        course.until_acknowledged(before + ROWS).await;
        course.ended.store(true, Ordering::SeqCst);
    };
    let (writers, ()) = tokio::join!(futures::future::join_all(writers), failover);

    for (tenant, acknowledged) in [A, B].into_iter().zip(writers) {
        let mut there = HashSet::new();
        let mut target = "deals?select=id&limit=1000".to_owned();
        loop {
            let page = world.send(tenant, "GET", &target, None).await.json();
            let ids = page["data"].as_array().unwrap().iter();
            there.extend(ids.map(|row| row["id"].as_str().unwrap().to_owned()));
            match page["meta"]["nextCursor"].as_str() {
                Some(cursor) => target = format!("deals?select=id&limit=1000&cursor={cursor}"),
                None => break,
            }
        }
        let lost = acknowledged
            .into_iter()
            .flatten()
            .filter(|id| !there.contains(id));
        assert_eq!(lost.count(), 0);
    }
    // The database is dropped where it is now.
    world.database.move_to(&standby.url());
    drop(world);
}

/// Writes rows and reads them, until it is told that it is over. The ids of those that were acknowledged.
async fn write_and_read(world: &World, tenant: &str, course: &Course) -> Vec<String> {
    let (own, other) = match tenant {
        A => ("canary-a", "canary-b"),
        _ => ("canary-b", "canary-a"),
    };
    let mut ids = Vec::new();
    while !course.ended.load(Ordering::SeqCst) {
        let sent = Some(json!({"title": own}));
        let written = world.send(tenant, "POST", "deals", sent).await;
        match written.status.as_u16() {
            201 => {
                let id = written.json()["data"]["id"].as_str().unwrap().to_owned();
                course.acknowledged.fetch_add(1, Ordering::SeqCst);
                let read = world
                    .send(tenant, "GET", &format!("deals/{id}"), None)
                    .await;
                match read.status.as_u16() {
                    200 => assert_eq!(read.json()["data"]["title"], own),
                    status => assert_eq!(status, 503, "{}", read.text),
                }
                ids.push(id);
            }
            // Refused, or nobody knows: both are told, and neither is counted.
            status => assert_eq!(status, 503, "{}", written.text),
        }
        let seen = world.send(tenant, "GET", "deals?limit=5", None).await;
        assert!(matches!(seen.status.as_u16(), 200 | 503), "{}", seen.text);
        assert!(!seen.text.contains(other), "{}", seen.text);
    }
    ids
}
