//! Events on transitions. A reconcile that finds the same again says nothing.

use crds::ConditionType;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::telemetry::chain;

/// Most bytes of a note (the API server refuses more than 1 kB).
const NOTE_BYTES_MAX: usize = 1_000;

/// Publishes one Event; one that cannot be written is logged and forgotten.
///
/// By a recorder of its own: one that is kept counts repetitions on the first Event and keeps that one's note, so that of two
/// repairs only the first would be told; and it remembers every Event of the last six minutes and goes through all of them for
/// each new one, which of ten thousand resources are many.
pub async fn publish<K: Resource<DynamicType = ()>>(
    client: &Client,
    object: &K,
    type_: EventType,
    reason: &str,
    note: &str,
) {
    let mut note = note.to_owned();
    while note.len() > NOTE_BYTES_MAX {
        note.pop();
    }
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: "Reconcile".into(),
        secondary: None,
    };
    let reporter = Reporter {
        controller: "septem-operator".into(),
        instance: None,
    };
    let recorder = Recorder::new(client.clone(), reporter);
    if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
        tracing::warn!(error = chain(&error), "event not written");
    }
}

/// Says what a condition tells that `Ready` does not wait for, when it is False and that is news.
pub async fn publish_aside<K: Resource<DynamicType = ()>>(
    client: &Client,
    object: &K,
    kind: ConditionType,
    type_: EventType,
    before: &[Condition],
    after: &[Condition],
) {
    let missing = |conditions: &[Condition]| {
        let found = conditions.iter().find(|c| c.type_ == kind.as_str());
        found.filter(|c| c.status == "False").cloned()
    };
    let Some(now) = missing(after) else { return };
    if missing(before).is_none_or(|was| was.message != now.message) {
        publish(client, object, type_, &now.reason, &now.message).await;
    }
}

/// Says so when `Ready` changed its state or its reason; of a refusal, also when it is about something else by now.
pub async fn publish_transition<K: Resource<DynamicType = ()>>(
    client: &Client,
    object: &K,
    before: &[Condition],
    after: &[Condition],
) {
    let ready = |conditions: &[Condition]| conditions.iter().find(|c| c.type_ == "Ready").cloned();
    let Some(now) = ready(after) else { return };
    let stalled = after
        .iter()
        .any(|c| c.type_ == "Stalled" && c.status == "True");
    let known = ready(before).is_some_and(|was| {
        let told = !stalled || was.message == now.message;
        was.status == now.status && was.reason == now.reason && told
    });
    if known {
        return;
    }
    // What we wait for is not worth a warning while everything just starts.
    let patient = [
        "Progressing",
        "Paused",
        "DataPlaneNotReady",
        "ReferenceNotReady",
        "SlotInactive",
    ];
    let warning = now.status == "False" && (stalled || !patient.contains(&now.reason.as_str()));
    let type_ = if warning {
        EventType::Warning
    } else {
        EventType::Normal
    };
    publish(client, object, type_, &now.reason, &now.message).await;
}
