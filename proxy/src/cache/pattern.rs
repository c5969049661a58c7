//! Patterns of invalidation: `*` matches any run of characters, every other character itself.

/// A pattern. Matching takes time in proportion to key plus pattern: the runs between stars are looked for from
/// left to right, which is enough because stars are the only wildcard.
pub struct Pattern {
    parts: Vec<String>,
}

impl Pattern {
    /// Reads a pattern; every text is one.
    pub fn new(text: &str) -> Self {
        Self {
            parts: text.split('*').map(str::to_owned).collect(),
        }
    }

    /// Whether the whole key matches.
    pub fn matches(&self, key: &str) -> bool {
        let (first, rest) = self
            .parts
            .split_first()
            .expect("splitting yields at least one part");
        let Some((last, middle)) = rest.split_last() else {
            return key == first;
        };
        let Some(mut left) = key.strip_prefix(first.as_str()) else {
            return false;
        };
        for part in middle {
            match left.find(part.as_str()) {
                Some(at) => left = &left[at + part.len()..],
                None => return false,
            }
        }
        left.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_star_is_special() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let parsed = Pattern::new(pattern);
            for key in yes {
                assert!(parsed.matches(key), "{pattern} {key}");
            }
            for key in no {
                assert!(!parsed.matches(key), "{pattern} {key}");
            }
        };
        check(
            "contacts:*",
            &["contacts:", "contacts:1", "contacts:1:x"],
            &["contact:1", "xcontacts:1"],
        );
        check("*", &["", "a"], &[]);
        check("a", &["a"], &["", "aa", "A"]);
        check(
            "a*b*c",
            &["abc", "aXbYc", "abbc", "a*b*c"],
            &["ab", "acb", "abcd"],
        );
        check("aa*aa", &["aaaa", "aaaaa"], &["aaa", "aa"]);
        check("**", &["", "x"], &[]);
        check("a?c", &["a?c"], &["abc"]);
        check("[ab]*", &["[ab]", "[ab]x"], &["a", "b"]);
        check("a\\*", &["a\\", "a\\x"], &["a*", "ax"]);
        check("^a-z", &["^a-z"], &["b"]);
        check("ä*ü", &["äöü"], &["aöü"]);
    }

    /// The definition, without any thought of speed.
    fn slowly(pattern: &[char], key: &[char]) -> bool {
        match pattern.split_first() {
            None => key.is_empty(),
            Some(('*', rest)) => (0..=key.len()).any(|n| slowly(rest, &key[n..])),
            Some((c, rest)) => key.first() == Some(c) && slowly(rest, &key[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_the_definition_matches(pattern in "[ab*?\\[]{0,6}", key in "[ab*?\\[]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::new(&pattern).matches(&key), slowly(&chars(&pattern), &chars(&key)));
        }
    }
}
