//! What proxies tell the operator: the oldest revision of the catalogue that a request still works with.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::{Connection as _, Row as _};

use super::world::{Proxy, World, bearer, eventually, model, runtime};
use crate::support::variable;

/// 40 MB of text: more than fits between the server and a client that does not read.
const ROWS: usize = 100_000;
/// As long is an instance waited for that says nothing any more: `operator::catalog::waiting_for`.
const LIVE: Duration = Duration::from_secs(30);

/// Instances that were seen within [`LIVE`], with what they acknowledge.
fn told(world: &World) -> BTreeMap<String, i64> {
    runtime().block_on(async {
        let mut admin = sqlx::PgConnection::connect(world.database.admin_url())
            .await
            .unwrap();
        let rows = sqlx::query(
            "select instance, revision from platform.proxy_instances
             where kind = 'proxy' and last_seen > now() - interval '30 seconds'",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    })
}

fn published(world: &World) -> i64 {
    runtime().block_on(async {
        let mut admin = sqlx::PgConnection::connect(world.database.admin_url())
            .await
            .unwrap();
        let query = "select revision from platform.catalog_revision";
        sqlx::query_scalar(query)
            .fetch_one(&mut admin)
            .await
            .unwrap()
    })
}

/// Publishes a revision and returns its number.
fn publish(world: &World) -> i64 {
    world.database.publish("select 1");
    published(world)
}

#[test]
fn a_revision_is_acknowledged_when_the_last_request_by_an_older_one_has_ended() {
    let world = World::open();
    let fields = json!([{"name": "title", "type": "text", "required": true}]);
    let document = json!({
        "module": "crm", "model": "notes", "autoApi": true, "analytics": false, "maxPageSize": 100, "fields": fields,
    });
    world
        .database
        .create_table(&serde_json::from_value(document).unwrap());
    world.database.publish(&model("crm", "notes", fields));
    world.database.run(&format!(
        "insert into crm.notes (tenant_id, id, title, created_by, updated_by)
         select '{}', gen_random_uuid(), repeat('x', 400), 'a', 'a' from generate_series(1, {ROWS})",
        world.a
    ));
    let first = told(&world);
    let mut other = Proxy::start(world.database.app_url(), &variable("VALKEY_URL")).ready();
    let now = published(&world);
    eventually("both acknowledge what is published", || {
        told(&world).values().filter(|r| **r == now).count() == 2
    });
    let (name, _) = first.first_key_value().unwrap();

    // An export that nobody reads, through the first.
    let mut stream = TcpStream::connect(world.proxy.address).unwrap();
    let token = bearer(world.a, "ada");
    let head = format!(
        "GET /v1/data/crm/notes HTTP/1.1\r\nHost: edge.test\r\nAuthorization: {token}\r\nAccept: text/csv\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    let next = publish(&world);
    let start = Instant::now();
    eventually("the other acknowledges the next", || {
        told(&world).values().any(|r| *r == next)
    });
    eprintln!("acknowledged after {:?}", start.elapsed());
    // The first serves the next revision already, and says what it still sends.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(told(&world)[name], now);
    assert_eq!(
        world.get(world.a, "ada", "/v1/schema").status,
        200,
        "and answers"
    );
    assert_eq!(told(&world)[name], now);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > ROWS * 400);
    let start = Instant::now();
    eventually("the first acknowledges, too", || told(&world)[name] == next);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );

    // Killed: it is waited for until it was not seen for half a minute. One that ends in order is not waited for.
    let mut third = Proxy::start(world.database.app_url(), &variable("VALKEY_URL")).ready();
    eventually("three", || told(&world).len() == 3);
    let terminated = Command::new("kill")
        .args(["-TERM", &third.child.id().to_string()])
        .status();
    assert!(terminated.unwrap().success());
    third.child.wait().unwrap();
    assert_eq!(told(&world).len(), 2, "it has taken leave");

    other.child.kill().unwrap();
    other.child.wait().unwrap();
    let killed = Instant::now();
    let last = publish(&world);
    eventually("the first has it", || told(&world)[name] == last);
    assert_eq!(told(&world).len(), 2, "the killed one still counts");
    while told(&world).len() > 1 {
        assert!(killed.elapsed() < LIVE + Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(250));
    }
    let after = killed.elapsed();
    eprintln!("not waited for any more after {after:?}");
    assert!(after > LIVE - Duration::from_secs(7), "{after:?}");
}
