//! Conditions of the model's author as SQL. Fields become quoted columns, constants quoted literals with their type.

use model::{
    Check, ColumnName, ModelName, ModuleModel,
    check::{Comparison, Condition, Operand},
};

use super::object_name;
use crate::postgres::{column_type, literal, quote};

/// The constraint of a check: what error 23514 names.
pub fn condition_name(model: &ModelName, check: &Check) -> String {
    object_name(&[model.model.as_str(), check.name.as_str()])
}

/// The condition; none where it does not fit the model, which a checked model never has.
pub fn condition_of(model: &ModuleModel, check: &Check) -> Option<String> {
    let condition = check.condition(model.fields()).ok()?;
    Some(render(model, &condition))
}

fn render(model: &ModuleModel, condition: &Condition) -> String {
    let all = |list: &[Condition], word: &str| {
        let parts: Vec<_> = list.iter().map(|c| render(model, c)).collect();
        format!("({})", parts.join(word))
    };
    let value = |operand: &Operand| value(model, operand);
    let column = |name: &model::Ident| {
        let field = model.field(name.as_str());
        quote(&field.map_or_else(|| ColumnName::of(name), model::Field::column))
    };
    match condition {
        Condition::And(list) => all(list, " and "),
        Condition::Or(list) => all(list, " or "),
        Condition::Not(inner) => format!("(not {})", render(model, inner)),
        Condition::IsNull(field) => format!("({} is null)", column(field)),
        Condition::Is(field) => format!("({})", column(field)),
        Condition::Compare(left, comparison, right) => {
            let operator = match comparison {
                Comparison::Equal => "=",
                Comparison::NotEqual => "<>",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            format!("({} {operator} {})", value(left), value(right))
        }
        Condition::Between(of, low, high) => {
            format!("({} between {} and {})", value(of), value(low), value(high))
        }
        Condition::In(of, list) => {
            let list: Vec<_> = list.iter().map(value).collect();
            format!("({} in ({}))", value(of), list.join(", "))
        }
    }
}

fn value(model: &ModuleModel, operand: &Operand) -> String {
    let column = |name: &model::Ident| {
        let field = model.field(name.as_str());
        quote(&field.map_or_else(|| ColumnName::of(name), model::Field::column))
    };
    match operand {
        Operand::Field(field) => column(field),
        Operand::Length(field) => format!("char_length({})", column(field)),
        Operand::Constant(field_type, text) if field_type.is_numeric() => {
            format!("{}::numeric", literal(text))
        }
        Operand::Constant(field_type, text) => {
            format!("{}::{}", literal(text), column_type(field_type))
        }
    }
}
