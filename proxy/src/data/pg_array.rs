//! PostgreSQL's text form of arrays: `{a,"b,c",NULL}`.

/// Reads a one-dimensional array; `None` is null. An error is a text that the server does not write for the types
/// that we have.
pub(super) fn parse(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    if inner.is_empty() {
        return Some(elements);
    }
    let mut rest = inner;
    loop {
        let (element, tail) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (value, tail) = parse_quoted(quoted)?;
                (Some(value), tail)
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (word, tail) = rest.split_at(end);
                if word.is_empty() || word.contains(['{', '}', '"', '\\']) {
                    return None;
                }
                let value = if word == "NULL" {
                    None
                } else {
                    Some(word.to_owned())
                };
                (value, tail)
            }
        };
        elements.push(element);
        if tail.is_empty() {
            return Some(elements);
        }
        rest = tail.strip_prefix(',')?;
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
    use super::*;

    #[test]
    fn elements_and_nulls() {
        let some = |values: &[&str]| {
            Some(
                values
                    .iter()
                    .map(|v| Some((*v).to_owned()))
                    .collect::<Vec<_>>(),
            )
        };
        for (text, expected) in [
            ("{}", Some(vec![])),
            ("{a,b}", some(&["a", "b"])),
            (
                r#"{"a,b","c\"d","e\\f",""}"#,
                some(&["a,b", "c\"d", "e\\f", ""]),
            ),
            (
                r#"{"NULL","2026-01-01 00:00:00+00"}"#,
                some(&["NULL", "2026-01-01 00:00:00+00"]),
            ),
            ("{NULL}", Some(vec![None])),
            ("{1,-2.5}", some(&["1", "-2.5"])),
            ("{a", None),
            ("a", None),
            ("{a,}", None),
            ("{{a}}", None),
            ("{\"a}", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_we_write_reads_back(values: Vec<String>) {
            let read = parse(&sql::postgres::array_literal(&values)).unwrap();
            proptest::prop_assert_eq!(read, values.into_iter().map(Some).collect::<Vec<_>>());
        }

        #[test]
        fn no_text_panics(text in "[{},\"\\\\aNUL]{0,30}") {
            let _ = parse(&text);
        }
    }
}
