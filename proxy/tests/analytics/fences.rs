//! Either fence alone keeps tenants apart; both are shown without the other.

use std::sync::Arc;

use proxy::{analytics::SelfTest, problem::ProblemKind};
use serde_json::json;
use sql::{
    clickhouse::{
        aggregate::{Aggregate, Metric},
        query::{Deleted, Dimension, Query, TenantStatement, render},
        quote_text, tenant_role,
    },
    filter::Filter,
};

use super::lab::{CANARY, Lab, rows, run};

async fn lab_with_canary() -> Lab {
    let lab = Lab::open().await;
    let puts = (0..50)
        .map(|i| {
            (
                lab.b,
                i,
                1,
                json!({"title": CANARY, "amount": "4444.44", "stage": "won"}),
            )
        })
        .collect();
    lab.put_all("deals", puts).await;
    lab.put(
        "deals",
        &lab.a,
        1,
        1,
        json!({"title": "mine", "amount": "1", "stage": "won"}),
    )
    .await;
    lab
}

fn titles(lab: &Lab, tenant: model::TenantId) -> TenantStatement {
    let model = lab.catalog.captured(&lab.module, "deals").unwrap();
    render(&Query {
        tenant,
        model: model.name().clone(),
        generation: lab.catalog.generation,
        dimensions: vec![Dimension::Value(model.column("title").unwrap().clone())],
        metrics: vec![Metric {
            aggregate: Aggregate::Count,
            column: None,
        }],
        filter: Filter::And(Vec::new()),
        deleted: Deleted::Include,
        order: Vec::new(),
        limit: 100,
    })
}

#[tokio::test]
async fn nothing_that_a_can_ask_holds_a_byte_of_b() {
    let lab = lab_with_canary().await;
    let bodies = [
        json!({"model": "deals", "aggregate": "count", "groupBy": "title"}),
        json!({"model": "deals", "aggregate": "max", "field": "title"}),
        json!({"model": "deals", "aggregate": "count", "groupBy": "title", "filters": {"title": "like.canary*"}}),
        json!({"model": "deals", "aggregate": "count", "groupBy": "title", "deleted": "include"}),
        json!({"model": "deals", "metrics": [{"aggregate": "sum", "field": "amount"}, {"aggregate": "min", "field": "title"}]}),
        json!({"model": "deals", "aggregate": "count", "filters": {"title": format!("eq.{CANARY}")}}),
        json!({"model": "deals", "aggregate": "count", "filters": {"title": "in.(\"')) OR 1=1 --\")"}}),
    ];
    for body in bodies {
        let answer = lab.ask(&lab.a, body.clone()).await.unwrap().to_string();
        assert!(
            !answer.contains(CANARY) && !answer.contains("4444"),
            "{body}: {answer}"
        );
    }
    let sum = json!({"model": "deals", "aggregate": "sum", "field": "amount"});
    assert_eq!(lab.data(sum.clone()).await, json!([{"sum": 1.0}]));
    assert_eq!(
        lab.ask(&lab.b, sum).await.unwrap()["data"],
        json!([{"sum": 222_222.0}])
    );
    lab.close().await;
}

#[tokio::test]
async fn the_role_alone_keeps_tenants_apart() {
    let lab = lab_with_canary().await;
    let ask = async |text: &str, parameter: &model::TenantId, role: &model::TenantId| {
        let query = lab.gateway.query_raw(text).with_roles([tenant_role(role)]);
        rows(query.param("tenant", parameter.to_string())).await
    };
    let statement = titles(&lab, lab.b);
    assert_eq!(
        ask(&statement.statement.text, &lab.b, &lab.b)
            .await
            .unwrap(),
        format!("{CANARY}\t50")
    );
    // The compiler's fence names the wrong tenant: nothing is left of either.
    assert_eq!(
        ask(&statement.statement.text, &lab.b, &lab.a)
            .await
            .unwrap(),
        ""
    );
    // The compiler's fence is gone.
    let open = statement
        .statement
        .text
        .replace("`tenant_id` = {tenant:UUID}", "{tenant:UUID} IS NOT NULL");
    assert!(open != statement.statement.text);
    for text in [open.clone(), open.replace(" FINAL", "")] {
        assert_eq!(ask(&text, &lab.b, &lab.a).await.unwrap(), "mine\t1");
    }
    let table = lab.table("deals");
    for text in [
        format!(
            "SELECT count() FROM {table} AS x JOIN {table} AS y ON 1 = 1 WHERE y.title = '{CANARY}'"
        ),
        format!("SELECT count() FROM (SELECT * FROM {table}) WHERE title = '{CANARY}'"),
        format!(
            "WITH w AS (SELECT title FROM {table} FINAL) SELECT count() FROM w WHERE title = '{CANARY}'"
        ),
        format!(
            "SELECT count() FROM {table} WHERE title IN (SELECT title FROM {table}) AND title = '{CANARY}'"
        ),
        format!(
            "SELECT countIf(title = '{CANARY}') FROM (SELECT title FROM {table} UNION ALL SELECT title FROM {table})"
        ),
    ] {
        assert_eq!(ask(&text, &lab.a, &lab.a).await.unwrap(), "0", "{text}");
    }
    for text in [
        format!("SELECT min(title), max(title), count() FROM {table}"),
        format!("SELECT title, title, 1 FROM {table}"),
    ] {
        assert!(
            ask(&text, &lab.a, &lab.a)
                .await
                .unwrap()
                .starts_with("mine\tmine\t1"),
            "{text}"
        );
    }
    lab.close().await;
}

#[tokio::test]
async fn the_predicate_alone_keeps_tenants_apart() {
    let lab = lab_with_canary().await;
    let statement = titles(&lab, lab.a);
    // An administrator stands outside of every policy.
    let query = lab
        .admin
        .query_raw(&statement.statement.text)
        .param("tenant", lab.a.to_string());
    assert_eq!(rows(query).await.unwrap(), "mine\t1");
    lab.close().await;
}

#[tokio::test]
async fn without_a_role_or_with_a_foreign_one_nothing_is_read() {
    let lab = lab_with_canary().await;
    let statement = titles(&lab, lab.a);
    let ask = async |roles: Vec<String>| {
        let query = lab
            .gateway
            .query_raw(&statement.statement.text)
            .with_roles(roles);
        rows(query.param("tenant", lab.a.to_string())).await
    };
    let refused = |answer: Result<String, clickhouse::error::Error>, codes: &[u32]| {
        let error = answer.unwrap_err().to_string();
        assert!(
            codes
                .iter()
                .any(|code| error.contains(&format!("Code: {code}."))),
            "{error}"
        );
        assert!(!error.contains(CANARY), "{error}");
    };
    refused(ask(Vec::new()).await, &[497]);
    refused(
        ask(vec!["t_00000000-0000-0000-0000-000000000001".into()]).await,
        &[497, 511, 512],
    );
    refused(
        ask(vec![sql::clickhouse::ddl::SINK_USER.into()]).await,
        &[497, 511, 512],
    );
    // A role that was never granted, or no longer is, is refused.
    run(
        &lab.admin,
        &format!(
            "REVOKE {} FROM septem_gateway",
            quote_text(&tenant_role(&lab.a))
        ),
    )
    .await;
    refused(ask(vec![tenant_role(&lab.a)]).await, &[497, 511, 512]);
    let (kind, _) = lab
        .refused(json!({"model": "deals", "aggregate": "count"}))
        .await;
    assert_eq!(kind, ProblemKind::Internal);
    lab.close().await;
}

#[tokio::test]
async fn the_gateway_reads_tables_and_does_nothing_else() {
    let lab = lab_with_canary().await;
    let table = lab.table("deals");
    for text in [
        format!("INSERT INTO {table} (title) VALUES ('x')"),
        format!("INSERT INTO {table} SELECT * FROM {table}"),
        format!("ALTER TABLE {table} UPDATE title = 'x' WHERE 1"),
        format!("ALTER TABLE {table} DELETE WHERE 1"),
        format!("ALTER TABLE {table} DROP PARTITION tuple()"),
        format!("TRUNCATE TABLE {table}"),
        format!("DROP TABLE {table}"),
        format!("CREATE TABLE septem_data.mine AS {table}"),
        "CREATE TEMPORARY TABLE mine (x UInt8)".to_owned(),
        format!("SELECT count() FROM {table} SETTINGS readonly = 0"),
        format!("SELECT count() FROM {table} SETTINGS additional_table_filters = {{}}"),
        "SELECT * FROM merge('septem_data', '.*')".to_owned(),
        format!("SELECT * FROM loop({table})"),
        format!(
            "SELECT * FROM mergeTreeIndex('septem_data', '{}__deals__g1')",
            lab.module
        ),
        format!(
            "SELECT * FROM mergeTreeProjection('septem_data', '{}__deals__g1', 'x')",
            lab.module
        ),
        "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)".to_owned(),
        "SELECT * FROM file('x', LineAsString)".to_owned(),
        "SELECT * FROM remote('127.0.0.1', 'system.one')".to_owned(),
        "SELECT * FROM s3('http://127.0.0.1:1/x', 'CSV', 'x String')".to_owned(),
        "SELECT * FROM system.query_log".to_owned(),
        "SELECT * FROM system.processes".to_owned(),
        "SELECT * FROM system.parts".to_owned(),
        "SELECT * FROM system.row_policies".to_owned(),
        "SELECT * FROM system.users".to_owned(),
        "CREATE USER mine".to_owned(),
        format!("GRANT {} TO mine", quote_text(&tenant_role(&lab.b))),
        format!("SET ROLE {}", quote_text(&tenant_role(&lab.b))),
        format!(
            "DROP ROW POLICY {} ON septem_data.*",
            quote_text(&tenant_role(&lab.a))
        ),
    ] {
        let answer = rows(
            lab.gateway
                .query_raw(&text)
                .with_roles([tenant_role(&lab.a)]),
        )
        .await;
        match answer {
            Ok(answer) => panic!("{text} was not refused: {answer}"),
            Err(error) => assert!(!error.to_string().contains(CANARY), "{text}: {error}"),
        }
    }
    let count = rows(lab.admin.query_raw(&format!(
        "SELECT count(), countIf(title = 'x') FROM {table}"
    )))
    .await
    .unwrap();
    assert_eq!(count, "51\t0");
    lab.close().await;
}

#[tokio::test]
async fn the_self_test_finds_an_open_fence() {
    let lab = lab_with_canary().await;
    let role = quote_text(&tenant_role(&lab.a));
    let policy = quote_text(&format!("open_{}", lab.module));
    let table = lab.table("deals");
    run(
        &lab.admin,
        &format!(
            "CREATE ROW POLICY {policy} ON {table} FOR SELECT USING 1 AS PERMISSIVE TO {role}"
        ),
    )
    .await;
    let found = lab.analytics.self_test(&lab.catalog).await;
    assert!(
        matches!(&found, SelfTest::Failed(what) if what.contains("sees others' rows")),
        "{found:?}"
    );
    let (kind, _) = lab
        .refused(json!({"model": "deals", "aggregate": "count"}))
        .await;
    assert_eq!(kind, ProblemKind::Unavailable);
    run(&lab.admin, &format!("DROP ROW POLICY {policy} ON {table}")).await;
    assert_eq!(
        lab.analytics.self_test(&lab.catalog).await,
        SelfTest::Passed
    );
    assert!(
        lab.ask(&lab.a, json!({"model": "deals", "aggregate": "count"}))
            .await
            .is_ok()
    );

    // A user who may write, or a server below the floor, is not served from.
    let url: url::Url = super::lab::variable("CLICKHOUSE_FRONT_ADMIN_URL")
        .parse()
        .unwrap();
    let writer = lab.with(|config| {
        config.user = url.username().to_owned();
        config.password = url.password().unwrap().to_owned().into();
    });
    let found = writer.self_test(&lab.catalog).await;
    assert!(matches!(found, SelfTest::Failed(_)), "{found:?}");
    let leftover = "SELECT count() FROM system.tables WHERE database = 'septem_data' AND name LIKE '%self_test%'";
    assert_eq!(rows(lab.admin.query_raw(leftover)).await.unwrap(), "0");
    let version = rows(lab.admin.query_raw("SELECT version()")).await.unwrap();
    let strict = lab.with(|config| config.allow_old = false);
    let numbers: Vec<u32> = version
        .split('.')
        .take(3)
        .map(|n| n.parse().unwrap())
        .collect();
    let is_old = (numbers[0], numbers[1], numbers[2]) < proxy::analytics::VERSION_FLOOR;
    assert_eq!(
        matches!(strict.self_test(&lab.catalog).await, SelfTest::Failed(_)),
        is_old
    );
    lab.close().await;
}

#[tokio::test]
async fn every_query_leaves_its_tenant_and_trace_in_the_log_of_clickhouse() {
    let lab = lab_with_canary().await;
    let lab = Arc::new(lab);
    lab.data(json!({"model": "deals", "aggregate": "count"}))
        .await;
    let logged = format!(
        "SELECT count() FROM system.query_log WHERE query_id LIKE '0af7651916cd43dd8448eb211c80319c-%'
         AND JSONExtractString(log_comment, 'tenantId') = '{}'
         AND JSONExtractString(log_comment, 'traceId') = '0af7651916cd43dd8448eb211c80319c'",
        lab.a
    );
    // A server writes its log every few seconds.
    for _ in 0..100 {
        if rows(lab.admin.query_raw(&logged))
            .await
            .is_ok_and(|n| n != "0")
        {
            return Arc::into_inner(lab).unwrap().close().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("nothing in system.query_log");
}
