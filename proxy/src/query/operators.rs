//! The operators of the query language, and which type takes which: one table, from which conditions are parsed,
//! errors worded, and models described.

use model::FieldType;

/// An operator by its name on the wire; PostgREST's 25.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal; a null is neither.
    Neq,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Like a pattern in which `*` or `%` is any text and `_` any character.
    Like,
    /// The same without regard to case.
    ILike,
    /// Matching a POSIX regular expression.
    Match,
    /// The same without regard to case.
    IMatch,
    /// One of a list.
    In,
    /// `null`, `not_null`, `true`, `false` or `unknown`.
    Is,
    /// Not equal, where null is a value like any other.
    IsDistinct,
    /// Holding words, combined by `&`, `|`, `!`, `<->` and brackets.
    Fts,
    /// Holding all the words.
    Plfts,
    /// Holding the words one after the other.
    Phfts,
    /// Holding the words as search engines read them.
    Wfts,
    /// Containing.
    Cs,
    /// Contained in.
    Cd,
    /// Having something in common with.
    Ov,
    /// Strictly left of.
    Sl,
    /// Strictly right of.
    Sr,
    /// Not reaching further right than.
    Nxr,
    /// Not reaching further left than.
    Nxl,
    /// Adjacent to.
    Adj,
}

use Operator as O;

/// What every type without parts takes.
const SCALAR: &[Operator] = &[
    O::Eq,
    O::Neq,
    O::Gt,
    O::Gte,
    O::Lt,
    O::Lte,
    O::In,
    O::Is,
    O::IsDistinct,
];
const INET: &[Operator] = &[
    O::Eq,
    O::Neq,
    O::Gt,
    O::Gte,
    O::Lt,
    O::Lte,
    O::In,
    O::Is,
    O::IsDistinct,
    O::Ov,
];
const TEXT: &[Operator] = &[
    O::Eq,
    O::Neq,
    O::Gt,
    O::Gte,
    O::Lt,
    O::Lte,
    O::Like,
    O::ILike,
    O::Match,
    O::IMatch,
    O::In,
    O::Is,
    O::IsDistinct,
    O::Fts,
    O::Plfts,
    O::Phfts,
    O::Wfts,
];
const JSON: &[Operator] = &[
    O::Eq,
    O::Neq,
    O::Gt,
    O::Gte,
    O::Lt,
    O::Lte,
    O::In,
    O::Is,
    O::IsDistinct,
    O::Fts,
    O::Plfts,
    O::Phfts,
    O::Wfts,
    O::Cs,
    O::Cd,
];
/// PostgreSQL has no array of arrays, so no `in`.
const ARRAY: &[Operator] = &[
    O::Eq,
    O::Neq,
    O::Gt,
    O::Gte,
    O::Lt,
    O::Lte,
    O::Is,
    O::IsDistinct,
    O::Cs,
    O::Cd,
    O::Ov,
];
/// Comparing rounded numbers one by one answers nothing that is asked of vectors.
const VECTOR: &[Operator] = &[O::Is];

/// The operators that a field of that type takes, as PostgreSQL has them for its column type. `is.true`, `is.false` and
/// `is.unknown` are for bool alone. A value inside of JSON takes those of json after `->` and those of text after `->>`.
pub fn allowed(field_type: &FieldType) -> &'static [Operator] {
    match field_type {
        FieldType::Bool
        | FieldType::Int16
        | FieldType::Int32
        | FieldType::Int64
        | FieldType::Float64
        | FieldType::Decimal { .. }
        | FieldType::Uuid
        | FieldType::Date
        | FieldType::Timestamp
        | FieldType::Time
        | FieldType::Bytes => SCALAR,
        FieldType::Inet => INET,
        FieldType::Text { .. } | FieldType::Enum { .. } => TEXT,
        FieldType::Json => JSON,
        FieldType::Array { .. } => ARRAY,
        FieldType::Vector { .. } => VECTOR,
    }
}

/// Whether `(any)` and `(all)` may follow an operator on that type: PostgreSQL has no array of arrays to ask of.
pub fn takes_quantifier(operator: Operator, field_type: &FieldType) -> bool {
    operator.is_quantifiable() && !matches!(field_type, FieldType::Array { .. })
}

impl Operator {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 25] = [
        Self::Eq,
        Self::Neq,
        Self::Gt,
        Self::Gte,
        Self::Lt,
        Self::Lte,
        Self::Like,
        Self::ILike,
        Self::Match,
        Self::IMatch,
        Self::In,
        Self::Is,
        Self::IsDistinct,
        Self::Fts,
        Self::Plfts,
        Self::Phfts,
        Self::Wfts,
        Self::Cs,
        Self::Cd,
        Self::Ov,
        Self::Sl,
        Self::Sr,
        Self::Nxr,
        Self::Nxl,
        Self::Adj,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Neq => "neq",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Like => "like",
            Self::ILike => "ilike",
            Self::Match => "match",
            Self::IMatch => "imatch",
            Self::In => "in",
            Self::Is => "is",
            Self::IsDistinct => "isdistinct",
            Self::Fts => "fts",
            Self::Plfts => "plfts",
            Self::Phfts => "phfts",
            Self::Wfts => "wfts",
            Self::Cs => "cs",
            Self::Cd => "cd",
            Self::Ov => "ov",
            Self::Sl => "sl",
            Self::Sr => "sr",
            Self::Nxr => "nxr",
            Self::Nxl => "nxl",
            Self::Adj => "adj",
        }
    }

    /// The operator of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name() == name)
    }

    /// Whether `(any)` or `(all)` may follow.
    pub fn is_quantifiable(self) -> bool {
        matches!(
            self,
            Self::Eq
                | Self::Gt
                | Self::Gte
                | Self::Lt
                | Self::Lte
                | Self::Like
                | Self::ILike
                | Self::Match
                | Self::IMatch
        )
    }

    /// Whether a language may follow in brackets.
    pub fn is_search(self) -> bool {
        matches!(self, Self::Fts | Self::Plfts | Self::Phfts | Self::Wfts)
    }

    /// Whether a field of that type takes it.
    pub fn takes(self, field_type: &FieldType) -> bool {
        allowed(field_type).contains(&self)
    }

    /// The names of the types that take it; none for the operators on ranges, which no field is.
    pub fn types(self) -> Vec<&'static str> {
        every_type()
            .iter()
            .filter(|t| self.takes(t))
            .map(FieldType::name)
            .collect()
    }
}

/// One of each type, in the order of the documentation.
pub fn every_type() -> [FieldType; 17] {
    [
        FieldType::Bool,
        FieldType::Int16,
        FieldType::Int32,
        FieldType::Int64,
        FieldType::Float64,
        FieldType::Decimal {
            precision: 1,
            scale: 0,
        },
        FieldType::Text { max_length: None },
        FieldType::Enum { values: Vec::new() },
        FieldType::Uuid,
        FieldType::Date,
        FieldType::Timestamp,
        FieldType::Time,
        FieldType::Json,
        FieldType::Bytes,
        FieldType::Inet,
        FieldType::Array {
            items: model::ScalarType::Text,
        },
        FieldType::Vector { dimension: 1 },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_and_only_ranges_are_homeless() {
        for operator in Operator::ALL {
            assert_eq!(Operator::named(operator.name()), Some(operator));
            let is_range = matches!(operator.name(), "sl" | "sr" | "nxr" | "nxl" | "adj");
            assert_eq!(operator.types().is_empty(), is_range, "{operator:?}");
        }
        assert_eq!(Operator::named("EQ"), None);
    }
}
