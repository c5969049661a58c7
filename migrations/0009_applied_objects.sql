-- What the databases held of a model when it was applied, in their own words: object → definition. A later look that
-- finds something else has found somebody's hand.
create table platform.applied_objects (
  module text not null,
  model text not null,
  -- The catalogue's revision after which it was noted.
  revision bigint not null,
  objects jsonb not null,
  primary key (module, model)
);
