-- Calls of after-hooks that could not be delivered, kept for seven days like the events in the topic, to be replayed or
-- dropped by name. They hold records of tenants: only the dispatcher's role reaches them, and no setting of a request.

create table platform.hook_dead_letters (
  event_id uuid not null,              -- the same each time the event is read from the topic
  url text not null,
  event text not null,
  module text not null,
  model text not null,
  tenant_id uuid not null,             -- no foreign key: a tenant that is gone is passed over when it is replayed
  record_id uuid not null,
  position numeric(39) not null,       -- place in the table's history: the order of replay within a record
  body text not null,                  -- what is sent, signed anew at each try
  failure text not null,               -- what the last try met, one of a closed list
  dead_at timestamptz not null default now(),
  primary key (event_id, url)
);
create index hook_dead_letters__model on platform.hook_dead_letters (module, model, tenant_id, record_id, position);
create index hook_dead_letters__dead_at on platform.hook_dead_letters (dead_at);

alter table platform.hook_dead_letters enable row level security;
alter table platform.hook_dead_letters force row level security;
create policy septem_sink on platform.hook_dead_letters to septem_sink using (true) with check (true);
grant select, insert, update, delete on platform.hook_dead_letters to septem_sink;

-- Asked before each batch of events: hooks must be those of a catalogue that is at least as new as the events.
grant execute on function platform.catalog_revision_now() to septem_sink;
