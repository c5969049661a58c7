//! Configuration: [`RawConfig`] as typed, [`Config`] as meant. All that is wrong is named at start.

use std::{collections::HashSet, net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Parser;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    chain::real_ip::Cidr, data::CursorKeys, postgres::DatabaseConfig, problem::PROBLEM_BASE_DEFAULT,
};

/// What the environment and the command line say.
#[derive(Parser)]
#[command(
    name = "septem-proxy",
    version,
    about = "Tenant-scoped CRUD, analytics and cache over HTTP."
)]
pub struct RawConfig {
    /// Public listener, such as 0.0.0.0:8080.
    #[arg(long, env = "SEPTEM_PROXY_LISTEN", default_value = "127.0.0.1:17401")]
    pub listen: String,
    /// Listener of /live, /ready, /health and /metrics.
    #[arg(
        long,
        env = "SEPTEM_PROXY_ADMIN_LISTEN",
        default_value = "127.0.0.1:17402"
    )]
    pub admin_listen: String,
    /// PostgreSQL as septem_app: postgres://user:password@host:port/database.
    #[arg(long, env = "SEPTEM_PROXY_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// ClickHouse over HTTP: http://host:port.
    #[arg(long, env = "SEPTEM_PROXY_CLICKHOUSE_URL")]
    pub clickhouse_url: Option<String>,
    /// The read-only user of ClickHouse.
    #[arg(
        long,
        env = "SEPTEM_PROXY_CLICKHOUSE_USER",
        default_value = "septem_gateway"
    )]
    pub clickhouse_user: String,
    /// Its password.
    #[arg(long, env = "SEPTEM_PROXY_CLICKHOUSE_PASSWORD", hide_env_values = true)]
    pub clickhouse_password: Option<SecretString>,
    /// Valkey: redis://host:port.
    #[arg(long, env = "SEPTEM_PROXY_VALKEY_URL", hide_env_values = true)]
    pub valkey_url: Option<SecretString>,
    /// Path of the public key (PEM, P-256) that verifies tokens.
    #[arg(long, env = "SEPTEM_PROXY_JWT_PUBLIC_KEY")]
    pub jwt_public_key: Option<String>,
    /// Path of a JWKS file; reread when it changes.
    #[arg(long, env = "SEPTEM_PROXY_JWKS")]
    pub jwks: Option<String>,
    /// Expected claim `iss`.
    #[arg(long, env = "SEPTEM_PROXY_JWT_ISSUER")]
    pub jwt_issuer: Option<String>,
    /// Expected claim `aud`.
    #[arg(long, env = "SEPTEM_PROXY_JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// 32 bytes in base64 that seal cursors; the same for every proxy.
    #[arg(long, env = "SEPTEM_PROXY_CURSOR_KEY", hide_env_values = true)]
    pub cursor_key: Option<SecretString>,
    /// The cursor key before this one, still accepted.
    #[arg(long, env = "SEPTEM_PROXY_CURSOR_KEY_PREVIOUS", hide_env_values = true)]
    pub cursor_key_previous: Option<SecretString>,
    /// 32 bytes in base64 from which the keys that sign calls of hooks are derived; the same as the dispatcher's.
    #[arg(long, env = "SEPTEM_HOOK_KEY", hide_env_values = true)]
    pub hook_key: Option<SecretString>,
    /// The hook key before this one: calls are signed with both.
    #[arg(long, env = "SEPTEM_HOOK_KEY_PREVIOUS", hide_env_values = true)]
    pub hook_key_previous: Option<SecretString>,
    /// Hosts (comma separated: name, *.suffix, * or address, with a port or without) that hooks may call.
    #[arg(long, env = "SEPTEM_HOOK_HOSTS", default_value = hook::HOSTS_DEFAULT)]
    pub hook_hosts: String,
    /// Threads that serve; as many as cores by default.
    #[arg(long, env = "SEPTEM_PROXY_THREADS")]
    pub threads: Option<String>,
    /// Networks (a.b.c.d/n, comma separated) whose `X-Forwarded-For` is believed. None by default.
    #[arg(long, env = "SEPTEM_PROXY_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: String,
    /// Origins (comma separated) that browsers may call from. None by default.
    #[arg(long, env = "SEPTEM_PROXY_CORS_ORIGINS", default_value = "")]
    pub cors_origins: String,
    /// What `type` of a problem starts with.
    #[arg(long, env = "SEPTEM_PROXY_PROBLEM_BASE", default_value = PROBLEM_BASE_DEFAULT)]
    pub problem_base: String,
    /// Folder of an unpacked swagger-ui-dist, for the page at /v1/docs. Without it there is no such page.
    #[arg(long, env = "SEPTEM_DOCS_ASSETS")]
    pub docs_assets: Option<String>,
    /// 1: accept a ClickHouse below the floor. Only the local stack sets it.
    #[arg(long, env = "SEPTEM_ALLOW_OLD_CLICKHOUSE", default_value = "0")]
    pub allow_old_clickhouse: String,
}

/// What the proxy runs with.
pub struct Config {
    /// Public listener.
    pub listen: SocketAddr,
    /// Admin listener.
    pub admin_listen: SocketAddr,
    /// Threads that serve requests, 1 or more.
    pub threads: usize,
    /// PostgreSQL as septem_app, for CRUD.
    pub database: DatabaseConfig,
    /// The same as a URL, for schema `platform`.
    pub database_url: SecretString,
    /// ClickHouse.
    pub clickhouse: ClickHouseConfig,
    /// Valkey.
    pub valkey_url: SecretString,
    /// Tokens.
    pub auth: AuthConfig,
    /// Seal of cursors.
    pub cursor_keys: Arc<CursorKeys>,
    /// What signs calls of hooks; without it every hook fails.
    pub hook_keys: Option<hook::Keys>,
    /// What hooks may call.
    pub hook_hosts: hook::AllowedHosts,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Origins that browsers may call from.
    pub cors_origins: HashSet<String>,
    /// What `type` of a problem starts with.
    pub problem_base: String,
    /// Folder of the assets of `/v1/docs`.
    pub docs_assets: Option<PathBuf>,
}

/// Where analytics is read.
#[derive(Clone)]
pub struct ClickHouseConfig {
    /// `http://host:port`.
    pub url: url::Url,
    /// The read-only user.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// Whether a server below the floor is accepted.
    pub allow_old: bool,
}

/// What a token must satisfy.
#[derive(Clone)]
pub struct AuthConfig {
    /// A PEM file with one P-256 public key.
    pub public_key: Option<PathBuf>,
    /// A JWKS file.
    pub jwks: Option<PathBuf>,
    /// Expected `iss`.
    pub issuer: String,
    /// Expected `aud`, or one of it.
    pub audience: String,
}

/// Everything that is wrong with the configuration, one sentence each, never empty.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let mut wrong = Wrong(Vec::new());
        let listen = wrong.parsed(
            "SEPTEM_PROXY_LISTEN",
            &raw.listen,
            "an address such as 127.0.0.1:8080",
        );
        let admin_listen = wrong.parsed(
            "SEPTEM_PROXY_ADMIN_LISTEN",
            &raw.admin_listen,
            "an address such as 127.0.0.1:8081",
        );
        let threads = match raw.threads.as_deref().filter(|t| !t.is_empty()) {
            None => Some(std::thread::available_parallelism().map_or(1, usize::from)),
            Some(text) => wrong
                .parsed::<usize>("SEPTEM_PROXY_THREADS", text, "a number from 1 to 256")
                .filter(|n| (1..=256).contains(n))
                .or_else(|| wrong.report("SEPTEM_PROXY_THREADS must be a number from 1 to 256.")),
        };
        let database = wrong.database(raw.database_url.as_ref());
        let valkey_url = wrong.url(
            "SEPTEM_PROXY_VALKEY_URL",
            raw.valkey_url.as_ref().map(|s| s.expose_secret()),
            &["redis", "rediss", "valkey", "valkeys"],
        );
        let clickhouse_url = wrong.url(
            "SEPTEM_PROXY_CLICKHOUSE_URL",
            raw.clickhouse_url.as_deref(),
            &["http", "https"],
        );
        let clickhouse_password =
            wrong.given("SEPTEM_PROXY_CLICKHOUSE_PASSWORD", raw.clickhouse_password);
        let issuer = wrong.given(
            "SEPTEM_PROXY_JWT_ISSUER",
            raw.jwt_issuer.filter(|t| !t.is_empty()),
        );
        let audience = wrong.given(
            "SEPTEM_PROXY_JWT_AUDIENCE",
            raw.jwt_audience.filter(|t| !t.is_empty()),
        );
        let path = |text: Option<String>| text.filter(|t| !t.is_empty()).map(PathBuf::from);
        let (public_key, jwks) = (path(raw.jwt_public_key), path(raw.jwks));
        let docs_assets = path(raw.docs_assets);
        if public_key.is_none() && jwks.is_none() {
            wrong.report::<()>("SEPTEM_PROXY_JWT_PUBLIC_KEY or SEPTEM_PROXY_JWKS must be set.");
        }
        let cursor_key = wrong.given("SEPTEM_PROXY_CURSOR_KEY", raw.cursor_key);
        let previous = raw
            .cursor_key_previous
            .filter(|key| !key.expose_secret().is_empty());
        let cursor_keys = cursor_key.and_then(|key| wrong.cursor_keys(&key, previous.as_ref()));
        let hook_keys = wrong.hook_keys(raw.hook_key, raw.hook_key_previous);
        let hook_hosts = match raw.hook_hosts.parse() {
            Ok(hosts) => Some(hosts),
            Err(error) => wrong.report(&format!("SEPTEM_HOOK_HOSTS {error}.")),
        };
        let trusted_proxies = list(&raw.trusted_proxies)
            .map(|text| {
                wrong.parsed(
                    "SEPTEM_PROXY_TRUSTED_PROXIES",
                    text,
                    "a list of networks such as 10.0.0.0/8",
                )
            })
            .collect::<Option<Vec<Cidr>>>();
        let cors_origins = list(&raw.cors_origins)
            .map(|o| wrong.origin(o))
            .collect::<Option<HashSet<String>>>();
        let allow_old = match raw.allow_old_clickhouse.as_str() {
            "1" => Some(true),
            "0" | "" => Some(false),
            _ => wrong.report("SEPTEM_ALLOW_OLD_CLICKHOUSE must be 0 or 1."),
        };
        let problem_base = wrong
            .url(
                "SEPTEM_PROXY_PROBLEM_BASE",
                Some(&raw.problem_base),
                &["http", "https"],
            )
            .map(|_| raw.problem_base.clone());

        let config = (|| {
            Some(Self {
                listen: listen?,
                admin_listen: admin_listen?,
                threads: threads?,
                database: database?,
                database_url: raw.database_url?,
                clickhouse: ClickHouseConfig {
                    url: clickhouse_url?,
                    user: raw.clickhouse_user,
                    password: clickhouse_password?,
                    allow_old: allow_old?,
                },
                valkey_url: valkey_url.and(raw.valkey_url)?,
                auth: AuthConfig {
                    public_key,
                    jwks,
                    issuer: issuer?,
                    audience: audience?,
                },
                cursor_keys: Arc::new(cursor_keys?),
                hook_keys,
                hook_hosts: hook_hosts?,
                trusted_proxies: trusted_proxies?,
                cors_origins: cors_origins?,
                problem_base: problem_base?,
                docs_assets,
            })
        })();
        match config {
            Some(config) if wrong.0.is_empty() => Ok(config),
            _ => Err(ConfigError(wrong.0)),
        }
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|t| !t.is_empty())
}

/// Collects what is wrong, so that one start names all of it. Values are not repeated: they may be secrets.
struct Wrong(Vec<String>);

impl Wrong {
    fn report<T>(&mut self, sentence: &str) -> Option<T> {
        self.0.push(sentence.to_owned());
        None
    }

    fn given<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.0.push(format!("{name} must be set."));
        }
        value
    }

    fn parsed<T: std::str::FromStr>(&mut self, name: &str, text: &str, what: &str) -> Option<T> {
        text.parse()
            .ok()
            .or_else(|| self.report(&format!("{name} must be {what}.")))
    }

    fn url(&mut self, name: &str, text: Option<&str>, schemes: &[&str]) -> Option<url::Url> {
        let text = self.given(name, text)?;
        let url = url::Url::parse(text)
            .ok()
            .filter(|u| schemes.contains(&u.scheme()) && u.has_host());
        url.or_else(|| {
            self.report(&format!(
                "{name} must be a URL that starts with {}://.",
                schemes[0]
            ))
        })
    }

    fn cursor_keys(
        &mut self,
        current: &SecretString,
        previous: Option<&SecretString>,
    ) -> Option<CursorKeys> {
        if CursorKeys::parse(current, None).is_err() {
            return self.report("SEPTEM_PROXY_CURSOR_KEY must be 32 bytes in base64.");
        }
        let both = CursorKeys::parse(current, previous).ok();
        both.or_else(|| self.report("SEPTEM_PROXY_CURSOR_KEY_PREVIOUS must be 32 bytes in base64."))
    }

    /// None where hooks are not used.
    fn hook_keys(
        &mut self,
        current: Option<SecretString>,
        previous: Option<SecretString>,
    ) -> Option<hook::Keys> {
        let given = |key: &SecretString| !key.expose_secret().is_empty();
        let current = current.filter(given)?;
        let previous = previous.filter(given);
        match hook::Keys::parse(&current, previous.as_ref()) {
            Ok(keys) => Some(keys),
            Err(error) => self.report(&format!(
                "SEPTEM_HOOK_KEY or SEPTEM_HOOK_KEY_PREVIOUS {error}."
            )),
        }
    }

    fn database(&mut self, url: Option<&SecretString>) -> Option<DatabaseConfig> {
        let url = self.given("SEPTEM_PROXY_DATABASE_URL", url)?;
        match DatabaseConfig::from_url(url.expose_secret()) {
            Ok(config) => Some(config),
            // Says what is wrong without the URL, which has the password.
            Err(error) => self.report(&format!(
                "SEPTEM_PROXY_DATABASE_URL is not usable: {error}."
            )),
        }
    }

    /// An origin as browsers send it: scheme, host and port, nothing after. `*` is refused, since a token travels.
    fn origin(&mut self, text: &str) -> Option<String> {
        let url = url::Url::parse(text)
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https"));
        match url {
            Some(url) if url.origin().ascii_serialization() == text => Some(text.to_owned()),
            _ => self.report("SEPTEM_PROXY_CORS_ORIGINS must be a list of origins such as https://app.example.com."),
        }
    }
}

#[cfg(test)]
mod tests;
