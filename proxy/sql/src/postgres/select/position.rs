//! Where a page starts, as predicates that an index can use.

use super::{SortKey, Start};
use crate::postgres::binds::Binds;

/// What lies behind a position, as one or two predicates whose rows do not overlap and follow each other; none for
/// the beginning. `names` are the expressions of the keys.
///
/// The first is a comparison of rows where the order allows it, and else starts with a bound on the first key: an
/// index can use either. Rows on the other side of the nulls of the first key are a branch of their own.
pub(super) fn branches(
    binds: &mut Binds,
    order: &[SortKey],
    names: &[String],
    start: Start<'_>,
) -> Vec<String> {
    let (values, itself) = match start {
        Start::First => return Vec::new(),
        Start::After(values) => (values, "false"),
        Start::At(values) => (values, "true"),
    };
    let position = Position {
        order,
        names,
        values,
        itself,
    };
    position.branches(binds)
}

/// Keys with their values in a row, from some key on.
#[derive(Clone, Copy)]
struct Position<'a> {
    order: &'a [SortKey],
    names: &'a [String],
    values: &'a [Option<String>],
    /// What stands for the row itself, behind the last key.
    itself: &'static str,
}

impl Position<'_> {
    fn rest(self) -> Self {
        Self {
            order: &self.order[1..],
            names: &self.names[1..],
            values: &self.values[1..],
            ..self
        }
    }

    /// Whether PostgreSQL compares rows as this order does: all keys go one way, and none behind the first can be
    /// null.
    fn is_one_way(self) -> bool {
        let first = self.order[0].descending;
        let is_plain = |(i, key): (usize, &SortKey)| {
            key.descending == first && self.values[i].is_some() && (i == 0 || key.required())
        };
        self.order.iter().enumerate().all(is_plain)
    }

    /// One comparison of all keys, which is one range of an index however many rows share the first of them.
    fn as_row(self, binds: &mut Binds) -> String {
        let values = self.order.iter().zip(self.values);
        let values: Vec<_> = values
            .map(|(key, value)| binds.value(key.operand.field_type(), value.clone()))
            .collect();
        let operator = match (self.order[0].descending, self.itself == "true") {
            (true, false) => "<",
            (true, true) => "<=",
            (false, false) => ">",
            (false, true) => ">=",
        };
        match (self.names, values.as_slice()) {
            ([name], [value]) => format!("{name} {operator} {value}"),
            (names, values) => {
                format!("({}) {operator} ({})", names.join(", "), values.join(", "))
            }
        }
    }

    fn branches(self, binds: &mut Binds) -> Vec<String> {
        let ([key, ..], [name, ..], [value, ..]) = (self.order, self.names, self.values) else {
            return Vec::new();
        };
        match value {
            Some(value) => {
                let here = match self.is_one_way() {
                    true => self.as_row(binds),
                    false => {
                        let bind = binds.value(key.operand.field_type(), Some(value.clone()));
                        let bound = if key.descending { "<=" } else { ">=" };
                        let rest = self.rest().behind(binds);
                        // Not `<` or `>` once more: the planner would take it for another bound and expect far
                        // fewer rows than there are.
                        format!("{name} {bound} {bind} and ({name} <> {bind} or {rest})")
                    }
                };
                let nulls_follow = !key.required() && !key.nulls_first;
                let mut branches = vec![here];
                branches.extend(nulls_follow.then(|| format!("{name} is null")));
                branches
            }
            None => {
                let rest = self.rest().behind(binds);
                let mut branches = vec![format!("{name} is null and {rest}")];
                branches.extend(key.nulls_first.then(|| format!("{name} is not null")));
                branches
            }
        }
    }

    /// The same for the keys behind the first, as one expression in brackets.
    fn behind(self, binds: &mut Binds) -> String {
        let ([key, ..], [name, ..], [value, ..]) = (self.order, self.names, self.values) else {
            return self.itself.into();
        };
        let is_last = self.order.len() == 1;
        match value {
            Some(value) => {
                let bind = binds.value(key.operand.field_type(), Some(value.clone()));
                let mut any = vec![match (key.descending, is_last && self.itself == "true") {
                    (true, false) => format!("{name} < {bind}"),
                    (true, true) => format!("{name} <= {bind}"),
                    (false, false) => format!("{name} > {bind}"),
                    (false, true) => format!("{name} >= {bind}"),
                }];
                if !key.required() && !key.nulls_first {
                    any.push(format!("{name} is null"));
                }
                if !is_last {
                    let rest = self.rest().behind(binds);
                    any.push(format!("{name} = {bind} and {rest}"));
                }
                format!("({})", any.join(" or "))
            }
            None => {
                let rest = self.rest().behind(binds);
                let mut any = vec![format!("{name} is null and {rest}")];
                any.extend(key.nulls_first.then(|| format!("{name} is not null")));
                format!("({})", any.join(" or "))
            }
        }
    }
}
