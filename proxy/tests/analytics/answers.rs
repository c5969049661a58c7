//! What is answered: shapes of the seeds, exactness, buckets, versions.

use http::HeaderMap;
use serde_json::{Value, json};

use super::lab::{CANARY, Lab, rows};

async fn lab_with_deals() -> Lab {
    let lab = Lab::open().await;
    let deal = |amount: &str, stage: &str, at: &str| json!({"amount": amount, "stage": stage, "created_at": at});
    lab.put_all("deals", vec![
        (lab.a, 1, 1, deal("10.10", "open", "2026-01-01 10:00:00.000000")),
        // The newest version counts, whichever came last.
        (lab.a, 1, 3, deal("10.00", "won", "2026-01-01 10:00:00.000000")),
        (lab.a, 1, 2, deal("99.00", "lost", "2026-01-01 10:00:00.000000")),
        (lab.a, 2, 1, deal("0.05", "won", "2026-01-01 23:30:00.000000")),
        (lab.a, 3, 1, deal("7.50", "open", "2026-01-02 00:00:00.000000")),
        (lab.a, 4, 1, json!({"created_at": "2026-02-28 12:00:00.000000"})),
        (lab.a, 5, 1, json!({"amount": "1000", "stage": "won", "deleted_at": "2026-03-01 00:00:00.000000"})),
        (lab.a, 6, 1, deal("500", "won", "2026-01-01 10:00:00.000000")),
        (lab.a, 6, 2, json!({"_deleted": 1})),
        (lab.b, 1, 9, json!({"amount": "4444.44", "stage": "won", "title": CANARY})),
    ])
    .await;
    lab
}

#[tokio::test]
async fn the_examples_of_the_seeds_are_answered_in_their_shapes() {
    let lab = lab_with_deals().await;
    let answer = lab
        .ask(&lab.a, json!({"model": "deals", "aggregate": "count"}))
        .await
        .unwrap();
    assert_eq!(answer["data"], json!([{"count": 4}]));
    assert_eq!(answer["meta"]["lastSyncAt"], "2026-04-15T10:29:55.000Z");
    assert!(answer["meta"]["rowsScanned"].as_u64().unwrap() >= 4);
    assert!(answer["meta"]["durationMs"].is_u64());
    assert_eq!(answer["meta"].as_object().unwrap().len(), 3);

    let sum = json!({"model": "deals", "aggregate": "sum", "field": "amount", "filters": {"stage": "eq.won"}});
    assert_eq!(lab.data(sum).await.to_string(), r#"[{"sum":10.05}]"#);

    let groups = json!({"model": "deals", "aggregate": "count", "groupBy": "stage", "filters": {"deleted_at": "is.null"}});
    let expected = json!([{"stage": "open", "count": 1}, {"stage": "won", "count": 2}, {"stage": null, "count": 1}]);
    assert_eq!(lab.data(groups).await, expected);

    let days = json!({
        "model": "deals", "aggregate": "count", "groupBy": "created_at", "groupByInterval": "day",
        "filters": {"created_at": "lt.2026-02-01T00:00:00Z"}, "order": "created_at.asc",
    });
    let expected =
        json!([{"created_at": "2026-01-01", "count": 2}, {"created_at": "2026-01-02", "count": 1}]);
    assert_eq!(lab.data(days).await, expected);

    let metrics = json!({
        "model": "deals",
        "metrics": [{"aggregate": "count"}, {"aggregate": "sum", "field": "amount"}, {"aggregate": "avg", "field": "amount"}],
        "filters": {"stage": "in.(open,won)"},
    });
    let answer = lab
        .ask_with(&lab.analytics, &lab.a, metrics, HeaderMap::new())
        .await
        .unwrap();
    // Cut after eight digits: 17.55 / 3 has two.
    assert!(
        answer.starts_with(r#"{"data":[{"count":3,"sum":17.55,"avg":5.85}],"meta":{"#),
        "{answer}"
    );
    lab.close().await;
}

#[tokio::test]
async fn nothing_counts_as_zero_and_is_null_otherwise() {
    let lab = Lab::open().await;
    let metrics: Vec<_> = ["sum", "avg", "min", "max"]
        .into_iter()
        .flat_map(|aggregate| {
            ["amount", "seats", "big", "weight"]
                .map(|field| json!({"aggregate": aggregate, "field": field}))
        })
        .chain([
            json!({"aggregate": "count"}),
            json!({"aggregate": "min", "field": "title"}),
        ])
        .collect();
    for filled in [false, true] {
        if filled {
            lab.put("deals", &lab.a, 1, 1, json!({})).await;
        }
        let data = lab
            .data(json!({"model": "deals", "metrics": metrics, "filters": {"seats": "is.null"}}))
            .await;
        let row = data[0].as_object().unwrap();
        for (name, value) in row {
            let expected = if name == "count" {
                json!(u32::from(filled))
            } else {
                Value::Null
            };
            assert_eq!(*value, expected, "{name}");
        }
        assert_eq!(row.len(), 18);
    }
    let groups = json!({"model": "deals", "aggregate": "count", "groupBy": "stage", "filters": {"seats": "gt.1"}});
    assert_eq!(lab.data(groups).await, json!([]));
    lab.close().await;
}

#[tokio::test]
async fn soft_deleted_records_count_when_asked_for() {
    let lab = lab_with_deals().await;
    for (deleted, count) in [("exclude", 4), ("include", 5), ("only", 1)] {
        let body = json!({"model": "deals", "aggregate": "count", "deleted": deleted});
        assert_eq!(lab.data(body).await, json!([{"count": count}]), "{deleted}");
    }
    lab.close().await;
}

#[tokio::test]
async fn sums_do_not_wrap_and_decimals_keep_every_digit() {
    let lab = Lab::open().await;
    let nines = "99999999999999999999999999999999.999999";
    for id in 1..=3 {
        let thing = json!({"int16": 32767, "int64": i64::MAX, "decimal": nines, "float64": 0.1});
        lab.put("things", &lab.a, id, 1, thing).await;
    }
    let metric = |aggregate: &str, field: &str| json!({"aggregate": aggregate, "field": field});
    let body = json!({"model": "things", "metrics": [
        metric("sum", "int64"), metric("sum", "decimal"), metric("sum", "int16"), metric("avg", "int64"),
        metric("avg", "decimal"), metric("max", "decimal"), metric("avg", "int16"), metric("sum", "float64"),
    ]});
    let expected = concat!(
        r#"[{"sum_int64":27670116110564327421,"sum_decimal":299999999999999999999999999999999.999997,"#,
        r#""sum_int16":98301,"avg_int64":9223372036854775807,"#,
        r#""avg_decimal":99999999999999999999999999999999.999999,"max":99999999999999999999999999999999.999999,"#,
        r#""avg_int16":32767,"sum_float64":0.30000000000000004}]"#,
    );
    let text = lab
        .ask_with(&lab.analytics, &lab.a, body.clone(), HeaderMap::new())
        .await
        .unwrap();
    assert_eq!(
        text.split(",\"meta\"").next().unwrap(),
        format!("{{\"data\":{expected}")
    );

    let mut headers = HeaderMap::new();
    headers.insert("prefer", "numbers=string".parse().unwrap());
    let text = lab
        .ask_with(&lab.analytics, &lab.a, body, headers)
        .await
        .unwrap();
    assert!(
        text.starts_with(r#"{"data":[{"sum_int64":"27670116110564327421","sum_decimal":"2999"#),
        "{text}"
    );
    assert!(
        text.contains(r#""sum_float64":0.30000000000000004"#),
        "{text}"
    );
    lab.close().await;
}

#[tokio::test]
async fn groups_are_ordered_and_limited_as_asked() {
    let lab = Lab::open().await;
    let uuid = |half: &str, rest: &str| format!("{half}-0000-7000-8000-{rest}");
    for (id, seats, text, key) in [
        (1, 1, "b", uuid("00000001", "ffffffffffff")),
        (2, 2, "a", uuid("00000002", "000000000000")),
        (3, 3, "Z", uuid("00000003", "888888888888")),
    ] {
        lab.put(
            "things",
            &lab.a,
            id,
            1,
            json!({"int32": seats, "text": text, "uuid": key}),
        )
        .await;
    }
    lab.put("things", &lab.a, 4, 1, json!({"int32": 4})).await;
    let asked = async |group: &str, order: &str, limit: u32| {
        let body = json!({
            "model": "things", "aggregate": "max", "field": "int32", "groupBy": group, "order": order, "limit": limit,
        });
        let answer = lab.ask(&lab.a, body).await.unwrap();
        let max: Vec<_> = answer["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["max"].as_i64().unwrap())
            .collect();
        (max, answer["meta"]["truncated"] == true)
    };
    assert_eq!(
        asked("text", "text.asc", 10).await,
        (vec![3, 2, 1, 4], false)
    );
    assert_eq!(
        asked("text", "text.desc", 10).await,
        (vec![4, 1, 2, 3], false)
    );
    assert_eq!(
        asked("text", "text.desc.nullslast", 2).await,
        (vec![1, 2], true)
    );
    assert_eq!(
        asked("text", "max.desc", 4).await,
        (vec![4, 3, 2, 1], false)
    );
    assert_eq!(asked("text", "max", 0).await, (vec![], true));
    // By bytes, where ClickHouse's own order starts with the second half.
    assert_eq!(
        asked("uuid", "uuid.desc.nullslast", 10).await,
        (vec![3, 2, 1, 4], false)
    );
    lab.close().await;
}

#[tokio::test]
async fn every_type_groups_counts_and_prints_as_the_records_do() {
    let lab = Lab::open().await;
    let thing = json!({
        "bool": true, "int16": -1, "int32": 2, "int64": 9_007_199_254_740_993_i64, "float64": 1.5, "decimal": "1.5",
        "text": "a \"quoted\" / text\n", "uuid": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", "date": "2026-01-02",
        "timestamp": "2026-01-02 03:04:05.000006", "time": 11_045_500_000_i64, "json": "{\"a\":1}", "bytes": "AAEC",
        "enum": "won", "inet": "10.0.0.0/8", "array": ["x"],
    });
    lab.put("things", &lab.a, 1, 1, thing).await;
    let expected = [
        ("bool", "true"),
        ("int16", "-1"),
        ("int32", "2"),
        ("int64", "9007199254740993"),
        ("float64", "1.5"),
        ("decimal", "1.500000"),
        ("text", r#""a \"quoted\" / text\n""#),
        ("uuid", r#""0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01""#),
        ("date", r#""2026-01-02""#),
        ("timestamp", r#""2026-01-02T03:04:05.000006Z""#),
        ("time", r#""03:04:05.500000""#),
        ("bytes", r#""AAEC""#),
        ("enum", r#""won""#),
        ("inet", r#""10.0.0.0/8""#),
        ("id", r#""30303030-3030-3030-3030-303030303031""#),
        ("version", "1"),
    ];
    for (field, printed) in expected {
        let body =
            json!({"model": "things", "aggregate": "count", "field": field, "groupBy": field});
        let text = lab
            .ask_with(&lab.analytics, &lab.a, body, HeaderMap::new())
            .await
            .unwrap();
        let row = format!("{{\"data\":[{{\"{field}\":{printed},\"count\":1}}]");
        assert!(text.starts_with(&row), "{field}: {text}");
    }
    for field in [
        "int16",
        "int32",
        "int64",
        "float64",
        "decimal",
        "text",
        "date",
        "timestamp",
        "enum",
        "created_at",
    ] {
        for aggregate in ["min", "max"] {
            let body = json!({"model": "things", "aggregate": aggregate, "field": field});
            let text = lab
                .ask_with(&lab.analytics, &lab.a, body, HeaderMap::new())
                .await
                .unwrap();
            let printed = expected
                .iter()
                .find(|(name, _)| *name == field)
                .map(|(_, printed)| *printed);
            let printed = printed.unwrap_or(r#""2026-01-01T00:00:00.000000Z""#);
            assert!(
                text.starts_with(&format!("{{\"data\":[{{\"{aggregate}\":{printed}}}]")),
                "{field}: {text}"
            );
        }
    }
    lab.close().await;
}

#[tokio::test]
async fn answers_are_those_of_plain_sql() {
    let lab = Lab::open().await;
    let stages = ["open", "won", "lost"];
    let mut puts = Vec::new();
    for id in 0..400_u64 {
        for version in 1..=(1 + id % 3) {
            let deal = json!({
                "amount": format!("{}.{:02}", (id * 37 + version) % 1000, id % 100), "seats": (id * 7) % 13,
                "stage": stages[(id % 3) as usize], "_deleted": u8::from(id % 11 == 0 && version == 1 + id % 3),
            });
            puts.push((if id % 2 == 0 { lab.a } else { lab.b }, id, version, deal));
        }
    }
    lab.put_all("deals", puts).await;
    let body = json!({
        "model": "deals", "groupBy": ["stage", "seats"], "filters": {"amount": "gte.100"}, "limit": 10_000,
        "metrics": [{"aggregate": "count"}, {"aggregate": "sum", "field": "amount"}, {"aggregate": "max", "field": "amount"}],
    });
    for tenant in [lab.a, lab.b] {
        let answer = lab.ask(&tenant, body.clone()).await.unwrap();
        let row = |r: &Value| {
            format!(
                "{}\t{}\t{}\t{}\t{}",
                r["stage"].as_str().unwrap(),
                r["seats"],
                r["count"],
                r["sum"],
                r["max"]
            )
        };
        let ours: Vec<_> = answer["data"].as_array().unwrap().iter().map(row).collect();
        let plain = format!(
            "SELECT stage, seats, count(), toFloat64(sum(amount)), toFloat64(max(amount)) FROM (
               SELECT record_id, argMax(stage__2, _version) AS stage, argMax(seats__2, _version) AS seats,
                 argMax(amount__2, _version) AS amount, argMax(_deleted, _version) AS gone
               FROM {} WHERE tenant_id = '{tenant}' GROUP BY record_id)
             WHERE gone = 0 AND amount >= 100 GROUP BY stage, seats ORDER BY stage, seats",
            lab.table("deals")
        );
        let plain = rows(lab.admin.query_raw(&plain)).await.unwrap();
        let theirs: Vec<_> = plain.lines().collect();
        let as_float = |line: &str| -> Vec<String> {
            line.split('\t')
                .map(|c| c.parse::<f64>().map_or(c.to_owned(), |n| n.to_string()))
                .collect()
        };
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(as_float(ours), as_float(theirs));
        }
    }
    lab.close().await;
}
