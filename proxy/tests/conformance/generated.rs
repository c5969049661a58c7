//! Requests made at random, together with the SQL that means the same.
//!
//! A failure prints the smallest request that fails and the seed; `CONFORMANCE_SEED=<seed>` runs the same ones again.

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

use super::{
    kinds::{KINDS, Kind},
    lab::{Lab, pair},
    operators::quoted,
    orders::walk,
};

/// Requests of one run: some seconds.
const CASES: u32 = 150;

/// A tree of conditions on `samples`.
#[derive(Debug, Clone)]
enum Node {
    Leaf {
        kind: &'static Kind,
        negated: bool,
        test: Test,
    },
    Group {
        any: bool,
        negated: bool,
        members: Vec<Node>,
    },
}

/// What is asked of one field. Values are of the kind's list.
#[derive(Debug, Clone)]
enum Test {
    Infix(&'static str, &'static str, &'static str),
    Quantified(&'static str, &'static str, bool, Vec<&'static str>),
    In(Vec<&'static str>),
    Is(&'static str),
}

/// Rows by what they are related to, through `twin_id` either way.
#[derive(Debug, Clone)]
struct Related {
    to_many: bool,
    none: bool,
    filter: Option<Node>,
}

#[derive(Debug, Clone)]
struct Asked {
    filters: Vec<Node>,
    order: Vec<(&'static Kind, bool, Option<bool>)>,
    related: Option<Related>,
    limit: usize,
    offset: usize,
}

const INFIX: [(&str, &str); 7] = [
    ("eq", "="),
    ("neq", "<>"),
    ("gt", ">"),
    ("gte", ">="),
    ("lt", "<"),
    ("lte", "<="),
    ("isdistinct", "is distinct from"),
];
const ARRAY: [(&str, &str); 3] = [("cs", "@>"), ("cd", "<@"), ("ov", "&&")];

fn leaf() -> impl Strategy<Value = Node> {
    (0..KINDS.len()).prop_flat_map(|at| {
        let kind = &KINDS[at];
        let values: Vec<&'static str> = kind.asked().collect();
        let value = proptest::sample::select(values);
        let several = proptest::collection::vec(value.clone(), 0..5);
        let infix = |operators: &'static [(&str, &str)]| {
            (proptest::sample::select(operators), value.clone())
                .prop_map(|((name, sql), v)| Test::Infix(name, sql, v))
                .boxed()
        };
        let is = proptest::sample::select(&["null", "not_null"][..])
            .prop_map(Test::Is)
            .boxed();
        let list = several.clone().prop_map(Test::In).boxed();
        let quantified = (
            proptest::sample::select(&INFIX[2..6]),
            any::<bool>(),
            several,
        )
            .prop_map(|((name, sql), all, values)| Test::Quantified(name, sql, all, values))
            .boxed();
        let test = match kind.name {
            "vector" => is,
            "array" => prop_oneof![infix(&ARRAY), is].boxed(),
            "json" => prop_oneof![infix(&INFIX[..2]), infix(&ARRAY[..2]), is].boxed(),
            _ => prop_oneof![3 => infix(&INFIX), 1 => list, 1 => quantified, 1 => is].boxed(),
        };
        (test, any::<bool>()).prop_map(move |(test, negated)| Node::Leaf {
            kind,
            negated,
            test,
        })
    })
}

fn node() -> impl Strategy<Value = Node> {
    leaf().prop_recursive(3, 12, 4, |inner| {
        (
            proptest::collection::vec(inner, 1..4),
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(|(members, any, negated)| Node::Group {
                any,
                negated,
                members,
            })
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let sortable: Vec<&'static Kind> = KINDS.iter().filter(|k| k.has_order()).collect();
    let key = (any::<bool>(), proptest::option::of(any::<bool>()));
    let order = (
        proptest::sample::subsequence(sortable, 0..3).prop_shuffle(),
        proptest::collection::vec(key, 3),
    )
        .prop_map(|(kinds, keys)| {
            kinds
                .into_iter()
                .zip(keys)
                .map(|(k, (d, n))| (k, d, n))
                .collect()
        });
    let related = (any::<bool>(), any::<bool>(), proptest::option::of(leaf())).prop_map(
        |(to_many, none, filter)| Related {
            to_many,
            none,
            filter,
        },
    );
    (
        proptest::collection::vec(node(), 0..3),
        order,
        proptest::option::weighted(0.3, related),
        1..30usize,
        prop_oneof![3 => Just(0usize), 1 => 0..40usize],
    )
        .prop_map(|(filters, order, related, limit, offset)| Asked {
            filters,
            order,
            related,
            limit,
            offset,
        })
}

impl Node {
    /// As parameters at the top of a query.
    fn parameter(&self) -> (String, String) {
        match self {
            Self::Leaf {
                kind,
                negated,
                test,
            } => (
                kind.field.to_owned(),
                format!("{}{}", not(*negated), test.wire(false)),
            ),
            Self::Group {
                any,
                negated,
                members,
            } => (format!("{}{}", not(*negated), group(*any)), inside(members)),
        }
    }

    /// As a member of a group.
    fn member(&self) -> String {
        match self {
            Self::Leaf {
                kind,
                negated,
                test,
            } => format!("{}.{}{}", kind.field, not(*negated), test.wire(true)),
            Self::Group {
                any,
                negated,
                members,
            } => format!("{}{}{}", not(*negated), group(*any), inside(members)),
        }
    }

    fn sql(&self, table: &str) -> String {
        let (negated, text) = match self {
            Self::Leaf {
                kind,
                negated,
                test,
            } => (negated, test.sql(kind, table)),
            Self::Group {
                any,
                negated,
                members,
            } => {
                let members: Vec<_> = members.iter().map(|m| m.sql(table)).collect();
                (negated, members.join(if *any { " or " } else { " and " }))
            }
        };
        if *negated {
            format!("(not ({text}))")
        } else {
            format!("({text})")
        }
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "not." } else { "" }
}

fn group(any: bool) -> &'static str {
    if any { "or" } else { "and" }
}

fn inside(members: &[Node]) -> String {
    let members: Vec<_> = members.iter().map(Node::member).collect();
    format!("({})", members.join(","))
}

impl Test {
    fn wire(&self, grouped: bool) -> String {
        let list = |values: &[&str]| {
            values
                .iter()
                .map(|v| quoted(v))
                .collect::<Vec<_>>()
                .join(",")
        };
        match self {
            Self::Infix(name, _, value) if grouped && !is_plain(value) => {
                format!("{name}.{}", quoted(value))
            }
            Self::Infix(name, _, value) => format!("{name}.{value}"),
            Self::Quantified(name, _, all, values) => {
                let text = format!("{{{}}}", list(values));
                // Braces within quotes end the braces' own protection in a group.
                let text = if grouped { quoted(&text) } else { text };
                format!("{name}({}).{text}", if *all { "all" } else { "any" })
            }
            Self::In(values) => format!("in.({})", list(values)),
            Self::Is(word) => format!("is.{word}"),
        }
    }

    fn sql(&self, kind: &Kind, table: &str) -> String {
        let field = format!("{table}.{}", kind.field);
        let each = |sql: &str, values: &[&str], joint: &str, empty: &str| match values {
            [] => empty.to_owned(),
            some => some
                .iter()
                .map(|v| format!("{field} {sql} {}", kind.literal(v)))
                .collect::<Vec<_>>()
                .join(joint),
        };
        match self {
            Self::Infix(_, sql, value) => format!("{field} {sql} {}", kind.literal(value)),
            Self::Quantified(_, sql, true, values) => each(sql, values, " and ", "true"),
            Self::Quantified(_, sql, false, values) => each(sql, values, " or ", "false"),
            Self::In(values) => each("=", values, " or ", "false"),
            Self::Is("null") => format!("{field} is null"),
            Self::Is(_) => format!("{field} is not null"),
        }
    }
}

/// Whether a value needs no quotes inside of a group.
fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | ':' | '.' | '/' | '=' | '_' | '%'))
}

impl Asked {
    fn query(&self) -> String {
        let mut pairs: Vec<_> = self.filters.iter().map(Node::parameter).collect();
        let order: Vec<_> = self
            .order
            .iter()
            .map(|(kind, descending, first)| {
                let way = if *descending { ".desc" } else { "" };
                let nulls = match first {
                    None => "",
                    Some(true) => ".nullsfirst",
                    Some(false) => ".nullslast",
                };
                format!("{}{way}{nulls}", kind.field)
            })
            .chain(["id".to_owned()])
            .collect();
        pairs.push(("order".into(), order.join(",")));
        if let Some(related) = &self.related {
            let name = if related.to_many { "samples" } else { "twin" };
            let word = if related.none { "none" } else { "inner" };
            let filter = related
                .filter
                .as_ref()
                .map(|f| format!("(or=({}))", f.member()))
                .unwrap_or_default();
            pairs.push(("include".into(), format!("{name}!{word}{filter}")));
        }
        pairs.push(("select".into(), "id".into()));
        pairs
            .iter()
            .map(|(n, v)| pair(n, v))
            .collect::<Vec<_>>()
            .join("&")
    }

    fn sql(&self) -> String {
        let mut conditions: Vec<_> = self.filters.iter().map(|f| f.sql("t")).collect();
        if let Some(Related {
            to_many,
            none,
            filter,
        }) = &self.related
        {
            let join = if *to_many {
                "w.twin_id = t.id"
            } else {
                "w.id = t.twin_id"
            };
            let filter = filter
                .as_ref()
                .map(|f| format!(" and {}", f.sql("w")))
                .unwrap_or_default();
            let word = if *none { "not " } else { "" };
            conditions.push(format!(
                "{word}exists (select from oracle.samples w where {join}{filter})"
            ));
        }
        conditions.push("true".into());
        let order: Vec<_> = self
            .order
            .iter()
            .map(|(kind, descending, first)| {
                let way = if *descending { " desc" } else { "" };
                let nulls = match first {
                    None => "",
                    Some(true) => " nulls first",
                    Some(false) => " nulls last",
                };
                format!("{}{way}{nulls}", kind.field)
            })
            .chain(["id".to_owned()])
            .collect();
        format!(
            "select id::text from oracle.samples t where {} order by {}",
            conditions.join(" and "),
            order.join(", ")
        )
    }
}

async fn judge(lab: &Lab, asked: &Asked) -> Result<(), TestCaseError> {
    let (query, sql) = (asked.query(), asked.sql());
    let all = lab.rows(&sql).await;
    let fail = |what: String| {
        Err(TestCaseError::fail(format!(
            "{what}\n  samples?{query}\n  {sql}"
        )))
    };
    if asked.offset > 0 {
        let seen = lab
            .get(&format!(
                "samples?{query}&limit={}&offset={}",
                asked.limit, asked.offset
            ))
            .await;
        let rows: Vec<_> = seen.json()["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|r| Some(r["id"].as_str()?.to_owned()))
            .collect();
        let expected: Vec<_> = all
            .iter()
            .skip(asked.offset)
            .take(asked.limit)
            .cloned()
            .collect();
        if rows != expected {
            return fail(format!(
                "{} rows for {}: {}",
                rows.len(),
                expected.len(),
                seen.text
            ));
        }
    } else {
        let (forth, back) = walk(lab, &format!("samples?{query}"), asked.limit).await;
        if forth != all || back != all {
            return fail(format!(
                "{} rows forth, {} back, for {} {:?}",
                forth.len(),
                back.len(),
                all.len(),
                lab.failures().await
            ));
        }
    }
    match lab.failures().await {
        none if none.is_empty() => Ok(()),
        some => fail(some.join("\n")),
    }
}

#[test]
fn any_request_gives_the_rows_that_sql_gives() {
    let seed: u64 = match std::env::var("CONFORMANCE_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => uuid::Uuid::new_v4().as_u64_pair().0,
    };
    let mut bytes = [0u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let lab = runtime.block_on(Lab::new());
    let outcome = runner.run(&asked(), |asked| runtime.block_on(judge(&lab, &asked)));
    runtime.block_on(lab.finish());
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, asked)) => {
            panic!("CONFORMANCE_SEED={seed}\n{reason}\n{asked:#?}")
        }
        Err(TestError::Abort(reason)) => panic!("CONFORMANCE_SEED={seed}: {reason}"),
    }
}
