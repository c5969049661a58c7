//! Filters as decided: every column known, every value parsed. Rendered by `postgres` and by `clickhouse`.

use model::Column;

/// A tree of conditions.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// One column and its test.
    Condition(Condition),
    /// All of them; empty is true.
    And(Vec<Filter>),
    /// Any of them; empty is false.
    Or(Vec<Filter>),
    /// Not that, with SQL's three-valued logic.
    Not(Box<Filter>),
}

/// One column and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The column.
    pub column: Column,
    /// What is asked.
    pub test: Test,
}

/// What is asked of a column. Texts are canonical (`model::parse_value` with `ValueUse::Compare`).
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `eq neq gt gte lt lte` with a value of the column's type.
    Compare(Comparison, String),
    /// `like`, or `ilike`: the pattern with `%` and `_` as wildcards and `\` as escape, on text columns.
    Like {
        /// SQL pattern; the wire's `*` is already `%`.
        pattern: String,
        /// `ilike`.
        ignore_case: bool,
    },
    /// `in`: any of the values; empty matches nothing.
    In(Vec<String>),
    /// `is.null`.
    IsNull,
    /// `is.true`, `is.false`, on bool columns.
    IsBool(bool),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Eq,
    /// `<>`
    Neq,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `<`
    Lt,
    /// `<=`
    Lte,
}

impl Comparison {
    /// The operator; both dialects spell it alike.
    pub fn as_sql(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Neq => "<>",
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Lt => "<",
            Self::Lte => "<=",
        }
    }
}
