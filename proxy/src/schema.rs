//! `/v1/schema`: the models that this tenant has and this caller may read, and nothing else.

mod describe;
pub(crate) mod described;
pub(crate) mod relations;

use http::{Method, StatusCode, header};
use model::{Action, FieldType, Ident, ModelName, ModuleModel, Permission};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    caller::Caller,
    data::{accept::require_json_answer, etag::is_none_match},
    exchange::{Reply, Request},
    problem::Problem,
    query::{no_parameters, operators},
};

#[derive(Serialize)]
struct Answer<T> {
    data: T,
    meta: Meta,
}

#[derive(Serialize)]
struct Meta {
    /// Revision of the catalogue that this is true of.
    revision: i64,
}

#[derive(Serialize)]
struct Summary<'a> {
    module: &'a Ident,
    model: &'a Ident,
    permissions: Vec<&'static str>,
    analytics: bool,
    path: String,
}

/// `GET schema`, `schema/{module}` and `schema/{module}/{model}`. The chain has seen to it that the tenant has the
/// module and the model that are named.
pub fn handle(
    caller: &Caller,
    request: &Request,
    module: Option<&str>,
    model: Option<&str>,
) -> Result<Reply, Problem> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Problem::method_not_allowed("GET, HEAD"));
    }
    no_parameters(&request.query)?;
    require_json_answer(&request.headers)?;
    let body = match (module, model) {
        (Some(module), Some(model)) => {
            let model = caller
                .model(&caller.catalog, module, model)
                .ok_or_else(Problem::not_found)?;
            caller.require(&Permission::on(model.name(), Action::Read))?;
            encode(caller, describe::describe(caller, model))
        }
        (module, _) => {
            let listed = |m: &&std::sync::Arc<ModuleModel>| {
                module.is_none_or(|name| m.name().module.as_str() == name)
                    && may_read(caller, m.name())
            };
            let models: Vec<_> = caller
                .models()
                .filter(listed)
                .map(|m| summary(caller, m))
                .collect();
            encode(caller, models)
        }
    };
    Ok(with_etag(request, body))
}

fn encode<T: Serialize>(caller: &Caller, data: T) -> Vec<u8> {
    let answer = Answer {
        data,
        meta: Meta {
            revision: caller.catalog.revision.0,
        },
    };
    serde_json::to_vec(&answer).expect("a schema is plain data")
}

/// The digest of the answer, since it depends on the caller as well as on the revision.
fn with_etag(request: &Request, body: Vec<u8>) -> Reply {
    let tag = format!("\"{:.32}\"", format!("{:x}", Sha256::digest(&body)));
    let reply = if is_none_match(&request.headers, &tag) {
        Reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        Reply::json(StatusCode::OK, body)
    };
    reply
        .with_header(header::ETAG, &tag)
        .with_header(header::CACHE_CONTROL, "private, no-cache")
        .with_header(header::VARY, "Authorization")
}

fn summary<'a>(caller: &Caller, model: &'a ModuleModel) -> Summary<'a> {
    let name = model.name();
    Summary {
        module: &name.module,
        model: &name.model,
        permissions: held(caller, model),
        analytics: model.analytics(),
        path: path_of(name),
    }
}

/// The operators that a filter on a field of that type takes.
pub(crate) fn operator_names(kind: &FieldType) -> Vec<&'static str> {
    operators::allowed(kind).iter().map(|o| o.name()).collect()
}

fn path_of(name: &ModelName) -> String {
    format!("/v1/data/{}/{}", name.module.as_str(), name.model.as_str())
}

fn may(caller: &Caller, name: &ModelName, action: Action) -> bool {
    caller.permissions.contains(&Permission::on(name, action))
}

fn may_read(caller: &Caller, name: &ModelName) -> bool {
    may(caller, name, Action::Read)
}

fn held(caller: &Caller, model: &ModuleModel) -> Vec<&'static str> {
    model
        .actions()
        .filter(|action| may(caller, model.name(), *action))
        .map(Action::as_str)
        .collect()
}

#[cfg(test)]
mod tests;
