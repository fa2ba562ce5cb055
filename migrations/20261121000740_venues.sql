-- Venues that take no new orders. A row is a decision of a person: the newest one of a venue counts,
-- and none is ever changed. It is written under an exclusive lock on the venue's name, which every
-- plan of an order shares until it commits: after the commit of a freeze no order is planned.

create table venue_freezes (
  id     bigint generated always as identity primary key,
  venue  text not null check (venue ~ '^[a-z0-9_-]{1,32}$'),
  frozen boolean not null,
  actor  text not null check (length(actor) between 1 and 200),
  reason text not null check (length(reason) between 1 and 500),
  at     timestamptz not null
);
create index venue_freezes_latest on venue_freezes (venue, id desc);

create trigger facts_never_change before update or delete on venue_freezes
  for each row execute function forbid_change();
create trigger facts_never_truncated before truncate on venue_freezes
  for each statement execute function forbid_change();
grant select, insert on venue_freezes to chukta_app;
