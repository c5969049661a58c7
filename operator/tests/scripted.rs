//! Reconciles against a scripted API server: what is asked of it, and what becomes of its refusals.

use std::{sync::Arc, time::Duration};

use crds::{FINALIZER, ModuleModel};
use http::Method;
use kube::core::DeserializeGuard;
use operator::{
    lease::Leadership,
    module_model::{on_error, reconcile},
};
use serde_json::{Value, json};

use crate::support::script::{Asked, Script, failure};

type Guarded = DeserializeGuard<ModuleModel>;

/// A ModuleModel as the watch hands it over.
fn model(change: impl FnOnce(&mut Value)) -> Arc<Guarded> {
    let mut object = json!({
        "apiVersion": "data.septemcore.com/v1alpha1", "kind": "ModuleModel",
        "metadata": {"name": "deals", "namespace": "crm", "uid": "u-1", "generation": 3, "resourceVersion": "7"},
        "spec": {"module": "crm", "model": "deals", "fields": [{"name": "title", "type": "text"}]},
    });
    change(&mut object);
    Arc::new(serde_json::from_value(object).unwrap())
}

fn is_status(asked: &Asked) -> bool {
    asked.method == Method::PATCH && asked.path.ends_with("/modulemodels/deals/status")
}

fn is_event(asked: &Asked) -> bool {
    asked.path.contains("/events")
}

/// A condition in the status that was written: its state and reason.
fn condition(asked: &[Asked], kind: &str) -> (String, String) {
    let written = asked.iter().find(|a| is_status(a)).expect("a status");
    let conditions = written.body["status"]["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|c| c["type"] == kind).unwrap();
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("status"), text("reason"))
}

fn said(state: &str, reason: &str) -> (String, String) {
    (state.into(), reason.into())
}

/// The status that was written, as part of the next object that the watch hands over.
fn with_status(object: &mut Value, asked: &[Asked]) {
    let written = asked.iter().find(|a| is_status(a)).expect("a status");
    object["status"] = written.body["status"].clone();
}

#[tokio::test]
async fn a_status_is_written_once_and_its_event_too() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str, (&str, &str)); 3] = [
        (
            |o| o["spec"]["paused"] = json!(true),
            "Ready",
            ("Unknown", "Paused"),
        ),
        (
            |o| o["spec"]["realtime"] = json!(true),
            "Stalled",
            ("True", "NotYetSupported"),
        ),
        (|_| {}, "SchemaApplied", ("False", "DataPlaneNotReady")),
    ];
    for (change, kind, (state, reason)) in cases {
        let script = Script::new(Leadership::alone(), |_| None);
        reconcile(model(change), Arc::clone(&script.context))
            .await
            .unwrap();
        let asked = script.asked();
        assert_eq!(condition(&asked, kind), said(state, reason));
        let events: Vec<_> = asked.iter().filter(|a| is_event(a)).collect();
        assert_eq!(events.len(), 1, "{asked:?}");
        assert_eq!(events[0].body["reason"], reason);
        // Nothing was done for it yet that would have to be withdrawn.
        assert_eq!(asked.len(), 2, "{asked:?}");

        // The same again: the API server hears nothing.
        let again = model(|o| {
            change(o);
            with_status(o, &asked);
        });
        reconcile(again, Arc::clone(&script.context)).await.unwrap();
        assert_eq!(script.asked().len(), 0);
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_written_stops_nothing() {
    let script = Script::new(Leadership::alone(), |asked| {
        is_event(asked).then(|| failure(403, "Forbidden"))
    });
    let paused = model(|o| o["spec"]["paused"] = json!(true));
    reconcile(paused, Arc::clone(&script.context))
        .await
        .unwrap();
    assert_eq!(
        condition(&script.asked(), "Ready"),
        said("Unknown", "Paused")
    );
}

#[tokio::test]
async fn a_resource_that_went_meanwhile_is_nobodys_error() {
    let script = Script::new(Leadership::alone(), |asked| {
        is_status(asked).then(|| failure(404, "NotFound"))
    });
    let paused = model(|o| o["spec"]["paused"] = json!(true));
    reconcile(paused, Arc::clone(&script.context))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_status_that_is_refused_is_tried_again_at_growing_intervals() {
    for code in [409, 429, 500, 503] {
        let script = Script::new(Leadership::alone(), move |asked| {
            is_status(asked).then(|| failure(code, "Whatever"))
        });
        let paused = || model(|o| o["spec"]["paused"] = json!(true));
        for _ in 0..5 {
            let error = reconcile(paused(), Arc::clone(&script.context))
                .await
                .unwrap_err();
            on_error(paused(), &error, Arc::clone(&script.context));
        }
        // 1 s · 2ⁿ with a quarter of jitter.
        assert!(script.context.backoff.failed("u-1") > Duration::from_secs(20));
        // Nothing was told that was not written.
        assert!(!script.asked().iter().any(is_event));
    }
}

#[tokio::test]
async fn one_who_does_not_hold_the_lease_sends_no_write() {
    let script = Script::new(Leadership::standby(), |_| None);
    let paused = model(|o| o["spec"]["paused"] = json!(true));
    // It may end in an error or do nothing: what counts is that nothing was sent.
    let _ = reconcile(paused, Arc::clone(&script.context)).await;
    assert_eq!(script.asked().len(), 0);
}

/// Being deleted since so many seconds, with our finalizer and somebody else's.
fn deleted(since: i64) -> Arc<Guarded> {
    let at = chrono::Utc::now() - chrono::Duration::seconds(since);
    model(|o| {
        o["metadata"]["deletionTimestamp"] = json!(at.to_rfc3339());
        o["metadata"]["finalizers"] = json!(["example.com/theirs", FINALIZER]);
    })
}

#[tokio::test]
async fn a_deletion_waits_for_its_database_and_not_for_ever() {
    let script = Script::new(Leadership::alone(), |_| None);
    reconcile(deleted(1), Arc::clone(&script.context))
        .await
        .unwrap();
    assert_eq!(script.asked().len(), 0, "it still waits");

    reconcile(deleted(60), Arc::clone(&script.context))
        .await
        .unwrap();
    let asked = script.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    // Only ours goes, and only if nobody changed the resource since it was read.
    let metadata = &asked[0].body["metadata"];
    assert_eq!(metadata["finalizers"], json!(["example.com/theirs"]));
    assert_eq!(metadata["resourceVersion"], "7");
}

#[tokio::test]
async fn a_finalizer_that_somebody_raced_for_is_looked_at_again() {
    for (code, fails) in [(409, true), (404, false)] {
        let script = Script::new(Leadership::alone(), move |asked| {
            (asked.method == Method::PATCH).then(|| failure(code, "Whatever"))
        });
        let ended = reconcile(deleted(60), Arc::clone(&script.context)).await;
        assert_eq!(ended.is_err(), fails, "{code}");
    }
}

#[tokio::test]
async fn a_resource_that_cannot_be_read_is_told_so() {
    let script = Script::new(Leadership::alone(), |_| None);
    let strange = model(|o| o["spec"]["fields"][0]["type"] = json!("hologram"));
    assert!(strange.0.is_err());
    reconcile(strange, Arc::clone(&script.context))
        .await
        .unwrap();
    let asked = script.asked();
    assert_eq!(condition(&asked, "Stalled"), said("True", "InvalidModel"));
    let written = &asked[0].body["status"]["conditions"][0]["message"];
    assert!(written.as_str().unwrap().contains("hologram"), "{written}");
}

#[tokio::test]
async fn a_note_that_is_too_long_is_cut_at_a_character() {
    let script = Script::new(Leadership::alone(), |_| None);
    let long = "ü".repeat(40);
    let fields: Vec<_> = (0..60)
        .map(|i| json!({"name": format!("f{i}"), "type": "vector", "dimension": 0}))
        .collect();
    let refused = model(|o| {
        o["metadata"]["namespace"] = json!(long);
        o["spec"]["fields"] = json!(fields);
    });
    reconcile(refused, Arc::clone(&script.context))
        .await
        .unwrap();
    let asked = script.asked();
    let event = asked.iter().find(|a| is_event(a)).expect("an Event");
    let note = event.body["note"].as_str().unwrap();
    assert!(note.len() <= 1_000 && note.len() > 900, "{}", note.len());
}
