//! How much is read for an answer, as the server counts it: under the policy an index serves where the documentation
//! says that one does, for each branch of a page, of a count and of an include.

use proxy::postgres::{Lane, Scope};
use sql::Statement;
use sqlx::Connection as _;

use super::lab::Lab;
use crate::support::{
    database::run,
    world::{A, B},
};

/// Flights of each tenant in a table that is worth an index.
const ROWS: usize = 10_000;
/// Airports of each tenant.
const AIRPORTS: usize = 1_000;

/// Target, indexes that are used, most rows that are read of `flights`.
#[rustfmt::skip]
const SERVED: &[(&str, &[&str], i64)] = &[
    ("flights/0198f0aa-5b1e-7c3d-9a4e-000300000007", &["flights__id__pkey"], 1),
    ("flights?limit=20", &["flights__id__pkey"], 60),
    ("flights?id=gt.0198f0aa-5b1e-7c3d-9a4e-000300000007&limit=20", &["flights__id__pkey"], 60),
    ("flights?order=delay&delay=gt.5000&limit=20", &["flights__by_delay"], 60),
    ("flights?order=delay.desc&delay=lt.9000&limit=20", &["flights__by_delay"], 60),
    ("flights?delay=eq.5000", &["flights__by_delay"], 60),
    ("flights?delay=in.(5000,5001,7000)", &["flights__by_delay"], 60),
    ("flights?order=delay&delay=not.lt.5000&limit=20", &["flights__by_delay"], 60),
    ("flights?or=(delay.eq.5000,distance.eq.70)", &["flights__by_delay", "flights__by_distance"], 60),
    ("flights?order=distance&distance=gt.40&limit=20", &["flights__by_distance"], 60),
    ("flights?status=eq.landed&order=departs_at.desc&limit=20", &["flights__by_status"], 60),
    ("flights?status=eq.landed&departs_at=gt.2030-01-01T00:00:00Z&order=departs_at&limit=20", &["flights__by_status"], 60),
    ("airports?iata=eq.A03&include=flights!origin_id(limit=5)", &["flights__origin_id__2__ref"], 500),
    ("flights?limit=20&include=origin,destination", &["flights__id__pkey", "airports__id__pkey"], 60),
    ("flights?limit=20&include=flights(limit=5)", &["flights__id__pkey", "flights__previous_id__2__ref"], 200),
    ("flights?delay=eq.5000&include=origin!inner(state=eq.CA)", &["flights__by_delay"], 60),
];

/// A list that is walked, and the index that serves it wherever the walk is.
#[rustfmt::skip]
const WALKED: &[(&str, &[&str])] = &[
    ("flights?limit=20", &["flights__id__pkey"]),
    ("flights?order=delay&limit=20", &["flights__by_delay"]),
    ("flights?order=delay.desc&limit=20", &["flights__by_delay"]),
    ("flights?order=delay,id.desc&limit=20", &["flights__by_delay"]),
    ("flights?order=distance.desc&limit=20", &["flights__by_distance"]),
    ("flights?status=eq.landed&order=departs_at&limit=20", &["flights__by_status"]),
    // Nearly all rows have one number.
    ("flights?order=number&number=gt.a&limit=20", &["flights__by_number"]),
    ("flights?order=number.desc&number=gt.a&limit=20", &["flights__by_number"]),
];
/// Pages of a walk before its place is in the middle: what reads them again reads more than it may.
const PAGES: usize = 10;

/// What the server has read since the last reset: rows of `flights` and the indexes that served.
async fn reads(lab: &Lab) -> (i64, Vec<String>) {
    // A session tells what it counted some time after its last statement, unless it is told to.
    let session = Scope {
        tenant: A.parse().unwrap(),
        user: "ada".into(),
    };
    let tell = Statement {
        text: "select pg_stat_force_next_flush()::text".into(),
        binds: Vec::new(),
    };
    for lane in [Lane::Shared, Lane::Exclusive] {
        let told = lab
            .world
            .data
            .database
            .run_read(&session, lane, [tell.clone()]);
        told.await.unwrap();
    }
    let rows = lab.rows(
        "select (coalesce(sum(seq_tup_read), 0) + coalesce(sum(idx_tup_fetch), 0))::text from pg_stat_user_tables where schemaname = 'crm' and relname = 'flights'",
    ).await;
    let indexes = lab.rows("select indexrelname::text from pg_stat_user_indexes where schemaname = 'crm' and idx_scan > 0 order by 1").await;
    (rows[0].parse().unwrap(), indexes)
}

async fn fill(admin: &mut sqlx::PgConnection) {
    run(admin, &format!(
        "insert into crm.airports (tenant_id, id, created_by, updated_by, iata__2)
         select t, gen_random_uuid(), 'x', 'x', 'B' || i from (values ('{A}'::uuid), ('{B}')) v(t) cross join generate_series(1, {AIRPORTS}) i"
    )).await;
    // One in a hundred starts from A03.
    run(admin, &format!(
        "insert into crm.flights (tenant_id, id, created_by, updated_by, number, delay__2, status__2, distance__2, departs_at__2, origin_id__2, destination_id__2)
         select t, gen_random_uuid(), 'x', 'x', 'bulk', i, (array['planned', 'flying', 'landed'])[i % 3 + 1], i / 100.0,
           timestamptz '2026-01-01T00:00:00Z' + i * interval '1 h', a.id, a.id
         from (values ('{A}'::uuid), ('{B}')) v(t) cross join generate_series(1000, {ROWS} + 1000) i
         join crm.airports a on a.tenant_id = t and a.iata__2 like case when i % 100 = 0 then 'A03%' else 'B' || i % {AIRPORTS} + 1 end"
    )).await;
    run(admin, "vacuum analyze crm.flights").await;
    run(admin, "vacuum analyze crm.airports").await;
}

#[tokio::test]
async fn an_index_serves_where_the_documentation_says_so() {
    // One connection of each kind, so that each is told when to tell.
    let lab = Lab::with(|config| {
        config.shared.connections = 1;
        config.exclusive.connections = 1;
    })
    .await;
    let mut admin = lab.world.database.admin().await;
    // The operator does so where it bootstraps as superuser.
    for name in ["eq", "lt", "le", "gt", "ge", "cmp"] {
        run(
            &mut admin,
            &format!("alter function pg_catalog.numeric_{name}(numeric, numeric) leakproof"),
        )
        .await;
    }
    fill(&mut admin).await;
    // A session tells what it counted when it ends.
    admin.close().await.unwrap();
    let mut cases: Vec<(String, &[&str], i64)> = SERVED
        .iter()
        .map(|(t, i, n)| ((*t).to_owned(), *i, *n))
        .collect();
    // Going on in the middle, either way.
    for (target, index) in WALKED {
        let mut next = String::new();
        for _ in 0..PAGES {
            let page = lab.get(&format!("{target}{next}")).await.json();
            next = format!("&cursor={}", page["meta"]["nextCursor"].as_str().unwrap());
        }
        let page = lab.get(&format!("{target}{next}")).await.json();
        let previous = page["meta"]["prevCursor"].as_str().unwrap();
        cases.push((format!("{target}{next}"), index, 60));
        cases.push((format!("{target}&cursor={previous}"), index, 60));
    }
    reads(&lab).await;
    for (target, indexes, most) in cases {
        lab.rows("select pg_stat_reset()::text").await;
        let seen = lab.get(&target).await;
        let (rows, used) = reads(&lab).await;
        let missing: Vec<_> = indexes
            .iter()
            .filter(|i| !used.iter().any(|u| u == *i))
            .collect();
        if seen.status != 200 || rows > most || !missing.is_empty() {
            lab.fail(format!("{target}\n  {} reads {rows} rows, at most {most}; by {used:?}, without {missing:?}", seen.status)).await;
        }
    }
    lab.finish().await;
}
