//! What ClickHouse needs before the first table: database, role, profile, and the two users.

use secrecy::{ExposeSecret as _, SecretString};
use sql::clickhouse::ddl;
use tracing::instrument;

use super::{
    access::{compare_access, observe_access},
    fetch::Endpoints,
};
use crate::{
    clickhouse::{ClickHouse, ClickHouseError},
    error::Error,
    telemetry::TARGET,
};

/// ClickHouse's numbers for a wrong password and an unknown user.
const AUTHENTICATION_FAILED: [u32; 3] = [516, 194, 192];

/// Brings ClickHouse to where tables can be made. Safe to run again; says what differed from what must be and was put
/// right.
#[instrument(target = TARGET, name = "look at ClickHouse", skip_all)]
pub async fn ensure_analytics(endpoints: &Endpoints) -> Result<Vec<String>, Error> {
    let admin = &endpoints.clickhouse;
    let plan = compare_access(&observe_access(admin).await?);
    let doing = "its database and roles";
    admin
        .execute(&ddl::create_database())
        .await
        .map_err(Error::clickhouse(doing))?;
    for statement in ddl::create_base() {
        admin
            .execute(&statement)
            .await
            .map_err(Error::clickhouse(doing))?;
    }
    ensure_user(admin, &endpoints.gateway, ddl::create_gateway).await?;
    ensure_user(admin, &endpoints.sink, ddl::create_sink).await?;
    // What is missing of the sink's is made with its user; that is left alone while its password fits.
    let (_, password) = &endpoints.sink;
    let missing = plan.differences.len() > plan.statements.len();
    let again = missing.then(|| ddl::create_sink(password.expose_secret()));
    for statement in plan
        .statements
        .into_iter()
        .chain(again.into_iter().flatten())
    {
        admin
            .execute(&statement)
            .await
            .map_err(Error::clickhouse("its access rules"))?;
    }
    Ok(plan.differences)
}

/// Makes the user, or sets its password, only when the Secret's does not open the door.
async fn ensure_user(
    admin: &ClickHouse,
    (user, password): &(ClickHouse, SecretString),
    create: fn(&str) -> Vec<String>,
) -> Result<(), Error> {
    match user.execute("select 1").await {
        Ok(()) => return Ok(()),
        Err(ClickHouseError::Refused { code, .. }) if AUTHENTICATION_FAILED.contains(&code) => {}
        Err(error) => return Err(Error::clickhouse("a login of its users")(error)),
    }
    for statement in create(password.expose_secret()) {
        admin
            .execute(&statement)
            .await
            .map_err(Error::clickhouse("its users"))?;
    }
    tracing::info!("ClickHouse user set from its Secret");
    Ok(())
}
