//! Carries out one step of a plan. What comes next is found out by looking again.

mod backfill;

use model::Draft;
use tracing::{Span, field::Empty, instrument};

use super::{
    approval,
    build::{Phase, Plan, Proof, Rivals, Step, build},
    observe::{Asked, Observed, ObservedAnalytics, observe, observe_analytics},
    publish::{Entry, publish, record, record_columns},
    references::deletes_clash,
    validate::Desired,
};
use crate::{
    error::Error,
    failpoint::failpoint,
    plane::Plane,
    postgres::{Fenced, execute},
    report::Refusal,
    telemetry::{TARGET, spans},
};
use crds::{ConditionType, Reason};

pub use backfill::Progress;

/// Both databases at one look.
#[derive(Debug, Default)]
pub struct Look {
    /// PostgreSQL.
    pub observed: Observed,
    /// The document applied last.
    pub previous: Option<Draft>,
    /// ClickHouse; none when analytics are not asked for.
    pub analytics: Option<ObservedAnalytics>,
}

/// Why a plan was not carried out.
pub enum Stop {
    /// Somebody has to change something.
    Refused(Refusal),
    /// Time may heal it.
    Failed(Error),
}

/// What came of a step.
pub enum Done {
    /// There was nothing to do.
    Nothing,
    /// A step was carried out; others may follow.
    Step(Box<Plan>),
    /// A backfill goes on later.
    Backfilling(Progress),
    /// Proxies or sinks have not acknowledged yet.
    Waiting {
        /// The revision that they have to use.
        revision: i64,
        /// Who does not.
        waiting_for: Vec<String>,
    },
    /// An index waits for the end of a snapshot.
    Snapshot,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Looks at both databases, together with those who look now.
#[instrument(target = TARGET, name = "look", skip_all)]
pub async fn look_now(plane: &Plane, desired: &Desired) -> Result<Look, Error> {
    let asked = Asked::of(&desired.model);
    let looked = plane
        .models
        .looks
        .ask(asked, |models| look_all(plane, models));
    Ok(looked.await?.unwrap_or_default())
}

/// The connection is free again while ClickHouse is asked.
async fn look_all(plane: &Plane, models: Vec<Asked>) -> Result<Vec<Option<Look>>, Error> {
    let observed = {
        let conn = plane.looks.acquire().await;
        observe(
            &mut *conn.map_err(Error::postgres("a connection"))?,
            &models,
        )
        .await?
    };
    let looks = with_analytics(plane, &models, observed).await?;
    Ok(looks.into_iter().map(Some).collect())
}

/// Looks at both databases within a transaction.
pub async fn look(
    conn: &mut sqlx::PgConnection,
    plane: &Plane,
    desired: &Desired,
) -> Result<Look, Error> {
    let asked = [Asked::of(&desired.model)];
    let observed = observe(conn, &asked).await?;
    let mut looks = with_analytics(plane, &asked, observed).await?;
    Ok(looks.pop().unwrap_or_default())
}

async fn with_analytics(
    plane: &Plane,
    models: &[Asked],
    observed: Vec<Observed>,
) -> Result<Vec<Look>, Error> {
    let analysed = models.iter().filter(|asked| asked.analytics);
    let names: Vec<_> = analysed.map(|asked| &asked.name).collect();
    let found = observe_analytics(&plane.clickhouse, &names, plane.generation).await?;
    let mut found = found.into_iter();
    let mut looks = Vec::new();
    for (asked, observed) in models.iter().zip(observed) {
        let document = observed.published.as_ref().map(|p| p.document.clone());
        let previous = document.map(serde_json::from_value).transpose();
        looks.push(Look {
            observed,
            previous: previous.map_err(Error::Observed)?,
            analytics: asked.analytics.then(|| found.next().unwrap_or_default()),
        });
    }
    Ok(looks)
}

impl Look {
    /// The plan that follows from it.
    #[instrument(target = TARGET, name = "plan", skip_all, fields(septem.steps = Empty))]
    pub fn plan(&self, plane: &Plane, desired: &Desired, rivals: Rivals) -> Result<Plan, Refusal> {
        let Self {
            observed,
            previous,
            analytics,
        } = self;
        let plan = build(
            desired,
            observed,
            previous.as_ref(),
            analytics.as_ref(),
            plane.generation,
            rivals,
        )?;
        Span::current().record("septem.steps", plan.steps.len());
        Ok(plan)
    }
}

/// Carries out the next step, looking again under the lock: nobody changes anything between that look and the commit.
#[instrument(target = TARGET, name = "apply", skip_all, fields(
    septem.step = Empty, septem.revision = Empty, septem.waiting_for = Empty,
))]
pub async fn apply_next(plane: &Plane, desired: &Desired, rivals: Rivals) -> Result<Done, Stop> {
    let mut fenced = plane.fenced(desired.timeouts).await?;
    let look = look(fenced.conn(), plane, desired).await?;
    let plan = look.plan(plane, desired, rivals)?;
    let Some(step) = plan.steps.first() else {
        return Ok(Done::Nothing);
    };
    if !approval::covers(desired, &look.observed, &plan)
        || deletes_clash(&look.observed, desired).is_some()
    {
        // Changed since it was looked at: the next look asks anew.
        return Ok(Done::Nothing);
    }
    spans::step(step.name());
    match step {
        Step::ClickHouse { phase, statement } => {
            failpoint!(match phase {
                Phase::Contract => "clickhouse-contract-before",
                _ => "clickhouse-expand-before",
            });
            plane
                .clickhouse
                .execute(&statement.sql)
                .await
                .map_err(Error::clickhouse("a table"))?;
            fenced.commit().await?;
            failpoint!(match phase {
                Phase::Contract => "clickhouse-contract-after",
                _ => "clickhouse-expand-after",
            });
        }
        Step::Transaction {
            phase,
            proofs,
            statements,
            columns,
            document,
        } => {
            fenced = prove(fenced, proofs).await?;
            let texts: Vec<_> = statements.iter().map(|s| s.sql.clone()).collect();
            crate::postgres::execute_all(fenced.conn(), &texts, "a change of the schema").await?;
            let (conn, model) = (fenced.conn(), &desired.model);
            let revision = match document {
                Some(document) => publish(conn, desired, document, columns).await?,
                None => {
                    record_columns(conn, model, columns).await?;
                    look.observed.published.as_ref().map_or(0, |p| p.revision)
                }
            };
            if !texts.is_empty() {
                let ledger = Entry {
                    phase: *phase,
                    statements: &texts,
                    revision,
                    epoch: plane.epoch(),
                    plan_hash: approval::running(desired, &look.observed).map(|p| &*p.hash),
                };
                record(fenced.conn(), model, ledger).await?;
            }
            failpoint!(match phase {
                Phase::Expand => "expand-before",
                Phase::Publish => "publish-before",
                Phase::Contract => "contract-before",
            });
            fenced.commit().await?;
            failpoint!(match phase {
                Phase::Expand => "expand-after",
                Phase::Publish => "publish-after",
                Phase::Contract => "contract-after",
            });
        }
        Step::Concurrently {
            proof,
            first,
            statement,
            ..
        } => {
            if look.observed.snapshot_running {
                return Ok(Done::Snapshot);
            }
            fenced = prove(fenced, proof.as_slice()).await?;
            let doing = "an index";
            let sql = first.as_ref().unwrap_or(statement).sql.clone();
            failpoint!("concurrently-before");
            // With a left-over its removal is a step of its own: the next look finds it gone.
            let outside = fenced.run_outside(&sql, doing).await;
            refuse_rows(plane, desired, outside, proof.as_ref()).await?;
            failpoint!("concurrently-after");
        }
        Step::Validate { proof, statement } => {
            fenced = prove(fenced, proof.as_slice()).await?;
            fenced.allow_scans(true).await?;
            let validated = execute(fenced.conn(), &statement.sql)
                .await
                .map_err(Error::postgres("an older row"));
            failpoint!("validate-before");
            let committed = match validated {
                Ok(()) => fenced.commit().await,
                Err(error) => {
                    drop(fenced);
                    Err(error)
                }
            };
            refuse_rows(plane, desired, committed, proof.as_ref()).await?;
            failpoint!("validate-after");
        }
        Step::Backfill { field, fill, proof } => {
            let filled = backfill::run(fenced, desired, field, fill).await;
            match refuse_rows(plane, desired, filled, proof.as_ref()).await? {
                progress if progress.ended => {}
                progress => return Ok(Done::Backfilling(progress)),
            }
        }
        Step::Acknowledge {
            revision,
            waiting_for,
        } => {
            let span = Span::current();
            span.record("septem.revision", *revision);
            span.record("septem.waiting_for", waiting_for.len());
            return Ok(Done::Waiting {
                revision: revision.unwrap_or(0),
                waiting_for: waiting_for.clone(),
            });
        }
    }
    Ok(Done::Step(Box::new(plan)))
}

/// Refuses when there are rows that must not be there. Counts tell of rows, never their values.
async fn prove(mut fenced: Fenced, proofs: &[Proof]) -> Result<Fenced, Stop> {
    if proofs.is_empty() {
        return Ok(fenced);
    }
    fenced.allow_scans(true).await?;
    let mut found = Vec::new();
    for proof in proofs {
        let rows = count(&mut fenced, proof).await?;
        if rows > 0 {
            found.push(sentence(proof, rows));
        }
    }
    fenced.allow_scans(false).await?;
    if found.is_empty() {
        return Ok(fenced);
    }
    Err(Stop::Refused(Refusal {
        condition: ConditionType::SchemaApplied,
        reason: Reason::DestructiveChange,
        message: found.join("; "),
    }))
}

async fn count(fenced: &mut Fenced, proof: &Proof) -> Result<i64, Error> {
    // Its text is made by crate `sql`, of names only.
    sqlx::query_scalar(sqlx::AssertSqlSafe(proof.count.as_str()))
        .fetch_one(fenced.conn())
        .await
        .map_err(Error::postgres("a count of rows"))
}

fn sentence(proof: &Proof, rows: i64) -> String {
    let Proof { path, refusal, .. } = proof;
    if rows != 1 {
        return format!("{path}: {rows} rows {refusal}");
    }
    let refusal = refusal.replacen("have ", "has ", 1);
    let refusal = refusal.replacen("do not ", "does not ", 1);
    format!("{path}: 1 row {refusal}")
}

/// An error that a row causes becomes the refusal that says how many rows there are.
async fn refuse_rows<T>(
    plane: &Plane,
    desired: &Desired,
    result: Result<T, Error>,
    proof: Option<&Proof>,
) -> Result<T, Stop> {
    let error = match (result, proof) {
        (Ok(value), _) => return Ok(value),
        (Err(error), Some(proof)) if error.is_about_rows() => {
            let fenced = plane.fenced(desired.timeouts).await?;
            prove(fenced, std::slice::from_ref(proof)).await?;
            // Whoever was in the way is gone by now.
            error
        }
        (Err(error), _) => error,
    };
    Err(error.into())
}
