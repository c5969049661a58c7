use super::*;
use crate::module_model::files::{ledger::Row, parse::parse};

fn file(version: &str, annotation: &str) -> SqlFile {
    parse(
        &format!("{version}_x.sql"),
        &format!("{annotation}\n-- +goose Up\nselect 1;\n"),
    )
    .unwrap()
}

fn row(file: &SqlFile, model: &str, tenant: Option<Uuid>) -> Row {
    Row {
        version: file.version.as_str().into(),
        model: model.into(),
        sha256: file.sha256.clone(),
        tenant,
    }
}

const A: &str = "20260101_000000";
const B: &str = "20260102_000000";
const C: &str = "20260103_000000";

fn reason(files: &[SqlFile], ledger: &Ledger) -> Reason {
    compare(files, ledger, "deals", &BTreeSet::new())
        .unwrap_err()
        .reason
}

#[test]
fn files_run_in_the_order_of_their_versions_and_once() {
    let files = [file(C, ""), file(A, ""), file(B, "")];
    let ledger = Ledger::new([row(&files[1], "deals", None)]);
    let none = BTreeSet::new();
    let pending = compare(&files, &ledger, "deals", &none).unwrap();
    let versions: Vec<_> = pending
        .runs
        .iter()
        .map(|r| r.file.version.as_str())
        .collect();
    assert_eq!(versions, [B, C]);
    assert_eq!(pending.last.unwrap().as_str(), A);
    let all = Ledger::new(files.iter().map(|f| row(f, "deals", None)));
    assert!(compare(&files, &all, "deals", &none).unwrap().is_empty());
}

#[test]
fn a_per_tenant_file_runs_for_each_tenant_that_has_not_had_it() {
    let files = [file(A, "-- +septem per-tenant"), file(B, "")];
    let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
    let tenants = BTreeSet::from([one, two]);
    let half = Ledger::new([row(&files[0], "deals", Some(one))]);
    let pending = compare(&files, &half, "deals", &tenants).unwrap();
    assert_eq!(
        (pending.runs[0].tenants.as_slice(), pending.runs[0].mark),
        (&[Some(two)][..], true)
    );
    assert_eq!(pending.runs[1].tenants, [None]);

    // A tenant that comes later gets it, although newer files have run.
    let done = Ledger::new([
        row(&files[0], "deals", Some(one)),
        row(&files[0], "deals", Some(two)),
        row(&files[0], "deals", None),
        row(&files[1], "deals", None),
    ]);
    assert!(
        compare(&files, &done, "deals", &tenants)
            .unwrap()
            .is_empty()
    );
    let more = BTreeSet::from([one, two, three]);
    let pending = compare(&files, &done, "deals", &more).unwrap();
    assert_eq!(pending.runs.len(), 1);
    assert_eq!(
        (pending.runs[0].tenants.as_slice(), pending.runs[0].mark),
        (&[Some(three)][..], false)
    );
}

#[test]
fn with_no_tenant_a_per_tenant_file_is_only_marked() {
    let files = [file(A, "-- +septem per-tenant")];
    let pending = compare(&files, &Ledger::default(), "deals", &BTreeSet::new()).map(|p| {
        let run = &p.runs[0];
        (run.tenants.len(), run.mark)
    });
    assert_eq!(pending.unwrap(), (0, true));
}

#[test]
fn what_stands_against_a_file_is_named() {
    let files = [file(A, ""), file(B, "")];
    let changed = Row {
        sha256: "00".into(),
        ..row(&files[0], "deals", None)
    };
    assert_eq!(
        reason(&files, &Ledger::new([changed])),
        Reason::ChecksumMismatch
    );
    let newer = Ledger::new([row(&files[1], "deals", None)]);
    assert_eq!(reason(&files, &newer), Reason::OutOfOrder);
    let elsewhere = Ledger::new([row(&files[0], "companies", None)]);
    assert_eq!(reason(&files, &elsewhere), Reason::NameConflict);
    let twice = [file(A, ""), file(A, "-- again")];
    assert_eq!(reason(&twice, &Ledger::default()), Reason::InvalidMigration);
    // Another resource's newer file is no obstacle.
    let other = Ledger::new([row(&files[1], "companies", None)]);
    assert!(compare(&files[..1], &other, "deals", &BTreeSet::new()).is_ok());
}
