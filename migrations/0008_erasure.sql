-- Tenants that were erased, or are being: the id is never served again, and events that still name it bring nothing
-- back. This row is the progress of the erasure; every step is looked at again, whoever carries it on.

create table platform.erased_tenants (
  tenant_id uuid primary key,
  resource text not null,               -- the Tenant that asked for it
  resource_uid text not null,
  began_at timestamptz not null default now(),
  revision bigint not null default 0,   -- the first catalogue without the tenant
  rows_deleted bigint not null default 0,
  rows_gone_at timestamptz,             -- after the last delete in PostgreSQL; null while rows are left
  erased_at timestamptz                 -- when nothing was found any more
);
create index erased_tenants__resource_uid on platform.erased_tenants (resource_uid);
revoke all on platform.erased_tenants from public;

-- As before, and the ids that are erased: sinks pass over their events.
create or replace function platform.catalog_snapshot() returns json
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select json_build_object(
    'revision', (select revision from platform.catalog_revision),
    'generation', (select generation from platform.data_plane),
    'database', current_database(),
    'models', (
      select coalesce(json_agg(json_build_object('document', document, 'served', served) order by module, model), '[]')
      from platform.models),
    'tenants', (
      select coalesce(json_agg(json_build_object(
        'id', tenant_id, 'slug', slug, 'state', state,
        'modules', (select coalesce(json_agg(module order by module), '[]')
                    from platform.tenant_modules m where m.tenant_id = t.tenant_id)) order by tenant_id), '[]')
      from platform.tenants t where served),
    'erased', (select coalesce(json_agg(tenant_id order by tenant_id), '[]') from platform.erased_tenants))
$$;
