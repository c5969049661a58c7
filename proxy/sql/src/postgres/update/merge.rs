//! A JSON merge patch (RFC 7396) as one expression whose text is the same for every patch.

use model::{Field, FieldType};

use super::super::{binds::read_as, quote};

/// How the new value of a JSON field is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonChange {
    /// In place of the old one.
    Replace,
    /// As the steps of a merge patch: `{"v": <value>}` in place of the old one, or `{"o": [{"p": <path>, "d": <keys>,
    /// "s": <members>}, …]}`, outer paths first: what lies at the path becomes an object if it is none, loses the keys
    /// and takes the members.
    Merge,
}

/// The expression of a field's new value: `text` is that of the bind or column that has it, `row` names the old row.
pub(super) fn new_value(json: JsonChange, field: &Field, text: &str, row: &str) -> String {
    let value = read_as(text, &field.field_type);
    if json == JsonChange::Replace || field.field_type != FieldType::Json {
        return value;
    }
    let old = format!("{row}.{}", quote(&field.name));
    let object = |of: &str| format!("case when jsonb_typeof({of}) = 'object' then {of} else '{{}}'::jsonb end");
    let inner = object("s.d #> q.p");
    format!(
        "(case when {value} is null then null when {value} ? 'v' then {value} -> 'v' else (with recursive s(n, d) as \
         (select 0, {} union all select s.n + 1, case when q.p = '{{}}' then (s.d - q.g) || q.s \
         else jsonb_set(s.d, q.p, ({inner} - q.g) || q.s) end from s \
         cross join lateral (select {value} -> 'o' -> s.n as o) x \
         cross join lateral (select array(select jsonb_array_elements_text(x.o -> 'p')) as p, \
         array(select jsonb_array_elements_text(x.o -> 'd')) as g, x.o -> 's' as s) q where x.o is not null) \
         select s.d from s order by s.n desc limit 1) end)",
        object(&old),
    )
}
