//! Everything that A asks for: lists, records, what is refused, analytics, cache, schema.

use anyhow::{Context as _, Result};
use e2e::{Scene, scene::Tenant};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::{RowsOfB, obtained::Obtained};

const TEXT_FIELDS: [&str; 3] = ["code", "name", "kind"];

/// Every filter operator on every field, every order, every page.
pub async fn walk_lists(scene: &Scene, a: &mut Obtained<'_>) -> Result<()> {
    let path = scene.path("parents");
    let mut queries: Vec<String> = vec![
        String::new(),
        "limit=1000".into(),
        "or=(kind.eq.y,name.is.null)".into(),
    ];
    for field in TEXT_FIELDS {
        for test in [
            "eq.own",
            "neq.own",
            "gt.a",
            "gte.a",
            "lt.zzzz",
            "lte.zzzz",
            "in.(own,x,y)",
            "is.null",
        ] {
            queries.push(format!("{field}={test}"));
        }
    }
    for test in [
        "like.*canary*",
        "like.name*",
        "ilike.NAME*",
        "like.*",
        "eq.y",
    ] {
        queries.push(format!("name={test}"));
    }
    queries.extend(
        [
            "amount=gt.0",
            "amount=eq.987654321.09",
            "day=eq.1999-12-31",
            "day=lt.2000-01-01",
            "version=gte.1",
        ]
        .map(String::from),
    );
    queries.extend(
        [
            "created_by=eq.ada",
            "deleted=include",
            "deleted=only",
            "offset=1",
        ]
        .map(String::from),
    );
    for field in [
        "id",
        "code",
        "name",
        "kind",
        "amount",
        "day",
        "created_at",
        "version",
    ] {
        queries.extend([
            format!("order={field}.asc"),
            format!("order={field}.desc"),
            format!("select={field}"),
        ]);
    }
    for query in &queries {
        a.get(&format!("{path}?{query}")).await?;
        a.get(&format!("{}?{query}", scene.path("children")))
            .await?;
    }
    let mut seen = 0;
    let mut next = Some(format!("{path}?limit=2&order=name.desc"));
    while let Some(page) = next {
        let body = a.get(&page).await?.expect(200)?.json()?;
        seen += body["data"].as_array().map_or(0, Vec::len);
        next = body["meta"]["nextCursor"]
            .as_str()
            .map(|c| format!("{path}?limit=2&order=name.desc&cursor={c}"));
    }
    assert_eq!(seen, 7, "A has seven rows");
    Ok(())
}

/// B's ids and everything else that is refused.
pub async fn provoke_errors(
    scene: &Scene,
    a: &mut Obtained<'_>,
    b: &RowsOfB,
    own: &str,
) -> Result<()> {
    let (parents, children) = (scene.path("parents"), scene.path("children"));
    for id in [
        &b.live,
        &b.deleted,
        &b.child,
        "not-an-id",
        &Uuid::now_v7().to_string(),
    ] {
        for path in [&parents, &children] {
            let one = format!("{path}/{id}");
            a.get(&one).await?;
            a.send(Method::PATCH, &one, &[], Some("{\"name\": \"x\"}".into()))
                .await?;
            a.send(
                Method::PATCH,
                &one,
                &[("if-match", "\"1\"")],
                Some("{}".into()),
            )
            .await?;
            a.send(Method::DELETE, &one, &[], None).await?;
            a.get(&format!("{path}?id=eq.{id}")).await?;
            a.get(&format!("{path}?id=in.({id})&deleted=include"))
                .await?;
        }
        a.get(&format!("{children}?parent_id=eq.{id}")).await?;
        a.post(&children, &json!({"note": "n", "parent_id": id}))
            .await?;
    }
    a.get(&format!(
        "{parents}?limit=1&order=name.asc&cursor={}",
        b.cursor
    ))
    .await?
    .expect(400)
    .context("B's cursor")?;
    let own_path = format!("{parents}/{own}");
    a.post(&children, &json!({"note": "own", "parent_id": own}))
        .await?
        .expect(201)?;
    a.post(&parents, &json!({"code": "own-1"}))
        .await?
        .expect(409)?;
    a.send(
        Method::PATCH,
        &own_path,
        &[("if-match", "\"99\"")],
        Some("{\"name\": \"x\"}".into()),
    )
    .await?
    .expect(412)?;
    a.send(
        Method::PATCH,
        &own_path,
        &[],
        Some("{\"version\": 99, \"name\": \"x\"}".into()),
    )
    .await?
    .expect(409)?;
    a.send(Method::DELETE, &own_path, &[], None)
        .await?
        .expect(409)
        .context("a child refers to it")?;
    a.send(Method::PUT, &own_path, &[], Some("{}".into()))
        .await?
        .expect(405)?;
    a.send(Method::GET, &parents, &[("accept", "image/png")], None)
        .await?
        .expect(406)?;
    a.send(
        Method::POST,
        &parents,
        &[],
        Some(format!("{{\"name\": \"{}\"}}", "x".repeat(1 << 20))),
    )
    .await?
    .expect(413)?;
    for query in [
        "nope=eq.1",
        "name=zz.1",
        "amount=eq.abc",
        "limit=-1",
        "limit=abc",
        "order=nope",
        "cursor=AAAA",
        "select=nope",
        "or=(",
        "include=x",
    ] {
        a.get(&format!("{parents}?{query}"))
            .await?
            .expect(400)
            .with_context(|| query.to_owned())?;
    }
    for body in [
        "",
        "{",
        "null",
        "{\"name\": 1}",
        "{\"name\": \"a\", \"name\": \"b\"}",
        "{\"tenant_id\": \"x\"}",
        "{\"nope\": 1}",
    ] {
        a.send(Method::POST, &parents, &[], Some(body.into()))
            .await?
            .expect(400)
            .with_context(|| body.to_owned())?;
    }
    for path in [
        "/v1/data/nope/parents",
        "/v1/data/crm/nope",
        "/v1/nope",
        "/",
    ] {
        a.get(path).await?.expect(404)?;
    }
    a.send(
        Method::GET,
        &parents,
        &[("authorization", "Bearer no.such.token")],
        None,
    )
    .await?;
    Ok(())
}

pub async fn ask_analytics(scene: &Scene, a: &mut Obtained<'_>) -> Result<()> {
    let path = format!("/v1/data/{}/analytics", scene.module);
    let mut queries = Vec::new();
    for field in ["code", "name", "kind", "day", "amount", "created_by", "id"] {
        queries.push(
            json!({"model": "parents", "aggregate": "count", "groupBy": field, "limit": 10_000}),
        );
        queries.push(json!({"model": "parents", "aggregate": "min", "field": field}));
        queries.push(
            json!({"model": "parents", "aggregate": "max", "field": field, "deleted": "include"}),
        );
        queries.push(
            json!({"model": "parents", "aggregate": "sum", "field": field, "groupBy": "kind"}),
        );
        queries
            .push(json!({"model": "parents", "aggregate": "count", "filters": {field: "is.null"}}));
    }
    queries.push(
        json!({"model": "parents", "aggregate": "count", "filters": {"name": "like.*canary*"}}),
    );
    queries.push(json!({"model": "parents", "aggregate": "count", "groupBy": "day", "groupByInterval": "year"}));
    queries.extend([
        json!({"model": "nope"}),
        json!({"model": "parents", "aggregate": "nope"}),
        json!({}),
        json!([]),
    ]);
    for query in &queries {
        a.post(&path, query).await?;
    }
    let count = a
        .post(
            &path,
            &json!({"model": "parents", "aggregate": "count", "deleted": "include"}),
        )
        .await?
        .expect(200)?;
    assert_eq!(
        count.json()?["data"][0]["count"],
        7,
        "A's rows only: {}",
        count.text()
    );
    let sum = a
        .post(
            &path,
            &json!({"model": "parents", "aggregate": "sum", "field": "amount"}),
        )
        .await?
        .expect(200)?;
    assert_eq!(
        sum.json()?["data"][0]["sum"].to_string(),
        "10.0",
        "A's amounts only: {}",
        sum.text()
    );
    Ok(())
}

pub async fn use_cache_and_schema(scene: &Scene, a: &mut Obtained<'_>, b: &Tenant) -> Result<()> {
    a.get("/v1/cache/both")
        .await?
        .expect(404)
        .context("B's key is not there for A")?;
    a.send(
        Method::PUT,
        "/v1/cache/both",
        &[],
        Some("{\"value\": \"of A\"}".into()),
    )
    .await?
    .expect(204)?;
    assert_eq!(
        a.get("/v1/cache/both").await?.expect(200)?.json()?["data"],
        "of A"
    );
    for pattern in ["canary*", "*"] {
        let answer = a
            .post("/v1/cache/invalidate", &json!({"pattern": pattern}))
            .await?
            .expect(200)?;
        assert_eq!(
            answer.json()?["data"]["invalidated"],
            i32::from(pattern == "*"),
            "A's own keys only"
        );
    }
    a.send(Method::DELETE, "/v1/cache/both", &[], None)
        .await?
        .expect(204)?;
    b.api
        .get("/v1/cache/both")
        .await?
        .expect(200)
        .context("A's invalidation left B's key alone")?;
    for path in [
        "/v1/schema".into(),
        format!("/v1/schema/{}", scene.module),
        format!("/v1/schema/{}/parents", scene.module),
    ] {
        let answer = a.get(&path).await?.expect(200)?;
        assert!(
            !answer.contains(&b.id.to_string()) && !answer.contains(&b.name),
            "{path} names B"
        );
    }
    Ok(())
}
