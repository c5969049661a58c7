//! Walking a list while others write to it: what is there throughout appears exactly once, in order.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{lab::Lab, orders::walk};
use crate::support::{database::run, world::A};

#[rustfmt::skip]
const WALKS: &[(&str, &str, &str, usize)] = &[
    ("", "true", "id", 3),
    ("&order=delay", "true", "delay, id", 4),
    ("&order=delay.desc.nullslast", "true", "delay desc nulls last, id desc", 5),
    ("&order=status,delay.desc,distance.nullsfirst", "true", "status, delay desc, distance nulls first, id", 2),
    ("&order=distance.nullsfirst&or=(delay.gt.20,delay.is.null)", "delay > 20 or delay is null", "distance nulls first, id", 3),
    ("&order=departs_at.desc&status=in.(planned,landed)", "status in ('planned', 'landed')", "departs_at desc, id desc", 7),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_throughout_appears_once_while_rows_come_and_go() {
    let lab = Lab::new().await;
    let stop = AtomicBool::new(false);
    let churn = async {
        let mut writer = lab.world.database.admin().await;
        let mut rounds = 0u32;
        while !stop.load(Ordering::Relaxed) {
            rounds += 1;
            // Rows of every position: before, between and behind, with nulls and with values equal to those that stay.
            let come = format!(
                "insert into crm.flights (tenant_id, id, created_by, updated_by, number, delay__2, status__2, distance__2, departs_at__2)
                 select '{A}', gen_random_uuid(), 'churn', 'churn', 'churn',
                   case when random() < 0.2 then null else floor(random() * 100)::int end,
                   (array['planned', 'flying', 'landed'])[1 + floor(random() * 3)::int],
                   case when random() < 0.2 then null else (random() * 5000)::numeric(10, 2) end,
                   timestamptz '2026-01-01T00:00:00Z' + floor(random() * 48) * interval '1 h'
                 from generate_series(1, 5)"
            );
            run(&mut writer, &come).await;
            let go = if rounds.is_multiple_of(2) {
                "delete from crm.flights"
            } else {
                "update crm.flights set deleted_at = now()"
            };
            let go = format!(
                "{go} where tenant_id = '{A}' and id in
                 (select id from crm.flights where tenant_id = '{A}' and created_by = 'churn' and deleted_at is null order by random() limit 4)"
            );
            run(&mut writer, &go).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        rounds
    };
    let walks = async {
        for (query, condition, order, limit) in WALKS {
            let sql = format!(
                "select id::text from oracle.flights t where created_by = 'x' and ({condition}) order by {order}"
            );
            let stable = lab.rows(&sql).await;
            for _ in 0..3 {
                let (forth, back) = walk(&lab, &format!("flights?select=id{query}"), *limit).await;
                for (way, rows) in [("forth", forth), ("back", back)] {
                    check(&lab, query, way, &stable, &rows).await;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (rounds, ()) = tokio::join!(churn, walks);
    assert!(rounds > 5, "nothing came or went");
    lab.finish().await;
}

async fn check(lab: &Lab, query: &str, way: &str, stable: &[String], rows: &[String]) {
    let mut seen = HashMap::new();
    for row in rows {
        *seen.entry(row.as_str()).or_insert(0) += 1;
    }
    let throughout: HashSet<&str> = stable.iter().map(String::as_str).collect();
    let twice: Vec<_> = seen.iter().filter(|(_, n)| **n > 1).collect();
    if way == "forth" && !twice.is_empty() {
        lab.fail(format!(
            "{query}: {} rows appear twice going {way}",
            twice.len()
        ))
        .await;
    }
    let kept: Vec<_> = rows
        .iter()
        .filter(|r| throughout.contains(r.as_str()))
        .cloned()
        .collect();
    if kept != stable {
        lab.fail(format!(
            "{query}: {} of {} rows that were there throughout, going {way}",
            kept.len(),
            stable.len()
        ))
        .await;
    }
}
