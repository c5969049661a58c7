//! Validation and the diff as tables of cases.

use std::collections::BTreeSet;

use crds::{ConditionType, ModuleModel, Reason, condition::State};
use model::{Draft, Generation};
use serde_json::{Value, json};

use super::{
    build::{Plan, Rivals, Step, build},
    observe::{
        Grant, LeakingColumn, LedgerColumn, Observed, ObservedAnalytics, ObservedColumn,
        ObservedConstraint, ObservedIndex, ObservedModel, ObservedPolicy, ObservedTable,
        ObservedTarget,
    },
    status::indexes_serve,
    validate::{Desired, validate},
};
use crate::report::Refusal;

fn resource(spec: Value) -> ModuleModel {
    serde_json::from_value(json!({
        "apiVersion": "data.septemcore.com/v1alpha1", "kind": "ModuleModel",
        "metadata": {"name": "crm-deals", "namespace": "crm", "uid": "u1"}, "spec": spec,
    }))
    .unwrap()
}

pub(super) fn spec() -> Value {
    json!({
        "module": "crm", "model": "deals", "autoApi": true,
        "fields": [
            {"name": "title", "type": "text", "required": true, "maxLength": 200},
            {"name": "amount", "type": "decimal", "precision": 12, "scale": 2, "default": "0"},
            {"name": "stage", "type": "enum", "values": ["open", "won"], "default": "open"},
            {"name": "company_id", "type": "uuid", "references": {"module": "crm", "model": "companies"}},
        ],
        "indexes": [{"name": "by_stage", "fields": ["stage"]}],
        "unique": [{"name": "one_title", "fields": ["title"]}],
        "analytics": {"enabled": true},
    })
}

/// The spec with one value replaced or added, by JSON pointer of its parent.
pub(super) fn with(parent: &str, key: &str, value: Value) -> Value {
    let mut spec = spec();
    match spec.pointer_mut(parent).unwrap() {
        Value::Array(list) if key == "-" => list.push(value),
        other => other[key] = value,
    }
    spec
}

pub(super) fn desired(spec: Value) -> Desired {
    validate(&resource(spec)).unwrap()
}

#[test]
fn what_has_no_behaviour_yet_is_refused_by_its_path() {
    let cases = [
        ("/analytics", "ttl", json!("24h"), "spec.analytics.ttl"),
        (
            "/analytics",
            "orderBy",
            json!(["title"]),
            "spec.analytics.orderBy",
        ),
        ("", "cache", json!({"ttl": "5s"}), "spec.cache.ttl"),
        ("", "realtime", json!(true), "spec.realtime"),
        ("", "limits", json!({"maxDepth": 2}), "spec.limits.maxDepth"),
    ];
    for (parent, key, value, path) in cases {
        let refusal = validate(&resource(with(parent, key, value))).unwrap_err();
        let expected = Refusal::of_spec(
            Reason::NotYetSupported,
            format!("not yet supported: {path}"),
        );
        assert_eq!(refusal, expected, "{path}");
    }
}

#[test]
fn what_contradicts_itself_is_refused_by_its_path() {
    let cases = [
        ("", "model", json!("batch"), "spec.model"),
        (
            "/unique/0",
            "name",
            json!("by_stage"),
            "spec.unique[0].name",
        ),
        ("/fields/0", "name", json!("version"), "spec.fields[0].name"),
        ("/fields/1", "scale", json!(13), "spec.fields[1].scale"),
        (
            "/fields/1",
            "default",
            json!("1.234"),
            "spec.fields[1].default",
        ),
        (
            "/fields/2",
            "default",
            json!("gone"),
            "spec.fields[2].default",
        ),
        (
            "/unique/0",
            "fields",
            json!(["nope"]),
            "spec.unique[0].fields[0]",
        ),
        (
            "",
            "hooks",
            json!([{"event": "BeforeCreate", "url": "ftp://a"}]),
            "spec.hooks[0].url",
        ),
        (
            "",
            "hooks",
            json!([{"event": "BeforeCreate", "url": "http://a", "timeout": "6s"}]),
            "spec.hooks[0].timeout",
        ),
        (
            "",
            "drift",
            json!({"interval": "10s"}),
            "spec.drift.interval",
        ),
        (
            "",
            "migrations",
            json!({"policy": {"lockTimeout": "0s"}}),
            "spec.migrations.policy.lockTimeout",
        ),
        (
            "",
            "checks",
            json!([{"name": "c", "expression": "amount >= 0); drop table x"}]),
            "spec.checks[0].expression: at character 13",
        ),
        (
            "/fields/0",
            "renamedFrom",
            json!("amount"),
            "spec.fields[0].renamedFrom",
        ),
    ];
    for (parent, key, value, path) in cases {
        let refusal = validate(&resource(with(parent, key, value))).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidModel, "{path}");
        assert!(
            refusal.message.starts_with(path),
            "{path}: {}",
            refusal.message
        );
    }
}

#[test]
fn timeouts_are_the_authors() {
    let policy = json!({"policy": {"lockTimeout": "500ms", "statementTimeout": "10m"}});
    let timeouts = desired(with("", "migrations", policy)).timeouts;
    assert_eq!(
        (timeouts.lock.as_millis(), timeouts.statement.as_secs()),
        (500, 600)
    );
}

/// The databases as they are after `desired` was applied.
pub(super) fn applied(desired: &Desired) -> (Observed, Draft, ObservedAnalytics) {
    use sql::postgres::{column_type, ddl};
    let model = &desired.model;
    let draft = Draft::from(model.clone());
    let column = |name: &str, type_: &str, not_null| ObservedColumn {
        name: name.into(),
        type_: type_.into(),
        not_null,
    };
    let mut columns = vec![
        column("tenant_id", "uuid", true),
        column("id", "uuid", true),
    ];
    columns.extend(
        model
            .fields()
            .iter()
            .map(|f| column(f.name.as_str(), &column_type(&f.field_type), f.required)),
    );
    let constraint = |name: String, definition: &str| ObservedConstraint {
        name,
        definition: definition.into(),
        validated: true,
    };
    let constraints = vec![
        constraint(
            "deals__title__check".into(),
            "CHECK ((char_length(title) <= 200))",
        ),
        constraint(
            "deals__stage__check".into(),
            "CHECK ((stage = ANY (ARRAY['open'::text, 'won'::text])))",
        ),
        constraint("deals__company_id__fkey".into(), "FOREIGN KEY (…)"),
    ];
    let policy = |name: &str, permissive, role: &str, expression: &str| ObservedPolicy {
        name: name.into(),
        permissive,
        command: "*".into(),
        roles: vec![role.into()],
        using: Some(expression.into()),
        check: Some(expression.into()),
    };
    let grant = |grantee: &str, privilege: &str| Grant {
        grantee: grantee.into(),
        privilege: privilege.into(),
    };
    let table = ObservedTable {
        owner: "septem_owner".into(),
        row_security: true,
        row_security_forced: true,
        replica_identity: if ddl::replica_identity_full(model) {
            "f"
        } else {
            "d"
        }
        .into(),
        captured: model.streamed(),
        columns,
        constraints,
        indexes: std::iter::once(ObservedIndex {
            name: "deals__id__pkey".into(),
            columns: vec!["tenant_id".into(), "id".into()],
            unique: true,
            predicate: None,
            valid: true,
        })
        .chain(
            ddl::index_shapes(model)
                .into_iter()
                .map(|shape| ObservedIndex {
                    name: shape.name,
                    columns: shape.columns,
                    unique: shape.unique,
                    predicate: shape.unique.then(|| ddl::LIVE_PRINTED.to_owned()),
                    valid: true,
                }),
        )
        .collect(),
        leaking: Vec::new(),
        triggers: BTreeSet::new(),
        rows: 100,
        policies: vec![
            policy("septem_app", true, "septem_app", "true"),
            policy(
                "tenant_isolation",
                false,
                "public",
                ddl::TENANT_PREDICATE_PRINTED,
            ),
        ],
        grants: vec![
            grant("septem_app", "SELECT"),
            grant("septem_app", "INSERT"),
            grant("septem_app", "UPDATE"),
            grant("septem_cdc", "SELECT"),
        ],
        column_grants: Vec::new(),
    };
    let observed = Observed {
        schema_owner: Some("septem_owner".into()),
        schema_grants: vec![grant("septem_app", "USAGE"), grant("septem_cdc", "USAGE")],
        table: Some(table),
        claimed_by: Some("crm".into()),
        published: Some(ObservedModel {
            resource: desired.resource.clone(),
            resource_uid: desired.uid.clone(),
            document: serde_json::to_value(model).unwrap(),
            served: true,
            revision: 1,
        }),
        ledger: model
            .fields()
            .iter()
            .map(|f| LedgerColumn {
                name: f.column().as_str().to_owned(),
                definition: serde_json::to_value(&f.field_type).ok(),
                ..LedgerColumn::default()
            })
            .collect(),
        deleted_with: None,
        approved: None,
        waiting_for: Vec::new(),
        unsynced: BTreeSet::new(),
        snapshot_running: false,
        permissions: model.actions().map(|a| a.as_str().to_owned()).collect(),
        references: vec![ObservedTarget {
            name: model.fields()[3].references.as_ref().unwrap().target(),
            resource: Some("crm/companies".into()),
            soft_delete: true,
        }],
        kept_with: Vec::new(),
    };
    let analytics = ObservedAnalytics {
        columns: model
            .columns()
            .iter()
            .map(|c| {
                (
                    c.name.as_str().to_owned(),
                    sql::clickhouse::column_type(&c.field_type, c.required),
                )
            })
            .collect(),
        has_rows: true,
    };
    (observed, draft, analytics)
}

/// What follows when `next` is asked for where the spec above was applied and somebody changed what they found.
fn diff(
    next: Value,
    hand: impl FnOnce(&mut Observed, &mut ObservedAnalytics),
) -> Result<Plan, Refusal> {
    let (mut observed, draft, mut analytics) = applied(&desired(spec()));
    hand(&mut observed, &mut analytics);
    let next = desired(next);
    let analytics = next.model.analytics().then_some(analytics);
    build(
        &next,
        &observed,
        Some(&draft),
        analytics.as_ref(),
        Generation(1),
        Rivals::Exist,
    )
}

/// What a plan does, a line a step; the statements of a transaction are told by [`statements`].
fn steps(plan: &Plan) -> Vec<String> {
    let name = |s: &Step| match s {
        Step::Transaction {
            document: Some(document),
            ..
        } if !document.filling().is_empty() => format!("{} (filling)", s.name()),
        Step::Backfill { field, .. } => format!("backfill {}", field.column().as_str()),
        Step::Concurrently { .. } | Step::Validate { .. } | Step::ClickHouse { .. } => {
            let statements = s.statements(plan.model.as_deref().unwrap());
            statements
                .into_iter()
                .map(|s| s.sql)
                .collect::<Vec<_>>()
                .join("; ")
        }
        _ => s.name().to_owned(),
    };
    plan.steps.iter().map(name).collect()
}

/// Whether values are lost by it.
fn loses(plan: &Plan) -> bool {
    let model = plan.model.as_deref().unwrap();
    let mut statements = plan.steps.iter().flat_map(|s| s.statements(model));
    statements.any(|s| s.destructive)
}

/// The statements for PostgreSQL of every transaction, in order.
fn statements(plan: &Plan) -> Vec<String> {
    let transactions = plan
        .steps
        .iter()
        .filter(|s| matches!(s, Step::Transaction { .. }));
    let model = plan.model.as_deref().unwrap();
    transactions
        .flat_map(|s| s.statements(model))
        .map(|s| s.sql)
        .collect()
}

#[test]
fn what_is_as_desired_needs_nothing() {
    let plan = diff(spec(), |_, _| {}).unwrap();
    assert!(plan.is_empty() && plan.drift.is_empty(), "{plan:?}");
}

#[test]
fn a_new_model_is_created_and_captured_in_one_transaction() {
    let desired = desired(spec());
    let nothing = ObservedAnalytics::default();
    let plan = build(
        &desired,
        &Observed::default(),
        None,
        Some(&nothing),
        Generation(1),
        Rivals::Exist,
    )
    .unwrap();
    let found = steps(&plan);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("create table if not exists `septem_data`.`crm__deals__g1`"));
    assert_eq!(found[1], "publish");
    let statements = statements(&plan);
    assert_eq!(
        statements.first().unwrap(),
        "create schema if not exists \"crm\" authorization septem_owner"
    );
    assert_eq!(
        statements.last().unwrap(),
        "alter publication platform_cdc add table \"crm\".\"deals\""
    );
}

#[test]
fn every_kind_of_change_is_these_steps() {
    let policy = json!({"policy": {"allowDestructive": true, "allowDrop": ["amount"]}});
    let change = |parent: &str, key: &str, value: Value| {
        let mut spec = with(parent, key, value);
        spec["migrations"] = policy.clone();
        spec
    };
    let field = |value: Value| change("/fields", "-", value);
    let mut dropped = change("", "autoApi", json!(true));
    dropped["fields"].as_array_mut().unwrap().remove(1);
    let mut renamed = change("/fields/0", "name", json!("headline"));
    renamed["fields"][0]["renamedFrom"] = json!("title");
    renamed["unique"][0]["fields"] = json!(["headline"]);
    let mut retyped = change("/fields/1", "type", json!("text"));
    retyped["fields"][1] =
        json!({"name": "amount", "type": "text", "required": true, "default": "none"});
    let mut reference = change("", "autoApi", json!(true));
    reference["fields"][3]
        .as_object_mut()
        .unwrap()
        .remove("references");
    let cases = [
        (
            "a nullable field with a bound and a constant default",
            field(json!({"name": "note", "type": "text", "maxLength": 10, "default": "-"})),
        ),
        (
            "a field with the moment of its creation",
            field(
                json!({"name": "seen_at", "type": "timestamp", "default": "now", "required": true}),
            ),
        ),
        (
            "a required field without a default",
            field(json!({"name": "flag", "type": "bool", "required": true})),
        ),
        (
            "a reference",
            field(
                json!({"name": "contact_id", "type": "uuid", "references": {"module": "crm", "model": "contacts"}}),
            ),
        ),
        (
            "a longer text",
            change("/fields/0", "maxLength", json!(400)),
        ),
        (
            "a shorter text",
            change("/fields/0", "maxLength", json!(100)),
        ),
        (
            "more values",
            change("/fields/2", "values", json!(["open", "won", "lost"])),
        ),
        (
            "fewer values",
            change("/fields/2", "values", json!(["open"])),
        ),
        ("more digits", change("/fields/1", "precision", json!(14))),
        ("fewer digits", change("/fields/1", "precision", json!(10))),
        (
            "another default",
            change("/fields/0", "default", json!("x")),
        ),
        (
            "not required any more",
            change("/fields/0", "required", json!(false)),
        ),
        (
            "required with a default",
            change("/fields/1", "required", json!(true)),
        ),
        ("dropped", dropped),
        ("renamed", renamed),
        ("of another type", retyped),
        ("no reference any more", reference),
        (
            "another target",
            change(
                "/fields/3",
                "references",
                json!({"module": "crm", "model": "people"}),
            ),
        ),
        (
            "a new index",
            change(
                "/indexes",
                "-",
                json!({"name": "by_title", "fields": ["title"]}),
            ),
        ),
        (
            "another index",
            change(
                "",
                "indexes",
                json!([{"name": "by_stage", "fields": ["title"]}]),
            ),
        ),
        ("no index any more", change("", "indexes", json!([]))),
        (
            "a new unique",
            change(
                "/unique",
                "-",
                json!({"name": "other", "fields": ["amount"]}),
            ),
        ),
    ];
    let told: Vec<_> = cases
        .into_iter()
        .map(|(what, next)| {
            let plan = diff(next, |_, _| {}).unwrap();
            let proofs: Vec<_> = plan
                .steps
                .iter()
                .flat_map(|s| match s {
                    Step::Transaction { proofs, .. } => proofs
                        .iter()
                        .map(|p| format!("{}: n rows {}", p.path, p.refusal))
                        .collect::<Vec<_>>(),
                    _ => Vec::new(),
                })
                .collect();
            format!(
                "# {what}{}\n{}\n  {}\n  proofs: {proofs:?}\n",
                if loses(&plan) { " (destructive)" } else { "" },
                steps(&plan).join("\n"),
                statements(&plan).join("\n  ")
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_would_lose_values_is_refused_by_its_path() {
    let mut fewer = spec();
    fewer["fields"].as_array_mut().unwrap().remove(1);
    let cases = [
        (fewer, "spec.fields: amount"),
        (
            with("/fields/0", "maxLength", json!(100)),
            "spec.fields[0].maxLength",
        ),
        (
            with("/fields/1", "precision", json!(10)),
            "spec.fields[1].type",
        ),
        (
            with("/fields/1", "required", json!(true)),
            "spec.fields[1].required",
        ),
        (
            with("/fields/2", "values", json!(["open"])),
            "spec.fields[2].values",
        ),
    ];
    for (next, path) in cases {
        let refusal = diff(next, |_, _| {}).unwrap_err();
        assert_eq!(
            (refusal.condition, refusal.reason),
            (ConditionType::SchemaApplied, Reason::DestructiveChange),
            "{path}"
        );
        assert!(refusal.message.starts_with(path), "{}", refusal.message);
        assert!(
            refusal.message.contains("nothing was changed"),
            "{}",
            refusal.message
        );
    }
    let refusal = diff(with("/analytics", "enabled", json!(false)), |_, _| {}).unwrap_err();
    assert_eq!(refusal.reason, Reason::NotYetSupported);
    let mut retyped = spec();
    retyped["fields"][1] = json!({"name": "amount", "type": "date"});
    let refusal = diff(retyped, |_, _| {}).unwrap_err();
    assert!(
        refusal
            .message
            .starts_with("spec.fields[1].type: values of type decimal cannot become date"),
        "{}",
        refusal.message
    );
}

#[test]
fn another_dimension_is_another_type_that_no_value_becomes() {
    let of = |dimension: u16| {
        let field = json!({"name": "embedding", "type": "vector", "dimension": dimension});
        with("/fields", "-", field)
    };
    let (mut observed, draft, analytics) = applied(&desired(of(3)));
    let table = observed.table.as_mut().unwrap();
    table.constraints.push(ObservedConstraint {
        name: "deals__embedding__check".into(),
        // As PostgreSQL 18 prints it.
        definition: "CHECK (((cardinality(embedding) = 3) AND (array_dims(embedding) = '[1:3]'::text) AND \
            (array_position(embedding, NULL::real) IS NULL) AND ('-Infinity'::real < ALL (embedding)) AND \
            ('Infinity'::real > ALL (embedding))))"
            .into(),
        validated: true,
    });
    let plan = |next: Value| {
        build(
            &desired(next),
            &observed,
            Some(&draft),
            Some(&analytics),
            Generation(1),
            Rivals::Exist,
        )
    };
    let same = plan(of(3)).unwrap();
    assert!(steps(&same).is_empty());
    assert!(same.drift.modified.is_empty() && same.drift.missing.is_empty());
    let mut other = of(4);
    other["migrations"] = json!({"policy": {"allowDestructive": true}});
    let refusal = plan(other).unwrap_err();
    assert!(
        refusal.message.starts_with(
            "spec.fields[4].type: values of type vector of dimension 3 cannot become vector of dimension 4"
        ),
        "{}",
        refusal.message
    );
}

#[test]
fn names_of_others_are_refused() {
    let taken = |hand: fn(&mut Observed)| diff(spec(), |o, _| hand(o)).unwrap_err();
    let cases = [
        taken(|o| o.claimed_by = Some("sales".into())),
        taken(|o| o.published.as_mut().unwrap().resource_uid = "u2".into()),
        taken(|o| o.schema_owner = Some("somebody".into())),
        taken(|o| o.table.as_mut().unwrap().owner = "somebody".into()),
        taken(|o| o.published = None),
    ];
    for refusal in cases {
        assert_eq!(
            (refusal.condition, refusal.reason),
            (ConditionType::Accepted, Reason::NameConflict),
            "{}",
            refusal.message
        );
    }
    let gone = diff(spec(), |o, _| o.table = None).unwrap_err();
    assert_eq!(gone.reason, Reason::DriftDetected);
}

#[test]
fn a_retained_model_is_adopted_by_its_next_resource() {
    let plan = diff(spec(), |o, _| {
        let published = o.published.as_mut().unwrap();
        (published.served, published.resource_uid) = (false, "u0".into());
        o.permissions.clear();
    });
    assert_eq!(steps(&plan.unwrap()), ["publish"]);
}

#[test]
fn the_proxy_removes_rows_where_deleted_ones_are_not_kept_and_nowhere_else() {
    let of_rows = |plan: &Plan| {
        let all = statements(plan).into_iter();
        all.filter(|s| s.contains("delete on")).collect::<Vec<_>>()
    };
    let granted = |table: &mut ObservedTable| {
        table.grants.push(Grant {
            grantee: "septem_app".into(),
            privilege: "DELETE".into(),
        });
    };
    // Before anybody knows of it.
    let plan = diff(with("", "softDelete", json!(false)), |_, _| {}).unwrap();
    assert_eq!(steps(&plan), ["publish"]);
    assert_eq!(
        of_rows(&plan),
        ["grant delete on \"crm\".\"deals\" to septem_app"]
    );
    // When everybody knows.
    let plan = diff(spec(), |o, _| granted(o.table.as_mut().unwrap())).unwrap();
    assert_eq!(steps(&plan), ["contract"]);
    assert_eq!(
        of_rows(&plan),
        ["revoke delete on \"crm\".\"deals\" from septem_app"]
    );
    assert!(
        plan.repaired.is_empty(),
        "no tenant is shown another's rows"
    );
    let mut table = applied(&desired(spec())).0.table.unwrap();
    assert_eq!(table.open_fence(false), ["privileges of septem_app"]);
    granted(&mut table);
    assert!(table.open_fence(false).is_empty() && table.open_fence(true).is_empty());
}

#[test]
fn an_open_fence_is_closed() {
    let opened: [fn(&mut ObservedTable); 7] = [
        |t| t.row_security = false,
        |t| t.row_security_forced = false,
        |t| t.policies.retain(|p| p.name != "tenant_isolation"),
        |t| t.policies.iter_mut().for_each(|p| p.permissive = true),
        |t| t.policies[1].using = Some("true".into()),
        |t| {
            t.grants.push(Grant {
                grantee: "septem_app".into(),
                privilege: "TRUNCATE".into(),
            })
        },
        |t| {
            t.column_grants.push(Grant {
                grantee: "public".into(),
                privilege: "SELECT".into(),
            })
        },
    ];
    for (i, open) in opened.into_iter().enumerate() {
        let plan = diff(spec(), |o, _| open(o.table.as_mut().unwrap())).unwrap();
        assert!(!plan.repaired.is_empty(), "{i}");
        assert!(
            statements(&plan)
                .iter()
                .any(|s| s.contains("force row level security")),
            "{i}"
        );
    }
    // A role of somebody else's is not ours to judge.
    let plan = diff(spec(), |o, _| {
        o.table.as_mut().unwrap().grants.push(Grant {
            grantee: "reports".into(),
            privilege: "SELECT".into(),
        });
    });
    assert!(plan.unwrap().is_empty());
}

#[test]
fn what_somebody_changed_by_hand_is_drift_and_stays() {
    let drift = |hand: fn(&mut ObservedTable)| {
        let plan = diff(spec(), |o, _| hand(o.table.as_mut().unwrap())).unwrap();
        assert!(plan.is_empty(), "{plan:?}");
        plan.drift
    };
    let extra = drift(|t| {
        t.columns.push(ObservedColumn {
            name: "mine".into(),
            type_: "text".into(),
            not_null: false,
        })
    });
    assert_eq!(extra.extra, ["column mine"]);
    let missing = drift(|t| {
        t.indexes.retain(|i| i.name != "deals__by_stage");
        t.constraints.retain(|c| c.name != "deals__title__check");
    });
    assert_eq!(
        missing.missing,
        ["constraint deals__title__check", "index deals__by_stage"]
    );
    assert_eq!(
        drift(|t| t.columns[2].not_null = false).modified,
        ["column title"]
    );
    assert!(drift(|t| t.captured = false).uncaptured);

    let plan = diff(spec(), |_, a| a.columns.clear()).unwrap();
    assert!(plan.is_empty() && !plan.drift.analytics.is_empty());
}

#[test]
fn a_table_is_captured_while_something_follows_it() {
    let of = |analytics: bool, events: &[&str]| {
        let hook = |event: &&str| json!({"event": event, "url": "http://crm.crm.svc/"});
        let hooks: Vec<_> = events.iter().map(hook).collect();
        let mut resource = with("", "analytics", json!({"enabled": analytics}));
        resource["hooks"] = json!(hooks);
        desired(resource)
    };
    let check = |before: Desired, captured: bool, after: Desired, expected: &[&str]| {
        let (mut observed, draft, found) = applied(&before);
        observed.table.as_mut().unwrap().captured = captured;
        let found = after.model.analytics().then_some(found);
        let (generation, rivals) = (Generation(1), Rivals::Exist);
        let plan = build(
            &after,
            &observed,
            Some(&draft),
            found.as_ref(),
            generation,
            rivals,
        );
        let plan = plan.unwrap();
        assert_eq!(statements(&plan), expected);
        plan
    };
    let (lock, add, drop) = (
        "lock table \"crm\".\"deals\" in share row exclusive mode",
        "alter publication platform_cdc add table \"crm\".\"deals\"",
        "alter publication platform_cdc drop table \"crm\".\"deals\"",
    );
    let told = || of(false, &["AfterCreate"]);
    let asked = || of(false, &["BeforeCreate"]);
    check(of(false, &[]), false, told(), &[lock, add]);
    check(told(), true, told(), &[]);
    check(told(), true, asked(), &[drop]);
    assert!(check(told(), false, told(), &[]).drift.uncaptured);
    check(of(true, &[]), true, of(true, &["AfterCreate"]), &[]);
    // The key of a reference stays, whatever a deletion does.
    let cascades = desired(with("/fields/3/references", "onDelete", json!("Cascade")));
    let plan = check(desired(spec()), true, cascades, &[]);
    assert!(plan.steps.iter().any(Step::publishes));
    let before = check(of(false, &[]), false, asked(), &[]);
    assert_eq!(steps(&before), ["publish"]);
}

#[test]
fn a_killed_run_is_continued() {
    // ClickHouse has the new column, PostgreSQL does not.
    let note = json!({"name": "note", "type": "int64"});
    let plan = diff(with("/fields", "-", note), |_, a| {
        a.columns.push(("note".into(), "Nullable(Int64)".into()));
    })
    .unwrap();
    assert_eq!(steps(&plan), ["publish"]);
    // The transaction was committed, the constraint not yet proven.
    let plan = diff(spec(), |o, _| {
        o.table.as_mut().unwrap().constraints[0].validated = false
    })
    .unwrap();
    assert_eq!(
        steps(&plan),
        ["alter table \"crm\".\"deals\" validate constraint \"deals__title__check\""]
    );
    // ClickHouse has an empty table of a run that got no further.
    let desired = desired(spec());
    let (_, _, mut analytics) = applied(&desired);
    let of_nothing = |analytics: &ObservedAnalytics| {
        build(
            &desired,
            &Observed::default(),
            None,
            Some(analytics),
            Generation(1),
            Rivals::Exist,
        )
    };
    analytics.has_rows = false;
    assert_eq!(steps(&of_nothing(&analytics).unwrap()), ["publish"]);
    // With rows it is somebody's earlier database.
    analytics.has_rows = true;
    let refusal = of_nothing(&analytics).unwrap_err();
    assert_eq!(
        (refusal.condition, refusal.reason),
        (ConditionType::AnalyticsReady, Reason::NameConflict)
    );
}

#[test]
fn what_is_retired_waits_for_those_who_use_it() {
    let wait = |waiting: &[&str]| {
        diff(spec(), |o, a| {
            o.ledger.push(LedgerColumn {
                name: "note".into(),
                ..LedgerColumn::default()
            });
            o.waiting_for = waiting.iter().map(|w| (*w).to_owned()).collect();
            a.columns.push(("note".into(), "Nullable(String)".into()));
        })
        .unwrap()
    };
    let gone = "alter table `septem_data`.`crm__deals__g1` drop column if exists `note`";
    assert_eq!(steps(&wait(&[])), ["contract", gone]);
    let plan = wait(&["proxy-1"]);
    assert_eq!(steps(&plan), ["acknowledge", "contract", gone]);
    assert_eq!(
        plan.steps[0],
        Step::Acknowledge {
            revision: Some(1),
            waiting_for: vec!["proxy-1".into()]
        }
    );
    assert!(loses(&plan));
}

#[test]
fn a_change_that_is_given_up_is_taken_back() {
    let plan = diff(spec(), |o, _| {
        let table = o.table.as_mut().unwrap();
        for name in [
            "_new__deals__title__check__0123456789abcdef",
            "deals__amount__required",
        ] {
            table.constraints.push(ObservedConstraint {
                name: name.into(),
                definition: "CHECK (…)".into(),
                validated: false,
            });
        }
        table.indexes.push(ObservedIndex {
            name: "_new__deals__by_stage__0123456789abcdef".into(),
            ..ObservedIndex::default()
        });
        table.columns.push(ObservedColumn {
            name: "amount__2".into(),
            type_: "bigint".into(),
            not_null: false,
        });
        o.ledger.push(LedgerColumn {
            name: "amount__2".into(),
            source: Some("amount".into()),
            ..LedgerColumn::default()
        });
    })
    .unwrap();
    assert_eq!(
        steps(&plan),
        [
            "drop index concurrently if exists \"crm\".\"_new__deals__by_stage__0123456789abcdef\"",
            "publish",
            "acknowledge",
            "contract"
        ]
    );
    assert_eq!(
        statements(&plan),
        [
            "alter table \"crm\".\"deals\" drop constraint if exists \"_new__deals__title__check__0123456789abcdef\"",
            "alter table \"crm\".\"deals\" drop constraint if exists \"deals__amount__required\"",
            "drop trigger if exists \"_sync__deals__amount__2\" on \"crm\".\"deals\"",
            "drop function if exists \"crm\".\"_sync__deals__amount__2\"()",
            "alter table \"crm\".\"deals\" alter column \"amount\" set default '0'::numeric(12,2)",
            "alter table \"crm\".\"deals\" drop column if exists \"amount__2\"",
        ]
    );
}

#[test]
fn a_name_that_a_column_had_is_never_used_again() {
    let note = json!({"name": "note", "type": "int64"});
    let plan = diff(with("/fields", "-", note), |o, _| {
        o.ledger.push(LedgerColumn {
            name: "note".into(),
            dropped: true,
            ..LedgerColumn::default()
        });
    })
    .unwrap();
    let model = plan.model.unwrap();
    assert_eq!(model.field("note").unwrap().column().as_str(), "note__2");
}

#[test]
fn an_index_that_filters_do_not_use_is_told_with_its_column() {
    let mut spec = with(
        "/indexes",
        "-",
        json!({"name": "by_amount", "fields": ["stage", "amount"]}),
    );
    spec["unique"][0]["fields"] = json!(["title", "amount"]);
    let plan = Plan {
        model: Some(Box::new(desired(spec).model)),
        ..Plan::default()
    };
    let leaking = |index: &str, column: &str| LeakingColumn {
        index: index.into(),
        column: column.into(),
        type_: "numeric".into(),
    };
    // Somebody's own index is not ours to judge.
    let fine = indexes_serve(&[leaking("by_hand", "amount")], &plan);
    assert_eq!((fine.state, fine.reason), (State::True, Reason::Applied));

    let found = [
        leaking("by_hand", "amount"),
        leaking("deals__by_amount", "amount"),
        leaking("deals__one_title", "amount"),
    ];
    let told = indexes_serve(&found, &plan);
    assert_eq!(
        (told.state, told.reason),
        (State::False, Reason::NotLeakproof)
    );
    assert!(told.condition.leaves_ready_alone());
    assert_eq!(
        told.message,
        "spec.indexes[1]: index deals__by_amount, column amount; spec.unique[0]: index deals__one_title, column amount: filters do not use it, since comparisons of numeric are not leakproof in this database; have a superuser mark them leakproof, or take the field out of the index unless it is there for an order"
    );

    let many: Vec<_> = (0..9)
        .map(|i| leaking("deals__by_amount", &format!("amount__{i}")))
        .collect();
    let told = indexes_serve(&many, &plan).message;
    assert!(
        told.contains("column amount__3; and 5 more: filters"),
        "{told}"
    );
}
