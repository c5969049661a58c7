//! What is asked, held against a model: a query, and how each column of its answer is printed.

use std::collections::HashSet;

use model::{Column, FieldType, Generation, ModuleModel, TenantId};
use sql::{
    clickhouse::{
        aggregate::{Aggregate, Metric},
        filter::unanswerable,
        query::{Dimension, Interval, Key, Order, Query},
    },
    filter::Filter,
};

use super::request::{Asked, MetricAsked, OrderAsked};
use crate::{
    problem::{FieldCode, FieldError, Problem},
    query::{FILTERS_MAX, parse_condition, refuse, shown},
};

/// How a value of the answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As it comes: bool, text, small integers, floats.
    Plain,
    /// An integer of up to 128 bits, to the last digit.
    Integer,
    /// A decimal with this many digits behind the point.
    Decimal(u8),
    /// A decimal without trailing zeros.
    Average,
    /// `YYYY-MM-DD HH:MM:SS.ffffff` in UTC, printed as RFC 3339.
    Timestamp,
    /// Microseconds since midnight, printed as a time of day.
    Time,
    /// `[microseconds since 1970, offset in seconds]`, printed as RFC 3339 with that offset.
    Instant,
}

/// One member of a row of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    /// Its name: a field, or an aggregate's.
    pub name: String,
    /// How it is printed.
    pub shape: Shape,
}

/// A query and its answer's columns, dimensions first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// What is sent.
    pub query: Query,
    /// What comes back.
    pub outputs: Vec<Output>,
}

/// Holds a request against a model. All that is wrong is told at once.
pub(super) fn plan(
    model: &ModuleModel,
    generation: Generation,
    tenant: TenantId,
    asked: Asked,
) -> Result<Plan, Problem> {
    let mut wrong = Vec::new();
    let mut outputs: Vec<Output> = Vec::new();
    let dimensions = plan_dimensions(model, &asked, &mut outputs, &mut wrong);
    let metrics = plan_metrics(model, &asked.metrics, &mut outputs, &mut wrong);
    let filter = plan_filter(model, &asked.filters, &mut wrong);
    let order = plan_order(&asked.order, &outputs, dimensions.len(), &mut wrong);
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    let query = Query {
        tenant,
        model: model.name().clone(),
        generation,
        dimensions,
        metrics,
        filter,
        deleted: asked.deleted,
        order,
        limit: asked.limit,
    };
    Ok(Plan { query, outputs })
}

fn column<'a>(model: &'a ModuleModel, path: &str, name: &str) -> Result<&'a Column, FieldError> {
    model.column(name).ok_or_else(|| {
        let shown = shown(name);
        let message = format!("{shown} is not a field of {}", model.name().model.as_str());
        refuse(path, FieldCode::UnknownField, message)
    })
}

fn plan_dimensions(
    model: &ModuleModel,
    asked: &Asked,
    outputs: &mut Vec<Output>,
    wrong: &mut Vec<FieldError>,
) -> Vec<Dimension> {
    let columns: Vec<_> = asked
        .group_by
        .iter()
        .filter_map(|name| {
            column(model, "groupBy", name)
                .map_err(|e| wrong.push(e))
                .ok()
        })
        .collect();
    let names: HashSet<_> = columns.iter().map(|c| c.name.as_str()).collect();
    if names.len() < columns.len() {
        wrong.push(refuse(
            "groupBy",
            FieldCode::Duplicate,
            "names a field twice",
        ));
    }
    for column in &columns {
        if !column.field_type.has_order() {
            let message = format!(
                "{} of type {} makes no groups",
                column.name.as_str(),
                column.field_type.name()
            );
            wrong.push(refuse("groupBy", FieldCode::InvalidValue, message));
        }
    }
    let is_moment = |c: &&Column| matches!(c.field_type, FieldType::Timestamp | FieldType::Date);
    let moments: Vec<_> = columns.iter().copied().filter(is_moment).collect();
    if asked.interval.is_some() && moments.len() != 1 && columns.len() == asked.group_by.len() {
        let message = "needs exactly one field of type timestamp or date in groupBy";
        wrong.push(refuse("groupByInterval", FieldCode::InvalidValue, message));
    }
    let is_day_or_longer = !matches!(asked.interval, Some(Interval::Minute | Interval::Hour));
    if !is_day_or_longer && moments.iter().any(|c| c.field_type == FieldType::Date) {
        let message = "is day, week, month or year for a date";
        wrong.push(refuse("groupByInterval", FieldCode::InvalidValue, message));
    }
    let dimension = |column: &Column| match (asked.interval, &column.field_type) {
        (Some(interval), FieldType::Timestamp) => {
            let shape = if is_day_or_longer {
                Shape::Plain
            } else {
                Shape::Instant
            };
            let time_zone = asked.time_zone.name().to_owned();
            (
                Dimension::Bucket {
                    column: column.clone(),
                    interval,
                    time_zone,
                },
                shape,
            )
        }
        (Some(interval), FieldType::Date) => {
            (Dimension::Days(column.clone(), interval), Shape::Plain)
        }
        (_, field_type) => (Dimension::Value(column.clone()), shape_of(field_type)),
    };
    let mut dimensions = Vec::with_capacity(columns.len());
    for column in columns {
        let (dimension, shape) = dimension(column);
        outputs.push(Output {
            name: column.name.as_str().to_owned(),
            shape,
        });
        dimensions.push(dimension);
    }
    dimensions
}

/// How a stored value of that type is printed.
fn shape_of(field_type: &FieldType) -> Shape {
    match field_type {
        FieldType::Int64 => Shape::Integer,
        FieldType::Decimal { scale, .. } => Shape::Decimal(*scale),
        FieldType::Timestamp => Shape::Timestamp,
        FieldType::Time => Shape::Time,
        _ => Shape::Plain,
    }
}

fn plan_metrics(
    model: &ModuleModel,
    asked: &[MetricAsked],
    outputs: &mut Vec<Output>,
    wrong: &mut Vec<FieldError>,
) -> Vec<Metric> {
    let mut metrics = Vec::with_capacity(asked.len());
    for metric in asked {
        match plan_metric(model, metric) {
            Ok(planned) => metrics.push(planned),
            Err(error) => {
                wrong.push(error);
                continue;
            }
        }
        let name = name_of(metric, asked);
        if outputs.iter().any(|o| o.name == name) {
            let path = format!("{}alias", metric.path);
            wrong.push(refuse(
                &path,
                FieldCode::Duplicate,
                format!("the answer has {name} already; give an alias"),
            ));
        }
        let field_type = metrics
            .last()
            .and_then(|m| m.column.as_ref())
            .map(|c| &c.field_type);
        outputs.push(Output {
            name,
            shape: shape_of_metric(metric.aggregate, field_type),
        });
    }
    metrics
}

fn plan_metric(model: &ModuleModel, asked: &MetricAsked) -> Result<Metric, FieldError> {
    let aggregate = asked.aggregate;
    let Some(name) = &asked.field else {
        return Ok(Metric {
            aggregate,
            column: None,
        });
    };
    let path = format!("{}field", asked.path);
    let column = column(model, &path, name)?;
    if !aggregate.takes(&column.field_type) {
        let types = match aggregate {
            Aggregate::Count => "every type but array",
            Aggregate::Sum | Aggregate::Avg => "numbers",
            Aggregate::Min | Aggregate::Max => "numbers, text, enum, date and timestamp",
        };
        let message = format!(
            "{} does not take {} of type {}; it takes {types}",
            aggregate.as_str(),
            column.name.as_str(),
            column.field_type.name()
        );
        return Err(refuse(&path, FieldCode::InvalidOperator, message));
    }
    Ok(Metric {
        aggregate,
        column: Some(column.clone()),
    })
}

/// The alias; else the aggregate's own word when no other asks for the same one; else with its field.
fn name_of(metric: &MetricAsked, all: &[MetricAsked]) -> String {
    let word = metric.aggregate.as_str();
    let is_only = all
        .iter()
        .filter(|m| m.aggregate == metric.aggregate)
        .count()
        == 1;
    match (&metric.alias, &metric.field) {
        (Some(alias), _) => alias.clone(),
        (None, Some(field)) if !is_only => format!("{word}_{field}"),
        (None, _) => word.to_owned(),
    }
}

fn shape_of_metric(aggregate: Aggregate, field_type: Option<&FieldType>) -> Shape {
    match (aggregate, field_type) {
        (Aggregate::Count, _) | (_, None) => Shape::Integer,
        (Aggregate::Sum | Aggregate::Avg, Some(FieldType::Float64)) => Shape::Plain,
        (Aggregate::Sum, Some(FieldType::Decimal { scale, .. })) => Shape::Decimal(*scale),
        (Aggregate::Sum, _) => Shape::Integer,
        (Aggregate::Avg, _) => Shape::Average,
        (Aggregate::Min | Aggregate::Max, Some(field_type)) => shape_of(field_type),
    }
}

fn plan_filter(
    model: &ModuleModel,
    asked: &[(String, Vec<String>)],
    wrong: &mut Vec<FieldError>,
) -> Filter {
    let conditions = asked
        .iter()
        .flat_map(|(field, texts)| texts.iter().map(move |text| (field, text)));
    if conditions.clone().count() > FILTERS_MAX {
        let message = format!("takes at most {FILTERS_MAX} conditions");
        wrong.push(refuse("filters", FieldCode::LimitExceeded, message));
        return Filter::And(Vec::new());
    }
    let mut filters = Vec::new();
    for (field, text) in conditions {
        let path = format!("filters.{field}");
        match parse_condition(model, field, text) {
            Ok(filter) => match unanswerable(&filter) {
                None => filters.push(filter),
                Some(message) => wrong.push(refuse(&path, FieldCode::InvalidOperator, message)),
            },
            Err(refused) => wrong.push(refuse(&path, refused.code, refused.message)),
        }
    }
    Filter::And(filters)
}

fn plan_order(
    asked: &[OrderAsked],
    outputs: &[Output],
    dimensions: usize,
    wrong: &mut Vec<FieldError>,
) -> Vec<Order> {
    let mut order = Vec::with_capacity(asked.len());
    for OrderAsked {
        name,
        descending,
        nulls_first,
    } in asked
    {
        let key = match outputs.iter().position(|o| o.name == *name) {
            Some(i) if i < dimensions => Key::Dimension(i),
            Some(i) => Key::Metric(i - dimensions),
            None => {
                let shown = shown(name);
                let message =
                    format!("{shown} is neither in groupBy nor an aggregate of the answer");
                wrong.push(refuse("order", FieldCode::UnknownField, message));
                continue;
            }
        };
        order.push(Order {
            key,
            descending: *descending,
            nulls_first: *nulls_first,
        });
    }
    order
}
