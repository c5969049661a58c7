//! Conditions of a request as ClickHouse reads them, with the meaning that they have in PostgreSQL.

use model::{Column, FieldType};

use super::{literal, quote, value_type};
use crate::filter::{Comparison, Condition, Filter, Pattern, Quantifier, Test};

/// The column of a record's id: its 16 bytes in network order, since the type UUID compares its second half first.
const RECORD_ID: &str = "`record_id`";

/// The values of `{p1:…}`, `{p2:…}`, … in the order in which they were named.
#[derive(Debug, Default)]
pub struct Params(Vec<String>);

impl Params {
    /// Names the next value in a statement; the value itself stays out of the text.
    pub fn push(&mut self, kind: &str, value: impl Into<String>) -> String {
        self.0.push(value.into());
        format!("{{p{}:{kind}}}", self.0.len())
    }

    /// Every value so far.
    pub fn into_values(self) -> Vec<Option<String>> {
        self.0.into_iter().map(Some).collect()
    }
}

/// Why a filter that PostgreSQL answers has no answer here, or one that could differ; `None` where it is answered.
/// The text is for the client and names operator and type.
pub fn unanswerable(filter: &Filter) -> Option<String> {
    match filter {
        Filter::Condition(condition) => unanswerable_condition(condition),
        Filter::And(list) | Filter::Or(list) => list.iter().find_map(unanswerable),
        Filter::Not(inner) => unanswerable(inner),
    }
}

fn unanswerable_condition(Condition { operand, test }: &Condition) -> Option<String> {
    use Comparison::{Eq, Gt, Gte, Lt, Lte, Neq};
    if operand.path.is_some() {
        return Some("analytics does not look inside of JSON".to_owned());
    }
    let field_type = &operand.column.field_type;
    if matches!(field_type, FieldType::Array { .. }) {
        let message =
            "an array that is null is stored as empty in analytics, so this cannot be answered";
        return Some(message.to_owned());
    }
    // No order of these is the same in both stores, and JSON is kept as it was written.
    let is_ordered = !matches!(
        field_type,
        FieldType::Bool
            | FieldType::Enum { .. }
            | FieldType::Inet
            | FieldType::Bytes
            | FieldType::Json
            | FieldType::Vector { .. }
    );
    let (name, answered) = match test {
        Test::Compare(Eq, _) => ("eq", *field_type != FieldType::Json),
        Test::Compare(Neq, _) => ("neq", *field_type != FieldType::Json),
        Test::In(_) => ("in", *field_type != FieldType::Json),
        Test::Compare(Gt, _) => ("gt", is_ordered),
        Test::Compare(Gte, _) => ("gte", is_ordered),
        Test::Compare(Lt, _) => ("lt", is_ordered),
        Test::Compare(Lte, _) => ("lte", is_ordered),
        Test::Pattern(Pattern::Like, _) => ("like", true),
        Test::Pattern(Pattern::ILike, _) => ("ilike", true),
        Test::IsNull | Test::IsBool(_) => ("is", true),
        Test::Pattern(Pattern::Match, _) => ("match", false),
        Test::Pattern(Pattern::IMatch, _) => ("imatch", false),
        Test::Quantified(_, Quantifier::Any, _) => ("(any)", false),
        Test::Quantified(_, Quantifier::All, _) => ("(all)", false),
        Test::IsDistinct(_) => ("isdistinct", false),
        Test::Contain(..) => ("cs, cd or ov", false),
        Test::Search { .. } => ("fts", false),
    };
    let message = || {
        format!(
            "operator {name} does not take type {} in analytics",
            field_type.name()
        )
    };
    (!answered).then(message)
}

/// One boolean expression of a filter that is not [`unanswerable`], in brackets where it needs them. Nulls follow SQL's three-valued logic.
pub fn render(filter: &Filter, params: &mut Params) -> String {
    match filter {
        Filter::Condition(condition) => render_condition(condition, params),
        Filter::And(list) => join(list, " AND ", "true", params),
        Filter::Or(list) => join(list, " OR ", "false", params),
        Filter::Not(inner) => format!("NOT ({})", render(inner, params)),
    }
}

fn join(list: &[Filter], operator: &str, empty: &str, params: &mut Params) -> String {
    let parts: Vec<_> = list.iter().map(|f| render(f, params)).collect();
    match parts.as_slice() {
        [] => empty.to_owned(),
        [one] => one.clone(),
        many => format!("({})", many.join(operator)),
    }
}

fn render_condition(Condition { operand, test }: &Condition, params: &mut Params) -> String {
    let column = &operand.column;
    let name = column_name(column);
    match test {
        Test::Compare(comparison, value) => compare(column, *comparison, value, params),
        Test::Pattern(Pattern::Like, pattern) => {
            let pattern = params.push("String", like_pattern(pattern));
            format!("{name} LIKE {pattern}")
        }
        Test::Pattern(Pattern::ILike, pattern) => {
            let pattern = params.push("String", like_pattern(pattern));
            // ILIKE folds ASCII only in some plans; lowerUTF8 folds every letter of both sides alike.
            format!("lowerUTF8({name}) LIKE lowerUTF8({pattern})")
        }
        Test::In(values) if values.is_empty() => "false".to_owned(),
        Test::In(values) => {
            let values = list(column, values, params);
            // IN casts the list to the column's type, which cuts digits or overflows.
            let is_decimal = matches!(column.field_type, FieldType::Decimal { .. });
            let name = if is_decimal {
                format!("toDecimal256({name}, 38)")
            } else {
                name
            };
            format!("{name} IN ({values})")
        }
        // Null is stored as empty, and no vector is.
        Test::IsNull if column.field_type.is_list() => format!("empty({name})"),
        Test::IsNull => format!("{name} IS NULL"),
        Test::IsBool(true) => format!("ifNull({name}, false)"),
        Test::IsBool(false) => format!("ifNull(NOT {name}, false)"),
        Test::Pattern(Pattern::Match | Pattern::IMatch, _)
        | Test::Quantified(..)
        | Test::IsDistinct(_)
        | Test::Contain(..)
        | Test::Search { .. } => {
            unreachable!("a query is made of filters that `unanswerable` has passed")
        }
    }
}

fn compare(column: &Column, comparison: Comparison, value: &str, params: &mut Params) -> String {
    let (name, value) = (column_name(column), operand(column, value, params));
    let is_ordered = !matches!(comparison, Comparison::Eq | Comparison::Neq);
    let is_uuid_field = column.field_type == FieldType::Uuid && !is_id(column);
    if is_uuid_field && is_ordered {
        // By bytes, as PostgreSQL orders; the type's own order starts with the second half.
        return format!(
            "UUIDToNum({name}) {} UUIDToNum({value})",
            comparison.as_sql()
        );
    }
    format!("{name} {} {value}", comparison.as_sql())
}

/// The column as it is stored.
pub(super) fn column_name(column: &Column) -> String {
    if is_id(column) {
        RECORD_ID.to_owned()
    } else {
        quote(&column.column)
    }
}

/// Whether it is the record's id, which is stored under another name and type.
pub(super) fn is_id(column: &Column) -> bool {
    column.system && column.name.as_str() == "id"
}

/// A canonical value as a parameter of a type that the column compares with exactly.
fn operand(column: &Column, value: &str, params: &mut Params) -> String {
    if is_id(column) {
        return format!("UUIDStringToNum({})", params.push("String", value));
    }
    params.push(&operand_type(column), spelled(column, value))
}

/// Canonical values as one parameter, whatever their number: the server takes a thousand parameters, not more. A JSON
/// array in a text, since a list of texts has escapes of its own within those of a parameter.
fn list(column: &Column, values: &[String], params: &mut Params) -> String {
    let values: Vec<_> = values.iter().map(|v| spelled(column, v)).collect();
    let json = serde_json::to_string(&values).expect("texts are plain data");
    let texts = format!(
        "JSONExtract({}, 'Array(String)')",
        params.push("String", json)
    );
    if is_id(column) {
        return format!("arrayMap(x -> UUIDStringToNum(x), {texts})");
    }
    match operand_type(column).as_str() {
        "String" => texts,
        other => format!("CAST({texts}, {})", literal(&format!("Array({other})"))),
    }
}

/// The type that the column compares with exactly.
fn operand_type(column: &Column) -> String {
    match &column.field_type {
        // A filter may name more digits than the field has: 38 before and 38 behind the point hold them all, and
        // as Decimal256 the comparison cannot overflow.
        FieldType::Decimal { .. } => "Decimal(76, 38)".to_owned(),
        FieldType::Enum { .. } => "String".to_owned(),
        other => value_type(other),
    }
}

/// A canonical value as that type is read.
fn spelled(column: &Column, value: &str) -> String {
    match &column.field_type {
        FieldType::Timestamp => value.trim_end_matches('Z').replace('T', " "),
        FieldType::Time => microseconds(value).to_string(),
        _ => value.to_owned(),
    }
}

/// Microseconds since midnight of a canonical `HH:MM:SS.ffffff`.
fn microseconds(time: &str) -> u64 {
    let digits = |part: &str| {
        part.parse::<u64>()
            .expect("a canonical time of day holds digits only")
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    clock
        .split(':')
        .fold(0, |seconds, part| seconds * 60 + digits(part))
        * 1_000_000
        + digits(fraction)
}

/// A pattern whose escapes mean the same in both stores: before any character but `%`, `_` and `\` a backslash is
/// dropped, as PostgreSQL does, where ClickHouse would match it.
fn like_pattern(pattern: &str) -> String {
    let mut normal = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => normal.push(c),
            (_, true) => match chars.next() {
                Some(escaped @ ('%' | '_' | '\\')) => normal.extend(['\\', escaped]),
                Some(plain) => normal.push(plain),
                None => normal.push_str("\\\\"),
            },
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_a_pattern_mean_the_same_in_both_stores() {
        for (given, normal) in [
            ("a%_b", "a%_b"),
            ("a\\%", "a\\%"),
            ("a\\b", "ab"),
            ("\\\\%", "\\\\%"),
            ("a\\", "a\\\\"),
        ] {
            assert_eq!(like_pattern(given), normal, "{given}");
        }
    }

    #[test]
    fn a_time_of_day_is_microseconds() {
        assert_eq!(microseconds("01:02:03.000004"), 3_723_000_004);
        assert_eq!(microseconds("23:59:59.999999"), 86_399_999_999);
    }
}
