//! Fields of a ModuleModel as people write them.

use kube::KubeSchema;
use model::ident::IDENT_PATTERN;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "the names are the documentation; model::FieldType says what each holds"
)]
pub enum FieldTypeName {
    Bool,
    Int16,
    Int32,
    Int64,
    Float64,
    Decimal,
    Text,
    Uuid,
    Date,
    Timestamp,
    Time,
    Json,
    Bytes,
    Enum,
    Inet,
    Array,
    Vector,
}

/// What an array may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "the names are the documentation; model::ScalarType says what each holds"
)]
pub enum ItemTypeName {
    Bool,
    Int16,
    Int32,
    Int64,
    Float64,
    Text,
    Uuid,
    Date,
    Timestamp,
}

/// What deleting a row does to rows that refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnDelete {
    /// It is refused while there are any.
    #[default]
    Restrict,
    /// They are deleted too.
    Cascade,
    /// Their field is cleared.
    SetNull,
}

/// The model that a field's value is an id of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceSpec {
    /// Module of the referenced model.
    #[schemars(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN))]
    pub module: String,
    /// The referenced model.
    #[schemars(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN))]
    pub model: String,
    /// What deleting a row does to rows that refer to it.
    #[serde(default)]
    pub on_delete: OnDelete,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.name in ['id', 'tenant_id', 'created_at', 'updated_at', 'created_by', 'updated_by', 'version', 'deleted_at', 'delete_id', 'record_id', 'select', 'order', 'limit', 'offset', 'cursor', 'include', 'count', 'deleted', 'distinct', 'columns', 'on_conflict', 'and', 'or', 'not'])")
        .message("is reserved for a system column or a query parameter").field_path(".name"),
    validation = Rule::new("(self.type == 'enum') == has(self.values)")
        .message("type enum needs values, and no other type has them"),
    validation = Rule::new("(self.type == 'decimal') == has(self.precision)")
        .message("type decimal needs precision, and no other type has it"),
    validation = Rule::new("!has(self.scale) || (has(self.precision) && self.scale <= self.precision)")
        .message("only type decimal has scale, at most its precision"),
    validation = Rule::new("!has(self.maxLength) || self.type == 'text'").message("only type text has maxLength"),
    validation = Rule::new("(self.type == 'array') == has(self.items)")
        .message("type array needs items, and no other type has them"),
    validation = Rule::new("(self.type == 'vector') == has(self.dimension)")
        .message("type vector needs dimension, and no other type has it"),
    validation = Rule::new("!has(self.references) || self.type == 'uuid'").message("references needs type uuid"),
    validation = Rule::new("!has(self.references) || !has(self.default)").message("a reference has no default"),
    validation = Rule::new("!has(self.references) || !has(self.references.onDelete) || self.references.onDelete != 'SetNull' || !has(self.required) || !self.required")
        .message("onDelete SetNull needs a field that is not required"),
    validation = Rule::new("!has(self.default) || !has(self.values) || self.default in self.values")
        .message("the default is not one of the values").field_path(".default"),
    validation = Rule::new("!has(self.default) || !(self.type in ['array', 'vector'])")
        .message("an array or vector has no default")
)]
pub struct FieldSpec {
    /// Column in PostgreSQL and ClickHouse, key in JSON.
    #[schemars(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN))]
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub type_: FieldTypeName,
    /// With `enum`: the allowed texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub values: Option<Vec<String>>,
    /// With `decimal`: digits in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 38))]
    pub precision: Option<i32>,
    /// With `decimal`: digits after the point; 0 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 38))]
    pub scale: Option<i32>,
    /// With `text`: most characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_485_760))]
    pub max_length: Option<i32>,
    /// With `array`: what each element is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<ItemTypeName>,
    /// With `vector`: its length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_000))]
    pub dimension: Option<i32>,
    /// Whether null is refused.
    #[serde(default)]
    pub required: bool,
    /// The default as text, parsed by type; `now` and `generate` are known for timestamp and uuid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub default: Option<String>,
    /// The model that a value is an id of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<ReferenceSpec>,
    /// The name it had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN))]
    pub renamed_from: Option<String>,
    /// Whether it is hidden without `{module}.{model}.sensitive`.
    #[serde(default)]
    pub sensitive: bool,
    /// A sentence for the schema endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub description: Option<String>,
}
