use model::{Catalog, Generation};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;

const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";
const GONE: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e02";
const ID: &str = "0198f0aa-0000-7000-8000-000000000001";

fn known() -> Known {
    let hook = |event: &str| json!({"event": event, "url": "http://crm.crm.svc/", "timeoutMs": 2000, "failurePolicy": "Fail"});
    let model = |name: &str, served: bool, hooks: Value| {
        json!({"served": served, "document": {
            "module": "crm", "model": name, "autoApi": true, "analytics": false, "maxPageSize": 10,
            "fields": [{"name": "title", "type": "text"}], "hooks": hooks,
        }})
    };
    let all = json!([
        hook("AfterCreate"),
        hook("AfterUpdate"),
        hook("AfterDelete")
    ]);
    let document = json!({
        "revision": 7, "generation": 2, "database": "septem",
        "models": [
            model("deals", true, all.clone()), model("old", false, all),
            model("some", true, json!([hook("AfterCreate")])), model("none", true, json!([hook("BeforeCreate")])),
        ],
        "tenants": [{"id": TENANT, "slug": "acme", "state": "Active", "modules": ["crm"]}],
    });
    let catalog = Catalog::parse(&document.to_string()).unwrap();
    assert_eq!(catalog.generation, Generation(2));
    Known::new(catalog, "septem_data", Instant::now(), None)
}

fn payload(op: &str, table: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let row = json!({
        "tenant_id": TENANT, "id": ID, "title": "t", "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z", "created_by": "ada", "updated_by": "ada", "version": 1,
        "deleted_at": null, "delete_id": null,
    });
    let mut event = json!({
        "before": null, "after": null, "op": op,
        "source": {
            "name": "cdc.septem.g2", "schema": "crm", "table": table, "sequence": "[\"5\",\"9\"]",
            "snapshot": null, "lsn": 9, "ts_us": 1_767_225_600_000_001_i64, "ts_ms": 1_767_225_600_000_i64,
        },
    });
    event[if op == "d" { "before" } else { "after" }] = row;
    change(&mut event);
    event.to_string().into_bytes()
}

fn told(payload: &[u8]) -> Option<(HookEvent, Uuid, Value)> {
    match meaning_of(&known(), payload, &Placeholder::new("ab")) {
        Meaning::Told(told) => Some((
            told.event,
            told.event_id,
            serde_json::from_slice(&told.body).unwrap(),
        )),
        Meaning::Nothing => None,
        Meaning::Unreadable => panic!("unreadable"),
    }
}

#[test]
fn a_change_is_told_by_what_it_did() {
    let event = |payload: &[u8]| told(payload).map(|(event, ..)| event);
    use HookEvent::{AfterCreate, AfterDelete, AfterUpdate};
    let same = |_: &mut Value| {};
    let delete = |e: &mut Value| e["after"]["deleted_at"] = json!("2026-01-02T03:04:05Z");
    for (payload, expected) in [
        (payload("c", "deals", same), Some(AfterCreate)),
        (payload("u", "deals", same), Some(AfterUpdate)),
        (payload("u", "deals", delete), Some(AfterDelete)),
        (payload("d", "deals", same), Some(AfterDelete)),
        // Nobody's write, nobody's hook, nobody's any more.
        (payload("r", "deals", same), None),
        (payload("u", "some", same), None),
        (payload("c", "none", same), None),
        (payload("c", "old", same), None),
        (payload("c", "unknown", same), None),
        (
            payload("c", "deals", |e| e["after"]["tenant_id"] = json!(GONE)),
            None,
        ),
        (
            payload("c", "deals", |e| {
                e["source"]["name"] = json!("cdc.septem.g1")
            }),
            None,
        ),
        (
            payload("c", "deals", |e| {
                e["source"]["name"] = json!("cdc.other.g2")
            }),
            None,
        ),
    ] {
        assert_eq!(
            event(&payload),
            expected,
            "{}",
            String::from_utf8_lossy(&payload)
        );
    }
    for broken in [
        &b"{"[..],
        &payload("c", "deals", |e| e["after"]["id"] = json!("x")),
    ] {
        let meaning = meaning_of(&known(), broken, &Placeholder::new("ab"));
        assert!(matches!(meaning, Meaning::Unreadable));
    }
}

#[test]
fn a_call_holds_the_record_and_its_tenant_only() {
    let (_, event_id, body) = told(&payload("c", "deals", |_| {})).unwrap();
    assert_eq!(
        body,
        json!({
            "eventId": event_id, "event": "AfterCreate", "module": "crm", "model": "deals", "tenantId": TENANT,
            "committedAt": "2026-01-01T00:00:00.000001Z",
            "record": {
                "id": ID, "title": "t", "created_at": "2026-01-02T03:04:05.000000Z",
                "updated_at": "2026-01-02T03:04:05.000000Z", "created_by": "ada", "updated_by": "ada", "version": 1,
            },
        })
    );
    let (.., body) = told(&payload("d", "deals", |_| {})).unwrap();
    assert_eq!(body["record"], json!({"id": ID}));
}

#[test]
fn an_event_has_one_identity() {
    let id = |payload: &[u8]| told(payload).unwrap().1;
    let one = id(&payload("c", "deals", |_| {}));
    assert_eq!(one.get_version_num(), 8);
    // Read again, also by another connector task at another moment.
    assert_eq!(one, id(&payload("c", "deals", |e| e["ts_ms"] = json!(1))));
    assert_ne!(one, id(&payload("u", "deals", |_| {})));
    assert_ne!(
        one,
        id(&payload("c", "deals", |e| e["source"]["sequence"] =
            json!("[\"5\",\"10\"]")))
    );
    assert_ne!(
        one,
        id(&payload("c", "deals", |e| e["after"]["id"] =
            json!("0198f0aa-0000-7000-8000-000000000002")))
    );
}
