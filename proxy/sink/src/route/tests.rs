//! Records against what is to be done with them.

use std::time::Duration;

use model::Catalog;

use super::*;

const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";
const ERASED: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e03";
const ID: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e02";

fn known(as_of: Instant) -> Known {
    let document = serde_json::json!({
        "revision": 1, "generation": 2, "database": "septem", "tenants": [], "erased": [ERASED],
        "models": [{"served": true, "document": {
            "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 10,
            "fields": [{"name": "score", "type": "int16"}],
        }}],
    });
    Known::new(
        Catalog::parse(&document.to_string()).unwrap(),
        "septem_data",
        as_of,
        None,
    )
}

struct Event {
    name: &'static str,
    schema: &'static str,
    table: &'static str,
    op: &'static str,
    snapshot: &'static str,
    before: String,
    after: String,
}

impl Event {
    fn row(fields: &str) -> Self {
        let after = format!(r#"{{"tenant_id":"{TENANT}","id":"{ID}"{fields}}}"#);
        Self {
            name: "cdc.septem.g2",
            schema: "crm",
            table: "deals",
            op: "c",
            snapshot: "null",
            before: "null".into(),
            after,
        }
    }

    fn record(&self) -> Record {
        let Self {
            name,
            schema,
            table,
            op,
            snapshot,
            before,
            after,
        } = self;
        let payload = format!(
            r#"{{"before":{before},"after":{after},"op":"{op}","source":{{"name":"{name}","schema":"{schema}",
            "table":"{table}","snapshot":{snapshot},"sequence":"[\"20\",\"10\"]","lsn":10,"ts_us":5000000}}}}"#
        );
        Record {
            partition: 0,
            offset: 0,
            key: None,
            payload: Some(payload.into_bytes()),
        }
    }
}

fn steps(event: &Event) -> (Step, Step) {
    let now = Instant::now();
    let (old, new) = (known(now), known(now + Duration::from_secs(2)));
    let read_at = now + Duration::from_secs(1);
    let record = event.record();
    (
        route(&old, &record, read_at, None),
        route(&new, &record, read_at, None),
    )
}

#[test]
fn a_row_of_a_captured_table_is_written() {
    let (step, _) = steps(&Event::row(r#","score":1"#));
    assert!(
        matches!(step, Step::Write(row) if row.committed_at.is_some() && row.encoded.holes.is_empty())
    );
    let deleted = Event {
        op: "d",
        before: Event::row("").after,
        after: "null".into(),
        ..Event::row("")
    };
    assert!(
        matches!(steps(&deleted).0, Step::Write(row) if row.encoded.row.bytes.last() == Some(&1))
    );
}

#[test]
fn an_erased_tenant_is_passed_over_whatever_its_events_hold() {
    let of = |row: &str| row.replace(TENANT, ERASED);
    let written = Event::row(r#","score":1"#).after;
    for (op, before, after) in [
        ("c", "null".to_owned(), of(&written)),
        ("d", of(&written), "null".to_owned()),
        (
            "u",
            "null".to_owned(),
            of(&Event::row(r#","score":"no number","mine":1"#).after),
        ),
    ] {
        let event = Event {
            op,
            before,
            after,
            ..Event::row("")
        };
        assert!(
            matches!(
                steps(&event),
                (Step::Skip(Outcome::Erased), Step::Skip(Outcome::Erased))
            ),
            "{op}"
        );
    }
}

#[test]
fn our_own_tables_are_never_rows() {
    let beat = Event {
        schema: "platform",
        table: "cdc_heartbeat",
        op: "u",
        after: "{\"id\":1}".into(),
        ..Event::row("")
    };
    let at = DateTime::from_timestamp(5, 0).unwrap();
    assert!(matches!(steps(&beat).0, Step::Heartbeat(h) if h == Heartbeat { lsn: 10, at }));
    let read = Event {
        op: "r",
        snapshot: "\"first\"",
        ..beat
    };
    assert!(matches!(steps(&read).0, Step::Skip(Outcome::Empty)));
    let signal = Event {
        schema: "platform",
        table: "cdc_signal",
        ..Event::row("")
    };
    assert!(matches!(steps(&signal).0, Step::Skip(Outcome::Signal)));
}

#[test]
fn other_generations_and_databases_are_dropped() {
    for name in ["cdc.septem.g1", "cdc.other.g2"] {
        assert!(matches!(
            steps(&Event {
                name,
                ..Event::row("")
            })
            .0,
            Step::Skip(Outcome::Retired)
        ));
    }
    // A newer one may be what the catalogue has just switched to.
    let (before, after) = steps(&Event {
        name: "cdc.septem.g3",
        ..Event::row("")
    });
    assert!(matches!(before, Step::Ask));
    assert!(matches!(after, Step::Skip(Outcome::Retired)));
}

#[test]
fn what_the_catalogue_may_not_know_yet_is_asked_for_first() {
    let (before, after) = steps(&Event {
        table: "companies",
        ..Event::row("")
    });
    assert!(matches!(before, Step::Ask));
    assert!(matches!(after, Step::Skip(Outcome::Uncaptured)));
    let (before, after) = steps(&Event::row(r#","colour":1,"size":2"#));
    assert!(matches!(before, Step::Ask));
    assert!(matches!(after, Step::Write(_)));
}

#[test]
fn a_dead_letter_holds_back_as_little_as_it_can() {
    let scope = |event: &Event| match steps(event).0 {
        Step::Dead(dead) => (dead.class, dead.scope),
        step => panic!("{step:?}"),
    };
    let deals = || ModelName {
        module: "crm".parse().unwrap(),
        model: "deals".parse().unwrap(),
    };
    let tenant = TENANT.parse().unwrap();
    let value = Event::row(r#","score":"x""#);
    assert_eq!(
        scope(&value),
        (ErrorClass::Value, Scope::Tenant(deals(), tenant))
    );
    let key = Event {
        after: "{}".into(),
        ..Event::row("")
    };
    assert_eq!(scope(&key), (ErrorClass::Key, Scope::Model(deals())));
    let truncate = Event {
        op: "t",
        after: "null".into(),
        ..Event::row("")
    };
    assert_eq!(
        scope(&truncate),
        (ErrorClass::Truncate, Scope::Model(deals()))
    );
    let operation = Event {
        op: "?",
        ..Event::row("")
    };
    assert_eq!(
        scope(&operation),
        (ErrorClass::Envelope, Scope::Model(deals()))
    );
    let now = Instant::now();
    let garbage = Record {
        partition: 0,
        offset: 0,
        key: None,
        payload: Some(b"\x00".to_vec()),
    };
    let step = route(&known(now), &garbage, now, None);
    assert!(matches!(
        step,
        Step::Dead(Dead {
            scope: Scope::Everything,
            ..
        })
    ));
    let tombstone = Record {
        payload: None,
        ..garbage
    };
    assert!(matches!(
        route(&known(now), &tombstone, now, None),
        Step::Skip(Outcome::Empty)
    ));
}
