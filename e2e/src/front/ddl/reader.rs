//! Walks over tokens.

use std::collections::BTreeSet;

use crate::front::{
    access::Names,
    error::Refusal,
    token::{Kind, Token, tokens},
};

/// A position among the tokens of one statement.
pub struct Reader<'a> {
    sql: &'a str,
    tokens: Vec<Token>,
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the first token. A semicolon at the end is dropped.
    pub fn new(sql: &'a str) -> Result<Self, Refusal> {
        let mut tokens = tokens(sql)?;
        if tokens.last().is_some_and(|t| t.kind == Kind::Symbol(';')) {
            tokens.pop();
        }
        Ok(Self { sql, tokens, at: 0 })
    }

    /// The keyword `ahead` tokens from here, in upper case.
    pub fn word_at(&self, ahead: usize) -> Option<String> {
        match &self.tokens.get(self.at + ahead)?.kind {
            Kind::Word(word) => Some(word.to_ascii_uppercase()),
            _ => None,
        }
    }

    /// The next token's kind.
    pub fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|t| &t.kind)
    }

    /// Takes the next token.
    pub fn advance(&mut self) -> Option<Kind> {
        let kind = self.tokens.get(self.at)?.kind.clone();
        self.at += 1;
        Some(kind)
    }

    /// Takes a keyword.
    pub fn keyword(&mut self) -> Result<String, Refusal> {
        let word = self
            .word_at(0)
            .ok_or_else(|| self.unexpected("a keyword"))?;
        self.at += 1;
        Ok(word)
    }

    /// Takes these keywords if they come next.
    pub fn take(&mut self, words: &[&str]) -> bool {
        let comes = words
            .iter()
            .enumerate()
            .all(|(i, word)| self.word_at(i).as_deref() == Some(word));
        if comes {
            self.at += words.len();
        }
        comes
    }

    /// Takes a symbol if it comes next.
    pub fn take_symbol(&mut self, symbol: char) -> bool {
        let comes = self.peek() == Some(&Kind::Symbol(symbol));
        self.at += usize::from(comes);
        comes
    }

    /// Takes these keywords.
    pub fn expect(&mut self, words: &[&str]) -> Result<(), Refusal> {
        if self.take(words) {
            Ok(())
        } else {
            Err(self.unexpected(&words.join(" ")))
        }
    }

    /// Takes a name: bare, quoted, or a text.
    pub fn name(&mut self) -> Result<String, Refusal> {
        match self.advance() {
            Some(Kind::Word(name) | Kind::Name(name) | Kind::Text(name)) => Ok(name),
            _ => Err(self.unexpected("a name")),
        }
    }

    /// Takes names with commas between them.
    pub fn names(&mut self) -> Result<Vec<String>, Refusal> {
        let mut names = vec![self.name()?];
        while self.take_symbol(',') {
            names.push(self.name()?);
        }
        Ok(names)
    }

    /// Takes `NONE`, `ALL`, `ALL EXCEPT a, b` or names; a quoted `none` is a name. The word `before` ends nothing
    /// here, it only shows that a list was empty.
    pub fn names_or_all(&mut self, before: &str) -> Result<Names, Refusal> {
        if self.word_at(0).as_deref() == Some(before) {
            return Err(self.unexpected("names"));
        }
        if self.take(&["NONE"]) {
            return Ok(Names::none());
        }
        if self.take(&["ALL"]) || self.take(&["ANY"]) {
            let except = if self.take(&["EXCEPT"]) {
                self.names()?
            } else {
                Vec::new()
            };
            return Ok(Names::AllExcept(except.into_iter().collect()));
        }
        Ok(Names::Only(
            self.names()?.into_iter().collect::<BTreeSet<_>>(),
        ))
    }

    /// The source text from here up to one of the keywords at bracket depth 0, or to the end; takes it.
    pub fn text_until(&mut self, stops: &[&str]) -> String {
        let from = self.at;
        let mut depth = 0_usize;
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Symbol('(' | '[' | '{') => depth += 1,
                Kind::Symbol(')' | ']' | '}') => depth = depth.saturating_sub(1),
                Kind::Word(word)
                    if depth == 0 && stops.contains(&word.to_ascii_uppercase().as_str()) =>
                {
                    break;
                }
                _ => {}
            }
            self.at += 1;
        }
        if self.at == from {
            return String::new();
        }
        self.sql[self.tokens[from].start..self.tokens[self.at - 1].end].to_owned()
    }

    /// The value of a setting as the text that a URL takes.
    pub fn value(&mut self) -> Result<String, Refusal> {
        let negative = self.take_symbol('-');
        match self.advance() {
            Some(Kind::Number(number)) if negative => Ok(format!("-{number}")),
            Some(Kind::Number(value) | Kind::Text(value)) => Ok(value),
            Some(Kind::Word(word)) => Ok(match word.to_ascii_lowercase().as_str() {
                "true" => "1".into(),
                "false" => "0".into(),
                _ => word,
            }),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Whether nothing is left.
    pub fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Refuses what is left: a clause that the front does not know must not be lost silently.
    pub fn end(&self) -> Result<(), Refusal> {
        if self.at_end() {
            Ok(())
        } else {
            Err(self.unexpected("the end"))
        }
    }

    fn unexpected(&self, wanted: &str) -> Refusal {
        let place = self
            .tokens
            .get(self.at)
            .map_or("", |t| &self.sql[t.start..]);
        let place: String = place.chars().take(60).collect();
        Refusal::not_implemented(format!(
            "The access front expected {wanted} before: {place}"
        ))
    }
}
