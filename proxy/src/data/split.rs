//! Taking texts apart at separators that neither brackets nor quotes protect.

/// What may stand before a quote that protects: elsewhere a quote is data.
const OPENERS: &[u8] = b".(,{=>;: ";
/// What may stand behind the quote that ends it.
const CLOSERS: &[u8] = b",)};:.-= ";

/// The parts of a text between the separators that lie outside of brackets and quotes; `None` when brackets do not
/// match.
pub(super) fn split(text: &str, separator: u8) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0usize);
    // Separators, brackets and quotes are ASCII, so every place found is a boundary of characters.
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' if at == start || OPENERS.contains(&bytes[at - 1]) => {
                if let Some(length) = quoted_len(&text[at..]) {
                    at += length;
                    continue;
                }
            }
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            _ if *byte == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(&text[start..]);
    (depth == 0).then_some(parts)
}

/// The bytes of `"…"` at the start of the text, if its quotes protect.
fn quoted_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => break,
            _ => at += 1,
        }
    }
    let ends = bytes.get(at + 1).is_none_or(|b| CLOSERS.contains(b));
    ends.then_some(at + 1)
}

/// What a text wholly in quotes says; `None` if it is not.
pub(super) fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?;
    if quoted_len(text) != Some(text.len()) {
        return None;
    }
    let mut value = String::with_capacity(inner.len());
    let mut characters = inner[..inner.len() - 1].chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_quotes_protect() {
        for (text, expected) in [
            ("a,b", Some(vec!["a", "b"])),
            ("", Some(vec![""])),
            ("a(b,c),d", Some(vec!["a(b,c)", "d"])),
            (r#"a."b,c",d"#, Some(vec![r#"a."b,c""#, "d"])),
            (r#"a."b\",c",d"#, Some(vec![r#"a."b\",c""#, "d"])),
            (r#"a->"),(",b"#, Some(vec![r#"a->"),(""#, "b"])),
            // Quotes that protect nothing.
            (r#"a"b,c"d"#, Some(vec![r#"a"b"#, r#"c"d"#])),
            (r#"a."b"c,d"#, Some(vec![r#"a."b"c"#, "d"])),
            (r#"a."b,c"#, Some(vec![r#"a."b"#, "c"])),
            ("ä(ö,ü),ß", Some(vec!["ä(ö,ü)", "ß"])),
            ("a(b", None),
            ("a)b", None),
            (")(", None),
        ] {
            assert_eq!(split(text, b','), expected, "{text}");
        }
    }

    #[test]
    fn quotes_come_off_whole_values_only() {
        for (text, expected) in [
            (r#""a;b""#, Some("a;b")),
            (r#""a\"\\b""#, Some(r#"a"\b"#)),
            (r#""""#, Some("")),
            (r#""a"b""#, None),
            (r#""a"#, None),
            (r#"""#, None),
            (r#""a\""#, None),
            ("a", None),
        ] {
            assert_eq!(unquoted(text).as_deref(), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a(),;\"\\\\{}.ä]{0,24}") {
            let _ = unquoted(&text);
            if let Some(parts) = split(&text, b',') {
                proptest::prop_assert_eq!(parts.join(","), text);
            }
        }
    }
}
