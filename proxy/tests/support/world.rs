//! The endpoints over a database of one's own, with two tenants.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use base64::Engine as _;
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use model::{Action, Catalog, ModuleModel, Permission, Revision, TenantId};
use proxy::{
    caller::{Caller, TraceId},
    data::{self, CatalogSource, CursorKeys, Data, Flights, Target},
    exchange::{Body, Reply, Request},
    hooks::{HookMetrics, Hooks},
    postgres::{Database, DatabaseConfig},
    problem::PROBLEM_BASE_DEFAULT,
};
use serde_json::{Value, json};

use super::database::TestDatabase;

/// Tenant A.
pub const A: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e0a";
/// Tenant B.
pub const B: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e0b";

/// Everything that one test needs. Fields are dropped in order: connections before their database.
pub struct World {
    /// The endpoints.
    pub data: Data,
    /// What is served.
    pub catalog: Arc<Catalog>,
    /// The database.
    pub database: TestDatabase,
}

/// A catalogue source that has a fixed answer.
pub struct Published(pub Option<Arc<Catalog>>);

#[async_trait]
impl CatalogSource for Published {
    async fn newer_than(&self, seen: Revision) -> Option<Arc<Catalog>> {
        self.0.clone().filter(|catalog| catalog.revision > seen)
    }
}

/// A reply as a client sees it.
#[derive(Debug)]
pub struct Seen {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Seen {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `field code` of each error, sorted.
    pub fn errors(&self) -> Vec<String> {
        let json = self.json();
        let each = json["errors"].as_array().cloned().unwrap_or_default();
        let text = |e: &Value| {
            format!(
                "{} {}",
                e["field"].as_str().unwrap(),
                e["code"].as_str().unwrap()
            )
        };
        let mut errors: Vec<_> = each.iter().map(text).collect();
        errors.sort();
        errors
    }
}

/// Serves fields from columns that are called otherwise, as after a change of their types; all but those in `kept`,
/// which the tests' own SQL names.
pub fn with_other_columns(fields: &mut Value, kept: &[&str]) {
    for field in fields.as_array_mut().unwrap() {
        let name = field["name"].as_str().unwrap().to_owned();
        if !kept.contains(&&*name) {
            field["column"] = format!("{name}__2").into();
        }
    }
}

/// The three models of module `crm`, and one with every type. Most fields have columns of another name.
pub fn models() -> Vec<ModuleModel> {
    let base = |model: &str, mut fields: Value, more: Value| {
        with_other_columns(&mut fields, &["title", "seats", "name"]);
        let mut document = json!({
            "module": "crm", "model": model, "autoApi": true, "analytics": true, "maxPageSize": 1000, "fields": fields,
        });
        for (key, value) in more.as_object().unwrap() {
            document[key] = value.clone();
        }
        serde_json::from_value(document).unwrap()
    };
    vec![
        base(
            "companies",
            json!([
                {"name": "name", "type": "text", "required": true, "maxLength": 200},
                {"name": "code", "type": "text"},
            ]),
            json!({"unique": [{"name": "one_code", "fields": ["code"]}]}),
        ),
        base(
            "deals",
            json!([
                {"name": "title", "type": "text", "required": true, "maxLength": 200},
                {"name": "amount", "type": "decimal", "precision": 12, "scale": 2, "default": "0"},
                {"name": "stage", "type": "enum", "values": ["open", "won", "lost"], "default": "open"},
                {"name": "seats", "type": "int32"},
                {"name": "company_id", "type": "uuid", "references": {"module": "crm", "model": "companies"}},
                {"name": "parent_id", "type": "uuid", "references": {"module": "crm", "model": "deals"}},
            ]),
            json!({"indexes": [{"name": "by_stage", "fields": ["stage", "created_at"]}, {"name": "by_seats", "fields": ["seats"]}]}),
        ),
        base(
            "things",
            json!([
                {"name": "a_bool", "type": "bool"},
                {"name": "a_int16", "type": "int16"},
                {"name": "a_int32", "type": "int32"},
                {"name": "a_int64", "type": "int64"},
                {"name": "a_float64", "type": "float64"},
                {"name": "a_decimal", "type": "decimal", "precision": 38, "scale": 6},
                {"name": "a_text", "type": "text"},
                {"name": "a_uuid", "type": "uuid"},
                {"name": "a_date", "type": "date"},
                {"name": "a_timestamp", "type": "timestamp"},
                {"name": "a_time", "type": "time"},
                {"name": "a_json", "type": "json"},
                {"name": "a_bytes", "type": "bytes"},
                {"name": "a_enum", "type": "enum", "values": ["x", "y"]},
                {"name": "a_inet", "type": "inet"},
                {"name": "texts", "type": "array", "items": "text"},
                {"name": "numbers", "type": "array", "items": "int64"},
                {"name": "moments", "type": "array", "items": "timestamp"},
                {"name": "a_vector", "type": "vector", "dimension": 3},
            ]),
            json!({}),
        ),
        base(
            "notes",
            json!([
                {"name": "text", "type": "text"},
                {"name": "thing_id", "type": "uuid", "references": {"module": "crm", "model": "things"}},
            ]),
            json!({"maxPageSize": 20}),
        ),
    ]
}

/// The catalogue document of these models, with both tenants.
pub fn catalog_of(models: &[ModuleModel], revision: i64) -> Arc<Catalog> {
    let entries: Vec<_> = models
        .iter()
        .map(|m| json!({"served": true, "document": m}))
        .collect();
    let tenant = |id: &str, slug: &str| json!({"id": id, "slug": slug, "state": "Active", "modules": ["crm"]});
    let document = json!({
        "revision": revision, "generation": 1, "database": "test", "models": entries,
        "tenants": [tenant(A, "a"), tenant(B, "b")],
    });
    Arc::new(Catalog::parse(&document.to_string()).unwrap())
}

impl World {
    /// A world with [`models`].
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with a changed configuration of the database.
    pub async fn with(change: impl FnOnce(&mut DatabaseConfig)) -> Self {
        Self::of(&models(), change).await
    }

    /// A world with other models, all of module `crm`.
    pub async fn of(models: &[ModuleModel], change: impl FnOnce(&mut DatabaseConfig)) -> Self {
        Self::over(TestDatabase::create(models).await, models, change).await
    }

    /// A world over a database that has the tables of these models.
    pub async fn over(
        database: TestDatabase,
        models: &[ModuleModel],
        change: impl FnOnce(&mut DatabaseConfig),
    ) -> Self {
        let mut config = DatabaseConfig::from_url(&database.app_url).unwrap();
        // Tests run side by side on one server.
        config.exclusive.connections = 3;
        // A busy machine is not what is tested.
        config.shared.statement_timeout = std::time::Duration::from_secs(2);
        config.exclusive.statement_timeout = std::time::Duration::from_secs(20);
        config.exclusive.lock_timeout = std::time::Duration::from_secs(10);
        config.exclusive.queue_wait = std::time::Duration::from_secs(30);
        config.shared.queue_wait = std::time::Duration::from_secs(30);
        change(&mut config);
        let key = base64::engine::general_purpose::STANDARD.encode([7u8; 32]);
        let data = Data {
            database: Database::connect(config).await.unwrap(),
            cursor_keys: Arc::new(CursorKeys::parse(&key.into(), None).unwrap()),
            catalogs: Arc::new(Published(None)),
            flights: Flights::default(),
            hooks: hooks(),
        };
        Self {
            data,
            catalog: catalog_of(models, 1),
            database,
        }
    }

    /// A user of a tenant with every permission.
    pub fn caller(&self, tenant: &str) -> Caller {
        let name = |m: &Arc<ModuleModel>| m.name().clone();
        let id: TenantId = tenant.parse().unwrap();
        let tenant = Arc::clone(self.catalog.tenant(&id).unwrap());
        let names: Vec<_> = self
            .catalog
            .models(&tenant, &HashSet::new())
            .map(name)
            .collect();
        let all = names
            .iter()
            .flat_map(|n| Action::ALL.map(|a| Permission::on(n, a)));
        Caller {
            permissions: Arc::new(all.collect::<HashSet<_>>()),
            tenant,
            user: "ada".into(),
            catalog: Arc::clone(&self.catalog),
            trace: TraceId("0123456789abcdef0123456789abcdef".into()),
        }
    }

    /// The same with these permissions only.
    pub fn caller_with(&self, tenant: &str, permissions: &[&str]) -> Caller {
        let held = permissions.iter().map(|p| p.parse().unwrap());
        Caller {
            permissions: Arc::new(held.collect()),
            ..self.caller(tenant)
        }
    }

    /// Sends a request of a user with every permission: `GET`, `deals?stage=eq.open`.
    pub async fn send(
        &self,
        tenant: &str,
        method: &str,
        target: &str,
        body: Option<Value>,
    ) -> Seen {
        self.send_as(&self.caller(tenant), method, target, &[], body)
            .await
    }

    /// Sends a request with headers.
    pub async fn send_as(
        &self,
        caller: &Caller,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Seen {
        send_to(
            &self.data,
            caller,
            method,
            target,
            headers,
            body.map(|b| b.to_string()),
        )
        .await
    }

    /// Creates a record and returns it.
    pub async fn create(&self, tenant: &str, model: &str, body: Value) -> Value {
        let seen = self.send(tenant, "POST", model, Some(body)).await;
        assert_eq!(seen.status, StatusCode::CREATED, "{}", seen.text);
        seen.json()["data"].clone()
    }
}

/// What the hooks of these tests are signed with, and where they listen.
pub const HOOK_KEY: [u8; 32] = [9; 32];

fn hooks() -> Arc<Hooks> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = base64::engine::general_purpose::STANDARD.encode(HOOK_KEY);
    let keys = hook::Keys::parse(&key.into(), None).unwrap();
    let client = hook::Client::new(Some(keys), "127.0.0.1".parse().unwrap()).unwrap();
    Arc::new(Hooks::new(Arc::new(client), HookMetrics::default()))
}

/// Sends a request to endpoints, as the chain would hand it on.
pub async fn send_to(
    data: &Data,
    caller: &Caller,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<String>,
) -> Seen {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut segments = path.split('/');
    let (model, id) = (segments.next().unwrap(), segments.next());
    let mut request = Request {
        method: method.parse::<Method>().unwrap(),
        path: ["data", "crm"]
            .into_iter()
            .chain(path.split('/'))
            .map(str::to_owned)
            .collect(),
        raw_path: format!("/v1/data/crm/{path}"),
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
    };
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        request
            .headers
            .append(name, HeaderValue::from_str(value).unwrap());
    }
    if let Some(body) = body {
        request
            .headers
            .entry("content-type")
            .or_insert(HeaderValue::from_static("application/json"));
        request.body = body.into();
    }
    let target = match (model, id, segments.next()) {
        ("batch", ..) => Target::Batch,
        (model, Some(id), Some("restore")) => Target::Restore { model, id },
        (model, id, _) => Target::Model { model, id },
    };
    let reply = data::handle(data, caller, &request, "crm", target).await;
    let Reply {
        status,
        headers,
        body,
    } = reply.unwrap_or_else(|problem| problem.into_reply(PROBLEM_BASE_DEFAULT, &caller.trace));
    let bytes = match body {
        Body::Whole(bytes) => bytes.to_vec(),
        Body::Stream(pieces) => {
            let pieces: Vec<_> = pieces.collect().await;
            let pieces: Result<Vec<_>, _> = pieces.into_iter().collect();
            pieces.expect("the stream comes to its end").concat()
        }
    };
    Seen {
        status,
        headers,
        text: String::from_utf8(bytes).unwrap(),
    }
}
