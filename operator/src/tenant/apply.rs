//! Writes a tenant: ClickHouse first, since the registry is what lets requests in, then the registry in one
//! transaction with the catalogue's revision.

use crds::Reason;
use sql::clickhouse::ddl;
use sqlx::PgConnection;

use super::{
    observe::{Observed, ObservedTenant, observe, observe_policies},
    validate::Desired,
};
use crate::{
    catalog::raise_revision, context::Context, error::Error, plane::Plane, postgres::Timeouts,
    report::Refusal,
};

/// Whether another resource has the id or the slug. `gone` says whether the owner that the registry names no longer
/// exists in Kubernetes.
pub fn check_conflicts(desired: &Desired, observed: &Observed, gone: bool) -> Result<(), Refusal> {
    let conflict = |message: String| Err(Refusal::of_spec(Reason::NameConflict, message));
    if let Some(resource) = &observed.erased_by {
        return conflict(format!(
            "spec.tenantId: {} was erased for Tenant {resource}, and late events of it are passed over: choose another id",
            desired.id
        ));
    }
    let other = |row: &&ObservedTenant| row.served && row.resource_uid != desired.uid && !gone;
    if let Some(row) = observed.row.as_ref().filter(other) {
        return conflict(format!(
            "spec.tenantId: {} belongs to Tenant {}",
            desired.id, row.resource
        ));
    }
    match &observed.slug_taken_by {
        Some(other) => conflict(format!(
            "spec.slug: {} belongs to Tenant {other}",
            desired.slug
        )),
        None => Ok(()),
    }
}

/// Whether another DataPlane's registry knows the tenant, served or not: its rows are there, and a tenant has one
/// place. A DataPlane that does not answer is not waited for: that one database is away must not keep new tenants
/// out of the others.
pub async fn placed_elsewhere(desired: &Desired, context: &Context) -> Option<Refusal> {
    for (name, plane) in context.all_connected() {
        if name == desired.data_plane {
            continue;
        }
        let known = sqlx::query_scalar::<_, bool>(
            "select exists (select from platform.tenants where tenant_id = $1)",
        )
        .bind(desired.id.as_uuid())
        .fetch_one(&plane.looks)
        .await;
        match known {
            Ok(true) => {
                let message = format!(
                    "spec.dataPlaneRef: tenant {} was placed on DataPlane {name}, which holds its rows; name that one",
                    desired.id
                );
                return Some(Refusal::of_spec(Reason::NameConflict, message));
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(
                tenant = %desired.id,
                data_plane = name,
                error = crate::telemetry::chain(&error),
                "not asked whether it holds the tenant"
            ),
        }
    }
    None
}

/// Brings both databases to what the resource says. Safe to run again.
pub async fn apply(
    plane: &Plane,
    desired: &Desired,
    gone: bool,
) -> Result<Result<(), Refusal>, Error> {
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    let observed = observe(fenced.conn(), desired).await?;
    if let Err(refusal) = check_conflicts(desired, &observed, gone) {
        return Ok(Err(refusal));
    }
    let policies = observe_policies(&plane.clickhouse, &desired.id).await?;
    if !policies.is_open_for(&desired.id) {
        for statement in ddl::open_tenant(&desired.id) {
            plane
                .clickhouse
                .execute(&statement)
                .await
                .map_err(Error::clickhouse("a tenant's role"))?;
        }
    }
    if !observed.matches(desired) {
        write(fenced.conn(), desired).await?;
        let revision = raise_revision(fenced.conn()).await?;
        sqlx::query("update platform.tenants set revision = $2 where tenant_id = $1")
            .bind(desired.id.as_uuid())
            .bind(revision)
            .execute(fenced.conn())
            .await
            .map_err(Error::postgres("the registry"))?;
    }
    fenced.commit().await?;
    Ok(Ok(()))
}

async fn write(conn: &mut PgConnection, desired: &Desired) -> Result<(), Error> {
    let Desired {
        id,
        slug,
        display_name,
        state,
        modules,
        admins,
        data_plane: _,
        resource,
        uid,
    } = desired;
    let id = id.as_uuid();
    let (modules, admins): (Vec<_>, Vec<_>) = (modules.iter().collect(), admins.iter().collect());
    let doing = || Error::postgres("the registry");
    sqlx::query(
        "insert into platform.tenants (tenant_id, slug, display_name, state, resource, resource_uid, served, revision) values ($1, $2, $3, $4, $5, $6, true, 0) on conflict (tenant_id) do update set slug = excluded.slug, display_name = excluded.display_name, state = excluded.state, resource = excluded.resource, resource_uid = excluded.resource_uid, served = true",
    )
    .bind(id)
    .bind(slug)
    .bind(display_name)
    .bind(state)
    .bind(resource)
    .bind(uid)
    .execute(&mut *conn)
    .await
    .map_err(doing())?;
    sqlx::query("delete from platform.tenant_modules where tenant_id = $1 and module <> all ($2)")
        .bind(id)
        .bind(&modules)
        .execute(&mut *conn)
        .await
        .map_err(doing())?;
    sqlx::query(
        "insert into platform.tenant_modules (tenant_id, module) select $1, unnest($2::text[]) on conflict do nothing",
    )
    .bind(id)
    .bind(&modules)
    .execute(&mut *conn)
    .await
    .map_err(doing())?;
    // A role of that name that a user made becomes the built-in one: the name is reserved.
    let admin: uuid::Uuid = sqlx::query_scalar(
        "insert into platform.roles (tenant_id, id, name, built_in) values ($1, $2, 'admin', true) on conflict (tenant_id, name) do update set built_in = true returning id",
    )
    .bind(id)
    .bind(uuid::Uuid::now_v7())
    .fetch_one(&mut *conn)
    .await
    .map_err(doing())?;
    sqlx::query("delete from platform.user_roles where tenant_id = $1 and role_id = $2 and user_id <> all ($3)")
        .bind(id)
        .bind(admin)
        .bind(&admins)
        .execute(&mut *conn)
        .await
        .map_err(doing())?;
    sqlx::query(
        "insert into platform.user_roles (tenant_id, user_id, role_id) select $1, unnest($3::text[]), $2 on conflict do nothing",
    )
    .bind(id)
    .bind(admin)
    .bind(&admins)
    .execute(conn)
    .await
    .map(drop)
    .map_err(doing())
}
