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

    /// A value of a list or group: `"…"` with backslash escapes, `{…}`, or a run without `,` and `)`.
    ///
    /// As in PostgREST a closing quote counts only before `,` or `)`; otherwise the quotes are data.
    pub fn value(&mut self) -> Token {
        if let Some((text, rest)) = quoted(self.rest) {
            self.rest = rest;
            return Token { text, quoted: true };
        }
        if self.rest.starts_with('{') {
            let end = self.rest.find('}').map(|at| at + 1);
            if let Some((text, rest)) = end
                .map(|end| self.rest.split_at(end))
                .filter(|(_, rest)| ends_value(rest))
            {
                self.rest = rest;
                return Token {
                    text: text.to_owned(),
                    quoted: false,
                };
            }
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

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut characters = text.strip_prefix('"')?.char_indices();
    let mut value = String::new();
    while let Some((at, character)) = characters.next() {
        match character {
            // One byte was the opening quote, one is this.
            '"' => return Some((value, &text[at + 2..])).filter(|(_, rest)| ends_value(rest)),
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
