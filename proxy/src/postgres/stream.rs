//! The byte stream to a server, with or without TLS.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    config::{DatabaseConfig, TlsMode},
    error::ConnectError,
};

/// What a session reads and writes.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// SSLRequest: length 8, code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Opens a stream. Nothing of the protocol has been spoken on it but the request for TLS.
pub(super) async fn open(config: &DatabaseConfig) -> Result<Box<dyn Stream>, ConnectError> {
    let mut tcp = TcpStream::connect((config.host.as_str(), config.port))
        .await
        .map_err(ConnectError::Unreachable)?;
    // Chunks are written whole; waiting for more would only delay them.
    tcp.set_nodelay(true).map_err(ConnectError::Unreachable)?;
    if config.tls == TlsMode::Disable {
        return Ok(Box::new(tcp));
    }
    tcp.write_all(&SSL_REQUEST)
        .await
        .map_err(ConnectError::Unreachable)?;
    // Exactly one byte is read: anything more before the handshake would be somebody's plain text.
    let mut answer = [0u8];
    tcp.read_exact(&mut answer)
        .await
        .map_err(ConnectError::Unreachable)?;
    if answer != *b"S" {
        return Err(ConnectError::NoTls);
    }
    let name = ServerName::try_from(config.host.clone())
        .map_err(|e| ConnectError::Tls(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
    let connector = TlsConnector::from(Arc::new(client_config(&config.tls)?));
    let tls = connector
        .connect(name, tcp)
        .await
        .map_err(ConnectError::Tls)?;
    Ok(Box::new(tls))
}

fn client_config(mode: &TlsMode) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| ConnectError::Tls(io::Error::other(e)))?;
    let roots = match mode {
        TlsMode::VerifyFull {
            root_certificates: Some(path),
        } => {
            let pem = std::fs::read(path).map_err(ConnectError::RootCertificates)?;
            let mut roots = RootCertStore::empty();
            for certificate in rustls_pemfile::certs(&mut pem.as_slice()) {
                let certificate = certificate.map_err(ConnectError::RootCertificates)?;
                roots
                    .add(certificate)
                    .map_err(|e| ConnectError::RootCertificates(io::Error::other(e)))?;
            }
            roots
        }
        TlsMode::VerifyFull {
            root_certificates: None,
        } => RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
        TlsMode::Require | TlsMode::Disable => {
            let verifier = Arc::new(AnyServer { provider });
            return Ok(builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth());
        }
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// `sslmode=require`: the handshake is checked, who made the certificate is not.
#[derive(Debug)]
struct AnyServer {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
