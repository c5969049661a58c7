//! The screen. Pure.

use std::fmt::Write as _;

use k8s_openapi::api::events::v1::Event;
use serde_json::Value;

use super::{advice::advice, seen_at};
use crate::table::table;

/// Conditions that are as they should be when they are false.
const ABNORMAL: [&str; 3] = ["Reconciling", "Stalled", "Drifted"];

/// What an object waits for. `events` are none where they may not be read.
pub fn render(object: &Value, kind: &str, events: Option<&[Event]>) -> String {
    let name = text(&object["metadata"]["name"]);
    let (kind, status) = (kind.to_lowercase(), &object["status"]);
    let conditions = status["conditions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let ready = conditions.iter().find(|c| c["type"] == "Ready");
    let mut screen = match ready {
        Some(ready) => format!(
            "{kind}/{name}: Ready={}, {}: {}\n",
            text(&ready["status"]),
            text(&ready["reason"]),
            text(&ready["message"])
        ),
        None => format!("{kind}/{name}: no operator has looked at it yet\n"),
    };
    if !object["metadata"]["deletionTimestamp"].is_null() {
        screen.push_str("it is being deleted\n");
    }
    if status["observedGeneration"] != object["metadata"]["generation"] && ready.is_some() {
        screen.push_str("its spec was changed since; what follows is about the one before\n");
    }
    let waits: Vec<_> = conditions.iter().filter(|c| waits(c)).map(row).collect();
    if !waits.is_empty() {
        screen.push('\n');
        screen.push_str(&table(&["CONDITION", "STATE", "REASON", "MESSAGE"], &waits));
    }
    let progress = progress(status);
    if !progress.is_empty() {
        let _ = write!(screen, "\n{progress}");
    }
    match events {
        None => screen.push_str("\nEvents cannot be read with your rights\n"),
        Some([]) => {}
        Some(events) => {
            screen.push_str("\nlast Events\n");
            for event in events {
                let reason = event.reason.as_deref().unwrap_or_default();
                let note = event.note.as_deref().unwrap_or_default();
                let _ = writeln!(screen, "  {} {reason}: {note}", seen_at(event));
            }
        }
    }
    let waiting = ready.filter(|c| c["status"] != "True");
    if let Some(help) = waiting.and_then(|c| advice(&text(&c["reason"]), &kind, &name)) {
        let _ = writeln!(screen, "\nwhat would help: {help}");
    }
    screen
}

/// Not as it should be, and not told by `Ready` already.
fn waits(condition: &Value) -> bool {
    let kind = text(&condition["type"]);
    let wanted = if ABNORMAL.contains(&kind.as_str()) {
        "False"
    } else {
        "True"
    };
    kind != "Ready" && condition["status"] != wanted
}

fn row(condition: &Value) -> Vec<String> {
    ["type", "status", "reason", "message"]
        .map(|key| text(&condition[key]))
        .to_vec()
}

/// How far what goes on has come.
fn progress(status: &Value) -> String {
    let mut lines = String::new();
    let mut line = |text: String| {
        let _ = writeln!(lines, "{text}");
    };
    let rollout = &status["rollout"];
    if rollout.is_object() {
        line(format!("rollout: at step {}", text(&rollout["step"])));
        if let Some(revision) = rollout["waitingForRevision"].as_i64() {
            line(format!(
                "  waits until revision {revision} is loaded by: {}",
                list(&rollout["waitingFor"])
            ));
        }
    }
    let plan = &status["plan"];
    if plan.is_object() {
        let loses = if plan["destructive"] == true {
            ", loses data"
        } else {
            ""
        };
        line(format!(
            "plan: {}, {} statements and files{loses}",
            text(&plan["hash"]),
            plan["statements"]
        ));
    }
    let files = &status["migrations"];
    if files.is_object() {
        let last = files["lastVersion"].as_str().unwrap_or("none");
        line(format!("files: last {last}, {} left", files["pending"]));
        if let Some(failed) = files["failedVersion"].as_str() {
            line(format!("  {failed} failed"));
        }
    }
    let erasure = &status["erasure"];
    if erasure.is_object() {
        line(format!(
            "erasure: at step {}, {} rows deleted",
            text(&erasure["step"]),
            erasure["rowsDeleted"]
        ));
    }
    for kind in ["extra", "missing", "modified"] {
        if status["drift"][kind]
            .as_array()
            .is_some_and(|l| !l.is_empty())
        {
            line(format!("drift: {kind}: {}", list(&status["drift"][kind])));
        }
    }
    lines
}

fn list(values: &Value) -> String {
    let values = values.as_array().map_or(&[][..], Vec::as_slice);
    values.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_that_waits_is_told_with_the_command_that_helps() {
        let object = json!({
            "metadata": {"name": "crm-deals", "generation": 2},
            "status": {
                "observedGeneration": 2,
                "conditions": [
                    {"type": "Ready", "status": "False", "reason": "ApprovalPending", "message": "plan abc waits"},
                    {"type": "Reconciling", "status": "False", "reason": "ApprovalPending", "message": "x"},
                    {"type": "Accepted", "status": "True", "reason": "Applied", "message": "x"},
                    {"type": "SchemaApplied", "status": "False", "reason": "ApprovalPending", "message": "plan abc waits"},
                ],
                "plan": {"hash": "abc", "destructive": true, "statements": 3},
                "migrations": {"pending": 1, "failedVersion": "20260101_000000"},
            },
        });
        let screen = render(&object, "ModuleModel", Some(&[]));
        let expected = "modulemodel/crm-deals: Ready=False, ApprovalPending: plan abc waits\n\nCONDITION       STATE   REASON            MESSAGE\nSchemaApplied   False   ApprovalPending   plan abc waits\n\nplan: abc, 3 statements and files, loses data\nfiles: last none, 1 left\n  20260101_000000 failed\n\nwhat would help: read the plan: kubectl septem plan crm-deals; if it is what you mean: kubectl septem approve crm-deals\n";
        assert_eq!(screen, expected);
    }

    #[test]
    fn an_object_that_nobody_has_looked_at_says_so() {
        let screen = render(&json!({"metadata": {"name": "x"}}), "Tenant", None);
        assert_eq!(
            screen,
            "tenant/x: no operator has looked at it yet\n\nEvents cannot be read with your rights\n"
        );
    }
}
