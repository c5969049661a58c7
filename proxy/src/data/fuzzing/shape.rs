//! What a request comes to when its values are others: the same shape, and so the same statement text.

use sql::{
    filter::{Condition, Filter, Operand, Test},
    postgres::select::{Related, SortKey},
};

use crate::data::{parse::ListQuery, plan::ListPlan};

/// Stands for every value of a client; no parser would read it as most of the types.
pub(super) const OTHER: &str = "other";

/// The same question with other values, other lengths of lists, and other steps of its paths.
pub(super) fn with_other_values(query: &mut ListQuery, plan: &mut ListPlan) {
    filter(&mut query.filter);
    query.offset = query.offset.min(1);
    let outputs = plan.outputs.iter_mut().map(|o| &mut o.operand);
    outputs
        .chain(plan.order.iter_mut().map(|k| &mut k.operand))
        .for_each(operand);
    plan.related.iter_mut().for_each(related);
}

fn related(related_: &mut Related) {
    filter(&mut related_.filter);
    let order = related_
        .order
        .iter_mut()
        .map(|k: &mut SortKey| &mut k.operand);
    let outputs = related_.outputs.iter_mut().map(|o| &mut o.operand);
    outputs.chain(order).for_each(operand);
    related_.related.iter_mut().for_each(related);
}

fn operand(operand: &mut Operand) {
    if let Some(path) = &mut operand.path {
        path.steps = vec![OTHER.into()];
    }
}

fn filter(tree: &mut Filter) {
    match tree {
        Filter::And(members) | Filter::Or(members) => members.iter_mut().for_each(filter),
        Filter::Not(inner) => filter(inner),
        Filter::Condition(Condition { operand: of, test }) => {
            operand(of);
            values(test);
        }
    }
}

fn values(test: &mut Test) {
    match test {
        Test::Compare(_, value)
        | Test::Pattern(_, value)
        | Test::IsDistinct(value)
        | Test::Contain(_, value) => *value = OTHER.into(),
        Test::Quantified(_, _, values) | Test::In(values) => *values = vec![OTHER.into()],
        Test::Search {
            language, query, ..
        } => {
            *language = "simple";
            *query = OTHER.into();
        }
        Test::IsNull | Test::IsBool(_) => {}
    }
}
