//! The ClickHouse access front before the running engine: who may see what, and how fast that changes.
//!
//! It starts a front of its own, with its own users and database, so that nothing here touches the stack's.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use e2e::wait;
use reqwest::{Client, Url};
use tokio::process::{Child, Command};
use uuid::Uuid;

const A: &str = "00000000-0000-0000-0000-00000000000a";
const B: &str = "00000000-0000-0000-0000-00000000000b";

struct Front {
    http: Client,
    url: String,
    password: String,
    database: String,
    child: Child,
}

impl Front {
    async fn start(state: &Path, database: &str) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let engine: Url = std::env::var("CLICKHOUSE_ADMIN_URL")
            .expect("run through `make test`")
            .parse()?;
        let engine_password = std::fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../.stack/secrets/clickhouse-engine"),
        )
        .context("run through `make test`")?;
        let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let password = engine
            .password()
            .context("CLICKHOUSE_ADMIN_URL has no password")?
            .to_owned();
        let address = format!(
            "{}:{}",
            engine.host_str().unwrap_or_default(),
            engine.port().unwrap_or(80)
        );
        let child = Command::new(env!("CARGO_BIN_EXE_clickhouse-front"))
            .env("SEPTEM_FRONT_LISTEN", listen.to_string())
            .env("SEPTEM_FRONT_ENGINE", address)
            .env("SEPTEM_FRONT_ADMIN_PASSWORD", &password)
            .env("SEPTEM_FRONT_ENGINE_PASSWORD", engine_password.trim())
            .env("SEPTEM_FRONT_DATABASE", format!("{database}_access"))
            .env("SEPTEM_FRONT_STATE", state)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let front = Self {
            http: Client::new(),
            url: format!("http://{listen}/"),
            password,
            database: database.to_owned(),
            child,
        };
        wait::until("the front to answer", Duration::from_secs(20), async || {
            let ping = front.http.get(format!("{}ping", front.url)).send().await;
            Ok(ping.is_ok_and(|p| p.status().is_success()).then_some(()))
        })
        .await?;
        Ok(front)
    }

    /// The answer's text, `{db}` standing for the test's database. An error of ClickHouse is a text, too.
    async fn ask(&self, user: &str, password: &str, params: &str, sql: &str) -> Result<String> {
        let sql = sql.replace("{db}", &self.database);
        let request = self
            .http
            .post(format!("{}?{params}", self.url))
            .basic_auth(user, Some(password));
        Ok(request
            .body(sql)
            .send()
            .await?
            .text()
            .await?
            .trim()
            .to_owned())
    }

    async fn admin(&self, sql: &str) -> Result<String> {
        let answer = self.ask("septem_admin", &self.password, "", sql).await?;
        ensure!(!answer.starts_with("Code:"), "{sql}: {answer}");
        Ok(answer)
    }

    async fn gateway(&self, role: Option<&str>, sql: &str) -> Result<String> {
        let params = role.map(|role| format!("role={role}")).unwrap_or_default();
        self.ask("gate", "secret", &params, sql).await
    }
}

async fn set_up(front: &Front) -> Result<()> {
    let policy = |role: &str, tenant: &str| {
        format!(
            "create row policy or replace {role} on {{db}}.* for select using tenant_id = '{tenant}' as permissive to {role}"
        )
    };
    let table = "(tenant_id UUID, id UInt32, secret String, v UInt64) \
                 engine = ReplacingMergeTree(v) order by (tenant_id, id)";
    for sql in [
        "create database {db}".to_owned(),
        format!("create table {{db}}.t {table}"),
        format!("create table {{db}}.other {table}"),
        format!("insert into {{db}}.t select '{A}', number, 'mine', 1 from numbers(3)"),
        format!("insert into {{db}}.t select '{B}', number, 'canary', 1 from numbers(5)"),
        format!("insert into {{db}}.other select '{B}', number, 'canary', 1 from numbers(5)"),
        "create role reads".to_owned(),
        "grant select on {db}.* to reads".to_owned(),
        "create settings profile gated settings readonly = 1, max_execution_time = 30 min 1 max 30 changeable_in_readonly"
            .to_owned(),
        "create user gate identified with sha256_password by 'secret' default role none settings profile 'gated'".to_owned(),
        "create user writes identified with sha256_password by 'secret'".to_owned(),
        "grant insert, show columns on {db}.* to writes".to_owned(),
        "create role a".to_owned(),
        "create role b".to_owned(),
        policy("a", A),
        policy("b", B),
        "grant reads to a, b".to_owned(),
        "grant a, b to gate".to_owned(),
    ] {
        front.admin(&sql).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_role_sees_its_own_rows_and_nothing_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let database = format!("front_{}", Uuid::new_v4().simple());
    let front = Front::start(&folder.path().join("access.json"), &database).await?;
    set_up(&front).await?;

    // Without a role there is nothing, whatever is asked.
    let refused = front.gateway(None, "select count() from {db}.t").await?;
    ensure!(refused.starts_with("Code: 497."), "{refused}");
    let wrong = front.ask("gate", "wrong", "role=a", "select 1").await?;
    ensure!(wrong.starts_with("Code: 516."), "{wrong}");

    for (sql, expected) in [
        ("select count() from {db}.t", "3"),
        ("select count() from {db}.t final", "3"),
        ("select count() from {db}.t final prewhere id >= 0", "3"),
        (
            "select count() from {db}.t x join {db}.other y on x.id = y.id",
            "0",
        ),
        (
            "select count() from {db}.t x final left join {db}.t y on x.id = y.id",
            "3",
        ),
        ("select count() from (select * from {db}.t)", "3"),
        (
            "with c as (select * from {db}.t) select count() from c",
            "3",
        ),
        (
            "select count() from (select id from {db}.t union all select id from {db}.other)",
            "3",
        ),
        (
            "select countIf(id in (select id from {db}.other)) from {db}.t",
            "0",
        ),
        (
            "select countIf((tenant_id, id, secret, v) in {db}.other) from {db}.t",
            "0",
        ),
        ("select (select count() from {db}.other)", "0"),
        (
            "select count() from {db}.t where tenant_id = '00000000-0000-0000-0000-00000000000b' or 1",
            "3",
        ),
        (
            "select countIf(secret = 'canary') from {db}.t array join [1, 2] as n",
            "0",
        ),
    ] {
        let answer = front.gateway(Some("a"), sql).await?;
        ensure!(answer == expected, "{sql}: {answer}");
    }
    ensure!(
        front
            .gateway(Some("b"), "select count() from {db}.t")
            .await?
            == "5"
    );

    for sql in [
        "select count() from merge('{db}', '.*')",
        "select * from merge('{db}', 't')",
        "select count() from {db}.t where id in (select id from merge('{db}', 't'))",
        "select * from url('http://127.0.0.1:1/', 'CSV', 'a Int8')",
        "select * from numbers(3)",
        "select * from view(select 1)",
        "select file('/etc/passwd')",
        "select * from system.tables",
        "select * from system.query_log",
        "select 1 where 'x' in system.users",
        "select * from information_schema.tables",
        "insert into {db}.t values",
        "insert into function url('http://127.0.0.1:1/', 'CSV') select 1",
        "create table {db}.mine (x Int8) engine = Memory",
        "create temporary table x (a Int8)",
        "drop table {db}.t",
        "alter table {db}.t delete where 1",
        "select * from {db}.t settings max_threads = 1",
        "select * from {db}.t settings additional_table_filters = {'{db}.t': '1'}",
        "select * from {db}.t settings readonly = 0",
        "create role mine",
        "grant a to gate",
        "kill query where 1",
        "set readonly = 0",
        "explain select * from merge('{db}', 't')",
    ] {
        let answer = front.gateway(Some("a"), sql).await?;
        ensure!(
            answer.starts_with("Code: 497.") || answer.starts_with("Code: 164."),
            "{sql}: {answer}"
        );
        ensure!(!answer.contains("canary"), "{sql}: {answer}");
    }
    for params in [
        "role=a&readonly=0",
        "role=a&additional_table_filters={}",
        "role=a&max_execution_time=99",
        "role=a&max_threads=1",
    ] {
        let answer = front.ask("gate", "secret", params, "select 1").await?;
        ensure!(
            answer.starts_with("Code: 164.") || answer.starts_with("Code: 452."),
            "{params}: {answer}"
        );
    }
    // What follows the statement of the URL belongs to it.
    let query =
        url::form_urlencoded::byte_serialize(b"select count() from {db}.t").collect::<String>();
    let query = query.replace("%7Bdb%7D", &database);
    let two = front
        .ask(
            "gate",
            "secret",
            &format!("role=a&query={query}"),
            "union all select count() from merge('{db}', 't')",
        )
        .await?;
    ensure!(two.starts_with("Code: 497."), "{two}");

    drop_database(&front).await
}

#[tokio::test]
async fn a_writer_streams_rows_in_and_reads_none() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let database = format!("front_{}", Uuid::new_v4().simple());
    let front = Front::start(&folder.path().join("access.json"), &database).await?;
    set_up(&front).await?;

    let rows: String = (0..200_000).map(|i| format!("{A},{i},new,2\n")).collect();
    let params = format!("query=insert+into+{database}.t+(tenant_id,id,secret,v)+format+CSV");
    let answer = front.ask("writes", "secret", &params, &rows).await?;
    ensure!(answer.is_empty(), "{answer}");
    ensure!(
        front
            .gateway(Some("a"), "select count() from {db}.t final")
            .await?
            == "200000"
    );
    ensure!(
        front
            .ask("writes", "secret", "", "describe {db}.t")
            .await?
            .contains("tenant_id")
    );
    for sql in [
        "select * from {db}.t",
        "insert into {db}.t select * from {db}.other",
        "insert into system.x values",
        "drop table {db}.t",
    ] {
        let answer = front.ask("writes", "secret", "", sql).await?;
        ensure!(answer.starts_with("Code: 497."), "{sql}: {answer}");
    }
    drop_database(&front).await
}

#[tokio::test]
async fn what_is_taken_away_is_gone_at_once_and_everything_survives_a_restart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("access.json");
    let database = format!("front_{}", Uuid::new_v4().simple());
    let mut front = Front::start(&state, &database).await?;
    set_up(&front).await?;

    front.child.kill().await?;
    let front = Front::start(&state, &database).await?;
    ensure!(
        front
            .gateway(Some("a"), "select count() from {db}.t")
            .await?
            == "3"
    );
    let policies = front
        .admin("select name from system.row_policies where database = '{db}' order by name")
        .await?;
    ensure!(
        policies == format!("a ON {database}.*\nb ON {database}.*"),
        "{policies}"
    );
    ensure!(
        front
            .admin("select count() from system.query_log where user = 'gate' and roles = ['a']")
            .await?
            != "0"
    );

    front.admin("revoke a from gate").await?;
    let revoked = front
        .gateway(Some("a"), "select count() from {db}.t")
        .await?;
    ensure!(revoked.starts_with("Code: 497."), "{revoked}");
    front.admin("drop role b").await?;
    let dropped = front
        .gateway(Some("b"), "select count() from {db}.t")
        .await?;
    ensure!(dropped.starts_with("Code: 511."), "{dropped}");
    // A table that nobody wrote a policy for by name is covered from its first moment.
    front.admin("grant a to gate").await?;
    front.admin("create table {db}.fresh as {db}.t").await?;
    front
        .admin(&format!(
            "insert into {{db}}.fresh values ('{B}', 1, 'canary', 1)"
        ))
        .await?;
    ensure!(
        front
            .gateway(Some("a"), "select count() from {db}.fresh")
            .await?
            == "0"
    );

    for (sql, code) in [
        ("create role a", 493),
        ("drop role nobody", 511),
        ("grant nobody to gate", 511),
        ("create role a b c", 62),
        ("create user u settings profile 'nobody'", 180),
    ] {
        let answer = front.ask("septem_admin", &front.password, "", sql).await?;
        ensure!(
            answer.starts_with(&format!("Code: {code}.")),
            "{sql}: {answer}"
        );
    }
    drop_database(&front).await
}

async fn drop_database(front: &Front) -> Result<()> {
    front.admin("drop database {db}").await?;
    front
        .admin("drop database if exists {db}_access")
        .await
        .map(drop)
}
