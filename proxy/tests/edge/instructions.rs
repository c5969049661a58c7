//! How many instructions of the processor a request takes: a count, so the machine and what else it does change nothing.
//!
//! Counted by callgrind (Debian: `valgrind`) in the proxy alone, over all of its threads, as a mean of many requests. The
//! kernel's are not in it, and hashing is more of it than it takes, since callgrind lacks those instructions of the processor.
//! `make bench-instructions` compares a release build with what is kept; with KEEP=1 it keeps what it finds.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use super::{
    client::Connection,
    world::{Proxy, World, bearer, command, fixture},
};
use crate::support::variable;

/// Requests that are counted together: what the proxy does beside them is less than a hundredth.
const REQUESTS: u32 = 100;
/// What a count may differ from the kept one: libraries and the compiler move it by a few hundredths, a mistake on the hot
/// path by tenths, and two runs differ by half a hundredth. Above it something has become slow; below it what is kept is too
/// old to tell.
const TOLERANCE: f64 = 0.05;

/// A proxy whose instructions are counted.
struct Counted {
    proxy: Proxy,
    folder: TempDir,
}

impl Counted {
    fn start(database_url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bare, address, admin) = command(database_url, &variable("VALKEY_URL"));
        let mut counted = Command::new("valgrind");
        counted
            .env_clear()
            .envs(
                bare.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("SEPTEM_PROXY_THREADS", "1")
            .args(["--tool=callgrind", "--instr-atstart=no", "--quiet"])
            .arg(format!(
                "--callgrind-out-file={}",
                folder.path().join("out").display()
            ))
            .arg(bare.get_program())
            .stdout(Stdio::null());
        let child = counted
            .spawn()
            .expect("valgrind is needed to count instructions");
        let proxy = Proxy {
            address,
            admin,
            child,
        };
        Self {
            proxy: proxy.listening().ready(),
            folder,
        }
    }

    fn control(&self, argument: &str) {
        let pid = self.proxy.child.id().to_string();
        let done = Command::new("callgrind_control")
            .args([argument, &pid])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// Instructions of each of the requests that `run` makes.
    fn count(&self, name: &str, mut run: impl FnMut()) -> u64 {
        run();
        self.control("--instr=on");
        self.control("--zero");
        run();
        self.control(&format!("--dump={name}"));
        self.control("--instr=off");
        let dumps = fs::read_dir(self.folder.path()).unwrap();
        let named = format!("desc: Trigger: dump {name}\n");
        let dump = dumps
            .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
            .find(|dump| dump.contains(&named))
            .expect("what is counted is written when it is asked for");
        let total = dump.lines().find_map(|line| line.strip_prefix("totals: "));
        total.unwrap().trim().parse::<u64>().unwrap() / u64::from(REQUESTS)
    }
}

/// What is asked, each on the connection that all share.
struct Asked {
    connection: Connection,
    token: String,
}

impl Asked {
    /// [`REQUESTS`] of them.
    fn ask(&mut self, method: &str, path: &str, body: &str, status: u16) {
        let headers = [
            ("Authorization", self.token.as_str()),
            ("Content-Type", "application/json"),
        ];
        for _ in 0..REQUESTS {
            let answer = self.connection.ask(method, path, &headers, body.as_bytes());
            assert_eq!(answer.status, status, "{method} {path} {answer:?}");
        }
    }
}

#[test]
#[ignore = "of a release build: make bench-instructions"]
fn a_request_takes_no_more_instructions_than_it_did() {
    let world = World::open();
    let fields = json!([
        {"name": "name", "type": "text", "required": true, "maxLength": 200},
        {"name": "email", "type": "text"},
        {"name": "score", "type": "int32"},
        {"name": "balance", "type": "decimal", "precision": 12, "scale": 2},
        {"name": "joined_at", "type": "timestamp"},
    ]);
    world.database.serve("crm", "contacts", fields);
    let proxy = Counted::start(world.database.app_url());
    let mut asked = Asked {
        connection: Connection::open(proxy.proxy.address),
        token: bearer(world.a, "ada"),
    };
    let contact = json!({
        "name": "Ada", "email": "ada@example.com", "score": 7, "balance": "12.50", "joined_at": "2026-01-01T00:00:00Z",
    });
    let contact = contact.to_string();
    let contacts = "/v1/data/crm/contacts";
    let made = world.ask(world.a, "ada", "POST", contacts, &contact).json();
    let record = format!("{contacts}/{}", made["data"]["id"].as_str().unwrap());
    let list = format!("{contacts}?name=eq.Ada&order=joined_at.desc&limit=20");
    let empty = format!("{contacts}?limit=0");
    let value = json!({"value": "x".repeat(256), "ttl": 3600}).to_string();

    let found: BTreeMap<String, u64> = [
        ("create", "POST", contacts, contact.as_str(), 201),
        ("get", "GET", &record, "", 200),
        ("list of 20", "GET", &list, "", 200),
        ("empty page", "GET", &empty, "", 200),
        ("cache set", "PUT", "/v1/cache/x", &value, 204),
        ("cache get", "GET", "/v1/cache/x", "", 200),
    ]
    .into_iter()
    .map(|(name, method, path, body, status)| {
        let count = proxy.count(name, || asked.ask(method, path, body, status));
        (name.to_owned(), count)
    })
    .collect();
    println!("{found:#?}");
    let kept_at = fixture("instructions.json");
    if std::env::var("KEEP").is_ok_and(|keep| !keep.is_empty()) {
        let text = serde_json::to_string_pretty(&found).unwrap();
        fs::write(kept_at, text + "\n").unwrap();
        return;
    }
    let kept: BTreeMap<String, u64> = serde_json::from_slice(&fs::read(kept_at).unwrap()).unwrap();
    let differs = |name: &&String| {
        let ratio = kept
            .get(*name)
            .map(|kept| found[*name] as f64 / *kept as f64);
        ratio.is_none_or(|ratio| (ratio - 1.0).abs() > TOLERANCE)
    };
    let differing: Vec<_> = found.keys().filter(differs).collect();
    assert!(
        differing.is_empty(),
        "{differing:?}: found {found:?}, kept {kept:?}"
    );
}
