//! What every request passes, in the order of DESIGN 11, before a handler sees it.
//!
//! Token → permissions → state of the tenant → module and model installed → handler. Each step is answered before
//! the next one can tell anything. A verified token for a tenant that is not here gets the 404 of everything that is
//! not there: it discloses no more than an unknown path.

pub mod cors;
pub mod real_ip;
pub mod route;
pub mod trace;

use std::sync::{Arc, OnceLock};

use futures::FutureExt as _;
use http::{HeaderMap, Method};
use model::{Catalog, Tenant, TenantId, TenantState};

use crate::{
    analytics::{self, Analytics},
    auth::Verifier,
    cache::Cache,
    caller::{Caller, TraceId},
    catalog::Catalogs,
    chain::route::Route,
    data::{self, CatalogSource as _, Data, Target},
    exchange::{Reply, Request},
    openapi::{self, Documents},
    problem::{Problem, ProblemKind},
    rbac::Permissions,
    schema,
    telemetry::metrics::Metrics,
};

/// What handlers stand on, made once inside the runtime.
pub struct Parts {
    /// The catalogue.
    pub catalogs: Arc<Catalogs>,
    /// Who may do what.
    pub permissions: Permissions,
    /// The cache API.
    pub cache: Cache,
    /// CRUD, once connected. A role that could see past the fence never is.
    pub data: Arc<OnceLock<Data>>,
    /// Analytics; it answers 503 by itself until its self-test has passed.
    pub analytics: Arc<Analytics>,
    /// OpenAPI documents.
    pub documents: Arc<Documents>,
}

/// What the access log says of a request beside its head.
#[derive(Debug, Default, Clone)]
pub struct Note {
    /// The tenant of the verified token.
    pub tenant: Option<TenantId>,
    /// Its user.
    pub user: Option<Arc<str>>,
}

/// A request that has passed.
pub struct Admitted {
    /// Who asks.
    pub caller: Caller,
    /// What for.
    pub route: Route,
}

/// The chain.
pub struct Chain {
    /// Verifies tokens.
    pub auth: Verifier,
    /// Counts.
    pub metrics: Arc<Metrics>,
    parts: OnceLock<Parts>,
}

impl Chain {
    /// A chain that answers 503 until [`Self::open`].
    pub fn new(auth: Verifier, metrics: Arc<Metrics>) -> Self {
        Self {
            auth,
            metrics,
            parts: OnceLock::new(),
        }
    }

    /// Begins to serve.
    pub fn open(&self, parts: Parts) {
        // A second set would be a second start, which there is not; the first stays.
        let _ = self.parts.set(parts);
    }

    /// The parts, once they are there.
    pub fn parts(&self) -> Option<&Parts> {
        self.parts.get()
    }

    /// Everything before the handler.
    pub async fn admit(
        &self,
        route: Route,
        method: &Method,
        headers: &HeaderMap,
        trace: TraceId,
        note: &mut Note,
    ) -> Result<Admitted, Problem> {
        let identity = self
            .auth
            .identify(headers)
            .map_err(|why| Problem::new(ProblemKind::Unauthorized, why.to_string()))?;
        note.tenant = Some(identity.tenant);
        note.user = Some(Arc::clone(&identity.user));

        let parts = self.parts.get().ok_or_else(starting)?;
        let mut catalog = parts.catalogs.current().ok_or_else(starting)?;
        // Asked before anything is answered, so that permissions are those of the catalogue that is used.
        // No catalogue makes a path that we do not have.
        if route != Route::Unknown && !is_known(&catalog, identity.tenant, &route) {
            catalog = parts
                .catalogs
                .newer_than(catalog.revision)
                .await
                .unwrap_or(catalog);
        }
        let tenant = Arc::clone(
            catalog
                .tenant(&identity.tenant)
                .ok_or_else(Problem::not_found)?,
        );
        let permissions = parts
            .permissions
            .of(tenant.id, &identity.user, catalog.revision)
            .await?;
        check_state(&tenant, &route, method)?;
        if !is_known(&catalog, tenant.id, &route) {
            return Err(Problem::not_found());
        }
        let user = Arc::clone(&identity.user);
        Ok(Admitted {
            caller: Caller {
                tenant,
                user,
                permissions,
                catalog,
                trace,
            },
            route,
        })
    }

    /// The handler.
    pub async fn answer(&self, admitted: &Admitted, request: &Request) -> Result<Reply, Problem> {
        let parts = self
            .parts
            .get()
            .expect("a request is admitted by parts that are there");
        let caller = &admitted.caller;
        match &admitted.route {
            Route::Schema { module, model } => {
                schema::handle(caller, request, module.as_deref(), model.as_deref())
            }
            Route::OpenApi => {
                openapi::handle(&parts.documents, caller, request)
                    .boxed()
                    .await
            }
            Route::Cache { key } => parts.cache.handle(caller, request, key).await,
            Route::Invalidate => parts.cache.invalidate(caller, request).boxed().await,
            Route::Analytics { module } => {
                analytics::handle(&parts.analytics, caller, request, module)
                    .boxed()
                    .await
            }
            Route::Data { module, model, id } => {
                let data = parts.data.get().ok_or_else(starting)?;
                let id = id.as_deref();
                data::handle(data, caller, request, module, Target::Model { model, id }).await
            }
            Route::Restore { module, model, id } => {
                let data = parts.data.get().ok_or_else(starting)?;
                let target = Target::Restore { model, id };
                data::handle(data, caller, request, module, target).await
            }
            Route::Batch { module } => {
                let data = parts.data.get().ok_or_else(starting)?;
                data::handle(data, caller, request, module, Target::Batch).await
            }
            // The page is answered before the chain.
            Route::Docs { .. } | Route::Unknown => Err(Problem::not_found()),
        }
    }
}

fn starting() -> Problem {
    Problem::new(ProblemKind::Unavailable, "The proxy is starting.")
}

/// Whether tenant, module and model that a path names are there. Unknown, not installed and not served look the same.
fn is_known(catalog: &Catalog, tenant: TenantId, route: &Route) -> bool {
    let Some(tenant) = catalog.tenant(&tenant) else {
        return false;
    };
    let installed = |module: &str| tenant.modules.contains(module);
    match route {
        Route::Data { module, model, .. }
        | Route::Restore { module, model, .. }
        | Route::Schema {
            module: Some(module),
            model: Some(model),
        } => catalog.has(tenant, module, model),
        Route::Analytics { module }
        | Route::Batch { module }
        | Route::Schema {
            module: Some(module),
            model: None,
        } => installed(module),
        Route::Schema { .. } | Route::Cache { .. } | Route::Invalidate | Route::OpenApi => true,
        Route::Docs { .. } | Route::Unknown => false,
    }
}

fn check_state(tenant: &Tenant, route: &Route, method: &Method) -> Result<(), Problem> {
    match tenant.state {
        TenantState::Suspended => Err(Problem::new(
            ProblemKind::TenantSuspended,
            "This tenant is suspended.",
        )),
        TenantState::ReadOnly if route.writes(method) => Err(Problem::new(
            ProblemKind::TenantReadOnly,
            "This tenant is read-only.",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";

    fn catalog(state: &str) -> Catalog {
        let model = |module: &str, model: &str| {
            serde_json::json!({"served": true, "document": {
                "module": module, "model": model, "autoApi": true, "analytics": true, "maxPageSize": 10,
                "fields": [{"name": "title", "type": "text"}],
            }})
        };
        let document = serde_json::json!({
            "revision": 1, "generation": 1, "database": "septem",
            "models": [model("crm", "deals"), model("hr", "people")],
            "tenants": [{"id": TENANT, "slug": "acme", "state": state, "modules": ["crm", "empty"]}],
        });
        Catalog::parse(&document.to_string()).unwrap()
    }

    fn route(method: &Method, path: &str) -> Route {
        Route::parse(
            method,
            &path.split('/').map(str::to_owned).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn unknown_and_not_installed_look_the_same() {
        let catalog = catalog("Active");
        let known = |path: &str| {
            is_known(
                &catalog,
                TENANT.parse().unwrap(),
                &route(&Method::GET, path),
            )
        };
        for path in [
            "data/crm/deals",
            "data/crm/deals/1",
            "data/crm/analytics",
            "data/crm/batch",
            "schema",
            "schema/crm",
            "schema/empty",
            "schema/crm/deals",
            "cache/x",
            "openapi.json",
        ] {
            assert!(known(path), "{path}");
        }
        for path in [
            "data/hr/people",
            "data/hr/analytics",
            "data/no/deals",
            "data/crm/no",
            "data/hr/batch",
            "data/CRM/deals",
            "schema/hr",
            "schema/hr/people",
            "schema/crm/no",
            "docs",
            "x",
        ] {
            assert!(!known(path), "{path}");
        }
        let other = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e02".parse().unwrap();
        assert!(!is_known(&catalog, other, &route(&Method::GET, "cache/x")));
    }

    #[test]
    fn a_tenants_state_bounds_what_it_may_do() {
        let check = |state: &str, method: Method, path: &str, expected: Option<ProblemKind>| {
            let catalog = catalog(state);
            let tenant = catalog.tenant(&TENANT.parse().unwrap()).unwrap();
            let found = check_state(tenant, &route(&method, path), &method)
                .err()
                .map(|p| p.kind);
            assert_eq!(found, expected, "{state} {method} {path}");
        };
        check("Active", Method::POST, "data/crm/deals", None);
        check("ReadOnly", Method::GET, "data/crm/deals", None);
        check("ReadOnly", Method::POST, "data/crm/analytics", None);
        check(
            "ReadOnly",
            Method::POST,
            "data/crm/deals",
            Some(ProblemKind::TenantReadOnly),
        );
        check(
            "ReadOnly",
            Method::PUT,
            "cache/x",
            Some(ProblemKind::TenantReadOnly),
        );
        check(
            "ReadOnly",
            Method::DELETE,
            "data/crm/deals/1",
            Some(ProblemKind::TenantReadOnly),
        );
        check(
            "Suspended",
            Method::GET,
            "schema",
            Some(ProblemKind::TenantSuspended),
        );
        check(
            "Suspended",
            Method::POST,
            "data/crm/analytics",
            Some(ProblemKind::TenantSuspended),
        );
    }
}
