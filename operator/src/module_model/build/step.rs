//! What is done to the databases, in order. Every step can be the last before the operator is killed: what comes next
//! is found out from what the databases hold, never remembered.

use model::{Field, FieldType, ModuleModel};
use sql::postgres::ddl::Fill;

/// The lock that a statement takes on the model's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// None, or of an object that nobody else knows yet.
    None,
    /// Reads and writes go on; another change of the schema waits.
    ShareUpdateExclusive,
    /// Reads go on, writes wait.
    ShareRowExclusive,
    /// Rows that are written, one batch at a time.
    Rows,
    /// Reads and writes wait. Held for the length of a transaction that scans nothing.
    AccessExclusive,
}

impl Lock {
    /// As PostgreSQL calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Rows => "ROW EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }
}

/// One statement, and what it means for those who use the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its text.
    pub sql: String,
    /// The lock that it takes.
    pub lock: Lock,
    /// Whether values are lost by it.
    pub destructive: bool,
}

impl Statement {
    /// A statement that takes the strongest lock and loses nothing: most changes of a table.
    pub fn of(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            lock: Lock::AccessExclusive,
            destructive: false,
        }
    }

    /// With another lock.
    pub fn locking(self, lock: Lock) -> Self {
        Self { lock, ..self }
    }

    /// That loses values.
    pub fn destroying(self, destructive: bool) -> Self {
        Self {
            destructive,
            ..self
        }
    }
}

/// A number of rows that has to be none, asked before anything is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The query that counts.
    pub count: String,
    /// What somebody has to do when there are any: the sentence after the number of rows.
    pub refusal: String,
    /// The path of what asks for it.
    pub path: String,
}

/// Where in a change a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Only adds.
    Expand,
    /// Makes proxies and sinks use it.
    Publish,
    /// Removes what nobody uses any more.
    Contract,
}

impl Phase {
    /// For the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Publish => "publish",
            Self::Contract => "contract",
        }
    }
}

/// What becomes of a row of `platform.model_columns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnChange {
    /// A column that was made.
    Added {
        /// Its name.
        column: String,
        /// The field that it belongs to.
        field: String,
        /// What it holds.
        definition: FieldType,
        /// The column that it takes over from.
        source: Option<String>,
        /// Whether older rows have to be brought to it.
        filling: bool,
    },
    /// Null in older rows of a column that is there gives way to the default, from the first row on.
    Refilled {
        /// Its name.
        column: String,
    },
    /// What older rows had to be looked at for is published, or was given up.
    Settled {
        /// Its name.
        column: String,
    },
    /// It is gone.
    Dropped {
        /// Its name.
        column: String,
    },
}

/// One thing to be done. A step is carried out whole or not at all, but for `Backfill`, which goes on where it was.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A statement for ClickHouse.
    ClickHouse {
        /// Where it stands.
        phase: Phase,
        /// It.
        statement: Statement,
    },
    /// Statements, the ledger, and with `document` the catalogue: one transaction.
    Transaction {
        /// Where it stands.
        phase: Phase,
        /// Asked first.
        proofs: Vec<Proof>,
        /// In order.
        statements: Vec<Statement>,
        /// For the ledger of columns.
        columns: Vec<ColumnChange>,
        /// What proxies and sinks are told, if something new.
        document: Option<Box<ModuleModel>>,
    },
    /// An index that is built or dropped while everybody goes on; outside of a transaction.
    Concurrently {
        /// Where it stands.
        phase: Phase,
        /// Asked first.
        proof: Option<Proof>,
        /// What a run that was killed left, to be dropped first.
        first: Option<Statement>,
        /// It.
        statement: Statement,
    },
    /// Older rows are brought to a column, batch by batch.
    Backfill {
        /// The column's field.
        field: Box<Field>,
        /// What they get.
        fill: Box<Fill>,
        /// Asked when a value does not fit after all.
        proof: Option<Proof>,
    },
    /// A constraint is proven of older rows.
    Validate {
        /// Asked first, and again when it fails.
        proof: Option<Proof>,
        /// It.
        statement: Statement,
    },
    /// Waits until nobody uses an older revision of the catalogue.
    Acknowledge {
        /// The revision; none while it is not published yet.
        revision: Option<i64>,
        /// Who has not acknowledged it.
        waiting_for: Vec<String>,
    },
}

impl Step {
    /// The statements that it runs, in order; a batch of a backfill as one.
    pub fn statements(&self, model: &ModuleModel) -> Vec<Statement> {
        match self {
            Self::ClickHouse { statement, .. } | Self::Validate { statement, .. } => {
                vec![statement.clone()]
            }
            Self::Transaction { statements, .. } => statements.clone(),
            Self::Concurrently {
                first, statement, ..
            } => first.iter().chain([statement]).cloned().collect(),
            Self::Backfill { field, fill, .. } => {
                let sql = sql::postgres::ddl::fill_batch(model.name(), field, fill);
                vec![Statement::of(sql).locking(Lock::Rows)]
            }
            Self::Acknowledge { .. } => Vec::new(),
        }
    }

    /// What it does, for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClickHouse { .. } => "clickhouse",
            Self::Transaction { phase, .. } => phase.as_str(),
            Self::Concurrently { .. } => "concurrently",
            Self::Backfill { .. } => "backfill",
            Self::Validate { .. } => "validate",
            Self::Acknowledge { .. } => "acknowledge",
        }
    }

    /// What is approved when it is: its statements but for those that clear away what an interrupted run left.
    pub fn intends(&self, model: &ModuleModel) -> Vec<Statement> {
        match self {
            Self::Concurrently { statement, .. } => vec![statement.clone()],
            _ => self.statements(model),
        }
    }

    /// Where in a change it stands; none of what is between the expansion and the publication.
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::ClickHouse { phase, .. }
            | Self::Transaction { phase, .. }
            | Self::Concurrently { phase, .. } => Some(*phase),
            Self::Acknowledge { .. } => Some(Phase::Contract),
            Self::Backfill { .. } | Self::Validate { .. } => None,
        }
    }

    /// Whether it is the transaction that makes proxies and sinks use the change.
    pub fn publishes(&self) -> bool {
        matches!(self, Self::Transaction { .. }) && self.phase() == Some(Phase::Publish)
    }

    /// Whether it reads the whole table.
    pub fn scans(&self) -> bool {
        match self {
            Self::Validate { .. } | Self::Backfill { .. } => true,
            Self::Concurrently { phase, .. } => *phase != Phase::Contract,
            Self::Transaction { proofs, .. } => !proofs.is_empty(),
            Self::ClickHouse { .. } | Self::Acknowledge { .. } => false,
        }
    }
}
