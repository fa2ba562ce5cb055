-- Everybody's money: what a shop wants done with money that is late, short, too much or in the wrong
-- asset; what was done with each deposit; and the crypto that is owed back to payers.
--
-- A policy is never changed: a new version is added, the newest one acts, and its number is kept
-- with the payment and with every outcome. Version 0 is the house's own.

create table merchant_policies (
  merchant_id    uuid not null references merchants (id),
  version        integer not null check (version >= 1),
  late           text not null check (late in ('honour', 'requote', 'refund', 'review')),
  short          text not null check (short in ('topup', 'honour', 'refund', 'review')),
  surplus        text not null check (surplus in ('honour', 'refund', 'review')),
  wrong_asset    text not null check (wrong_asset in ('requote', 'refund', 'review')),
  after_end      text not null check (after_end in ('refund', 'review')),
  auto_max_paise bigint not null check (auto_max_paise between 0 and 10000000),
  late_grace_s   bigint not null check (late_grace_s between 0 and 86400),
  late_slip_bps  integer not null check (late_slip_bps between 0 and 1000),
  tolerance_bps  integer not null check (tolerance_bps between 0 and 1000),
  topup_s        bigint not null check (topup_s between 0 and 86400),
  dust_paise     bigint not null check (dust_paise between 0 and 100000),
  note           text not null check (length(note) between 1 and 200),
  created_at     timestamptz not null,
  primary key (merchant_id, version)
);

-- What became of money once it was final. The newest row of a deposit is its outcome.
create table deposit_outcomes (
  id             bigint generated always as identity primary key,
  deposit_id     uuid not null references deposits (id),
  sighting       integer not null,
  outcome        text not null check (outcome in ('counted', 'honoured', 'requoted', 'attributed',
                   'refund_promised', 'review', 'dust')),
  policy_version integer not null check (policy_version >= 0),
  why            text,
  at             timestamptz not null
);
create index deposit_outcomes_of on deposit_outcomes (deposit_id, id desc);

create table refunds (
  id           uuid primary key,
  subject      text not null unique check (length(subject) <= 180),
  payment_id   uuid references payments (id),
  merchant_id  uuid references merchants (id),
  deposit_id   uuid references deposits (id),
  network      network_id not null,
  asset        asset_code not null check (asset <> 'INR'),
  amount_minor positive_minor not null,
  kind         text not null,
  state        text not null check (state in ('promised', 'addressed', 'sent', 'withdrawn')),
  address      text check (length(address) <= 128),
  proof        text check (length(proof) <= 500),
  tx_id        text check (length(tx_id) <= 128),
  ordinal      bigint,
  promised_at  timestamptz not null,
  updated_at   timestamptz not null,
  constraint refunds_addressed_has_address
    check (state not in ('addressed', 'sent') or (address is not null and proof is not null)),
  constraint refunds_sent_has_transaction
    check ((state = 'sent') = (tx_id is not null and ordinal is not null)),
  -- One output of one transaction pays one refund.
  constraint refunds_one_output unique (network, tx_id, ordinal)
);
create index refunds_open on refunds (promised_at) where state in ('promised', 'addressed');
create index refunds_of_payment on refunds (payment_id);
create index refunds_of_deposit on refunds (deposit_id);

alter table payments add column policy_version integer check (policy_version >= 0);
-- Rupees the shop was credited, where a policy took a little less or more than was asked for.
alter table payments add column credited_minor positive_minor;
-- When the time was lengthened for a payer who still owes a part: once.
alter table payments add column lengthened_at timestamptz;

-- How often a person allowed one more attempt.
alter table payouts add column retries integer not null default 0 check (retries between 0 and 1000);
alter table conversions add column retries integer not null default 0
  check (retries between 0 and 1000);

-- The stamp a block carries: a payment does not end before its networks are past its deadline.
alter table chain_blocks add column stamped_at timestamptz;

-- The steps of refunds are recorded like those of everything else.
alter table transitions drop constraint transitions_entity_check;
alter table transitions add constraint transitions_entity_check
  check (entity in ('payment', 'deposit', 'conversion', 'payout', 'refund'));

-- A transaction that a reorganisation executed anew may pay another address in another asset. While
-- a deposit is in a block, what it says may not change.
drop trigger frozen on deposits;
create trigger frozen before update on deposits for each row execute function
  keep_frozen('network', 'tx_id', 'ordinal');
create trigger frozen_while_it_counts before update on deposits for each row
  when (old.state in ('seen', 'confirmed')) execute function
  keep_frozen('address', 'asset', 'amount_minor');
create trigger frozen before update on refunds for each row execute function
  keep_frozen('subject', 'payment_id', 'merchant_id', 'deposit_id', 'network', 'asset',
    'amount_minor', 'kind', 'promised_at');

do $$
declare t text;
begin
  foreach t in array array['merchant_policies', 'deposit_outcomes'] loop
    execute format('create trigger facts_never_change before update or delete on %I for each row execute function forbid_change()', t);
    execute format('create trigger facts_never_truncated before truncate on %I for each statement execute function forbid_change()', t);
    execute format('grant select, insert on %I to chukta_app', t);
  end loop;
  grant select, insert, update on refunds to chukta_app;
end $$;

-- A refund in the network's own coin may pay its fee from the address it leaves.
set local role ledger_owner;
insert into ledger.kind_legs (kind_id, debit_role_id, credit_role_id)
select k.id, d.id, c.id
from ledger.transfer_kinds k, ledger.roles d, ledger.roles c
where k.code = 'refund.sent' and d.code = 'network.fee' and c.code = 'escrow';
reset role;
