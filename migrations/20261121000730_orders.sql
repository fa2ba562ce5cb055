-- What became of orders after their end: fills that came late, fills the venue took back, sendings
-- that were put off.

-- When a planned order may be sent (again), and how often it was marked as sent.
alter table order_attempts add column send_after timestamptz;
alter table order_attempts add column sends integer not null default 0 check (sends >= 0);
-- The look after the end: its fills were read once more when the venue can add none any longer.
alter table order_attempts add column looked_at timestamptz;
-- Since when the venue does not list a trade of this order that we have booked.
alter table order_attempts add column missing_since timestamptz;
update order_attempts set looked_at = coalesce(closed_at, planned_at)
  where state in ('filled', 'closed', 'absent');
create index order_attempts_unlooked on order_attempts (conversion_id)
  where looked_at is null and state in ('filled', 'closed', 'absent');

-- A fill the venue took back. The fill itself stays; the books hold its contra entry.
create table fill_reversals (
  venue       text not null,
  trade_id    text not null,
  recorded_at timestamptz not null,
  primary key (venue, trade_id),
  foreign key (venue, trade_id) references fills (venue, trade_id)
);
create trigger facts_never_change before update or delete on fill_reversals
  for each row execute function forbid_change();
create trigger facts_never_truncated before truncate on fill_reversals
  for each statement execute function forbid_change();
grant select, insert on fill_reversals to chukta_app;
