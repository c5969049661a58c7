//! Fields of a model and their types.

use serde::{Deserialize, Serialize};

use crate::{ColumnName, Ident, ModelName};

/// Most digits of a decimal: ClickHouse's `Decimal128` and PostgreSQL's `numeric` both hold 38.
pub const DECIMAL_PRECISION_MAX: u8 = 38;
/// Most elements of a vector: what pgvector's own type holds, and 256 KB of a change event at most.
pub const VECTOR_DIMENSION_MAX: u16 = 16_000;

/// The type of a field; each has one PostgreSQL and one ClickHouse type (crate `sql`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub enum FieldType {
    /// `true` or `false`.
    Bool,
    /// 16 bits, signed.
    Int16,
    /// 32 bits, signed.
    Int32,
    /// 64 bits, signed.
    Int64,
    /// IEEE 754 double; NaN and infinities are refused at the edge.
    Float64,
    /// Exact decimal with at most [`DECIMAL_PRECISION_MAX`] digits.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// Text of any length, or at most `maxLength` characters.
    Text {
        /// Characters (not bytes), 1 or more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_length: Option<u32>,
    },
    /// A UUID.
    Uuid,
    /// A day, `YYYY-MM-DD`.
    Date,
    /// An instant, to the microsecond, in UTC.
    Timestamp,
    /// A time of day, to the microsecond, without a zone.
    Time,
    /// Any JSON value.
    Json,
    /// Bytes, base64 on the wire.
    Bytes,
    /// One of a list of texts.
    Enum {
        /// The allowed texts.
        values: Vec<String>,
    },
    /// An IP address or network.
    Inet,
    /// A list of scalars; elements are not null.
    Array {
        /// What each element is.
        items: ScalarType,
    },
    /// A list of IEEE 754 singles, always as many; NaN and infinities are refused at the edge.
    Vector {
        /// How many, 1 to [`VECTOR_DIMENSION_MAX`].
        dimension: u16,
    },
}

/// What an array may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScalarType {
    /// See [`FieldType::Bool`].
    Bool,
    /// See [`FieldType::Int16`].
    Int16,
    /// See [`FieldType::Int32`].
    Int32,
    /// See [`FieldType::Int64`].
    Int64,
    /// See [`FieldType::Float64`].
    Float64,
    /// See [`FieldType::Text`], without a bound of its own.
    Text,
    /// See [`FieldType::Uuid`].
    Uuid,
    /// See [`FieldType::Date`].
    Date,
    /// See [`FieldType::Timestamp`].
    Timestamp,
}

impl ScalarType {
    /// The same type as a field of its own would have.
    pub fn as_field_type(self) -> FieldType {
        match self {
            Self::Bool => FieldType::Bool,
            Self::Int16 => FieldType::Int16,
            Self::Int32 => FieldType::Int32,
            Self::Int64 => FieldType::Int64,
            Self::Float64 => FieldType::Float64,
            Self::Text => FieldType::Text { max_length: None },
            Self::Uuid => FieldType::Uuid,
            Self::Date => FieldType::Date,
            Self::Timestamp => FieldType::Timestamp,
        }
    }
}

impl FieldType {
    /// The word a ModuleModel uses for it, also named in errors and by `describeModel`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Decimal { .. } => "decimal",
            Self::Text { .. } => "text",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Time => "time",
            Self::Json => "json",
            Self::Bytes => "bytes",
            Self::Enum { .. } => "enum",
            Self::Inet => "inet",
            Self::Array { .. } => "array",
            Self::Vector { .. } => "vector",
        }
    }

    /// Whether it holds elements. ClickHouse keeps null of such a field as an empty list.
    pub fn is_list(&self) -> bool {
        matches!(self, Self::Array { .. } | Self::Vector { .. })
    }

    /// Whether its values can be sorted and grouped by.
    pub fn has_order(&self) -> bool {
        !self.is_list() && *self != Self::Json
    }

    /// Whether `sum` and `avg` make sense of it.
    pub fn is_numeric(&self) -> bool {
        matches!(
            self,
            Self::Int16 | Self::Int32 | Self::Int64 | Self::Float64 | Self::Decimal { .. }
        )
    }
}

/// One field of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Its name: key in JSON, and the column's name unless it has one of its own.
    pub name: Ident,
    /// The column that it is served from, where that is called otherwise: `{name}__{n}`.
    ///
    /// A column's name means one thing for ever, since change events of last week still mention it. A field that gets
    /// another type is therefore served from a new column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<ColumnName>,
    /// Its type.
    #[serde(flatten)]
    pub field_type: FieldType,
    /// Whether null is refused.
    #[serde(default)]
    pub required: bool,
    /// The default as its author wrote it (a string, already parsed by type once; API.md "Resources").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The model that a value of this field is an id of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<Reference>,
    /// Whether only those see it who hold `{module}.{model}.sensitive`. Whoever may write the record may write it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// A sentence for `describeModel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Field {
    /// The column in PostgreSQL and ClickHouse that it is served from.
    pub fn column(&self) -> ColumnName {
        match &self.column {
            Some(column) => column.clone(),
            None => ColumnName::of(&self.name),
        }
    }
}

/// A foreign key: `(tenant_id, field) → (tenant_id, id)` of the named model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Module of the referenced model.
    pub module: Ident,
    /// The referenced model.
    pub model: Ident,
    /// What deleting the referenced row does.
    #[serde(default, skip_serializing_if = "OnDelete::is_restrict")]
    pub on_delete: OnDelete,
}

impl Reference {
    /// The referenced model.
    pub fn target(&self) -> ModelName {
        ModelName {
            module: self.module.clone(),
            model: self.model.clone(),
        }
    }
}

/// What deleting a row does to the live rows that refer to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnDelete {
    /// It is refused while there are any.
    #[default]
    Restrict,
    /// They are deleted too, and come back with it.
    Cascade,
    /// Their field is cleared.
    SetNull,
}

impl OnDelete {
    fn is_restrict(&self) -> bool {
        *self == Self::Restrict
    }
}
