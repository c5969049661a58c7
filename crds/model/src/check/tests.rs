use proptest::prelude::*;

use super::*;

fn fields() -> Vec<Field> {
    serde_json::from_value(serde_json::json!([
        {"name": "title", "type": "text"},
        {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
        {"name": "score", "type": "int16"},
        {"name": "stage", "type": "enum", "values": ["open", "it's"]},
        {"name": "won", "type": "bool"},
        {"name": "due", "type": "date"},
        {"name": "extra", "type": "json"},
        {"name": "length", "type": "int32"},
    ]))
    .unwrap()
}

fn read(expression: &str) -> Result<Condition, String> {
    let check = Check {
        name: "c".parse().unwrap(),
        expression: expression.into(),
    };
    check.condition(&fields()).map_err(|e| e.to_string())
}

#[test]
fn conditions_of_every_form_are_read() {
    for good in [
        "amount >= 0",
        "amount>=0.5and score<10",
        "not (stage = 'it''s' or won) and title is not null",
        "score between 1 and 10",
        "score not in (1, 2, -3)",
        "stage in ('open')",
        "length(title) > 3 and length < 5",
        "score < amount",
        "due >= '2026-01-01'",
        "won = false",
        "extra is null",
        "title != 'a'' or 1=1 --'",
    ] {
        read(good).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (bad, expected) in [
        ("", "at character 1: a field or a constant is expected"),
        (
            "amount >=",
            "at character 10: a field or a constant is expected",
        ),
        (
            "amount = 1; drop table x",
            "at character 11: a field, a constant or an operator is expected",
        ),
        (
            "amount = 1 amount",
            "at character 12: and, or, or the end is expected",
        ),
        (
            "title = 'a",
            "at character 11: the quote that ends the text is expected",
        ),
        (
            "title = 'a\0'",
            "at character 11: the quote that ends the text is expected",
        ),
        (
            "(amount = 1",
            "at character 12: a closing parenthesis is expected",
        ),
        ("nope = 1", "nope names no field of this model"),
        (
            "now() > due",
            "at character 4: and, or, or the end is expected",
        ),
        (
            "аmount = 1",
            "at character 1: a field, a constant or an operator is expected",
        ),
        ("1 = 1", "a comparison needs a field"),
        ("amount = 'x'", "a constant is not of type decimal"),
        (
            "stage = 'lost'",
            "a constant is not one of the allowed values",
        ),
        ("title < 'x'", "type text cannot be compared by order"),
        ("extra = 'x'", "type json cannot be compared"),
        ("score = due", "int16 and date cannot be compared"),
        (
            "due > '2026-13-01'",
            "a constant is not a date (YYYY-MM-DD)",
        ),
        (
            "score",
            "score is not a field of type bool, so it needs a comparison",
        ),
        ("score in (amount)", "in takes constants only"),
        ("amount = -", "at character 10: a number is expected"),
    ] {
        let found = read(bad).unwrap_err();
        // What a type's parser says is its own.
        assert!(
            found.starts_with(&expected[..expected.len().min(40)]),
            "{bad:?}: {found}"
        );
    }
    assert_eq!(
        read(&"(".repeat(17)).unwrap_err(),
        "is nested more than 16 deep"
    );
    assert_eq!(
        read(&"x".repeat(10_240)).unwrap_err(),
        "is longer than 1024 bytes"
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = read(&text);
    }

    #[test]
    fn no_sequence_of_words_makes_the_parser_panic(words in prop::collection::vec(prop::sample::select(vec![
        "amount", "score", "title", "won", "stage", "length", "(", ")", ",", "and", "or", "not", "in", "is", "null", "between",
        "=", "!=", "<", "<=", "1", "-2.5", "'a'", "''", "true", "'", "--", ";",
    ]), 0..24)) {
        let _ = read(&words.join(" "));
    }
}
