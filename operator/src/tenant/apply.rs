//! Writes tenants: ClickHouse first, since the registry is what lets requests in, then the registry in one transaction
//! with the catalogue's revision. Those who come at once are written at once: everybody who serves reads the whole
//! catalogue again for each revision.

use std::collections::{BTreeSet, HashSet};

use crds::Reason;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use model::TenantId;
use sql::clickhouse::ddl;
use sqlx::PgConnection;
use tracing::instrument;

use super::{
    observe::{Observed, ObservedTenant, observe, observe_policies},
    validate::Desired,
};
use crate::{
    catalog::raise_revision, context::Context, error::Error, plane::Plane, postgres::Timeouts,
    report::Refusal, telemetry::TARGET,
};

/// Statements that ClickHouse carries out for us at once.
const STATEMENTS_MAX: usize = 4;

/// A tenant to be written, and whether the owner that the registry names no longer exists in Kubernetes.
pub type Asked = (Desired, bool);

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
            "spec.tenantId: {} belongs to Tenant {}; delete this resource, and apply it with an id of its own",
            desired.id, row.resource
        ));
    }
    match &observed.slug_taken_by {
        Some(other) => conflict(format!(
            "spec.slug: {} belongs to Tenant {other}; delete this resource, and apply it with a slug of its own",
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
#[instrument(target = TARGET, name = "apply", skip_all)]
pub async fn apply(
    plane: &Plane,
    desired: &Desired,
    gone: bool,
) -> Result<Result<(), Refusal>, Error> {
    let all = |tenants| apply_all(plane, tenants);
    let asked = (desired.clone(), gone);
    let answer = plane.tenants.applies.ask(asked, all).await?;
    Ok(answer.unwrap_or(Ok(())))
}

/// All or none of them, but for those that are refused. Of two that want the same id or slug only the first has an
/// answer: the other has to see what became of it.
async fn apply_all(
    plane: &Plane,
    tenants: Vec<Asked>,
) -> Result<Vec<Option<Result<(), Refusal>>>, Error> {
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    let asked: Vec<_> = tenants
        .iter()
        .map(|(desired, _)| (desired.id, desired.slug.clone()))
        .collect();
    let observed = observe(fenced.conn(), &asked).await?;
    let (mut answers, mut ids, mut slugs) = (Vec::new(), HashSet::new(), HashSet::new());
    let (mut accepted, mut unwritten) = (Vec::new(), Vec::new());
    for ((desired, gone), observed) in tenants.iter().zip(&observed) {
        if let Err(refusal) = check_conflicts(desired, observed, *gone) {
            answers.push(Some(Err(refusal)));
            continue;
        }
        let is_first = ids.insert(desired.id) & slugs.insert(&desired.slug);
        answers.push(is_first.then_some(Ok(())));
        if is_first {
            accepted.push(desired.id);
            if !observed.matches(desired) {
                unwritten.push(desired);
            }
        }
    }
    open(plane, &accepted).await?;
    if !unwritten.is_empty() {
        let ids: Vec<_> = unwritten
            .iter()
            .map(|desired| desired.id.as_uuid())
            .collect();
        write(fenced.conn(), &unwritten).await?;
        let revision = raise_revision(fenced.conn()).await?;
        sqlx::query("update platform.tenants set revision = $2 where tenant_id = any ($1)")
            .bind(&ids)
            .bind(revision)
            .execute(fenced.conn())
            .await
            .map_err(Error::postgres("the registry"))?;
    }
    fenced.commit().await?;
    Ok(answers)
}

/// Lets the proxy read as each of them, in ClickHouse.
async fn open(plane: &Plane, tenants: &[TenantId]) -> Result<(), Error> {
    let policies = observe_policies(&plane.clickhouse, tenants).await?;
    let shut: Vec<_> = tenants
        .iter()
        .zip(policies)
        .filter(|(id, policies)| !policies.is_open_for(id))
        .map(|(id, _)| *id)
        .collect();
    for group in ddl::open_tenants(&shut) {
        let each = stream::iter(group).map(|statement| async move {
            let done = plane.clickhouse.execute(&statement).await;
            done.map_err(Error::clickhouse("a tenant's role"))
        });
        each.buffer_unordered(STATEMENTS_MAX)
            .try_collect::<()>()
            .await?;
    }
    Ok(())
}

async fn write(conn: &mut PgConnection, tenants: &[&Desired]) -> Result<(), Error> {
    let each = |of: fn(&Desired) -> &str| tenants.iter().map(|d| of(d)).collect::<Vec<_>>();
    let ids: Vec<_> = tenants.iter().map(|d| d.id.as_uuid()).collect();
    let doing = || Error::postgres("the registry");
    sqlx::query(
        "insert into platform.tenants (tenant_id, slug, display_name, state, resource, resource_uid, served, revision) select t.*, true, 0 from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) t on conflict (tenant_id) do update set slug = excluded.slug, display_name = excluded.display_name, state = excluded.state, resource = excluded.resource, resource_uid = excluded.resource_uid, served = true",
    )
    .bind(&ids)
    .bind(each(|d| &d.slug))
    .bind(each(|d| &d.display_name))
    .bind(each(|d| d.state))
    .bind(each(|d| &d.resource))
    .bind(each(|d| &d.uid))
    .execute(&mut *conn)
    .await
    .map_err(doing())?;
    let (of, modules) = pairs(tenants, |d| &d.modules);
    sqlx::query(
        "delete from platform.tenant_modules m where tenant_id = any ($1) and not exists (select from unnest($2::uuid[], $3::text[]) w (id, module) where w.id = m.tenant_id and w.module = m.module)",
    )
    .bind(&ids)
    .bind(&of)
    .bind(&modules)
    .execute(&mut *conn)
    .await
    .map_err(doing())?;
    sqlx::query(
        "insert into platform.tenant_modules (tenant_id, module) select * from unnest($1::uuid[], $2::text[]) on conflict do nothing",
    )
    .bind(&of)
    .bind(&modules)
    .execute(&mut *conn)
    .await
    .map_err(doing())?;
    // A role of that name that a user made becomes the built-in one: the name is reserved.
    let new: Vec<_> = ids.iter().map(|_| uuid::Uuid::now_v7()).collect();
    sqlx::query(
        "insert into platform.roles (tenant_id, id, name, built_in) select t.*, 'admin', true from unnest($1::uuid[], $2::uuid[]) t on conflict (tenant_id, name) do update set built_in = true",
    )
    .bind(&ids)
    .bind(&new)
    .execute(&mut *conn)
    .await
    .map_err(doing())?;
    let (of, admins) = pairs(tenants, |d| &d.admins);
    sqlx::query(
        "delete from platform.user_roles u using platform.roles r where u.tenant_id = any ($1) and r.tenant_id = u.tenant_id and r.id = u.role_id and r.name = 'admin' and not exists (select from unnest($2::uuid[], $3::text[]) w (id, admin) where w.id = u.tenant_id and w.admin = u.user_id)",
    )
    .bind(&ids)
    .bind(&of)
    .bind(&admins)
    .execute(&mut *conn)
    .await
    .map_err(doing())?;
    sqlx::query(
        "insert into platform.user_roles (tenant_id, user_id, role_id) select w.id, w.admin, r.id from unnest($1::uuid[], $2::text[]) w (id, admin) join platform.roles r on r.tenant_id = w.id and r.name = 'admin' on conflict do nothing",
    )
    .bind(&of)
    .bind(&admins)
    .execute(conn)
    .await
    .map(drop)
    .map_err(doing())
}

/// Each of these names with its tenant, for `unnest`.
fn pairs<'a>(
    tenants: &[&'a Desired],
    names: fn(&Desired) -> &BTreeSet<String>,
) -> (Vec<uuid::Uuid>, Vec<&'a str>) {
    let of = |d: &'a Desired| names(d).iter().map(|name| (d.id.as_uuid(), name.as_str()));
    tenants.iter().copied().flat_map(of).unzip()
}
