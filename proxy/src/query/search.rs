//! Full text search: languages, and the queries of `fts`.

use sql::filter::SearchSyntax;

use super::operators::Operator;

/// The text search configurations that every supported PostgreSQL (15 and later) has built in.
pub const LANGUAGES: [&str; 29] = [
    "simple",
    "arabic",
    "armenian",
    "basque",
    "catalan",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "greek",
    "hindi",
    "hungarian",
    "indonesian",
    "irish",
    "italian",
    "lithuanian",
    "nepali",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "serbian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "yiddish",
];

/// What is meant without a language: words as they are. PostgreSQL's own default is a setting that differs from server to
/// server, and an answer must not.
pub const LANGUAGE_DEFAULT: &str = "simple";

/// Most characters of a search. PostgreSQL makes a tree of it for every row; a sentence needs a tenth.
pub const SEARCH_CHARS_MAX: usize = 1_000;

/// Deepest nesting of brackets in an `fts`.
pub const SEARCH_DEPTH_MAX: usize = 16;

/// Longest distance of `<N>` (PostgreSQL's MAXENTRYPOS).
const DISTANCE_MAX: u32 = 16_384;

/// The configuration of that name.
pub(super) fn language_named(name: &str) -> Option<&'static str> {
    LANGUAGES.into_iter().find(|l| *l == name)
}

/// How an operator reads its text.
pub(super) fn syntax_of(operator: Operator) -> Option<SearchSyntax> {
    match operator {
        Operator::Fts => Some(SearchSyntax::Operators),
        Operator::Plfts => Some(SearchSyntax::Plain),
        Operator::Phfts => Some(SearchSyntax::Phrase),
        Operator::Wfts => Some(SearchSyntax::Web),
        _ => None,
    }
}

/// Reads the text of an `fts` and writes it so that `to_tsquery` takes it for certain: every word in quotes.
///
/// `word`, `'several words'`, `word:*` (a prefix), `word:AB` (weights), `!`, `&`, `|`, `<->`, `<N>`, brackets. An empty text
/// finds nothing. `None` is a text that `to_tsquery` would refuse.
pub(super) fn rewrite_query(text: &str) -> Option<String> {
    let mut reader = Reader {
        rest: text,
        written: String::with_capacity(text.len() + 16),
        depth: 0,
    };
    reader.skip_spaces();
    if reader.rest.is_empty() {
        return Some(String::new());
    }
    reader.expression()?;
    reader.rest.is_empty().then_some(reader.written)
}

struct Reader<'a> {
    rest: &'a str,
    written: String,
    depth: usize,
}

impl Reader<'_> {
    /// Operands with operators between them. PostgreSQL knows which binds closer; here they need only alternate.
    fn expression(&mut self) -> Option<()> {
        loop {
            self.operand()?;
            self.skip_spaces();
            if !self.operator()? {
                return Some(());
            }
        }
    }

    fn operand(&mut self) -> Option<()> {
        self.skip_spaces();
        // Two undo each other; PostgreSQL has room for 32 in a row and fails on more with an error of its own.
        let mut is_negated = false;
        while self.take('!') {
            is_negated = !is_negated;
            self.skip_spaces();
        }
        if is_negated {
            self.written.push('!');
        }
        if self.take('(') {
            self.depth += 1;
            if self.depth > SEARCH_DEPTH_MAX {
                return None;
            }
            self.written.push('(');
            self.expression()?;
            self.depth -= 1;
            self.written.push(')');
            return self.take(')').then_some(());
        }
        self.word()
    }

    /// An operator between operands, or `false` where the expression ends.
    fn operator(&mut self) -> Option<bool> {
        for (operator, written) in [('&', " & "), ('|', " | ")] {
            if self.take(operator) {
                self.written.push_str(written);
                return Some(true);
            }
        }
        if !self.take('<') {
            return (self.rest.is_empty() || self.rest.starts_with(')')).then_some(false);
        }
        let (distance, rest) = self.rest.split_once('>')?;
        let is_number = !distance.is_empty() && distance.bytes().all(|b| b.is_ascii_digit());
        let fits = |n: &str| n.parse::<u32>().is_ok_and(|n| n <= DISTANCE_MAX);
        if distance != "-" && !(is_number && fits(distance)) {
            return None;
        }
        self.written.push_str(&format!(" <{distance}> "));
        self.rest = rest;
        Some(true)
    }

    fn word(&mut self) -> Option<()> {
        let word = if self.take('\'') {
            self.quoted()?
        } else {
            let ends = |c: char| c.is_whitespace() || "!&|()<>:'\\".contains(c);
            let end = self.rest.find(ends).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            self.rest = rest;
            word.to_owned()
        };
        if word.is_empty() {
            return None;
        }
        self.written.push('\'');
        for character in word.chars() {
            if matches!(character, '\'' | '\\') {
                self.written.push(character);
            }
            self.written.push(character);
        }
        self.written.push('\'');
        if self.take(':') {
            let flags = |c: &char| matches!(c, '*' | 'a'..='d' | 'A'..='D');
            let flags: String = self.rest.chars().take_while(flags).collect();
            if flags.is_empty() {
                return None;
            }
            self.rest = &self.rest[flags.len()..];
            self.written.push(':');
            self.written.push_str(&flags);
        }
        Some(())
    }

    /// Up to the closing quote; a doubled one, or one behind a backslash, is text.
    fn quoted(&mut self) -> Option<String> {
        let mut word = String::new();
        let mut characters = self.rest.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => word.push(characters.next()?.1),
                '\'' if characters.peek().is_some_and(|(_, c)| *c == '\'') => {
                    characters.next();
                    word.push('\'');
                }
                '\'' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(word);
                }
                other => word.push(other),
            }
        }
        None
    }

    fn take(&mut self, character: char) -> bool {
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_written_so_that_no_word_is_an_operator() {
        let brackets = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
        let deepest = brackets(SEARCH_DEPTH_MAX).replace('a', "'a'");
        for (text, expected) in [
            ("", Some("")),
            ("  ", Some("")),
            ("cat", Some("'cat'")),
            ("cat&!rat", Some("'cat' & !'rat'")),
            ("a | ( b & c )", Some("'a' | ('b' & 'c')")),
            ("a<->b <2> c", Some("'a' <-> 'b' <2> 'c'")),
            ("foo-bar.com/x", Some("'foo-bar.com/x'")),
            ("su:*", Some("'su':*")),
            ("su:AB*", Some("'su':AB*")),
            ("'two words' & 'it''s'", Some("'two words' & 'it''s'")),
            (r"'a\\b\'c'", Some(r"'a\\b''c'")),
            ("größe & 日本", Some("'größe' & '日本'")),
            ("!!a", Some("'a'")),
            ("! ! !a", Some("!'a'")),
            ("!!(!a)", Some("(!'a')")),
            (&brackets(SEARCH_DEPTH_MAX), Some(deepest.as_str())),
            (&brackets(SEARCH_DEPTH_MAX + 1), None),
            ("a b", None),
            ("a &", None),
            ("& a", None),
            ("a & & b", None),
            ("(a", None),
            ("a)", None),
            ("()", None),
            ("!", None),
            ("a:", None),
            ("a:x", None),
            ("a:*x", None),
            (":*", None),
            ("''", None),
            ("'a", None),
            ("a <-> ", None),
            ("a <16385> b", None),
            ("a <-1> b", None),
            ("a <> b", None),
            ("a\\", None),
        ] {
            assert_eq!(rewrite_query(text).as_deref(), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-dé '\\\\&|!()<>:*0-9-]{0,40}") {
            let _ = rewrite_query(&text);
        }

        #[test]
        fn what_is_written_reads_back_as_it_is(text in "[a-dé '\\\\&|!()<>:*0-9-]{0,20}") {
            if let Some(written) = rewrite_query(&text) {
                proptest::prop_assert_eq!(rewrite_query(&written), Some(written));
            }
        }
    }
}
