//! A ClickHouse beside the stack's: an engine out of the same library, and an access front before it.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::world::env;

/// Ends with the value.
pub struct Engine {
    port: u16,
    children: Vec<Child>,
    folder: PathBuf,
}

impl Engine {
    /// Starts both and waits until the front answers.
    pub async fn start() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let state = root.join(".stack");
        let folder = std::env::temp_dir().join(format!("optest-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        let [http, tcp, port] = free_ports();
        let engine = Command::new("python3")
            .arg(root.join("e2e/stack/clickhouse-engine.py"))
            .arg(env("SEPTEM_CHDB"))
            .arg(&folder)
            .arg(state.join("config/clickhouse.xml"))
            .args([http.to_string(), tcp.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let secret = |name: &str| {
            let text = std::fs::read_to_string(state.join("secrets").join(name)).unwrap();
            text.trim().to_owned()
        };
        // The stack's own front says where the binary is, unless another one is to be tried.
        let front = std::env::var("SEPTEM_FRONT_BINARY").unwrap_or_else(|_| {
            let pid = std::fs::read_to_string(state.join("run/clickhouse-front.pid")).unwrap();
            format!("/proc/{}/exe", pid.trim())
        });
        let front = Command::new(front)
            .env("SEPTEM_FRONT_LISTEN", format!("127.0.0.1:{port}"))
            .env("SEPTEM_FRONT_ENGINE", format!("127.0.0.1:{http}"))
            .env("SEPTEM_FRONT_ADMIN_PASSWORD", secret("clickhouse-admin"))
            .env("SEPTEM_FRONT_ENGINE_PASSWORD", secret("clickhouse-engine"))
            .env("SEPTEM_FRONT_STATE", folder.join("access.json"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let engine = Self {
            port,
            children: vec![engine, front],
            folder,
        };
        engine.answer().await;
        engine
    }

    /// The same login on this server.
    pub fn at(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.to_string()
    }

    /// What it answers its administrator.
    pub async fn ask(&self, query: &str) -> String {
        let url = self.at(&env("CLICKHOUSE_FRONT_ADMIN_URL"));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http.post(&url).body(query.to_owned()).send().await.unwrap();
        let fine = answer.status().is_success();
        let text = answer.text().await.unwrap();
        assert!(fine, "{query}: {text}");
        text
    }

    async fn answer(&self) {
        let url = self.at(&env("CLICKHOUSE_FRONT_ADMIN_URL"));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for _ in 0..300 {
            let answer = http.post(&url).body("select 1").send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the second ClickHouse does not answer");
    }
}

fn free_ports() -> [u16; 3] {
    let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    [listen(), listen(), listen()].map(|l| l.local_addr().unwrap().port())
}

impl Drop for Engine {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
