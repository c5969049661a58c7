//! A database of one's own on the real server, reached as the proxy's role.

use model::ModuleModel;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use url::Url;

use super::variable;

/// Serialises what is common to all databases of the server: roles.
const ROLES_LOCK: i64 = 0x5e97_e300;

/// A database that is dropped with this.
pub struct TestDatabase {
    /// Its name.
    pub name: String,
    /// As superuser, for looking and for DDL.
    pub admin_url: String,
    /// As `septem_app`.
    pub app_url: String,
}

impl TestDatabase {
    /// A database with the tables of these models, as the operator makes them.
    pub async fn create(models: &[ModuleModel]) -> Self {
        Self::create_at(variable("DATABASE_URL"), models).await
    }

    /// The same on a server of which this is a superuser's URL.
    pub async fn create_at(admin: String, models: &[ModuleModel]) -> Self {
        let app = {
            let (mut url, app) = (Url::parse(&admin).unwrap(), variable("DATABASE_APP_URL"));
            let app = Url::parse(&app).unwrap();
            url.set_username(app.username()).unwrap();
            url.set_password(app.password()).unwrap();
            String::from(url)
        };
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let mut server = PgConnection::connect(&admin).await.unwrap();
        ensure_roles(&mut server, &app).await;
        run(&mut server, &format!("create database {name}")).await;
        run(
            &mut server,
            &format!("revoke temporary on database {name} from public"),
        )
        .await;
        run(
            &mut server,
            &format!("grant create on database {name} to septem_owner"),
        )
        .await;
        server.close().await.unwrap();
        let database = Self {
            admin_url: in_database(&admin, &name),
            app_url: in_database(&app, &name),
            name,
        };
        let mut owner = database.admin().await;
        run(&mut owner, "set role septem_owner").await;
        for statement in models.iter().flat_map(sql::postgres::ddl::create_model) {
            run(&mut owner, &statement).await;
        }
        owner.close().await.unwrap();
        database
    }

    /// A connection as superuser.
    pub async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.admin_url).await.unwrap()
    }

    /// It is on that server by now.
    pub fn move_to(&mut self, server_url: &str) {
        self.admin_url = in_database(server_url, &self.name);
    }

    /// The server, as superuser in a database that is always there.
    fn server_url(&self) -> String {
        in_database(&self.admin_url, "postgres")
    }

    /// Ends every connection of the proxy's role, and lets nobody connect until told otherwise.
    pub async fn close(&self) {
        self.allow_connections(false).await;
        let mut server = PgConnection::connect(&self.server_url()).await.unwrap();
        let end = format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{}' and usename = 'septem_app'",
            self.name
        );
        run(&mut server, &end).await;
        server.close().await.unwrap();
    }

    /// Undoes or does what [`Self::close`] begins with.
    pub async fn allow_connections(&self, allow: bool) {
        // No session may close the database that it is in.
        let mut server = PgConnection::connect(&self.server_url()).await.unwrap();
        let statement = format!("alter database {} allow_connections {allow}", self.name);
        run(&mut server, &statement).await;
        server.close().await.unwrap();
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("drop database if exists {} with (force)", self.name);
        let server = self.server_url();
        // Also where a test has failed, and whatever runtime that was in.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut server = PgConnection::connect(&server).await?;
                server.execute(AssertSqlSafe(statement)).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the test's database {} stays: {error}", self.name);
        }
    }
}

/// Runs one statement of a test's own making.
pub async fn run(connection: &mut PgConnection, statement: &str) {
    if let Err(error) = connection
        .execute(AssertSqlSafe(statement.to_owned()))
        .await
    {
        panic!("{error}\n{statement}");
    }
}

fn in_database(url: &str, name: &str) -> String {
    let mut url = Url::parse(url).unwrap();
    url.set_path(name);
    url.into()
}

/// The roles that the operator makes, where it has not run yet.
async fn ensure_roles(server: &mut PgConnection, app_url: &str) {
    let password = Url::parse(app_url)
        .unwrap()
        .password()
        .unwrap_or_default()
        .to_owned();
    let password = percent_encoding::percent_decode_str(&password)
        .decode_utf8_lossy()
        .into_owned();
    let password = sql::postgres::literal(&password);
    let roles = [
        ("septem_owner", "nologin bypassrls".to_owned()),
        (
            "septem_app",
            format!("login nobypassrls password {password}"),
        ),
        ("septem_cdc", "nologin replication bypassrls".to_owned()),
        ("septem_sink", "nologin".to_owned()),
    ];
    let mut transaction = server.begin().await.unwrap();
    run(
        &mut transaction,
        &format!("select pg_advisory_xact_lock({ROLES_LOCK})"),
    )
    .await;
    for (role, options) in roles {
        let exists: bool =
            sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
                .bind(role)
                .fetch_one(&mut *transaction)
                .await
                .unwrap();
        if !exists {
            run(&mut transaction, &format!("create role {role} {options}")).await;
        }
    }
    transaction.commit().await.unwrap();
}
