//! The one way to ClickHouse: as a tenant, or not at all.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clickhouse::{Client, Compression};
use model::TenantId;
use secrecy::ExposeSecret as _;
use sql::clickhouse::{query::TenantStatement, tenant_role};

use super::{Config, error::Error};

/// Most bytes of an answer (API.md: 32 MiB).
pub const ANSWER_BYTES_MAX: usize = 32 << 20;
/// How much longer than ClickHouse's own limit we wait: it should be the one to stop a query.
const GRACE: Duration = Duration::from_secs(2);

/// What ties a query to its request in ClickHouse's log.
pub(super) struct Origin<'a> {
    /// Unique a query; starts with the trace id.
    pub query_id: &'a str,
    /// W3C trace id.
    pub trace: &'a str,
}

/// A pool of connections of the read-only user.
pub(super) struct Store {
    client: Client,
    query_time_max: Duration,
}

impl Store {
    /// Connects when first asked.
    pub fn new(config: &Config) -> Self {
        let client = Client::default()
            .with_url(config.url.as_str())
            .with_user(&config.user)
            .with_password(config.password.expose_secret())
            // Bytes stay in the machine or the rack; what is saved is time.
            .with_compression(Compression::None);
        Self {
            client,
            query_time_max: config.query_time_max,
        }
    }

    /// Runs a statement as the tenant that `role` names, which the token proved; the statement's own parameter was
    /// set by the compiler. The two ways must have led to one tenant.
    ///
    /// The result is `JSONCompact`. ClickHouse stops the query at its time limit; two seconds later we do.
    pub async fn run(
        &self,
        role: &TenantId,
        statement: &TenantStatement,
        origin: &Origin<'_>,
    ) -> Result<Bytes, Error> {
        if *role != statement.tenant {
            return Err(Error::FenceMismatch);
        }
        let comment =
            serde_json::json!({"tenantId": role.to_string(), "traceId": origin.trace}).to_string();
        let mut query = self
            .client
            .query_raw(&statement.statement.text)
            .with_roles([tenant_role(role)])
            .with_setting("query_id", origin.query_id)
            .with_setting("log_comment", comment)
            .with_setting(
                "max_execution_time",
                self.query_time_max.as_secs().to_string(),
            )
            // The answer is complete before its first byte, so that an error is never in the middle of it.
            .with_setting("wait_end_of_query", "1")
            .param("tenant", statement.tenant.as_uuid().to_string());
        for (i, value) in statement.statement.binds.iter().enumerate() {
            query = query.param(&format!("p{}", i + 1), value);
        }
        let mut cursor = query.fetch_bytes("JSONCompact")?;
        let answer = async {
            let mut answer = BytesMut::new();
            while let Some(chunk) = cursor.next().await? {
                if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                    return Err(Error::AnswerTooLarge(ANSWER_BYTES_MAX));
                }
                answer.extend_from_slice(&chunk);
            }
            Ok(answer.freeze())
        };
        let mut running = Running {
            store: self,
            role,
            query_id: origin.query_id,
            is_over: false,
        };
        let answer = tokio::time::timeout(self.query_time_max + GRACE, answer).await;
        running.is_over = answer.is_ok();
        answer.unwrap_or(Err(Error::Timeout))
    }

    /// The client without a role, for the self-test.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

/// A query that is killed when nobody waits for it any more: our timer has run out, or the client has left.
struct Running<'a> {
    store: &'a Store,
    role: &'a TenantId,
    query_id: &'a str,
    is_over: bool,
}

impl Drop for Running<'_> {
    /// Asks ClickHouse to stop the query. Closing the connection should have done it
    /// (`cancel_http_readonly_queries_on_client_close`, in the user's profile); a user may stop its own queries.
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        let (false, Ok(runtime)) = (self.is_over, runtime) else {
            return;
        };
        let kill = self
            .store
            .client
            .query_raw("KILL QUERY WHERE query_id = {query:String} ASYNC")
            .with_roles([tenant_role(self.role)])
            .param("query", self.query_id);
        let query_id = self.query_id.to_owned();
        runtime.spawn(async move {
            match tokio::time::timeout(GRACE, kill.execute()).await {
                Ok(Ok(())) => tracing::info!(query_id, "a query was stopped"),
                Ok(Err(error)) => {
                    let error = Error::from(error);
                    tracing::warn!(query_id, error = %error, "a query was not stopped by name");
                }
                Err(_) => tracing::warn!(query_id, "ClickHouse did not answer to KILL QUERY"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use sql::Statement;

    use super::*;

    #[tokio::test]
    async fn nothing_is_sent_when_role_and_parameter_differ() {
        // Nobody listens there: whatever is sent is an error of another kind.
        let store = Store::new(&Config {
            url: "http://127.0.0.1:1".parse().unwrap(),
            user: "septem_gateway".into(),
            password: SecretString::from("x".to_owned()),
            database_url: SecretString::from("postgres://127.0.0.1:1".to_owned()),
            allow_old: false,
            query_time_max: super::super::QUERY_TIME_MAX,
        });
        let role: TenantId = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01".parse().unwrap();
        let other: TenantId = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e02".parse().unwrap();
        let origin = Origin {
            query_id: "q",
            trace: "t",
        };
        let statement = |tenant| TenantStatement {
            tenant,
            statement: Statement {
                text: "SELECT {tenant:UUID}".into(),
                binds: Vec::new(),
            },
        };
        let run = async |tenant| {
            store
                .run(&role, &statement(tenant), &origin)
                .await
                .unwrap_err()
        };
        assert!(matches!(run(other).await, Error::FenceMismatch));
        assert!(matches!(run(role).await, Error::Unreachable(_)));
    }
}
