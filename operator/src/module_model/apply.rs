//! Runs a plan: ClickHouse first, then PostgreSQL and the catalogue in one transaction, then what must come after.

use model::Draft;

use super::{
    build::{Plan, Rivals, build},
    observe::{Observed, ObservedAnalytics, observe, observe_analytics},
    publish::publish,
    validate::Desired,
};
use crate::{error::Error, plane::Plane, postgres::Fenced, report::Refusal};

/// Both databases at one look.
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

/// Looks at both databases.
pub async fn look(
    conn: &mut sqlx::PgConnection,
    plane: &Plane,
    desired: &Desired,
) -> Result<Look, Error> {
    let observed = observe(conn, &desired.model).await?;
    let document = observed
        .published
        .as_ref()
        .map(|p| serde_json::from_value(p.document.clone()));
    let previous = document.transpose().map_err(Error::Observed)?;
    let analytics = match desired.model.analytics() {
        true => Some(
            observe_analytics(&plane.clickhouse, desired.model.name(), plane.generation).await?,
        ),
        false => None,
    };
    Ok(Look {
        observed,
        previous,
        analytics,
    })
}

impl Look {
    /// The plan that follows from it.
    pub fn plan(&self, plane: &Plane, desired: &Desired, rivals: Rivals) -> Result<Plan, Refusal> {
        let Self {
            observed,
            previous,
            analytics,
        } = self;
        build(
            desired,
            observed,
            previous.as_ref(),
            analytics.as_ref(),
            plane.generation,
            rivals,
        )
    }
}

/// Carries out what is needed, looking again under the lock: nobody changes anything between that look and the
/// commit. Returns the plan that was carried out.
pub async fn apply(plane: &Plane, desired: &Desired, rivals: Rivals) -> Result<Plan, Stop> {
    let mut fenced = plane.fenced(desired.timeouts).await?;
    let look = look(fenced.conn(), plane, desired).await?;
    let plan = look.plan(plane, desired, rivals)?;
    for statement in &plan.clickhouse {
        plane
            .clickhouse
            .execute(statement)
            .await
            .map_err(Error::clickhouse("a table"))?;
    }
    if plan.publish {
        crate::postgres::execute_all(fenced.conn(), &plan.postgres, "a change of the schema")
            .await?;
        publish(fenced.conn(), desired, &plan.postgres, plane.epoch()).await?;
    }
    validate_constraints(fenced, &plan.validate).await?;
    Ok(plan)
}

/// Proves constraints one by one, each in its own transaction: it may take long, and holds up nobody.
async fn validate_constraints(mut fenced: Fenced, statements: &[String]) -> Result<(), Error> {
    for statement in statements {
        fenced = fenced.commit_and_begin().await?;
        crate::postgres::execute(fenced.conn(), statement)
            .await
            .map_err(Error::postgres("an older row"))?;
    }
    fenced.commit().await
}
