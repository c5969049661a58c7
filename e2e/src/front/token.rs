//! ClickHouse's tokens, as far as access DDL needs them.

use super::error::Refusal;

/// One token and where it is in the text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it begins.
    pub start: usize,
    /// Where it ends, exclusive.
    pub end: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or a bare name.
    Word(String),
    /// A name in backticks or double quotes, unescaped.
    Name(String),
    /// A literal in single quotes or a heredoc, unescaped.
    Text(String),
    /// A number as written.
    Number(String),
    /// Anything else.
    Symbol(char),
}

/// All tokens of a text; comments and white space are left out.
pub fn tokens(sql: &str) -> Result<Vec<Token>, Refusal> {
    let bytes = sql.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = sql[at..].chars().next() {
        let start = at;
        let rest = &sql[at..];
        let kind = if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if rest.starts_with("--") || rest.starts_with("#!") || rest.starts_with("# ") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            continue;
        } else if matches!(c, '\'' | '`' | '"') {
            let (text, length) = quoted(rest, c)?;
            at += length;
            if c == '\'' {
                Kind::Text(text)
            } else {
                Kind::Name(text)
            }
        } else if let Some((text, length)) = heredoc(rest) {
            at += length;
            Kind::Text(text)
        } else if c.is_ascii_digit() {
            at += length_while(bytes, at, |b| {
                b.is_ascii_alphanumeric() || b == b'.' || b == b'_'
            });
            Kind::Number(sql[start..at].to_owned())
        } else if c.is_ascii_alphabetic() || c == '_' {
            at += length_while(bytes, at, |b| b.is_ascii_alphanumeric() || b == b'_');
            Kind::Word(sql[start..at].to_owned())
        } else {
            at += c.len_utf8();
            Kind::Symbol(c)
        };
        found.push(Token {
            kind,
            start,
            end: at,
        });
    }
    Ok(found)
}

fn length_while(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().take_while(|b| belongs(**b)).count()
}

/// The text between quotes, where a backslash or a doubled quote escapes, and the length with the quotes.
fn quoted(rest: &str, quote: char) -> Result<(String, usize), Refusal> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, 'r')) => text.push('\r'),
                Some((_, '0')) => text.push('\0'),
                Some((_, other)) => text.push(other),
                None => break,
            },
            c if c == quote => {
                if chars.next_if(|(_, next)| *next == quote).is_none() {
                    return Ok((text, at + c.len_utf8()));
                }
                text.push(quote);
            }
            c => text.push(c),
        }
    }
    Err(Refusal::syntax("a quote is not closed"))
}

/// `$tag$ … $tag$`, with the whole length.
fn heredoc(rest: &str) -> Option<(String, usize)> {
    let tag_end = rest.strip_prefix('$')?.find('$')? + 2;
    let tag = &rest[..tag_end];
    if !tag[1..tag_end - 1]
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        return None;
    }
    let length = rest[tag_end..].find(tag)?;
    Some((
        rest[tag_end..tag_end + length].to_owned(),
        tag_end + length + tag.len(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<Kind> {
        tokens(sql).unwrap().into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn quotes_comments_and_heredocs_are_read_as_clickhouse_reads_them() {
        let word = |s: &str| Kind::Word(s.into());
        assert_eq!(kinds("a /* b */ -- c\n d"), [word("a"), word("d")]);
        assert_eq!(kinds(r"'it''s \'x\\'"), [Kind::Text(r"it's 'x\".into())]);
        assert_eq!(
            kinds("`a.b`.\"c\""),
            [
                Kind::Name("a.b".into()),
                Kind::Symbol('.'),
                Kind::Name("c".into())
            ]
        );
        assert_eq!(
            kinds("$x$ it's $x$ 1.5"),
            [Kind::Text(" it's ".into()), Kind::Number("1.5".into())]
        );
        assert!(tokens("'open").is_err());
    }
}
