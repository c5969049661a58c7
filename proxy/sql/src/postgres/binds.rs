//! Binds of one statement and the expressions that read them.

use model::{Column, FieldType, TenantId};

use super::{column_type, quote};
use crate::{
    Statement,
    filter::{Condition, Filter, Test},
};

/// Collects binds while text is written. `$1` is always the tenant.
pub(super) struct Binds {
    values: Vec<Option<String>>,
}

/// The tenant, in every statement of ours: the first fence, and the one that the planner can see through.
pub(super) const TENANT: &str = "tenant_id = $1::uuid";

impl Binds {
    pub fn new(tenant: &TenantId) -> Self {
        Self {
            values: vec![Some(tenant.to_string())],
        }
    }

    /// The expression of a value of a type.
    pub fn value(&mut self, field_type: &FieldType, value: Option<String>) -> String {
        let bind = self.push(value);
        match field_type {
            FieldType::Bytes => format!("decode({bind}::text, 'base64')"),
            other => format!("{bind}::{}", bind_type(other)),
        }
    }

    /// The expression of a value of a type that PostgreSQL names so.
    pub fn typed(&mut self, type_name: &str, value: Option<String>) -> String {
        format!("{}::{type_name}", self.push(value))
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

    fn condition(&mut self, condition: &Condition) -> String {
        let Condition { column, test } = condition;
        let name = quote(&column.name);
        match test {
            Test::Compare(comparison, value) => {
                let value = self.value(&column.field_type, Some(value.clone()));
                format!("{name} {} {value}", comparison.as_sql())
            }
            Test::Like {
                pattern,
                ignore_case,
            } => {
                let operator = if *ignore_case { "ilike" } else { "like" };
                format!(
                    "{name} {operator} {}",
                    self.typed("text", Some(pattern.clone()))
                )
            }
            // One bind whatever the length, so that one plan serves every list.
            Test::In(values) => format!("{name} = any({})", self.list(column, values)),
            Test::IsNull => format!("{name} is null"),
            Test::IsBool(value) => format!("{name} is {value}"),
        }
    }

    fn list(&mut self, column: &Column, values: &[String]) -> String {
        let bind = self.push(Some(array_literal(values)));
        match &column.field_type {
            FieldType::Bytes => {
                format!("array(select decode(v, 'base64') from unnest({bind}::text[]) v)")
            }
            other => format!("{bind}::{}[]", bind_type(other)),
        }
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
    let mut text = String::with_capacity(2 + values.iter().map(|v| v.len() + 3).sum::<usize>());
    text.push('{');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
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
    }
}
