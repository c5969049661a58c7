//! PostgreSQL's text form of arrays: `{a,"b,c",NULL}`.

/// The elements of a one-dimensional array; `None` if it is not one.
pub(super) fn parse(text: &str) -> Option<Vec<Option<String>>> {
    let (elements, rest) = parse_braced(text)?;
    rest.is_empty().then_some(elements)
}

/// The rows of a two-dimensional array, `{}` being none; `None` if it is not one.
pub(super) fn parse_rows(text: &str) -> Option<Vec<Vec<Option<String>>>> {
    let mut rest = text.strip_prefix('{')?;
    let mut rows = Vec::new();
    if rest == "}" {
        return Some(rows);
    }
    loop {
        let (row, tail) = parse_braced(rest)?;
        rows.push(row);
        match tail.strip_prefix(',') {
            Some(tail) => rest = tail,
            None => return (tail == "}").then_some(rows),
        }
    }
}

/// `{a,"b",NULL}` at the start of the text, and what follows it.
fn parse_braced(text: &str) -> Option<(Vec<Option<String>>, &str)> {
    let mut rest = text.strip_prefix('{')?;
    let mut elements = Vec::new();
    if let Some(tail) = rest.strip_prefix('}') {
        return Some((elements, tail));
    }
    loop {
        let (element, tail) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (value, tail) = parse_quoted(quoted)?;
                (Some(value), tail)
            }
            None => {
                let end = rest.find([',', '}']).unwrap_or(rest.len());
                let (word, tail) = rest.split_at(end);
                if word.is_empty() || word.contains(['{', '"', '\\']) {
                    return None;
                }
                ((word != "NULL").then(|| word.to_owned()), tail)
            }
        };
        elements.push(element);
        match tail.strip_prefix(',') {
            Some(tail) => rest = tail,
            None => return Some((elements, tail.strip_prefix('}')?)),
        }
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

    #[test]
    fn rows_of_elements() {
        let some = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            ("{}", Some(vec![])),
            ("{{a}}", Some(vec![vec![some("a")]])),
            (
                r#"{{a,NULL},{"b},{",""}}"#,
                Some(vec![vec![some("a"), None], vec![some("b},{"), some("")]]),
            ),
            ("{a}", None),
            ("{{a}", None),
            ("{{a},}", None),
            ("{{a}}}", None),
            ("", None),
        ] {
            assert_eq!(parse_rows(text), expected, "{text}");
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
            let _ = (parse(&text), parse_rows(&text));
        }
    }
}
