//! TLS to the database. The local server has none, so one stands in front of it that speaks it: what the client
//! does, from SSLRequest to the last byte, is the same.

use std::{path::Path, process::Command, sync::Arc};

use http::StatusCode;
use proxy::postgres::{ConnectError, Database, DatabaseConfig, TlsMode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, rustls};

use super::isolation::{never_meet, two_connections};
use crate::support::{
    database::TestDatabase,
    world::{A, World, models},
};

fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// An authority, and a certificate of `localhost` by it.
fn certificates(folder: &Path) -> rustls::ServerConfig {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(
        folder,
        &format!("req -x509 {key} -subj /CN=authority -keyout ca.key -out ca.pem"),
    );
    openssl(
        folder,
        &format!("req {key} -subj /CN=localhost -keyout server.key -out server.csr"),
    );
    std::fs::write(
        folder.join("names"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let chain = rustls_pemfile::certs(&mut read("server.pem").as_slice())
        .map(Result::unwrap)
        .collect();
    let key = rustls_pemfile::private_key(&mut read("server.key").as_slice())
        .unwrap()
        .unwrap();
    rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

/// Serves TLS before the real server, or answers `N` to the request for it. Returns its port.
async fn front(server: Option<rustls::ServerConfig>, behind: (String, u16)) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = server.map(|config| TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut request = [0; 8];
                client.read_exact(&mut request).await?;
                assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47]);
                let Some(acceptor) = acceptor else {
                    return client.write_all(b"N").await;
                };
                client.write_all(b"S").await?;
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server)
                    .await
                    .map(|_| ())
            });
        }
    });
    port
}

#[tokio::test]
async fn the_database_is_reached_over_tls() {
    let mut world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let server = certificates(folder.path());
    let direct = DatabaseConfig::from_url(&world.database.app_url).unwrap();
    let behind = (direct.host.clone(), direct.port);
    let port = front(Some(server), behind.clone()).await;
    let connect = |host: &str, port: u16, tls: TlsMode| {
        let config = DatabaseConfig {
            host: host.to_owned(),
            port,
            tls,
            ..direct.clone()
        };
        Database::connect(config)
    };
    let authority = || TlsMode::VerifyFull {
        root_certificates: Some(folder.path().join("ca.pem")),
    };

    assert!(connect("127.0.0.1", port, TlsMode::Require).await.is_ok());
    world.data.database = connect("localhost", port, authority()).await.unwrap();
    let large = "x".repeat(300_000);
    let thing = world.create(A, "things", json!({"a_text": large})).await;
    let path = format!("things/{}", thing["id"].as_str().unwrap());
    let reads = (0..20).map(|_| world.send(A, "GET", &path, None));
    for seen in futures::future::join_all(reads).await {
        assert_eq!(
            (seen.status, seen.text.len() > large.len()),
            (StatusCode::OK, true)
        );
    }

    // A name that the certificate does not have, an authority that we do not know, a server without TLS.
    let refused = connect("127.0.0.1", port, authority())
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(refused, ConnectError::Tls(_)), "{refused}");
    let unknown = TlsMode::VerifyFull {
        root_certificates: None,
    };
    let refused = connect("localhost", port, unknown)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(refused, ConnectError::Tls(_)), "{refused}");
    let plain = front(None, behind).await;
    let refused = connect("127.0.0.1", plain, TlsMode::Require)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(refused, ConnectError::NoTls), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_never_meet_on_a_connection_with_tls() {
    let folder = tempfile::tempdir().unwrap();
    let database = TestDatabase::create(&models()).await;
    let direct = DatabaseConfig::from_url(&database.app_url).unwrap();
    let port = front(
        Some(certificates(folder.path())),
        (direct.host, direct.port),
    )
    .await;
    let world = World::over(database, &models(), |config| {
        two_connections(config);
        config.host = "localhost".to_owned();
        config.port = port;
        config.tls = TlsMode::VerifyFull {
            root_certificates: Some(folder.path().join("ca.pem")),
        };
    })
    .await;
    never_meet(&world).await;
}
