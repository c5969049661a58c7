//! A PostgreSQL server of a test's own, by the program of the one that all tests share: to be killed, and to follow another.

use std::{
    fs,
    net::SocketAddr,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use super::{free_address, variable};

const OWNER: &str = "septem_operator";
const PASSWORD: &str = "of-this-test";
/// Starting takes a second; a machine that also compiles takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server; killed with this.
pub struct Server {
    programs: Programs,
    folder: TempDir,
    child: Child,
    pub address: SocketAddr,
}

/// Where PostgreSQL's programs are, and who runs them: it refuses root.
#[derive(Clone)]
struct Programs {
    folder: PathBuf,
    uid: u32,
    gid: u32,
}

impl Server {
    /// A new, empty server.
    pub async fn start() -> Self {
        let programs = Programs::find().await;
        let folder = programs.folder_of_theirs();
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        chown(&password, Some(programs.uid), Some(programs.gid)).unwrap();
        programs.run(
            "initdb",
            &[
                &format!("--pgdata={}", data(&folder).display()),
                &format!("--username={OWNER}"),
                &format!("--pwfile={}", password.display()),
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ],
        );
        Self::over(programs, folder).await
    }

    /// A standby that has everything that this server has acknowledged.
    pub async fn standby(&self) -> Self {
        let folder = self.programs.folder_of_theirs();
        self.programs.run(
            "pg_basebackup",
            &[
                &format!("--pgdata={}", data(&folder).display()),
                &format!("--dbname={}", self.url()),
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ],
        );
        let standby = Self::over(self.programs.clone(), folder).await;
        let mut primary = PgConnection::connect(&self.url()).await.unwrap();
        for statement in [
            "alter system set synchronous_standby_names = '*'",
            "select pg_reload_conf()",
        ] {
            sqlx::query(statement).execute(&mut primary).await.unwrap();
        }
        let is_there = "select exists (select from pg_stat_replication where sync_state = 'sync')";
        let until = Instant::now() + PATIENCE;
        while !sqlx::query_scalar::<_, bool>(is_there)
            .fetch_one(&mut primary)
            .await
            .unwrap()
        {
            assert!(Instant::now() < until, "the standby does not follow");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        standby
    }

    async fn over(programs: Programs, folder: TempDir) -> Self {
        let address = free_address();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = programs
            .command("postgres")
            .args(["-D", &data(&folder).display().to_string()])
            .args(["-p", &address.port().to_string()])
            .args(["-h", "127.0.0.1", "-k", ""])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self {
            programs,
            folder,
            child,
            address,
        };
        let until = Instant::now() + PATIENCE;
        while let Err(error) = PgConnection::connect(&server.url()).await {
            assert!(Instant::now() < until, "{error}\n{}", server.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server
    }

    /// As superuser, in a database that is always there.
    pub fn url(&self) -> String {
        format!("postgres://{OWNER}:{PASSWORD}@{}/postgres", self.address)
    }

    /// Ends it as a crash of its machine does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        let data = data(&self.folder).display().to_string();
        self.programs
            .run("pg_ctl", &["promote", "--wait", "--pgdata", &data]);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

impl Programs {
    /// Those of the server that all tests share, which knows where it is and whose its data are.
    async fn find() -> Self {
        let mut server = PgConnection::connect(&variable("DATABASE_URL"))
            .await
            .unwrap();
        let sql = "select setting, current_setting('data_directory') from pg_config where name = 'BINDIR'";
        let (folder, data): (String, String) =
            sqlx::query_as(sql).fetch_one(&mut server).await.unwrap();
        let owner = fs::metadata(Path::new(&data)).unwrap();
        Self {
            folder: folder.into(),
            uid: owner.uid(),
            gid: owner.gid(),
        }
    }

    fn folder_of_theirs(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), Some(self.uid), Some(self.gid)).unwrap();
        folder
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command.current_dir("/").stdin(Stdio::null());
        // Only root may become somebody else, and only root has to.
        if fs::metadata("/proc/self").unwrap().uid() != self.uid {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let done = self.command(program).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{program}: {error}");
    }
}
