//! Rows of other models: shown, deciding, ordering; and whose they may be.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    database::run,
    world::{A, B, Seen, World},
};

/// Companies a, b, c; deals a0 to a2 of a, b0 of b, one of nobody.
async fn with_companies(world: &World, tenant: &str, prefix: &str) -> Vec<String> {
    let mut companies = Vec::new();
    for name in ["a", "b", "c"] {
        let body = json!({"name": format!("{prefix}{name}")});
        let company = world.create(tenant, "companies", body).await;
        companies.push(company["id"].as_str().unwrap().to_owned());
    }
    for (title, company, seats) in [("a0", 0, 3), ("a1", 0, 1), ("a2", 0, 2), ("b0", 1, 5)] {
        let body = json!({"title": format!("{prefix}{title}"), "seats": seats, "company_id": companies[company]});
        world.create(tenant, "deals", body).await;
    }
    world
        .create(tenant, "deals", json!({"title": format!("{prefix}alone")}))
        .await;
    companies
}

async fn get(world: &World, target: &str) -> Value {
    let seen = world.send(A, "GET", target, None).await;
    assert_eq!(seen.status, StatusCode::OK, "{target}: {}", seen.text);
    seen.json()["data"].clone()
}

#[tokio::test]
async fn relations_are_shown_in_one_answer() {
    let world = World::new().await;
    let companies = with_companies(&world, A, "").await;
    let a = &companies[0];
    for (target, expected) in [
        (
            "deals?select=title&order=title&limit=2&include=company(select=name)".to_owned(),
            json!([{"title": "a0", "company": {"name": "a"}}, {"title": "a1", "company": {"name": "a"}}]),
        ),
        (
            "deals?select=title&title=eq.alone&include=company,children:deals(select=id)".to_owned(),
            json!([{"title": "alone", "company": null, "children": []}]),
        ),
        (
            "companies?select=name&order=name&include=deals(select=title;order=seats.desc;limit=2)".to_owned(),
            json!([
                {"name": "a", "deals": [{"title": "a0"}, {"title": "a2"}]},
                {"name": "b", "deals": [{"title": "b0"}]},
                {"name": "c", "deals": []},
            ]),
        ),
        (
            format!("companies/{a}?select=name&include=few:deals(select=title;seats=lt.3;order=title.desc;include=company(select=name))"),
            json!({"name": "a", "few": [
                {"title": "a2", "company": {"name": "a"}}, {"title": "a1", "company": {"name": "a"}},
            ]}),
        ),
        (
            "companies?select=name&order=name&include=deals!inner(select=title;or=(seats.eq.5,seats.eq.1))".to_owned(),
            json!([{"name": "a", "deals": [{"title": "a1"}]}, {"name": "b", "deals": [{"title": "b0"}]}]),
        ),
        (
            "companies?select=name&order=name&include=deals!none(seats=gt.4)".to_owned(),
            json!([{"name": "a", "deals": []}, {"name": "c", "deals": []}]),
        ),
        (
            "deals?select=title&order=title&include=company!inner(select=name;name=eq.b)".to_owned(),
            json!([{"title": "b0", "company": {"name": "b"}}]),
        ),
        ("deals?select=title&include=company!none".to_owned(), json!([{"title": "alone", "company": null}])),
        (
            "deals?select=title&order=company(name).desc.nullslast,title&limit=3".to_owned(),
            json!([{"title": "b0"}, {"title": "a0"}, {"title": "a1"}]),
        ),
        ("companies?select=name&order=name&limit=1&include=deals(select=title;limit=0)".to_owned(), json!([{"name": "a", "deals": []}])),
    ] {
        assert_eq!(get(&world, &target).await, expected, "{target}");
    }
    // What is kept is counted and walked as well.
    let seen = world
        .send(
            A,
            "GET",
            "companies?include=deals!inner(select=id)&count=exact&limit=1",
            None,
        )
        .await
        .json();
    assert_eq!(
        (
            seen["meta"]["count"].as_u64(),
            seen["meta"]["hasMore"].as_bool()
        ),
        (Some(2), Some(true))
    );
    let cursor = seen["meta"]["nextCursor"].as_str().unwrap();
    let next = format!("companies?include=deals!inner(select=id)&limit=1&cursor={cursor}");
    assert_eq!(get(&world, &next).await.as_array().unwrap().len(), 1);
    // A cursor is bound to what decides rows, and not to what is merely shown.
    for (include, status) in [
        ("deals!inner(seats=gt.1)", 400),
        ("company", 400),
        ("", 400),
    ] {
        let target = format!("companies?include={include}&limit=1&cursor={cursor}");
        assert_eq!(
            world.send(A, "GET", &target, None).await.status.as_u16(),
            status,
            "{include}"
        );
    }
    let shown = world
        .send(A, "GET", "companies?limit=1&include=deals(select=id)", None)
        .await
        .json();
    let cursor = shown["meta"]["nextCursor"].as_str().unwrap();
    assert_eq!(
        get(&world, &format!("companies?limit=1&cursor={cursor}"))
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn deleted_rows_are_as_if_they_were_not_there() {
    let world = World::new().await;
    let companies = with_companies(&world, A, "").await;
    let mut admin = world.database.admin().await;
    run(
        &mut admin,
        "update crm.deals set deleted_at = now() where title = 'a1'",
    )
    .await;
    // A parent that is deleted while it is referred to, as an operator may leave it.
    run(
        &mut admin,
        "update crm.companies set deleted_at = now() where name = 'b'",
    )
    .await;
    let target = format!(
        "companies/{}?select=name&include=deals(select=title;order=title)",
        companies[0]
    );
    assert_eq!(
        get(&world, &target).await,
        json!({"name": "a", "deals": [{"title": "a0"}, {"title": "a2"}]})
    );
    assert_eq!(
        get(&world, "deals?select=title&title=eq.b0&include=company").await,
        json!([{"title": "b0", "company": null}])
    );
    assert_eq!(
        get(
            &world,
            "deals?select=title&order=title&include=company!none"
        )
        .await,
        json!([{"title": "alone", "company": null}, {"title": "b0", "company": null}])
    );
    let seen = get(
        &world,
        "companies?deleted=include&select=name&order=name&include=deals(select=title)",
    )
    .await;
    assert_eq!(seen[1], json!({"name": "b", "deals": [{"title": "b0"}]}));
    assert_eq!(seen[0]["deals"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn another_tenants_rows_are_in_no_relation() {
    let world = World::new().await;
    let canary = format!("canary{}", uuid::Uuid::new_v4().simple());
    let mine = with_companies(&world, A, "").await;
    with_companies(&world, B, &canary).await;
    // Same ids on both sides, so that only the tenant tells rows apart.
    let mut admin = world.database.admin().await;
    run(
        &mut admin,
        &format!(
            "insert into crm.companies (tenant_id, id, name, created_by, updated_by) select '{B}', id, '{canary}', 'x', 'x' from crm.companies where tenant_id = '{A}';
             insert into crm.deals (tenant_id, id, title, seats, company_id__2, created_by, updated_by)
               select '{B}', id, '{canary}', 9, company_id__2, 'x', 'x' from crm.deals where tenant_id = '{A}'"
        ),
    )
    .await;
    let targets = [
        "deals?limit=100&include=company,deals".to_owned(),
        "companies?include=deals(include=company(include=deals))".to_owned(),
        format!("companies/{}?include=deals", mine[0]),
        "companies?include=deals!inner(title=like.canary*)".to_owned(),
        "deals?include=company!none(name=like.canary*)".to_owned(),
        "deals?order=company(name)".to_owned(),
        "deals?distinct=title".to_owned(),
        "companies?include=deals!inner(seats=eq.9)".to_owned(),
    ];
    let check = async |what: &str| {
        for target in &targets {
            let seen = world.send(A, "GET", target, None).await;
            assert_eq!(seen.status, StatusCode::OK, "{target}: {}", seen.text);
            assert!(!seen.text.contains(&canary), "{what}: {target}");
            let rows = seen.json()["data"].as_array().map(Vec::len);
            match target.as_str() {
                "companies?include=deals!inner(seats=eq.9)"
                | "companies?include=deals!inner(title=like.canary*)" => assert_eq!(rows, Some(0)),
                "deals?include=company!none(name=like.canary*)" => assert_eq!(rows, Some(5)),
                "companies?include=deals(include=company(include=deals))" => {
                    assert_eq!(rows, Some(3))
                }
                _ => {}
            }
        }
    };
    check("both fences").await;
    // Without the database's fence every table that a statement names is still fenced by the statement itself.
    for table in ["companies", "deals"] {
        run(
            &mut admin,
            &format!("alter table crm.{table} no force row level security"),
        )
        .await;
        run(
            &mut admin,
            &format!("alter table crm.{table} disable row level security"),
        )
        .await;
    }
    check("the statement's fence").await;
}

#[tokio::test]
async fn the_policy_fences_every_relation_where_the_statement_does_not() {
    let world = World::new().await;
    with_companies(&world, A, "").await;
    with_companies(&world, B, "canary").await;
    let text = "select p.name, array(select array[r.title] from crm.deals r where r.company_id__2 = p.id order by r.title), \
        (select count(*) from crm.deals) from crm.companies p order by p.name";
    let scope = proxy::postgres::Scope {
        tenant: A.parse().unwrap(),
        user: "ada".into(),
    };
    let unfenced = sql::Statement {
        text: text.into(),
        binds: vec![],
    };
    let lane = proxy::postgres::Lane::Exclusive;
    let rows = world
        .data
        .database
        .run_read(&scope, lane, [unfenced])
        .await
        .unwrap();
    let shown = format!(
        "{:?}",
        rows[0]
            .iter()
            .flat_map(|r| r.values())
            .flatten()
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
    );
    assert!(
        shown.contains("{{a0},{a1},{a2}}") && !shown.contains("canary"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_relation_needs_the_permission_to_read_its_model() {
    let world = World::new().await;
    with_companies(&world, A, "").await;
    let caller = world.caller_with(A, &["crm.deals.read"]);
    for target in [
        "deals?include=company",
        "deals?include=company!none",
        "deals?include=deals(include=company)",
        "deals?order=company(name)",
        "deals?include=deals(select=id;order=company(name))",
        "deals/0198f0aa-0000-7000-8000-00000000ffff?include=company",
    ] {
        let seen: Seen = world.send_as(&caller, "GET", target, &[], None).await;
        assert_eq!(
            seen.status,
            StatusCode::FORBIDDEN,
            "{target}: {}",
            seen.text
        );
        assert!(
            seen.text.contains("crm.companies.read"),
            "{target}: {}",
            seen.text
        );
    }
    let seen = world
        .send_as(&caller, "GET", "deals?include=deals(select=id)", &[], None)
        .await;
    assert_eq!(seen.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_taken_is_told_with_what_is() {
    let world = World::new().await;
    for (target, errors, words) in [
        (
            "deals?select=title,company(name)",
            "select INVALID_VALUE",
            "include",
        ),
        (
            "deals?select=...company(name)",
            "select INVALID_VALUE",
            "include",
        ),
        (
            "deals?select=seats.sum()",
            "select INVALID_VALUE",
            "analytics",
        ),
        (
            "deals?select=company_id&include=company_id:company",
            "select DUPLICATE",
            "alias",
        ),
        (
            "deals?include=company&include=deals",
            "include DUPLICATE",
            "",
        ),
        ("deals?order=deals(title)", "order INVALID_VALUE", ""),
        ("deals?order=company(nope)", "nope UNKNOWN_FIELD", ""),
        (
            "deals?order=company(name),company(name)",
            "name DUPLICATE",
            "",
        ),
        ("deals?order=company(name", "order INVALID_VALUE", ""),
        (
            "notes?include=thing(select=id),notes",
            "include UNKNOWN_FIELD",
            "",
        ),
        (
            "things?include=notes(limit=21)",
            "limit LIMIT_EXCEEDED",
            "20",
        ),
    ] {
        let seen = world.send(A, "GET", target, None).await;
        assert_eq!(
            (seen.status, seen.errors()),
            (StatusCode::BAD_REQUEST, vec![errors.to_owned()]),
            "{target} {}",
            seen.text
        );
        assert!(seen.text.contains(words), "{target} {}", seen.text);
    }
    let seen = world
        .send_as(&world.caller(A), "GET", "deals", &[("range", "0-9")], None)
        .await;
    assert_eq!(seen.errors(), ["Range INVALID_VALUE"]);
    let filters = |n: usize| {
        let inner = vec!["seats=gt.1"; n - 1].join(";");
        format!("deals?seats=gt.1&include=deals({inner})")
    };
    assert_eq!(
        world.send(A, "GET", &filters(50), None).await.status,
        StatusCode::OK
    );
    assert_eq!(
        world.send(A, "GET", &filters(51), None).await.errors(),
        ["filters LIMIT_EXCEEDED"]
    );
}
