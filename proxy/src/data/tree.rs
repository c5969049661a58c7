//! What a record shows: names in order, and what stands behind each.

use model::Column;
use sql::postgres::select::{Keep, Link, Output, Related};

/// A value of the row itself, and the name that it is shown by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selected {
    /// Its key in a record, its header in a table.
    pub name: String,
    /// What is read.
    pub output: Output,
}

impl From<&Column> for Selected {
    fn from(column: &Column) -> Self {
        Self {
            name: column.name.as_str().to_owned(),
            output: column.clone().into(),
        }
    }
}

/// Rows of another model that are shown with a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Included {
    /// Its key in a record.
    pub name: String,
    /// What is shown of each of its rows.
    pub tree: Tree,
    /// Which rows these are.
    pub related: Related,
}

/// The fields of a record. `at` grows from field to field.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tree(pub Vec<Field>);

/// One field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// Its name.
    pub name: String,
    /// Which value of the row it is.
    pub at: usize,
    /// What the value is.
    pub node: Node,
}

/// What a value of a row is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// A value of its own.
    Value(Output),
    /// A row of another model, or null.
    One(Tree),
    /// Rows of another model.
    Many(Tree),
    /// A row that cannot be there (`!none`): null, and no value of the row.
    NoOne,
    /// Rows that cannot be there (`!none`): empty, and no value of the row.
    Nobody,
}

impl Tree {
    /// The tree of rows that hold `selected`, then so many values that are not shown, then what is `included`.
    pub fn new(selected: &[Selected], hidden: usize, included: &[Included]) -> Self {
        let value = |(at, selected): (usize, &Selected)| Field {
            name: selected.name.clone(),
            at,
            node: Node::Value(selected.output.clone()),
        };
        let mut fields: Vec<_> = selected.iter().enumerate().map(value).collect();
        let mut at = fields.len() + hidden;
        for included in included {
            let is_one = matches!(included.related.link, Link::ToOne(_));
            let node = match (included.related.keep, is_one) {
                (Keep::Unmatched, true) => Node::NoOne,
                (Keep::Unmatched, false) => Node::Nobody,
                (_, true) => Node::One(included.tree.clone()),
                (_, false) => Node::Many(included.tree.clone()),
            };
            let has_value = !matches!(node, Node::NoOne | Node::Nobody);
            fields.push(Field {
                name: included.name.clone(),
                at,
                node,
            });
            at += usize::from(has_value);
        }
        Self(fields)
    }
}
