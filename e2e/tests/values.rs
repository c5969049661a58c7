//! Values of every type come back as they were written, and analytics agrees with PostgreSQL about them.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use e2e::{Scene, scene::Turn, truth};
use reqwest::Method;
use serde_json::{Value, json, value::RawValue};
use sqlx::Row as _;

fn every_type() -> Value {
    json!({"fields": [
        {"name": "flag", "type": "bool"},
        {"name": "small", "type": "int16"},
        {"name": "medium", "type": "int32"},
        {"name": "big", "type": "int64"},
        {"name": "ratio", "type": "float64"},
        {"name": "price", "type": "decimal", "precision": 38, "scale": 10},
        {"name": "title", "type": "text", "maxLength": 60},
        {"name": "owner", "type": "uuid"},
        {"name": "day", "type": "date"},
        {"name": "at", "type": "timestamp"},
        {"name": "clock", "type": "time"},
        {"name": "doc", "type": "json"},
        {"name": "blob", "type": "bytes"},
        {"name": "stage", "type": "enum", "values": ["open", "zu", "größer"]},
        {"name": "addr", "type": "inet"},
        {"name": "tags", "type": "array", "items": "text"},
        {"name": "nums", "type": "array", "items": "int64"},
        {"name": "times", "type": "array", "items": "timestamp"},
        {"name": "embedding", "type": "vector", "dimension": 4},
    ]})
}

/// Field, the JSON text written, the JSON text that must come back.
const VALUES: [(&str, &str, &str); 19] = [
    ("flag", "true", "true"),
    ("small", "-32768", "-32768"),
    ("medium", "2147483647", "2147483647"),
    ("big", "9223372036854775807", "9223372036854775807"),
    ("ratio", "0.1", "0.1"),
    (
        "price",
        "1234567890123456789012345678.0123456789",
        "1234567890123456789012345678.0123456789",
    ),
    (
        "title",
        r#""Grüße 👋 \" \\ \u0001 ' ; -- \u2028 tab\t""#,
        r#""Grüße 👋 \" \\ \u0001 ' ; -- \u2028 tab\t""#,
    ),
    (
        "owner",
        r#""0198F0AA-5B1E-7C3D-9A4E-2F6B8C1D0E01""#,
        r#""0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01""#,
    ),
    ("day", r#""2024-02-29""#, r#""2024-02-29""#),
    (
        "at",
        r#""2026-01-02T03:04:05.123456+02:00""#,
        r#""2026-01-02T01:04:05.123456Z""#,
    ),
    ("clock", r#""23:59:59.999999""#, r#""23:59:59.999999""#),
    (
        "doc",
        r#"{"a":[1,null,{"b":"ü"}],"n":12345678901234567890.5}"#,
        r#"{"a":[1,null,{"b":"ü"}],"n":12345678901234567890.5}"#,
    ),
    ("blob", r#""AAECA/8=""#, r#""AAECA/8=""#),
    ("stage", r#""größer""#, r#""größer""#),
    ("addr", r#""10.0.0.0/8""#, r#""10.0.0.0/8""#),
    (
        "tags",
        r#"["a,b","\"q\"","ü","","NULL","{}","back\\slash"]"#,
        r#"["a,b","\"q\"","ü","","NULL","{}","back\\slash"]"#,
    ),
    (
        "nums",
        "[-1,9223372036854775807]",
        "[-1,9223372036854775807]",
    ),
    (
        "times",
        r#"["2026-01-02T03:04:05.5Z"]"#,
        r#"["2026-01-02T03:04:05.500000Z"]"#,
    ),
    (
        "embedding",
        "[0.1, -2.5, 0.123456789, 3.4028235e38]",
        "[0.1,-2.5,0.12345679,3.4028235e+38]",
    ),
];

fn has_number(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::Array(items) => items.iter().any(has_number),
        Value::Object(members) => members.values().any(has_number),
        _ => false,
    }
}

/// Numbers as their text (`Value` would round them), everything else as its value.
fn same(left: &str, right: &str) -> bool {
    let value = |text| serde_json::from_str::<Value>(text).ok();
    match (value(left), value(right)) {
        (Some(l), Some(r)) if !has_number(&l) && !has_number(&r) => l == r,
        _ => left.replace(": ", ":").replace(", ", ",") == right,
    }
}

fn check(record: &BTreeMap<String, Box<RawValue>>) {
    for (field, _, expected) in VALUES {
        let got = record.get(field).map_or("nothing", |v| v.get());
        assert!(
            same(got, expected),
            "{field}: expected {expected}, got {got}"
        );
    }
}

#[tokio::test]
async fn a_value_of_every_type_comes_back_as_it_was_written() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        scene.apply_model("things", every_type()).await?;
        let (api, path) = (&tenant.api, scene.path("things"));
        let written: Vec<String> = VALUES.iter().map(|(field, text, _)| format!("\"{field}\":{text}")).collect();
        let body = format!("{{{}}}", written.join(","));
        let created = api.send(Method::POST, &path, &[], Some(body.clone())).await?.expect(201)?;
        check(&created.record()?);
        let one = format!("{path}/{}", created.id()?);
        check(&api.get(&one).await?.expect(200)?.record()?);

        // Empty, then everything by PATCH, then everything null again.
        let empty = api.post(&path, &json!({})).await?.expect(201)?;
        let other = format!("{path}/{}", empty.id()?);
        for (field, ..) in VALUES {
            assert_eq!(empty.record()?.get(field).map(|v| v.get()), Some("null"), "{field}");
        }
        check(&api.send(Method::PATCH, &other, &[], Some(body)).await?.expect(200)?.record()?);
        let nulls: serde_json::Map<String, Value> =
            VALUES.iter().map(|(field, ..)| ((*field).to_owned(), Value::Null)).collect();
        let cleared = api.patch(&other, &Value::Object(nulls)).await?.expect(200)?;
        assert_eq!(cleared.json()?["data"]["version"], 3);
        for (field, ..) in VALUES {
            assert_eq!(cleared.record()?.get(field).map(|v| v.get()), Some("null"), "{field}");
        }

        // Decimals and int64 as texts, and a scale that is filled up.
        let texts = json!({"price": "1.5", "big": "-9223372036854775808"});
        let created = api.post(&path, &texts).await?.expect(201)?.record()?;
        assert_eq!(created["price"].get(), "1.5000000000");
        assert_eq!(created["big"].get(), "-9223372036854775808");

        api.synced(&scene.module, "things", Duration::from_secs(20)).await?;
        let table = truth::analytics_table(&scene.stack, &scene.module, "things").await?;
        let row = truth::clickhouse(
            &scene.stack,
            &format!(
                "select toString(price), big, ratio, toUnixTimestamp64Micro(assumeNotNull(at)), toString(day), hex(assumeNotNull(title)), \
                 length(tags), tags[2], nums[2], toString(stage), toString(owner), toString(embedding) \
                 from {table} final where isNotNull(title) format TSVRaw"
            ),
        )
        .await?;
        let title: String = serde_json::from_str(VALUES[6].1)?;
        let title_hex: String = title.bytes().map(|b| format!("{b:02X}")).collect();
        assert_eq!(
            row,
            [[
                "1234567890123456789012345678.0123456789",
                "9223372036854775807",
                "0.1",
                "1767315845123456",
                "2024-02-29",
                &title_hex,
                "7",
                "\"q\"",
                "9223372036854775807",
                "größer",
                "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01",
                "[0.1,-2.5,0.12345679,3.4028235e38]",
            ]]
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_refused_by_its_field_and_nothing_is_written() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        scene.apply_model("things", every_type()).await?;
        let (api, path) = (&tenant.api, scene.path("things"));
        for (field, text) in [
            ("flag", "\"true\""),
            ("small", "32768"),
            ("medium", "1.5"),
            ("big", "9223372036854775808"),
            ("ratio", "1e999"),
            ("price", "0.00000000001"),
            ("title", "\"a\\u0000b\""),
            ("title", &format!("\"{}\"", "x".repeat(61))),
            ("owner", "\"not-an-id\""),
            ("day", "\"2025-02-29\""),
            ("at", "\"tomorrow\""),
            ("clock", "\"24:00:00\""),
            ("blob", "\"*\""),
            ("stage", "\"closed\""),
            ("addr", "\"10.0.0.0/33\""),
            ("tags", "[null]"),
            ("nums", "[1.5]"),
            ("embedding", "[1,2,3]"),
            ("embedding", "[1,2,3,1e39]"),
            ("nope", "1"),
            ("tenant_id", "\"0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01\""),
            ("created_by", "\"eve\""),
        ] {
            let answer = api
                .send(
                    Method::POST,
                    &path,
                    &[],
                    Some(format!("{{\"{field}\":{text}}}")),
                )
                .await?;
            let problem = answer.json()?;
            assert_eq!(answer.status, 400, "{field} {text}: {problem}");
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json")
            );
            let named = problem["errors"][0]["field"].as_str().unwrap_or_default();
            assert!(named.starts_with(field), "{field} {text}: {problem}");
        }
        let list = api.get(&path).await?.expect(200)?.json()?;
        assert_eq!(list["data"], json!([]));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn analytics_equals_what_postgresql_holds() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        let other = scene.tenant("b").await?;
        scene.apply_model("things", every_type()).await?;
        let path = scene.path("things");
        let mut ids = Vec::new();
        let stages = ["open", "zu", "größer"];
        for n in 0..60_i64 {
            let body = json!({
                "stage": stages[usize::try_from(n % 3)?],
                // Sums that neither a double nor 38 digits of a wrapped sum would get right.
                "price": format!("9999999999999999999999999{}.{:010}", n % 10, n),
                "big": i64::MAX - n,
                "day": format!("2026-{:02}-15", n % 12 + 1),
                "title": if n % 5 == 0 { Value::Null } else { json!(format!("t{n}")) },
            });
            ids.push(tenant.api.post(&path, &body).await?.expect(201)?.id()?);
            other.api.post(&path, &body).await?.expect(201)?;
        }
        for id in ids.iter().step_by(7) {
            tenant.api.delete(&format!("{path}/{id}")).await?.expect(204)?;
        }
        for id in ids.iter().skip(1).step_by(7) {
            tenant.api.patch(&format!("{path}/{id}"), &json!({"stage": "open", "day": null})).await?.expect(200)?;
        }
        tenant.api.synced(&scene.module, "things", Duration::from_secs(20)).await?;

        let query = json!({"model": "things", "groupBy": ["stage", "day"], "groupByInterval": "month", "limit": 1000,
            "order": "stage.asc", "metrics": [
                {"aggregate": "count"}, {"aggregate": "sum", "field": "price"},
                {"aggregate": "sum", "field": "big", "alias": "big"}, {"aggregate": "min", "field": "title"},
            ]});
        let answer = tenant.api.analytics(&scene.module, &query).await?;
        let text = |row: &BTreeMap<String, Box<RawValue>>, name: &str| {
            row.get(name).map_or("missing".into(), |v| v.get().trim_matches('"').to_owned())
        };
        let mut from_analytics: Vec<[String; 6]> = answer
            .data
            .iter()
            .map(|row| ["stage", "day", "count", "sum_price", "big", "min"].map(|name| text(row, name)))
            .collect();
        from_analytics.sort();

        let truth = truth::psql(
            &scene.stack,
            &format!(
                "select coalesce(stage, 'null'), coalesce(to_char(day, 'YYYY-MM'), 'null'), count(*)::text, sum(price)::text, \
                 sum(big)::text, coalesce(min(title collate \"C\"), 'null') from {}.things \
                 where tenant_id = '{}' and deleted_at is null group by 1, 2",
                scene.module, tenant.id
            ),
        )
        .await?;
        let mut from_postgresql = Vec::new();
        for row in &truth {
            let mut cells: [String; 6] = Default::default();
            for (i, cell) in cells.iter_mut().enumerate() {
                *cell = row.try_get(i).context("a text")?;
            }
            from_postgresql.push(cells);
        }
        from_postgresql.sort();
        assert_eq!(from_analytics, from_postgresql);
        Ok(())
    })
    .await
}
