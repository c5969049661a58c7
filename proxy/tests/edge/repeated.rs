//! Writes that are sent more than once, through the binary: two proxies, killed processes, lost connections.

use std::thread;

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use super::{
    client::{Answer, Connection},
    world::{Database, Proxy, World, bearer, eventually, runtime},
};
use crate::support::{forwarder::Forwarder, variable};

fn fields() -> Value {
    json!([{"name": "title", "type": "text", "required": true}])
}

fn serve_notes(world: &World) {
    world.database.serve("crm", "notes", fields());
}

fn write(world: &World, proxy: &Proxy, key: &str, path: &str, body: &str) -> Option<Answer> {
    let token = bearer(world.a, "ada");
    let mut connection = Connection::open(proxy.address);
    let head = format!(
        "POST /v1/data/crm/{path} HTTP/1.1\r\nHost: edge.test\r\nAuthorization: {token}\r\n\
         Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.send(head.as_bytes());
    connection.answer(false)
}

/// Waits until a backend of the proxy is in the middle of a trigger that sleeps.
fn until_one_sleeps(world: &World) {
    let sleeping = "select count(*) from pg_stat_activity \
         where datname = current_database() and usename = 'septem_app' and wait_event = 'PgSleep'";
    eventually("a write is under way", || {
        runtime().block_on(async {
            let url = world.database.admin_url();
            let mut admin = PgConnection::connect(url).await.unwrap();
            let count: i64 = sqlx::query_scalar(sleeping)
                .fetch_one(&mut admin)
                .await
                .unwrap();
            count > 0
        })
    });
}

fn rows(world: &World) -> usize {
    let answer = world.get(world.a, "ada", "/v1/data/crm/notes?limit=100");
    answer.json()["data"].as_array().unwrap().len()
}

#[test]
fn fifty_at_once_over_two_proxies_write_one_row() {
    let world = World::open();
    serve_notes(&world);
    let other = Proxy::start(world.database.app_url(), &variable("VALKEY_URL")).ready();
    let body = json!({"operations": [
        {"op": "create", "model": "notes", "ref": "n", "data": {"title": "x"}},
        {"op": "update", "model": "notes", "id": {"$ref": "n.id"}, "data": {"title": "y"}},
    ]})
    .to_string();
    for (path, body, status, more) in [
        ("notes", r#"{"title":"x"}"#, 201, 1),
        ("batch", body.as_str(), 200, 1),
    ] {
        let before = rows(&world);
        let answers: Vec<Answer> = thread::scope(|scope| {
            let sent: Vec<_> = (0..50)
                .map(|i| {
                    let proxy = if i % 2 == 0 { &world.proxy } else { &other };
                    let world = &world;
                    scope.spawn(move || write(world, proxy, path, path, body).unwrap())
                })
                .collect();
            sent.into_iter().map(|s| s.join().unwrap()).collect()
        });
        assert_eq!(rows(&world), before + more);
        let first = |a: &&Answer| a.header("idempotency-replayed").is_none();
        assert_eq!(answers.iter().filter(first).count(), 1);
        for answer in &answers {
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(answer.body, answers[0].body);
            assert_eq!(answer.header("location"), answers[0].header("location"));
            assert_eq!(answer.header("etag"), answers[0].header("etag"));
        }
    }
    // Who has no right to the module learns nothing of it.
    let hr = world.ask(world.a, "ada", "POST", "/v1/data/hr/batch", &body);
    assert_eq!((hr.status, hr.problem().as_str()), (404, "NOT_FOUND"));
}

#[test]
fn a_proxy_that_is_killed_in_the_middle_leaves_neither_row_nor_answer() {
    let mut world = World::open();
    serve_notes(&world);
    let other = Proxy::start(world.database.app_url(), &variable("VALKEY_URL")).ready();
    // Every insert waits here, behind the claim.
    world.database.run(
        "create function crm.wait() returns trigger language plpgsql as $$ begin perform pg_sleep(2); return new; end $$;
         create trigger wait before insert on crm.notes for each row execute function crm.wait()",
    );
    let lost = thread::scope(|scope| {
        let lost = scope.spawn(|| write(&world, &world.proxy, "k", "notes", r#"{"title":"x"}"#));
        until_one_sleeps(&world);
        let pid = world.proxy.child.id().to_string();
        let killed = std::process::Command::new("kill")
            .args(["-9", &pid])
            .status();
        assert!(killed.unwrap().success());
        lost.join().unwrap()
    });
    assert!(lost.is_none(), "{lost:?}");
    // The client tries again at once, elsewhere, while the backend does not know yet that nobody waits for it.
    let answer = write(&world, &other, "k", "notes", r#"{"title":"x"}"#).unwrap();
    assert_eq!(
        (answer.status, answer.header("idempotency-replayed")),
        (201, None),
        "{answer:?}"
    );
    let again = write(&world, &other, "k", "notes", r#"{"title":"x"}"#).unwrap();
    assert_eq!((again.status, &again.body), (201, &answer.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    world.proxy = other;
    assert_eq!(rows(&world), 1);
}

#[test]
fn a_connection_that_is_lost_with_the_commit_is_told_and_the_key_knows() {
    let database = Database::create();
    let mut near: url::Url = database.app_url().parse().unwrap();
    let way = Forwarder::to(near.socket_addrs(|| Some(5432)).unwrap()[0]);
    way.mend();
    near.set_ip_host(way.address.ip()).unwrap();
    near.set_port(Some(way.address.port())).unwrap();
    let world = World::over(database, near.as_str(), &variable("VALKEY_URL"));
    let world = World {
        proxy: world.proxy.ready(),
        ..world
    };
    serve_notes(&world);
    // COMMIT takes two seconds, and whoever waits for it is cut off.
    world.database.run(
        "create function platform.wait() returns trigger language plpgsql as $$ begin perform pg_sleep(2); return null; end $$;
         create constraint trigger wait after insert on platform.idempotency deferrable initially deferred
           for each row execute function platform.wait()",
    );
    let answer = thread::scope(|scope| {
        let answer = scope.spawn(|| write(&world, &world.proxy, "k", "notes", r#"{"title":"x"}"#));
        until_one_sleeps(&world);
        way.cut();
        answer.join().unwrap().unwrap()
    });
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "OUTCOME_UNKNOWN")
    );
    way.mend();
    eventually("the proxy is back", || {
        world.get(world.a, "ada", "/v1/data/crm/notes").status == 200
    });
    eventually("the truth is known", || {
        let again = write(&world, &world.proxy, "k", "notes", r#"{"title":"x"}"#).unwrap();
        again.status == 201 && again.header("idempotency-replayed") == Some("true")
    });
    assert_eq!(rows(&world), 1);
}
