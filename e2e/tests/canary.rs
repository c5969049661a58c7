//! Two tenants and a canary: nothing that A can obtain holds a byte of B.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use e2e::{
    Answer, Api, Scene,
    scene::{Tenant, Turn},
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// Everything that A has obtained so far, looked through at once.
struct Obtained<'a> {
    api: &'a Api,
    marker: &'a str,
    statuses: BTreeSet<u16>,
    answers: usize,
}

impl Obtained<'_> {
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Answer> {
        let asked = format!("{method} {path} {}", body.as_deref().unwrap_or_default());
        let answer = self
            .api
            .send(method, path, headers, body)
            .await
            .with_context(|| asked.clone())?;
        ensure!(
            !answer.contains(self.marker),
            "B's marker in the answer to {asked}: {:?} {}",
            answer.headers,
            answer.text()
        );
        ensure!(
            answer.status < 500,
            "{asked} answered {}: {}",
            answer.status,
            answer.text()
        );
        self.statuses.insert(answer.status);
        self.answers += 1;
        Ok(answer)
    }

    async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[], None).await
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, &[], Some(body.to_string()))
            .await
    }
}

const TEXT_FIELDS: [&str; 3] = ["code", "name", "kind"];

fn parents() -> Value {
    json!({
        "fields": [
            {"name": "code", "type": "text", "required": true, "maxLength": 60},
            {"name": "name", "type": "text"},
            {"name": "kind", "type": "enum", "values": ["x", "y"], "default": "x"},
            {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
            {"name": "day", "type": "date"},
            {"name": "tags", "type": "array", "items": "text"},
            {"name": "doc", "type": "json"},
        ],
        "unique": [{"name": "one_code", "fields": ["code"]}],
        "indexes": [{"name": "by_name", "fields": ["name"]}],
    })
}

fn children(module: &str) -> Value {
    json!({
        "fields": [
            {"name": "note", "type": "text"},
            {"name": "parent_id", "type": "uuid", "references": {"module": module, "model": "parents", "onDelete": "Restrict"}},
        ],
    })
}

/// Ids of B's rows: a live one, a soft-deleted one, a child of the live one, and one that A has as well.
struct RowsOfB {
    live: String,
    deleted: String,
    child: String,
    shared: Uuid,
    cursor: String,
}

async fn write_as_b(scene: &Scene, b: &Tenant, marker: &str) -> Result<RowsOfB> {
    let (parents, children) = (scene.path("parents"), scene.path("children"));
    let row = |code: String| {
        json!({"code": code, "name": format!("name {marker}"), "kind": "y", "amount": "987654321.09", "day": "1999-12-31",
               "tags": [marker], "doc": {marker: [marker]}})
    };
    let live = b
        .api
        .post(&parents, &row(marker.to_owned()))
        .await?
        .expect(201)?
        .id()?;
    let deleted = b
        .api
        .post(&parents, &row(format!("{marker}-gone")))
        .await?
        .expect(201)?
        .id()?;
    b.api
        .delete(&format!("{parents}/{deleted}"))
        .await?
        .expect(204)?;
    let shared = Uuid::now_v7();
    let mut same_id = row(format!("{marker}-shared"));
    same_id["id"] = json!(shared);
    b.api.post(&parents, &same_id).await?.expect(201)?;
    let child = b
        .api
        .post(&children, &json!({"note": marker, "parent_id": live}))
        .await?
        .expect(201)?
        .id()?;
    b.api
        .put("/v1/cache/both", &json!({"value": marker}))
        .await?
        .expect(204)?;
    b.api
        .put(
            &format!("/v1/cache/{marker}"),
            &json!({"value": {marker: marker}}),
        )
        .await?
        .expect(204)?;
    let page = b
        .api
        .get(&format!("{parents}?limit=1&order=name.asc"))
        .await?
        .expect(200)?
        .json()?;
    let cursor = page["meta"]["nextCursor"]
        .as_str()
        .context("B has two rows")?
        .to_owned();
    Ok(RowsOfB {
        live,
        deleted,
        child,
        shared,
        cursor,
    })
}

async fn write_as_a(scene: &Scene, a: &Tenant, b: &RowsOfB) -> Result<String> {
    let path = scene.path("parents");
    let same_id = json!({"id": b.shared, "code": "own-shared", "name": "own"});
    a.api
        .post(&path, &same_id)
        .await?
        .expect(201)
        .context("an id that B has is free for A")?;
    for n in 0..5 {
        let body = json!({"code": format!("own-{n}"), "name": "own", "amount": n, "day": "2026-01-01", "tags": ["own"], "doc": {"n": n}});
        a.api.post(&path, &body).await?.expect(201)?;
    }
    let own = a
        .api
        .post(&path, &json!({"code": "own-last"}))
        .await?
        .expect(201)?
        .id()?;
    a.api
        .post(
            &scene.path("children"),
            &json!({"note": "own", "parent_id": own}),
        )
        .await?
        .expect(201)?;
    Ok(own)
}

/// Every filter operator on every field, every order, every page.
async fn walk_lists(scene: &Scene, a: &mut Obtained<'_>) -> Result<()> {
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
async fn provoke_errors(scene: &Scene, a: &mut Obtained<'_>, b: &RowsOfB, own: &str) -> Result<()> {
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

async fn ask_analytics(scene: &Scene, a: &mut Obtained<'_>) -> Result<()> {
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

async fn use_cache_and_schema(scene: &Scene, a: &mut Obtained<'_>, b: &Tenant) -> Result<()> {
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

#[tokio::test]
async fn no_byte_that_a_can_obtain_holds_the_marker_of_b() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let (a, b) = (scene.tenant("a").await?, scene.tenant("b").await?);
        scene.apply_model("parents", parents()).await?;
        scene
            .apply_model("children", children(&scene.module))
            .await?;
        let marker = format!("canary{}", Uuid::new_v4().simple());
        let rows = write_as_b(scene, &b, &marker).await?;
        let own = write_as_a(scene, &a, &rows).await?;
        for model in ["parents", "children"] {
            b.api
                .synced(&scene.module, model, Duration::from_secs(20))
                .await?;
        }

        let mut obtained = Obtained {
            api: &a.api,
            marker: &marker,
            statuses: BTreeSet::new(),
            answers: 0,
        };
        walk_lists(scene, &mut obtained).await?;
        provoke_errors(scene, &mut obtained, &rows, &own).await?;
        ask_analytics(scene, &mut obtained).await?;
        use_cache_and_schema(scene, &mut obtained, &b).await?;
        for status in [200, 201, 204, 400, 404, 405, 406, 409, 412, 413] {
            assert!(
                obtained.statuses.contains(&status),
                "no answer of A had status {status}: the walk is too narrow"
            );
        }
        println!("{} answers of A, none with B's marker", obtained.answers);

        // The canary is alive: B itself finds it everywhere.
        assert!(
            b.api
                .get(&format!("{}/{}", scene.path("parents"), rows.live))
                .await?
                .contains(&marker)
        );
        let group = json!({"model": "parents", "aggregate": "count", "groupBy": "name"});
        assert!(
            b.api
                .post(&format!("/v1/data/{}/analytics", scene.module), &group)
                .await?
                .contains(&marker)
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_bs_looks_to_a_as_if_it_were_not_there() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let (a, b) = (scene.tenant("a").await?, scene.tenant("b").await?);
        scene.apply_model("parents", parents()).await?;
        scene
            .apply_model("children", children(&scene.module))
            .await?;
        let (parents, children) = (scene.path("parents"), scene.path("children"));
        let of_b = b
            .api
            .post(&parents, &json!({"code": "taken", "name": "B"}))
            .await?
            .expect(201)?
            .id()?;
        let of_nobody = Uuid::now_v7().to_string();

        for (method, body) in [
            (Method::GET, None),
            (Method::PATCH, Some("{\"name\": \"x\"}")),
            (Method::DELETE, None),
        ] {
            let mut seen = Vec::new();
            for id in [&of_b, &of_nobody] {
                let answer = a
                    .api
                    .send(
                        method.clone(),
                        &format!("{parents}/{id}"),
                        &[],
                        body.map(str::to_owned),
                    )
                    .await?;
                assert_eq!(answer.status, 404, "{method}: {}", answer.text());
                seen.push(answer.essence());
            }
            assert_eq!(
                seen[0], seen[1],
                "{method} tells a foreign id from an unknown one"
            );
        }

        let mut seen = Vec::new();
        for id in [&of_b, &of_nobody] {
            let answer = a
                .api
                .post(&children, &json!({"note": "n", "parent_id": id}))
                .await?;
            assert_eq!(answer.status, 409, "{}", answer.text());
            seen.push(answer.essence());
        }
        assert_eq!(
            seen[0], seen[1],
            "a reference tells a foreign row from none"
        );

        let own = a
            .api
            .post(&parents, &json!({"code": "taken", "name": "A"}))
            .await?;
        assert_eq!(
            own.status,
            201,
            "a unique value of B is free for A: {}",
            own.text()
        );
        let again = b
            .api
            .get(&format!("{parents}/{of_b}"))
            .await?
            .expect(200)?
            .json()?;
        assert_eq!(
            (
                again["data"]["name"].as_str(),
                again["data"]["version"].as_i64()
            ),
            (Some("B"), Some(1))
        );
        Ok(())
    })
    .await
}
