//! `docs/query-language.md` stays true: every example is run and its answer compared, and its table of operators is the
//! one that requests are read by.

use proxy::query::operators::Operator;
use serde_json::Value;

use super::lab::Lab;

const PAGE: &str = include_str!("../../../docs/query-language.md");

/// Requests of the page, each with the answer that follows it.
fn examples() -> Vec<(&'static str, &'static str)> {
    let blocks = |text: &'static str, mark: &str| {
        let (_, rest) = text.split_once(mark)?;
        rest.split_once("\n```")
    };
    let mut found = Vec::new();
    let mut rest = PAGE;
    while let Some((request, after)) = blocks(rest, "```http\n") {
        let (answer, after) = blocks(after, "```json\n").expect("an answer follows its request");
        found.push((request, answer));
        rest = after;
    }
    found
}

#[tokio::test]
async fn every_example_of_the_page_is_true() {
    let lab = Lab::new().await;
    let examples = examples();
    assert!(examples.len() > 15, "the page has lost its examples");
    for (request, answer) in examples {
        let target = request.strip_prefix("GET /v1/data/crm/").unwrap();
        let expected: Value = serde_json::from_str(answer).unwrap();
        let seen = lab.get(target).await.json();
        // A page's records, or the part of the answer that the example is about.
        let actual = match &expected {
            Value::Object(part) => {
                let parts = part.keys().map(|k| (k.clone(), seen[k].clone()));
                Value::Object(parts.collect())
            }
            _ => seen["data"].clone(),
        };
        if actual != expected {
            lab.fail(format!("{request}\n{actual}")).await;
        }
    }
    lab.finish().await;
}

/// The operators as PostgreSQL spells them.
#[rustfmt::skip]
const SPELLED: [(&str, &str); 25] = [
    ("eq", "="), ("neq", "<>"), ("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<="), ("like", "LIKE"), ("ilike", "ILIKE"),
    ("match", "~"), ("imatch", "~*"), ("in", "= ANY"), ("is", "IS"), ("isdistinct", "IS DISTINCT FROM"),
    ("fts", "@@ to_tsquery"), ("plfts", "@@ plainto_tsquery"), ("phfts", "@@ phraseto_tsquery"),
    ("wfts", "@@ websearch_to_tsquery"), ("cs", "@>"), ("cd", "<@"), ("ov", "&&"), ("sl", "<<"), ("sr", ">>"), ("nxr", "&<"),
    ("nxl", "&>"), ("adj", "-\\|-"),
];

#[test]
fn the_table_of_operators_is_the_one_that_requests_are_read_by() {
    let mut table = String::new();
    for (name, sql) in SPELLED {
        let operator = Operator::named(name).unwrap();
        let types = match operator.types() {
            none if none.is_empty() => "none yet".to_owned(),
            all if all.len() == 16 => "every type".to_owned(),
            some if some.len() == 15 && !some.contains(&"array") => {
                "every type but array".to_owned()
            }
            some => some.join(", "),
        };
        let quantified = if operator.is_quantifiable() {
            "yes"
        } else {
            ""
        };
        table.push_str(&format!(
            "| `{name}` | `{sql}` | {quantified} | {types} |\n"
        ));
    }
    assert!(PAGE.contains(&table), "the page's table should be\n{table}");
}
