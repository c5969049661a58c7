//! What would help, by reason.

/// The command or the change that ends the wait, or none where waiting is right.
pub fn advice(reason: &str, kind: &str, name: &str) -> Option<String> {
    let text = match reason {
        "ApprovalPending" | "PlanOutdated" => {
            format!("read the plan: kubectl septem plan {name}; if it is what you mean: kubectl septem approve {name}")
        }
        "ConfigMapNotFound" => "create the ConfigMap; it is found within 15 seconds".into(),
        "ChecksumMismatch" => "restore the file, and put the change into a new one".into(),
        "OutOfOrder" => "give the file a newer version".into(),
        "InvalidMigration" | "InvalidModel" | "NotYetSupported" => {
            format!("change what the message names: kubectl edit {kind} {name}")
        }
        "NameConflict" => "give it another name, or delete the resource that has this one".into(),
        "ReferenceNotFound" => "apply the referenced ModuleModel".into(),
        "ReferenceNotReady" => "look at the referenced ModuleModel: kubectl septem why mm/<its name>".into(),
        "ReferenceNotPermitted" => {
            "ask whoever owns the referenced ModuleModel to add this namespace to its spec.referencedBy".into()
        }
        "DestructiveChange" => {
            "restore the field, or allow the loss in spec.migrations.policy (allowDrop, allowDestructive)".into()
        }
        "DataPlaneNotReady" | "DatabaseUnreachable" | "ClickHouseUnreachable" | "ConnectUnreachable" => {
            "look at the DataPlane: kubectl septem why dataplane/default".into()
        }
        "CredentialsMissing" => "create the Secret that the message names, with key url".into(),
        "MigrationFailed" => "correct what PostgreSQL says; it is tried again by itself".into(),
        "LockUnavailable" | "StatementTimeout" => {
            "it is tried again by itself; raise lockTimeout or statementTimeout in spec.migrations.policy if it stays".into()
        }
        "WaitingForProxies" => "see that the proxies and sinks named above run: kubectl get pods".into(),
        "Paused" => format!("set spec.paused to false: kubectl edit {kind} {name}"),
        "DriftDetected" => format!("see where: kubectl septem drift {name}"),
        "SlotLost" => "request a resync: spec.cdc.resyncRequest of the DataPlane".into(),
        _ => return None,
    };
    Some(text)
}
