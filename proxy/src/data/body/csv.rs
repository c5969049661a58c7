//! CSV as RFC 4180 has it, with one word more: an unquoted `NULL` is null, a quoted one is four characters.
//!
//! Written here because that difference is what readers in libraries do not tell. A quote stands at the start of a
//! field or not at all; lines end in LF or CRLF; a last line without an end counts.

/// One cell: its text, or null.
pub(super) type Cell = Option<String>;

/// The text is not CSV; the line is counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub line: usize,
}

/// Records one after the other. A line without any character is left out, as an end of file often is one.
pub(super) struct Records<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Records<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            line: 1,
        }
    }

    fn record(&mut self) -> Result<Vec<Cell>, Malformed> {
        let malformed = Malformed { line: self.line };
        let mut cells = Vec::new();
        loop {
            let cell = match self.rest.strip_prefix('"') {
                Some(quoted) => Some(self.quoted(quoted).ok_or(Malformed { line: self.line })?),
                None => {
                    let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
                    let (word, tail) = self.rest.split_at(end);
                    let word = match tail.starts_with(',') {
                        true => word,
                        false => word.strip_suffix('\r').unwrap_or(word),
                    };
                    if word.contains(['"', '\r']) {
                        return Err(malformed);
                    }
                    self.rest = tail;
                    (word != "NULL").then(|| word.to_owned())
                }
            };
            cells.push(cell);
            if let Some(tail) = self.rest.strip_prefix(',') {
                self.rest = tail;
                continue;
            }
            let after = self.rest.strip_prefix('\r').unwrap_or(self.rest);
            match after.strip_prefix('\n') {
                Some(tail) => self.rest = tail,
                None if self.rest.is_empty() => {}
                None => return Err(Malformed { line: self.line }),
            }
            self.line += 1;
            return Ok(cells);
        }
    }

    /// The text up to the closing quote; a doubled quote is one.
    fn quoted(&mut self, text: &'a str) -> Option<String> {
        let mut value = String::new();
        let mut rest = text;
        loop {
            let (part, tail) = rest.split_once('"')?;
            value.push_str(part);
            match tail.strip_prefix('"') {
                Some(more) => {
                    value.push('"');
                    rest = more;
                }
                None => {
                    self.line += value.matches('\n').count();
                    self.rest = tail;
                    return Some(value);
                }
            }
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Vec<Cell>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let empty = self
                .rest
                .strip_prefix("\r\n")
                .or_else(|| self.rest.strip_prefix('\n'));
            match empty {
                Some(tail) => {
                    self.rest = tail;
                    self.line += 1;
                }
                None => break,
            }
        }
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = "";
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Vec<Option<String>>>, usize> {
        Records::new(text)
            .collect::<Result<_, _>>()
            .map_err(|m| m.line)
    }

    #[test]
    fn cells_are_cut_where_they_end() {
        let some = |rows: &[&[Option<&str>]]| {
            Ok(rows
                .iter()
                .map(|r| r.iter().map(|c| c.map(str::to_owned)).collect())
                .collect())
        };
        for (text, expected) in [
            ("", some(&[])),
            ("a,b", some(&[&[Some("a"), Some("b")]])),
            ("a,b\r\n", some(&[&[Some("a"), Some("b")]])),
            ("\u{feff}a\n\n\nb\n", some(&[&[Some("a")], &[Some("b")]])),
            ("a,\n", some(&[&[Some("a"), Some("")]])),
            (",", some(&[&[Some(""), Some("")]])),
            (
                "NULL,\"NULL\",null",
                some(&[&[None, Some("NULL"), Some("null")]]),
            ),
            (
                "\"a,\"\"b\"\"\nc\",d",
                some(&[&[Some("a,\"b\"\nc"), Some("d")]]),
            ),
            ("\"\"", some(&[&[Some("")]])),
            (" a , b ", some(&[&[Some(" a "), Some(" b ")]])),
            ("\"a\r\nb\"\r\n", some(&[&[Some("a\r\nb")]])),
            ("a\n\"b", Err(2)),
            ("\"a\"b", Err(1)),
            ("a\"b", Err(1)),
            ("a\rb", Err(1)),
            ("\"a\nb\"\nc\"", Err(3)),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_quoted_reads_back(rows in proptest::collection::vec(proptest::collection::vec("\\PC{0,6}|[\",\r\nNUL]{0,6}", 1..4), 0..4)) {
            let text: String = rows.iter().map(|row| {
                let cells: Vec<_> = row.iter().map(|c| format!("\"{}\"", c.replace('"', "\"\""))).collect();
                cells.join(",") + "\r\n"
            }).collect();
            let expected: Vec<Vec<_>> = rows.into_iter().map(|r| r.into_iter().map(Some).collect()).collect();
            proptest::prop_assert_eq!(read(&text), Ok(expected));
        }

        #[test]
        fn no_text_panics(text in "[a\",\r\n]{0,30}") {
            let _ = read(&text);
        }
    }
}
