//! What every part of Septem Data agrees on: names, tenants, models and the catalogue.
//!
//! No Kubernetes, no SQL driver, no I/O. The operator writes a [`Catalog`] document into PostgreSQL,
//! the proxy and the sink read it; both go through the parsers in this crate.

pub mod catalog;
pub mod check;
mod column_name;
pub mod field;
pub mod hook;
pub mod ident;
pub mod module_model;
pub mod permission;
pub mod tenant;
pub mod value;

pub use catalog::{Catalog, CatalogError, Generation, InUse, Revision};
pub use check::{Check, CheckError};
pub use column_name::{COLUMN_BYTES_MAX, ColumnName, ColumnNameError};
pub use field::{Field, FieldType, OnDelete, Reference, ScalarType};
pub use hook::{FailurePolicy, Hook, HookEvent};
pub use ident::{Ident, IdentError};
pub use module_model::{Column, Draft, Index, ModelName, ModuleModel, Violation};
pub use permission::{Action, Permission};
pub use tenant::{Tenant, TenantId, TenantState};
pub use value::{ValueError, ValueUse, parse_value, parse_vector_element};
