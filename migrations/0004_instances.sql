-- Every process of the data plane tells which revision of the catalogue it still uses, so that the operator knows when
-- nobody relies on an older one any more.

-- The name is from when only proxies told.
alter table platform.proxy_instances
  add column kind text not null default 'proxy' check (kind in ('proxy', 'sink', 'hooks'));

-- One instance is there and uses `seen`; those that have not been seen for an hour are forgotten. Granted to nobody:
-- each role has a function of its own, so that none can speak for another kind.
create function platform.note_instance(who text, seen bigint, what text) returns void
language sql set search_path = pg_catalog, pg_temp
as $$
  delete from platform.proxy_instances where last_seen < now() - interval '1 hour' and instance <> who;
  insert into platform.proxy_instances (instance, revision, last_seen, kind) values (who, seen, now(), what)
  on conflict (instance) do update set revision = excluded.revision, last_seen = now(), kind = excluded.kind
$$;

create or replace function platform.acknowledge_revision(who text, seen bigint) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$ select platform.note_instance(who, seen, 'proxy') $$;

create function platform.acknowledge_revision_of_sink(who text, seen bigint, hooks bool) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$ select platform.note_instance(who, seen, case when hooks then 'hooks' else 'sink' end) $$;

-- An instance that ends in order is not waited for.
create function platform.forget_instance(who text) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$ delete from platform.proxy_instances where instance = who $$;

revoke all on function
  platform.note_instance(text, bigint, text), platform.acknowledge_revision_of_sink(text, bigint, bool),
  platform.forget_instance(text) from public;
grant execute on function platform.forget_instance(text) to septem_app, septem_sink;
grant execute on function platform.acknowledge_revision_of_sink(text, bigint, bool) to septem_sink;
