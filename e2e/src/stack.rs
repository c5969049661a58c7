//! The running stack, as `.stack/env` describes it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jsonwebtoken::EncodingKey;
use url::Url;

/// Where the parts of the running stack are. Variables come from `.stack/env`, which `make up` writes.
#[derive(Clone)]
pub struct Stack {
    /// The proxy's public listener.
    pub proxy: Url,
    /// PostgreSQL as superuser: for looking, past every fence.
    pub database: String,
    /// ClickHouse's engine as its administrator: for looking, past every fence.
    pub clickhouse: Url,
    /// What tokens are signed with.
    pub key: EncodingKey,
    /// Claim `iss`.
    pub issuer: String,
    /// Claim `aud`.
    pub audience: String,
    /// The repository's root, where `make` runs and `.stack` lies.
    pub root: PathBuf,
}

impl Stack {
    /// Reads the environment.
    ///
    /// # Panics
    /// When a variable is missing: a suite that skips silently proves nothing.
    pub fn from_env() -> Self {
        Self::read().unwrap_or_else(|error| panic!("run through `make test`: {error:#}"))
    }

    fn read() -> Result<Self> {
        // reqwest is built without a default provider, so that every crate of the workspace shares one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let var = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        let url =
            |name: &str| Url::parse(&var(name)?).with_context(|| format!("{name} is not a URL"));
        let key_path = var("SEPTEM_JWT_KEY")?;
        let pem =
            std::fs::read(&key_path).with_context(|| format!("SEPTEM_JWT_KEY: {key_path}"))?;
        var("KUBECONFIG")?;
        Ok(Self {
            proxy: url("SEPTEM_URL")?,
            database: var("DATABASE_URL")?,
            clickhouse: url("CLICKHOUSE_ADMIN_URL")?,
            key: EncodingKey::from_ec_pem(&pem)
                .context("SEPTEM_JWT_KEY holds no ES256 private key")?,
            issuer: var("SEPTEM_ISSUER")?,
            audience: var("SEPTEM_AUDIENCE")?,
            root: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."),
        })
    }
}
