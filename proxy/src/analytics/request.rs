//! An analytics request as asked: every member read, nothing yet held against a model.

use chrono_tz::Tz;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use sql::clickhouse::{
    aggregate::Aggregate,
    query::{Deleted, Interval},
};

use super::members::{Members, Object, OneOrMany};
use crate::{
    problem::{FieldCode, FieldError, Problem},
    query::refuse,
};

/// Groups in an answer when the request does not say.
pub const LIMIT_DEFAULT: u32 = 1_000;
/// Most groups in an answer (API.md "Analytics").
pub const LIMIT_MAX: u32 = 10_000;
/// Most aggregates of one request; each costs memory per group.
pub const METRICS_MAX: usize = 32;
/// Most fields of `groupBy`.
pub const GROUP_BY_MAX: usize = 8;

/// One aggregate as asked.
#[derive(Debug, PartialEq)]
pub(super) struct MetricAsked {
    /// Which.
    pub aggregate: Aggregate,
    /// Of which field.
    pub field: Option<String>,
    /// What it is called in the answer.
    pub alias: Option<String>,
    /// Where it stands in the body: `""`, or `metrics[0].`.
    pub path: String,
}

/// One key of `order` as asked.
#[derive(Debug, PartialEq)]
pub(super) struct OrderAsked {
    /// A field of `groupBy` or the name of an aggregate in the answer.
    pub name: String,
    /// From the greatest down.
    pub descending: bool,
    /// Whether nulls come before everything; as in PostgreSQL unless said.
    pub nulls_first: bool,
}

/// A request as asked.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    /// At least one.
    pub metrics: Vec<MetricAsked>,
    /// Fields.
    pub group_by: Vec<String>,
    /// Bucket length of the timestamp or date in `group_by`.
    pub interval: Option<Interval>,
    /// Where days begin.
    pub time_zone: Tz,
    /// Field and conditions, all of which must hold.
    pub filters: Vec<(String, Vec<String>)>,
    /// Whether soft-deleted records count.
    pub deleted: Deleted,
    /// The order.
    pub order: Vec<OrderAsked>,
    /// Most groups.
    pub limit: u32,
}

impl Asked {
    /// Reads every member but `model`, which the caller has taken. All that is wrong is told at once.
    pub fn parse(mut members: Members) -> Result<Self, Problem> {
        let mut wrong = Vec::new();
        let metrics = keep(&mut wrong, parse_metrics(&mut members)).unwrap_or_default();
        let group_by = members.take::<OneOrMany>("groupBy", "a field or a list of fields");
        let group_by: Vec<String> = keep(&mut wrong, group_by.map_err(one))
            .flatten()
            .map_or(Vec::new(), Into::into);
        if group_by.len() > GROUP_BY_MAX {
            wrong.push(refuse(
                "groupBy",
                FieldCode::LimitExceeded,
                format!("takes at most {GROUP_BY_MAX} fields"),
            ));
        }
        let interval = keep(&mut wrong, parse_interval(&mut members).map_err(one)).flatten();
        let time_zone =
            keep(&mut wrong, parse_time_zone(&mut members).map_err(one)).unwrap_or(Tz::UTC);
        let filters =
            keep(&mut wrong, parse_filters(&mut members).map_err(one)).unwrap_or_default();
        let deleted =
            keep(&mut wrong, parse_deleted(&mut members).map_err(one)).unwrap_or(Deleted::Exclude);
        let order = keep(&mut wrong, parse_order(&mut members).map_err(one)).unwrap_or_default();
        let limit =
            keep(&mut wrong, parse_limit(&mut members).map_err(one)).unwrap_or(LIMIT_DEFAULT);
        wrong.extend(members.unknown());
        if wrong.is_empty() {
            Ok(Self {
                metrics,
                group_by,
                interval,
                time_zone,
                filters,
                deleted,
                order,
                limit,
            })
        } else {
            Err(Problem::invalid(wrong))
        }
    }
}

fn one(error: FieldError) -> Vec<FieldError> {
    vec![error]
}

fn keep<T>(wrong: &mut Vec<FieldError>, read: Result<T, Vec<FieldError>>) -> Option<T> {
    read.map_err(|errors| wrong.extend(errors)).ok()
}

fn parse_metrics(members: &mut Members) -> Result<Vec<MetricAsked>, Vec<FieldError>> {
    let expected = "a list of {aggregate, field, alias}";
    let listed = members
        .take::<Vec<Object<Box<RawValue>>>>("metrics", expected)
        .map_err(one)?;
    let Some(listed) = listed else {
        let metric = parse_metric(members, String::new(), None)?;
        return Ok(vec![metric]);
    };
    let fail = |code, message: &str| Err(one(refuse("metrics", code, message)));
    if listed.is_empty() {
        return fail(FieldCode::InvalidValue, "must not be empty");
    }
    if listed.len() > METRICS_MAX {
        return fail(
            FieldCode::LimitExceeded,
            &format!("takes at most {METRICS_MAX} entries"),
        );
    }
    for name in ["aggregate", "field"] {
        if members
            .take::<IgnoredAny>(name, "absent")
            .map_err(one)?
            .is_some()
        {
            return Err(one(refuse(
                name,
                FieldCode::InvalidValue,
                "cannot stand beside metrics",
            )));
        }
    }
    let mut wrong = Vec::new();
    let mut metrics = Vec::with_capacity(listed.len());
    for (i, object) in listed.into_iter().enumerate() {
        let path = format!("metrics[{i}].");
        let Some(mut entry) = keep(&mut wrong, Members::at(path.clone(), object).map_err(one))
        else {
            continue;
        };
        let alias = entry.take::<String>("alias", "a text").map_err(one);
        let metric = alias.and_then(|alias| parse_metric(&mut entry, path, alias));
        metrics.extend(keep(&mut wrong, metric));
        wrong.extend(entry.unknown());
    }
    if wrong.is_empty() {
        Ok(metrics)
    } else {
        Err(wrong)
    }
}

/// Takes `aggregate` and `field` out of the body, or of an entry of `metrics`.
fn parse_metric(
    members: &mut Members,
    path: String,
    alias: Option<String>,
) -> Result<MetricAsked, Vec<FieldError>> {
    let word = members
        .take::<String>("aggregate", "a text such as count")
        .map_err(one)?;
    let field = members
        .take::<String>("field", "the name of a field")
        .map_err(one)?;
    let fail = |name: &str, code, message: &str| Err(one(members.error(name, code, message)));
    let Some(word) = word else {
        return fail(
            "aggregate",
            FieldCode::Required,
            "is needed: count, sum, avg, min or max",
        );
    };
    let Some(aggregate) = Aggregate::ALL.into_iter().find(|a| a.as_str() == word) else {
        return fail(
            "aggregate",
            FieldCode::InvalidValue,
            "is one of count, sum, avg, min, max",
        );
    };
    if field.is_none() && aggregate != Aggregate::Count {
        return fail(
            "field",
            FieldCode::Required,
            &format!("is needed for {word}"),
        );
    }
    if !alias.as_deref().is_none_or(is_alias) {
        let message = "has 1 to 63 letters, digits and underscores and starts with a letter";
        return fail("alias", FieldCode::InvalidValue, message);
    }
    Ok(MetricAsked {
        aggregate,
        field,
        alias,
        path,
    })
}

/// Names stand in the answer as they are, so they hold nothing that JSON escapes.
fn is_alias(text: &str) -> bool {
    let starts_well = text.bytes().next().is_some_and(|c| c.is_ascii_alphabetic());
    starts_well && text.len() <= 63 && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

fn parse_interval(members: &mut Members) -> Result<Option<Interval>, FieldError> {
    let expected = "one of minute, hour, day, week, month, year";
    let Some(text) = members.take::<String>("groupByInterval", expected)? else {
        return Ok(None);
    };
    match Interval::ALL.into_iter().find(|i| i.as_str() == text) {
        Some(interval) => Ok(Some(interval)),
        None => Err(refuse(
            "groupByInterval",
            FieldCode::InvalidValue,
            format!("is {expected}"),
        )),
    }
}

fn parse_time_zone(members: &mut Members) -> Result<Tz, FieldError> {
    let expected = "a time zone such as Europe/Berlin";
    let text = members.take::<String>("timeZone", expected)?;
    text.map_or(Ok(Tz::UTC), |t| t.parse()).map_err(|_| {
        refuse(
            "timeZone",
            FieldCode::InvalidValue,
            format!("must be {expected} (IANA)"),
        )
    })
}

fn parse_filters(members: &mut Members) -> Result<Vec<(String, Vec<String>)>, FieldError> {
    let expected = "an object of fields and conditions such as {\"amount\": \"gt.5\"}";
    let Some(object) = members.take::<Object<OneOrMany>>("filters", expected)? else {
        return Ok(Vec::new());
    };
    match object.duplicate {
        Some(name) => Err(refuse(
            &format!("filters.{name}"),
            FieldCode::Duplicate,
            "appears twice; use a list",
        )),
        None => Ok(object
            .members
            .into_iter()
            .map(|(name, given)| (name, given.into()))
            .collect()),
    }
}

fn parse_deleted(members: &mut Members) -> Result<Deleted, FieldError> {
    let expected = "exclude, include or only";
    match members.take::<String>("deleted", expected)?.as_deref() {
        None | Some("exclude") => Ok(Deleted::Exclude),
        Some("include") => Ok(Deleted::Include),
        Some("only") => Ok(Deleted::Only),
        Some(_) => Err(refuse(
            "deleted",
            FieldCode::InvalidValue,
            format!("must be {expected}"),
        )),
    }
}

fn parse_order(members: &mut Members) -> Result<Vec<OrderAsked>, FieldError> {
    let expected = "a list such as \"created_at.asc,count.desc\"";
    let Some(text) = members.take::<String>("order", expected)? else {
        return Ok(Vec::new());
    };
    let malformed = || {
        refuse(
            "order",
            FieldCode::InvalidValue,
            format!("must be {expected}"),
        )
    };
    let mut order: Vec<OrderAsked> = Vec::new();
    for key in text.split(',') {
        // Asked before the next one is held against those before it: a body has room for very many.
        if order.len() == GROUP_BY_MAX {
            return Err(refuse(
                "order",
                FieldCode::LimitExceeded,
                format!("takes at most {GROUP_BY_MAX} keys"),
            ));
        }
        let mut words = key.trim_matches(' ').split('.').peekable();
        let name = words
            .next()
            .filter(|n| !n.is_empty())
            .ok_or_else(malformed)?
            .to_owned();
        let descending = words.peek() == Some(&"desc");
        if matches!(words.peek(), Some(&("asc" | "desc"))) {
            words.next();
        }
        let nulls_first = match words.next() {
            None => descending,
            Some("nullsfirst") => true,
            Some("nullslast") => false,
            Some(_) => return Err(malformed()),
        };
        if words.next().is_some() {
            return Err(malformed());
        }
        if order.iter().any(|o| o.name == name) {
            return Err(refuse("order", FieldCode::Duplicate, "names a key twice"));
        }
        order.push(OrderAsked {
            name,
            descending,
            nulls_first,
        });
    }
    Ok(order)
}

fn parse_limit(members: &mut Members) -> Result<u32, FieldError> {
    let limit = members
        .take::<u32>("limit", "a whole number, 0 or more")?
        .unwrap_or(LIMIT_DEFAULT);
    if limit > LIMIT_MAX {
        return Err(refuse(
            "limit",
            FieldCode::LimitExceeded,
            format!("is at most {LIMIT_MAX}"),
        ));
    }
    Ok(limit)
}
