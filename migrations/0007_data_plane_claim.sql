-- Which DataPlane has this database, by the uid of its resource: two of them would fence each other off for ever. And
-- what the migrations have granted, as of how many of them, so that a grant made or taken by hand can be seen.
alter table platform.data_plane
  add column claimed_by text,
  add column grants jsonb,
  add column grants_migrations bigint;
