//! What can go wrong that time can heal, and what each means for status, retry and metrics.

use crds::Reason;

use crate::{
    clickhouse::ClickHouseError, connect::ConnectError, module_model::FileError, telemetry::chain,
};

/// A reconcile that could not be carried out. What the author of a resource has to change is not among them: that
/// is a [`crate::report::Refusal`], and an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server.
    #[error("The API server: {doing}")]
    Kubernetes {
        /// What was asked.
        doing: &'static str,
        /// Its answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// PostgreSQL.
    #[error("PostgreSQL: {doing}")]
    Postgres {
        /// What was asked.
        doing: &'static str,
        /// Its answer.
        #[source]
        source: sqlx::Error,
    },
    /// The files in `migrations/`.
    #[error("the migrations of schema platform did not run")]
    Migrations(#[source] Box<sqlx::migrate::MigrateError>),
    /// ClickHouse.
    #[error("ClickHouse: {doing}")]
    ClickHouse {
        /// What was asked.
        doing: &'static str,
        /// Its answer.
        #[source]
        source: ClickHouseError,
    },
    /// Kafka Connect.
    #[error("Kafka Connect: {doing}")]
    Connect {
        /// What was asked.
        doing: &'static str,
        /// Its answer.
        #[source]
        source: ConnectError,
    },
    /// Valkey.
    #[error("Valkey: {doing}")]
    Valkey {
        /// What was asked.
        doing: &'static str,
        /// Its answer.
        #[source]
        source: fred::error::Error,
    },
    /// A Secret of the DataPlane.
    #[error("Secret {secret}: {problem}")]
    Credentials {
        /// Its name.
        secret: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Something that each DataPlane needs for itself is another one's.
    #[error("{what} is that of DataPlane {by}; each DataPlane needs its own")]
    Held {
        /// What it is.
        what: &'static str,
        /// The DataPlane that has it.
        by: String,
    },
    /// A SQL file of a module.
    #[error(transparent)]
    File(Box<FileError>),
    /// `platform.operator_epoch` is above ours.
    #[error("a newer operator has taken over this database")]
    Superseded,
    /// The database holds a document that this version cannot read.
    #[error("the observed state cannot be read")]
    Observed(#[source] serde_json::Error),
}

impl Error {
    /// For `map_err` on calls of the API server.
    pub fn kubernetes(doing: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Kubernetes {
            doing,
            source: Box::new(source),
        }
    }

    /// For `map_err` on calls of PostgreSQL.
    pub fn postgres(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Postgres { doing, source }
    }

    /// For `map_err` on calls of ClickHouse.
    pub fn clickhouse(doing: &'static str) -> impl FnOnce(ClickHouseError) -> Self {
        move |source| Self::ClickHouse { doing, source }
    }

    /// For `map_err` on calls of Kafka Connect.
    pub fn connect(doing: &'static str) -> impl FnOnce(ConnectError) -> Self {
        move |source| Self::Connect { doing, source }
    }

    /// For `map_err` on calls of Valkey.
    pub fn valkey(doing: &'static str) -> impl FnOnce(fred::error::Error) -> Self {
        move |source| Self::Valkey { doing, source }
    }

    /// The reason of the condition, and the label of the metric.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Kubernetes { .. } => Reason::Progressing,
            Self::Postgres { source, .. } => reason_of_postgres(source),
            Self::Migrations(source) => match &**source {
                sqlx::migrate::MigrateError::Execute(source) => reason_of_postgres(source),
                _ => Reason::MigrationFailed,
            },
            Self::ClickHouse {
                source: ClickHouseError::Refused { .. },
                ..
            } => Reason::ClickHouseFailed,
            Self::ClickHouse { .. } => Reason::ClickHouseUnreachable,
            Self::Connect {
                source: ConnectError::Refused { .. },
                ..
            } => Reason::ConnectorFailed,
            Self::Connect { .. } => Reason::ConnectUnreachable,
            // It is called for nothing but erasing.
            Self::Valkey { .. } => Reason::Erasing,
            Self::Credentials { .. } => Reason::CredentialsMissing,
            Self::Held { .. } => Reason::NameConflict,
            Self::File(file) => file.reason(),
            Self::Superseded => Reason::Superseded,
            Self::Observed(_) => Reason::MigrationFailed,
        }
    }

    /// The whole chain, and where to look when somebody has to.
    pub fn told(&self) -> String {
        let text = chain(self);
        let Some(advice) = self.advice() else {
            return text;
        };
        format!("{text}; {advice}")
    }

    /// Where to look, for what a wrong Secret causes as well as an engine that is away.
    fn advice(&self) -> Option<&'static str> {
        match (self, self.reason()) {
            (Self::Postgres { source, .. }, Reason::DatabaseUnreachable) => {
                let code = source.as_database_error().and_then(|e| e.code());
                Some(match code {
                    Some(code) if code.starts_with("28") => {
                        "correct user and password in the Secret of spec.postgres.ownerSecretRef"
                    }
                    _ => {
                        "see that PostgreSQL runs, and that the Secret of spec.postgres.ownerSecretRef names its host and port"
                    }
                })
            }
            (Self::ClickHouse { .. }, Reason::ClickHouseUnreachable) => Some(
                "see that ClickHouse runs, and that the Secret of spec.clickhouse.adminSecretRef names its host and port",
            ),
            (Self::Connect { .. }, Reason::ConnectUnreachable) => Some(
                "see that Kafka Connect runs, and that the Secret of spec.connect names its host and port",
            ),
            _ => None,
        }
    }

    /// Whether PostgreSQL did not answer.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Postgres { .. }) && self.reason() == Reason::DatabaseUnreachable
    }

    /// Whether a row stands against it: a value that does not fit, or a constraint that does not hold.
    pub fn is_about_rows(&self) -> bool {
        let Self::Postgres { source, .. } = self else {
            return false;
        };
        let code = source.as_database_error().and_then(|e| e.code());
        code.is_some_and(|c| c.starts_with("22") || c.starts_with("23"))
    }

    /// Whether it is about ClickHouse and not about PostgreSQL.
    pub fn is_clickhouse(&self) -> bool {
        matches!(self, Self::ClickHouse { .. })
    }
}

fn reason_of_postgres(error: &sqlx::Error) -> Reason {
    match error.as_database_error().and_then(|e| e.code()).as_deref() {
        Some("55P03") => Reason::LockUnavailable,
        Some("57014") => Reason::StatementTimeout,
        // Shutting down, starting up, no connection left, no such login.
        Some(code)
            if code.starts_with("57P") || code.starts_with("08") || code.starts_with("53") =>
        {
            Reason::DatabaseUnreachable
        }
        Some(code) if code.starts_with("28") => Reason::DatabaseUnreachable,
        Some(_) => Reason::MigrationFailed,
        None => Reason::DatabaseUnreachable,
    }
}
