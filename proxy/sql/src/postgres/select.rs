//! Reading: one page of a model, one row, a count.

use model::{Column, ModelName, TenantId};

use super::{
    binds::{Binds, TENANT},
    quote, table,
};
use crate::{Statement, filter::Filter};

/// One key of an order, with the place of nulls decided.
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// The column.
    pub column: Column,
    /// `desc`.
    pub descending: bool,
    /// Whether nulls come before every value.
    pub nulls_first: bool,
}

/// Which rows count, as to soft deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// Live rows.
    Exclude,
    /// All rows.
    Include,
    /// Deleted rows.
    Only,
}

/// What a read ranges over.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// Whose rows.
    pub tenant: TenantId,
    /// The model.
    pub model: &'a ModelName,
    /// Which of them.
    pub filter: &'a Filter,
    /// Which of them, as to soft deletion.
    pub deleted: Deleted,
}

/// One page.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// What is fetched, in order; holds every column of `order`.
    pub columns: &'a [Column],
    /// The order; its last key is unique (`id`).
    pub order: &'a [SortKey],
    /// Values of `order`'s columns in the row after which the page starts.
    pub after: Option<&'a [Option<String>]>,
    /// Most rows. It is part of the text: a plan made for an unknown limit is a bad plan.
    pub limit: u32,
}

impl Scope<'_> {
    /// The statement of one page.
    pub fn page(&self, page: &Page<'_>) -> Statement {
        let mut binds = Binds::new(&self.tenant);
        let scope = self.predicate(&mut binds);
        let columns = list(page.columns);
        let order = order_by(page.order);
        let tail = format!("order by {order} limit {}", page.limit);
        let select = format!("select {columns} from {} where {scope}", table(self.model));
        let branches = match page.after {
            Some(values) => after(&mut binds, page.order, values),
            None => Vec::new(),
        };
        let text = match branches.as_slice() {
            [] => format!("{select} {tail}"),
            [one] => format!("{select} and {one} {tail}"),
            // Each branch is read from the index in order; together they are at most two pages to sort.
            many => {
                let many: Vec<_> = many
                    .iter()
                    .map(|b| format!("({select} and {b} {tail})"))
                    .collect();
                format!(
                    "select {columns} from ({}) page {tail}",
                    many.join(" union all ")
                )
            }
        };
        binds.finish(text)
    }

    /// The statement that counts exactly.
    pub fn count(&self) -> Statement {
        let mut binds = Binds::new(&self.tenant);
        let scope = self.predicate(&mut binds);
        let text = format!("select count(*) from {} where {scope}", table(self.model));
        binds.finish(text)
    }

    fn predicate(&self, binds: &mut Binds) -> String {
        let mut parts = vec![TENANT.to_owned()];
        match self.deleted {
            Deleted::Exclude => parts.push("deleted_at is null".into()),
            Deleted::Include => {}
            Deleted::Only => parts.push("deleted_at is not null".into()),
        }
        match self.filter {
            Filter::And(members) if members.is_empty() => {}
            filter => parts.push(binds.filter(filter)),
        }
        parts.join(" and ")
    }
}

/// The statement that reads one live row by its id.
pub fn get(tenant: &TenantId, model: &ModelName, id: &str, columns: &[Column]) -> Statement {
    let mut binds = Binds::new(tenant);
    let id = binds.typed("uuid", Some(id.to_owned()));
    let text = format!(
        "select {} from {} where {TENANT} and id = {id} and deleted_at is null",
        list(columns),
        table(model)
    );
    binds.finish(text)
}

/// Names of columns, quoted, separated by commas.
pub(super) fn list(columns: &[Column]) -> String {
    columns
        .iter()
        .map(|c| quote(&c.name))
        .collect::<Vec<_>>()
        .join(", ")
}

fn order_by(keys: &[SortKey]) -> String {
    let key = |key: &SortKey| {
        let direction = if key.descending { " desc" } else { "" };
        // Written only where it differs from PostgreSQL's own place, so that an index as declared matches.
        let nulls = match (key.descending, key.nulls_first) {
            _ if key.column.required => "",
            (true, false) => " nulls last",
            (false, true) => " nulls first",
            _ => "",
        };
        format!("{}{direction}{nulls}", quote(&key.column.name))
    };
    keys.iter().map(key).collect::<Vec<_>>().join(", ")
}

/// What lies after a position, as one or two predicates whose rows do not overlap and follow each other.
///
/// The first starts with a bound on the first key that an index can use; rows on the other side of the nulls of
/// the first key are a branch of their own.
fn after(binds: &mut Binds, order: &[SortKey], values: &[Option<String>]) -> Vec<String> {
    let (Some(key), Some(value)) = (order.first(), values.first()) else {
        return Vec::new();
    };
    let name = quote(&key.column.name);
    match value {
        Some(value) => {
            let bind = binds.value(&key.column.field_type, Some(value.clone()));
            let (strict, bound) = if key.descending {
                ("<", "<=")
            } else {
                (">", ">=")
            };
            let here = match order.len() {
                1 => format!("{name} {strict} {bind}"),
                _ => {
                    let rest = after_rest(binds, &order[1..], &values[1..]);
                    format!("{name} {bound} {bind} and ({name} {strict} {bind} or {rest})")
                }
            };
            let nulls_follow = !key.column.required && !key.nulls_first;
            let mut branches = vec![here];
            branches.extend(nulls_follow.then(|| format!("{name} is null")));
            branches
        }
        None => {
            let rest = after_rest(binds, &order[1..], &values[1..]);
            let mut branches = vec![format!("{name} is null and {rest}")];
            branches.extend(key.nulls_first.then(|| format!("{name} is not null")));
            branches
        }
    }
}

/// The same for the keys behind the first, as one expression in brackets.
fn after_rest(binds: &mut Binds, order: &[SortKey], values: &[Option<String>]) -> String {
    let (Some(key), Some(value)) = (order.first(), values.first()) else {
        return "false".into();
    };
    let name = quote(&key.column.name);
    let is_last = order.len() == 1;
    match value {
        Some(value) => {
            let bind = binds.value(&key.column.field_type, Some(value.clone()));
            let strict = if key.descending { "<" } else { ">" };
            let mut any = vec![format!("{name} {strict} {bind}")];
            if !key.column.required && !key.nulls_first {
                any.push(format!("{name} is null"));
            }
            if !is_last {
                any.push(format!(
                    "{name} = {bind} and {}",
                    after_rest(binds, &order[1..], &values[1..])
                ));
            }
            format!("({})", any.join(" or "))
        }
        None => {
            let mut any = vec![format!(
                "{name} is null and {}",
                after_rest(binds, &order[1..], &values[1..])
            )];
            any.extend(key.nulls_first.then(|| format!("{name} is not null")));
            format!("({})", any.join(" or "))
        }
    }
}
