//! One condition: `field=op.value`. Which type takes which operator is in [`super::operators`].
//!
//! A value is read by the operand's type before anything is sent; what PostgreSQL would read in several ways, or would
//! only refuse when it meets a row, is refused here.

use model::{FieldType, ModuleModel};
use sql::filter::{
    Comparison, Condition, Containment, Filter, Operand, Pattern, Quantifier, Relation, Test,
};

use super::{
    IN_VALUES_MAX, PATTERN_CHARS_MAX, QUANTIFIED_VALUES_MAX, literal,
    operand::{parse_operand, scan_operand},
    operators::{Operator, takes_quantifier},
    refuse,
    scan::{Scan, Token},
    search::{
        LANGUAGE_DEFAULT, LANGUAGES, SEARCH_CHARS_MAX, language_named, rewrite_query, syntax_of,
    },
    shown,
};
use crate::problem::{FieldCode, FieldError};

/// Reads `text`, such as `gt.5` or `not.in.(a,b)`, as a condition on a column of the model, or on a place inside of its
/// JSON (`extra->a->>b`).
///
/// At the top level quotes outside `in.(…)` and `{…}` are data. Errors name the field, and the operator with the types
/// that take it where that is what is wrong.
pub fn parse_condition(model: &ModuleModel, field: &str, text: &str) -> Result<Filter, FieldError> {
    let operand = parse_operand(model, field)?;
    let mut scan = Scan::new(text);
    let asked = Asked::scan(field, operand, &mut scan)?;
    let rest = scan.rest();
    let value = match asked.operator {
        Operator::In => {
            let values = scan.list().filter(|_| scan.is_done());
            Value::List(values.ok_or_else(|| malformed_list(field))?)
        }
        _ => Value::One(rest),
    };
    asked.parse(value)
}

/// The same inside a group: the value ends at `,` or `)`, and quotes protect it.
pub(super) fn scan_condition(
    model: &ModuleModel,
    scan: &mut Scan<'_>,
) -> Result<Filter, FieldError> {
    let start = scan.rest();
    let operand = scan_operand(model, scan)?;
    let field = &start[..start.len() - scan.rest().len()];
    if !scan.take(".") {
        return Err(needs_operator(field));
    }
    let asked = Asked::scan(field, operand, scan)?;
    match asked.operator {
        Operator::In => {
            let values = scan.list().ok_or_else(|| malformed_list(field))?;
            asked.parse(Value::List(values))
        }
        _ => {
            let token = scan.value();
            let text = meant(asked.operand.field_type(), &token);
            asked.parse(Value::One(text))
        }
    }
}

/// Everything of a condition but its value.
struct Asked<'a> {
    /// The operand as the client wrote it.
    field: &'a str,
    operand: Operand,
    negated: bool,
    operator: Operator,
    quantifier: Option<Quantifier>,
    language: Option<&'static str>,
}

enum Value<'a> {
    One(&'a str),
    List(Vec<Token>),
}

impl<'a> Asked<'a> {
    /// Reads `not.op(any).`; what is left is the value.
    fn scan(field: &'a str, operand: Operand, scan: &mut Scan<'_>) -> Result<Self, FieldError> {
        let negated = scan.take("not.");
        let name = scan.until(&['.', '(', ',', ')']);
        let argument = if scan.take("(") {
            let argument = scan.until(&['.', '(', ',', ')']);
            if !scan.take(")") {
                return Err(needs_operator(field));
            }
            Some(argument)
        } else {
            None
        };
        if !scan.take(".") {
            return Err(needs_operator(field));
        }
        let operator = Operator::named(name).ok_or_else(|| unknown_operator(field, name))?;
        let mut asked = Self {
            field,
            operand,
            negated,
            operator,
            quantifier: None,
            language: None,
        };
        asked.check_type()?;
        if let Some(argument) = argument {
            asked.take_argument(argument)?;
        }
        Ok(asked)
    }

    fn check_type(&self) -> Result<(), FieldError> {
        let (operator, field_type) = (self.operator, self.operand.field_type());
        if operator.takes(field_type) {
            return Ok(());
        }
        let name = operator.name();
        let message = match operator.types().as_slice() {
            [] => format!("operator {name} takes ranges, which no field is"),
            types => format!(
                "operator {name} does not take type {}; it takes {}",
                field_type.name(),
                types.join(", ")
            ),
        };
        Err(self.refuse(FieldCode::InvalidOperator, message))
    }

    fn take_argument(&mut self, argument: &str) -> Result<(), FieldError> {
        let name = self.operator.name();
        if self.operator.is_search() {
            let Some(language) = language_named(argument) else {
                let message = format!(
                    "operator {name} takes one of these languages: {}",
                    LANGUAGES.join(", ")
                );
                return Err(self.refuse(FieldCode::InvalidOperator, message));
            };
            self.language = Some(language);
            return Ok(());
        }
        if !self.operator.is_quantifiable() {
            let message = format!("operator {name} takes nothing in brackets");
            return Err(self.refuse(FieldCode::InvalidOperator, message));
        }
        self.quantifier = Some(match argument {
            "any" => Quantifier::Any,
            "all" => Quantifier::All,
            _ => {
                let message = format!("operator {name} takes (any) or (all)");
                return Err(self.refuse(FieldCode::InvalidOperator, message));
            }
        });
        let field_type = self.operand.field_type();
        if !takes_quantifier(self.operator, field_type) {
            let message = format!(
                "operator {name}({argument}) does not take type {}; it takes every type but array",
                field_type.name()
            );
            return Err(self.refuse(FieldCode::InvalidOperator, message));
        }
        Ok(())
    }

    fn parse(self, value: Value<'_>) -> Result<Filter, FieldError> {
        let negated = self.negated;
        let filter = match value {
            Value::List(tokens) => self.with(Test::In(self.parse_in(&tokens)?)),
            Value::One(text) if self.operator == Operator::Is => self.parse_is(text)?,
            Value::One(text) => self.with(self.parse_test(text)?),
        };
        Ok(if negated {
            Filter::Not(Box::new(filter))
        } else {
            filter
        })
    }

    fn with(&self, test: Test) -> Filter {
        Filter::Condition(Condition {
            operand: self.operand.clone(),
            test,
        })
    }

    fn parse_test(&self, text: &str) -> Result<Test, FieldError> {
        if let Some(relation) = relation_of(self.operator) {
            return self.parse_relation(relation, text);
        }
        if let Some(syntax) = syntax_of(self.operator) {
            return Ok(Test::Search {
                syntax,
                language: self.language.unwrap_or(LANGUAGE_DEFAULT),
                query: self.parse_search(text)?,
            });
        }
        let value = self.parse_value(text)?;
        Ok(match self.operator {
            Operator::Cs => Test::Contain(Containment::Contains, value),
            Operator::Cd => Test::Contain(Containment::ContainedBy, value),
            Operator::Ov => Test::Contain(Containment::Overlaps, value),
            Operator::IsDistinct => Test::IsDistinct(value),
            _ => {
                unreachable!("in and is are read elsewhere, and no type takes the range operators")
            }
        })
    }

    fn parse_relation(&self, relation: Relation, text: &str) -> Result<Test, FieldError> {
        let Some(quantifier) = self.quantifier else {
            return Ok(match relation {
                Relation::Compare(comparison) => Test::Compare(comparison, self.parse_value(text)?),
                Relation::Pattern(pattern) => {
                    Test::Pattern(pattern, self.parse_pattern(pattern, text)?)
                }
            });
        };
        let field_type = self.operand.field_type();
        let mut values = literal::parse_list(self.field, field_type, text, QUANTIFIED_VALUES_MAX)?;
        if let Relation::Pattern(pattern) = relation {
            for value in &mut values {
                *value = self.parse_pattern(pattern, value)?;
            }
        }
        Ok(Test::Quantified(relation, quantifier, values))
    }

    fn parse_value(&self, text: &str) -> Result<String, FieldError> {
        literal::parse(self.field, self.operand.field_type(), text)
    }

    fn parse_in(&self, tokens: &[Token]) -> Result<Vec<String>, FieldError> {
        if tokens.len() > IN_VALUES_MAX {
            let message = format!("in takes at most {IN_VALUES_MAX} values");
            return Err(self.refuse(FieldCode::LimitExceeded, message));
        }
        let field_type = self.operand.field_type();
        tokens
            .iter()
            .map(|token| self.parse_value(meant(field_type, token)))
            .collect()
    }

    /// `*` is the wildcard of `like` on the wire; `%`, `_` and `\` pass through as in PostgREST.
    fn parse_pattern(&self, pattern: Pattern, text: &str) -> Result<String, FieldError> {
        let name = self.operator.name();
        if text.contains('\0') {
            return Err(self.refuse(FieldCode::InvalidValue, "contains the character U+0000"));
        }
        if matches!(pattern, Pattern::Match | Pattern::IMatch) {
            if text.chars().count() > PATTERN_CHARS_MAX {
                let message = format!("{name} takes at most {PATTERN_CHARS_MAX} characters");
                return Err(self.refuse(FieldCode::LimitExceeded, message));
            }
            return Ok(text.to_owned());
        }
        let trailing = text.bytes().rev().take_while(|b| *b == b'\\').count();
        if trailing % 2 == 1 {
            let message = "a pattern does not end with a lone backslash";
            return Err(self.refuse(FieldCode::InvalidValue, message));
        }
        Ok(text.replace('*', "%"))
    }

    fn parse_search(&self, text: &str) -> Result<String, FieldError> {
        if text.contains('\0') {
            return Err(self.refuse(FieldCode::InvalidValue, "contains the character U+0000"));
        }
        if text.chars().count() > SEARCH_CHARS_MAX {
            let message = format!(
                "{} takes at most {SEARCH_CHARS_MAX} characters",
                self.operator.name()
            );
            return Err(self.refuse(FieldCode::LimitExceeded, message));
        }
        if self.operator != Operator::Fts {
            return Ok(text.to_owned());
        }
        rewrite_query(text).ok_or_else(|| {
            let message =
                "fts takes words joined by &, |, !, <-> and brackets; plfts takes plain text";
            self.refuse(FieldCode::InvalidValue, message)
        })
    }

    fn parse_is(&self, text: &str) -> Result<Filter, FieldError> {
        let field_type = self.operand.field_type();
        let is_bool = *field_type == FieldType::Bool;
        match text.to_ascii_lowercase().as_str() {
            "null" => Ok(self.with(Test::IsNull)),
            "not_null" => Ok(Filter::Not(Box::new(self.with(Test::IsNull)))),
            "unknown" if is_bool => Ok(self.with(Test::IsNull)),
            word @ ("true" | "false") if is_bool => Ok(self.with(Test::IsBool(word == "true"))),
            word @ ("true" | "false" | "unknown") => {
                let message = format!(
                    "operator is.{word} does not take type {}; it takes bool",
                    field_type.name()
                );
                Err(self.refuse(FieldCode::InvalidOperator, message))
            }
            _ => {
                let message = "is takes null, not_null, true, false or unknown";
                Err(self.refuse(FieldCode::InvalidValue, message))
            }
        }
    }

    fn refuse(&self, code: FieldCode, message: impl Into<String>) -> FieldError {
        refuse(self.field, code, message)
    }
}

fn relation_of(operator: Operator) -> Option<Relation> {
    use Comparison::{Eq, Gt, Gte, Lt, Lte, Neq};
    Some(match operator {
        Operator::Eq => Relation::Compare(Eq),
        Operator::Neq => Relation::Compare(Neq),
        Operator::Gt => Relation::Compare(Gt),
        Operator::Gte => Relation::Compare(Gte),
        Operator::Lt => Relation::Compare(Lt),
        Operator::Lte => Relation::Compare(Lte),
        Operator::Like => Relation::Pattern(Pattern::Like),
        Operator::ILike => Relation::Pattern(Pattern::ILike),
        Operator::Match => Relation::Pattern(Pattern::Match),
        Operator::IMatch => Relation::Pattern(Pattern::IMatch),
        _ => return None,
    })
}

fn needs_operator(field: &str) -> FieldError {
    refuse(
        field,
        FieldCode::InvalidOperator,
        "needs an operator and a value, such as eq.1",
    )
}

fn unknown_operator(field: &str, name: &str) -> FieldError {
    let names: Vec<_> = Operator::ALL.iter().map(|o| o.name()).collect();
    let message = format!(
        "operator {} is unknown; there are {}",
        shown(name),
        names.join(" ")
    );
    refuse(field, FieldCode::InvalidOperator, message)
}

fn malformed_list(field: &str) -> FieldError {
    refuse(
        field,
        FieldCode::InvalidValue,
        "in takes a list such as in.(a,b)",
    )
}

/// Spaces around a value without quotes are data in a text and nothing in a number.
fn meant<'a>(field_type: &FieldType, token: &'a Token) -> &'a str {
    let keeps_spaces = matches!(field_type, FieldType::Text { .. } | FieldType::Enum { .. });
    if keeps_spaces || token.quoted {
        &token.text
    } else {
        token.text.trim_matches(' ')
    }
}

#[cfg(test)]
mod tests;
