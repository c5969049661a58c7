-- Which statements of an approved plan may run is told by the statements: what a plan has left to do is a part of what
-- was approved, or the database has been changed by somebody else meanwhile.
alter table platform.plans_begun
  drop column state,
  add column statements text[] not null,  -- SHA-256 of each statement and file that was approved
  add column ended_at timestamptz;        -- when nothing of it was left
