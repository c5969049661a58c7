-- What the operator knows of a module's columns, beyond that they are ours: which field a column belongs to, where its
-- values come from, how far older rows have been brought to it, and that it was dropped. A column's name means one
-- thing for ever, since change events of last week still mention it: rows are never deleted.
alter table platform.model_columns
  add column field text,                                  -- the field that it is, was or will be the column of
  add column definition jsonb,                            -- its type, a model::FieldType
  add column source text,                                 -- the column that it takes over from
  add column filling boolean not null default false,      -- whether older rows have to be brought to it
  add column requiring boolean not null default false,    -- … because the field becomes required
  add column fill_tenant uuid,                            -- the key of the last row that was looked at
  add column fill_id uuid,
  add column filled_rows bigint not null default 0,
  add column filled_at timestamptz,                       -- when the last row was written
  add column dropped_at timestamptz;

update platform.model_columns set field = name;
