//! One world.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Mutex, time::Duration};

use crds::{DataPlane, ModuleModel, Tenant};
use fred::interfaces::{ClientLike as _, KeysInterface as _};
use futures::FutureExt as _;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use operator::{Config, RunError, config::CLASS_LABEL};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tokio_util::sync::CancellationToken;

use super::cluster::{status_of, wait, wait_gone};

/// A variable of `.stack/env`.
pub fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run through `make test`"))
}

async fn valkey() -> fred::clients::Client {
    let config = fred::types::config::Config::from_url(&env("VALKEY_URL")).unwrap();
    let client = fred::types::Builder::from_config(config).build().unwrap();
    client.init().await.unwrap();
    client
}

/// An operator that runs in this process.
struct Operator {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), RunError>>,
}

/// Everything that a test has for itself.
pub struct World {
    pub client: Client,
    /// Name of namespace, DataPlane and label; the database and modules carry it too.
    pub name: String,
    /// PostgreSQL as its superuser.
    pub admin: PgPool,
    /// PostgreSQL as the proxy: one connection, so that it is reused.
    pub app: PgPool,
    http: reqwest::Client,
    operator: Mutex<Option<Operator>>,
    /// Databases besides its own, removed with it.
    more_databases: Mutex<Vec<String>>,
}

/// Runs a test in a world with an operator, and removes the world whatever becomes of the test.
pub async fn in_world(test: impl AsyncFnOnce(&World)) {
    in_world_prepared(async |_| {}, test).await;
}

/// The same, with something that is done before the operator starts.
pub async fn in_world_prepared(prepare: impl AsyncFnOnce(&World), test: impl AsyncFnOnce(&World)) {
    let world = World::new().await;
    prepare(&world).await;
    world.start();
    let ended = AssertUnwindSafe(test(&world)).catch_unwind().await;
    world.end().await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

impl World {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("optest-{}", &id[..10]);
        let database = name.replace('-', "_");
        let client = Client::try_default()
            .await
            .expect("KUBECONFIG: run through `make test`");
        let pool = |url: &str| {
            PgPoolOptions::new()
                .max_connections(1)
                .connect_lazy(&on(url, &database))
                .unwrap()
        };
        let server = PgPoolOptions::new()
            .max_connections(1)
            .connect(&env("DATABASE_URL"))
            .await
            .unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("create database {database}")))
            .execute(&server)
            .await
            .unwrap();
        let world = Self {
            name,
            admin: pool(&env("DATABASE_URL")),
            app: pool(&env("DATABASE_APP_URL")),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            operator: Mutex::default(),
            more_databases: Mutex::default(),
            client,
        };
        world.install().await;
        world
    }

    /// Applies the CRDs as they are in this tree.
    pub async fn install_crds(&self) {
        let params = PatchParams::apply("operator-tests").force();
        let crds = Api::<CustomResourceDefinition>::all(self.client.clone());
        for crd in crds::all() {
            let name = crd.name_any();
            crds.patch(&name, &params, &Patch::Apply(&crd))
                .await
                .unwrap();
            wait(&crds, &name, "Established", |c| {
                let conditions = c.status.iter().flat_map(|s| s.conditions.iter().flatten());
                conditions
                    .into_iter()
                    .any(|c| c.type_ == "Established" && c.status == "True")
            })
            .await;
        }
    }

    async fn install(&self) {
        self.install_crds().await;
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": self.name}})).unwrap();
        Api::all(self.client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        let database = self.database();
        let secrets = [
            ("postgres-owner", on(&env("DATABASE_URL"), &database)),
            ("postgres-app", on(&env("DATABASE_APP_URL"), &database)),
            ("postgres-cdc", on(&env("DATABASE_CDC_URL"), &database)),
            ("postgres-sink", on(&env("DATABASE_SINK_URL"), &database)),
            ("clickhouse-admin", env("CLICKHOUSE_FRONT_ADMIN_URL")),
            ("clickhouse-gateway", env("CLICKHOUSE_GATEWAY_URL")),
            ("clickhouse-sink", env("CLICKHOUSE_SINK_URL")),
            ("kafka", env("KAFKA_BOOTSTRAP")),
            ("connect", env("CONNECT_URL")),
            ("valkey", env("VALKEY_URL")),
        ];
        for (name, url) in secrets {
            self.secret(name, &url).await;
        }
        let plane = self.plane(&self.name, &|name| name.to_owned());
        self.apply(&self.planes(), &plane).await.unwrap();
    }

    /// Sets a Secret of this world.
    pub async fn secret(&self, name: &str, url: &str) {
        let secret = Secret {
            metadata: kube::core::ObjectMeta {
                name: Some(name.into()),
                ..Default::default()
            },
            string_data: Some(BTreeMap::from([("url".to_owned(), url.to_owned())])),
            ..Default::default()
        };
        Api::<Secret>::namespaced(self.client.clone(), &self.name)
            .patch(
                name,
                &PatchParams::apply("operator-tests").force(),
                &Patch::Apply(secret),
            )
            .await
            .unwrap();
    }

    /// A DataPlane; `secret` says which Secret is taken for each part.
    pub fn plane(&self, name: &str, secret: &dyn Fn(&str) -> String) -> Value {
        let secret = |part: &str| json!({"name": secret(part)});
        json!({
            "apiVersion": "data.septemcore.com/v1alpha1", "kind": "DataPlane",
            "metadata": {"name": name, "labels": {CLASS_LABEL: self.name}},
            "spec": {
                "secretNamespace": self.name,
                "postgres": {"ownerSecretRef": secret("postgres-owner"), "appSecretRef": secret("postgres-app"),
                             "cdcSecretRef": secret("postgres-cdc"), "sinkSecretRef": secret("postgres-sink")},
                "clickhouse": {"adminSecretRef": secret("clickhouse-admin"), "gatewaySecretRef": secret("clickhouse-gateway"),
                               "sinkSecretRef": secret("clickhouse-sink")},
                "kafka": {"secretRef": secret("kafka")}, "connect": {"secretRef": secret("connect")},
                "valkey": {"secretRef": secret("valkey")},
            },
        })
    }

    /// Another database of this world, removed with it, and a pool of its superuser.
    pub async fn another_database(&self) -> (String, PgPool) {
        let database = format!(
            "{}_{}",
            self.database(),
            self.more_databases.lock().unwrap().len() + 2
        );
        let create = format!("create database {database}");
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&self.admin)
            .await
            .unwrap();
        self.more_databases.lock().unwrap().push(database.clone());
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy(&on(&env("DATABASE_URL"), &database))
            .unwrap();
        (database, pool)
    }

    /// Starts the operator of this world.
    pub fn start(&self) {
        self.start_with(|_| {});
    }

    /// Starts it with another configuration.
    pub fn start_with(&self, change: impl FnOnce(&mut Config)) {
        self.start_through(self.client.clone(), change);
    }

    /// Starts it with that client of the API server.
    pub fn start_through(&self, client: Client, change: impl FnOnce(&mut Config)) {
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_planes: Vec::new(),
            selector: format!("{CLASS_LABEL}={}", self.name),
            events_topic: format!("{}.events", self.name),
            namespaces: Vec::new(),
            lease: None,
            watch_interval: Duration::from_secs(1),
            drift_interval: Duration::from_secs(300),
            log: String::new(),
        };
        change(&mut config);
        let stop = CancellationToken::new();
        let stopping = stop.clone().cancelled_owned();
        let task = tokio::spawn(operator::run(client, config, stopping));
        *self.operator.lock().unwrap() = Some(Operator { stop, task });
    }

    /// Stops the operator and waits until it has finished.
    pub async fn stop(&self) {
        let Some(operator) = self.operator.lock().unwrap().take() else {
            return;
        };
        operator.stop.cancel();
        operator.task.await.unwrap().unwrap();
    }

    /// What the operator ended with by itself.
    pub async fn ended(&self) -> Result<(), RunError> {
        let operator = self.operator.lock().unwrap().take().unwrap();
        tokio::time::timeout(Duration::from_secs(60), operator.task)
            .await
            .expect("it ends")
            .unwrap()
    }

    /// Name of the database.
    pub fn database(&self) -> String {
        self.name.replace('-', "_")
    }

    /// A module that no other test has.
    pub fn module(&self) -> String {
        self.database().replace("optest", "crm")
    }

    pub fn models(&self) -> Api<ModuleModel> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn planes(&self) -> Api<DataPlane> {
        Api::all(self.client.clone())
    }

    pub fn tenants(&self) -> Api<Tenant> {
        Api::all(self.client.clone())
    }

    /// A ModuleModel of this world, with `spec` over the usual.
    pub fn model(&self, name: &str, model: &str, spec: Value) -> Value {
        let mut whole = json!({
            "apiVersion": "data.septemcore.com/v1alpha1", "kind": "ModuleModel",
            "metadata": {"name": name, "namespace": self.name, "labels": {CLASS_LABEL: self.name}},
            "spec": {"module": self.module(), "model": model, "autoApi": true, "dataPlaneRefs": [self.name],
                     "analytics": {"enabled": true}},
        });
        for (key, value) in spec.as_object().unwrap() {
            whole["spec"][key] = value.clone();
        }
        whole
    }

    /// A Tenant of this world, with `spec` over the usual.
    pub fn tenant(&self, name: &str, id: uuid::Uuid, spec: Value) -> Value {
        let name = format!("{}-{name}", self.name);
        let mut whole = json!({
            "apiVersion": "data.septemcore.com/v1alpha1", "kind": "Tenant",
            "metadata": {"name": name, "labels": {CLASS_LABEL: self.name}},
            "spec": {"tenantId": id, "slug": name, "modules": [self.module()], "admins": ["ada"], "dataPlaneRef": self.name},
        });
        for (key, value) in spec.as_object().unwrap() {
            whole["spec"][key] = value.clone();
        }
        whole
    }

    /// Name of a login for the operator that is no superuser; a test that wants it makes it.
    pub fn humble_owner(&self) -> String {
        format!("{}_owner", self.database())
    }

    /// Writes a ConfigMap of this world.
    pub async fn config_map(&self, name: &str, data: Value) {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        Api::<ConfigMap>::namespaced(self.client.clone(), &self.name)
            .patch(
                name,
                &PatchParams::apply("operator-tests").force(),
                &Patch::Apply(&map),
            )
            .await
            .unwrap();
    }

    /// The operator's login to this world's database.
    pub fn login(&self) -> operator::postgres::Login {
        let url = on(&env("DATABASE_URL"), &self.database());
        operator::postgres::Login::parse(&url).unwrap()
    }

    /// Applies as kubectl would; the answer of the API server.
    pub async fn apply<K>(&self, api: &Api<K>, object: &Value) -> Result<K, kube::Error>
    where
        K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let name = object["metadata"]["name"].as_str().unwrap();
        api.patch(
            name,
            &PatchParams::apply("operator-tests").force(),
            &Patch::Apply(object),
        )
        .await
    }

    /// Applies a ModuleModel and waits until what was asked for is there.
    pub async fn apply_ready(&self, object: &Value) -> ModuleModel {
        let generation = self
            .apply(&self.models(), object)
            .await
            .unwrap()
            .metadata
            .generation;
        let name = object["metadata"]["name"].as_str().unwrap();
        wait(&self.models(), name, "Ready", |m| {
            m.status.as_ref().is_some_and(|s| {
                s.observed_generation == generation && status_of(&s.conditions, "Ready") == "True"
            })
        })
        .await
    }

    /// Applies a ModuleModel and waits until the operator has refused it.
    pub async fn apply_stalled(&self, object: &Value) -> ModuleModel {
        let generation = self
            .apply(&self.models(), object)
            .await
            .unwrap()
            .metadata
            .generation;
        let name = object["metadata"]["name"].as_str().unwrap();
        wait(&self.models(), name, "Stalled", |m| {
            m.status.as_ref().is_some_and(|s| {
                s.observed_generation == generation && status_of(&s.conditions, "Stalled") == "True"
            })
        })
        .await
    }

    /// One number from PostgreSQL, as its superuser.
    pub async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(&self.admin)
            .await
            .unwrap()
    }

    /// Runs statements in PostgreSQL, as its superuser.
    pub async fn run(&self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&self.admin)
            .await
            .unwrap();
    }

    /// Says that ClickHouse has seen everything of today: nobody carries events here.
    pub async fn everything_is_synced(&self) {
        self.run("insert into platform.last_sync values (1, now() + interval '1 day') on conflict (generation) do update set last_sync_at = excluded.last_sync_at")
            .await;
    }

    /// The operator's own binary, told to serve this world.
    pub fn binary(&self) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_septem-operator"));
        command
            .env("SEPTEM_OPERATOR_LISTEN", "127.0.0.1:0")
            .env("SEPTEM_OPERATOR_DATA_PLANES", &self.name)
            .env("SEPTEM_OPERATOR_CLASS", &self.name)
            .env(
                "SEPTEM_OPERATOR_EVENTS_TOPIC",
                format!("{}.events", self.name),
            );
        command
    }

    /// Starts the operator's own binary, with failpoints such as `publish-before=return`.
    pub fn start_binary(&self, failpoints: &str) -> std::process::Child {
        self.binary()
            .env("FAILPOINTS", failpoints)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Runs the operator's binary until it kills itself at that failpoint.
    pub async fn dies_at(&self, failpoint: &str) {
        let mut child = self.start_binary(failpoint);
        let started = std::time::Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(!status.success(), "{failpoint}: {status}");
                return;
            }
            if started.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{failpoint} was never reached");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The text that ClickHouse answers its administrator.
    pub async fn clickhouse(&self, query: String) -> String {
        let answer = self
            .http
            .post(env("CLICKHOUSE_FRONT_ADMIN_URL"))
            .body(query)
            .send()
            .await
            .unwrap();
        answer.text().await.unwrap()
    }

    /// Writes a key to Valkey.
    pub async fn valkey_set(&self, key: &str) {
        let client = valkey().await;
        let _: () = client.set(key, "canary", None, None, false).await.unwrap();
        client.quit().await.unwrap();
    }

    /// How many keys of Valkey hold that text.
    pub async fn valkey_keys(&self, text: &str) -> usize {
        let client = valkey().await;
        let (mut cursor, mut found) = ("0".to_owned(), 0);
        loop {
            let page: (String, Vec<String>) = client
                .scan_page(cursor, format!("*{text}*"), Some(1_000), None)
                .await
                .unwrap();
            found += page.1.len();
            cursor = page.0;
            if cursor == "0" {
                client.quit().await.unwrap();
                return found;
            }
        }
    }

    /// Asks Connect to `stop` or `resume` this world's connector.
    pub async fn connector(&self, what: &str) {
        let url = format!(
            "{}/connectors/cdc-{}/{what}",
            env("CONNECT_URL"),
            self.database()
        );
        let answer = self.http.put(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}: {}", answer.status());
    }

    /// Removes everything; the operator withdraws its resources first.
    async fn end(self) {
        let all =
            || kube::api::ListParams::default().labels(&format!("{CLASS_LABEL}={}", self.name));
        for model in self.models().list(&all()).await.unwrap() {
            self.models()
                .delete(&model.name_any(), &DeleteParams::default())
                .await
                .unwrap();
            wait_gone(&self.models(), &model.name_any()).await;
        }
        for tenant in self.tenants().list(&all()).await.unwrap() {
            self.tenants()
                .delete(&tenant.name_any(), &DeleteParams::default())
                .await
                .unwrap();
            wait_gone(&self.tenants(), &tenant.name_any()).await;
            let role = format!("t_{}", tenant.spec.tenant_id);
            self.clickhouse(format!(
                "drop row policy if exists `{role}` on septem_data.*"
            ))
            .await;
            self.clickhouse(format!("drop role if exists `{role}`"))
                .await;
        }
        self.stop().await;
        for plane in self.planes().list(&all()).await.unwrap() {
            self.planes()
                .delete(&plane.name_any(), &DeleteParams::default())
                .await
                .unwrap();
        }
        // A test may have ended it already.
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let _ = namespaces
            .delete(&self.name, &DeleteParams::default())
            .await;

        let tables = self
            .clickhouse(format!("select name from system.tables where database = 'septem_data' and startsWith(name, '{}__')", self.module()))
            .await;
        for table in tables.lines() {
            self.clickhouse(format!("drop table septem_data.{table}"))
                .await;
        }
        self.app.close().await;
        self.admin.close().await;
        let more = std::mem::take(&mut *self.more_databases.lock().unwrap());
        for database in more.into_iter().chain([self.database()]) {
            self.drop_database(&database).await;
        }
        self.drop_roles().await;
    }

    /// Roles of modules that ran SQL files belong to the server, and so does a login of the operator's own.
    async fn drop_roles(&self) {
        let server = PgPoolOptions::new()
            .max_connections(1)
            .connect(&env("DATABASE_URL"))
            .await
            .unwrap();
        let roles: Vec<String> = sqlx::query_scalar(
            "select rolname::text from pg_roles where starts_with(rolname::text, $1) or rolname = $2",
        )
        .bind(format!("septem_m_{}", self.module()))
        .bind(self.humble_owner())
        .fetch_all(&server)
        .await
        .unwrap();
        for role in roles {
            sqlx::raw_sql(AssertSqlSafe(format!("drop role {role}")))
                .execute(&server)
                .await
                .unwrap();
        }
    }

    async fn drop_database(&self, database: &str) {
        let connector = format!("{}/connectors/cdc-{database}", env("CONNECT_URL"));
        self.http.delete(connector).send().await.unwrap();
        let server = PgPoolOptions::new()
            .max_connections(1)
            .connect(&env("DATABASE_URL"))
            .await
            .unwrap();
        let drop_slot = format!(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where database = '{database}' and active; select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = '{database}'"
        );
        for _ in 0..100 {
            // The task may hold the slot a moment longer than its connector.
            if sqlx::raw_sql(AssertSqlSafe(drop_slot.clone()))
                .execute(&server)
                .await
                .is_ok()
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let drop = format!("drop database {database} with (force)");
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&server)
            .await
            .unwrap();
    }
}

/// The same server and login, another database.
pub fn on(url: &str, database: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_path(database);
    url.to_string()
}
