//! A database with two tenants, and a proxy in front of it, in this process.

use std::{
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use model::ModuleModel;
use serde_json::{Value, json};
use sql::postgres::ddl;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::client::{Answer, Connection};
use crate::support::{database::TestDatabase, free_address, variable};

pub const ISSUER: &str = "https://issuer.test";
pub const AUDIENCE: &str = "edge";

/// A runtime for what a test does beside HTTP.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// Waits for something that must come true soon.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{what}: not within 20 s"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A database of its own, with schema `platform` in it.
pub struct Database {
    inner: TestDatabase,
}

impl Database {
    pub fn create() -> Self {
        runtime().block_on(async {
            let inner = TestDatabase::create(&[]).await;
            let mut postgres = inner.admin().await;
            sqlx::migrate!("../migrations")
                .run(&mut postgres)
                .await
                .unwrap();
            Self { inner }
        })
    }

    /// As septem_app.
    pub fn app_url(&self) -> &str {
        &self.inner.app_url
    }

    /// As superuser.
    pub fn admin_url(&self) -> &str {
        &self.inner.admin_url
    }

    /// The statements that make a model's table, run as the owner of tables.
    pub fn create_table(&self, model: &ModuleModel) {
        let statements = ddl::create_schema(&model.name().module)
            .into_iter()
            .chain(ddl::create_model(model));
        self.run(&format!(
            "set role septem_owner; {}",
            statements.collect::<Vec<_>>().join(";")
        ));
    }

    /// Serves a model that has a table, where the world's own have none.
    pub fn serve(&self, module: &str, name: &str, fields: Value) {
        let document = document(module, name, &fields);
        self.create_table(&serde_json::from_value(document).unwrap());
        self.publish(&model(module, name, fields));
    }

    /// Runs statements and publishes a revision with them, as the operator does.
    pub fn publish(&self, statements: &str) {
        let text = format!(
            "begin; {statements}; update platform.catalog_revision set revision = revision + 1;
             select pg_notify('platform_catalog', revision::text) from platform.catalog_revision; commit"
        );
        self.run(&text);
    }

    /// Runs statements.
    pub fn run(&self, statements: &str) {
        runtime().block_on(async {
            self.inner
                .admin()
                .await
                .execute(AssertSqlSafe(statements.to_owned()))
                .await
                .unwrap();
        });
    }
}

fn document(module: &str, model: &str, fields: &Value) -> Value {
    json!({
        "module": module, "model": model, "autoApi": true, "analytics": false, "maxPageSize": 100, "fields": fields,
    })
}

/// The statement that publishes a model.
pub fn model(module: &str, model: &str, fields: Value) -> String {
    let document = document(module, model, &fields);
    format!(
        "insert into platform.modules values ('{module}', 'test') on conflict do nothing;
         insert into platform.models values ('{module}', '{model}', 'test/{model}', 'u', '{document}', true, 1);
         insert into platform.permissions select '{module}', '{model}', unnest(array['read', 'write', 'delete'])"
    )
}

/// The statement that makes a tenant: `ada` is its admin, `rob` may read deals, nobody else has a role.
pub fn tenant(id: Uuid, modules: &[&str]) -> String {
    let (admin, reader) = (Uuid::new_v4(), Uuid::new_v4());
    let modules: String = modules
        .iter()
        .map(|m| format!("insert into platform.tenant_modules values ('{id}', '{m}');"))
        .collect();
    format!(
        "insert into platform.tenants values ('{id}', 't{}', 'T', 'Active', 't', 'u', true, 1); {modules}
         insert into platform.roles values ('{id}', '{admin}', 'admin', true), ('{id}', '{reader}', 'reader', false);
         insert into platform.role_permissions values ('{id}', '{reader}', 'crm.deals.read');
         insert into platform.user_roles values ('{id}', 'ada', '{admin}'), ('{id}', 'rob', '{reader}')",
        id.simple()
    )
}

/// A proxy of its own: the built binary, killed when this is dropped.
///
/// Not in this process: the server library keeps the runtimes of its first server in slots by thread, which the
/// threads of a second one would find.
pub struct Proxy {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub child: Child,
}

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The command that starts the binary, with every variable set, and its two addresses.
pub fn command(database_url: &str, valkey_url: &str) -> (Command, SocketAddr, SocketAddr) {
    let (address, admin) = (free_address(), free_address());
    let mut command = Command::new(env!("CARGO_BIN_EXE_septem-proxy"));
    command
        .env_clear()
        .env("SEPTEM_PROXY_LISTEN", address.to_string())
        .env("SEPTEM_PROXY_ADMIN_LISTEN", admin.to_string())
        .env("SEPTEM_PROXY_DATABASE_URL", database_url)
        .env("SEPTEM_PROXY_CLICKHOUSE_URL", "http://127.0.0.1:9")
        .env("SEPTEM_PROXY_CLICKHOUSE_PASSWORD", "hunter2")
        .env("SEPTEM_PROXY_VALKEY_URL", valkey_url)
        .env("SEPTEM_PROXY_JWT_PUBLIC_KEY", fixture("es256-one.pub.pem"))
        .env("SEPTEM_PROXY_JWT_ISSUER", ISSUER)
        .env("SEPTEM_PROXY_JWT_AUDIENCE", AUDIENCE)
        .env(
            "SEPTEM_PROXY_CURSOR_KEY",
            "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
        )
        .env("SEPTEM_PROXY_CORS_ORIGINS", "https://app.test");
    (command, address, admin)
}

impl Proxy {
    pub fn start(database_url: &str, valkey_url: &str) -> Self {
        let (mut command, address, admin) = command(database_url, valkey_url);
        let child = command
            .env("SEPTEM_LOG", "error")
            .stdout(Stdio::inherit())
            .spawn()
            .unwrap();
        let proxy = Self {
            address,
            admin,
            child,
        };
        proxy.listening()
    }

    pub fn listening(self) -> Self {
        eventually("both ports answer", || {
            [self.address, self.admin]
                .iter()
                .all(|a| TcpStream::connect(a).is_ok())
        });
        self
    }

    pub fn ready(self) -> Self {
        eventually("the proxy is ready", || self.admin("/ready").status == 200);
        self
    }

    pub fn admin(&self, path: &str) -> Answer {
        Connection::open(self.admin).ask("GET", path, &[], b"")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two tenants with `crm` in front of one proxy; B has `hr` as well.
pub struct World {
    pub a: Uuid,
    pub b: Uuid,
    pub proxy: Proxy,
    pub database: Database,
}

impl World {
    pub fn open() -> Self {
        Self::with_valkey(&variable("VALKEY_URL"))
    }

    pub fn with_valkey(valkey_url: &str) -> Self {
        let database = Database::create();
        let database_url = database.app_url().to_owned();
        let world = Self::over(database, &database_url, valkey_url);
        Self {
            proxy: world.proxy.ready(),
            ..world
        }
    }

    /// With other ways to its stores, and not waited for.
    pub fn over(database: Database, database_url: &str, valkey_url: &str) -> Self {
        let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
        let title = json!([{"name": "title", "type": "text", "required": true}]);
        let deals = json!([
            {"name": "title", "type": "text", "required": true, "maxLength": 200},
            {"name": "company_id", "type": "uuid", "references": {"module": "crm", "model": "companies"}},
        ]);
        let statements = [
            model("crm", "companies", title.clone()),
            model("crm", "deals", deals),
            model("hr", "people", title),
            tenant(a, &["crm"]),
            tenant(b, &["crm", "hr"]),
        ];
        database.publish(&statements.join(";"));
        let proxy = Proxy::start(database_url, valkey_url);
        Self {
            a,
            b,
            proxy,
            database,
        }
    }

    /// One request of a user on a connection of its own.
    pub fn ask(&self, tenant: Uuid, user: &str, method: &str, path: &str, body: &str) -> Answer {
        let token = bearer(tenant, user);
        let headers = [
            ("Authorization", token.as_str()),
            ("Content-Type", "application/json"),
        ];
        Connection::open(self.proxy.address).ask(method, path, &headers, body.as_bytes())
    }

    pub fn get(&self, tenant: Uuid, user: &str, path: &str) -> Answer {
        self.ask(tenant, user, "GET", path, "")
    }
}

/// The header of a good token.
pub fn bearer(tenant: Uuid, user: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": user, "tenant_id": tenant.to_string(), "exp": now + 600, "jti": "1",
    });
    let key = EncodingKey::from_ec_pem(&std::fs::read(fixture("es256-one.pem")).unwrap()).unwrap();
    format!(
        "Bearer {}",
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &key).unwrap()
    )
}
