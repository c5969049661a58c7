//! Prints one access token of the local stack: `token TENANT USER [TTL]`, signed with the key of `.stack/env`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Parser;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use model::TenantId;
use serde::Serialize;

#[derive(Parser)]
#[command(name = "token", about = "Prints one access token of the local stack")]
struct Arguments {
    /// A UUID.
    tenant: TenantId,
    /// Claim `sub`.
    user: String,
    /// Seconds until it expires.
    #[arg(default_value_t = 3600)]
    ttl: u64,
    /// Path of the ES256 private key.
    #[arg(long, env = "SEPTEM_JWT_KEY")]
    key: std::path::PathBuf,
    /// Claim `iss`.
    #[arg(long, env = "SEPTEM_ISSUER")]
    issuer: String,
    /// Claim `aud`.
    #[arg(long, env = "SEPTEM_AUDIENCE")]
    audience: String,
}

#[derive(Serialize)]
struct Claims {
    sub: String,
    tenant_id: String,
    iss: String,
    aud: String,
    iat: u64,
    exp: u64,
    jti: String,
}

fn main() -> anyhow::Result<()> {
    let Arguments {
        tenant,
        user,
        ttl,
        key,
        issuer,
        audience,
    } = Arguments::parse();
    let pem = std::fs::read(&key).with_context(|| format!("SEPTEM_JWT_KEY: {}", key.display()))?;
    let signing =
        EncodingKey::from_ec_pem(&pem).context("SEPTEM_JWT_KEY holds no ES256 private key")?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs();
    let claims = Claims {
        sub: user,
        tenant_id: tenant.to_string(),
        iss: issuer,
        aud: audience,
        iat: now,
        exp: now.saturating_add(ttl),
        jti: uuid::Uuid::new_v4().to_string(),
    };
    println!(
        "{}",
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &signing)?
    );
    Ok(())
}
