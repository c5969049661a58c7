//! Values of a condition, by type: scalars, JSON, and arrays as `{a,"b,c"}`.

use model::{FieldType, ValueUse, parse_value};
use sql::postgres::array_literal;

use super::{IN_VALUES_MAX, code_of, refuse, scan::Token};
use crate::{
    json,
    problem::{FieldCode, FieldError},
};

/// Reads a value of a type, as it will be compared with. `shown` names the operand in errors.
pub(super) fn parse(shown: &str, field_type: &FieldType, text: &str) -> Result<String, FieldError> {
    match field_type {
        FieldType::Array { items } => {
            let elements = parse_list(shown, &items.as_field_type(), text, IN_VALUES_MAX)?;
            Ok(array_literal(&elements))
        }
        FieldType::Json => {
            let text = parse_scalar(shown, field_type, text)?;
            match json::check(&text) {
                Ok(()) => Ok(text),
                Err((code, message)) => Err(refuse(shown, code, message)),
            }
        }
        scalar => parse_scalar(shown, scalar, text),
    }
}

/// Reads `{…}` as values of a type, at most so many. Nulls, arrays in arrays and bounds of dimensions are refused: no
/// field holds them.
pub(super) fn parse_list(
    shown: &str,
    items: &FieldType,
    text: &str,
    most: usize,
) -> Result<Vec<String>, FieldError> {
    let tokens =
        split_braces(text).map_err(|message| refuse(shown, FieldCode::InvalidValue, message))?;
    if tokens.len() > most {
        let message = format!("takes at most {most} values");
        return Err(refuse(shown, FieldCode::LimitExceeded, message));
    }
    let value = |token: &Token| parse(shown, items, &token.text);
    tokens.iter().map(value).collect()
}

fn parse_scalar(shown: &str, field_type: &FieldType, text: &str) -> Result<String, FieldError> {
    parse_value(field_type, text, ValueUse::Compare)
        .map_err(|error| refuse(shown, code_of(&error), error.to_string()))
}

/// The elements of PostgreSQL's text form of an array. Spaces around an element do not count unless quoted.
fn split_braces(text: &str) -> Result<Vec<Token>, &'static str> {
    const FORM: &str = "is not a list such as {a,\"b,c\"}";
    const QUOTE: &str = "elements with braces, quotes, backslashes or commas are quoted";
    let inner = text
        .trim_matches(' ')
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .ok_or(FORM)?;
    let mut elements = Vec::new();
    let mut rest = inner.trim_start_matches(' ');
    if rest.is_empty() {
        return Ok(elements);
    }
    loop {
        rest = rest.trim_start_matches(' ');
        let (token, tail) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (text, tail) = parse_quoted(quoted).ok_or(FORM)?;
                (Token { text, quoted: true }, tail)
            }
            None => {
                let (word, tail) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                let word = word.trim_end_matches(' ');
                if word.contains(['{', '}', '"', '\\']) {
                    return Err(QUOTE);
                }
                if word.is_empty() {
                    return Err("an empty element is written \"\"");
                }
                if word.eq_ignore_ascii_case("null") {
                    return Err("a list holds no null; the text is written \"null\"");
                }
                let text = word.to_owned();
                (
                    Token {
                        text,
                        quoted: false,
                    },
                    tail,
                )
            }
        };
        elements.push(token);
        let tail = tail.trim_start_matches(' ');
        if tail.is_empty() {
            return Ok(elements);
        }
        rest = tail.strip_prefix(',').ok_or(FORM)?;
    }
}

fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use model::ScalarType;

    use super::*;

    #[test]
    fn arrays_are_read_and_written_again_by_type() {
        use FieldCode::{InvalidValue, OutOfRange};
        let (texts, numbers) = (ScalarType::Text, ScalarType::Int64);
        for (items, text, expected) in [
            (texts, "{}", Ok("{}")),
            (texts, "{ }", Ok("{}")),
            (texts, "{a}", Ok(r#"{"a"}"#)),
            (
                texts,
                r#"{a, "b,c" , new york }"#,
                Ok(r#"{"a","b,c","new york"}"#),
            ),
            (
                texts,
                r#"{"","NULL","a\"b\\c"}"#,
                Ok(r#"{"","NULL","a\"b\\c"}"#),
            ),
            (texts, "{é😀}", Ok("{\"é😀\"}")),
            (numbers, "{1,-2}", Ok(r#"{"1","-2"}"#)),
            (numbers, "{\"1\"}", Ok(r#"{"1"}"#)),
            (
                ScalarType::Timestamp,
                "{2026-01-02T03:04:05Z}",
                Ok(r#"{"2026-01-02T03:04:05.000000Z"}"#),
            ),
            (numbers, "{1.5}", Err(InvalidValue)),
            (numbers, "{9223372036854775808}", Err(OutOfRange)),
            (texts, "{a,}", Err(InvalidValue)),
            (texts, "{,a}", Err(InvalidValue)),
            (texts, "{NULL}", Err(InvalidValue)),
            (texts, "{a,null}", Err(InvalidValue)),
            (texts, "{{a}}", Err(InvalidValue)),
            (texts, "{a\\b}", Err(InvalidValue)),
            (texts, "{a\"b}", Err(InvalidValue)),
            (texts, "{\"a\"b}", Err(InvalidValue)),
            (texts, "{\"a}", Err(InvalidValue)),
            (texts, "[0:1]={a,b}", Err(InvalidValue)),
            (texts, "{a}x", Err(InvalidValue)),
            (texts, "a", Err(InvalidValue)),
            (texts, "", Err(InvalidValue)),
            (texts, "{a\0}", Err(InvalidValue)),
        ] {
            let actual = parse("tags", &FieldType::Array { items }, text).map_err(|e| e.code);
            assert_eq!(actual, expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn json_is_what_a_field_could_hold() {
        for (text, expected) in [
            ("{\"a\":1e400}", Err(FieldCode::InvalidValue)),
            ("0.10000000000000000000000000001", Ok(())),
            ("\"a\"", Ok(())),
            ("null", Ok(())),
            ("a", Err(FieldCode::InvalidValue)),
            ("", Err(FieldCode::InvalidValue)),
            ("\"\\u0000\"", Err(FieldCode::InvalidValue)),
            ("\"\\ud800\"", Err(FieldCode::InvalidValue)),
            ("{\"a\":1,\"a\":2}", Err(FieldCode::Duplicate)),
        ] {
            let actual = parse("extra", &FieldType::Json, text);
            assert_eq!(actual.map(|_| ()).map_err(|e| e.code), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_list_panics(text in "[{},\"\\\\ aé1]{0,30}") {
            let _ = parse("tags", &FieldType::Array { items: ScalarType::Text }, &text);
        }

        #[test]
        fn what_we_write_we_read(values in proptest::collection::vec("[^\0]{0,8}", 0..5)) {
            let literal = array_literal(&values);
            let array = FieldType::Array { items: ScalarType::Text };
            proptest::prop_assert_eq!(parse("tags", &array, &literal).map_err(|e| e.message), Ok(literal));
        }
    }
}
