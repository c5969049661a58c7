//! A JSON merge patch (RFC 7396) as one expression whose text is the same for every patch.

use model::{Field, FieldType};

use super::super::{
    binds::{Binds, read_as},
    quote,
};

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

impl JsonChange {
    /// The expression of a field's new value; `row` names the old row.
    pub(super) fn bound(
        self,
        binds: &mut Binds,
        field: &Field,
        value: Option<String>,
        row: &str,
    ) -> String {
        if self.merges(field) {
            let text = binds.typed("text", value);
            return merged(field, &text, row);
        }
        binds.value(&field.field_type, value)
    }

    /// The same of a text that is read from somewhere.
    pub(super) fn read(self, field: &Field, text: &str, row: &str) -> String {
        if self.merges(field) {
            return merged(field, text, row);
        }
        read_as(text, &field.field_type)
    }

    fn merges(self, field: &Field) -> bool {
        self == Self::Merge && field.field_type == FieldType::Json
    }
}

/// Names begin with an underscore, which no model does. The patch is read once however many steps it has: `offset 0`
/// keeps the planner from writing its expression wherever it is used.
fn merged(field: &Field, text: &str, row: &str) -> String {
    let old = format!("{row}.{}", quote(&field.column()));
    let object = |of: &str| {
        format!("case when jsonb_typeof({of}) = 'object' then {of} else '{{}}'::jsonb end")
    };
    let (whole, inner) = (object(&old), object("_s.d #> _q.p"));
    format!(
        "(select case when _m.p is null then null when _m.p ? 'v' then _m.p -> 'v' else \
         (with recursive _s(n, d) as (select 0, {whole} union all \
         select _s.n + 1, case when _q.p = '{{}}' then (_s.d - _q.g) || _q.s \
         else jsonb_set(_s.d, _q.p, ({inner} - _q.g) || _q.s) end from _s \
         cross join lateral (select _m.p -> 'o' -> _s.n as o) _x \
         cross join lateral (select array(select jsonb_array_elements_text(_x.o -> 'p')) as p, \
         array(select jsonb_array_elements_text(_x.o -> 'd')) as g, _x.o -> 's' as s) _q where _x.o is not null) \
         select _s.d from _s order by _s.n desc limit 1) end \
         from (select {text}::jsonb as p offset 0) _m)"
    )
}
