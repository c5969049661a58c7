//! The header `Prefer` as each kind of request takes it.

use serde_json::{Value, json};

/// What every request takes.
const ALWAYS: [&str; 4] = [
    "numbers=number",
    "numbers=string",
    "handling=strict",
    "handling=lenient",
];
const COUNTS: [&str; 3] = ["count=exact", "count=planned", "count=estimated"];
const WRITES: [&str; 5] = [
    "return=representation",
    "return=minimal",
    "return=headers-only",
    "tx=commit",
    "tx=rollback",
];
const CREATES: [&str; 4] = [
    "missing=default",
    "missing=null",
    "resolution=merge-duplicates",
    "resolution=ignore-duplicates",
];

/// `components.parameters`, by the kind of request: a read of one, of several, a write of one, of several, a creation.
pub(super) fn parameters() -> Vec<(String, Value)> {
    let kinds = [
        ("PreferRead", prefer(&[], false)),
        ("PreferList", prefer(&[&COUNTS], false)),
        ("PreferWrite", prefer(&[&WRITES], false)),
        ("PreferMany", prefer(&[&WRITES], true)),
        ("PreferCreate", prefer(&[&WRITES, &CREATES], true)),
    ];
    kinds
        .map(|(name, parameter)| (name.to_owned(), parameter))
        .into()
}

fn prefer(more: &[&[&str]], bounded: bool) -> Value {
    let words: Vec<&str> = more
        .iter()
        .copied()
        .flatten()
        .chain(&ALWAYS)
        .copied()
        .collect();
    let mut items = json!({"type": "string", "enum": words});
    let mut description =
        "RFC 7240. What is not known is ignored unless handling=strict is asked for.".to_owned();
    if bounded {
        items =
            json!({"anyOf": [items, {"type": "string", "pattern": "^max-affected=[0-9]{1,18}$"}]});
        description
            .push_str(" max-affected is the most records that the write may reach, else 409.");
    }
    if more.contains(&&WRITES[..]) {
        description.push_str(" tx=rollback answers as the write would and keeps nothing.");
    }
    json!({
        "name": "Prefer", "in": "header", "description": description,
        "schema": {"type": "array", "items": items, "examples": [["numbers=string"]]},
    })
}
