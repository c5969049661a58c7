//! What has to be done, sorted by when it may be done, and put in order.

use std::collections::BTreeSet;

use model::ModuleModel;

use super::fields::Scope;
use super::step::{ColumnChange, Lock, Phase, Proof, Statement, Step};
use sql::postgres::ddl;

/// Gathered by the parts that compare; nothing in it depends on another part.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// What closes an open fence: first of all.
    pub repair: Vec<Statement>,
    /// ClickHouse, before PostgreSQL tells of new columns.
    pub clickhouse: Vec<Statement>,
    /// Asked before anything is changed.
    pub proofs: Vec<Proof>,
    /// What only adds.
    pub expand: Vec<Statement>,
    /// What the expansion adds to the ledger.
    pub added: Vec<ColumnChange>,
    /// Steps between the expansion and the publication, by kind: backfills, indexes, proofs of constraints.
    pub backfills: Vec<Step>,
    /// What older rows could not stand before they are filled: a check that is not proven yet is asked of every row
    /// that is written, whatever column of it.
    pub filled_proofs: Vec<Proof>,
    pub filled: Vec<Statement>,
    pub indexes: Vec<Step>,
    pub validations: Vec<Step>,
    /// Constraints that are being proven, by the names that they have meanwhile.
    pub in_flight: BTreeSet<String>,
    /// In the transaction of the publication.
    pub publish: Vec<Statement>,
    /// What the publication changes in the ledger.
    pub settled: Vec<ColumnChange>,
    /// Proven when it is published: constraints that older rows fulfil by their nature.
    pub afterwards: Vec<Step>,
    /// Indexes that nobody uses when the publication is acknowledged.
    pub retired_indexes: Vec<Step>,
    /// What goes then.
    pub contract: Vec<Statement>,
    /// And what the ledger says of it.
    pub dropped: Vec<ColumnChange>,
    /// ClickHouse, last.
    pub clickhouse_contract: Vec<Statement>,
}

/// What the catalogue says, and what it has to say.
pub(super) struct Publication {
    /// While columns are being filled; none when nothing has to be said then.
    pub filling: Option<ModuleModel>,
    /// In the end.
    pub document: ModuleModel,
    /// Whether that is not what it says now.
    pub is_new: bool,
    /// The revision that published the model last; none when nothing did.
    pub revision: Option<i64>,
    /// Who has not acknowledged that revision.
    pub waiting_for: Vec<String>,
}

impl Work {
    /// A constraint on its way to be published: `add` makes it, not valid yet, unless it is there; then older rows are
    /// proven, unless they are.
    pub fn prove(
        &mut self,
        scope: &Scope<'_>,
        name: &str,
        proof: Option<Proof>,
        add: impl FnOnce(&mut Self),
    ) {
        self.in_flight.insert(name.to_owned());
        match scope.constraint(name) {
            Some(found) if found.validated => return,
            Some(_) => {}
            None => add(self),
        }
        self.validations.push(validate(scope.model, name, proof));
    }

    /// The steps, in order. Everything that can fail for the rows that are there comes before the publication.
    pub fn into_steps(self, publication: Publication) -> Vec<Step> {
        let Self {
            repair,
            clickhouse,
            proofs,
            mut expand,
            mut added,
            backfills,
            filled_proofs,
            filled,
            indexes,
            validations,
            in_flight: _,
            publish,
            settled,
            afterwards,
            retired_indexes,
            contract,
            dropped,
            clickhouse_contract,
        } = self;
        let mut steps = Vec::new();
        if !repair.is_empty() {
            steps.push(Step::Transaction {
                phase: Phase::Expand,
                proofs: Vec::new(),
                statements: repair,
                columns: Vec::new(),
                document: None,
            });
        }
        steps.extend(in_clickhouse(Phase::Expand, clickhouse));
        let mut proofs = proofs;
        let early = !(backfills.is_empty() && indexes.is_empty() && validations.is_empty());
        if early && !(expand.is_empty() && added.is_empty() && publication.filling.is_none()) {
            steps.push(Step::Transaction {
                phase: Phase::Expand,
                proofs: std::mem::take(&mut proofs),
                statements: std::mem::take(&mut expand),
                columns: std::mem::take(&mut added),
                document: publication.filling.map(Box::new),
            });
        }
        steps.extend(backfills);
        if !filled.is_empty() {
            steps.push(Step::Transaction {
                phase: Phase::Expand,
                proofs: filled_proofs,
                statements: filled,
                columns: Vec::new(),
                document: None,
            });
        }
        steps.extend(indexes);
        steps.extend(validations);
        let statements: Vec<_> = expand.into_iter().chain(publish).collect();
        added.extend(settled);
        let publishes = publication.is_new || !statements.is_empty() || !added.is_empty();
        if publishes {
            steps.push(Step::Transaction {
                phase: Phase::Publish,
                proofs,
                statements,
                columns: added,
                document: Some(Box::new(publication.document)),
            });
        }
        steps.extend(afterwards);

        let contracts =
            !(contract.is_empty() && retired_indexes.is_empty() && clickhouse_contract.is_empty());
        if contracts && (publishes || !publication.waiting_for.is_empty()) {
            steps.push(Step::Acknowledge {
                revision: publication.revision.filter(|_| !publishes),
                waiting_for: if publishes {
                    Vec::new()
                } else {
                    publication.waiting_for
                },
            });
        }
        steps.extend(retired_indexes);
        if !contract.is_empty() {
            steps.push(Step::Transaction {
                phase: Phase::Contract,
                proofs: Vec::new(),
                statements: contract,
                columns: dropped,
                document: None,
            });
        }
        steps.extend(in_clickhouse(Phase::Contract, clickhouse_contract));
        steps
    }
}

fn in_clickhouse(phase: Phase, statements: Vec<Statement>) -> impl Iterator<Item = Step> {
    statements
        .into_iter()
        .map(move |statement| Step::ClickHouse { phase, statement })
}

/// Proves a constraint.
pub(super) fn validate(model: &ModuleModel, constraint: &str, proof: Option<Proof>) -> Step {
    let sql = ddl::validate_constraint(model.name(), constraint);
    Step::Validate {
        proof,
        statement: Statement::of(sql).locking(Lock::ShareUpdateExclusive),
    }
}
