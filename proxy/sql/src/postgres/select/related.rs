//! Rows of other models: what is included, and which rows are kept for what refers to them.
//!
//! An included row is an array of the texts of its values, several are an array of such arrays; what they include
//! in turn is one more text. Nothing of it is JSON: every leaf is encoded where all others are. Each of these
//! selects names the tenant itself, and leaves deleted rows out.

use model::{ColumnName, ModelName};

use super::{Output, SortKey, order_by};
use crate::{
    filter::{Filter, Operand},
    postgres::{
        binds::{Binds, TENANT},
        quote, table,
    },
};

/// How rows of another model belong to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The row that this column of this row refers to.
    ToOne(ColumnName),
    /// Rows whose column of that name refers to this row.
    ToMany(ColumnName),
}

/// Which rows are kept for what is related to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All.
    All,
    /// Those with a match (`!inner`).
    Matched,
    /// Those without (`!none`). Nothing is then answered of the relation.
    Unmatched,
}

/// Rows of another model that belong to each row.
#[derive(Debug, Clone, PartialEq)]
pub struct Related {
    /// How they belong.
    pub link: Link,
    /// Whose rows they are.
    pub model: ModelName,
    /// Which of them.
    pub filter: Filter,
    /// Which rows are kept for them.
    pub keep: Keep,
    /// Their order; of a to-one nothing.
    pub order: Vec<SortKey>,
    /// Most rows of a to-many.
    pub limit: u32,
    /// What is answered of each; at least one value, unless nothing is answered of the relation.
    pub outputs: Vec<Output>,
    /// What belongs to them in turn.
    pub related: Vec<Related>,
}

impl Related {
    /// Whether anything of it is answered.
    pub fn is_shown(&self) -> bool {
        self.keep != Keep::Unmatched
    }

    /// Whether it decides which rows there are.
    pub fn keeps(&self) -> bool {
        self.keep != Keep::All
    }
}

/// A to-one relation whose values order rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The column that refers.
    pub column: ColumnName,
    /// The model that it refers to.
    pub model: ModelName,
}

impl Binds {
    /// The values of what is included, in order, for rows of the table that goes by `outer`.
    pub(super) fn included(&mut self, related: &[Related], outer: &str) -> Vec<String> {
        let shown = related.iter().filter(|r| r.is_shown());
        shown.map(|r| self.rows_of(r, outer)).collect()
    }

    fn rows_of(&mut self, related: &Related, outer: &str) -> String {
        self.aliased(|binds, alias| {
            let values = related.outputs.iter().map(|o| binds.output_as_text(o));
            let mut values: Vec<_> = values.collect();
            let nested = binds.included(&related.related, alias);
            values.extend(nested.into_iter().map(|v| format!("{v}::text")));
            let matching = binds.matching(related, alias, outer);
            let select = format!(
                "select array[{}] from {} {alias} where {matching}",
                values.join(", "),
                table(&related.model)
            );
            match related.link {
                Link::ToOne(_) => format!("({select})"),
                Link::ToMany(_) => {
                    let keys: Vec<_> = related
                        .order
                        .iter()
                        .map(|k| binds.sort_expression(k, alias))
                        .collect();
                    let order = order_by(&related.order, &keys);
                    format!("array({select} order by {order} limit {})", related.limit)
                }
            }
        })
    }

    /// What a row must fulfil for what is related to it, as expressions to be ANDed.
    pub(super) fn kept(&mut self, related: &[Related], outer: &str) -> Vec<String> {
        let mut all = Vec::new();
        for related in related {
            let not = match related.keep {
                Keep::All => continue,
                Keep::Matched => "",
                Keep::Unmatched => "not ",
            };
            all.push(self.aliased(|binds, alias| {
                let matching = binds.matching(related, alias, outer);
                let table = table(&related.model);
                format!("{not}exists (select from {table} {alias} where {matching})")
            }));
        }
        all
    }

    fn matching(&mut self, related: &Related, alias: &str, outer: &str) -> String {
        let link = match &related.link {
            Link::ToOne(column) => format!("{alias}.id = {outer}.{}", quote(column)),
            Link::ToMany(column) => format!("{alias}.{} = {outer}.id", quote(column)),
        };
        let mut parts = vec![
            format!("{alias}.{TENANT}"),
            link,
            format!("{alias}.deleted_at is null"),
        ];
        match &related.filter {
            Filter::And(members) if members.is_empty() => {}
            filter => parts.push(self.filter(filter)),
        }
        parts.extend(self.kept(&related.related, alias));
        parts.join(" and ")
    }

    /// The expression of a key, for rows of the table that goes by `outer`.
    pub(super) fn sort_expression(&mut self, key: &SortKey, outer: &str) -> String {
        match &key.via {
            None => self.operand(&key.operand),
            Some(via) => self.through(via, &key.operand, outer),
        }
    }

    fn through(&mut self, via: &Via, operand: &Operand, outer: &str) -> String {
        self.aliased(|binds, alias| {
            let value = binds.operand(operand);
            format!(
                "(select {value} from {} {alias} where {alias}.{TENANT} and {alias}.id = {outer}.{} and {alias}.deleted_at is null)",
                table(&via.model),
                quote(&via.column)
            )
        })
    }
}
