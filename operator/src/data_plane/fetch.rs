//! Secrets of a DataPlane, read and parsed.

use crds::DataPlaneSpec;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use sql::{
    clickhouse::ddl::{GATEWAY_USER, SINK_USER},
    postgres::ddl::{APP_ROLE, CDC_ROLE, SINK_ROLE},
};
use url::Url;

use crate::{
    clickhouse::ClickHouse,
    connect::Connect,
    error::Error,
    planes::Holdings,
    postgres::{Login, RoleSecrets},
};

/// Everything that hangs on one database, ready to be called.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// The operator's login.
    pub owner: Login,
    /// Logins of the roles that it makes.
    pub roles: RoleSecrets,
    /// ClickHouse, as its administrator.
    pub clickhouse: ClickHouse,
    /// ClickHouse, as the proxy, and its password.
    pub gateway: (ClickHouse, SecretString),
    /// ClickHouse, as the sink, and its password.
    pub sink: (ClickHouse, SecretString),
    /// Kafka Connect.
    pub connect: Connect,
    /// Kafka's bootstrap servers.
    pub kafka: String,
    /// URL of Valkey.
    pub valkey: SecretString,
    /// Changes when any Secret does.
    pub fingerprint: [u8; 32],
}

impl Endpoints {
    /// What nobody else may hold.
    pub fn holdings(&self, events_topic: &str) -> Holdings {
        Holdings {
            clickhouse: self.clickhouse.host(),
            events: (self.kafka.clone(), events_topic.to_owned()),
        }
    }
}

/// Reads every Secret that the spec names. One that is missing or malformed is an error that names it.
pub async fn fetch(
    client: &Client,
    http: &reqwest::Client,
    spec: &DataPlaneSpec,
) -> Result<Endpoints, Error> {
    let secrets = Secrets {
        api: Api::namespaced(client.clone(), &spec.secret_namespace),
        digest: Sha256::new(),
    };
    secrets.read(http, spec).await
}

struct Secrets {
    api: Api<Secret>,
    digest: Sha256,
}

impl Secrets {
    async fn read(
        mut self,
        http: &reqwest::Client,
        spec: &DataPlaneSpec,
    ) -> Result<Endpoints, Error> {
        let postgres = &spec.postgres;
        let owner = self.login(&postgres.owner_secret_ref.name, None).await?;
        let app = self
            .login(&postgres.app_secret_ref.name, Some(APP_ROLE))
            .await?;
        let cdc = self
            .login(&postgres.cdc_secret_ref.name, Some(CDC_ROLE))
            .await?;
        let sink = self
            .login(&postgres.sink_secret_ref.name, Some(SINK_ROLE))
            .await?;
        let clickhouse = &spec.clickhouse;
        let (admin, _) = self
            .clickhouse(http, &clickhouse.admin_secret_ref.name, None)
            .await?;
        let gateway = self
            .clickhouse(
                http,
                &clickhouse.gateway_secret_ref.name,
                Some(GATEWAY_USER),
            )
            .await?;
        let ch_sink = self
            .clickhouse(http, &clickhouse.sink_secret_ref.name, Some(SINK_USER))
            .await?;
        let connect = self.url(&spec.connect.secret_ref.name).await?;
        // Proxy and sink read Kafka's; a DataPlane without it is not whole.
        let kafka = self.text(&spec.kafka.secret_ref.name).await?;
        let valkey = self.text(&spec.valkey.secret_ref.name).await?;
        Ok(Endpoints {
            owner,
            roles: RoleSecrets { app, cdc, sink },
            clickhouse: admin,
            gateway,
            sink: ch_sink,
            connect: Connect::new(http.clone(), connect),
            kafka: kafka.expose_secret().to_owned(),
            valkey,
            fingerprint: self.digest.finalize().into(),
        })
    }

    async fn text(&mut self, name: &str) -> Result<SecretString, Error> {
        let wrong = |problem| Error::Credentials {
            secret: name.to_owned(),
            problem,
        };
        let secret = self
            .api
            .get_opt(name)
            .await
            .map_err(Error::kubernetes("a Secret"))?;
        let data = secret
            .ok_or_else(|| {
                wrong("does not exist; create it in spec.secretNamespace, with the one key url")
            })?
            .data
            .unwrap_or_default();
        let bytes = data.get("url").ok_or_else(|| {
            wrong("has no key url; its one key is url, and it is read again within 10 seconds")
        })?;
        let text = std::str::from_utf8(&bytes.0)
            .map_err(|_| wrong("key url is not text"))?
            .trim();
        if text.is_empty() {
            return Err(wrong("key url is empty"));
        }
        self.digest.update(name.as_bytes());
        self.digest.update([0]);
        self.digest.update(text.as_bytes());
        self.digest.update([0]);
        Ok(text.to_owned().into())
    }

    async fn login(&mut self, name: &str, role: Option<&'static str>) -> Result<Login, Error> {
        let text = self.text(name).await?;
        let wrong = |problem| Error::Credentials {
            secret: name.to_owned(),
            problem,
        };
        let login = Login::parse(text.expose_secret()).map_err(wrong)?;
        match role {
            Some(role) if login.user != role => Err(wrong(
                "key url has another user than the role that it is for: septem_app, septem_cdc or septem_sink",
            )),
            _ => Ok(login),
        }
    }

    async fn url(&mut self, name: &str) -> Result<Url, Error> {
        let text = self.text(name).await?;
        let wrong = || Error::Credentials {
            secret: name.to_owned(),
            problem: "key url is not an http(s) URL",
        };
        let url = Url::parse(text.expose_secret()).map_err(|_| wrong())?;
        if matches!(url.scheme(), "http" | "https") {
            Ok(url)
        } else {
            Err(wrong())
        }
    }

    async fn clickhouse(
        &mut self,
        http: &reqwest::Client,
        name: &str,
        user: Option<&'static str>,
    ) -> Result<(ClickHouse, SecretString), Error> {
        let mut url = self.url(name).await?;
        let wrong = |problem| Error::Credentials {
            secret: name.to_owned(),
            problem,
        };
        let decode = |part: &str| {
            crate::postgres::percent_decode(part).ok_or_else(|| wrong("key url is malformed"))
        };
        let (login, password) = (
            decode(url.username())?,
            decode(url.password().unwrap_or_default())?,
        );
        if user.is_some_and(|user| user != login) {
            return Err(wrong(
                "key url has another user than the one that it is for: septem_gateway or septem_sink",
            ));
        }
        // Credentials travel as a header, never in a URL that might be logged.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let password = SecretString::from(password);
        Ok((
            ClickHouse::new(http.clone(), url, login, password.clone()),
            password,
        ))
    }
}
