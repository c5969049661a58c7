//! Buckets of time: local days, no 32-bit clock, two hours called two in autumn.

use serde_json::json;

use super::lab::Lab;

#[tokio::test]
async fn buckets_begin_where_the_time_zone_says() {
    let lab = Lab::open().await;
    for (id, at) in [
        (1, "2025-12-31 23:30:00.000000"),
        (2, "2026-03-28 23:10:00.000000"),
        (3, "2026-03-29 00:59:59.999999"),
        (4, "2026-03-29 01:00:00.000000"),
        (5, "2026-10-25 00:30:00.000000"),
        (6, "2026-10-25 01:30:00.000000"),
        (7, "1905-05-05 05:05:05.000000"),
        (8, "2250-05-05 05:05:05.000000"),
    ] {
        lab.put(
            "things",
            &lab.a,
            id,
            1,
            json!({"timestamp": at, "date": &at[..10]}),
        )
        .await;
    }
    lab.put("things", &lab.a, 9, 1, json!({})).await;
    let buckets = async |field: &str, interval: &str, zone: &str| {
        let body = json!({
            "model": "things", "aggregate": "count", "groupBy": field, "groupByInterval": interval, "timeZone": zone,
            "order": format!("{field}.asc"),
        });
        let rows = lab.data(body).await;
        let rows = rows.as_array().unwrap().iter();
        rows.map(|r| format!("{}={}", r[field].as_str().unwrap_or("null"), r["count"]))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let cases = [
        ("year", "Europe/Berlin", "1905=1 2026=6 2250=1 null=1"),
        ("year", "UTC", "1905=1 2025=1 2026=5 2250=1 null=1"),
        (
            "month",
            "Europe/Berlin",
            "1905-05=1 2026-01=1 2026-03=3 2026-10=2 2250-05=1 null=1",
        ),
        (
            "week",
            "Europe/Berlin",
            "1905-05-01=1 2025-12-29=1 2026-03-23=3 2026-10-19=2 2250-04-29=1 null=1",
        ),
        (
            "day",
            "Europe/Berlin",
            "1905-05-05=1 2026-01-01=1 2026-03-29=3 2026-10-25=2 2250-05-05=1 null=1",
        ),
        (
            "day",
            "America/New_York",
            "1905-05-05=1 2025-12-31=1 2026-03-28=3 2026-10-24=2 2250-05-05=1 null=1",
        ),
        (
            "hour",
            "Europe/Berlin",
            "1905-05-05T06:00:00+01:00=1 2026-01-01T00:00:00+01:00=1 2026-03-29T00:00:00+01:00=1 \
             2026-03-29T01:00:00+01:00=1 2026-03-29T03:00:00+02:00=1 2026-10-25T02:00:00+02:00=1 \
             2026-10-25T02:00:00+01:00=1 2250-05-05T07:00:00+02:00=1 null=1",
        ),
        (
            "minute",
            "Asia/Kathmandu",
            "1905-05-05T05:04:44Z=1 2026-01-01T05:15:00+05:45=1 2026-03-29T04:55:00+05:45=1 \
             2026-03-29T06:44:00+05:45=1 2026-03-29T06:45:00+05:45=1 2026-10-25T06:15:00+05:45=1 \
             2026-10-25T07:15:00+05:45=1 2250-05-05T10:50:00+05:45=1 null=1",
        ),
    ];
    for (interval, zone, expected) in &cases {
        assert_eq!(
            buckets("timestamp", interval, zone).await,
            *expected,
            "{interval} {zone}"
        );
    }
    assert_eq!(
        buckets("date", "year", "Asia/Tokyo").await,
        "1905=1 2025=1 2026=5 2250=1 null=1"
    );
    assert_eq!(
        buckets("date", "month", "UTC").await,
        "1905-05=1 2025-12=1 2026-03=3 2026-10=2 2250-05=1 null=1"
    );
    assert_eq!(
        buckets("date", "week", "UTC").await,
        "1905-05-01=1 2025-12-29=1 2026-03-23=3 2026-10-19=2 2250-04-29=1 null=1"
    );
    lab.close().await;
}
