//! Bringing older rows to a column: batches, and the trigger that keeps two columns equal meanwhile.

use model::{ColumnName, Field, FieldType, ModelName};

use super::{Conversion, OWNER_ROLE, change::qualified, default_of, object_name};
use crate::postgres::{column_type, quote, quote_text, table};

/// What older rows get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fill {
    /// The value of another column, converted; where that is null, the field's default if it is required.
    Copy {
        /// The field as it is served now.
        from: Field,
        /// How its values convert.
        conversion: Conversion,
    },
    /// The field's default, where there is null.
    Default,
}

impl Fill {
    /// The expression for a row.
    fn expression(&self, to: &Field) -> String {
        match self {
            Self::Copy { from, conversion } => {
                let value = conversion.convert(&quote(&from.column()));
                match default_of(to).filter(|_| to.required && !from.required) {
                    Some(default) => format!("coalesce({value}, {default})"),
                    None => value,
                }
            }
            Self::Default => default_of(to).unwrap_or_else(|| "null".into()),
        }
    }

    /// Which rows have something else.
    fn missing(&self, to: &Field) -> String {
        let column = quote(&to.column());
        match self {
            Self::Copy { .. } => format!("{column} is distinct from {}", self.expression(to)),
            Self::Default => format!("{column} is null"),
        }
    }
}

/// One batch. Binds: the key of the last row of the batch before as `$1` and `$2` (both null at first), the number of
/// keys as `$3`. Answers how many keys were looked at, how many rows were written, and the last key.
///
/// Neither `version` nor `updated_at` change: nobody has changed the record.
pub fn fill_batch(name: &ModelName, to: &Field, fill: &Fill) -> String {
    let target = table(name);
    let column = quote(&to.column());
    format!(
        "with keys as materialized (select tenant_id, id from {target} where $1::uuid is null or (tenant_id, id) > ($1::uuid, $2::uuid) order by tenant_id, id limit $3::bigint), written as (update {target} t set {column} = {} from keys k where t.tenant_id = k.tenant_id and t.id = k.id and {} returning 1) select (select count(*) from keys), (select count(*) from written), k.tenant_id, k.id from (select 1) one left join (select tenant_id, id from keys order by tenant_id desc, id desc limit 1) k on true",
        fill.expression(to),
        fill.missing(to),
    )
}

/// How many rows hold a value that does not convert.
pub fn count_unconvertible(name: &ModelName, from: &Field, conversion: &Conversion) -> String {
    let test = conversion.test(&quote(&from.column()));
    format!("select count(*) from {} where not {test}", table(name))
}

/// The name of trigger and function that keep a column equal to the one that it takes over from.
pub fn sync_name(name: &ModelName, column: &ColumnName) -> String {
    object_name(&[SYNC_PREFIX, name.model.as_str(), column.as_str()])
}

/// First part of a [`sync_name`].
pub const SYNC_PREFIX: &str = "_sync";

/// Keeps two columns equal while some proxies write the one and some the other. A value that the other column cannot
/// hold is an error, never a silent null.
///
/// A proxy names every field of its model in an INSERT, and knows one of the two columns: the one that holds a value is
/// the one that was written, as long as neither has a default. Writes of the owner are backfills, which write the new
/// column and must not come back to the old one. The function runs as whoever writes the row, with nothing but
/// `pg_catalog` in its path; being BEFORE a row's write it cannot start itself again.
pub fn sync(name: &ModelName, from: &Field, to: &Field) -> Option<Vec<String>> {
    let there = Conversion::between(&from.field_type, &to.field_type)?;
    let back = Conversion::between(&to.field_type, &from.field_type);
    let function = qualified(&name.module, &sync_name(name, &to.column()));
    let trigger = quote_text(&sync_name(name, &to.column()));
    let (old, new) = (quote(&from.column()), quote(&to.column()));
    let forward = assign(
        &there,
        &format!("new.{old}"),
        &format!("new.{new}"),
        to,
        from.required,
    );
    let backward = match &back {
        Some(back) => assign(
            back,
            &format!("new.{new}"),
            &format!("new.{old}"),
            from,
            to.required,
        ),
        None => raise(&format!("new.{new} is not null")),
    };
    let body = format!(
        "begin
  if current_user = '{OWNER_ROLE}' then
    return new;
  end if;
  if tg_op = 'INSERT' then
    if new.{old} is not null then
      {forward}
    else
      {backward}
    end if;
  elsif new.{old} is distinct from old.{old} then
    {forward}
  elsif new.{new} is distinct from old.{new} then
    {backward}
  end if;
  return new;
end"
    );
    Some(vec![
        format!(
            "create or replace function {function}() returns trigger language plpgsql security invoker set search_path = pg_catalog, pg_temp as {}",
            dollar_quoted(&body)
        ),
        format!("revoke all on function {function}() from public"),
        format!(
            "create or replace trigger {trigger} before insert or update on {} for each row execute function {function}()",
            table(name)
        ),
    ])
}

/// Ends it.
pub fn drop_sync(name: &ModelName, column: &ColumnName) -> Vec<String> {
    let sync = sync_name(name, column);
    vec![
        format!(
            "drop trigger if exists {} on {}",
            quote_text(&sync),
            table(name)
        ),
        format!(
            "drop function if exists {}()",
            qualified(&name.module, &sync)
        ),
    ]
}

fn assign(
    conversion: &Conversion,
    from: &str,
    to: &str,
    field: &Field,
    source_required: bool,
) -> String {
    let value = conversion.convert(from);
    let value = match default_of(field).filter(|_| field.required && !source_required) {
        Some(default) => format!("coalesce({value}, {default})"),
        None => value,
    };
    let test = conversion.test(from);
    let guard = if test == "true" {
        String::new()
    } else {
        format!("{} ", raise(&format!("not {test}")))
    };
    format!("{guard}{to} := {value};")
}

fn raise(condition: &str) -> String {
    format!(
        "if {condition} then raise exception using errcode = '22000', message = 'the value does not fit the field while its type changes'; end if;"
    )
}

/// Between dollar signs with a tag that the text does not hold.
fn dollar_quoted(text: &str) -> String {
    let mut tag = "septem".to_owned();
    while text.contains(&format!("${tag}$")) {
        tag.push('_');
    }
    format!("${tag}${text}${tag}$")
}

/// Whether two types have the same form in PostgreSQL.
pub fn same_column_type(one: &FieldType, other: &FieldType) -> bool {
    column_type(one) == column_type(other)
}
