//! ClickHouse's own row policies with the operator's own conditions: what the access front stands in for.
//!
//! The engine runs alone here, without the front, and takes its policies from a `users.xml`, the one place that it
//! reads them from. Tables and conditions come from the functions whose statements the operator sends.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use e2e::wait;
use model::{Generation, ModuleModel, TenantId};
use reqwest::Client;
use serde_json::json;
use sql::clickhouse::{DATABASE, ddl, table_name};
use tokio::process::{Child, Command};
use uuid::Uuid;

const GENERATION: Generation = Generation(1);
/// For an engine that lives as long as one test and listens on loopback only.
const PASSWORD: &str = "secret";

/// An engine of our own: own ports, own data.
struct Engine {
    http: Client,
    url: String,
    child: Child,
}

impl Engine {
    async fn start(folder: &Path, users: &str) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let library = std::env::var("SEPTEM_CHDB").expect("run through `make test`");
        let config = folder.join("config.xml");
        std::fs::write(folder.join("users.xml"), users)?;
        std::fs::write(&config, server_config(folder))?;
        let (http, tcp) = (free_port()?, free_port()?);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("stack/clickhouse-engine.py");
        let child = Command::new("python3")
            .arg(script)
            .arg(library)
            .arg(folder)
            .arg(config)
            .args([http.to_string(), tcp.to_string()])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("engine.log"))?)
            .kill_on_drop(true)
            .spawn()?;
        let mut engine = Self {
            http: Client::new(),
            url: format!("http://127.0.0.1:{http}/"),
            child,
        };
        let answers = wait::until(
            "the engine to answer",
            Duration::from_secs(60),
            async || {
                let ping = engine.http.get(format!("{}ping", engine.url)).send().await;
                Ok(ping.is_ok_and(|p| p.status().is_success()).then_some(()))
            },
        )
        .await;
        if answers.is_err() {
            let ended = engine.child.try_wait()?;
            let log = std::fs::read_to_string(folder.join("engine.log"))?;
            return answers
                .with_context(|| format!("ended: {ended:?}\n{log}"))
                .map(|()| engine);
        }
        Ok(engine)
    }

    /// The answer's text; an error of ClickHouse is a text, too.
    async fn ask(&self, user: &str, sql: &str) -> Result<String> {
        let request = self
            .http
            .post(&self.url)
            .basic_auth(user, Some(PASSWORD))
            .body(sql.to_owned());
        Ok(request.send().await?.text().await?.trim().to_owned())
    }

    async fn admin(&self, sql: &str) -> Result<String> {
        let answer = self.ask("admin", sql).await?;
        ensure!(!answer.starts_with("Code:"), "{sql}: {answer}");
        Ok(answer)
    }

    /// Ends it the way the stack does, so that its data folder is whole until nobody writes any more.
    async fn stop(mut self) -> Result<ExitStatus> {
        self.admin("kill query where user = '' async").await?;
        match tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => {
                self.child.kill().await?;
                Ok(self.child.wait().await?)
            }
        }
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

fn server_config(folder: &Path) -> String {
    format!(
        "<clickhouse>
  <user_directories><users_xml><path>{}</path></users_xml></user_directories>
  <logger><level>error</level><console>1</console></logger>
</clickhouse>",
        folder.join("users.xml").display()
    )
}

/// An administrator, and readers who see of each table what their condition leaves.
fn users_xml(tables: &[String], readers: &[(&str, &str)]) -> String {
    let user = |name: &str, password: &str, rest: &str| {
        format!(
            "<{name}>{password}<networks><ip>127.0.0.1</ip></networks>\
             <profile>default</profile><quota>default</quota>{rest}</{name}>\n"
        )
    };
    let password = format!("<password>{PASSWORD}</password>");
    let mut users = user(
        "default",
        "<no_password/>",
        "<grants><query>GRANT SYSTEM LISTEN ON *.*</query><query>GRANT SELECT ON system.numbers</query></grants>",
    );
    // Whom no condition names, the engine gives one that lets all through: it reads no access_control_improvements.
    users += &user(
        "admin",
        &password,
        "<access_management>1</access_management>",
    );
    for (name, condition) in readers {
        let grant = format!("<grants><query>GRANT SELECT ON {DATABASE}.*</query></grants>");
        users += &user(name, &password, &(grant + &filters(tables, condition)));
    }
    format!(
        "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>{users}</users></clickhouse>"
    )
}

fn filters(tables: &[String], condition: &str) -> String {
    let condition = condition
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let each: String = tables
        .iter()
        .map(|t| format!("<{t}><filter>{condition}</filter></{t}>"))
        .collect();
    format!("<databases><{DATABASE}>{each}</{DATABASE}></databases>")
}

/// What stands between `using` and `as permissive` in the statement that opens a tenant.
fn policy_condition(tenant: &TenantId) -> Result<String> {
    let statements = ddl::open_tenant(tenant);
    let policy = statements
        .iter()
        .find(|s| s.starts_with("create row policy"))
        .context("no statement creates the row policy")?;
    let (_, rest) = policy.split_once(" using ").context("no condition")?;
    let (condition, _) = rest
        .split_once(" as permissive to ")
        .context("not permissive")?;
    Ok(condition.to_owned())
}

fn model(name: &str) -> Result<ModuleModel> {
    Ok(serde_json::from_value(json!({
        "module": "crm", "model": name, "autoApi": true, "analytics": true, "maxPageSize": 1000,
        "fields": [
            {"name": "label", "type": "text", "required": true, "maxLength": 200},
            {"name": "amount", "type": "int64", "required": true},
        ],
    }))?)
}

/// Records 0 to `count`, the same ids for every tenant, so that joins and versions meet across tenants.
fn insert(table: &str, tenant: &TenantId, count: u32, label: &str, version: u32) -> String {
    format!(
        "insert into {DATABASE}.{table} (tenant_id, record_id, label, amount, created_by, updated_by, version, _version, _deleted) \
         select '{tenant}', unhex(leftPad(hex(number), 32, '0')), '{label}', {version} * 1000 + number, \
         'ada', 'ada', 1, {version}, 0 from numbers({count})"
    )
}

#[tokio::test]
async fn the_operators_conditions_hide_other_tenants_rows() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (a, b): (TenantId, TenantId) = (
        Uuid::now_v7().to_string().parse()?,
        Uuid::now_v7().to_string().parse()?,
    );
    let models = [model("deals")?, model("companies")?];
    let tables: Vec<_> = models
        .iter()
        .map(|m| table_name(m.name(), GENERATION))
        .collect();
    let (of_a, of_b) = (policy_condition(&a)?, policy_condition(&b)?);
    let users = users_xml(
        &tables,
        &[("tenant_a", of_a.as_str()), ("tenant_b", of_b.as_str())],
    );
    let engine = Engine::start(folder.path(), &users).await?;
    // The grants of a users.xml name the database, which exists from here on.
    engine.admin(&ddl::create_database()).await?;
    for model in &models {
        engine.admin(&ddl::create_table(model, GENERATION)).await?;
    }
    let (deals, companies) = (&tables[0], &tables[1]);
    for sql in [
        insert(deals, &a, 3, "mine", 1),
        insert(deals, &b, 5, "canary", 1),
        // Newer versions of some rows: FINAL has something to do for both tenants.
        insert(deals, &a, 2, "mine", 2),
        insert(deals, &b, 5, "canary", 2),
        insert(companies, &b, 5, "canary", 1),
    ] {
        engine.admin(&sql).await?;
    }
    let t = |sql: &str| {
        sql.replace("{deals}", &format!("{DATABASE}.{deals}"))
            .replace("{companies}", &format!("{DATABASE}.{companies}"))
            .replace("{b}", &b.to_string())
    };
    ensure!(engine.admin(&t("select count() from {deals}")).await? == "15");

    // The policies are ClickHouse's own, not ours.
    let policies = engine
        .admin(&format!("select select_filter from system.row_policies where database = '{DATABASE}' and has(apply_to_list, 'tenant_a')"))
        .await?;
    ensure!(
        policies.lines().count() == tables.len() && policies.replace('\\', "").contains(&of_a),
        "{policies}"
    );

    for (sql, of_a, of_b) in [
        ("select count() from {deals}", "5", "10"),
        ("select count() from {deals} final", "3", "5"),
        ("select countIf(label = 'canary') from {deals}", "0", "10"),
        ("select sum(amount) from {deals} final", "5003", "10010"),
        // Answered from part metadata, were there no policy.
        (
            "select min(amount), max(amount) from {deals}",
            "1000\t2001",
            "1000\t2004",
        ),
        (
            "select min(tenant_id) = max(tenant_id), uniq(tenant_id) from {deals}",
            "1\t1",
            "1\t1",
        ),
        (
            "select count() from {deals} final prewhere amount > 0",
            "3",
            "5",
        ),
        (
            "select count() from {deals} x final join {companies} y final on x.record_id = y.record_id",
            "0",
            "5",
        ),
        (
            "select count() from {deals} x final left join {deals} y on x.record_id = y.record_id",
            "5",
            "10",
        ),
        (
            "select count() from {companies} x full join {deals} y final on x.record_id = y.record_id",
            "3",
            "5",
        ),
        (
            "select count() from (select * from {deals} final)",
            "3",
            "5",
        ),
        (
            "with c as (select * from {deals}) select count() from c",
            "5",
            "10",
        ),
        ("select (select count() from {companies})", "0", "5"),
        (
            "select countIf(record_id in (select record_id from {companies})) from {deals} final",
            "0",
            "5",
        ),
        (
            "select count() from (select record_id from {deals} final union all select record_id from {companies})",
            "3",
            "10",
        ),
        (
            "select count() from {deals} where tenant_id = '{b}' or 1",
            "5",
            "10",
        ),
        (
            "select count() from {deals} where tenant_id = '{b}'",
            "0",
            "10",
        ),
    ] {
        for (user, expected) in [("tenant_a", of_a), ("tenant_b", of_b)] {
            let answer = engine.ask(user, &t(sql)).await?;
            ensure!(answer == expected, "{user}: {sql}: {answer}");
        }
    }
    engine.stop().await?;
    Ok(())
}
