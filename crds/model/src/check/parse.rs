//! The grammar, without types.

use super::{CHECK_BYTES_MAX, CHECK_DEPTH_MAX, CheckError, Comparison};

/// A condition as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raw {
    And(Vec<Raw>),
    Or(Vec<Raw>),
    Not(Box<Raw>),
    Compare(Value, Comparison, Value),
    In(Value, Vec<Value>),
    Between(Value, Value, Value),
    IsNull(String),
    Is(String),
}

/// A value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Field(String),
    Length(String),
    Number(String),
    Text(String),
    Bool(bool),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Number(String),
    Text(String),
    Symbol(&'static str),
    End,
}

const SYMBOLS: [&str; 10] = ["<=", ">=", "!=", "<>", "=", "<", ">", "(", ")", ","];
const KEYWORDS: [&str; 10] = [
    "and", "or", "not", "in", "is", "null", "between", "length", "true", "false",
];

pub(super) fn parse(text: &str) -> Result<Raw, CheckError> {
    if text.len() > CHECK_BYTES_MAX {
        return Err(CheckError::TooLong);
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let condition = parser.condition()?;
    match parser.peek() {
        Token::End => Ok(condition),
        _ => Err(parser.expected("and, or, or the end")),
    }
}

/// Tokens with the character that each begins at, counted from 1. The last is `End`.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, CheckError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        let at = i + 1;
        let run = |from: usize, of: fn(char) -> bool| {
            chars[from..].iter().take_while(|c| of(**c)).count()
        };
        if matches!(c, ' ' | '\t' | '\n' | '\r') {
            i += 1;
        } else if c.is_ascii_lowercase() {
            let length = run(i, |c| {
                c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
            });
            tokens.push((at, Token::Word(chars[i..i + length].iter().collect())));
            i += length;
        } else if c.is_ascii_digit() || c == '-' {
            let sign = usize::from(c == '-');
            let whole = run(i + sign, |c| c.is_ascii_digit());
            let mut length = sign + whole;
            if whole > 0 && chars.get(i + length) == Some(&'.') {
                length += 1 + run(i + length + 1, |c| c.is_ascii_digit());
            }
            if whole == 0 || chars[i + length - 1] == '.' {
                return Err(CheckError::Syntax {
                    at,
                    expected: "a number",
                });
            }
            tokens.push((at, Token::Number(chars[i..i + length].iter().collect())));
            i += length;
        } else if c == '\'' {
            let mut value = String::new();
            i += 1;
            loop {
                match (chars.get(i), chars.get(i + 1)) {
                    (Some('\''), Some('\'')) => {
                        value.push('\'');
                        i += 2;
                    }
                    (Some('\''), _) => break,
                    (Some('\0') | None, _) => {
                        return Err(CheckError::Syntax {
                            at: i + 1,
                            expected: "the quote that ends the text",
                        });
                    }
                    (Some(c), _) => {
                        value.push(*c);
                        i += 1;
                    }
                }
            }
            i += 1;
            tokens.push((at, Token::Text(value)));
        } else {
            let rest: String = chars[i..chars.len().min(i + 2)].iter().collect();
            let symbol = SYMBOLS.iter().find(|s| rest.starts_with(**s));
            let symbol = symbol.ok_or(CheckError::Syntax {
                at,
                expected: "a field, a constant or an operator",
            })?;
            tokens.push((at, Token::Symbol(symbol)));
            i += symbol.len();
        }
    }
    tokens.push((chars.len() + 1, Token::End));
    Ok(tokens)
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(_, t)| t)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn expected(&self, expected: &'static str) -> CheckError {
        let last = self.tokens.last().map_or(1, |(at, _)| *at);
        CheckError::Syntax {
            at: self.tokens.get(self.at).map_or(last, |(at, _)| *at),
            expected,
        }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(w) if w == word);
        self.at += usize::from(found);
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(s) if *s == symbol);
        self.at += usize::from(found);
        found
    }

    fn require(&mut self, symbol: &str, expected: &'static str) -> Result<(), CheckError> {
        match self.take_symbol(symbol) {
            true => Ok(()),
            false => Err(self.expected(expected)),
        }
    }

    fn deeper(&mut self) -> Result<(), CheckError> {
        self.depth += 1;
        match self.depth > CHECK_DEPTH_MAX {
            true => Err(CheckError::TooDeep),
            false => Ok(()),
        }
    }

    fn condition(&mut self) -> Result<Raw, CheckError> {
        let mut parts = vec![self.conjunction()?];
        while self.take_word("or") {
            parts.push(self.conjunction()?);
        }
        Ok(one_or(parts, Raw::Or))
    }

    fn conjunction(&mut self) -> Result<Raw, CheckError> {
        let mut parts = vec![self.negation()?];
        while self.take_word("and") {
            parts.push(self.negation()?);
        }
        Ok(one_or(parts, Raw::And))
    }

    fn negation(&mut self) -> Result<Raw, CheckError> {
        if self.take_word("not") {
            self.deeper()?;
            let inner = self.negation()?;
            self.depth -= 1;
            return Ok(Raw::Not(Box::new(inner)));
        }
        if self.take_symbol("(") {
            self.deeper()?;
            let inner = self.condition()?;
            self.depth -= 1;
            self.require(")", "a closing parenthesis")?;
            return Ok(inner);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Raw, CheckError> {
        let left = self.value()?;
        if self.take_word("is") {
            let not = self.take_word("not");
            let (Value::Field(field), true) = (left, self.take_word("null")) else {
                return Err(self.expected("a field, is, and null"));
            };
            return Ok(negated(not, Raw::IsNull(field)));
        }
        let not = self.take_word("not");
        if self.take_word("in") {
            self.require("(", "an opening parenthesis")?;
            let mut values = vec![self.value()?];
            while self.take_symbol(",") {
                values.push(self.value()?);
            }
            self.require(")", "a comma or a closing parenthesis")?;
            return Ok(negated(not, Raw::In(left, values)));
        }
        if self.take_word("between") {
            let low = self.value()?;
            if !self.take_word("and") {
                return Err(self.expected("and"));
            }
            let high = self.value()?;
            return Ok(negated(not, Raw::Between(left, low, high)));
        }
        if not {
            return Err(self.expected("in or between"));
        }
        let comparison = match self.peek() {
            Token::Symbol("=") => Comparison::Equal,
            Token::Symbol("!=" | "<>") => Comparison::NotEqual,
            Token::Symbol("<") => Comparison::Less,
            Token::Symbol("<=") => Comparison::LessOrEqual,
            Token::Symbol(">") => Comparison::Greater,
            Token::Symbol(">=") => Comparison::GreaterOrEqual,
            _ => {
                return match left {
                    Value::Field(field) => Ok(Raw::Is(field)),
                    _ => Err(self.expected("a comparison")),
                };
            }
        };
        self.at += 1;
        Ok(Raw::Compare(left, comparison, self.value()?))
    }

    fn value(&mut self) -> Result<Value, CheckError> {
        let expected = "a field or a constant";
        match self.peek() {
            Token::Word(word) if word == "length" && self.is_call() => {
                self.at += 2;
                let Token::Word(field) = self.next() else {
                    self.at -= 1;
                    return Err(self.expected("a field"));
                };
                self.require(")", "a closing parenthesis")?;
                Ok(Value::Length(field))
            }
            Token::Word(word) if word == "true" || word == "false" => {
                let value = word == "true";
                self.at += 1;
                Ok(Value::Bool(value))
            }
            // A field may be called `length`; the other keywords would be ambiguous.
            Token::Word(word) if !KEYWORDS.contains(&word.as_str()) || word == "length" => {
                let field = word.clone();
                self.at += 1;
                Ok(Value::Field(field))
            }
            Token::Number(number) => {
                let number = number.clone();
                self.at += 1;
                Ok(Value::Number(number))
            }
            Token::Text(text) => {
                let text = text.clone();
                self.at += 1;
                Ok(Value::Text(text))
            }
            _ => Err(self.expected(expected)),
        }
    }

    fn is_call(&self) -> bool {
        let next = self.tokens.get(self.at + 1);
        next.is_some_and(|(_, t)| *t == Token::Symbol("("))
    }
}

fn one_or(mut parts: Vec<Raw>, many: fn(Vec<Raw>) -> Raw) -> Raw {
    match (parts.len(), parts.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            parts.extend(last);
            many(parts)
        }
    }
}

fn negated(not: bool, condition: Raw) -> Raw {
    match not {
        true => Raw::Not(Box::new(condition)),
        false => condition,
    }
}
