//! The table in ClickHouse.

use crds::{ConditionType, Reason};
use model::{Column, Draft, FieldType, Generation};
use sql::clickhouse::{self, ddl};

use super::{
    Observed, ObservedAnalytics, Plan, Target,
    step::{Lock, Statement},
    target::Kind,
    work::Work,
};
use crate::report::Refusal;

pub(super) fn compare(
    plan: &mut Plan,
    work: &mut Work,
    Target { model, fields }: &Target,
    in_postgres: &Observed,
    previous: Option<&Draft>,
    observed: Option<&ObservedAnalytics>,
    generation: Generation,
) -> Result<(), Refusal> {
    if previous.is_some_and(|p| p.analytics != model.analytics()) {
        let message = "spec.analytics.enabled: switching it on an existing table is not supported";
        return Err(Refusal::of_spec(Reason::NotYetSupported, message));
    }
    let Some(observed) = observed else {
        return Ok(());
    };
    if observed.columns.is_empty() {
        if previous.is_some() {
            // A new, empty table would answer as if the older rows had never been.
            plan.drift
                .analytics
                .push("the table is gone: its rows need a new capture generation".into());
        } else {
            work.clickhouse
                .push(of(ddl::create_table(model, generation)));
        }
        return Ok(());
    }
    if previous.is_none() && observed.has_rows {
        return Err(Refusal {
            condition: ConditionType::AnalyticsReady,
            reason: Reason::NameConflict,
            message: format!(
                "ClickHouse table {} has rows of an earlier database: drop it first",
                clickhouse::table_name(model.name(), generation)
            ),
        });
    }
    for column in model.captured_columns() {
        let wanted = clickhouse::column_type(&column.field_type, column.required);
        let found = observed
            .columns
            .iter()
            .find(|(name, _)| column.column == **name);
        match (
            found,
            model.fields().iter().find(|f| f.column() == column.column),
        ) {
            (Some((_, found)), _) if holds(found, &column) => {}
            (Some((_, found)), Some(field)) if becomes(found, &column) => {
                work.clickhouse
                    .push(of(ddl::modify_column(model.name(), generation, field)));
            }
            (Some((name, found)), _) => plan
                .drift
                .analytics
                .push(format!("column {name} is {found}, not {wanted}")),
            (None, Some(field)) => {
                let copied = fields
                    .iter()
                    .any(|c| c.field.name == field.name && matches!(c.kind, Kind::Copy(..)));
                let add = match copied {
                    // Rows get their own values; a default would stand where there is null.
                    true => ddl::add_empty_column(model.name(), generation, field),
                    false => ddl::add_column(model.name(), generation, field),
                };
                work.clickhouse.push(of(add));
            }
            (None, None) => plan
                .drift
                .analytics
                .push(format!("column {} is gone", column.column.as_str())),
        }
    }
    let wanted = |name: &str| model.captured_columns().any(|c| c.column == *name);
    for (name, _) in &observed.columns {
        if in_postgres.column_ever(name) && !wanted(name) {
            work.clickhouse_contract
                .push(of(ddl::drop_column(model.name(), generation, name)).destroying(true));
        }
    }
    Ok(())
}

/// Whether a column of that type is as the sink writes it.
fn holds(found: &str, column: &Column) -> bool {
    found == clickhouse::column_type(&column.field_type, column.required)
}

/// Whether a column of that type becomes the one that is wanted while the bytes of its values stay: a decimal with
/// more digits.
fn becomes(found: &str, column: &Column) -> bool {
    let FieldType::Decimal { precision, scale } = column.field_type else {
        return false;
    };
    (1.max(scale)..=precision).any(|precision| {
        let fewer = FieldType::Decimal { precision, scale };
        found == clickhouse::column_type(&fewer, column.required)
    })
}

fn of(sql: String) -> Statement {
    Statement::of(sql).locking(Lock::None)
}
