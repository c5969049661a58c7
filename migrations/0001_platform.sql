-- Where the control plane (operator) and the data plane (proxy, sink) meet. Owned by septem_owner.
-- The proxy (septem_app) reaches it through two SECURITY DEFINER functions only: the catalogue and one user's permissions.

create schema if not exists platform;

-- One row: the number of the published state. Locked last in every publishing transaction.
create table platform.catalog_revision (
  id int primary key default 1 check (id = 1),
  revision bigint not null default 0,
  published_at timestamptz not null default now()
);
insert into platform.catalog_revision default values;

-- One row: which capture generation is read, and what the operator last saw of this database's identity.
create table platform.data_plane (
  id int primary key default 1 check (id = 1),
  generation int not null default 1,
  -- What Debezium writes for a large value that an update did not touch. Random for each database: a user who knew it
  -- could write it as data and have it taken for an untouched value.
  unavailable_placeholder text not null
    default '__septem_unavailable_' || replace(gen_random_uuid()::text, '-', '')
);
insert into platform.data_plane default values;

-- Fencing: a counter in the database, since a Lease's leaseTransitions can start again.
create table platform.operator_epoch (
  shard text primary key,
  epoch bigint not null default 0
);
insert into platform.operator_epoch (shard) values ('default');

create table platform.modules (
  module text primary key,
  namespace text not null, -- the first to claim the module; others get NameConflict
  claimed_at timestamptz not null default now()
);

create table platform.models (
  module text not null references platform.modules,
  model text not null,
  resource text not null,      -- namespace/name of the ModuleModel that owns it
  resource_uid text not null,
  document jsonb not null,     -- a model::ModuleModel
  served bool not null,        -- false once the resource is gone and its data retained
  revision bigint not null,    -- the catalogue revision that published it last
  primary key (module, model)
);

-- Columns are ours if they are here.
create table platform.model_columns (
  module text not null,
  model text not null,
  name text not null,
  added_at timestamptz not null default now(),
  primary key (module, model, name),
  foreign key (module, model) references platform.models
);

create table platform.tenants (
  tenant_id uuid primary key,
  slug text not null unique,
  display_name text not null,
  state text not null check (state in ('Active', 'ReadOnly', 'Suspended')),
  resource text not null,
  resource_uid text not null,
  served bool not null,        -- false once the resource is gone and its data retained
  revision bigint not null
);

create table platform.tenant_modules (
  tenant_id uuid not null references platform.tenants on delete cascade,
  module text not null,        -- may name a module that has no model yet
  primary key (tenant_id, module)
);

create table platform.permissions (
  module text not null,
  model text not null,
  action text not null check (action in ('read', 'write', 'delete')),
  primary key (module, model, action)
);

create table platform.roles (
  tenant_id uuid not null references platform.tenants on delete cascade,
  id uuid not null,
  name text not null,
  built_in bool not null default false, -- the role `admin`, which the Tenant resource owns
  primary key (tenant_id, id),
  unique (tenant_id, name)
);

create table platform.role_permissions (
  tenant_id uuid not null,
  role_id uuid not null,
  permission text not null,
  primary key (tenant_id, role_id, permission),
  foreign key (tenant_id, role_id) references platform.roles on delete cascade
);

create table platform.user_roles (
  tenant_id uuid not null,
  user_id text not null,
  role_id uuid not null,
  primary key (tenant_id, user_id, role_id),
  foreign key (tenant_id, role_id) references platform.roles on delete cascade
);

-- The ledger of what the operator has run for a module.
create table platform.schema_migrations (
  module text not null,
  version text not null,
  model text not null,
  sha256 text not null,
  statements int not null,
  epoch bigint not null,
  applied_at timestamptz not null default now(),
  primary key (module, version)
);

create table platform.proxy_instances (
  instance text primary key,
  revision bigint not null,
  last_seen timestamptz not null default now()
);

-- Written by Debezium each second; its changes carry the clock of lastSyncAt.
create table platform.cdc_heartbeat (
  id int primary key,
  ts timestamptz not null
);
insert into platform.cdc_heartbeat values (1, now());

create table platform.cdc_signal (
  id text primary key,
  type text not null,
  data text
);

-- Kafka offsets up to which ClickHouse has acknowledged everything, by partition: the next offset to be written.
create table platform.sink_offsets (
  generation int not null,
  partition int not null,
  next_offset bigint not null,
  primary key (generation, partition)
);

-- Heartbeats proven to be in Kafka with everything before them, waiting for their end offsets to be acknowledged.
create table platform.watermarks (
  generation int not null,
  heartbeat_at timestamptz not null,
  end_offsets jsonb not null,  -- {"<partition>": <end offset>}
  primary key (generation, heartbeat_at)
);

-- The newest heartbeat whose end offsets are all acknowledged. Never goes back.
create table platform.last_sync (
  generation int primary key,
  last_sync_at timestamptz not null
);

-- What holds lastSyncAt back for a table, or for one tenant of it: a record that went to the dead-letter topic.
create table platform.watermark_holds (
  generation int not null,
  module text not null,
  model text not null,
  tenant_id uuid,              -- null: every tenant
  held_at timestamptz not null,
  topic_position text not null,
  primary key (generation, module, model, topic_position)
);

-- The whole catalogue at one moment: one statement, one snapshot.
create function platform.catalog_snapshot() returns json
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
      from platform.tenants t where served))
$$;

create function platform.catalog_revision_now() returns bigint
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select revision from platform.catalog_revision $$;

-- Every permission that a user of a tenant holds. `admin` holds every permission of every installed module;
-- every role holds cache.read and cache.write.
create function platform.permissions_of(tenant uuid, usr text) returns setof text
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  with held as (
    select r.id, r.built_in from platform.user_roles u
    join platform.roles r on r.tenant_id = u.tenant_id and r.id = u.role_id
    where u.tenant_id = tenant and u.user_id = usr)
  select p.permission from platform.role_permissions p join held on held.id = p.role_id and p.tenant_id = tenant
  union
  select p.module || '.' || p.model || '.' || p.action
  from platform.permissions p
  join platform.tenant_modules m on m.tenant_id = tenant and m.module = p.module
  where exists (select from held where built_in)
  union
  select c from unnest(array['iam.roles.read', 'iam.roles.write']) c where exists (select from held where built_in)
  union
  select c from unnest(array['cache.read', 'cache.write']) c where exists (select from held)
$$;

create function platform.unavailable_placeholder() returns text
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select unavailable_placeholder from platform.data_plane $$;

-- What the proxy tells of itself; a SECURITY DEFINER function so that it needs no privilege on the table.
create function platform.acknowledge_revision(who text, seen bigint) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  insert into platform.proxy_instances (instance, revision, last_seen) values (who, seen, now())
  on conflict (instance) do update set revision = excluded.revision, last_seen = now()
$$;

-- lastSyncAt of one table for one tenant; null while history still loads.
create function platform.last_sync_at(tenant uuid, mod text, mdl text) returns timestamptz
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select least(s.last_sync_at,
    (select min(h.held_at) from platform.watermark_holds h
     where h.generation = s.generation and h.module = mod and h.model = mdl
       and (h.tenant_id is null or h.tenant_id = tenant)))
  from platform.last_sync s join platform.data_plane d on d.generation = s.generation
$$;

revoke all on schema platform from public;
revoke all on all tables in schema platform from public;
revoke all on all functions in schema platform from public;

grant usage on schema platform to septem_app, septem_sink, septem_cdc;
grant execute on function
  platform.catalog_snapshot(), platform.catalog_revision_now(), platform.permissions_of(uuid, text),
  platform.acknowledge_revision(text, bigint), platform.last_sync_at(uuid, text, text)
  to septem_app;
grant execute on function platform.catalog_snapshot(), platform.unavailable_placeholder() to septem_sink;
grant select, insert, update, delete on
  platform.sink_offsets, platform.watermarks, platform.last_sync, platform.watermark_holds to septem_sink;
grant select, insert, update, delete on platform.cdc_heartbeat, platform.cdc_signal to septem_cdc;
