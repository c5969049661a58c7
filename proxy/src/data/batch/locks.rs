//! Locks on everything that a batch is known to touch, before it touches anything.
//!
//! Single writers lock by model and id. The operations of a batch run in the order in which they were sent, so their
//! locks are taken first, in the order of the others. What remains (values that are unique, rows that are known later)
//! ends in a deadlock at worst, of which one side is run again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use model::ModelName;
use sql::{
    Statement,
    postgres::batch::{Strength, lock_rows},
};

use super::step::Step;

/// The statements; none where there is at most one row to be locked.
pub(super) fn before<'a>(steps: impl Iterator<Item = &'a Step<'a>> + Clone) -> Vec<Statement> {
    let created: HashSet<_> = steps.clone().filter_map(Step::created).collect();
    let mut rows: BTreeMap<ModelName, (Strength, BTreeSet<String>)> = BTreeMap::new();
    let mut tenant = None;
    for locked in steps.flat_map(Step::locked) {
        tenant = Some(locked.call.caller.tenant.id);
        let row = (locked.target, locked.id);
        if created.contains(&row) {
            continue;
        }
        let (strength, ids) = rows
            .entry(row.0)
            .or_insert((Strength::Share, BTreeSet::new()));
        if locked.own {
            // All of a model with one strength: two statements would be two orders.
            *strength = Strength::Update;
        }
        ids.insert(row.1);
    }
    let Some(tenant) =
        tenant.filter(|_| rows.values().map(|(_, ids)| ids.len()).sum::<usize>() > 1)
    else {
        return Vec::new();
    };
    rows.iter()
        .map(|(model, (strength, ids))| {
            let ids: Vec<_> = ids.iter().cloned().collect();
            lock_rows(&tenant, model, &ids, *strength)
        })
        .collect()
}
