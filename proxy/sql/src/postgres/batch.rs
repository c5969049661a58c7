//! What several writes in one transaction need beside their own statements.

use model::{ModelName, TenantId};

use super::{
    array_literal,
    binds::{Binds, TENANT},
    table,
};
use crate::Statement;

/// How rows are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// Against deletion.
    Share,
    /// Against everybody.
    Update,
}

/// The statement that locks rows, live or not, in the order of their ids; one bind however many they are.
pub fn lock_rows(
    tenant: &TenantId,
    model: &ModelName,
    ids: &[String],
    strength: Strength,
) -> Statement {
    let mut binds = Binds::new(tenant);
    let ids = binds.typed("uuid[]", Some(array_literal(ids)));
    let strength = match strength {
        Strength::Share => "share",
        Strength::Update => "update",
    };
    let table = table(model);
    binds.finish(format!(
        "select 1 from {table} where {TENANT} and id = any({ids}) order by id for {strength}"
    ))
}

/// The same write, which fails with 2201E (the logarithm of no rows) when it has written nothing, and so stops the
/// pipeline and undoes what came before it. Answers one column more.
pub fn must_write(write: Statement) -> Statement {
    let text = format!(
        "with written as ({}), counted as (select count(*) as rows from written) \
         select written.*, ln(counted.rows) from counted left join written on true",
        write.text
    );
    Statement { text, ..write }
}
