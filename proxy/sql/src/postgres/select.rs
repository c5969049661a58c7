//! Reading: one page of a model, one row, a count.

mod count;
mod output;
mod position;
mod related;

use model::{Column, ModelName, TenantId};

use super::{
    binds::{Binds, TENANT},
    quote, quote_text, table, unqualified,
};
use crate::{
    Statement,
    filter::{Filter, Operand},
};

pub use output::{Cast, Output};
pub use related::{Keep, Link, Related, Via};

/// One key of an order, with the place of nulls decided.
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// What decides: a column, or a place in its JSON that is read as text.
    pub operand: Operand,
    /// The relation whose row it is of; of the row itself where there is none.
    pub via: Option<Via>,
    /// `desc`.
    pub descending: bool,
    /// Whether nulls come before every value.
    pub nulls_first: bool,
}

impl SortKey {
    /// Whether it never is null.
    pub fn required(&self) -> bool {
        self.plain().is_some_and(|c| c.required)
    }

    /// The column of the row itself, if it is one as it stands.
    pub fn plain(&self) -> Option<&Column> {
        let is_plain = self.via.is_none() && self.operand.path.is_none();
        is_plain.then_some(&self.operand.column)
    }

    /// The same key of the opposite order.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            descending: !self.descending,
            nulls_first: !self.nulls_first,
            ..self.clone()
        }
    }
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
    /// What belongs to them: it decides which of them are kept, and a page answers it.
    pub related: &'a [Related],
}

/// Whether rows are told apart by more than what is answered of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Every row.
    Each,
    /// One row for each combination of what is answered; only columns as they stand, and ordered by all of them.
    Distinct,
}

/// Where a page starts: values of the order's keys in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    /// With the first row.
    First,
    /// Behind that row, whether or not it is still there.
    After(&'a [Option<String>]),
    /// With that row, if it is still there.
    At(&'a [Option<String>]),
}

/// One page. A row has the values of `outputs`, then what is included, then the keys of `order` that lie in
/// another model.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// What is fetched of the row itself; holds every plain column of `order`.
    pub outputs: &'a [Output],
    /// Each row or each combination.
    pub rows: Rows,
    /// The order; together its keys are unique.
    pub order: &'a [SortKey],
    /// Where it starts.
    pub start: Start<'a>,
    /// How many rows are passed over first.
    pub offset: u32,
    /// Most rows. It is part of the text: a plan made for an unknown limit is a bad plan.
    pub limit: u32,
}

impl Scope<'_> {
    /// The statement of one page.
    pub fn page(&self, page: &Page<'_>) -> Statement {
        let mut binds = Binds::new(&self.tenant);
        let scope = self.predicate(&mut binds);
        let outer = unqualified(self.model);
        let keys = page.order.iter();
        let keys: Vec<_> = keys.map(|k| binds.sort_expression(k, &outer)).collect();
        let names = names_of(page.order);
        let branches = position::branches(&mut binds, page.order, &keys, page.start);
        let is_plain = is_plain(page.outputs, self.related)
            && page.order.iter().all(|key| key.plain().is_some());

        // Read from the table: columns by their names, and keys that are none by names of their own.
        let mut answered = columns(page.outputs, self.related);
        let mut read = answered.clone();
        for ((key, expression), name) in page.order.iter().zip(&keys).zip(&names) {
            if key.plain().is_none() {
                read.push(format!("{expression} as {name}"));
                answered.push(name.clone());
            } else if !is_plain && !answered.contains(name) {
                read.push(name.clone());
                answered.push(name.clone());
            }
        }
        let distinct = match page.rows {
            Rows::Each => "",
            Rows::Distinct => "distinct ",
        };
        let mut tail = format!(
            "order by {} limit {}",
            order_by(page.order, &names),
            page.limit
        );
        if page.offset > 0 {
            // A bind, so that a walk by offset is one statement.
            let offset = binds.typed("bigint", Some(page.offset.to_string()));
            tail.push_str(&format!(" offset {offset}"));
        }
        let select = format!(
            "select {distinct}{} from {} where {scope}",
            read.join(", "),
            table(self.model)
        );
        let rows = match branches.as_slice() {
            [] => format!("{select} {tail}"),
            [one] => format!("{select} and {one} {tail}"),
            // Each branch is read from the index in order; together they are at most two pages to sort.
            many => {
                let many: Vec<_> = many
                    .iter()
                    .map(|b| format!("({select} and {b} {tail})"))
                    .collect();
                format!(
                    "select {} from ({}) page {tail}",
                    answered.join(", "),
                    many.join(" union all ")
                )
            }
        };
        if is_plain {
            return binds.finish(rows);
        }
        // What belongs to rows is looked up for those of the page only.
        let mut values = binds.row_of(page.outputs, self.related);
        let names: Vec<_> = names.iter().map(|name| format!("p.{name}")).collect();
        let through = page.order.iter().zip(&names);
        values.extend(
            through
                .filter(|(k, _)| k.via.is_some())
                .map(|(_, n)| n.clone()),
        );
        let order = order_by(page.order, &names);
        let values = values.join(", ");
        binds.finish(format!("select {values} from ({rows}) p order by {order}"))
    }

    /// The statement that tells whether there is any row from a place on: true, or else null.
    ///
    /// Not by `exists`, which drops an order: the planner then scans the table for a row that it takes to be common,
    /// through all the rows that stand before the place.
    pub fn any(&self, order: &[SortKey], start: Start<'_>) -> Statement {
        let mut binds = Binds::new(&self.tenant);
        let rows = self.select(&mut binds, "true ");
        let outer = unqualified(self.model);
        let keys: Vec<_> = order
            .iter()
            .map(|k| binds.sort_expression(k, &outer))
            .collect();
        let branches = position::branches(&mut binds, order, &keys, start);
        let tail = format!("order by {} limit 1", order_by(order, &keys));
        let first: Vec<_> = match branches.is_empty() {
            true => vec![format!("({rows} {tail})")],
            false => branches
                .iter()
                .map(|b| format!("({rows} and {b} {tail})"))
                .collect(),
        };
        binds.finish(format!("select {}", first.join(" or ")))
    }

    fn select(&self, binds: &mut Binds, what: &str) -> String {
        let scope = self.predicate(binds);
        format!("select {what}from {} where {scope}", table(self.model))
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
        parts.extend(binds.kept(self.related, &unqualified(self.model)));
        parts.join(" and ")
    }
}

/// The statement that reads one live row by its id, with what belongs to it behind its values.
pub fn get(
    tenant: &TenantId,
    model: &ModelName,
    id: &str,
    outputs: &[Output],
    related: &[Related],
) -> Statement {
    let mut binds = Binds::new(tenant);
    let id = binds.typed("uuid", Some(id.to_owned()));
    let mut scope = vec![
        TENANT.to_owned(),
        format!("id = {id}"),
        "deleted_at is null".to_owned(),
    ];
    scope.extend(binds.kept(related, &unqualified(model)));
    let row = format!(
        "select {} from {} where {}",
        columns(outputs, related).join(", "),
        table(model),
        scope.join(" and ")
    );
    if is_plain(outputs, related) {
        return binds.finish(row);
    }
    let values = binds.row_of(outputs, related).join(", ");
    binds.finish(format!("select {values} from ({row}) p"))
}

impl Binds {
    /// The values of a row of `p`.
    fn row_of(&mut self, outputs: &[Output], related: &[Related]) -> Vec<String> {
        let mut values = self.qualified("p", |binds| {
            outputs.iter().map(|o| binds.output(o)).collect::<Vec<_>>()
        });
        values.extend(self.included(related, "p"));
        values
    }
}

/// Whether a row has nothing but columns as they stand, so that one select answers it.
fn is_plain(outputs: &[Output], related: &[Related]) -> bool {
    let shows_none = !related.iter().any(Related::is_shown);
    shows_none && outputs.iter().all(|o| o.plain().is_some())
}

/// The columns that are read for these values, quoted: each as often as it is answered where all are plain, else once.
fn columns(outputs: &[Output], related: &[Related]) -> Vec<String> {
    let own = outputs.iter().map(|o| quote(&o.operand.column.column));
    if is_plain(outputs, related) {
        return own.collect();
    }
    let links = related.iter().map(|r| match &r.link {
        Link::ToOne(column) => quote(column),
        Link::ToMany(_) => quote_text("id"),
    });
    let mut once = Vec::new();
    for name in own.chain(links) {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// How an order's keys are called where they have been read. No column has a name that starts so.
fn names_of(order: &[SortKey]) -> Vec<String> {
    let name = |(i, key): (usize, &SortKey)| match key.plain() {
        Some(column) => quote(&column.column),
        None => quote_text(&format!("__k{i}")),
    };
    order.iter().enumerate().map(name).collect()
}

/// An order by expressions, one for each key.
fn order_by(keys: &[SortKey], expressions: &[String]) -> String {
    let key = |(key, expression): (&SortKey, &String)| {
        let direction = if key.descending { " desc" } else { "" };
        // Written only where it differs from PostgreSQL's own place, so that an index as declared matches.
        let nulls = match (key.descending, key.nulls_first) {
            _ if key.required() => "",
            (true, false) => " nulls last",
            (false, true) => " nulls first",
            _ => "",
        };
        format!("{expression}{direction}{nulls}")
    };
    let keys: Vec<_> = keys.iter().zip(expressions).map(key).collect();
    keys.join(", ")
}
