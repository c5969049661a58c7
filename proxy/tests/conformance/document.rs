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
            all if all.len() == 17 => "every type".to_owned(),
            some if some.len() == 16 && !some.contains(&"vector") => {
                "every type but vector".to_owned()
            }
            some if some.len() == 15 && !some.contains(&"array") && !some.contains(&"vector") => {
                "every type but array and vector".to_owned()
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

const EXPLAINED: &str = include_str!(
    "../data/snapshots/main__data__filters__which_operators_an_index_serves_under_the_policy.snap"
);

#[test]
fn the_table_of_indexes_is_what_explain_says() {
    let (_, lines) = EXPLAINED.split_once("tenant on\n").unwrap();
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for line in lines.lines().filter(|l| !l.contains("(english)")) {
        let [operator, served, _] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not a line of the table: {line}");
        };
        let types: Vec<_> = served.split(' ').collect();
        let words = match types.len() {
            17 => "every type".to_owned(),
            14 if !["json", "array", "vector"]
                .iter()
                .any(|t| types.contains(t)) =>
            {
                "every type but json, array and vector".to_owned()
            }
            _ if served == "-" => "no type".to_owned(),
            _ => types.join(", "),
        };
        let operator = format!("`{operator}`");
        match rows.iter_mut().find(|(w, _)| *w == words) {
            Some((_, operators)) => operators.push(operator),
            None => rows.push((words, vec![operator])),
        }
    }
    let table: String = rows
        .iter()
        .map(|(words, operators)| format!("| {words} | {} |\n", operators.join(" ")))
        .collect();
    assert!(PAGE.contains(&table), "the page's table should be\n{table}");
}
