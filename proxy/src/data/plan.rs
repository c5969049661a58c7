//! A list as it will be read: columns, order, lane.

use model::ModuleModel;
use sql::postgres::select::{Deleted, Output, Related, Rows, SortKey};

use super::{
    distinct, lane, order,
    parse::ListQuery,
    tree::{Selected, Tree},
};
use crate::postgres::Lane;

/// A page to be read.
#[derive(Debug, PartialEq)]
pub(super) struct ListPlan {
    /// What is fetched of the row itself: what is shown, then what only the cursor needs.
    pub outputs: Vec<Output>,
    /// What is shown.
    pub tree: Tree,
    /// What is fetched with it.
    pub related: Vec<Related>,
    /// Rows, or combinations.
    pub rows: Rows,
    /// The order; together its keys are unique.
    pub order: Vec<SortKey>,
    /// Which value of a row each key is.
    pub keys_at: Vec<usize>,
    /// Over which connections.
    pub lane: Lane,
}

/// Decides on columns, order and lane.
pub(super) fn plan_list(model: &ModuleModel, query: &ListQuery) -> ListPlan {
    let (order, rows, shown) = match &query.distinct {
        None => {
            let deleted = query.deleted != Deleted::Exclude;
            let shown = shown(model, query.select.as_deref(), deleted);
            (order::with_id(model, &query.order), Rows::Each, shown)
        }
        Some(columns) => {
            let shown = columns.iter().map(Selected::from).collect();
            (
                distinct::with_all(columns, &query.order),
                Rows::Distinct,
                shown,
            )
        }
    };
    let mut outputs: Vec<_> = shown.iter().map(|s| s.output.clone()).collect();
    for key in order.iter().filter(|key| key.via.is_none()) {
        let output = output_of(key);
        if !outputs.contains(&output) {
            outputs.push(output);
        }
    }
    let related: Vec<_> = query.included.iter().map(|i| i.related.clone()).collect();
    let tree = Tree::new(&shown, outputs.len() - shown.len(), &query.included);
    // Keys of other models stand behind everything else.
    let mut behind = outputs.len() + related.iter().filter(|r| r.is_shown()).count();
    let keys_at = order.iter().map(|key| match key.via {
        None => {
            let output = output_of(key);
            outputs
                .iter()
                .position(|o| *o == output)
                .expect("every key of the row is fetched")
        }
        Some(_) => {
            behind += 1;
            behind - 1
        }
    });
    ListPlan {
        keys_at: keys_at.collect(),
        lane: lane::of(model, query, &order),
        outputs,
        tree,
        related,
        rows,
        order,
    }
}

impl ListPlan {
    /// The columns whose combinations are the rows, where these are combinations.
    pub fn distinct(&self) -> Option<&[Output]> {
        (self.rows == Rows::Distinct).then_some(&self.outputs)
    }
}

fn output_of(key: &SortKey) -> Output {
    Output {
        operand: key.operand.clone(),
        cast: None,
    }
}

/// What a record shows: what was selected, else everything but `deleted_at`, which shows where deleted rows may.
pub(super) fn shown(
    model: &ModuleModel,
    select: Option<&[Selected]>,
    deleted: bool,
) -> Vec<Selected> {
    match select {
        Some(selected) => selected.to_vec(),
        None if deleted => model.columns().iter().map(Selected::from).collect(),
        None => model.record_columns().iter().map(Selected::from).collect(),
    }
}
