-- Routes: a batch may be sold in two legs (a coin for USDT at one venue, USDT for rupees at another),
-- and the unsold rest of a sale may move to another venue. Each is a conversion of its own, and all
-- of one batch hang on the first. The ledger's rules are by role: fills in other assets, and fees in
-- whatever asset they come, need no new ones.

alter table conversions
  -- What its orders bring: rupees, or the dollar coin that the next leg sells.
  add column quote  asset_code not null default 'INR',
  -- The first conversion of the batch holds its payments; the others point to it.
  add column root   uuid references conversions (id),
  add column parent uuid references conversions (id),
  add column part   text not null default 'batch' check (part in ('batch', 'leg', 'rest')),
  -- What it was given to sell, before dust and the cut to the venue's step.
  add column input_minor minor_amount not null default 0,
  -- Dust of earlier batches that this one took along.
  add column taken_minor minor_amount not null default 0,
  -- Every candidate with its numbers, and why the others were not taken.
  add column route  jsonb,
  add constraint conversions_sell_something_else check (quote <> asset),
  add constraint conversions_part_has_parent check (
    (part = 'batch') = (parent is null) and (parent is null) = (root is null));
alter table conversions drop constraint conversions_state_check;
alter table conversions add constraint conversions_state_check check (state in ('waiting', 'planned',
  'submitted', 'unknown', 'partly_filled', 'filled', 'rejected', 'in_review'));
update conversions set input_minor = target_minor + dust_minor;
create unique index conversions_one_leg on conversions (parent) where part = 'leg';
create unique index conversions_one_rest on conversions (parent) where part = 'rest';
create index conversions_of_root on conversions (root) where root is not null;
create trigger frozen before update on conversions for each row execute function
  keep_frozen('venue', 'asset', 'quote', 'root', 'parent', 'part', 'input_minor', 'route',
    'created_at');

alter table order_attempts add column kind text not null default 'limit'
  check (kind in ('limit', 'immediate_or_cancel'));
create trigger frozen_kind before update on order_attempts for each row execute function
  keep_frozen('kind');

-- A venue takes its fee in the asset it likes.
alter table fills add column fee_asset asset_code not null default 'INR';

-- Crumbs that lie in the trading accounts: below a venue's step or minimum, or what a correction
-- after the end left. The rows of an asset add up to what lies there and nobody is selling.
create table dust (
  id            bigint generated always as identity primary key,
  asset         asset_code not null check (asset <> 'INR'),
  conversion_id uuid not null references conversions (id),
  minor         numeric(38,0) not null check (minor <> 0),
  reason        text not null check (length(reason) between 1 and 100),
  at            timestamptz not null
);
create index dust_of on dust (conversion_id, asset);
create index dust_per_asset on dust (asset, id);
create trigger facts_never_change before update or delete on dust
  for each row execute function forbid_change();
create trigger facts_never_truncated before truncate on dust
  for each statement execute function forbid_change();
grant select, insert on dust to chukta_app;

-- Crumbs of sales from before this ledger.
insert into dust (asset, conversion_id, minor, reason, at)
select asset, id, minor, 'before the dust ledger', updated_at
from (select c.*, dust_minor + case when state = 'filled' then target_minor - coalesce((
        select sum(f.sold_minor) from fills f where f.conversion_id = c.id and not exists (
          select from fill_reversals r where r.venue = f.venue and r.trade_id = f.trade_id)), 0)
        else 0 end as minor from conversions c) crumbs
where minor <> 0;

-- Why an asset, or the rest of a sale, is not sold now. No reason: nothing holds it any more.
create table sale_holds (
  subject text primary key check (length(subject) <= 64),
  reason  text check (length(reason) <= 2000),
  route   jsonb,
  since   timestamptz not null,
  at      timestamptz not null
);
grant select, insert, update on sale_holds to chukta_app;
