-- The product's tables: payments, quotes, deposits, conversions, payouts, and what surrounds them.
--
-- The application's role may insert and update where a state moves, and may delete nothing. Facts
-- (transitions, fills, inclusions, events, rates) are append-only by trigger, for everybody.

create function forbid_change() returns trigger language plpgsql as $$
begin raise exception '% on % is forbidden', tg_op, tg_table_name using errcode = 'CK000'; end $$;

create domain minor_amount as numeric(38,0) check (value >= 0 and value < 1e38);
create domain positive_minor as numeric(38,0) check (value > 0 and value < 1e38);
create domain asset_code as text check (value in ('INR', 'BTC', 'ETH', 'SOL', 'USDC', 'USDT'));
create domain network_id as text check (value ~ '^[a-z0-9-]{2,32}$');

-- ---------------------------------------------------------------- merchants
create table webhook_endpoints (
  merchant_id uuid primary key references merchants (id),
  url         text check (length(url) <= 2048),
  secret      text check (length(secret) <= 200),
  updated_at  timestamptz not null,
  check ((url is null) = (secret is null))
);

-- A destination is never changed: a new version is added, and payments keep the one they froze.
create table payout_destinations (
  id          uuid primary key,
  merchant_id uuid not null references merchants (id),
  version     integer not null check (version >= 1),
  vpa         text not null check (vpa ~ '^[a-z0-9.-]{2,97}@[a-z]{2,64}$'),
  payee_name  text not null check (length(payee_name) between 3 and 50),
  created_at  timestamptz not null,
  unique (merchant_id, version)
);

create table rail_beneficiaries (
  destination_id  uuid not null references payout_destinations (id),
  rail            text not null,
  contact_id      text not null,
  fund_account_id text not null,
  created_at      timestamptz not null,
  primary key (destination_id, rail)
);

-- ---------------------------------------------------------------- payments and quotes
create table payments (
  id             uuid primary key,
  merchant_id    uuid not null references merchants (id),
  reference      text not null check (length(reference) between 1 and 64),
  amount_minor   positive_minor not null,
  state          text not null check (state in ('awaiting_deposit', 'confirming', 'accepted',
                   'settling', 'settled', 'expired', 'cancelled', 'in_review', 'refunding', 'refunded')),
  partial        boolean not null default false,
  over           boolean not null default false,
  late           boolean not null default false,
  wrong_asset    boolean not null default false,
  review_reason  text,
  destination_id uuid not null references payout_destinations (id),
  metadata       jsonb not null default '{}',
  expires_at     timestamptz not null,
  created_at     timestamptz not null,
  updated_at     timestamptz not null,
  accepted_at    timestamptz,
  settled_at     timestamptz,
  version        integer not null default 0,
  constraint payments_reference_once_per_merchant unique (merchant_id, reference)
);
create index payments_newest on payments (merchant_id, id desc);
create index payments_open on payments (state, expires_at)
  where state in ('awaiting_deposit', 'confirming', 'accepted', 'settling');

create table rate_ticks (
  id      bigint generated always as identity primary key,
  base    asset_code not null,
  at      timestamptz not null,
  verdict text not null check (verdict in ('good', 'degraded', 'unusable')),
  reason  text,
  bid     numeric check (bid > 0),
  ask     numeric check (ask > 0),
  sources jsonb not null,
  bids    jsonb not null,
  constraint rate_ticks_usable_has_price check (verdict = 'unusable' or (bid is not null and ask is not null))
);
create index rate_ticks_latest on rate_ticks (base, id desc);

-- What each network can be paid with, and how its payment URI is written. The process that knows
-- the chain writes it; `{address}`, `{minor}` and `{units}` are filled in per quote.
create table payment_methods (
  network      network_id not null,
  asset        asset_code not null check (asset <> 'INR'),
  uri_template text not null check (length(uri_template) <= 512),
  updated_at   timestamptz not null,
  primary key (network, asset)
);

create table deposit_addresses (
  id          bigint generated always as identity primary key,
  network     network_id not null,
  path_index  bigint not null check (path_index between 0 and 2147483647),
  address     text not null check (length(address) <= 128),
  path        text not null,
  payment_id  uuid references payments (id),
  assigned_at timestamptz,
  unique (network, path_index),
  unique (network, address),
  constraint deposit_addresses_one_per_payment unique (network, payment_id),
  check ((payment_id is null) = (assigned_at is null))
);
create index deposit_addresses_free on deposit_addresses (network, path_index) where payment_id is null;

create table quotes (
  id            uuid primary key,
  payment_id    uuid not null references payments (id),
  network       network_id not null,
  asset         asset_code not null check (asset <> 'INR'),
  address       text not null,
  uri           text not null,
  amount_minor  positive_minor not null,
  payable_minor positive_minor not null,
  price         numeric not null check (price > 0),
  spread_bps    integer not null check (spread_bps between 0 and 1000),
  rounding      text not null,
  tick_id       bigint not null references rate_ticks (id),
  created_at    timestamptz not null,
  valid_until   timestamptz not null check (valid_until > created_at)
);
create index quotes_of_payment on quotes (payment_id, network, asset, created_at desc);

-- ---------------------------------------------------------------- chains and deposits
create table chain_cursors (
  network    network_id primary key,
  height     bigint not null check (height >= 0),
  hash       text not null,
  head       bigint not null check (head >= 0),
  epoch      bigint not null default 0,
  scanned_at timestamptz not null   -- when the scan last stood at the head
);

create table chain_blocks (
  network     network_id not null,
  height      bigint not null,
  hash        text not null,
  parent_hash text not null,
  canonical   boolean not null,
  seen_at     timestamptz not null,
  primary key (network, hash)
);
create unique index chain_blocks_one_canonical on chain_blocks (network, height) where canonical;

create table deposits (
  id            uuid primary key,
  network       network_id not null,
  tx_id         text not null check (length(tx_id) <= 128),
  ordinal       bigint not null check (ordinal >= 0),
  address       text not null,
  asset         asset_code not null check (asset <> 'INR'),
  amount_minor  positive_minor not null,
  payment_id    uuid references payments (id),
  quote_id      uuid references quotes (id),
  state         text not null check (state in ('pending', 'seen', 'confirmed', 'orphaned', 'dropped', 'replaced')),
  purpose       text not null check (purpose in ('payment', 'suspense')),
  reason        text,
  sightings     integer not null default 1,      -- how often it was (re-)included: part of its ledger keys
  block_hash    text,
  height        bigint,
  seen_at       timestamptz not null,
  confirmed_at  timestamptz,
  updated_at    timestamptz not null,
  constraint deposits_identity unique (network, tx_id, ordinal),
  check ((purpose = 'suspense') = (reason is not null))
);
create index deposits_of_payment on deposits (payment_id);
create index deposits_seen on deposits (network, height) where state = 'seen';

create table inclusions (
  deposit_id   uuid not null references deposits (id),
  block_hash   text not null,
  height       bigint not null,
  amount_minor positive_minor not null,
  seen_at      timestamptz not null,
  primary key (deposit_id, block_hash)
);

create table unknown_tokens (
  network  network_id not null,
  tx_id    text not null,
  ordinal  bigint not null,
  address  text not null,
  contract text not null,
  claimed  text not null,
  seen_at  timestamptz not null,
  primary key (network, tx_id, ordinal)
);

-- ---------------------------------------------------------------- conversions
create table conversions (
  id           uuid primary key,
  venue        text not null,
  asset        asset_code not null check (asset <> 'INR'),
  state        text not null check (state in ('planned', 'submitted', 'unknown', 'partly_filled',
                 'filled', 'rejected', 'in_review')),
  target_minor minor_amount not null,
  sold_minor   minor_amount not null default 0,
  dust_minor   minor_amount not null default 0,
  created_at   timestamptz not null,
  updated_at   timestamptz not null,
  check (sold_minor <= target_minor)
);
create index conversions_open on conversions (state) where state not in ('filled');

-- Accepted crypto that waits to be sold; a row is here until a conversion takes it.
create table conversion_queue (
  payment_id    uuid primary key references payments (id),
  asset         asset_code not null,
  amount_minor  positive_minor not null,
  queued_at     timestamptz not null,
  conversion_id uuid references conversions (id)
);
create index conversion_queue_waiting on conversion_queue (asset, queued_at) where conversion_id is null;

create index conversion_queue_of on conversion_queue (conversion_id) where conversion_id is not null;

create table order_attempts (
  conversion_id  uuid not null references conversions (id),
  attempt        integer not null check (attempt >= 1),
  client_ref     text not null unique,
  quantity       numeric not null check (quantity > 0),
  quantity_minor positive_minor not null,
  price          numeric not null check (price > 0),
  state          text not null check (state in ('planned', 'sent', 'unknown', 'open', 'filled',
                   'closed', 'rejected', 'absent')),
  venue_order_id text,
  executed_minor minor_amount not null default 0,
  planned_at     timestamptz not null,
  sent_at        timestamptz,
  cancel_at      timestamptz,
  closed_at      timestamptz,
  note           text,
  evidence       jsonb,                            -- the proof of absence, where one was needed
  primary key (conversion_id, attempt),
  constraint order_attempts_absent_needs_proof check (state <> 'absent' or (evidence is not null and evidence ? 'second'))
);
create unique index order_attempts_one_live on order_attempts (conversion_id)
  where state in ('planned', 'sent', 'unknown', 'open');

create table fills (
  venue          text not null,
  trade_id       text not null,
  conversion_id  uuid not null,
  attempt        integer not null,
  sold_minor     positive_minor not null,
  gross_minor    minor_amount not null,          -- a crumb may be worth less than a paisa
  fee_minor      minor_amount not null,
  fee_gst_minor  minor_amount not null,
  tds_minor      minor_amount not null,
  price          numeric not null,
  executed_at    timestamptz not null,
  recorded_at    timestamptz not null,
  primary key (venue, trade_id),
  foreign key (conversion_id, attempt) references order_attempts (conversion_id, attempt)
);
create index fills_of on fills (conversion_id);

-- ---------------------------------------------------------------- payouts
create table payouts (
  id             uuid primary key,
  payment_id     uuid not null unique references payments (id),
  merchant_id    uuid not null references merchants (id),
  destination_id uuid not null references payout_destinations (id),
  rail           text not null,
  vpa            text not null,
  payee_name     text not null,
  amount_minor   positive_minor not null,
  state          text not null check (state in ('planned', 'submitted', 'unknown', 'pending', 'queued',
                   'processing', 'paid', 'final', 'failed', 'rejected', 'cancelled', 'reversed', 'in_review')),
  utr            text,
  paid_at        timestamptz,
  created_at     timestamptz not null,
  updated_at     timestamptz not null
);
create index payouts_open on payouts (state) where state <> 'final';

create table payout_attempts (
  payout_id       uuid not null references payouts (id),
  attempt         integer not null check (attempt >= 1),
  idempotency_key text not null unique,
  reference       text not null unique,
  fund_account_id text not null,
  body            text not null,
  body_sha256     text not null,
  state           text not null check (state in ('planned', 'sent', 'unknown', 'pending', 'queued',
                    'processing', 'processed', 'failed', 'rejected', 'cancelled', 'reversed')),
  rail_payout_id  text unique,
  utr             text,
  fees_minor      minor_amount,
  tax_minor       minor_amount,
  reason          text,
  retryable       boolean not null default false,
  planned_at      timestamptz not null,
  sent_at         timestamptz,
  settled_at      timestamptz,
  primary key (payout_id, attempt)
);
create unique index payout_attempts_one_live on payout_attempts (payout_id)
  where state in ('planned', 'sent', 'unknown', 'pending', 'queued', 'processing', 'processed');

-- ---------------------------------------------------------------- what happened, and who must know
create table transitions (
  id         bigint generated always as identity primary key,
  entity     text not null check (entity in ('payment', 'deposit', 'conversion', 'payout')),
  entity_id  uuid not null,
  from_state text,
  to_state   text not null,
  event      text not null,
  cause      jsonb not null default '{}',
  at         timestamptz not null
);
create index transitions_of on transitions (entity_id, id);

create table payment_events (
  seq         bigint generated always as identity primary key,
  id          uuid not null unique,
  payment_id  uuid not null references payments (id),
  merchant_id uuid not null references merchants (id),
  kind        text not null,
  data        jsonb not null,
  at          timestamptz not null
);
create index payment_events_of on payment_events (payment_id, seq);

create table deliveries (
  id          uuid primary key,
  event_id    uuid not null references payment_events (id),
  merchant_id uuid not null references merchants (id),
  url         text not null,
  state       text not null check (state in ('pending', 'delivered', 'dead')),
  attempts    integer not null default 0,
  last_status integer,
  last_error  text,
  created_at  timestamptz not null,
  updated_at  timestamptz not null
);
create index deliveries_pending on deliveries (created_at) where state = 'pending';

create table inbox (
  id          uuid primary key,
  rail        text not null check (length(rail) <= 32),
  signatures  text[] not null,
  body        bytea not null check (octet_length(body) <= 262144),
  body_sha256 text not null,
  state       text not null check (state in ('new', 'read', 'refused')),
  note        text,
  received_at timestamptz not null,
  read_at     timestamptz,
  constraint inbox_once unique (rail, body_sha256, signatures)
);
create index inbox_new on inbox (received_at) where state = 'new';

create table cases (
  id           uuid primary key,
  kind         text not null,
  subject      text not null,
  payment_id   uuid references payments (id),
  asset        asset_code,
  amount_minor minor_amount,
  detail       jsonb not null default '{}',
  opened_at    timestamptz not null,
  closed_at    timestamptz
);
-- One open case per subject; what happens again after it was closed is shown again.
create unique index cases_one_open on cases (kind, subject) where closed_at is null;
create index cases_open on cases (opened_at) where closed_at is null;

-- A closed switch stops new work of its kind; it is read in the transaction that plans the work.
create table switches (
  name   text primary key check (name in ('quotes', 'conversions', 'payouts')),
  closed boolean not null default false,
  reason text,
  at     timestamptz not null
);
insert into switches (name, at) values ('quotes', now()), ('conversions', now()), ('payouts', now());

create table reconciliations (
  id          bigint generated always as identity primary key,
  scope       text not null,
  asset       asset_code not null,
  books_minor numeric(38,0) not null,
  other_minor numeric(38,0) not null,
  in_flight   boolean not null,
  at          timestamptz not null
);
create index reconciliations_latest on reconciliations (scope, asset, id desc);

-- ---------------------------------------------------------------- append-only, and rights
do $$
declare t text;
begin
  foreach t in array array['payout_destinations', 'rate_ticks', 'quotes', 'inclusions', 'fills',
    'transitions', 'payment_events', 'unknown_tokens', 'reconciliations',
    'rail_beneficiaries'] loop
    execute format('create trigger facts_never_change before update or delete on %I for each row execute function forbid_change()', t);
    execute format('create trigger facts_never_truncated before truncate on %I for each statement execute function forbid_change()', t);
    execute format('grant select, insert on %I to chukta_app', t);
  end loop;
  foreach t in array array['webhook_endpoints', 'payments', 'payment_methods', 'deposit_addresses',
    'chain_cursors', 'chain_blocks', 'deposits', 'conversions', 'conversion_queue', 'order_attempts', 'payouts',
    'payout_attempts', 'deliveries', 'inbox', 'cases', 'switches'] loop
    execute format('grant select, insert, update on %I to chukta_app', t);
  end loop;
end $$;

-- What was promised to a payer and who is paid never change after the fact, whatever a worker does.
create function keep_frozen() returns trigger language plpgsql as $$
declare was jsonb := to_jsonb(old); now_is jsonb := to_jsonb(new); col text;
begin
  foreach col in array tg_argv loop
    if was -> col is distinct from now_is -> col then
      raise exception '% of % may not change', col, tg_table_name using errcode = 'CK001';
    end if;
  end loop;
  return new;
end $$;
create trigger frozen before update on payments for each row execute function
  keep_frozen('merchant_id', 'reference', 'amount_minor', 'destination_id', 'created_at');
create trigger frozen before update on payouts for each row execute function
  keep_frozen('payment_id', 'merchant_id', 'destination_id', 'rail', 'vpa', 'payee_name', 'amount_minor');
create trigger frozen before update on payout_attempts for each row execute function
  keep_frozen('idempotency_key', 'reference', 'fund_account_id', 'body', 'body_sha256');
create trigger frozen before update on order_attempts for each row execute function
  keep_frozen('client_ref', 'quantity', 'quantity_minor', 'price');
create trigger frozen before update on conversion_queue for each row execute function
  keep_frozen('asset', 'amount_minor');
create trigger frozen before update on deposits for each row execute function
  keep_frozen('network', 'tx_id', 'ordinal', 'address', 'asset');
