//! A connection pooler between the proxy and the server: refused at the start, since neither the settings of a connection
//! nor what is prepared on it are the proxy's own behind one.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use proxy::postgres::{ConnectError, Database, DatabaseConfig};
use secrecy::ExposeSecret as _;

use crate::support::{free_address, world::World};

/// Every setting of ours that PgBouncer does not know by itself.
const SETTINGS: &str = "bytea_output,extra_float_digits,row_security,search_path,default_transaction_isolation,\
                        default_transaction_read_only,statement_timeout,lock_timeout,\
                        idle_in_transaction_session_timeout,jit,client_connection_check_interval";

/// PgBouncer in transaction mode. Killed when dropped.
struct Bouncer {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Bouncer {
    fn start(server: &DatabaseConfig, ignored: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let port = address.port();
        let (users, settings) = (folder.path().join("users"), folder.path().join("ini"));
        let password = server.password.expose_secret();
        fs::write(&users, format!("\"{}\" \"{password}\"\n", server.user)).unwrap();
        let text = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             ignore_startup_parameters = {ignored}\n",
            server.host,
            server.port,
            users.display(),
        );
        fs::write(&settings, text).unwrap();
        let process = Self::command(folder.path())
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PgBouncer is installed (Debian: pgbouncer)");
        let bouncer = Self {
            process,
            port,
            _folder: folder,
        };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < until, "PgBouncer does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        bouncer
    }

    /// It refuses to be root, so it becomes somebody else who may read its files.
    fn command(folder: &Path) -> Command {
        let mut command = Command::new("/usr/sbin/pgbouncer");
        if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
        {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
            command.args(["-u", "nobody"]);
        }
        command
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_pooler_is_refused_whether_it_drops_settings_or_refuses_them() {
    let world = World::new().await;
    let mut config = DatabaseConfig::from_url(&world.database.app_url).unwrap();
    assert!(Database::connect(config.clone()).await.is_ok());
    let server = config.clone();
    for ignored in ["", SETTINGS] {
        let bouncer = Bouncer::start(&server, ignored);
        config.port = bouncer.port;
        let refused = Database::connect(config.clone()).await.map(|_| ());
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, ConnectError::Pooled),
            "{ignored}: {refused}"
        );
    }
}
