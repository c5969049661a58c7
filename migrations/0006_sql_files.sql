-- Versioned SQL files of modules: their ledger, what a session that runs one may call, and plans that were approved.

-- A file runs once, or once for each tenant; statements made from a model are of kind `model`.
alter table platform.schema_migrations
  drop constraint schema_migrations_pkey,
  add column kind text not null default 'model' check (kind in ('model', 'schema', 'per-tenant')),
  add column tenant_id uuid,           -- of a per-tenant file; null: every tenant that there was has had it
  add column description text,
  add column duration_ms bigint,
  add column plan_hash text,           -- the approved plan that it belonged to
  add constraint schema_migrations_key unique nulls not distinct (module, version, tenant_id);

-- The file that a module's session runs just now: written by the operator, committed before the file begins.
create table platform.file_runs (
  module text primary key,
  pid int not null,                    -- the session
  model text not null,
  version text not null,
  description text not null,
  kind text not null check (kind in ('schema', 'per-tenant')),
  tenant_id uuid,
  sha256 text not null,
  epoch bigint not null,               -- of the operator that runs it
  plan_hash text,
  fence text,                          -- what must be the same when the file has run
  started_at timestamptz not null default clock_timestamp()
);

-- A plan that was approved and is being carried out. It goes on over several transactions, also after a restart.
create table platform.plans_begun (
  module text not null,
  model text not null,
  hash text not null,
  desired text not null,               -- SHA-256 of what was wanted: another wish is another plan
  state text not null,                 -- SHA-256 of what the database held when we last touched it
  begun_at timestamptz not null default now(),
  primary key (module, model)
);

-- The role of a module (septem_m_<module>) reaches nothing in schema platform. It may call what is here.
create schema septem_files;
revoke all on schema septem_files from public;

-- The tenant whose rows the file of this session may see: none for a file of kind `schema`, and none outside of a
-- run. The session cannot change it, unlike a setting.
create function septem_files.tenant() returns uuid
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select tenant_id from platform.file_runs where pid = pg_backend_pid() and 'septem_m_' || module = session_user
$$;

-- Everything that no file may change, as one digest: owners, privileges, row-level security, policies, triggers,
-- rules, functions of others, publications, and the attributes and memberships of the roles.
create function septem_files.fence(mod text) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
  with me as (select oid, rolname from pg_roles where rolname = 'septem_m_' || mod),
  relation as (
    select c.* from pg_class c, me
    where c.relowner <> me.oid and c.relpersistence <> 't'
      and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)),
  role as (
    select r.* from pg_roles r, me
    where r.oid = me.oid or r.rolname in ('septem_owner', 'septem_app', 'septem_cdc', 'septem_sink')),
  fact(text) as (
    select concat_ws(' ', 'relation', oid, relname, relkind, relowner, relacl, relrowsecurity, relforcerowsecurity,
                     relreplident) from relation
    union all
    select concat_ws(' ', 'column', a.attrelid, a.attnum, a.attname, a.atttypid, a.attnotnull, a.attacl, a.attisdropped)
    from pg_attribute a join relation on relation.oid = a.attrelid where a.attnum > 0
    union all
    select concat_ws(' ', 'policy', polrelid, polname, polcmd, polpermissive, polroles, polqual, polwithcheck)
    from pg_policy join relation on relation.oid = polrelid
    union all
    select concat_ws(' ', 'constraint', conrelid, conname, contype, pg_get_constraintdef(c.oid))
    from pg_constraint c join relation on relation.oid = conrelid
    union all
    select concat_ws(' ', 'index', indexrelid, indrelid) from pg_index join relation on relation.oid = indrelid
    union all
    select concat_ws(' ', 'trigger', tgrelid, tgname, tgfoid, tgenabled)
    from pg_trigger join relation on relation.oid = tgrelid
    union all
    select concat_ws(' ', 'rule', ev_class, rulename, ev_type, ev_enabled)
    from pg_rewrite join relation on relation.oid = ev_class
    union all
    select concat_ws(' ', 'child', inhrelid, inhparent) from pg_inherits join relation on relation.oid = inhparent
    union all
    select concat_ws(' ', 'schema', oid, nspname, nspowner, nspacl) from pg_namespace where nspname !~ '^pg_(toast_)?temp_'
    union all
    select concat_ws(' ', 'function', p.oid, proname, proowner, proacl, prosecdef, proconfig, md5(prosrc))
    from pg_proc p, me
    where proowner <> me.oid and pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    union all
    select concat_ws(' ', 'publication', pubname, pubowner, puballtables) from pg_publication
    union all
    select concat_ws(' ', 'published', prpubid, prrelid) from pg_publication_rel
    union all
    select concat_ws(' ', 'published schema', pnpubid, pnnspid) from pg_publication_namespace
    union all
    select concat_ws(' ', 'event trigger', evtname, evtfoid, evtenabled) from pg_event_trigger
    union all
    select concat_ws(' ', 'extension', extname, extversion) from pg_extension
    union all
    select concat_ws(' ', 'role', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
                     rolbypassrls, rolconfig) from role
    union all
    select concat_ws(' ', 'setting', setrole, setdatabase, setconfig)
    from pg_db_role_setting where setrole in (select oid from role)
    union all
    select concat_ws(' ', 'member', roleid, member, admin_option)
    from pg_auth_members where member in (select oid from role) or roleid in (select oid from me))
  select encode(sha256(convert_to(coalesce(string_agg(text, E'\n' order by text collate "C"), ''), 'UTF8')), 'hex') from fact
$$;

-- Called in the transaction of a file, before it. The epoch's row is held until the end, so a successor waits.
create function septem_files.begin() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  run platform.file_runs;
begin
  select * into run from platform.file_runs
  where pid = pg_backend_pid() and 'septem_m_' || module = session_user for update;
  if not found then
    raise exception 'this session runs no file' using errcode = 'insufficient_privilege';
  end if;
  perform from platform.operator_epoch where shard = 'default' and epoch = run.epoch for share;
  if not found then
    raise exception 'a newer operator has taken over this database' using errcode = 'object_not_in_prerequisite_state';
  end if;
  update platform.file_runs set fence = septem_files.fence(run.module), started_at = clock_timestamp()
  where module = run.module;
end
$$;

-- Runs a file as whoever calls it. In a function PostgreSQL refuses `commit`, `rollback`, savepoints and what cannot
-- be in a transaction, so a file is one transaction, whatever it says.
create function septem_files.run(statements text) returns void
language plpgsql security invoker
as $$
begin
  execute statements;
end
$$;

-- Called in the transaction of a file, after it: what no file may change is unchanged, what the role owns is in its
-- schema and nobody else's, and the ledger says that the file has run. Only then can it be committed.
create function septem_files.finish() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  run platform.file_runs;
  me oid;
  found_one text;
begin
  select * into run from platform.file_runs
  where pid = pg_backend_pid() and 'septem_m_' || module = session_user for update;
  if not found or run.fence is null then
    raise exception 'this session runs no file' using errcode = 'insufficient_privilege';
  end if;
  select oid into me from pg_roles where rolname = session_user;
  if run.fence is distinct from septem_files.fence(run.module) then
    raise exception 'the file changes what does not belong to its module' using errcode = 'insufficient_privilege';
  end if;
  select i.type || ' ' || i.identity into found_one
  from pg_shdepend d cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) i
  where d.refclassid = 'pg_authid'::regclass and d.refobjid = me and d.deptype = 'o'
    and d.dbid in (0, (select oid from pg_database where datname = current_database()))
    and i.schema is distinct from run.module
  limit 1;
  if found then
    raise exception '% is outside of schema %', found_one, run.module using errcode = 'insufficient_privilege';
  end if;
  select format('%s on %s', a.privilege_type, c.oid::regclass) into found_one
  from pg_class c cross join lateral (
    select * from aclexplode(c.relacl)
    union all
    select x.* from pg_attribute f, aclexplode(f.attacl) x where f.attrelid = c.oid) a
  where c.relowner = me
    and (a.grantee = 0 or a.grantee in (
      select oid from pg_roles where rolname in ('septem_app', 'septem_cdc', 'septem_sink')))
  limit 1;
  if found then
    raise exception '% is granted to a role of the platform or to everybody', found_one
      using errcode = 'insufficient_privilege';
  end if;
  insert into platform.schema_migrations
    (module, version, model, sha256, statements, epoch, kind, tenant_id, description, duration_ms, plan_hash)
  values (run.module, run.version, run.model, run.sha256, 1, run.epoch, run.kind, run.tenant_id, run.description,
          extract(epoch from clock_timestamp() - run.started_at) * 1000, run.plan_hash);
  delete from platform.file_runs where module = run.module;
end
$$;

revoke all on all functions in schema septem_files from public;
