//! Filters as decided: every column known, every value parsed. Rendered by `postgres` and by `clickhouse`.

use model::{Column, FieldType};

/// A tree of conditions.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// One operand and its test.
    Condition(Condition),
    /// All of them; empty is true.
    And(Vec<Filter>),
    /// Any of them; empty is false.
    Or(Vec<Filter>),
    /// Not that, with SQL's three-valued logic.
    Not(Box<Filter>),
}

/// One operand and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is asked about.
    pub operand: Operand,
    /// What is asked.
    pub test: Test,
}

/// A column, or a place inside of its JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    /// The column.
    pub column: Column,
    /// Where in the JSON of the column; only on json columns.
    pub path: Option<JsonPath>,
}

/// A place inside of a JSON value: `->a->0->>b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    /// Keys of objects, indexes of arrays (from the end when negative); at least one. They are a client's text, so
    /// they only ever travel as binds.
    pub steps: Vec<String>,
    /// Whether the place is read as text (`->>`) or as JSON (`->`).
    pub as_text: bool,
}

static JSON: FieldType = FieldType::Json;
static TEXT: FieldType = FieldType::Text { max_length: None };

impl Operand {
    /// The type of what is compared: the column's, or what the path makes of it.
    pub fn field_type(&self) -> &FieldType {
        match &self.path {
            None => &self.column.field_type,
            Some(path) if path.as_text => &TEXT,
            Some(_) => &JSON,
        }
    }
}

impl From<Column> for Operand {
    fn from(column: Column) -> Self {
        Self { column, path: None }
    }
}

/// What is asked of an operand. Texts are canonical (`model::parse_value` with `ValueUse::Compare`); the value of an
/// array is its literal (`postgres::array_literal`), that of a JSON its text.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `eq neq gt gte lt lte` with a value of the operand's type.
    Compare(Comparison, String),
    /// `like ilike match imatch` on texts.
    Pattern(Pattern, String),
    /// `eq(any)`, `like(all)` and their like: the relation to any or to all of the values.
    Quantified(Relation, Quantifier, Vec<String>),
    /// `in`: any of the values; empty matches nothing.
    In(Vec<String>),
    /// `is.null`.
    IsNull,
    /// `is.true`, `is.false`, on bool columns.
    IsBool(bool),
    /// `isdistinct`: unlike `neq` it holds for null.
    IsDistinct(String),
    /// `cs cd ov` with a value of the operand's type.
    Contain(Containment, String),
    /// `fts plfts phfts wfts`: the words that the text, or the texts of the JSON, hold.
    Search {
        /// How `query` is read.
        syntax: SearchSyntax,
        /// A text search configuration that every server has.
        language: &'static str,
        /// What is searched for; for [`SearchSyntax::Operators`] it is known to be well formed.
        query: String,
    },
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

/// What a text is matched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// `%` and `_` as wildcards, `\` as escape; the wire's `*` is already `%`.
    Like,
    /// The same without regard to case.
    ILike,
    /// A POSIX regular expression in PostgreSQL's advanced form.
    Match,
    /// The same without regard to case.
    IMatch,
}

/// A relation that can be asked of any or of all of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// To a value.
    Compare(Comparison),
    /// To a pattern.
    Pattern(Pattern),
}

/// Of how many in a list a relation must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// One or more; of an empty list nothing does.
    Any,
    /// Each; of an empty list everything does, null too.
    All,
}

/// How two collections relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containment {
    /// `cs`: the operand holds all of the value.
    Contains,
    /// `cd`: the value holds all of the operand.
    ContainedBy,
    /// `ov`: they share something.
    Overlaps,
}

/// How the text of a search is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchSyntax {
    /// `fts`: words with `&`, `|`, `!`, `<->` and brackets.
    Operators,
    /// `plfts`: all of the words.
    Plain,
    /// `phfts`: the words one after the other.
    Phrase,
    /// `wfts`: as search engines read it, with quotes, `or` and `-`.
    Web,
}
