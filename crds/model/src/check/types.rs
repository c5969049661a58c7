//! Conditions against the fields that they are about.

use super::{
    CheckError, Comparison, Condition, Operand,
    parse::{Raw, Value},
};
use crate::{
    Field, FieldType,
    value::{ValueUse, parse_value},
};

pub(super) fn check(raw: Raw, fields: &[Field]) -> Result<Condition, CheckError> {
    let all = |list: Vec<Raw>| -> Result<Vec<_>, _> {
        list.into_iter().map(|r| check(r, fields)).collect()
    };
    match raw {
        Raw::And(list) => Ok(Condition::And(all(list)?)),
        Raw::Or(list) => Ok(Condition::Or(all(list)?)),
        Raw::Not(inner) => Ok(Condition::Not(Box::new(check(*inner, fields)?))),
        Raw::IsNull(name) => Ok(Condition::IsNull(field(&name, fields)?.name.clone())),
        Raw::Is(name) => {
            let field = field(&name, fields)?;
            match field.field_type {
                FieldType::Bool => Ok(Condition::Is(field.name.clone())),
                _ => Err(CheckError::Type(format!(
                    "{name} is not a field of type bool, so it needs a comparison"
                ))),
            }
        }
        Raw::Compare(left, comparison, right) => {
            let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
            let [left, right] = operands([left, right], fields, ordered)?;
            Ok(Condition::Compare(left, comparison, right))
        }
        Raw::Between(value, low, high) => {
            let [value, low, high] = operands([value, low, high], fields, true)?;
            Ok(Condition::Between(value, low, high))
        }
        Raw::In(value, list) => {
            if list
                .iter()
                .any(|v| matches!(v, Value::Field(_) | Value::Length(_)))
            {
                return Err(CheckError::Type("in takes constants only".into()));
            }
            let field_type = type_of(&value, fields)?.ok_or_else(no_field)?;
            comparable(&field_type, false)?;
            let value = operand(value, &field_type, fields)?;
            let list = list.into_iter().map(|v| operand(v, &field_type, fields));
            Ok(Condition::In(value, list.collect::<Result<_, _>>()?))
        }
    }
}

/// Values that are compared with one another: all of one type, which a field among them says.
fn operands<const N: usize>(
    values: [Value; N],
    fields: &[Field],
    ordered: bool,
) -> Result<[Operand; N], CheckError> {
    let mut common: Option<FieldType> = None;
    for value in &values {
        let Some(found) = type_of(value, fields)? else {
            continue;
        };
        comparable(&found, ordered)?;
        match &common {
            Some(one) if !alike(one, &found) => {
                return Err(CheckError::Type(format!(
                    "{} and {} cannot be compared",
                    one.name(),
                    found.name()
                )));
            }
            Some(_) => {}
            None => common = Some(found),
        }
    }
    let common = common.ok_or_else(no_field)?;
    let mut checked = Vec::with_capacity(N);
    for value in values {
        checked.push(operand(value, &common, fields)?);
    }
    checked.try_into().map_err(|_| no_field())
}

fn no_field() -> CheckError {
    CheckError::Type("a comparison needs a field".into())
}

fn field<'a>(name: &str, fields: &'a [Field]) -> Result<&'a Field, CheckError> {
    let found = fields.iter().find(|f| f.name.as_str() == name);
    found.ok_or_else(|| CheckError::UnknownField(name.to_owned()))
}

/// None for a constant, whose type is that of what it is compared with.
fn type_of(value: &Value, fields: &[Field]) -> Result<Option<FieldType>, CheckError> {
    match value {
        Value::Field(name) => Ok(Some(field(name, fields)?.field_type.clone())),
        Value::Length(name) => match field(name, fields)?.field_type {
            FieldType::Text { .. } | FieldType::Enum { .. } => Ok(Some(FieldType::Int32)),
            _ => Err(CheckError::Type(format!("length({name}) needs a text"))),
        },
        Value::Number(_) | Value::Text(_) | Value::Bool(_) => Ok(None),
    }
}

/// Whether values of a type have an equality, or an order that is the same for everybody (that of texts is not).
fn comparable(field_type: &FieldType, ordered: bool) -> Result<(), CheckError> {
    let fits = match field_type {
        FieldType::Json | FieldType::Bytes | FieldType::Array { .. } | FieldType::Vector { .. } => {
            false
        }
        FieldType::Bool
        | FieldType::Uuid
        | FieldType::Inet
        | FieldType::Text { .. }
        | FieldType::Enum { .. } => !ordered,
        _ => true,
    };
    match fits {
        true => Ok(()),
        false => Err(CheckError::Type(
            format!(
                "type {} cannot be compared {}",
                field_type.name(),
                if ordered { "by order" } else { "" }
            )
            .trim_end()
            .to_owned(),
        )),
    }
}

fn alike(one: &FieldType, other: &FieldType) -> bool {
    let textual = |t: &FieldType| matches!(t, FieldType::Text { .. } | FieldType::Enum { .. });
    one.name() == other.name()
        || (one.is_numeric() && other.is_numeric())
        || (textual(one) && textual(other))
}

fn operand(value: Value, field_type: &FieldType, fields: &[Field]) -> Result<Operand, CheckError> {
    let written = match value {
        Value::Field(name) => return Ok(Operand::Field(field(&name, fields)?.name.clone())),
        Value::Length(name) => return Ok(Operand::Length(field(&name, fields)?.name.clone())),
        Value::Number(text) if field_type.is_numeric() => text,
        Value::Bool(value) if *field_type == FieldType::Bool => value.to_string(),
        Value::Text(text) if !field_type.is_numeric() && *field_type != FieldType::Bool => text,
        Value::Number(_) | Value::Bool(_) | Value::Text(_) => {
            let message = format!("a constant is not of type {}", field_type.name());
            return Err(CheckError::Type(message));
        }
    };
    // A number may have more digits than the field holds; an enum's constant has to be one of its values.
    let constant = match field_type {
        t if t.is_numeric() => FieldType::Decimal {
            precision: crate::field::DECIMAL_PRECISION_MAX,
            scale: 12,
        },
        FieldType::Text { .. } => FieldType::Text { max_length: None },
        other => other.clone(),
    };
    let text = parse_value(&constant, &written, ValueUse::Store)
        .map_err(|error| CheckError::Type(format!("a constant {error}")))?;
    Ok(Operand::Constant(constant, text))
}
