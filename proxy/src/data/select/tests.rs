use super::*;

fn model() -> ModuleModel {
    serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 200,
        "fields": [
            {"name": "title", "type": "text"},
            {"name": "seats", "type": "int32"},
            {"name": "blob", "type": "bytes"},
            {"name": "day", "type": "date"},
            {"name": "extra", "type": "json"},
        ],
    }))
    .unwrap()
}

/// `name=column->steps::cast`, or the code.
fn parse(text: &str) -> Result<Vec<String>, FieldCode> {
    let show = |s: &Selected| {
        let mut text = format!("{}={}", s.name, s.output.operand.column.name.as_str());
        if let Some(path) = &s.output.operand.path {
            let last = if path.as_text { ">>" } else { ">" };
            text.push_str(&format!("{last}{}", path.steps.join("|")));
        }
        if let Some(cast) = s.output.cast {
            text.push_str(&format!("::{cast:?}"));
        }
        text
    };
    let all = parse_select(&model(), text).map_err(|e| e.code)?;
    Ok(all.iter().map(show).collect())
}

#[test]
fn values_have_names_casts_and_paths() {
    for (text, expected) in [
        ("id, title", vec!["id=id", "title=title"]),
        ("total:seats,seats", vec!["total=seats", "seats=seats"]),
        ("Größe 1:seats", vec!["Größe 1=seats"]),
        ("seats::text", vec!["seats=seats::Text"]),
        ("n:title::bigint", vec!["n=title::Int64"]),
        ("day::timestamp", vec!["day=day::Timestamp"]),
        ("extra->crew->>captain", vec!["captain=extra>>crew|captain"]),
        ("extra->crew->0", vec!["crew=extra>crew|0"]),
        ("extra->-1", vec!["extra=extra>-1"]),
        ("extra->a-b->>c", vec!["c=extra>>a-b|c"]),
        (r#"extra->>"a,b:c""#, vec!["a,b:c=extra>>a,b:c"]),
        (
            r#"x:extra->"a\"->b"->>c::int"#,
            vec!["x=extra>>a\"->b|c::Int32"],
        ),
    ] {
        assert_eq!(
            parse(text),
            Ok(expected.into_iter().map(str::to_owned).collect()),
            "{text}"
        );
    }
    assert_eq!(parse("*,deleted_at").map(|all| all.len()), Ok(12));
}

#[test]
fn what_cannot_be_selected_is_refused() {
    use FieldCode::{Duplicate, InvalidOperator, InvalidValue, LimitExceeded, UnknownField};
    for (text, code) in [
        ("", InvalidValue),
        ("id,", InvalidValue),
        ("id)", InvalidValue),
        (":seats", InvalidValue),
        ("a\"b:seats", InvalidValue),
        ("title,title", Duplicate),
        ("*,title", Duplicate),
        ("title:seats,title", Duplicate),
        ("nope", UnknownField),
        ("tenant_id", UnknownField),
        ("delete_id", UnknownField),
        ("nope->a", UnknownField),
        ("title->a", InvalidOperator),
        ("extra->", InvalidValue),
        ("extra->>a->b", InvalidValue),
        ("extra->a>b", InvalidValue),
        ("seats::", InvalidValue),
        ("seats::regclass", InvalidValue),
        ("seats::int[]", InvalidValue),
        ("seats::date", InvalidOperator),
        ("blob::int", InvalidOperator),
        ("company(name)", InvalidValue),
        ("...company(name)", InvalidValue),
        ("seats.sum()", InvalidValue),
        ("count()", InvalidValue),
    ] {
        assert_eq!(parse(text), Err(code), "{text}");
    }
    let many = |n: usize| {
        let items: Vec<_> = (0..n).map(|i| format!("a{i}:id")).collect();
        parse(&items.join(","))
    };
    assert!(many(SELECT_MAX).is_ok());
    assert_eq!(many(SELECT_MAX + 1), Err(LimitExceeded));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(extra|title|id|->|->>|:|::|int|\"|\\\\|[(),*ä. 0-9-]){0,12}") {
        let _ = parse(&text);
    }
}
