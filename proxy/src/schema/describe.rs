//! One model, described to one caller.

use model::{Action, Column, FieldType, Ident, Index, ModuleModel, ScalarType, TenantState};
use serde::Serialize;

use super::{
    held, may, operator_names, path_of,
    relations::{Relation, relations},
};
use crate::{
    caller::Caller,
    chain::route::BODY_BYTES_MAX,
    data::limits::{
        ANSWER_BYTES_MAX, BREADTH_MAX, DEPTH_MAX, FILTERED_ROWS_MAX, JSON_DEPTH_MAX, OFFSET_MAX,
        OPERATIONS_MAX, ROWS_MAX,
    },
    query::{FILTERS_MAX, GROUP_DEPTH_MAX, IN_VALUES_MAX, order::ORDER_KEYS_MAX},
};

/// What `GET schema/{module}/{model}` answers as `data`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description<'a> {
    module: &'a Ident,
    model: &'a Ident,
    fields: Vec<FieldDescription<'a>>,
    relations: Vec<Relation>,
    indexes: Vec<IndexDescription<'a>>,
    permissions: Vec<&'static str>,
    analytics: bool,
    /// Whether deleted records can be restored.
    soft_delete: bool,
    max_page_size: u32,
    limits: Limits,
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
    dimension: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    operators: Vec<&'static str>,
}

#[derive(Serialize)]
struct IndexDescription<'a> {
    name: &'a Ident,
    fields: &'a [Ident],
    unique: bool,
}

/// What bounds a request, whatever the model (API.md, "Defaults and ceilings").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    body_bytes: usize,
    answer_bytes: usize,
    bulk_rows: usize,
    /// Of a write by filter whose records are not answered.
    filtered_rows: u64,
    batch_operations: usize,
    filters: usize,
    in_values: usize,
    group_depth: usize,
    order_keys: usize,
    offset: u32,
    include_depth: usize,
    include_breadth: usize,
    /// Of the value of a JSON field.
    json_depth: usize,
}

const LIMITS: Limits = Limits {
    body_bytes: BODY_BYTES_MAX,
    answer_bytes: ANSWER_BYTES_MAX,
    bulk_rows: ROWS_MAX,
    filtered_rows: FILTERED_ROWS_MAX,
    batch_operations: OPERATIONS_MAX,
    filters: FILTERS_MAX,
    in_values: IN_VALUES_MAX,
    group_depth: GROUP_DEPTH_MAX,
    order_keys: ORDER_KEYS_MAX,
    offset: OFFSET_MAX,
    include_depth: DEPTH_MAX,
    include_breadth: BREADTH_MAX,
    json_depth: JSON_DEPTH_MAX,
};

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
            .filter(|index| model.shows(index.fields))
            .collect(),
        permissions: held(caller, model),
        analytics: model.analytics(),
        soft_delete: model.soft_delete(),
        max_page_size: model.max_page_size(),
        limits: LIMITS,
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
        dimension: match kind {
            FieldType::Vector { dimension } => Some(*dimension),
            _ => None,
        },
        description: declared.and_then(|f| f.description.as_deref()),
        operators: operator_names(kind),
    }
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
        add("PATCH", &all);
        add("PATCH", &one);
    }
    if writable && may(caller, name, Action::Delete) {
        // How many records a filter finds tells of their values.
        if may(caller, name, Action::Read) {
            add("DELETE", &all);
        }
        add("DELETE", &one);
        if model.soft_delete() {
            add("POST", &format!("{one}/restore"));
        }
    }
    if writable && (may(caller, name, Action::Write) || may(caller, name, Action::Delete)) {
        add("POST", &format!("/v1/data/{}/batch", name.module.as_str()));
    }
    found
}
