//! Change events in the shapes of Debezium 3.7.0, with values of our own.

use serde_json::{Value, json};
use uuid::Uuid;

pub const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";
pub const OTHER_TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0eff";

#[derive(Debug, Clone)]
pub struct Event {
    pub op: &'static str,
    pub schema: String,
    pub table: String,
    pub before: Value,
    pub after: Value,
    pub snapshot: Value,
    pub sequence: (Option<u64>, u64),
    /// Microseconds since the epoch.
    pub committed_at: i64,
}

pub fn id(n: u64) -> String {
    Uuid::from_u128(0x0198_f0aa_0000_7000_8000_0000_0000_0000 + u128::from(n)).to_string()
}

/// A row of `crm.{table}` with the columns that every model has.
pub fn row(n: u64, fields: Value) -> Value {
    let mut row = json!({
        "tenant_id": TENANT, "id": id(n),
        "created_at": "2026-01-02T03:04:05.000006Z", "updated_at": "2026-01-02T03:04:05.000006Z",
        "created_by": "ada", "updated_by": "ada", "version": 1, "deleted_at": null, "delete_id": null,
    });
    row.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    row
}

impl Event {
    /// A streamed change at this position.
    pub fn change(op: &'static str, table: &str, lsn: u64, after: Value) -> Self {
        Self {
            op,
            schema: "crm".into(),
            table: table.into(),
            before: Value::Null,
            after,
            snapshot: Value::Null,
            sequence: (Some(lsn), lsn),
            committed_at: 1_767_225_600_000_000 + i64::try_from(lsn).unwrap(),
        }
    }

    /// A delete under the default replica identity: nulls and zero values beside the key.
    pub fn delete(table: &str, lsn: u64, n: u64) -> Self {
        let before = row(
            n,
            json!({"title": "", "created_at": "1970-01-01T00:00:00Z", "version": 0, "created_by": ""}),
        );
        Self {
            before,
            after: Value::Null,
            ..Self::change("d", table, lsn, Value::Null)
        }
    }

    /// A beat of the connector's heart.
    pub fn heartbeat(lsn: u64, committed_at: i64) -> Self {
        let after = json!({"id": 1, "ts": "2026-01-02T03:04:05.000006Z"});
        let beat = Self::change("u", "cdc_heartbeat", lsn, after);
        Self {
            schema: "platform".into(),
            committed_at,
            ..beat
        }
    }

    pub fn key(&self) -> String {
        let row = if self.after.is_null() {
            &self.before
        } else {
            &self.after
        };
        let table = format!("{}.{}", self.schema, self.table);
        json!({"tenant_id": row["tenant_id"], "id": row["id"], "__table": table}).to_string()
    }

    pub fn payload(&self, database: &str) -> String {
        let (commit, position) = (
            self.sequence.0.map(|n| n.to_string()),
            self.sequence.1.to_string(),
        );
        json!({
            "before": self.before, "after": self.after,
            "source": {
                "version": "3.7.0.Final", "connector": "postgresql", "name": format!("cdc.{database}.g1"),
                "ts_ms": self.committed_at / 1_000, "snapshot": self.snapshot, "db": database,
                "sequence": json!([commit, position]).to_string(), "ts_us": self.committed_at,
                "ts_ns": self.committed_at * 1_000, "schema": self.schema, "table": self.table, "txId": 700,
                "lsn": self.sequence.1, "xmin": null, "origin": null, "origin_lsn": null,
            },
            "transaction": null, "op": self.op, "ts_ms": self.committed_at / 1_000, "ts_us": self.committed_at,
            "ts_ns": self.committed_at * 1_000,
        })
        .to_string()
    }
}
