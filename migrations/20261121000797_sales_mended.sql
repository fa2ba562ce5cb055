-- A fill that the venue took back may be listed again, and taken back once more: every turn is a
-- fact of its own, and the fill counts unless its newest reversal stands.
alter table fill_reversals drop constraint fill_reversals_pkey;
alter table fill_reversals add column round integer not null default 1 check (round >= 1);
alter table fill_reversals add primary key (venue, trade_id, round);

create table fill_reinstatements (
  venue       text not null,
  trade_id    text not null,
  round       integer not null,
  recorded_at timestamptz not null,
  primary key (venue, trade_id, round),
  foreign key (venue, trade_id, round) references fill_reversals (venue, trade_id, round)
);
create trigger facts_never_change before update or delete on fill_reinstatements
  for each row execute function forbid_change();
create trigger facts_never_truncated before truncate on fill_reinstatements
  for each statement execute function forbid_change();
grant select, insert on fill_reinstatements to chukta_app;

-- What does not count now, at most once each.
create view fills_taken_back as
  select r.venue, r.trade_id, r.round, r.recorded_at from fill_reversals r
  where not exists (select from fill_reinstatements i
    where i.venue = r.venue and i.trade_id = r.trade_id and i.round = r.round);
grant select on fills_taken_back to chukta_app;
