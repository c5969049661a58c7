//! What PostgreSQL makes of our statements under the policy: an index where we say that one serves.

use model::ModuleModel;
use proxy::postgres::{Database, Lane, Row, Scope as Session};
use sql::{
    Statement,
    filter::Filter,
    postgres::select::{self, Deleted, Output, Page, Rows, Scope, Start},
};

use crate::support::{
    database::run,
    world::{A, B, World, models},
};

/// The plan of a statement, as the proxy's role would run it.
async fn explain(database: &Database, mut statement: Statement) -> String {
    statement.text = format!(
        "explain (analyze, costs off, timing off, summary off, buffers off) {}",
        statement.text
    );
    let session = Session {
        tenant: A.parse().unwrap(),
        user: "ada".into(),
    };
    let answer = database
        .run_read(&session, Lane::Exclusive, [statement])
        .await
        .unwrap();
    let line =
        |row: &Row| String::from_utf8(row.values().next().unwrap().unwrap().to_vec()).unwrap();
    answer[0].iter().map(line).collect::<Vec<_>>().join("\n")
}

fn list(
    model: &ModuleModel,
    filters: &[(&str, &str)],
    order: &str,
    after: Option<Vec<Option<String>>>,
) -> Statement {
    let members = filters
        .iter()
        .map(|(f, t)| proxy::query::parse_condition(model, f, t).unwrap());
    let filter = Filter::And(members.collect());
    let order = proxy::query::parse_order(model, order).unwrap();
    let scope = Scope {
        tenant: A.parse().unwrap(),
        model: model.name(),
        filter: &filter,
        deleted: Deleted::Exclude,
        related: &[],
    };
    scope.page(&Page {
        outputs: &outputs(model),
        rows: Rows::Each,
        order: &order,
        start: after.as_deref().map_or(Start::First, Start::After),
        offset: 0,
        limit: 21,
    })
}

/// Every column.
fn outputs(model: &ModuleModel) -> Vec<Output> {
    model.columns().iter().map(|c| c.clone().into()).collect()
}

#[tokio::test]
async fn an_index_serves_what_the_shared_lane_takes() {
    let world = World::new().await;
    let mut admin = world.database.admin().await;
    // The operator does so where it bootstraps as superuser.
    for name in ["eq", "lt", "le", "gt", "ge", "cmp"] {
        let arguments = "numeric, numeric";
        run(
            &mut admin,
            &format!("alter function pg_catalog.numeric_{name}({arguments}) leakproof"),
        )
        .await;
    }
    run(
        &mut admin,
        &format!(
            "insert into crm.companies (tenant_id, id, name, created_by, updated_by)
             select t, gen_random_uuid(), i::text, 'x', 'x' from generate_series(1, 50) i, (values ('{A}'::uuid), ('{B}')) v(t)"
        ),
    )
    .await;
    run(
        &mut admin,
        &format!(
            "insert into crm.deals (tenant_id, id, title, stage__2, seats, amount__2, company_id__2, created_by, updated_by, created_at)
             select t, gen_random_uuid(), i::text, (array['open', 'won', 'lost'])[i % 3 + 1], i % 1000, i, c.id, 'x', 'x', now() - i * interval '1 s'
             from generate_series(1, 20000) i, (values ('{A}'::uuid), ('{B}')) v(t)
             cross join lateral (select id from crm.companies where tenant_id = t and name = (i % 50 + 1)::text) c"
        ),
    )
    .await;
    // A company with few deals: for one with many the planner rightly walks the primary key.
    run(
        &mut admin,
        &format!(
            "update crm.deals set company_id__2 = null where tenant_id = '{A}' and seats > 3
               and company_id__2 = (select id from crm.companies where tenant_id = '{A}' and name = '1')"
        ),
    )
    .await;
    run(&mut admin, "analyze crm.deals").await;
    let models = models();
    let deals = &models[1];
    let database = &world.data.database;
    let company: String = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "select id::text from crm.companies where tenant_id = '{A}' and name = '1'"
    )))
    .fetch_one(&mut admin)
    .await
    .unwrap();
    let company = format!("eq.{company}");
    let id = Some("0198f0aa-5b1e-7c3d-9a4e-000000000001".to_owned());
    let at = |values: Vec<Option<String>>| Some(values);
    for (what, statement, index, condition) in [
        (
            "get",
            select::get(
                &A.parse().unwrap(),
                deals.name(),
                &id.clone().unwrap(),
                &outputs(deals),
                &[],
            ),
            "deals__id__pkey",
            "id =",
        ),
        (
            "first page",
            list(deals, &[], "id", None),
            "deals__id__pkey",
            "tenant_id =",
        ),
        (
            "next page",
            list(deals, &[], "id", at(vec![id.clone()])),
            "deals__id__pkey",
            "id >",
        ),
        (
            "by stage",
            list(
                deals,
                &[("stage", "eq.open")],
                "created_at.desc,id.desc",
                None,
            ),
            "deals__by_stage",
            "stage__2 =",
        ),
        (
            "by stage, on",
            list(
                deals,
                &[("stage", "eq.open")],
                "created_at.desc,id.desc",
                at(vec![Some("2026-01-01 00:00:00+00".into()), id.clone()]),
            ),
            "deals__by_stage",
            "ROW(created_at, id) <",
        ),
        (
            "by seats, on",
            list(deals, &[], "seats,id", at(vec![Some("500".into()), id])),
            "deals__by_seats",
            "ROW(seats, id) >",
        ),
        (
            "of a company",
            list(deals, &[("company_id", &company)], "id", None),
            "deals__company_id__2__ref",
            "company_id__2 =",
        ),
    ] {
        let plan = explain(database, statement).await;
        let conditions: Vec<_> = plan.lines().filter(|l| l.contains("Index Cond")).collect();
        assert!(plan.contains(index), "{what}\n{plan}");
        assert!(
            conditions.iter().any(|c| c.contains(condition)),
            "{what}\n{plan}"
        );
        assert!(!plan.contains("Seq Scan"), "{what}\n{plan}");
    }
}
