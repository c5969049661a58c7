-- Models whose data goes with their resource: how far that has come. The row stays until nothing of the model is left, so
-- that nobody takes its name while events of its rows may still be on their way to ClickHouse.
create table platform.deleted_models (
  module text not null,
  model text not null,
  resource text not null,               -- the ModuleModel that asked for it
  resource_uid text not null,
  analytics boolean not null,           -- whether its changes went to ClickHouse
  began_at timestamptz not null default now(),
  revision bigint not null default 0,   -- the first catalogue that does not serve it
  deleting_since timestamptz,           -- when its first row may have gone: there is no way back
  emptied_at timestamptz,               -- after its last row had gone
  dropped_revision bigint,              -- the first catalogue without it, and without its table
  primary key (module, model)
);
create index deleted_models__resource_uid on platform.deleted_models (resource_uid);
revoke all on platform.deleted_models from public;
