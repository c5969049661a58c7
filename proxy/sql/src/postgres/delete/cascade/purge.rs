//! Rows of models without `softDelete` leave their tables.
//!
//! Whatever goes is marked first, as everywhere, so that the same guard finds what is left; then it is removed, children
//! and parents in one statement, since foreign keys are checked at its end.

use model::TenantId;

use super::{
    super::super::{
        binds::{Binds, TENANT},
        table,
    },
    Cascade, Deletion, Edge, MARKED,
};
use crate::Statement;

impl Cascade<'_> {
    /// Whether anything that goes leaves its table.
    pub fn removes(&self) -> bool {
        self.models.iter().any(|model| !model.soft_delete())
    }

    /// The statement that removes what went, the root included; none where all of it is kept.
    pub fn purge(&self, deletion: &Deletion<'_>) -> Option<Statement> {
        let mut binds = Binds::new(&deletion.tenant);
        let id = binds.typed("uuid", Some(deletion.id.to_owned()));
        let delete_id = binds.typed("uuid", Some(deletion.delete_id.to_owned()));
        let root = format!(
            "select 0, id, delete_id from {} where {TENANT} and id = {id} and delete_id = {delete_id}",
            table(self.models[0].name())
        );
        self.removal(binds, &root)
    }

    /// The same for rows that have been deleted in this transaction. `ids` is PostgreSQL's text of an array.
    pub fn purge_of(&self, tenant: &TenantId, ids: &str) -> Option<Statement> {
        let mut binds = Binds::new(tenant);
        let roots = self.deleted(&mut binds, ids);
        self.removal(binds, &roots)
    }

    fn removal(&self, binds: Binds, roots: &str) -> Option<Statement> {
        let models = self.models.iter().enumerate();
        let left = models.filter(|(_, model)| !model.soft_delete());
        let removed: Vec<_> = left
            .map(|(m, model)| {
                format!(
                    "removed{m} as (delete from {} t using (select distinct id from gone where m = {m}) g \
                     where t.{TENANT} and t.id = g.id)",
                    table(model.name())
                )
            })
            .collect();
        self.removes().then(|| {
            let gone = self.gone_where(roots, leaves);
            let removed = removed.join(", ");
            binds.finish(format!("with recursive {gone}, {removed} select 1"))
        })
    }
}

/// Which rows leave with their parent: all where that leaves its table, also those that were deleted while deleted rows
/// were kept.
fn leaves(edge: &Edge<'_>) -> &'static str {
    if edge.keeps { MARKED } else { "true" }
}
