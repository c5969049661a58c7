//! Exports through the binary: a million rows in constant memory, readers that are slow or gone, a server that dies.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;
use sqlx::{Connection as _, Row as _};
use uuid::Uuid;

use super::world::{World, bearer, eventually, model, runtime};

/// Rows of tenant A. B has one.
const ROWS: usize = 1_000_000;
/// Most that an export may add to the resident memory of the proxy, in KiB.
const GROWTH_MAX_KIB: u64 = 64 * 1024;
const PATH: &str = "/v1/data/crm/notes?select=id,title,amount";
const NDJSON: &str = "application/x-ndjson";

/// A client that takes an export as slowly as it likes.
struct Reader {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Reader {
    fn open(world: &World, tenant: Uuid, path: &str, accept: &str, version: &str) -> Self {
        let mut stream = TcpStream::connect(world.proxy.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let token = bearer(tenant, "ada");
        let head = format!(
            "GET {path} HTTP/{version}\r\nHost: edge.test\r\nAuthorization: {token}\r\nAccept: {accept}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
        }
        Self { stream, head }
    }

    fn export(world: &World, tenant: Uuid) -> Self {
        let reader = Self::open(world, tenant, PATH, NDJSON, "1.1");
        assert!(reader.head.starts_with("HTTP/1.1 200"), "{}", reader.head);
        let head = reader.head.to_ascii_lowercase();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        assert!(head.contains("content-type: application/x-ndjson"));
        assert!(!head.contains("content-length"));
        reader
    }

    /// The next chunk, empty at the end of the body; `None` where the connection ends before that.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        if !matches!(self.stream.read_line(&mut size), Ok(n) if n > 0) {
            return None;
        }
        let size = usize::from_str_radix(size.trim_end(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        Some(chunk)
    }

    /// Reads to the end. The number of lines, and whether the body came to its end.
    fn rest(&mut self) -> (usize, bool) {
        let mut lines = 0;
        while let Some(chunk) = self.chunk() {
            if chunk.is_empty() {
                return (lines, true);
            }
            lines += chunk.iter().filter(|b| **b == b'\n').count();
        }
        (lines, false)
    }
}

fn status_kib(world: &World, name: &str) -> u64 {
    let path = format!("/proc/{}/status", world.proxy.child.id());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|l| l.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Connections of exports: the only ones whose server looks after its client.
fn exporting(world: &World) -> i64 {
    runtime().block_on(async {
        let mut admin = sqlx::PgConnection::connect(world.database.admin_url())
            .await
            .unwrap();
        sqlx::query(
            "select count(*) from pg_stat_activity where datname = current_database()
             and application_name = 'septem-proxy' and query like '%limit 4294967295%'",
        )
        .fetch_one(&mut admin)
        .await
        .unwrap()
        .get(0)
    })
}

#[test]
fn an_export_of_a_million_rows_takes_no_memory_and_no_prisoners() {
    let world = World::open();
    let fields = json!([{"name": "title", "type": "text", "required": true},
        {"name": "amount", "type": "decimal", "precision": 12, "scale": 2}]);
    let document = json!({
        "module": "crm", "model": "notes", "autoApi": true, "analytics": false, "maxPageSize": 100, "fields": fields,
    });
    world
        .database
        .create_table(&serde_json::from_value(document).unwrap());
    world.database.publish(&model("crm", "notes", fields));
    let fill = |tenant: Uuid, rows: usize, title: &str| {
        world.database.run(&format!(
            "insert into crm.notes (tenant_id, id, title, amount, created_by, updated_by)
             select '{tenant}', gen_random_uuid(), '{title} ' || n, n / 100.0, 'a', 'a' from generate_series(1, {rows}) n"
        ));
    };
    fill(world.a, ROWS, "a note of tenant A, number");
    fill(world.b, 1, "canary of B");
    world.database.run("analyze crm.notes");
    // What the first request of a process allocates is not the export's.
    assert_eq!(world.get(world.a, "ada", PATH).status, 200);

    every_row_once(&world);
    what_is_no_export(&world);
    a_slow_reader_holds_back_the_server(&world);
    two_at_once(&world);
    a_dying_server_leaves_no_clean_end(&world);
    assert_eq!(world.get(world.a, "ada", PATH).status, 200);
    eventually("no export is left", || exporting(&world) == 0);
}

fn every_row_once(world: &World) {
    let before = status_kib(world, "VmRSS");
    let mut reader = Reader::export(world, world.a);
    let (mut rest, mut lines, mut last) = (Vec::new(), 0, String::new());
    loop {
        let chunk = reader.chunk().expect("the body comes to its end");
        if chunk.is_empty() {
            break;
        }
        rest.extend_from_slice(&chunk);
        let end = rest
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        for line in rest[..end].split_inclusive(|b| *b == b'\n') {
            let line = std::str::from_utf8(line).unwrap();
            assert!(
                line.starts_with("{\"id\":\"") && line.ends_with("}\n"),
                "{line}"
            );
            assert!(line.contains("of tenant A"), "{line}");
            // In the order asked for, which is by id, so none is there twice.
            let id = &line[7..43];
            assert!(last.as_str() < id, "{last} {id}");
            last.replace_range(.., id);
            lines += 1;
        }
        rest.drain(..end);
    }
    assert_eq!((lines, rest.len()), (ROWS, 0));
    let growth = status_kib(world, "VmHWM").saturating_sub(before);
    eprintln!("an export of {ROWS} rows added {growth} KiB");
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB");
    // The connection serves on.
    let stream = reader.stream.get_mut();
    stream
        .write_all(b"GET /v1/schema HTTP/1.1\r\nHost: edge.test\r\n\r\n")
        .unwrap();
    let mut line = String::new();
    reader.stream.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 401"), "{line}");
    let mut theirs = Reader::export(world, world.b);
    assert!(
        String::from_utf8(theirs.chunk().unwrap())
            .unwrap()
            .contains("canary of B 1")
    );
    assert_eq!(theirs.chunk(), Some(Vec::new()));
}

fn what_is_no_export(world: &World) {
    let page = Reader::open(world, world.a, &format!("{PATH}&limit=2"), NDJSON, "1.1");
    let head = page.head.to_ascii_lowercase();
    assert!(
        head.contains("content-length") && head.contains("rel=\"next\""),
        "{head}"
    );
    // HEAD runs nothing, and HTTP/1.0 cannot be told of an end that is none.
    let token = bearer(world.a, "ada");
    let mut connection = super::client::Connection::open(world.proxy.address);
    let headers = [("Authorization", token.as_str()), ("Accept", "text/csv")];
    let head = connection.ask("HEAD", PATH, &headers, b"");
    assert_eq!(head.status, 200);
    assert!(head.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(
        connection.ask("GET", "/v1/schema", &headers, b"").status,
        406
    );
    let old = Reader::open(world, world.a, PATH, NDJSON, "1.0");
    assert!(old.head.contains(" 400 "), "{}", old.head);
    // The backend of an earlier one may be on its way out.
    eventually("no export runs", || exporting(world) == 0);
}

fn a_slow_reader_holds_back_the_server(world: &World) {
    let before = status_kib(world, "VmRSS");
    let mut reader = Reader::export(world, world.a);
    let first = reader.chunk().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(exporting(world), 1);
    let growth = status_kib(world, "VmRSS").saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB while nobody reads");
    let (lines, whole) = reader.rest();
    let first = first.iter().filter(|b| **b == b'\n').count();
    assert_eq!((first + lines, whole), (ROWS, true));
}

fn two_at_once(world: &World) {
    let one = Reader::export(world, world.a);
    let two = Reader::export(world, world.a);
    let third = Reader::open(world, world.a, PATH, NDJSON, "1.1");
    let head = third.head.to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 429") && head.contains("retry-after: 10"),
        "{head}"
    );
    // Another tenant has its own two.
    assert!(Reader::export(world, world.b).rest().1);
    // Two who vanish: their queries end and their places are free.
    drop((one, two));
    eventually("the exports of those who left are ended", || {
        exporting(world) == 0
    });
    drop((
        Reader::export(world, world.a),
        Reader::export(world, world.a),
    ));
    eventually("these too", || exporting(world) == 0);
    let metrics = String::from_utf8(world.proxy.admin("/metrics").body).unwrap();
    let broken = "septem_proxy_replies_broken_off_total{by=\"client\"} 4";
    assert!(metrics.contains(broken), "{metrics}");
}

fn a_dying_server_leaves_no_clean_end(world: &World) {
    let mut reader = Reader::export(world, world.a);
    reader.chunk().unwrap();
    world.database.run(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
         and application_name = 'septem-proxy' and query like '%limit 4294967295%'",
    );
    let (lines, whole) = reader.rest();
    assert!(!whole && lines < ROWS, "{lines} rows and a clean end");
    eventually("it is counted", || {
        let metrics = String::from_utf8(world.proxy.admin("/metrics").body).unwrap();
        metrics.contains("septem_proxy_replies_broken_off_total{by=\"server\"} 1")
    });
}
