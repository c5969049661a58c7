//! A module of its own in ClickHouse with two tenants, and a database of its own in PostgreSQL.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method};
use model::{Catalog, Permission, TenantId};
use proxy::{
    analytics::{self, Analytics, SelfTest},
    caller::{Caller, TraceId},
    exchange::Request,
    problem::{FieldCode, Problem, ProblemKind},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use sql::clickhouse::{
    ddl::{
        close_tenant, create_base, create_database, create_gateway, create_table, insert_columns,
        open_tenant,
    },
    quote_text, table, tenant_role,
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use url::Url;
use uuid::Uuid;

use super::models;

/// What no answer to tenant A may hold.
pub const CANARY: &str = "canary-7f3a9c";

/// A variable of `.stack/env`.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run through `make test`"))
}

/// The client for a URL with user and password in it.
pub fn client(url: &Url) -> clickhouse::Client {
    let mut bare = url.clone();
    bare.set_username("").unwrap();
    bare.set_password(None).unwrap();
    clickhouse::Client::default()
        .with_url(bare.as_str())
        .with_user(url.username())
        .with_password(url.password().unwrap_or_default())
        .with_compression(clickhouse::Compression::None)
}

/// Two tenants with a module that nobody else has.
pub struct Lab {
    pub module: String,
    pub a: TenantId,
    pub b: TenantId,
    pub catalog: Arc<Catalog>,
    pub analytics: Analytics,
    pub config: analytics::Config,
    /// Administrator, through the way that the products take.
    pub admin: clickhouse::Client,
    /// The proxy's user without a role.
    pub gateway: clickhouse::Client,
    database: String,
}

fn new_tenant() -> TenantId {
    Uuid::now_v7().to_string().parse().unwrap()
}

impl Lab {
    /// Tables and roles are there, nothing is in them, `lastSyncAt` is known and the self-test has passed.
    pub async fn open() -> Self {
        let admin = client(&variable("CLICKHOUSE_FRONT_ADMIN_URL").parse().unwrap());
        let gateway_url: Url = variable("CLICKHOUSE_GATEWAY_URL").parse().unwrap();
        let mut statements = vec![create_database()];
        statements.extend(create_base());
        statements.extend(create_gateway(gateway_url.password().unwrap()));
        for statement in statements {
            run(&admin, &statement).await;
        }
        let module = format!("an{}", &Uuid::new_v4().simple().to_string()[..12]);
        let (a, b) = (new_tenant(), new_tenant());
        let catalog = Arc::new(models::catalog(&module, &[a, b]));
        for tenant in [&a, &b] {
            for statement in open_tenant(tenant) {
                run(&admin, &statement).await;
            }
        }
        for model in catalog.all_captured() {
            run(&admin, &create_table(model, catalog.generation)).await;
        }
        let database = format!("septem_{module}");
        let mut url = gateway_url.clone();
        url.set_username("").unwrap();
        url.set_password(None).unwrap();
        let config = analytics::Config {
            url,
            user: gateway_url.username().to_owned(),
            password: SecretString::from(gateway_url.password().unwrap().to_owned()),
            database_url: platform(&database).await,
            allow_old: true,
            query_time_max: analytics::QUERY_TIME_MAX,
        };
        let analytics = Analytics::connect(&config).unwrap();
        let lab = Self {
            module,
            a,
            b,
            catalog,
            analytics,
            config,
            admin,
            gateway: client(&gateway_url),
            database,
        };
        lab.set_last_sync("2026-04-15T10:29:55Z").await;
        assert_eq!(
            lab.analytics.self_test(&lab.catalog).await,
            SelfTest::Passed
        );
        lab
    }

    /// Removes what `open` made.
    pub async fn close(self) {
        for model in self.catalog.all_captured() {
            run(
                &self.admin,
                &format!(
                    "DROP TABLE IF EXISTS {}",
                    table(model.name(), self.catalog.generation)
                ),
            )
            .await;
        }
        for tenant in [&self.a, &self.b] {
            let role = quote_text(&tenant_role(tenant));
            for statement in close_tenant(tenant) {
                run(&self.admin, &statement).await;
            }
            run(
                &self.admin,
                &format!("DROP ROW POLICY IF EXISTS {role} ON `septem_data`.*"),
            )
            .await;
            run(&self.admin, &format!("DROP ROLE IF EXISTS {role}")).await;
        }
        drop(self.analytics);
        let mut postgres = PgConnection::connect(&variable("DATABASE_URL"))
            .await
            .unwrap();
        let drop = format!("drop database if exists \"{}\" with (force)", self.database);
        postgres.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
    }

    /// Name of the table of a model.
    pub fn table(&self, model: &str) -> String {
        format!("`septem_data`.`{}__{model}__g1`", self.module)
    }

    /// Writes one version of a record as the sink would. Fields that are not given are null, or what a required
    /// column starts with.
    pub async fn put(&self, model: &str, tenant: &TenantId, id: u64, version: u64, fields: Value) {
        self.put_all(model, vec![(*tenant, id, version, fields)])
            .await;
    }

    /// Writes several.
    pub async fn put_all(&self, model: &str, rows: Vec<(TenantId, u64, u64, Value)>) {
        let (_, model) = self
            .catalog
            .all_captured()
            .map(|m| (m.name().model.as_str(), m))
            .find(|(n, _)| *n == model)
            .unwrap();
        let columns: Vec<_> = insert_columns(model)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let mut text = format!(
            "INSERT INTO {} ({}) FORMAT JSONEachRow\n",
            self.table(model.name().model.as_str()),
            columns.join(", ")
        );
        for (tenant, id, version, fields) in rows {
            // Sixteen digits are sixteen bytes, which JSON can hold.
            let mut row = json!({
                "tenant_id": tenant.to_string(), "record_id": format!("{id:016}"), "created_at": "2026-01-01 00:00:00.000000",
                "updated_at": "2026-01-01 00:00:00.000000", "created_by": "ada", "updated_by": "ada", "version": 1,
                "_version": version, "_deleted": 0, "_synced_at": "2026-01-01 00:00:00.000",
            });
            for (name, value) in fields.as_object().unwrap() {
                let column = model
                    .column(name)
                    .map_or(name.as_str(), |c| c.column.as_str());
                row[column] = value.clone();
            }
            text.push_str(&row.to_string());
            text.push('\n');
        }
        run(&self.admin, &text).await;
    }

    /// What the sink would have proven.
    pub async fn set_last_sync(&self, at: &str) {
        let mut postgres = PgConnection::connect(&database_url(&self.database))
            .await
            .unwrap();
        sqlx::query(
            "insert into platform.last_sync values (1, $1::timestamptz)
             on conflict (generation) do update set last_sync_at = excluded.last_sync_at",
        )
        .bind(at.parse::<chrono::DateTime<chrono::Utc>>().unwrap())
        .execute(&mut postgres)
        .await
        .unwrap();
    }

    /// Nothing proven yet.
    pub async fn forget_last_sync(&self) {
        let mut postgres = PgConnection::connect(&database_url(&self.database))
            .await
            .unwrap();
        postgres
            .execute("delete from platform.last_sync")
            .await
            .unwrap();
    }

    /// A caller of a tenant, with every permission on the module.
    pub fn caller(&self, tenant: &TenantId) -> Caller {
        let permissions: HashSet<Permission> = self
            .catalog
            .all_captured()
            .flat_map(|m| {
                model::permission::Action::ALL.map(|action| Permission::on(m.name(), action))
            })
            .collect();
        Caller {
            tenant: Arc::clone(self.catalog.tenant(tenant).unwrap()),
            user: "ada".into(),
            permissions: Arc::new(permissions),
            catalog: Arc::clone(&self.catalog),
            trace: TraceId("0af7651916cd43dd8448eb211c80319c".into()),
        }
    }

    /// Asks as a tenant.
    pub async fn ask(&self, tenant: &TenantId, body: Value) -> Result<Value, Problem> {
        self.ask_with(&self.analytics, tenant, body, HeaderMap::new())
            .await
            .map(|text| serde_json::from_str(&text).unwrap())
    }

    /// The rows of an answer to tenant A.
    pub async fn data(&self, body: Value) -> Value {
        let mut answer = self
            .ask(&self.a, body.clone())
            .await
            .unwrap_or_else(|p| panic!("{body}: {p:?}"));
        answer["data"].take()
    }

    /// The text of an answer.
    pub async fn ask_with(
        &self,
        analytics: &Analytics,
        tenant: &TenantId,
        body: Value,
        mut headers: HeaderMap,
    ) -> Result<String, Problem> {
        headers.insert("content-type", "application/json".parse().unwrap());
        let request = Request {
            method: Method::POST,
            path: vec!["data".into(), self.module.clone(), "analytics".into()],
            raw_path: format!("/v1/data/{}/analytics", self.module),
            query: Vec::new(),
            headers,
            body: Bytes::from(body.to_string()),
        };
        let reply =
            analytics::handle(analytics, &self.caller(tenant), &request, &self.module).await?;
        assert_eq!(reply.status, 200);
        Ok(String::from_utf8(reply.body.whole().unwrap().to_vec()).unwrap())
    }

    /// What a request is refused with.
    pub async fn refused(&self, body: Value) -> (ProblemKind, Vec<FieldCode>) {
        let problem = self
            .ask(&self.a, body.clone())
            .await
            .err()
            .unwrap_or_else(|| panic!("{body} was not refused"));
        (
            problem.kind,
            problem.errors.iter().map(|e| e.code).collect(),
        )
    }

    /// Another one with a changed configuration, past its self-test unless it cannot be reached.
    pub fn with(&self, change: impl FnOnce(&mut analytics::Config)) -> Analytics {
        let mut config = self.config.clone();
        change(&mut config);
        Analytics::connect(&config).unwrap()
    }
}

/// Runs a statement as it is; a statement that fails fails the test.
pub async fn run(client: &clickhouse::Client, text: &str) {
    let shown: String = text.chars().take(300).collect();
    client
        .query_raw(text)
        .execute()
        .await
        .unwrap_or_else(|e| panic!("{shown}: {e}"));
}

/// The answer to a statement as tab-separated text.
pub async fn rows(query: clickhouse::query::Query) -> Result<String, clickhouse::error::Error> {
    let bytes = query.fetch_bytes("TabSeparated")?.collect().await?;
    Ok(String::from_utf8(bytes.to_vec())
        .unwrap()
        .trim_end()
        .to_owned())
}

/// The administrator's URL of another database on the same server.
fn database_url(database: &str) -> String {
    let mut url: Url = variable("DATABASE_URL").parse().unwrap();
    url.set_path(database);
    url.into()
}

/// A database with schema `platform`; the URL is septem_app's.
async fn platform(database: &str) -> SecretString {
    let mut postgres = PgConnection::connect(&variable("DATABASE_URL"))
        .await
        .unwrap();
    let app_url: Url = variable("DATABASE_APP_URL").parse().unwrap();
    for role in ["septem_owner", "septem_app", "septem_sink", "septem_cdc"] {
        // Roles belong to the server: the operator or another test may have made them, even just now.
        let _ = postgres
            .execute(sqlx::AssertSqlSafe(format!("create role {role}")))
            .await;
    }
    let password = app_url.password().unwrap().replace('\'', "''");
    let login = format!("alter role septem_app login password '{password}'");
    while let Err(error) = postgres.execute(sqlx::AssertSqlSafe(login.clone())).await {
        assert!(error.to_string().contains("concurrently"), "{error}");
    }
    postgres
        .execute(sqlx::AssertSqlSafe(format!(
            "create database \"{database}\""
        )))
        .await
        .unwrap();
    let mut postgres = PgConnection::connect(&database_url(database))
        .await
        .unwrap();
    sqlx::migrate!("../migrations")
        .run(&mut postgres)
        .await
        .unwrap();
    let mut url = app_url;
    url.set_path(database);
    SecretString::from(String::from(url))
}
