-- The treasury: our own coins on their way from deposit addresses to venues, from one venue to
-- another, and from the gas stations to the addresses that need their fee.
--
-- What is decided (sources, destinations, drafts, references) never changes after the fact. A source
-- carries at most one live move, whatever a worker believes.

-- ---------------------------------------------------------------- where venues take coins
-- The newest row of a venue, asset and network counts. One that the venue offers in place of the
-- known one stops moves until a person writes the row that confirms it.
create table venue_addresses (
  id      bigint generated always as identity primary key,
  venue   text not null check (venue ~ '^[a-z0-9_-]{1,32}$'),
  asset   asset_code not null check (asset <> 'INR'),
  network network_id not null,
  address text not null check (length(address) between 1 and 128),
  standing text not null check (standing in ('first', 'offered', 'confirmed')),
  actor   text not null check (length(actor) between 1 and 200),
  reason  text not null check (length(reason) between 1 and 500),
  at      timestamptz not null
);
create unique index venue_addresses_first on venue_addresses (venue, asset, network)
  where standing = 'first';
create index venue_addresses_newest on venue_addresses (venue, asset, network, id desc);

-- ---------------------------------------------------------------- moves on a chain
create table moves (
  id             uuid primary key,
  purpose        text not null check (purpose in ('fund_venue', 'gas')),
  network        network_id not null,
  asset          asset_code not null check (asset <> 'INR'),
  venue          text,
  to_address     text not null check (length(to_address) between 1 and 128),
  takes_all      boolean not null,                -- nothing of ours is left where it came from
  fee_asset      asset_code not null check (fee_asset <> 'INR'),
  state          text not null check (state in ('planned', 'signed', 'sent', 'included', 'final',
                   'credited', 'replaced', 'failed', 'unwound', 'cancelled', 'in_review')),
  round          integer not null default 1 check (round >= 1),  -- part of its ledger keys
  amount_minor   positive_minor not null,         -- of the newest attempt
  fee_max_minor  minor_amount not null,
  hold_key       text,                            -- the hold in the books, while there is one
  won            integer,                         -- the attempt that is in a block
  block_hash     text,
  height         bigint,
  arrived_minor  minor_amount,
  cost_minor     minor_amount,
  credited_minor minor_amount,
  retry_at       timestamptz,                     -- nothing new is tried before
  planned_at     timestamptz not null,
  final_at       timestamptz,
  credited_at    timestamptz,
  updated_at     timestamptz not null,
  check ((purpose = 'fund_venue') = (venue is not null)),
  check ((block_hash is null) = (won is null) and (height is null) = (won is null))
);
create index moves_open on moves (network, asset)
  where state not in ('credited', 'replaced', 'failed', 'cancelled');
create index moves_in_blocks on moves (network, block_hash) where block_hash is not null;
create index moves_newest on moves (planned_at desc);
create index chain_blocks_gone on chain_blocks (network, hash) where not canonical;
-- One top-up of an address at a time.
create unique index moves_one_gas on moves (network, to_address)
  where purpose = 'gas' and state in ('planned', 'signed', 'sent', 'included', 'unwound',
    'in_review');

-- An output on Bitcoin, an address with all it holds elsewhere: nonces are shared by its assets.
create table move_sources (
  move_id      uuid not null references moves (id),
  network      network_id not null,
  source       text not null check (length(source) between 1 and 160),
  address      text not null check (length(address) between 1 and 128),
  amount_minor positive_minor not null,
  live         boolean not null,
  spent        boolean not null default false,    -- nothing is left of it
  primary key (move_id, source)
);
create unique index move_sources_one_live on move_sources (network, source) where live;
create index move_sources_of_address on move_sources (network, address);

-- One frozen transaction each; of a move's attempts at most one can ever be in a chain.
create table move_attempts (
  move_id       uuid not null references moves (id),
  attempt       integer not null check (attempt >= 1),
  intent_id     uuid not null unique,             -- derived: asking again is asking the same
  amount_minor  positive_minor not null,
  fee_max_minor minor_amount not null,
  fee_paise     bigint not null check (fee_paise >= 0),  -- what the fee was worth: the budget
  draft         jsonb not null,
  state         text not null check (state in ('planned', 'signed', 'sent', 'won', 'lost',
                  'dropped')),
  tx_id         text unique check (length(tx_id) between 1 and 128),
  raw           text check (length(raw) between 2 and 400000),
  asked_at      timestamptz,
  signed_at     timestamptz,
  first_sent_at timestamptz,
  sent_at       timestamptz,                      -- the newest of its sends
  sends         integer not null default 0 check (sends >= 0),
  refused       text check (length(refused) <= 500),   -- signer or network: never as it is
  planned_at    timestamptz not null,
  primary key (move_id, attempt),
  check ((tx_id is null) = (raw is null)),
  check (first_sent_at is null or tx_id is not null)
);
create unique index move_attempts_one_unsent on move_attempts (move_id)
  where state in ('planned', 'signed');
create index move_attempts_newest on move_attempts (planned_at desc);

-- What is signed stays as it is.
create function keep_signed() returns trigger language plpgsql as $$
begin
  if old.tx_id is not null and (new.tx_id, new.raw) is distinct from (old.tx_id, old.raw) then
    raise exception 'what is signed may not change' using errcode = 'CK001';
  end if;
  return new;
end $$;

-- ---------------------------------------------------------------- from venue to venue
create table venue_transfers (
  id             uuid primary key,
  from_venue     text not null,
  to_venue       text not null check (to_venue <> from_venue),
  network        network_id not null,
  asset          asset_code not null check (asset <> 'INR'),
  to_address     text not null check (length(to_address) between 1 and 128),
  amount_minor   positive_minor not null,         -- leaves the balance, the venue's fee included
  client_ref     text not null unique,
  fee_paise      bigint not null check (fee_paise >= 0),  -- the venue's fee: the budget
  state          text not null check (state in ('planned', 'sent', 'unknown', 'leaving', 'left',
                   'credited', 'refused', 'failed', 'in_review')),
  venue_id       text,
  tx_id          text,
  net_minor      minor_amount,
  fee_minor      minor_amount,
  credited_minor minor_amount,
  sends          integer not null default 0 check (sends >= 0),
  send_after     timestamptz,
  planned_at     timestamptz not null,
  sent_at        timestamptz,
  left_at        timestamptz,
  credited_at    timestamptz,
  updated_at     timestamptz not null
);
-- One at a time between two venues, of an asset.
create unique index venue_transfers_one_live on venue_transfers (from_venue, to_venue, asset)
  where state in ('planned', 'sent', 'unknown', 'leaving', 'left', 'in_review');
create index venue_transfers_newest on venue_transfers (planned_at desc);

-- ---------------------------------------------------------------- a credit that only a balance shows
-- The first sight of a balance that is too high by what is on its way; the second one, a gap later,
-- credits. Whatever changes in between begins anew.
create table credit_sightings (
  venue      text not null,
  asset      asset_code not null,
  gap_minor  positive_minor not null,
  items      uuid[] not null,
  seen_at    timestamptz not null,
  primary key (venue, asset)
);

-- ---------------------------------------------------------------- rights, and what stays
create trigger facts_never_change before update or delete on venue_addresses
  for each row execute function forbid_change();
create trigger facts_never_truncated before truncate on venue_addresses
  for each statement execute function forbid_change();
grant select, insert on venue_addresses to chukta_app;
grant select, insert, update on moves, move_sources, move_attempts, venue_transfers
  to chukta_app;
grant select, insert, update, delete on credit_sightings to chukta_app;

create trigger frozen before update on moves for each row execute function
  keep_frozen('purpose', 'network', 'asset', 'venue', 'to_address', 'takes_all', 'fee_asset',
    'planned_at');
create trigger frozen before update on move_sources for each row execute function
  keep_frozen('network', 'source', 'address', 'amount_minor');
create trigger frozen before update on move_attempts for each row execute function
  keep_frozen('intent_id', 'amount_minor', 'fee_max_minor', 'fee_paise', 'draft',
    'planned_at');
create trigger signed before update on move_attempts for each row execute function keep_signed();
create trigger frozen before update on venue_transfers for each row execute function
  keep_frozen('from_venue', 'to_venue', 'network', 'asset', 'to_address', 'amount_minor',
    'client_ref', 'fee_paise', 'planned_at');

-- Names that were added elsewhere stay: each list grows by what is new here.
do $$
declare grown record; def text;
begin
  for grown in select * from (values
    ('transitions', 'transitions_entity_check', '''move''::text, ''venue_transfer''::text, '),
    ('switches', 'switches_name_check', '''moves''::text, ')) v(tab, con, more) loop
    select pg_get_constraintdef(c.oid) into strict def from pg_constraint c
      where c.conname = grown.con and c.conrelid = grown.tab::regclass;
    if position('ARRAY[' in def) = 0 then
      raise exception 'the list of % reads otherwise: %', grown.con, def;
    end if;
    execute format('alter table %I drop constraint %I', grown.tab, grown.con);
    execute format('alter table %I add constraint %I %s', grown.tab, grown.con,
      replace(def, 'ARRAY[', 'ARRAY[' || grown.more));
  end loop;
end $$;
insert into switches (name, at) values ('moves', now());

-- ---------------------------------------------------------------- the books
set local role ledger_owner;
insert into ledger.kind_legs (kind_id, debit_role_id, credit_role_id)
select k.id, d.id, c.id from (values
  -- A coin that pays its own fee; a top-up of an address of ours.
  ('transfer.out', 'network.fee', 'escrow'), ('transfer.out', 'escrow', 'gas'),
  -- What a venue cuts off when it credits.
  ('transfer.in', 'rounding', 'transit')
) v(kind, debit, credit)
left join ledger.transfer_kinds k on k.code = v.kind
left join ledger.roles d on d.code = v.debit
left join ledger.roles c on c.code = v.credit;
reset role;
