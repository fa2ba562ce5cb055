-- What the treasury's review found: what is lost on its way is written off by two people, a top-up
-- names the venue it is for, and lanes are counted.

-- What a person says is lost of something that left: the second name books it. Facts.
create table write_off_signatures (
  id           bigint generated always as identity primary key,
  item         uuid not null,                     -- a move or a transfer
  round        integer not null check (round >= 1),
  asset        asset_code not null,
  amount_minor positive_minor not null,
  signer       text not null check (length(btrim(signer)) between 1 and 200),
  reason       text not null check (length(reason) between 1 and 500),
  at           timestamptz not null
);
-- One signature each for the same amount, whatever the spelling of a name.
create unique index write_off_signatures_once
  on write_off_signatures (item, round, amount_minor, lower(btrim(signer)));
create trigger facts_never_change before update or delete on write_off_signatures
  for each row execute function forbid_change();
create trigger facts_never_truncated before truncate on write_off_signatures
  for each statement execute function forbid_change();
grant select, insert on write_off_signatures to chukta_app;

-- Of a top-up: the venue that the tokens it lets move go to.
alter table moves add column for_venue text check (length(for_venue) <= 64);
drop trigger frozen on moves;
create trigger frozen before update on moves for each row execute function
  keep_frozen('purpose', 'network', 'asset', 'venue', 'to_address', 'takes_all', 'fee_asset',
    'planned_at', 'serves', 'for_venue');

-- What a lane carried lately, and how often it was refused in a row.
create index venue_transfers_of_lane
  on venue_transfers (from_venue, to_venue, asset, planned_at desc);

-- ---------------------------------------------------------------- the books
set local role ledger_owner;
insert into ledger.kind_legs (kind_id, debit_role_id, credit_role_id)
select k.id, d.id, c.id from (values
  -- What left and will never be credited.
  ('write.off', 'loss', 'transit')
) v(kind, debit, credit)
left join ledger.transfer_kinds k on k.code = v.kind
left join ledger.roles d on d.code = v.debit
left join ledger.roles c on c.code = v.credit;
reset role;
