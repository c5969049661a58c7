//! Which rows a batch keeps and when it is due.

use std::time::Duration;

use model::{Generation, ModuleModel};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{decode::Version, tracker::Tracker};

fn table() -> Arc<Table> {
    let model: ModuleModel = serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 10,
        "fields": [{"name": "title", "type": "text"}],
    }))
    .unwrap();
    Arc::new(Table::new("septem_data", Arc::new(model), Generation(1)))
}

fn row(id: u128, version: u128, bytes: Vec<u8>) -> BatchRow {
    let key = Key {
        tenant: Uuid::from_u128(1),
        id: Uuid::from_u128(id),
    };
    let record = Record {
        partition: 0,
        offset: 0,
        key: None,
        payload: Some(vec![0; 100]),
    };
    let nothing = serde_json::json!({
        "revision": 1, "generation": 1, "database": "septem", "models": [], "tenants": [],
    });
    BatchRow {
        catalog: Arc::new(Catalog::parse(&nothing.to_string()).unwrap()),
        row: Row {
            key,
            version: Version(version),
            bytes,
        },
        record,
        committed_at: None,
    }
}

fn tickets() -> impl FnMut() -> Ticket {
    let mut tracker = Tracker::default();
    tracker.assign(0, 0);
    let mut offset = -1;
    move || {
        offset += 1;
        tracker.take(0, offset).unwrap()
    }
}

proptest! {
    #[test]
    fn the_highest_version_of_a_key_is_kept(changes in proptest::collection::vec((0_u128..4, 0_u128..50), 1..60)) {
        let (table, mut ticket, mut queue) = (table(), tickets(), TableQueue::default());
        let (now, config) = (Instant::now(), BatchConfig::default());
        let mut expected = HashMap::new();
        for (id, version) in &changes {
            let newest = expected.entry(Uuid::from_u128(*id)).or_insert(*version);
            *newest = (*newest).max(*version);
            queue.add(&table, row(*id, *version, vec![0; 10]), ticket(), now, &config);
        }
        let batch = queue.start(now).unwrap();
        prop_assert_eq!(batch.tickets.len(), changes.len());
        let kept: HashMap<_, _> = batch.rows.iter().map(|r| (r.row.key.id, r.row.version.0)).collect();
        prop_assert_eq!(kept, expected);
        let held: usize = batch.rows.iter().map(BatchRow::held_bytes).sum();
        prop_assert_eq!(batch.held_bytes, held);
    }
}

#[test]
fn a_quiet_table_is_written_at_once_and_a_busy_one_at_intervals() {
    let (table, mut ticket, mut queue) = (table(), tickets(), TableQueue::default());
    let (start, config) = (Instant::now(), BatchConfig::default());
    assert_eq!(queue.due(&config), None);
    queue.add(&table, row(1, 1, vec![]), ticket(), start, &config);
    assert_eq!(queue.due(&config), Some(start + config.linger));
    let written = start + config.linger;
    assert!(queue.start(written).is_some());
    let later = written + Duration::from_millis(5);
    queue.add(&table, row(1, 2, vec![]), ticket(), later, &config);
    assert_eq!(queue.due(&config), None, "one insert in flight a table");
    assert!(queue.start(later).is_none());
    queue.finished();
    assert_eq!(queue.due(&config), Some(written + config.interval));
}

#[test]
fn a_full_batch_is_due_at_once() {
    let (table, mut ticket, mut queue) = (table(), tickets(), TableQueue::default());
    let now = Instant::now();
    let config = BatchConfig {
        rows_max: 2,
        bytes_max: 1_000,
        ..BatchConfig::default()
    };
    for id in 0..3 {
        queue.add(&table, row(id, 1, vec![]), ticket(), now, &config);
    }
    assert_eq!(queue.due(&config), Some(now));
    assert_eq!(queue.start(now).unwrap().rows.len(), 2);
    queue.finished();
    queue.add(&table, row(9, 1, vec![0; 1_000]), ticket(), now, &config);
    assert_eq!(queue.due(&config), Some(now));
    assert_eq!(queue.start(now).unwrap().rows.len(), 2);
    queue.finished();
    assert!(queue.is_idle());
}

#[test]
fn a_table_that_changed_begins_a_new_batch() {
    let (old, new, mut ticket, mut queue) = (table(), table(), tickets(), TableQueue::default());
    let (now, config) = (Instant::now(), BatchConfig::default());
    queue.add(&old, row(1, 1, vec![]), ticket(), now, &config);
    queue.add(&new, row(1, 2, vec![]), ticket(), now, &config);
    assert!(Arc::ptr_eq(&queue.start(now).unwrap().table, &old));
    queue.finished();
    assert!(Arc::ptr_eq(&queue.start(now).unwrap().table, &new));
}
