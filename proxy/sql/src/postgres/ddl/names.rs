//! Names of indexes and constraints. A declared index or unique is `{model}__{name}`, whatever columns it is over; what
//! follows from a column is `{model}__{column}__{kind}`, so that two columns of one field stand side by side. Names of
//! models, fields and indexes hold no double underscore, and no kind is a number: two different objects never share a
//! name.

use model::{Field, Index, ModelName};
use sha2::{Digest as _, Sha256};

use crate::postgres::NAME_BYTES_MAX;

/// Hexadecimal digits of the hash at the end of a shortened name.
const HASH_DIGITS: usize = 16;

/// The parts joined by `__`; past [`NAME_BYTES_MAX`] bytes cut and ended by a hash of the whole, since PostgreSQL
/// would cut it silently and two names could become one.
pub fn object_name(parts: &[&str]) -> String {
    let whole = parts.join("__");
    if whole.len() <= NAME_BYTES_MAX {
        return whole;
    }
    // Identifiers are ASCII, so every byte is a boundary.
    let kept = NAME_BYTES_MAX - HASH_DIGITS - 2;
    format!("{}__{}", &whole[..kept], short_hash(&whole))
}

/// [`HASH_DIGITS`] of SHA-256.
pub(super) fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..HASH_DIGITS].to_owned()
}

/// The primary key `(tenant_id, id)`.
pub fn primary_key_name(model: &ModelName) -> String {
    object_name(&[model.model.as_str(), "id", "pkey"])
}

/// A declared index.
pub fn index_name(model: &ModelName, index: &Index) -> String {
    object_name(&[model.model.as_str(), index.name.as_str()])
}

/// The unique index of a declared unique: what error 23505 names.
pub fn unique_name(model: &ModelName, unique: &Index) -> String {
    object_name(&[model.model.as_str(), unique.name.as_str()])
}

/// The foreign key of a reference: what error 23503 names.
pub fn reference_name(model: &ModelName, field: &Field) -> String {
    object_name(&[model.model.as_str(), field.column().as_str(), "fkey"])
}

/// The index that serves a reference.
pub fn reference_index_name(model: &ModelName, field: &Field) -> String {
    object_name(&[model.model.as_str(), field.column().as_str(), "ref"])
}

/// The check of a field: what error 23514 names.
pub fn check_name(model: &ModelName, field: &Field) -> String {
    object_name(&[model.model.as_str(), field.column().as_str(), "check"])
}
