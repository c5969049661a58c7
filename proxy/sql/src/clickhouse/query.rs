//! One analytics query over one model.
//!
//! Always `FINAL`, which leaves the newest version of each record and none that was deleted; always within one
//! tenant. PREWHERE is never written: with FINAL it returns stale versions (ClickHouse#23702).

use model::{Column, FieldType, Generation, ModelName, TenantId};

use super::{
    aggregate::{self, Metric},
    filter::{self, Params, column_name, is_id},
    quote_text, table,
};
use crate::{Statement, filter::Filter};

/// Which records count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// Those that are not soft-deleted.
    Exclude,
    /// All.
    Include,
    /// Only soft-deleted ones.
    Only,
}

/// The length of a bucket of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interval {
    /// 60 s.
    Minute,
    /// 60 minutes from the local full hour.
    Hour,
    /// A local day.
    Day,
    /// Seven local days from Monday.
    Week,
    /// A local month.
    Month,
    /// A local year.
    Year,
}

impl Interval {
    /// All, from short to long.
    pub const ALL: [Self; 6] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
    ];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Microseconds of an interval that is shorter than a day.
    fn micros(self) -> Option<i64> {
        match self {
            Self::Minute => Some(60_000_000),
            Self::Hour => Some(3_600_000_000),
            _ => None,
        }
    }
}

/// What groups are made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Dimension {
    /// Equal values of a column.
    Value(Column),
    /// Days or longer of a date.
    Days(Column, Interval),
    /// Buckets of a timestamp in a time zone. Shorter than a day, a bucket is given as a tuple of its start in
    /// microseconds since 1970 UTC and the zone's offset in seconds, otherwise as its name.
    Bucket {
        /// A column of type timestamp.
        column: Column,
        /// The length.
        interval: Interval,
        /// IANA name.
        time_zone: String,
    },
}

/// What the answer is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The dimension of that index.
    Dimension(usize),
    /// The metric of that index.
    Metric(usize),
}

/// One key of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Which.
    pub key: Key,
    /// From the greatest down.
    pub descending: bool,
    /// Whether nulls come before everything.
    pub nulls_first: bool,
}

/// A query as decided: every column is the model's and every value was parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Whose records.
    pub tenant: TenantId,
    /// Of which model.
    pub model: ModelName,
    /// In which generation of tables.
    pub generation: Generation,
    /// What groups are made of; none gives one row.
    pub dimensions: Vec<Dimension>,
    /// What is computed, at least one.
    pub metrics: Vec<Metric>,
    /// Which records, besides the tenant's.
    pub filter: Filter,
    /// Whether soft-deleted records count.
    pub deleted: Deleted,
    /// The order; dimensions that it does not name come last, ascending.
    pub order: Vec<Order>,
    /// Most rows that will be answered. One more is read, which tells whether there are more.
    pub limit: u32,
}

/// A statement that reads one tenant, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStatement {
    /// The value of `{tenant:UUID}`, which the text always holds.
    pub tenant: TenantId,
    /// Text, and the values of `{p1:…}`, …
    pub statement: Statement,
}

/// Renders a query. Columns of the result are the dimensions (`D1`, …), then the metrics (`M1`, …): names that no
/// column can have, since an alias would hide a column in the condition.
pub fn render(query: &Query) -> TenantStatement {
    let mut params = Params::default();
    let dimensions = query.dimensions.iter().enumerate();
    let mut outputs: Vec<_> = dimensions
        .map(|(i, d)| format!("{} AS D{}", render_dimension(d, &mut params), i + 1))
        .collect();
    outputs.extend(
        query
            .metrics
            .iter()
            .enumerate()
            .map(|(i, m)| format!("{} AS M{}", aggregate::render(m), i + 1)),
    );

    let mut text = format!(
        "SELECT {}\nFROM {} FINAL\nWHERE {} = {{tenant:UUID}}",
        outputs.join(", "),
        table(&query.model, query.generation),
        quote_text("tenant_id"),
    );
    match query.deleted {
        Deleted::Exclude => text.push_str(" AND `deleted_at` IS NULL"),
        Deleted::Only => text.push_str(" AND `deleted_at` IS NOT NULL"),
        Deleted::Include => {}
    }
    if query.filter != Filter::And(Vec::new()) {
        text.push_str(&format!(
            " AND ({})",
            filter::render(&query.filter, &mut params)
        ));
    }
    if !query.dimensions.is_empty() {
        let names: Vec<_> = (1..=query.dimensions.len())
            .map(|i| format!("D{i}"))
            .collect();
        text.push_str(&format!("\nGROUP BY {}", names.join(", ")));
        text.push_str(&format!("\nORDER BY {}", render_order(query).join(", ")));
    }
    text.push_str(&format!("\nLIMIT {}", u64::from(query.limit) + 1));
    TenantStatement {
        tenant: query.tenant,
        statement: Statement {
            text,
            binds: params.into_values(),
        },
    }
}

fn render_dimension(dimension: &Dimension, params: &mut Params) -> String {
    match dimension {
        Dimension::Value(column) if is_id(column) => {
            format!("UUIDNumToString({})", column_name(column))
        }
        Dimension::Value(column) => column_name(column),
        Dimension::Days(column, interval) => calendar(&column_name(column), *interval),
        Dimension::Bucket {
            column,
            interval,
            time_zone,
        } => {
            let name = column_name(column);
            let zone = params.push("String", time_zone.as_str());
            let offset = format!("timeZoneOffset(toTimeZone({name}, {zone}))");
            // The local wall clock, written as if it were UTC: no day of it is shorter or longer than others, and
            // nothing passes through the 32-bit types of toStartOf…, which end in 1970 and 2106.
            let local = format!("addSeconds({name}, {offset})");
            match interval.micros() {
                None => calendar(&local, *interval),
                Some(length) => {
                    let micros = format!("toUnixTimestamp64Micro({local})");
                    let start = format!(
                        "{micros} - positiveModulo({micros}, {length}) - {offset} * 1000000"
                    );
                    format!("tuple({start}, {offset})")
                }
            }
        }
    }
}

/// The name of the day, week, month or year that a date or wall clock is in.
fn calendar(value: &str, interval: Interval) -> String {
    match interval {
        Interval::Week => {
            format!("formatDateTime(subtractDays({value}, toDayOfWeek({value}) - 1), '%F')")
        }
        Interval::Month => format!("formatDateTime({value}, '%Y-%m')"),
        Interval::Year => format!("formatDateTime({value}, '%Y')"),
        Interval::Day | Interval::Hour | Interval::Minute => {
            format!("formatDateTime({value}, '%F')")
        }
    }
}

fn render_order(query: &Query) -> Vec<String> {
    let named = |i: usize| query.order.iter().any(|o| o.key == Key::Dimension(i));
    let rest = (0..query.dimensions.len()).filter(|i| !named(*i));
    let rest = rest.map(|i| Order {
        key: Key::Dimension(i),
        descending: false,
        nulls_first: false,
    });
    let order = query.order.iter().copied().chain(rest);
    order.map(|order| render_key(query, order)).collect()
}

fn render_key(query: &Query, order: Order) -> String {
    let key = match order.key {
        Key::Metric(i) => format!("M{}", i + 1),
        // By bytes, as PostgreSQL orders a UUID. An id is text here, which has the same order.
        Key::Dimension(i) => match &query.dimensions[i] {
            Dimension::Value(c) if c.field_type == FieldType::Uuid && !is_id(c) => {
                format!("UUIDToNum(D{})", i + 1)
            }
            // NULLS FIRST and LAST look at a whole value, and a tuple is never null itself.
            Dimension::Bucket { interval, .. } if interval.micros().is_some() => {
                format!("tupleElement(D{}, 1)", i + 1)
            }
            _ => format!("D{}", i + 1),
        },
    };
    let direction = if order.descending { "DESC" } else { "ASC" };
    let nulls = if order.nulls_first { "FIRST" } else { "LAST" };
    format!("{key} {direction} NULLS {nulls}")
}

#[cfg(test)]
mod tests;
