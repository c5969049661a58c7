-- The first answers of writes that came with an Idempotency-Key, for 24 hours (the wire contract of the API).
-- Written and read by the proxy in the transaction of the write itself, so it is fenced like a model's table.

create table platform.idempotency (
  tenant_id uuid not null,
  user_id text not null,
  key text not null check (octet_length(key) between 1 and 255),
  fingerprint bytea not null,          -- SHA-256 of what was asked: method, path, query, body, and what shapes the answer
  created_at timestamptz not null default now(),
  status smallint,                     -- null only inside the transaction that is answering
  headers jsonb,                       -- {"location": "…", …}: those of the first answer
  body bytea,
  primary key (tenant_id, user_id, key)
);
create index idempotency__created_at on platform.idempotency (created_at);

alter table platform.idempotency enable row level security;
alter table platform.idempotency force row level security;
create policy tenant_isolation on platform.idempotency as restrictive
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid)
    and user_id = (select current_setting('app.user_id', true)))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid)
    and user_id = (select current_setting('app.user_id', true)));
create policy septem_app on platform.idempotency to septem_app using (true) with check (true);
grant select, insert, update on platform.idempotency to septem_app;

-- Removes what has expired, at most `most` rows, and tells how many; rows under a lock are left for the next call.
-- SECURITY DEFINER: expiry is the same for every tenant, and the proxy sees one tenant at a time. It answers nothing
-- of a row, and a proxy that calls it often can only be early by nothing: the age is fixed here.
create function platform.expire_idempotency(most int) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  with old as (
    select ctid from platform.idempotency
    where created_at < now() - interval '24 hours'
    order by created_at limit least(most, 10000) for update skip locked),
  gone as (delete from platform.idempotency i using old where i.ctid = old.ctid returning 1)
  select count(*) from gone
$$;
revoke all on function platform.expire_idempotency(int) from public;
grant execute on function platform.expire_idempotency(int) to septem_app;
