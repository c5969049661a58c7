//! Envelopes in the shapes that Debezium 3.7.0 writes, with values of our own.

use proptest::prelude::*;

use super::*;

fn envelope(op: &str, source: &str, before: &str, after: &str) -> String {
    format!(
        r#"{{"before":{before},"after":{after},"source":{{"version":"3.7.0.Final","connector":"postgresql",
        "name":"cdc.septem.g1","ts_ms":1700000000123,{source},"db":"septem","ts_us":1700000000123456,
        "ts_ns":1700000000123456000,"schema":"crm","table":"deals","txId":7,"xmin":null,"origin":null,
        "origin_lsn":null}},"transaction":null,"op":"{op}","ts_ms":1700000000200,"ts_us":1700000000200001,
        "ts_ns":1700000000200001002}}"#
    )
}

const STREAMED: &str = r#""snapshot":null,"sequence":"[\"200\",\"190\"]","lsn":190"#;

#[test]
fn every_operation_is_told_apart() {
    let row = r#"{"id":"x"}"#;
    let json = envelope("c", STREAMED, "null", row);
    let event = ChangeEvent::decode(json.as_bytes()).unwrap();
    assert_eq!(
        (&*event.origin.database, event.origin.generation),
        ("septem", Generation(1))
    );
    assert_eq!(
        (&*event.schema, &*event.table, event.lsn),
        ("crm", "deals", Some(190))
    );
    assert_eq!(event.version, Version(200 << 64 | 190));
    assert_eq!(
        event.committed_at.unwrap().timestamp_micros(),
        1_700_000_000_123_456
    );
    assert!(matches!(event.change, Change::Upsert(after) if after.get() == row));

    let json = envelope("u", STREAMED, row, row);
    assert!(matches!(
        ChangeEvent::decode(json.as_bytes()).unwrap().change,
        Change::Upsert(_)
    ));
    let json = envelope("d", STREAMED, row, "null");
    assert!(matches!(
        ChangeEvent::decode(json.as_bytes()).unwrap().change,
        Change::Delete(_)
    ));
    let json = envelope("t", STREAMED, "null", "null");
    assert!(matches!(
        ChangeEvent::decode(json.as_bytes()).unwrap().change,
        Change::Truncate
    ));
}

#[test]
fn rows_of_the_initial_snapshot_are_version_0_and_have_no_commit_time() {
    for snapshot in ["first", "first_in_data_collection", "true", "last"] {
        let source = format!(r#""snapshot":"{snapshot}","sequence":"[null,\"150\"]","lsn":150"#);
        let json = envelope("r", &source, "null", "{}");
        let event = ChangeEvent::decode(json.as_bytes()).unwrap();
        assert_eq!(
            (event.version, event.committed_at),
            (Version(0), None),
            "{snapshot}"
        );
    }
    let incremental = r#""snapshot":"incremental","sequence":"[\"300\",\"300\"]","lsn":null"#;
    let json = envelope("r", incremental, "null", "{}");
    let event = ChangeEvent::decode(json.as_bytes()).unwrap();
    assert_eq!(
        (event.version, event.committed_at, event.lsn),
        (Version(300 << 64 | 300), None, None)
    );
}

#[test]
fn the_first_event_of_a_generation_beats_the_snapshot() {
    let json = envelope(
        "u",
        r#""snapshot":null,"sequence":"[null,\"160\"]","lsn":160"#,
        "null",
        "{}",
    );
    assert_eq!(
        ChangeEvent::decode(json.as_bytes()).unwrap().version,
        Version(160)
    );
}

/// The proof of notes on versions: T1 changes a row at 26415048 and stays open; an incremental snapshot reads the
/// old value at 26416032; T1 commits. Positions alone would let the stale row win.
#[test]
fn a_transaction_open_across_an_incremental_snapshot_wins() {
    let version = |op: &str, source: &str| {
        let json = envelope(op, source, "null", "{}");
        ChangeEvent::decode(json.as_bytes()).unwrap().version
    };
    let read = version(
        "r",
        r#""snapshot":"incremental","sequence":"[\"26416032\",\"26416032\"]","lsn":null"#,
    );
    let update = version(
        "u",
        r#""snapshot":null,"sequence":"[\"26417256\",\"26415048\"]","lsn":26415048"#,
    );
    assert!(update > read);
}

#[test]
fn within_one_transaction_the_last_change_of_a_key_wins() {
    let version = |position: u64| {
        let source =
            format!(r#""snapshot":null,"sequence":"[\"500\",\"{position}\"]","lsn":{position}"#);
        let json = envelope("u", &source, "null", "{}");
        ChangeEvent::decode(json.as_bytes()).unwrap().version
    };
    assert!(version(510) < version(520) && version(520) < version(530));
}

#[test]
fn what_is_no_change_event_is_refused() {
    let row = "{}";
    for (json, name) in [
        (String::from("[]"), "Envelope"),
        (String::from("{\"payload\":{}}"), "Envelope"),
        (envelope("x", STREAMED, "null", row), "Operation"),
        (envelope("c", STREAMED, "null", "null"), "Row"),
        (envelope("d", STREAMED, "null", row), "Row"),
        (
            envelope("c", r#""sequence":"[\"a\",\"1\"]""#, "null", row),
            "Sequence",
        ),
        (
            envelope("c", r#""sequence":"[1]""#, "null", row),
            "Sequence",
        ),
        (envelope("c", r#""sequence":null"#, "null", row), "Sequence"),
        (
            envelope("c", STREAMED, "null", row).replace("cdc.septem.g1", "cdc.septem"),
            "Origin",
        ),
        (
            envelope("c", STREAMED, "null", row).replace("cdc.septem.g1", "septem.g1"),
            "Origin",
        ),
    ] {
        let error = ChangeEvent::decode(json.as_bytes()).unwrap_err();
        assert!(
            format!("{error:?}").starts_with(name),
            "{error:?} is not {name}"
        );
    }
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ChangeEvent::decode(&bytes);
    }

    #[test]
    fn versions_order_by_commit_and_then_by_position(a in any::<(u64, u64)>(), b in any::<(u64, u64)>()) {
        let version = |(c, p): (u64, u64)| parse_sequence(&format!("[\"{c}\",\"{p}\"]")).unwrap();
        prop_assert_eq!(version(a).cmp(&version(b)), a.cmp(&b));
    }
}
