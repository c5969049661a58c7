//! Reading the bracketed parts of the language: lists and groups.

/// A cursor over a text; it only moves forward.
pub(super) struct Scan<'a> {
    rest: &'a str,
}

/// A value between separators.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub text: String,
    /// Whether double quotes protected it, so that its spaces count.
    pub quoted: bool,
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    pub fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    /// Takes the prefix if it is there.
    pub fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Everything up to the first of `stops`, which stays; all of it when there is none.
    pub fn until(&mut self, stops: &[char]) -> &'a str {
        let end = self.rest.find(stops).unwrap_or(self.rest.len());
        let (head, rest) = self.rest.split_at(end);
        self.rest = rest;
        head
    }

    /// The name of a field: up to an arrow, or to what ends an operand.
    pub fn name(&mut self) -> &'a str {
        self.until_arrow_or(&['.', '(', ',', ')'])
    }

    /// A step of a JSON path without quotes. A `-` is a part of it unless it begins the next arrow.
    pub fn step(&mut self) -> &'a str {
        self.until_arrow_or(&['(', ':', '.', ',', '>', ')'])
    }

    fn until_arrow_or(&mut self, stops: &[char]) -> &'a str {
        let end = self.rest.find(stops).unwrap_or(self.rest.len());
        let end = self.rest[..end + usize::from(self.rest[end..].starts_with('>'))]
            .find("->")
            .unwrap_or(end);
        let (head, rest) = self.rest.split_at(end);
        self.rest = rest;
        head
    }

    /// A text in double quotes, whatever follows them.
    pub fn quoted(&mut self) -> Option<String> {
        let (text, rest) = quoted(self.rest)?;
        self.rest = rest;
        Some(text)
    }

    /// A value of a list or group: `"…"` with backslash escapes, `{…}` (braces in it pair up, but for those in
    /// quotes), or a run without `,` and `)`.
    ///
    /// As in PostgREST a closing quote counts only before `,` or `)`; otherwise the quotes are data.
    pub fn value(&mut self) -> Token {
        if let Some((text, rest)) = quoted(self.rest).filter(|(_, rest)| ends_value(rest)) {
            self.rest = rest;
            return Token { text, quoted: true };
        }
        if let Some((text, rest)) = braced(self.rest).filter(|(_, rest)| ends_value(rest)) {
            self.rest = rest;
            return Token {
                text: text.to_owned(),
                quoted: false,
            };
        }
        Token {
            text: self.until(&[',', ')']).to_owned(),
            quoted: false,
        }
    }

    /// `(a,"b",…)`: the values, or `None` if it is not a list. `()` is empty, `("")` holds one empty text.
    pub fn list(&mut self) -> Option<Vec<Token>> {
        if !self.take("(") {
            return None;
        }
        if self.take(")") {
            return Some(Vec::new());
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value());
            if self.take(")") {
                return Some(values);
            }
            if !self.take(",") {
                return None;
            }
        }
    }
}

fn ends_value(rest: &str) -> bool {
    rest.starts_with([',', ')'])
}

/// `{…}` up to the brace that closes the first.
fn braced(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0usize;
    let mut in_quotes = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => in_quotes = !in_quotes,
            b'\\' if in_quotes => {
                bytes.next();
            }
            b'{' if !in_quotes => depth += 1,
            b'}' if !in_quotes => depth = depth.checked_sub(1)?,
            _ => {}
        }
        // The first byte is a brace, or there is none to close.
        if depth == 0 {
            return (byte == b'}').then(|| text.split_at(at + 1));
        }
    }
    None
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut characters = text.strip_prefix('"')?.char_indices();
    let mut value = String::new();
    while let Some((at, character)) = characters.next() {
        match character {
            // One byte was the opening quote, one is this.
            '"' => return Some((value, &text[at + 2..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Option<Vec<String>> {
        let mut scan = Scan::new(text);
        let values = scan.list()?.into_iter().map(|t| t.text).collect();
        scan.is_done().then_some(values)
    }

    #[test]
    fn lists_take_quotes_as_postgrest_does() {
        for (text, expected) in [
            ("()", Some(vec![])),
            ("(\"\")", Some(vec![""])),
            ("(a,b)", Some(vec!["a", "b"])),
            ("(\"a,b\",c)", Some(vec!["a,b", "c"])),
            ("(a\"b)", Some(vec!["a\"b"])),
            ("(\"a\"b)", Some(vec!["\"a\"b"])),
            (r#"("a\"b\\c\d")"#, Some(vec!["a\"b\\cd"])),
            ("(1, 2)", Some(vec!["1", " 2"])),
            ("({a,b},c)", Some(vec!["{a,b}", "c"])),
            ("({\"}\\\"\",b},c)", Some(vec!["{\"}\\\"\",b}", "c"])),
            (
                "({\"a\":{\"b\":[1,2]}},{})",
                Some(vec!["{\"a\":{\"b\":[1,2]}}", "{}"]),
            ),
            ("({é,ö},})", Some(vec!["{é,ö}", "}"])),
            ("({a,b)", Some(vec!["{a", "b"])),
            ("(ä,\"ö)\")", Some(vec!["ä", "ö)"])),
            ("(a)b", None),
            ("(a", None),
            ("a", None),
        ] {
            let expected = expected.map(|v| v.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(list(text), expected, "{text}");
        }
    }
}
