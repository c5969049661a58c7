//! Places of a resource that hold a name, a duration or an id.

use serde_json::{Value, json};

/// One place, as a JSON pointer.
pub struct Position {
    pub kind: &'static str,
    pub path: &'static str,
    /// What may stand there.
    pub fine: &'static str,
}

const fn of(kind: &'static str, path: &'static str, fine: &'static str) -> Position {
    Position { kind, path, fine }
}

/// All of them.
pub const NAMES: &[Position] = &[
    of("ModuleModel", "/spec/module", "crm"),
    of("ModuleModel", "/spec/model", "select"),
    of("ModuleModel", "/spec/fields/0/name", "table"),
    of("ModuleModel", "/spec/fields/0/renamedFrom", "before"),
    of("ModuleModel", "/spec/fields/1/references/module", "crm"),
    of("ModuleModel", "/spec/fields/1/references/model", "order"),
    of("ModuleModel", "/spec/indexes/0/name", "index"),
    of("ModuleModel", "/spec/indexes/0/fields/0", "size"),
    of("ModuleModel", "/spec/unique/0/name", "unique"),
    of("ModuleModel", "/spec/unique/0/fields/0", "size"),
    of("ModuleModel", "/spec/checks/0/name", "check"),
    of("ModuleModel", "/spec/migrations/policy/lockTimeout", "5s"),
    of(
        "ModuleModel",
        "/spec/migrations/policy/statementTimeout",
        "5s",
    ),
    of(
        "ModuleModel",
        "/spec/migrations/policy/allowDrop/0",
        "before",
    ),
    of(
        "ModuleModel",
        "/spec/migrations/files/0/configMapRef/name",
        "sql",
    ),
    of("ModuleModel", "/spec/analytics/ttl", "24h"),
    of("ModuleModel", "/spec/analytics/orderBy/0", "size"),
    of("ModuleModel", "/spec/cache/ttl", "5s"),
    of("ModuleModel", "/spec/hooks/0/timeout", "1s"),
    of("ModuleModel", "/spec/drift/interval", "5m"),
    of("ModuleModel", "/spec/dataPlaneRefs/0", "default"),
    of(
        "Tenant",
        "/spec/tenantId",
        "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01",
    ),
    of("Tenant", "/spec/slug", "acme"),
    of("Tenant", "/spec/modules/0", "crm"),
    of("Tenant", "/spec/gracePeriod", "24h"),
    of("Tenant", "/spec/dataPlaneRef", "default"),
    of("DataPlane", "/spec/secretNamespace", "default"),
    of(
        "DataPlane",
        "/spec/postgres/ownerSecretRef/name",
        "postgres-owner",
    ),
    of(
        "DataPlane",
        "/spec/clickhouse/adminSecretRef/name",
        "clickhouse-admin",
    ),
];

/// A resource with everything in it, and that text in that place.
pub fn put(position: &Position, text: &str, namespace: &str, module: &str) -> Value {
    let mut object = match position.kind {
        "ModuleModel" => model(namespace, module),
        "Tenant" => tenant(module),
        _ => plane(),
    };
    object["apiVersion"] = json!("data.septemcore.com/v1alpha1");
    object["kind"] = json!(position.kind);
    object["metadata"]["name"] = json!("dry");
    // Nobody's operator: a dry run is all that this is for.
    object["metadata"]["labels"] = json!({"data.septemcore.com/operator": "nobody"});
    let place = object.pointer_mut(position.path).expect(position.path);
    *place = json!(text);
    object
}

fn model(namespace: &str, module: &str) -> Value {
    let name = json!({"name": "name", "fields": ["size"]});
    json!({
        "metadata": {"namespace": namespace},
        "spec": {
            "module": module, "model": "things", "dataPlaneRefs": [namespace],
            "fields": [
                {"name": "title", "type": "text", "renamedFrom": "old"},
                {"name": "other_id", "type": "uuid", "references": {"module": module, "model": "others"}},
                {"name": "size", "type": "int32"},
            ],
            "indexes": [name], "unique": [{"name": "other", "fields": ["size"]}],
            "checks": [{"name": "positive", "expression": "size > 0"}],
            "migrations": {"files": [{"configMapRef": {"name": "files"}}],
                           "policy": {"lockTimeout": "1s", "statementTimeout": "1s", "allowDrop": ["gone"]}},
            "analytics": {"enabled": true, "ttl": "1h", "orderBy": ["size"]},
            "cache": {"ttl": "1s"},
            "hooks": [{"event": "AfterCreate", "url": "http://h/", "timeout": "1s"}],
            "drift": {"interval": "1m"},
        },
    })
}

fn tenant(module: &str) -> Value {
    json!({
        "metadata": {},
        "spec": {"tenantId": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e02", "slug": "dry", "modules": [module],
                 "gracePeriod": "1h", "dataPlaneRef": "nobodys"},
    })
}

fn plane() -> Value {
    let secret = json!({"name": "x"});
    json!({
        "metadata": {},
        "spec": {
            "secretNamespace": "x",
            "postgres": {"ownerSecretRef": secret, "appSecretRef": secret, "cdcSecretRef": secret, "sinkSecretRef": secret},
            "clickhouse": {"adminSecretRef": secret, "gatewaySecretRef": secret, "sinkSecretRef": secret},
            "kafka": {"secretRef": secret}, "connect": {"secretRef": secret}, "valkey": {"secretRef": secret},
            "cdc": {"topic": "x"},
        },
    })
}
