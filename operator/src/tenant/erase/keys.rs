//! A tenant's keys in Valkey: all of them hold the tenant's id as hash tag.

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::{ClientLike as _, KeysInterface as _},
    types::{Builder, Key, config::Config},
};
use model::TenantId;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use crate::error::Error;

/// Keys looked at by one call: bounds how long the server serves nobody else.
const PAGE: u32 = 1_000;
/// Longest that one call, and connecting, may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Deletes the tenant's keys and answers how many there were. Nothing of ours knows them all, so the server is asked to
/// walk through its keys: page by page, for this alone, and never on the way of a request.
pub async fn delete(url: &SecretString, id: &TenantId) -> Result<u64, Error> {
    walk(url, id, true).await
}

/// How many keys the tenant has.
pub async fn count(url: &SecretString, id: &TenantId) -> Result<u64, Error> {
    walk(url, id, false).await
}

async fn walk(url: &SecretString, id: &TenantId, deletes: bool) -> Result<u64, Error> {
    let client = connect(url).await.map_err(Error::valkey("a connection"))?;
    let walked = pages(&client, id, deletes).await;
    let _ = timeout(CALL_TIMEOUT, client.quit()).await;
    walked.map_err(Error::valkey("a walk through its keys"))
}

async fn connect(url: &SecretString) -> Result<Client, fred::error::Error> {
    let mut config = Config::from_url(url.expose_secret())?;
    config.fail_fast = true;
    let client = Builder::from_config(config)
        .with_connection_config(|c| {
            c.connection_timeout = CALL_TIMEOUT;
            c.internal_command_timeout = CALL_TIMEOUT;
            c.max_command_attempts = 1;
        })
        .with_performance_config(|p| p.default_command_timeout = CALL_TIMEOUT)
        .build()?;
    client.init().await?;
    Ok(client)
}

async fn pages(client: &Client, id: &TenantId, deletes: bool) -> Result<u64, fred::error::Error> {
    // Braces are no glob, and a UUID has no character that is one.
    let pattern = format!("*{{{id}}}*");
    let mut cursor = "0".to_owned();
    let mut found = 0;
    loop {
        let (next, keys): (String, Vec<Key>) = client
            .scan_page(cursor, pattern.clone(), Some(PAGE), None)
            .await?;
        found += keys.len() as u64;
        if deletes && !keys.is_empty() {
            let _: u64 = client.unlink(keys).await?;
        }
        if next == "0" {
            return Ok(found);
        }
        cursor = next;
    }
}
