//! Which column each field is to be served from.

use std::collections::BTreeSet;

use crds::{ConditionType, Reason};
use model::{ColumnName, Draft, Field, FieldType, Ident, ModuleModel};
use sql::postgres::ddl::Conversion;

use super::{Desired, Observed};
use crate::report::Refusal;

/// The model with the columns that its fields will have, and how each comes about.
pub(super) struct Target {
    pub model: ModuleModel,
    pub fields: Vec<FieldChange>,
}

/// A field, as it has to be.
pub(super) struct FieldChange {
    pub field: Field,
    /// Such as `spec.fields[2]`.
    pub path: String,
    pub kind: Kind,
}

/// How a field comes about.
pub(super) enum Kind {
    /// There was none.
    New,
    /// It stays in its column.
    Same(Field),
    /// It moves to another column, from this one.
    Copy(Field, Conversion),
}

/// Decides. The same answer follows from the same databases, so that a run that was killed is continued.
pub(super) fn target(
    desired: &Desired,
    observed: &Observed,
    previous: Option<&Draft>,
) -> Result<Target, Refusal> {
    let mut draft = Draft::from(desired.model.clone());
    let mut fields = Vec::with_capacity(draft.fields.len());
    let none = Vec::new();
    let before = previous.map_or(&none, |p| &p.fields);
    let served: BTreeSet<_> = before.iter().map(Field::column).collect();
    for (i, field) in draft.fields.iter_mut().enumerate() {
        let path = format!("spec.fields[{i}]");
        let same = before.iter().find(|b| b.name == field.name);
        let renamed = desired.renamed.get(&field.name);
        let renamed = renamed.and_then(|from| before.iter().find(|b| b.name == *from));
        let kind = match (same, renamed) {
            (Some(same), _)
                if stays(&same.field_type, &field.field_type)
                    && (!desired.model.analytics() || same_bytes(same, field)) =>
            {
                field.column = Some(same.column()).filter(|c| *c != ColumnName::of(&field.name));
                Kind::Same(same.clone())
            }
            (Some(from), _) | (None, Some(from)) => {
                let Some(conversion) = Conversion::between(&from.field_type, &field.field_type)
                else {
                    let message = format!(
                        "{path}.type: values of type {} cannot become {}: add a field of another name, and drop this one when it is not needed any more",
                        described(&from.field_type),
                        described(&field.field_type)
                    );
                    return Err(Refusal::of_spec(Reason::NotYetSupported, message));
                };
                let source = from.column();
                field.column = column_for(observed, field, Some(&source), &served);
                Kind::Copy(from.clone(), conversion)
            }
            (None, None) => {
                field.column = column_for(observed, field, None, &served);
                Kind::New
            }
        };
        fields.push(FieldChange {
            field: field.clone(),
            path,
            kind,
        });
    }
    let model = ModuleModel::try_from(draft)
        .map_err(|invalid| Refusal::of_spec(Reason::InvalidModel, invalid.to_string()))?;
    Ok(Target { model, fields })
}

/// A type with what makes it another one than its like.
fn described(field_type: &FieldType) -> String {
    let name = field_type.name();
    match field_type {
        FieldType::Array { items } => format!("{name} of {}", items.as_field_type().name()),
        FieldType::Vector { dimension } => format!("{name} of dimension {dimension}"),
        _ => name.to_owned(),
    }
}

/// Whether a column can stay what it is in both databases.
fn stays(before: &FieldType, after: &FieldType) -> bool {
    use FieldType as T;
    match (before, after) {
        (one, other) if one == other => true,
        (T::Text { .. }, T::Text { .. }) | (T::Enum { .. }, T::Enum { .. }) => true,
        (
            T::Decimal { precision, scale },
            T::Decimal {
                precision: more,
                scale: same,
            },
        ) => scale == same && more >= precision,
        _ => false,
    }
}

/// Whether the sink writes both alike. Its rows are `RowBinary`, which says nothing of types: while sinks go from one
/// revision to the next, the bytes of both have to fit the column of ClickHouse.
fn same_bytes(before: &Field, after: &Field) -> bool {
    // ClickHouse keeps a decimal in 4, 8 or 16 bytes.
    let width = |t: &FieldType| match t {
        FieldType::Decimal { precision, .. } => match precision {
            0..=9 => 4,
            10..=18 => 8,
            _ => 16,
        },
        _ => 0,
    };
    before.required == after.required && width(&before.field_type) == width(&after.field_type)
}

/// Whether every value of one type has its like in the other, so that nothing can be lost.
pub(super) fn is_wider(before: &FieldType, after: &FieldType) -> bool {
    use FieldType as T;
    let digits = |t: &T| match t {
        T::Int16 => Some((5, 0)),
        T::Int32 => Some((10, 0)),
        T::Int64 => Some((19, 0)),
        T::Decimal { precision, scale } => Some((precision - scale, *scale)),
        _ => None,
    };
    match (before, after) {
        (one, other) if one == other => true,
        (T::Text { .. }, T::Text { max_length: None }) => true,
        (
            T::Text {
                max_length: Some(a),
            },
            T::Text {
                max_length: Some(b),
            },
        ) => b >= a,
        (T::Enum { values: a }, T::Enum { values: b }) => a.iter().all(|v| b.contains(v)),
        (T::Int16, T::Int32 | T::Int64 | T::Float64)
        | (T::Int32, T::Int64 | T::Float64)
        | (
            T::Enum { .. } | T::Bool | T::Uuid | T::Int16 | T::Int32 | T::Int64 | T::Decimal { .. },
            T::Text { max_length: None },
        ) => true,
        (one, T::Decimal { .. }) => match (digits(one), digits(after)) {
            (Some((whole, scale)), Some((more, finer))) => more >= whole && finer >= scale,
            _ => false,
        },
        _ => false,
    }
}

/// The column that a run before has made for this, or a name that none has had yet; none for the field's own name.
fn column_for(
    observed: &Observed,
    field: &Field,
    source: Option<&ColumnName>,
    served: &BTreeSet<ColumnName>,
) -> Option<ColumnName> {
    let own = ColumnName::of(&field.name);
    let known = observed.ledger.iter().filter_map(|entry| {
        let name: ColumnName = entry.name.parse().ok()?;
        name.is_of(&field.name).then_some((name, entry))
    });
    let definition = serde_json::to_value(&field.field_type).ok();
    let begun = known.clone().filter(|(name, entry)| {
        !entry.dropped
            && !served.contains(name)
            && entry.definition == definition
            && entry.source.as_deref() == source.map(ColumnName::as_str)
    });
    let last = known.map(|(name, _)| name.number()).max();
    let column = match (
        begun.map(|(name, _)| name).max_by_key(ColumnName::number),
        last,
    ) {
        (Some(begun), _) => begun,
        (None, None) => own.clone(),
        (None, Some(last)) => next(&field.name, last),
    };
    Some(column).filter(|c| *c != own)
}

fn next(field: &Ident, last: u32) -> ColumnName {
    ColumnName::numbered(field, last.saturating_add(1))
        .expect("a field's name leaves room for ten digits")
}

/// It would lose data, and nobody has said that it may.
pub(super) fn destructive(message: String) -> Refusal {
    Refusal {
        condition: ConditionType::SchemaApplied,
        reason: Reason::DestructiveChange,
        message,
    }
}
