//! The first answers of writes that came with an `Idempotency-Key`: claimed, kept, looked up.

use model::TenantId;

use super::binds::{Binds, TENANT};
use crate::Statement;

/// Whose key it is, and which.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The user: the same key of another user is another key.
    pub user: &'a str,
    /// What the client sent.
    pub key: &'a str,
}

/// An answer to be kept.
#[derive(Debug, Clone, Copy)]
pub struct FirstAnswer<'a> {
    /// The status.
    pub status: u16,
    /// The headers, as the text of one JSON object.
    pub headers: &'a str,
    /// The body in base64.
    pub body: &'a str,
}

/// The statements that make a key this transaction's own; they stand before everything else in it.
///
/// Where the key is taken, the last but one fails with 2201E (the logarithm of no rows) and so stops the pipeline. Where
/// another transaction is about to take it, it waits for a quarter of a second and fails with 55P03: who waits longer
/// than that does so without a connection. An answer that has expired is overtaken, so nothing depends on the clean-up.
/// Then the connection's own bound on locks holds again.
pub fn claim(key: &Key<'_>, fingerprint: &str) -> Vec<Statement> {
    let plain = |text: &str| Statement {
        text: text.to_owned(),
        binds: Vec::new(),
    };
    let mut binds = Binds::new(&key.tenant);
    let user = binds.typed("text", Some(key.user.to_owned()));
    let name = binds.typed("text", Some(key.key.to_owned()));
    let fingerprint = binds.typed("text", Some(fingerprint.to_owned()));
    let text = format!(
        "with claimed as (insert into platform.idempotency as i (tenant_id, user_id, key, fingerprint) \
         values ($1::uuid, {user}, {name}, decode({fingerprint}, 'base64')) \
         on conflict (tenant_id, user_id, key) do update set fingerprint = excluded.fingerprint, created_at = now(), \
         status = null, headers = null, body = null \
         where i.tenant_id = $1::uuid and i.created_at <= now() - interval '24 hours' returning 1) \
         select ln(count(*)) from claimed"
    );
    vec![
        plain("set local lock_timeout = '250ms'"),
        binds.finish(text),
        plain("set local lock_timeout to default"),
    ]
}

/// The statement that keeps the answer of the transaction that has claimed the key.
pub fn keep(key: &Key<'_>, answer: &FirstAnswer<'_>) -> Statement {
    let mut binds = Binds::new(&key.tenant);
    let mine = mine(&mut binds, key);
    let status = binds.typed("smallint", Some(answer.status.to_string()));
    let headers = binds.typed("jsonb", Some(answer.headers.to_owned()));
    let body = binds.typed("text", Some(answer.body.to_owned()));
    binds.finish(format!(
        "update platform.idempotency set status = {status}, headers = {headers}, body = decode({body}, 'base64') \
         where {mine}"
    ))
}

/// The statement that reads a kept answer: fingerprint and body in base64, between them status and headers; no row when there is none.
pub fn look_up(key: &Key<'_>) -> Statement {
    let mut binds = Binds::new(&key.tenant);
    let mine = mine(&mut binds, key);
    binds.finish(format!(
        "select encode(fingerprint, 'base64'), status, headers::text, translate(encode(body, 'base64'), E'\\n', '') \
         from platform.idempotency where {mine} and created_at > now() - interval '24 hours' and status is not null"
    ))
}

fn mine(binds: &mut Binds, key: &Key<'_>) -> String {
    let user = binds.typed("text", Some(key.user.to_owned()));
    let name = binds.typed("text", Some(key.key.to_owned()));
    format!("{TENANT} and user_id = {user} and key = {name}")
}
