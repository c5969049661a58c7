use super::*;

const STAGES: [ConditionType; 2] = [
    ConditionType::SchemaApplied,
    ConditionType::CatalogPublished,
];

fn of(conditions: &[Condition], kind: &str) -> (String, String, Option<i64>) {
    let found = conditions.iter().find(|c| c.type_ == kind).unwrap();
    (
        found.status.clone(),
        found.reason.clone(),
        found.observed_generation,
    )
}

fn looked() -> Verdict {
    Verdict::Looked(STAGES.iter().map(|s| Stage::reached(*s, "there")).collect())
}

fn check(
    before: &[Condition],
    verdict: &Verdict,
    expected: &[(&str, &str, &str)],
) -> Vec<Condition> {
    let found = conditions(before, 2, &STAGES, verdict);
    for (kind, status, reason) in expected {
        let (is_status, is_reason, _) = of(&found, kind);
        assert_eq!(
            (is_status.as_str(), is_reason.as_str()),
            (*status, *reason),
            "{kind}"
        );
    }
    found
}

#[test]
fn ready_is_every_stage() {
    let found = check(
        &[],
        &looked(),
        &[
            ("Ready", "True", "Applied"),
            ("Reconciling", "False", "Reconciled"),
            ("Stalled", "False", "NotStalled"),
            ("Accepted", "True", "Applied"),
            ("SchemaApplied", "True", "Applied"),
        ],
    );
    assert!(found.iter().all(|c| c.observed_generation == Some(2)));
    let verdict = Verdict::Looked(vec![
        Stage::reached(STAGES[0], "there"),
        Stage::missing(STAGES[1], Reason::TasksFailed, "failed"),
    ]);
    check(
        &[],
        &verdict,
        &[
            ("Ready", "False", "TasksFailed"),
            ("Reconciling", "True", "TasksFailed"),
        ],
    );
}

#[test]
fn a_refusal_stalls_and_keeps_what_was_true() {
    let before = conditions(&[], 1, &STAGES, &looked());
    let refused = Verdict::Refused(Refusal::of_spec(Reason::NotYetSupported, "spec.checks"));
    let found = check(
        &before,
        &refused,
        &[
            ("Ready", "False", "NotYetSupported"),
            ("Stalled", "True", "NotYetSupported"),
            ("Accepted", "False", "NotYetSupported"),
            ("SchemaApplied", "True", "Applied"),
        ],
    );
    // Still true, of the generation that was applied.
    assert_eq!(of(&found, "SchemaApplied").2, Some(1));
    let destructive = Refusal {
        condition: ConditionType::SchemaApplied,
        reason: Reason::DestructiveChange,
        message: "spec.fields".into(),
    };
    check(
        &before,
        &Verdict::Refused(destructive),
        &[
            ("Accepted", "True", "Applied"),
            ("SchemaApplied", "False", "DestructiveChange"),
            ("Stalled", "True", "DestructiveChange"),
        ],
    );
}

#[test]
fn what_did_not_change_is_equal_and_keeps_its_time() {
    let mut before = conditions(&[], 2, &STAGES, &looked());
    for condition in &mut before {
        condition.last_transition_time.0 = "2020-01-01T00:00:00Z".parse().unwrap();
    }
    assert_eq!(conditions(&before, 2, &STAGES, &looked()), before);
    let retrying = Verdict::Retrying(Stage::missing(
        STAGES[0],
        Reason::DatabaseUnreachable,
        "no answer",
    ));
    let after = check(
        &before,
        &retrying,
        &[
            ("Ready", "False", "DatabaseUnreachable"),
            ("Reconciling", "True", "DatabaseUnreachable"),
        ],
    );
    let published = after
        .iter()
        .find(|c| c.type_ == "CatalogPublished")
        .unwrap();
    assert_eq!(
        published,
        before
            .iter()
            .find(|c| c.type_ == "CatalogPublished")
            .unwrap()
    );
    let ready = after.iter().find(|c| c.type_ == "Ready").unwrap();
    assert_ne!(ready.last_transition_time, before[0].last_transition_time);
}
