//! The table in ClickHouse.

use crds::{ConditionType, Reason};
use model::{Draft, Generation};
use sql::clickhouse::{self, ddl};

use super::{Desired, ObservedAnalytics, Plan};
use crate::report::Refusal;

pub(super) fn compare(
    plan: &mut Plan,
    desired: &Desired,
    previous: Option<&Draft>,
    observed: Option<&ObservedAnalytics>,
    generation: Generation,
) -> Result<(), Refusal> {
    let model = &desired.model;
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
            plan.clickhouse.push(ddl::create_table(model, generation));
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
    let fields = || model.fields().iter().chain(model.filling());
    for column in model.captured_columns() {
        let wanted = clickhouse::column_type(&column.field_type, column.required);
        match observed
            .columns
            .iter()
            .find(|(name, _)| column.column.as_str() == name)
        {
            Some((_, found)) if *found == wanted => {}
            Some((name, found)) => plan
                .drift
                .analytics
                .push(format!("column {name} is {found}, not {wanted}")),
            None => match fields().find(|f| f.column() == column.column) {
                Some(field) => {
                    plan.clickhouse
                        .push(ddl::add_column(model.name(), generation, field))
                }
                None => plan
                    .drift
                    .analytics
                    .push(format!("column {} is gone", column.column.as_str())),
            },
        }
    }
    Ok(())
}
