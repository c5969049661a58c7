//! What the stores really hold, read past every fence: PostgreSQL as superuser, ClickHouse as administrator.

use anyhow::{Context as _, Result, ensure};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgRow};

use crate::Stack;

/// Rows of a statement made by a test itself.
pub async fn psql(stack: &Stack, statement: &str) -> Result<Vec<PgRow>> {
    let mut connection = PgConnection::connect(&stack.database)
        .await
        .context("PostgreSQL")?;
    let rows = sqlx::query(AssertSqlSafe(statement))
        .fetch_all(&mut connection)
        .await;
    let rows = rows.with_context(|| format!("PostgreSQL: {statement}"))?;
    connection.close().await.context("PostgreSQL")?;
    Ok(rows)
}

/// Lines of tab-separated values.
pub async fn clickhouse(stack: &Stack, statement: &str) -> Result<Vec<Vec<String>>> {
    let sent = reqwest::Client::new()
        .post(stack.clickhouse.clone())
        .body(statement.to_owned())
        .send()
        .await;
    let response = sent.context("ClickHouse")?;
    let status = response.status();
    let text = response.text().await.context("ClickHouse")?;
    ensure!(status.is_success(), "ClickHouse: {statement}: {text}");
    Ok(text
        .lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect())
}

/// The ClickHouse table of a model in the generation that is read.
pub async fn analytics_table(stack: &Stack, module: &str, model: &str) -> Result<String> {
    use sqlx::Row as _;
    let rows = psql(stack, "select generation from platform.data_plane").await?;
    let generation: i32 = rows
        .first()
        .context("platform.data_plane is empty")?
        .try_get(0)?;
    Ok(format!("septem_data.`{module}__{model}__g{generation}`"))
}
