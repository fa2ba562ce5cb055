-- Quotes choose their way as sales do, and keep the choice; a sale that waits says where and why.

-- The markets behind a tick's ways: rules, levies and bids, as a sale sees them.
alter table rate_ticks add column markets jsonb;

-- Every way there was when the quote was made, with its numbers, and why the others were not taken.
-- None where an older version quoted: its levels alone make its price.
alter table quotes add column route jsonb;

-- Where a sale waits, and what for: no way may be taken, or its venue does not answer.
alter table sale_holds
  add column venue text check (length(venue) <= 64),
  add column kind  text not null default 'no_way' check (kind in ('no_way', 'silent'));
create index sale_holds_at_venue on sale_holds (venue) where reason is not null;
