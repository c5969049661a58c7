//! The hash, and what may be done, as tables of cases.

use crds::{Reason, module_model::Approval};
use model::{Draft, Generation};
use serde_json::{Value, json};

use super::{
    super::{
        build::{Rivals, build},
        observe::{ApprovedPlan, Observed, ObservedAnalytics, ObservedIndex},
        tests::{applied, desired, spec, with},
        validate::Desired,
    },
    Permit, Proposal, digest_of, permit,
};

/// A shorter title where the usual spec was applied: proven, published, swapped.
fn changed() -> Value {
    let mut spec = with("/fields/0", "maxLength", json!(100));
    spec["migrations"] = json!({"policy": {"allowDestructive": true}});
    spec
}

fn manual(spec: Value, approved: Option<&str>) -> Desired {
    Desired {
        approval: Approval::Manual,
        approved_plan: approved.map(str::to_owned),
        ..desired(spec)
    }
}

fn found() -> (Observed, Draft, ObservedAnalytics) {
    applied(&desired(spec()))
}

fn proposal(wish: &Desired, found: &(Observed, Draft, ObservedAnalytics)) -> Option<Proposal> {
    let (observed, previous, analytics) = found;
    let plan = build(
        wish,
        observed,
        Some(previous),
        Some(analytics),
        Generation(1),
        Rivals::Exist,
    )
    .unwrap();
    Proposal::new(wish, observed, Some(analytics), &plan, &[])
}

fn hash(change: impl FnOnce(&mut Observed, &mut ObservedAnalytics)) -> String {
    let mut found = found();
    change(&mut found.0, &mut found.2);
    proposal(&manual(changed(), None), &found).unwrap().hash
}

#[test]
fn the_hash_is_of_what_a_plan_is_made_from_and_of_nothing_else() {
    let as_it_was = hash(|_, _| {});
    assert_eq!(as_it_was.len(), 64);
    let hand = || ObservedIndex {
        name: "by_hand".into(),
        columns: vec!["title".into()],
        valid: true,
        ..ObservedIndex::default()
    };
    let others = [
        hash(|o, _| o.table.as_mut().unwrap().columns[3].not_null = true),
        hash(|o, _| o.table.as_mut().unwrap().indexes.push(hand())),
        hash(|o, _| o.table.as_mut().unwrap().constraints[1].definition = "CHECK (true)".into()),
        hash(|o, _| o.table.as_mut().unwrap().triggers = ["t".into()].into()),
        hash(|o, _| o.ledger[0].dropped = true),
        hash(|_, a| a.columns.push(("x".into(), "String".into()))),
    ];
    for (i, other) in others.iter().enumerate() {
        assert_ne!(*other, as_it_was, "{i}");
    }
    let same = [
        hash(|o, _| o.table.as_mut().unwrap().rows = 7),
        hash(|o, _| o.table.as_mut().unwrap().policies.clear()),
        hash(|o, _| o.published.as_mut().unwrap().revision = 99),
        hash(|o, _| o.waiting_for.push("proxy-1".into())),
        hash(|o, _| o.snapshot_running = true),
    ];
    for (i, same) in same.iter().enumerate() {
        assert_eq!(*same, as_it_was, "{i}");
    }
    let mut other = changed();
    other["fields"][0]["maxLength"] = json!(99);
    let other = proposal(&manual(other, None), &found()).unwrap();
    assert_ne!(other.hash, as_it_was);
}

#[test]
fn what_no_database_sees_is_no_plan() {
    let mut document = spec();
    document["limits"] = json!({"maxPageSize": 7});
    assert_eq!(proposal(&manual(document, None), &found()), None);
}

#[test]
fn a_plan_may_run_when_its_hash_is_named_and_what_is_left_of_it_after_that() {
    let all = proposal(&manual(changed(), None), &found()).unwrap();
    let reason = |approved: Option<&str>, last: Option<ApprovedPlan>| {
        let wish = manual(changed(), approved);
        let mut found = found();
        found.0.approved = last;
        let proposal = proposal(&wish, &found);
        match permit(&wish, &found.0, proposal) {
            Permit::Granted => "granted",
            Permit::Begin(_) => "begin",
            Permit::Missing(_, refusal) if refusal.reason == Reason::ApprovalPending => "pending",
            Permit::Missing(_, refusal) => {
                assert_eq!(refusal.reason, Reason::PlanOutdated);
                "outdated"
            }
        }
    };
    let run = |hash: &str, statements: Vec<String>, ended| ApprovedPlan {
        hash: hash.into(),
        desired: digest_of(&desired(changed())),
        statements: statements.into_iter().collect(),
        ended,
    };
    assert_eq!(reason(None, None), "pending");
    assert_eq!(reason(Some("another"), None), "outdated");
    assert_eq!(reason(Some(&all.hash), None), "begin");
    // It is being carried out, and its hash is not that of what is left.
    let (mut more, mut fewer) = (all.digests(), all.digests());
    more.push("another".into());
    fewer.pop();
    assert_eq!(
        reason(Some("begun"), Some(run("begun", more.clone(), false))),
        "granted"
    );
    assert_eq!(
        reason(Some("begun"), Some(run("begun", fewer, false))),
        "outdated"
    );
    // Whoever takes the approval back stops it.
    assert_eq!(
        reason(None, Some(run("begun", more.clone(), false))),
        "pending"
    );
    // A plan that was carried out approves nothing that comes later.
    assert_eq!(
        reason(Some("begun"), Some(run("begun", more.clone(), true))),
        "pending"
    );
    let other = ApprovedPlan {
        desired: "another wish".into(),
        ..run("begun", more, false)
    };
    assert_eq!(reason(Some("begun"), Some(other)), "outdated");
}

#[test]
fn without_approval_everything_may_run() {
    let wish = desired(changed());
    let found = found();
    let proposal = proposal(&wish, &found);
    assert_eq!(permit(&wish, &found.0, proposal), Permit::Granted);
}

#[test]
fn the_status_holds_a_kibibyte_of_the_statements() {
    let mut wide = spec();
    let fields = wide["fields"].as_array_mut().unwrap();
    fields
        .extend((0..40).map(|n| json!({"name": format!("f{n}"), "type": "text", "default": "ü"})));
    let proposal = proposal(&manual(wide, None), &found()).unwrap();
    let status = proposal.status(None);
    assert!(
        status.sql.len() <= 1_024 && status.sql.ends_with('…'),
        "{}",
        status.sql
    );
    assert!(status.statements >= 40 && !status.destructive);
}
