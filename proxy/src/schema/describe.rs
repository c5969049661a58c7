//! One model, described to one caller.

use model::{
    Action, Column, FieldType, Ident, Index, ModelName, ModuleModel, ScalarType, TenantState,
};
use serde::Serialize;

use super::{held, may, may_read, path_of};
use crate::{caller::Caller, query::operators};

/// What `GET schema/{module}/{model}` answers as `data`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description<'a> {
    module: &'a Ident,
    model: &'a Ident,
    fields: Vec<FieldDescription<'a>>,
    relations: Vec<Relation<'a>>,
    indexes: Vec<IndexDescription<'a>>,
    permissions: Vec<&'static str>,
    analytics: bool,
    max_page_size: u32,
    endpoints: Vec<Endpoint>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FieldDescription<'a> {
    name: &'a Ident,
    r#type: &'static str,
    required: bool,
    /// The server keeps it; a client reads, filters and orders by it.
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<ScalarType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    operators: Vec<&'static str>,
}

#[derive(Serialize)]
struct Relation<'a> {
    name: String,
    kind: &'static str,
    module: &'a Ident,
    model: &'a Ident,
    /// The referencing field: of this model in a to-one, of the other in a to-many relation.
    field: &'a Ident,
}

#[derive(Serialize)]
struct IndexDescription<'a> {
    name: &'a Ident,
    fields: &'a [Ident],
    unique: bool,
}

#[derive(Serialize)]
struct Endpoint {
    method: &'static str,
    path: String,
}

/// Describes a model that the caller may read.
pub fn describe<'a>(caller: &'a Caller, model: &'a ModuleModel) -> Description<'a> {
    let name = model.name();
    let index = |unique| {
        move |i: &'a Index| IndexDescription {
            name: &i.name,
            fields: &i.fields,
            unique,
        }
    };
    Description {
        module: &name.module,
        model: &name.model,
        fields: model
            .columns()
            .iter()
            .map(|column| field(model, column))
            .collect(),
        relations: relations(caller, model),
        indexes: model
            .indexes()
            .iter()
            .map(index(false))
            .chain(model.unique().iter().map(index(true)))
            .collect(),
        permissions: held(caller, name),
        analytics: model.analytics(),
        max_page_size: model.max_page_size(),
        endpoints: endpoints(caller, model),
    }
}

fn field<'a>(model: &'a ModuleModel, column: &'a Column) -> FieldDescription<'a> {
    let declared = model.field(column.name.as_str());
    let kind = &column.field_type;
    let (precision, scale) = match kind {
        FieldType::Decimal { precision, scale } => (Some(*precision), Some(*scale)),
        _ => (None, None),
    };
    FieldDescription {
        name: &column.name,
        r#type: kind.name(),
        required: column.required,
        read_only: column.system && column.name.as_str() != "id",
        default: declared.and_then(|f| f.default.as_deref()),
        precision,
        scale,
        max_length: match kind {
            FieldType::Text { max_length } => *max_length,
            _ => None,
        },
        values: match kind {
            FieldType::Enum { values } => Some(values),
            _ => None,
        },
        items: match kind {
            FieldType::Array { items } => Some(*items),
            _ => None,
        },
        description: declared.and_then(|f| f.description.as_deref()),
        operators: operators::allowed(kind).iter().map(|o| o.name()).collect(),
    }
}

/// Relations to models that this tenant has and this caller may read.
fn relations<'a>(caller: &'a Caller, model: &'a ModuleModel) -> Vec<Relation<'a>> {
    let visible = |name: &ModelName| {
        let known = caller
            .catalog
            .model(&caller.tenant, name.module.as_str(), name.model.as_str());
        known.is_some() && may_read(caller, name)
    };
    let mut found = Vec::new();
    for field in model.fields() {
        let Some(reference) = &field.references else {
            continue;
        };
        let target = ModelName {
            module: reference.module.clone(),
            model: reference.model.clone(),
        };
        if visible(&target) {
            let name = field.name.as_str();
            let name = name.strip_suffix("_id").unwrap_or(name).to_owned();
            let (module, model) = (&reference.module, &reference.model);
            found.push(Relation {
                name,
                kind: "to-one",
                module,
                model,
                field: &field.name,
            });
        }
    }
    let referrers: Vec<_> = caller
        .catalog
        .referrers(model.name())
        .filter(|(m, _)| visible(m.name()))
        .collect();
    for (other, field) in &referrers {
        let name = other.name();
        // The key is a part of the name exactly when several keys lead here.
        let several = referrers
            .iter()
            .filter(|(m, _)| m.name().model == name.model)
            .count()
            > 1;
        let relation = if several {
            format!("{}!{}", name.model.as_str(), field.name.as_str())
        } else {
            name.model.as_str().to_owned()
        };
        found.push(Relation {
            name: relation,
            kind: "to-many",
            module: &name.module,
            model: &name.model,
            field: &field.name,
        });
    }
    found
}

/// What the caller may send, given permissions and the state of the tenant.
fn endpoints(caller: &Caller, model: &ModuleModel) -> Vec<Endpoint> {
    let name = model.name();
    let all = path_of(name);
    let one = format!("{all}/{{id}}");
    let writable = caller.tenant.state == TenantState::Active;
    let mut found = Vec::new();
    let mut add = |method, path: &str| {
        found.push(Endpoint {
            method,
            path: path.to_owned(),
        })
    };
    if may(caller, name, Action::Read) {
        add("GET", &all);
        add("GET", &one);
        if model.analytics() {
            add(
                "POST",
                &format!("/v1/data/{}/analytics", name.module.as_str()),
            );
        }
    }
    if writable && may(caller, name, Action::Write) {
        add("POST", &all);
        add("PATCH", &one);
    }
    if writable && may(caller, name, Action::Delete) {
        add("DELETE", &one);
    }
    found
}
