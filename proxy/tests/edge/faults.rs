//! Parts that go away.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::world::{Proxy, World, command, eventually};
use crate::support::{forwarder::Forwarder, free_address};

/// A Valkey of the test's own, to be killed.
struct Valkey {
    address: SocketAddr,
    child: Child,
}

impl Valkey {
    fn start(address: SocketAddr) -> Self {
        let child = Command::new("valkey-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--port",
                &address.port().to_string(),
            ])
            .stdout(Stdio::null())
            .spawn()
            .expect("valkey-server is on the PATH: run through `make test`");
        eventually("Valkey listens", || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Self { address, child }
    }

    fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn without_valkey_answers_are_right_and_quick() {
    let mut valkey = Valkey::start(free_address());
    let world = World::with_valkey(&valkey.url());
    assert_eq!(
        world
            .ask(world.a, "ada", "PUT", "/v1/cache/x", r#"{"value":1}"#)
            .status,
        204
    );
    assert_eq!(
        world.get(world.a, "rob", "/v1/schema/crm/deals").status,
        200
    );

    valkey.kill();
    for _ in 0..30 {
        assert_eq!(
            world.get(world.a, "ada", "/v1/schema/crm/companies").status,
            200
        );
        assert_eq!(
            world.get(world.a, "rob", "/v1/schema/crm/companies").status,
            403
        );
        assert_eq!(
            world.get(world.b, "ada", "/v1/schema/hr/people").status,
            200
        );
    }
    eventually("the breaker opens", || {
        let started = Instant::now();
        let answer = world.get(world.a, "ada", "/v1/cache/x");
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (503, "UNAVAILABLE")
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
        started.elapsed() < Duration::from_millis(50)
    });
    // Permissions are checked before the cache is asked, with or without it.
    assert_eq!(world.get(world.a, "eve", "/v1/cache/x").status, 403);
    let report = world.proxy.admin("/ready");
    assert_eq!(
        (report.status, report.json()["valkey"].as_str()),
        (200, Some("away"))
    );

    let _again = Valkey::start(valkey.address);
    eventually("the cache serves again", || {
        world.get(world.a, "ada", "/v1/cache/x").status == 404
    });
    assert_eq!(
        world
            .ask(world.a, "ada", "PUT", "/v1/cache/x", r#"{"value":2}"#)
            .status,
        204
    );
}

#[test]
fn a_valkey_that_hangs_costs_little() {
    let valkey = Valkey::start(free_address());
    let world = World::with_valkey(&valkey.url());
    assert_eq!(world.get(world.a, "ada", "/v1/schema").status, 200);
    let signal = |name: &str| {
        assert!(
            Command::new("kill")
                .args([name, &valkey.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    };
    signal("-STOP");
    let started = Instant::now();
    for n in 0..40 {
        assert_eq!(
            world
                .get(world.a, &format!("user{n}"), "/v1/schema/crm/deals")
                .status,
            403
        );
        assert_eq!(
            world.get(world.a, "ada", "/v1/schema/crm/deals").status,
            200
        );
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    signal("-CONT");
    eventually("the cache serves again", || {
        world
            .ask(world.a, "ada", "PUT", "/v1/cache/x", r#"{"value":1}"#)
            .status
            == 204
    });
}

#[test]
fn valkey_is_never_asked_to_walk_all_keys() {
    let valkey = Valkey::start(free_address());
    let world = World::with_valkey(&valkey.url());
    let mut monitor = std::net::TcpStream::connect(valkey.address).unwrap();
    monitor.write_all(b"MONITOR\r\n").unwrap();
    for key in ["a", "b*", "c"] {
        assert_eq!(
            world
                .ask(
                    world.a,
                    "ada",
                    "PUT",
                    &format!("/v1/cache/{key}"),
                    r#"{"value":1}"#
                )
                .status,
            204
        );
    }
    assert_eq!(world.get(world.a, "ada", "/v1/cache/a").status, 200);
    assert_eq!(
        world
            .ask(
                world.a,
                "ada",
                "POST",
                "/v1/cache/invalidate",
                r#"{"pattern":"b**"}"#
            )
            .json()["data"]["invalidated"],
        1
    );
    assert_eq!(
        world
            .ask(world.a, "ada", "DELETE", "/v1/cache/c", "")
            .status,
        204
    );
    monitor
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let (mut log, mut chunk) = (Vec::new(), [0; 65536]);
    while let Ok(n @ 1..) = monitor.read(&mut chunk) {
        log.extend_from_slice(&chunk[..n]);
    }
    let log = String::from_utf8(log).unwrap();
    assert!(
        log.contains("\"ZSCAN\"") && log.contains("evalsha") || log.contains("EVALSHA"),
        "{log}"
    );
    for line in log.lines() {
        let upper = line.to_ascii_uppercase();
        assert!(
            !upper.contains("\"KEYS\"") && !upper.contains("\"SCAN\""),
            "{line}"
        );
        for key in line
            .split('"')
            .filter(|w| w.starts_with("cache:") || w.starts_with("rbac:"))
        {
            assert!(key.contains(&format!("{{{}}}", world.a)), "{line}");
        }
    }
}

#[test]
fn entries_that_the_index_lost_are_not_read() {
    let valkey = Valkey::start(free_address());
    let world = World::with_valkey(&valkey.url());
    let put = |key: &str| {
        world
            .ask(
                world.a,
                "ada",
                "PUT",
                &format!("/v1/cache/{key}"),
                r#"{"value":1}"#,
            )
            .status
    };
    let status = |key: &str| {
        world
            .get(world.a, "ada", &format!("/v1/cache/{key}"))
            .status
    };
    assert_eq!((put("x"), status("x")), (204, 200));
    // What eviction under memory pressure would do.
    let mut plain = std::net::TcpStream::connect(valkey.address).unwrap();
    plain
        .write_all(format!("DEL cache:{{{}}}:1:i\r\n", world.a).as_bytes())
        .unwrap();
    let mut answer = [0; 4];
    plain.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b":1\r\n");
    let answer = world.ask(
        world.a,
        "ada",
        "POST",
        "/v1/cache/invalidate",
        r#"{"pattern":"*"}"#,
    );
    assert_eq!(answer.status, 200);
    assert_eq!(
        status("x"),
        404,
        "invalidated, though the index had forgotten it"
    );
    assert_eq!((put("y"), status("y"), status("x")), (204, 200, 404));
}

#[test]
fn a_role_that_sees_past_the_fence_is_not_served_with() {
    let database = super::world::Database::create();
    let (mut command, ..) = command(
        database.admin_url(),
        &crate::support::variable("VALKEY_URL"),
    );
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("not fenced"), "{text}");
}

#[test]
fn without_postgresql_the_last_catalogue_serves() {
    let world = World::open();
    assert_eq!(world.get(world.a, "ada", "/v1/schema").status, 200);
    // Permissions are in Valkey for a minute; nobody else's can be had.
    world.database.run(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
    );
    assert_eq!(world.get(world.a, "ada", "/v1/schema").status, 200);
    eventually("it listens again", || {
        world.database.publish("select 1");
        world.proxy.admin("/ready").json()["catalog"]
            .as_i64()
            .unwrap()
            > 1
    });
}

#[test]
fn what_comes_late_is_found_and_what_goes_is_missed() {
    let database = super::world::Database::create();
    let mut url: url::Url = database.app_url().parse().unwrap();
    let server = url.socket_addrs(|| Some(5432)).unwrap()[0];
    let way = Forwarder::to(server);
    url.set_ip_host(way.address.ip()).unwrap();
    url.set_port(Some(way.address.port())).unwrap();
    let valkey_address = free_address();
    let world = World::over(database, url.as_str(), &format!("redis://{valkey_address}"));
    let schema = |user: &str| world.get(world.a, user, "/v1/schema/crm/deals").status;

    assert_eq!(
        (schema("ada"), world.proxy.admin("/ready").status),
        (503, 503)
    );
    way.mend();
    eventually("PostgreSQL is found", || {
        world.proxy.admin("/ready").status == 200
    });
    assert_eq!((schema("ada"), schema("eve")), (200, 403));
    assert_eq!(world.get(world.a, "ada", "/v1/cache/x").status, 503);
    let mut valkey = Valkey::start(valkey_address);
    eventually("Valkey is found", || {
        world.get(world.a, "ada", "/v1/cache/x").status == 404
    });

    // In Valkey for a minute: known users are served with the last catalogue, new ones cannot be.
    eventually("the set is shared", || {
        std::thread::sleep(Duration::from_millis(1100));
        schema("rob") == 200
    });
    way.cut();
    assert_eq!(schema("rob"), 200);
    assert_eq!(schema("nobody-yet"), 503);
    assert_eq!(world.get(world.a, "rob", "/v1/schema/crm/no").status, 404);
    // Neither of the two: no answer, and never a wrong one.
    valkey.kill();
    eventually("nobody is served", || schema("rob") == 503);
    way.mend();
    eventually("everybody is", || {
        schema("rob") == 200 && schema("nobody-yet") == 403
    });
}

#[test]
fn both_away_is_503_and_not_ready() {
    let proxy = Proxy::start(
        &format!("postgres://septem_app:x@{}/none", free_address()),
        &format!("redis://{}", free_address()),
    );
    assert_eq!(proxy.admin("/live").status, 200);
    assert_eq!(proxy.admin("/ready").status, 503);
    let token = super::world::bearer(uuid::Uuid::now_v7(), "ada");
    let mut connection = super::client::Connection::open(proxy.address);
    let answer = connection.ask("GET", "/v1/schema", &[("Authorization", &token)], b"");
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "UNAVAILABLE")
    );
    // Who has no token learns nothing of that.
    assert_eq!(connection.ask("GET", "/v1/schema", &[], b"").status, 401);
}

#[test]
fn metrics_name_no_tenant() {
    let world = World::open();
    for n in 0..50 {
        world.get(
            uuid::Uuid::now_v7(),
            &format!("user{n}"),
            &format!("/v1/schema/m{n}"),
        );
    }
    world.get(world.a, "ada", "/v1/schema");
    // A request is counted when its answer is on its way, so that a client may be here first.
    let mut text = String::new();
    eventually("the last request is counted", || {
        text = String::from_utf8(world.proxy.admin("/metrics").body).unwrap();
        text.contains(
            "septem_proxy_requests_total{route=\"schema\",method=\"GET\",status=\"2xx\"} 1",
        )
    });
    assert!(
        !text.contains(&world.a.to_string()) && !text.contains("user1"),
        "{text}"
    );
    assert!(text.lines().count() < 200);
}

#[test]
fn a_wrong_start_says_why_in_a_sentence() {
    let run = |name: &str, value: &str| {
        let (mut command, ..) = command(
            "postgres://septem_app:hunter2@127.0.0.1:1/x",
            "redis://127.0.0.1:3",
        );
        command.env(name, value);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && !text.contains("hunter2"),
            "{name}={value}: {text}"
        );
        text
    };
    assert!(
        run("SEPTEM_PROXY_CURSOR_KEY", "short")
            .contains("SEPTEM_PROXY_CURSOR_KEY must be 32 bytes in base64.")
    );
    assert!(run("SEPTEM_PROXY_VALKEY_URL", "").contains("SEPTEM_PROXY_VALKEY_URL must be a URL"));
    assert!(run("SEPTEM_PROXY_JWT_PUBLIC_KEY", "/does/not/exist").contains("cannot be read"));
    assert!(run("SEPTEM_LOG", "=[").contains("SEPTEM_LOG"));
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(
        run(
            "SEPTEM_PROXY_LISTEN",
            &busy.local_addr().unwrap().to_string()
        )
        .contains("cannot listen at")
    );
}

#[test]
fn a_signal_drains_and_ends_within_ten_seconds() {
    let database = super::world::Database::create();
    let (mut command, address, admin) =
        command(database.app_url(), &crate::support::variable("VALKEY_URL"));
    let mut child = command
        .env("SEPTEM_LOG", "info")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ready = || {
        let connected = std::net::TcpStream::connect(admin).is_ok();
        connected.then(|| {
            super::client::Connection::open(admin)
                .ask("GET", "/ready", &[], b"")
                .status
        })
    };
    eventually("it is ready", || ready() == Some(200));
    let token = super::world::bearer(uuid::Uuid::now_v7(), "ada");
    let mut connection = super::client::Connection::open(address);
    assert_eq!(
        connection
            .ask(
                "GET",
                "/v1/schema?secret=canary",
                &[("Authorization", &token)],
                b""
            )
            .status,
        404
    );

    let signalled = Instant::now();
    let killed = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(killed.success());
    eventually("it is not ready any more", || ready() == Some(503));
    let status = child.wait().unwrap();
    assert!(
        status.success() && signalled.elapsed() < Duration::from_secs(10),
        "{status} {:?}",
        signalled.elapsed()
    );
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .collect();
    let access: Vec<_> = lines
        .iter()
        .filter(|l| l.contains("\"target\":\"access\""))
        .collect();
    assert_eq!(access.len(), 1, "{lines:?}");
    assert!(
        access[0].contains("\"user\":\"ada\"") && access[0].contains("\"status\":404"),
        "{access:?}"
    );
    let all = lines.join("\n");
    assert!(
        !all.contains("canary") && !all.contains(&token[7..]) && !all.contains("septem_app:"),
        "{all}"
    );
}
