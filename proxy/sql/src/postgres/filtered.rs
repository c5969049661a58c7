//! Every live row that a filter finds, locked in the order of ids.

use model::{ModelName, TenantId};

use super::{
    array_literal,
    binds::{Binds, TENANT},
    table,
};
use crate::{Statement, filter::Filter};

/// Which rows of a model a write is about.
#[derive(Debug, Clone)]
pub struct Filtered<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// The model.
    pub model: &'a ModelName,
    /// Which rows.
    pub filter: &'a Filter,
    /// Most rows; where there are more, none is written.
    pub most: u64,
}

/// The rows as a common table expression, for the statement that writes them.
pub(super) struct Picked {
    /// `picked as (…)`: at most one row more than may be written, by `"__id"`, locked.
    pub table: String,
    /// That they are not too many.
    pub bounded: String,
}

impl Filtered<'_> {
    /// The statement that locks the rows beforehand, and other rows of the model with them, so that all of a model are
    /// locked in one order. It decides nothing: what it finds may be others a moment later.
    pub fn lock(&self, others: &[String]) -> Statement {
        let mut binds = Binds::new(&self.tenant);
        let filter = binds.filter(self.filter);
        let others_bind = binds.typed("uuid[]", Some(array_literal(others)));
        let most = self.most + 1 + others.len() as u64;
        let most = binds.typed("bigint", Some(most.to_string()));
        binds.finish(format!(
            "select 1 from {} where {TENANT} and deleted_at is null and ({filter} or id = any({others_bind})) \
             order by id limit {most} for update",
            table(self.model)
        ))
    }

    pub(super) fn picked(&self, binds: &mut Binds) -> Picked {
        let filter = binds.filter(self.filter);
        let beyond = binds.typed("bigint", Some((self.most + 1).to_string()));
        Picked {
            table: format!(
                "picked as materialized (select id as \"__id\" from {} where {TENANT} and deleted_at is null \
                 and {filter} order by id limit {beyond} for update)",
                table(self.model)
            ),
            bounded: format!("(select count(*) from picked) < {beyond}"),
        }
    }
}

/// What stands behind `changed`, for who wants rows: for each what it returns, ending with its `"__id"` or behind that,
/// and last how many rows the filter found. Without a written row it answers one row of nulls with that number.
pub(super) const ROWS: &str = "select changed.*, p.n from (select count(*) as n from picked) p \
     left join changed on true order by changed.\"__id\"";
