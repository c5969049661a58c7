//! Validation and the diff as tables of cases.

use std::collections::BTreeSet;

use crds::{ConditionType, ModuleModel, Reason};
use model::{Draft, Generation};
use serde_json::{Value, json};

use super::{
    build::{Plan, Rivals, build},
    observe::{
        Grant, Observed, ObservedAnalytics, ObservedColumn, ObservedConstraint, ObservedModel,
        ObservedPolicy, ObservedTable,
    },
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

fn spec() -> Value {
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
fn with(parent: &str, key: &str, value: Value) -> Value {
    let mut spec = spec();
    match spec.pointer_mut(parent).unwrap() {
        Value::Array(list) if key == "-" => list.push(value),
        other => other[key] = value,
    }
    spec
}

fn desired(spec: Value) -> Desired {
    validate(&resource(spec)).unwrap()
}

#[test]
fn what_has_no_behaviour_yet_is_refused_by_its_path() {
    let cases = [
        (
            "/fields/0",
            "sensitive",
            json!(true),
            "spec.fields[0].sensitive",
        ),
        (
            "/fields/0",
            "renamedFrom",
            json!("name"),
            "spec.fields[0].renamedFrom",
        ),
        (
            "/fields/3/references",
            "onDelete",
            json!("Cascade"),
            "spec.fields[3].references.onDelete",
        ),
        (
            "/fields/3/references",
            "module",
            json!("hr"),
            "spec.fields[3].references.module",
        ),
        (
            "/fields",
            "-",
            json!({"name": "v", "type": "vector", "dimension": 3}),
            "spec.fields[4].type",
        ),
        (
            "",
            "checks",
            json!([{"name": "c", "expression": "amount >= 0"}]),
            "spec.checks",
        ),
        (
            "",
            "migrations",
            json!({"approval": "Manual"}),
            "spec.migrations.approval",
        ),
        (
            "",
            "migrations",
            json!({"approval": "Auto", "approvedPlan": "x"}),
            "spec.migrations.approvedPlan",
        ),
        (
            "",
            "migrations",
            json!({"policy": {"allowDestructive": true}}),
            "spec.migrations.policy.allowDestructive",
        ),
        (
            "",
            "migrations",
            json!({"policy": {"allowDrop": ["title"]}}),
            "spec.migrations.policy.allowDrop",
        ),
        ("", "softDelete", json!(false), "spec.softDelete"),
        (
            "",
            "optimisticLocking",
            json!(false),
            "spec.optimisticLocking",
        ),
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
        ("", "deletionPolicy", json!("Delete"), "spec.deletionPolicy"),
        ("", "drift", json!({"interval": "10s"}), "spec.drift"),
        ("", "referencedBy", json!(["hr"]), "spec.referencedBy"),
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
            "migrations",
            json!({"policy": {"lockTimeout": "0s"}}),
            "spec.migrations.policy.lockTimeout",
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
fn applied(desired: &Desired) -> (Observed, Draft, ObservedAnalytics) {
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
        indexes: [
            "deals__id__pkey",
            "deals__by_stage",
            "deals__one_title",
            "deals__company_id__ref",
        ]
        .map(String::from)
        .into(),
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
            .map(|f| f.name.as_str().to_owned())
            .collect(),
        permissions: 3,
        references: BTreeSet::from(["companies".into()]),
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

#[test]
fn what_is_as_desired_needs_nothing() {
    assert_eq!(diff(spec(), |_, _| {}), Ok(Plan::default()));
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
    assert!(plan.publish);
    assert!(
        plan.clickhouse[0].starts_with("create table if not exists `septem_data`.`crm__deals__g1`")
    );
    assert_eq!(
        plan.postgres.first().unwrap(),
        "create schema if not exists \"crm\" authorization septem_owner"
    );
    assert_eq!(
        plan.postgres.last().unwrap(),
        "alter publication platform_cdc add table \"crm\".\"deals\""
    );
}

#[test]
fn additions_are_applied() {
    let note = json!({"name": "note", "type": "text", "maxLength": 10, "default": "-"});
    let plan = diff(with("/fields", "-", note), |_, _| {}).unwrap();
    assert_eq!(
        plan.postgres,
        [
            "alter table \"crm\".\"deals\" add column \"note\" text default '-'::text, add constraint \"deals__note__check\" check (char_length(\"note\") <= 10) not valid"
        ]
    );
    assert_eq!(
        plan.validate,
        ["alter table \"crm\".\"deals\" validate constraint \"deals__note__check\""]
    );
    assert_eq!(plan.clickhouse.len(), 1);
    assert!(plan.publish);

    let contact = json!({"name": "contact_id", "type": "uuid", "references": {"module": "crm", "model": "contacts"}});
    let plan = diff(with("/fields", "-", contact), |_, _| {}).unwrap();
    assert_eq!((plan.postgres.len(), plan.validate.len()), (3, 1));

    let plan = diff(
        with("/fields/2", "values", json!(["open", "won", "lost"])),
        |_, _| {},
    )
    .unwrap();
    assert!(
        plan.postgres[0]
            .contains("drop constraint if exists \"deals__stage__check\", add constraint")
    );
    assert!(plan.clickhouse.is_empty());

    // From 200 to 400 characters a row can have values out of line, and the old row has to be logged.
    let plan = diff(with("/fields/0", "maxLength", json!(400)), |_, _| {}).unwrap();
    assert_eq!(
        plan.postgres.last().unwrap(),
        "alter table \"crm\".\"deals\" replica identity full"
    );

    for (parent, key, value) in [
        ("", "autoApi", json!(false)),
        ("", "limits", json!({"maxPageSize": 10})),
    ] {
        let plan = diff(with(parent, key, value), |_, _| {}).unwrap();
        assert!(
            plan.publish && plan.postgres.is_empty() && plan.clickhouse.is_empty(),
            "{key}"
        );
    }
}

#[test]
fn everything_else_on_an_existing_table_is_refused_by_its_path() {
    let field = |value: Value| with("/fields", "-", value);
    let mut fewer = spec();
    fewer["fields"].as_array_mut().unwrap().remove(1);
    let destructive = diff(fewer, |_, _| {}).unwrap_err();
    assert_eq!(
        (destructive.condition, destructive.reason),
        (ConditionType::SchemaApplied, Reason::DestructiveChange)
    );
    assert!(destructive.message.contains("amount"));

    let mut without_index = spec();
    without_index["indexes"] = json!([]);
    let cases = [
        (
            field(json!({"name": "a", "type": "bool", "required": true})),
            "spec.fields[4].required",
        ),
        (
            field(json!({"name": "a", "type": "timestamp", "default": "now"})),
            "spec.fields[4].default",
        ),
        (
            field(json!({"name": "a", "type": "uuid", "default": "generate"})),
            "spec.fields[4].default",
        ),
        (
            with("/fields/0", "required", json!(false)),
            "spec.fields[0].required",
        ),
        (
            with("/fields/0", "maxLength", json!(100)),
            "spec.fields[0].maxLength",
        ),
        (
            with("/fields/0", "default", json!("x")),
            "spec.fields[0].default",
        ),
        (
            with("/fields/1", "precision", json!(14)),
            "spec.fields[1].precision",
        ),
        (
            with("/fields/2", "values", json!(["open", "lost"])),
            "spec.fields[2].values",
        ),
        (
            with(
                "/fields/3",
                "references",
                json!({"module": "crm", "model": "people"}),
            ),
            "spec.fields[3].references",
        ),
        (
            with(
                "",
                "indexes",
                json!([{"name": "by_stage", "fields": ["title"]}]),
            ),
            "spec.indexes[0].fields",
        ),
        (
            with(
                "/indexes",
                "-",
                json!({"name": "by_title", "fields": ["title"]}),
            ),
            "spec.indexes[1]",
        ),
        (
            with(
                "/unique",
                "-",
                json!({"name": "other", "fields": ["amount"]}),
            ),
            "spec.unique[1]",
        ),
        (without_index, "spec.indexes"),
        (
            with("/analytics", "enabled", json!(false)),
            "spec.analytics.enabled",
        ),
    ];
    for (next, path) in cases {
        let refusal = diff(next, |_, _| {}).unwrap_err();
        assert_eq!(
            refusal.reason,
            Reason::NotYetSupported,
            "{path}: {}",
            refusal.message
        );
        assert!(
            refusal.message.starts_with(path),
            "{path}: {}",
            refusal.message
        );
    }
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
        o.permissions = 0;
    });
    assert_eq!(
        plan,
        Ok(Plan {
            publish: true,
            ..Plan::default()
        })
    );
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
            plan.postgres
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
    assert_eq!(plan, Ok(Plan::default()));
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
        t.indexes.remove("deals__by_stage");
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
    assert!(plan.clickhouse.is_empty() && !plan.drift.analytics.is_empty());
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
        assert_eq!(plan.postgres, expected);
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
    let before = check(of(false, &[]), false, asked(), &[]);
    assert!(before.publish);
}

#[test]
fn a_killed_run_is_continued() {
    // ClickHouse has the new column, PostgreSQL does not.
    let note = json!({"name": "note", "type": "int64"});
    let plan = diff(with("/fields", "-", note), |_, a| {
        a.columns.push(("note".into(), "Nullable(Int64)".into()));
    })
    .unwrap();
    assert_eq!((plan.clickhouse.len(), plan.postgres.len()), (0, 1));
    // The transaction was committed, the constraint not yet proven.
    let plan = diff(spec(), |o, _| {
        o.table.as_mut().unwrap().constraints[0].validated = false
    })
    .unwrap();
    assert_eq!(
        plan.validate,
        ["alter table \"crm\".\"deals\" validate constraint \"deals__title__check\""]
    );
    assert!(!plan.publish);
    // ClickHouse has an empty table of a run that got no further.
    let desired = desired(spec());
    let (_, _, mut analytics) = applied(&desired);
    analytics.has_rows = false;
    let plan = build(
        &desired,
        &Observed::default(),
        None,
        Some(&analytics),
        Generation(1),
        Rivals::Exist,
    )
    .unwrap();
    assert!(plan.clickhouse.is_empty() && plan.publish);
    // With rows it is somebody's earlier database.
    analytics.has_rows = true;
    let refusal = build(
        &desired,
        &Observed::default(),
        None,
        Some(&analytics),
        Generation(1),
        Rivals::Exist,
    )
    .unwrap_err();
    assert_eq!(
        (refusal.condition, refusal.reason),
        (ConditionType::AnalyticsReady, Reason::NameConflict)
    );
}
