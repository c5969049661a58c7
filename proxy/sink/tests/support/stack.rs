//! A database, a topic and a ClickHouse database for one test.

use std::{env, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;
use model::{Generation, ModuleModel};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;
use sink::config::{BatchConfig, ClickHouseConfig, Config, KafkaConfig};
use sqlx::{AssertSqlSafe, PgPool, migrate::Migrator, postgres::PgPoolOptions};
use url::Url;

use crate::support::events::Event;

/// Roles belong to the server, which tests share; the operator makes them otherwise.
const ROLES: &str = "
do $$ declare r text; begin
  perform pg_advisory_xact_lock(7391);
  foreach r in array array['septem_owner', 'septem_app', 'septem_cdc', 'septem_sink'] loop
    if not exists (select from pg_roles where rolname = r) then execute format('create role %I', r); end if;
  end loop;
end $$";

pub const PARTITIONS: i32 = 3;

pub struct Stack {
    /// Name of both databases, and prefix of the topic.
    pub name: String,
    pub pool: PgPool,
    pub clickhouse: Url,
    pub producer: FutureProducer,
    pub topic: String,
    pub bootstrap: String,
    maintenance: PgPool,
    database_url: Url,
    http: clickhouse::Client,
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run through `make test`"))
}

/// Runs a test with a stack of its own and removes that afterwards, whatever the test did.
pub async fn with_stack<F: Future<Output = ()>>(test: impl FnOnce(std::sync::Arc<Stack>) -> F) {
    // What the sink logs is shown with the test that failed; SEPTEM_LOG chooses more.
    let filter = tracing_subscriber::EnvFilter::try_from_env("SEPTEM_LOG");
    let filter = filter.unwrap_or_else(|_| "sink=info".into());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_test_writer()
        .try_init();
    let stack = std::sync::Arc::new(Stack::create().await);
    let outcome = AssertUnwindSafe(test(std::sync::Arc::clone(&stack)))
        .catch_unwind()
        .await;
    stack.remove().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Stack {
    async fn create() -> Self {
        let name = format!(
            "sink_test_{}",
            &uuid::Uuid::new_v4().simple().to_string()[..12]
        );
        let server: Url = variable("DATABASE_URL").parse().unwrap();
        let maintenance = PgPool::connect(server.as_str()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")))
            .execute(&maintenance)
            .await
            .unwrap();
        let mut database_url = server;
        database_url.set_path(&name);
        let pool = PgPoolOptions::new()
            .max_connections(3)
            .connect(database_url.as_str())
            .await
            .unwrap();
        sqlx::raw_sql(ROLES).execute(&pool).await.unwrap();
        let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
        Migrator::new(std::path::Path::new(migrations))
            .await
            .unwrap()
            .run(&pool)
            .await
            .unwrap();

        let clickhouse: Url = variable("CLICKHOUSE_ADMIN_URL").parse().unwrap();
        let http = clickhouse::Client::default()
            .with_url(plain(&clickhouse))
            .with_user(clickhouse.username())
            .with_password(clickhouse.password().unwrap_or_default());
        http.query(&format!("create database {name} engine = Atomic"))
            .execute()
            .await
            .unwrap();

        let (bootstrap, topic) = (variable("KAFKA_BOOTSTRAP"), format!("{name}.events"));
        let admin: AdminClient<DefaultClientContext> = kafka(&bootstrap).create().unwrap();
        let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1));
        admin
            .create_topics([&new], &AdminOptions::new())
            .await
            .unwrap();
        let producer = kafka(&bootstrap).set("linger.ms", "1").create().unwrap();
        Self {
            name,
            pool,
            clickhouse,
            producer,
            topic,
            bootstrap,
            maintenance,
            database_url,
            http,
        }
    }

    async fn remove(&self) {
        let Self { name, topic, .. } = self;
        self.pool.close().await;
        let slots = sqlx::query(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1",
        );
        let _ = slots.bind(name).execute(&self.maintenance).await;
        let drop = format!("drop database if exists {name} with (force)");
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&self.maintenance)
            .await
            .unwrap();
        self.http
            .query(&format!("drop database if exists {name} sync"))
            .execute()
            .await
            .unwrap();
        let admin: AdminClient<DefaultClientContext> = kafka(&self.bootstrap).create().unwrap();
        let _ = admin
            .delete_topics(&[topic, &format!("{topic}.dlq")], &AdminOptions::new())
            .await;
        let groups = [topic.as_str(), &format!("{topic}.hooks")];
        let _ = admin.delete_groups(&groups, &AdminOptions::new()).await;
    }

    /// What a sink of this test runs by.
    pub fn config(&self) -> Config {
        // The role of the product, with only its privileges, whatever its password is.
        let mut database_url = self.database_url.clone();
        database_url
            .query_pairs_mut()
            .append_pair("options[role]", "septem_sink");
        Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            database_url: database_url.to_string().into(),
            kafka: KafkaConfig {
                bootstrap: self.bootstrap.clone(),
                topic: self.topic.clone(),
                dlq_topic: format!("{}.dlq", self.topic),
                group: self.topic.clone(),
                instance: None,
                session_timeout: Duration::from_secs(6),
            },
            clickhouse: ClickHouseConfig {
                url: plain(&self.clickhouse).parse().unwrap(),
                user: self.clickhouse.username().to_owned(),
                password: self
                    .clickhouse
                    .password()
                    .unwrap_or_default()
                    .to_owned()
                    .into(),
                database: self.name.clone(),
                insert_timeout: Duration::from_secs(10),
                refused_timeout: Duration::from_secs(3),
            },
            batch: BatchConfig::default(),
            drain: Duration::from_secs(5),
        }
    }

    /// Publishes a model and makes its table, as the operator would. `document` is a model's without its flags.
    pub async fn publish(&self, mut document: Value) -> ModuleModel {
        let flags = serde_json::json!({"autoApi": true, "analytics": true, "maxPageSize": 100});
        document
            .as_object_mut()
            .unwrap()
            .extend(flags.as_object().unwrap().clone());
        let model: ModuleModel = serde_json::from_value(document.clone()).unwrap();
        let name = model.name();
        let create = sql::clickhouse::ddl::create_table(&model, Generation(1));
        self.http
            .query(&self.in_database(&create))
            .execute()
            .await
            .unwrap();
        let mut transaction = self.pool.begin().await.unwrap();
        let statements = [
            "insert into platform.modules (module, namespace) values ($1, 'test') on conflict do nothing",
            "insert into platform.models (module, model, resource, resource_uid, document, served, revision)
             values ($1, $2, 'r', 'u', $3, true, 1)
             on conflict (module, model) do update set document = excluded.document",
        ];
        sqlx::query(statements[0])
            .bind(name.module.as_str())
            .execute(&mut *transaction)
            .await
            .unwrap();
        sqlx::query(statements[1])
            .bind(name.module.as_str())
            .bind(name.model.as_str())
            .bind(sqlx::types::Json(document))
            .execute(&mut *transaction)
            .await
            .unwrap();
        sqlx::raw_sql(
            "update platform.catalog_revision set revision = revision + 1; notify platform_catalog",
        )
        .execute(&mut *transaction)
        .await
        .unwrap();
        transaction.commit().await.unwrap();
        model
    }

    /// Runs a statement of the operator in this test's database.
    pub async fn execute(&self, statement: &str) {
        self.http
            .query(&self.in_database(statement))
            .execute()
            .await
            .unwrap();
    }

    fn in_database(&self, statement: &str) -> String {
        statement.replace("`septem_data`", &format!("`{}`", self.name))
    }

    /// The answer of a query as JSON rows.
    pub async fn rows(&self, query: &str) -> Vec<Value> {
        let query = self
            .http
            .query(query)
            .with_setting("output_format_json_quote_decimals", "1");
        let text = query
            .fetch_bytes("JSONEachRow")
            .unwrap()
            .collect()
            .await
            .unwrap();
        String::from_utf8_lossy(&text)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// How many live rows a model has.
    pub async fn count(&self, module: &str, model: &str) -> u64 {
        let query = format!(
            "select toString(count()) as n from {}.{module}__{model}__g1 final",
            self.name
        );
        self.rows(&query).await[0]["n"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Writes an event and waits for Kafka to have it.
    pub async fn send(&self, partition: i32, event: Event) {
        let (key, payload) = (event.key(), event.payload(&self.name));
        self.send_bytes(partition, &key, payload.as_bytes()).await;
    }

    pub async fn send_bytes(&self, partition: i32, key: &str, payload: &[u8]) {
        let record = FutureRecord::to(&self.topic)
            .partition(partition)
            .key(key)
            .payload(payload);
        self.producer
            .send(record, Duration::from_secs(10))
            .await
            .unwrap();
    }

    /// Writes many events at once.
    pub async fn send_all(&self, events: impl IntoIterator<Item = (i32, Event)>) {
        let mut sent = Vec::new();
        for (partition, event) in events {
            let (key, payload) = (event.key(), event.payload(&self.name));
            let record = FutureRecord::to(&self.topic)
                .partition(partition)
                .key(&key)
                .payload(&payload);
            sent.push(
                self.producer
                    .send_result(record)
                    .map_err(|(error, _)| error)
                    .unwrap(),
            );
        }
        for delivery in sent {
            delivery.await.unwrap().unwrap();
        }
    }
}

pub fn kafka(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

fn plain(url: &Url) -> String {
    format!(
        "http://{}:{}",
        url.host_str().unwrap(),
        url.port().unwrap_or(8123)
    )
}

/// Looks until the condition holds; fails with what it was waiting for.
pub async fn eventually<F: Future<Output = bool>>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> F,
) {
    let deadline = tokio::time::Instant::now() + limit;
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "not within {limit:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
