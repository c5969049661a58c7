//! Binds of one statement and the expressions that read them.

use model::{FieldType, TenantId};

use super::{column_type, quote};
use crate::{
    Statement,
    filter::{
        Condition, Containment, Filter, Operand, Pattern, Quantifier, Relation, SearchSyntax, Test,
    },
};

/// Collects binds while text is written. `$1` is always the tenant.
pub(super) struct Binds {
    values: Vec<Option<String>>,
    /// What stands before the name of a column, such as `_r1.`; nothing where one table is named.
    qualifier: String,
    /// Tables that were given a name of their own.
    aliases: u32,
}

/// The tenant, in every statement of ours: the first fence, and the one that the planner can see through.
pub(super) const TENANT: &str = "tenant_id = $1::uuid";

impl Binds {
    pub fn new(tenant: &TenantId) -> Self {
        Self {
            values: vec![Some(tenant.to_string())],
            qualifier: String::new(),
            aliases: 0,
        }
    }

    /// The expression of a value of a type.
    pub fn value(&mut self, field_type: &FieldType, value: Option<String>) -> String {
        let bind = self.push(value);
        match field_type {
            FieldType::Bytes => format!("decode({bind}::text, 'base64')"),
            other => read_as(&bind, other),
        }
    }

    /// A column of many rows as one bind; read through `unnest` and [`read_as`].
    pub fn texts<'v>(&mut self, values: impl IntoIterator<Item = Option<&'v str>>) -> String {
        self.typed("text[]", Some(nullable_array_literal(values)))
    }

    /// The expression of a value of a type that PostgreSQL names so.
    pub fn typed(&mut self, type_name: &str, value: Option<String>) -> String {
        format!("{}::{type_name}", self.push(value))
    }

    /// A name for one more table, which no model has, and `within` it: every column named there is that table's.
    pub fn aliased<T>(&mut self, within: impl FnOnce(&mut Self, &str) -> T) -> T {
        self.aliases += 1;
        let alias = format!("_r{}", self.aliases);
        self.qualified(&alias, |binds| within(binds, &alias))
    }

    /// Columns named within are those of a table that goes by `name`.
    pub fn qualified<T>(&mut self, name: &str, within: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.qualifier, format!("{name}."));
        let result = within(self);
        self.qualifier = outer;
        result
    }

    pub fn finish(self, text: String) -> Statement {
        Statement {
            text,
            binds: self.values,
        }
    }

    fn push(&mut self, value: Option<String>) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// A filter as a boolean expression that can stand beside `and`.
    pub fn filter(&mut self, filter: &Filter) -> String {
        match filter {
            Filter::Condition(condition) => self.condition(condition),
            Filter::And(members) => self.joined(members, " and ", "true"),
            Filter::Or(members) => self.joined(members, " or ", "false"),
            Filter::Not(inner) => format!("not ({})", self.filter(inner)),
        }
    }

    fn joined(&mut self, members: &[Filter], operator: &str, empty: &str) -> String {
        match members {
            [] => empty.to_owned(),
            [one] => self.filter(one),
            many => {
                let members: Vec<_> = many.iter().map(|m| self.filter(m)).collect();
                format!("({})", members.join(operator))
            }
        }
    }

    /// The expression of an operand, in brackets where it needs them. The steps of a path are a client's text.
    pub fn operand(&mut self, operand: &Operand) -> String {
        let name = format!("{}{}", self.qualifier, quote(&operand.column.column));
        match &operand.path {
            None => name,
            Some(path) => {
                let operator = if path.as_text { "#>>" } else { "#>" };
                let steps = self.typed("text[]", Some(array_literal(&path.steps)));
                format!("({name} {operator} {steps})")
            }
        }
    }

    fn condition(&mut self, condition: &Condition) -> String {
        let Condition { operand, test } = condition;
        let name = self.operand(operand);
        let field_type = operand.field_type();
        match test {
            Test::Compare(comparison, value) => {
                let value = self.value(field_type, Some(value.clone()));
                format!("{name} {} {value}", comparison.as_sql())
            }
            Test::Pattern(pattern, text) => {
                let text = self.typed("text", Some(text.clone()));
                format!("{name} {} {text}", pattern_operator(*pattern))
            }
            Test::Quantified(relation, quantifier, values) => {
                let operator = match relation {
                    Relation::Compare(comparison) => comparison.as_sql(),
                    Relation::Pattern(pattern) => pattern_operator(*pattern),
                };
                let quantifier = match quantifier {
                    Quantifier::Any => "any",
                    Quantifier::All => "all",
                };
                format!(
                    "{name} {operator} {quantifier}({})",
                    self.list(field_type, values)
                )
            }
            // One bind whatever the length, so that one plan serves every list.
            Test::In(values) => format!("{name} = any({})", self.list(field_type, values)),
            Test::IsNull => format!("{name} is null"),
            Test::IsBool(value) => format!("{name} is {value}"),
            Test::IsDistinct(value) => {
                let value = self.value(field_type, Some(value.clone()));
                format!("{name} is distinct from {value}")
            }
            Test::Contain(containment, value) => {
                let value = self.value(field_type, Some(value.clone()));
                let operator = match containment {
                    Containment::Contains => "@>",
                    Containment::ContainedBy => "<@",
                    Containment::Overlaps => "&&",
                };
                format!("{name} {operator} {value}")
            }
            Test::Search {
                syntax,
                language,
                query,
            } => {
                let language = self.typed("regconfig", Some(format!("pg_catalog.{language}")));
                let query = self.typed("text", Some(query.clone()));
                let function = match syntax {
                    SearchSyntax::Operators => "to_tsquery",
                    SearchSyntax::Plain => "plainto_tsquery",
                    SearchSyntax::Phrase => "phraseto_tsquery",
                    SearchSyntax::Web => "websearch_to_tsquery",
                };
                format!("to_tsvector({language}, {name}) @@ {function}({language}, {query})")
            }
        }
    }

    fn list(&mut self, field_type: &FieldType, values: &[String]) -> String {
        let bind = self.push(Some(array_literal(values)));
        match field_type {
            FieldType::Bytes => {
                format!("array(select decode(v, 'base64') from unnest({bind}::text[]) v)")
            }
            other => format!("{bind}::{}[]", bind_type(other)),
        }
    }
}

fn pattern_operator(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::Like => "like",
        Pattern::ILike => "ilike",
        Pattern::Match => "~",
        Pattern::IMatch => "~*",
    }
}

/// The expression that reads a text as a value of a type.
pub(super) fn read_as(text: &str, field_type: &FieldType) -> String {
    match field_type {
        FieldType::Bytes => format!("decode({text}, 'base64')"),
        other => format!("{text}::{}", bind_type(other)),
    }
}

/// The type that a bind is cast to: the column's, but a decimal without bounds, so that a filter with more digits
/// than the column has is compared and not rounded.
fn bind_type(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Decimal { .. } => "numeric".into(),
        other => column_type(other),
    }
}

/// PostgreSQL's text form of an array without nulls: every element quoted.
pub fn array_literal(values: &[String]) -> String {
    nullable_array_literal(values.iter().map(|v| Some(v.as_str())))
}

/// The same with nulls, as the unquoted word.
fn nullable_array_literal<'v>(values: impl IntoIterator<Item = Option<&'v str>>) -> String {
    let mut text = String::from("{");
    for (i, value) in values.into_iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        let Some(value) = value else {
            text.push_str("NULL");
            continue;
        };
        text.reserve(value.len() + 3);
        text.push('"');
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_elements_cannot_leave_their_quotes() {
        let of = |values: &[&str]| {
            array_literal(&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of(&[]), "{}");
        assert_eq!(of(&["a", "b,c", ""]), r#"{"a","b,c",""}"#);
        assert_eq!(
            of(&["\"};", "\\", "NULL", "\n"]),
            "{\"\\\"};\",\"\\\\\",\"NULL\",\"\n\"}"
        );
        assert_eq!(
            nullable_array_literal([None, Some("NULL")]),
            r#"{NULL,"NULL"}"#
        );
    }
}
