//! Conditions mean in ClickHouse what they mean in PostgreSQL.

use serde_json::{Value, json};

use super::lab::Lab;

async fn ids(lab: &Lab, filters: Value) -> Vec<i64> {
    let body =
        json!({"model": "things", "aggregate": "count", "groupBy": "int16", "filters": filters});
    let rows = lab.data(body).await;
    rows.as_array()
        .unwrap()
        .iter()
        .map(|r| r["int16"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn every_operator_finds_what_it_should() {
    let lab = Lab::open().await;
    let things = [
        json!({"int16": 1, "bool": true, "int32": 5, "float64": 0.1, "decimal": "1.5", "text": "Äpfel %", "enum": "won",
            "uuid": "ffffffff-0000-7000-8000-000000000001", "date": "2026-01-02", "time": 3_600_000_000_i64,
            "timestamp": "2026-01-02 03:04:05.000006", "bytes": "AAEC", "inet": "10.0.0.1", "json": "null", "vector": [0.5, -1]}),
        json!({"int16": 2, "bool": false, "int32": -5, "float64": 0.2, "decimal": "1.500001", "text": "a\\b", "enum": "open",
            "uuid": "00000000-0000-7000-8000-ffffffffffff", "date": "2026-01-03", "time": 0,
            "timestamp": "2026-01-02 03:04:05.000007", "bytes": "AAED", "inet": "10.0.0.0/8"}),
        json!({"int16": 3}),
    ];
    let puts = things
        .into_iter()
        .enumerate()
        .map(|(i, thing)| (lab.a, i as u64 + 1, 1, thing))
        .collect();
    lab.put_all("things", puts).await;
    let cases: [(Value, &[i64]); 48] = [
        (json!({"bool": "eq.true"}), &[1]),
        (json!({"bool": "is.false"}), &[2]),
        (json!({"bool": "not.is.false"}), &[1, 3]),
        (json!({"bool": "is.unknown"}), &[3]),
        (json!({"int32": "gt.-6"}), &[1, 2]),
        (json!({"int32": "neq.5"}), &[2]),
        (json!({"int32": "not.eq.5"}), &[2]),
        (json!({"int32": "in.(5,-5)"}), &[1, 2]),
        (json!({"int32": "not.in.(5)"}), &[2]),
        (json!({"int32": "in.()"}), &[]),
        (json!({"int32": "not.in.()"}), &[1, 2, 3]),
        (json!({"int32": "is.null"}), &[3]),
        (json!({"int32": "is.not_null"}), &[1, 2]),
        (json!({"int32": ["gte.-5", "lt.5"]}), &[2]),
        (json!({"float64": "eq.0.1"}), &[1]),
        (json!({"float64": "lte.0.2"}), &[1, 2]),
        (json!({"decimal": "eq.1.5000000000"}), &[1]),
        (json!({"decimal": "gt.1.50000000001"}), &[2]),
        (json!({"decimal": "in.(1.5000001,1.500001)"}), &[2]),
        (
            json!({"decimal": "lt.99999999999999999999999999999999999999"}),
            &[1, 2],
        ),
        (
            json!({"decimal": "in.(99999999999999999999999999999999999999,0.00000000000000000000000000000000000001)"}),
            &[],
        ),
        (json!({"text": "eq.Äpfel %"}), &[1]),
        (json!({"text": "like.*pfel*"}), &[1]),
        (json!({"text": "like.äpfel*"}), &[]),
        (json!({"text": "ilike.äPFEL*"}), &[1]),
        (json!({"text": "like.*\\%"}), &[1]),
        (json!({"text": "like.Äpfe__%"}), &[1]),
        (json!({"text": "like.a\\\\b"}), &[2]),
        (json!({"text": "like.a\\b"}), &[]),
        (json!({"text": "not.like.a*"}), &[1]),
        (json!({"text": "gt.a"}), &[1, 2]),
        (json!({"enum": "eq.won"}), &[1]),
        (json!({"enum": "in.(won,gone)"}), &[1]),
        (json!({"enum": "not.in.(won)"}), &[2]),
        (
            json!({"uuid": "gt.80000000-0000-7000-8000-000000000000"}),
            &[1],
        ),
        (
            json!({"uuid": "eq.ffffffff-0000-7000-8000-000000000001"}),
            &[1],
        ),
        (json!({"date": "gte.2026-01-03"}), &[2]),
        (json!({"timestamp": "eq.2026-01-02T03:04:05.000006Z"}), &[1]),
        (
            json!({"timestamp": "gt.2026-01-02T05:04:05.000006+02:00"}),
            &[2],
        ),
        (
            json!({"timestamp": ["gt.0001-01-01T00:00:00Z", "lt.9999-12-31T23:59:59.999999Z"]}),
            &[1, 2],
        ),
        (json!({"time": "gte.01:00:00"}), &[1]),
        (json!({"bytes": "eq.AAEC"}), &[1]),
        (json!({"inet": "in.(10.0.0.1,10.0.0.0/8)"}), &[1, 2]),
        (json!({"json": "is.null"}), &[2, 3]),
        (json!({"vector": "is.null"}), &[2, 3]),
        (json!({"vector": "not.is.null"}), &[1]),
        (
            json!({"id": "gt.30303030-3030-3030-3030-303030303031"}),
            &[2, 3],
        ),
        (
            json!({"id": "in.(30303030-3030-3030-3030-303030303031)", "version": "eq.1", "created_by": "eq.ada"}),
            &[1],
        ),
    ];
    for (filters, expected) in cases {
        assert_eq!(ids(&lab, filters.clone()).await, expected, "{filters}");
    }
    lab.close().await;
}

#[tokio::test]
async fn a_list_may_be_long_and_values_have_a_bound() {
    let lab = Lab::open().await;
    let text = "x".repeat(40_000);
    let puts = [1, 2].map(|i| (lab.a, i, 1, json!({"int16": i, "text": text})));
    lab.put_all("things", puts.into()).await;
    let uuids: Vec<_> = (0..1000u128)
        .map(|i| uuid::Uuid::from_u128(i).to_string())
        .collect();
    let numbers: Vec<_> = (2..1002).map(|i: u32| i.to_string()).collect();
    for (filters, expected) in [
        (
            json!({"uuid": format!("in.({})", uuids.join(","))}),
            &[][..],
        ),
        (
            json!({"int16": format!("in.({})", numbers.join(","))}),
            &[2],
        ),
        (json!({"text": format!("eq.{text}")}), &[1, 2]),
    ] {
        assert_eq!(ids(&lab, filters).await, expected);
    }
    let body = json!({"model": "things", "aggregate": "count", "filters": {"text": format!("eq.{}", text.repeat(2))}});
    let problem = lab.ask(&lab.a, body).await.unwrap_err();
    assert_eq!(
        problem.errors[0].code,
        proxy::problem::FieldCode::LimitExceeded
    );
    lab.close().await;
}

#[tokio::test]
async fn texts_find_themselves_whatever_they_hold() {
    let lab = Lab::open().await;
    let texts = [
        "",
        " ",
        "'",
        "''",
        "\\",
        "\\'",
        "\\N",
        "\\n",
        "\t",
        "\n",
        "\r\n",
        "?",
        "??",
        "{p1:String}",
        "{tenant:UUID}",
        "%",
        "_",
        "`",
        "\"",
        "--",
        "/* */",
        "; DROP TABLE x",
        "') OR 1=1 --",
        "SETTINGS readonly=0",
        "FORMAT CSV",
        "ä",
        "漢字",
        "😀",
        "\u{200b}",
        "\u{7f}",
        "\u{1}",
        "null",
        "NULL",
        "true",
        "0",
        "[]",
        "['a']",
        "\u{feff}x",
        "--clickhouse-rs-boundary-\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT 2\r\n",
        "a&b=c%20+",
    ];
    let puts = texts.iter().enumerate();
    let puts = puts
        .map(|(i, text)| (lab.a, i as u64, 1, json!({"int16": i, "text": text})))
        .collect();
    lab.put_all("things", puts).await;
    for (i, text) in texts.iter().enumerate() {
        assert_eq!(
            ids(&lab, json!({"text": format!("eq.{text}")})).await,
            [i as i64],
            "{text:?}"
        );
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        assert_eq!(
            ids(&lab, json!({"text": format!("in.(\"{quoted}\")")})).await,
            [i as i64],
            "in {text:?}"
        );
    }
    lab.close().await;
}
