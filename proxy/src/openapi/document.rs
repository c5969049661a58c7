//! The document as a whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    access::{Access, Reach},
    bodies, parameters, paths, record, responses, schemas,
};
use crate::schema::described;

/// What a reader must know that no schema says.
const ABOUT: &str = "\
Reads and writes of the models that this tenant has, as far as the bearer of the token may use them. Paths are also \
served under `/api/v1`. `HEAD` answers as `GET` without a body.

**Filters** are `field=operator.value`, several are ANDed: `amount=gt.5&amount=lt.9`. `not.` comes before the operator, \
`(any)` or `(all)` after it. Groups are `or=(a.eq.1,b.gt.2)`; quotes protect commas, brackets and dots in them. A part \
of a JSON field is named `extra->crew->>captain=eq.x`. `*` is the wildcard of `like`. Fields of related records are \
filtered inside `include`.

**Answers** are `{\"data\": …, \"meta\": …}`; errors are problems (RFC 9457). What is not there and what is not yours \
are one and the same 404.

**Limits**: body 1 MiB, 1,000 rows in bulk, 100 operations in a batch, 50 filters, 1,000 values of `in`, groups nested \
5 deep, includes 3 deep and 10 wide, JSON nested 32 deep, answer 32 MiB, URI 8 KiB, headers 16 KiB.";

/// The document of what a caller may do.
pub(super) fn build(access: &Access) -> Value {
    let mut modules: BTreeMap<&str, Vec<&Reach>> = BTreeMap::new();
    for reach in &access.models {
        let module = reach.model.name().module.as_str();
        modules.entry(module).or_default().push(reach);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Septem Data",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Tenant-scoped CRUD, analytics and cache.",
            "description": ABOUT,
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": tags(&modules),
        "paths": all_paths(access, &modules),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": all_schemas(access),
            "parameters": all_parameters(access),
            "headers": responses::shared_headers(),
            "responses": responses::shared(),
        },
    })
}

fn tags(modules: &BTreeMap<&str, Vec<&Reach>>) -> Vec<Value> {
    let mut tags = Vec::new();
    for (module, models) in modules {
        let of_models = models
            .iter()
            .map(|r| json!({"name": record::key(&r.model)}));
        tags.push(json!({"name": module, "description": "Over several models of the module."}));
        tags.extend(of_models);
    }
    tags.push(json!({"name": "cache", "description": "Small JSON values of the tenant that live for a while."}));
    tags.push(json!({"name": "schema", "description": "What there is."}));
    tags
}

fn all_paths(access: &Access, modules: &BTreeMap<&str, Vec<&Reach>>) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, models) in modules {
        for reach in models {
            paths::of_model(reach, &mut all);
        }
        let Some(first) = models.first() else {
            continue;
        };
        let module = &first.model.name().module;
        if let Some(batch) = paths::batch(module, models) {
            all.insert(format!("/v1/data/{name}/batch"), json!({"post": batch}));
        }
        if let Some(analytics) = paths::analytics(module, models) {
            all.insert(
                format!("/v1/data/{name}/analytics"),
                json!({"post": analytics}),
            );
        }
    }
    paths::cache(access, &mut all);
    paths::describing(&mut all);
    all
}

fn all_schemas(access: &Access) -> Map<String, Value> {
    let mut all = schemas::shared();
    all.extend(parameters::filter_schemas());
    all.extend(described::schemas());
    all.extend(bodies::local_references());
    for reach in &access.models {
        all.extend(record::schemas(reach));
    }
    all
}

fn all_parameters(access: &Access) -> Map<String, Value> {
    let mut all = parameters::shared();
    for reach in &access.models {
        let key = record::key(&reach.model);
        let own = parameters::of_model(reach).into_iter();
        all.extend(own.map(|(name, parameter)| (format!("{key}.{name}"), parameter)));
    }
    all
}
