-- When a deposit is shown, when it may be accepted early, when it counts: versioned data. The
-- evidence for each decision, the house's limit for early acceptance, and what reorganisations cost.

-- ---------------------------------------------------------------- policies
-- A rule is `mempool`, `depth:n`, `safe` or `finalized`.
create domain show_rule as text
  check (value = 'mempool' or value in ('safe', 'finalized') or value ~ '^depth:[1-9][0-9]{0,3}$');
create domain credit_rule as text
  check (value in ('safe', 'finalized') or value ~ '^depth:[1-9][0-9]{0,3}$');

-- One row per tier of one version; the highest version of a network and asset counts.
create table confirmation_policies (
  network       network_id not null,
  asset         asset_code not null check (asset <> 'INR'),
  version       integer not null check (version >= 1),
  from_minor    minor_amount not null,            -- paise: the tier holds from this value on
  show_rule     show_rule not null,
  accept_rule   credit_rule not null,
  final_rule    credit_rule not null check (final_rule <> 'safe'),
  min_witnesses smallint not null check (min_witnesses between 1 and 16),
  actor         text not null check (length(actor) between 1 and 200),
  reason        text not null check (length(reason) between 1 and 500),
  created_at    timestamptz not null,
  primary key (network, asset, version, from_minor)
);

-- A version is written whole, once, and above the last one: nobody adds a tier to history.
create function policy_versions_are_whole() returns trigger language plpgsql as $$
begin
  if exists (
    select from (select network, asset, version, count(*) as tiers, min(from_minor) as least
                 from fresh group by network, asset, version) f
    where f.least <> 0
       or f.tiers <> (select count(*) from confirmation_policies p
                      where p.network = f.network and p.asset = f.asset and p.version = f.version)
       or f.version <> 1 + coalesce((select max(p.version) from confirmation_policies p
            where p.network = f.network and p.asset = f.asset and p.version <> f.version), 0)
  ) then
    raise exception 'a policy version is written whole, from zero, after the last one'
      using errcode = 'CK002';
  end if;
  return null;
end $$;
create trigger whole_versions after insert on confirmation_policies
  referencing new table as fresh for each statement execute function policy_versions_are_whole();

-- The version a deposit was last judged by; 0 is the rule of the settings.
alter table deposits add column policy_version integer check (policy_version >= 0);

-- ---------------------------------------------------------------- evidence
-- What was known when a deposit was accepted, called final, or disputed.
create table inclusion_evidence (
  id             bigint generated always as identity primary key,
  deposit_id     uuid not null references deposits (id),
  sighting       integer not null,
  block_hash     text not null,
  height         bigint not null,
  level          text not null check (level in ('accept', 'final', 'dispute')),
  policy_version integer not null check (policy_version >= 0),
  min_witnesses  smallint not null,
  latest         bigint not null,
  safe           bigint,
  finalized      bigint,
  witnesses      jsonb not null,
  at             timestamptz not null
);
create unique index inclusion_evidence_once on inclusion_evidence
  (deposit_id, sighting, level, policy_version)
  where level in ('accept', 'final');
create index inclusion_evidence_of on inclusion_evidence (deposit_id, id);

-- A block the nodes do not agree on. While one is open, its network credits nothing.
create table block_disputes (
  id          bigint generated always as identity primary key,
  network     network_id not null,
  block_hash  text not null,
  height      bigint not null,
  dissent     text[] not null check (cardinality(dissent) >= 1),  -- nodes that held another block
  opened_at   timestamptz not null,
  resolved_at timestamptz,
  resolution  text check (resolution in ('agreed', 'orphaned', 'operator')),
  note        text,
  check ((resolved_at is null) = (resolution is null))
);
create unique index block_disputes_open on block_disputes (network, block_hash)
  where resolved_at is null;

-- ---------------------------------------------------------------- early acceptance
-- The shop was told "paid" before the deposit was final: the house carries the risk until it is.
create table early_acceptances (
  payment_id     uuid primary key references payments (id),
  quote_id       uuid not null references quotes (id),
  network        network_id not null,
  asset          asset_code not null check (asset <> 'INR'),
  amount_minor   positive_minor not null,         -- paise at risk
  policy_version integer not null check (policy_version >= 1),
  accepted_at    timestamptz not null,
  ended_at       timestamptz,
  outcome        text check (outcome in ('final', 'honoured')),
  check ((ended_at is null) = (outcome is null))
);
create index early_acceptances_open on early_acceptances (network) where ended_at is null;

-- ---------------------------------------------------------------- what reorganisations cost
-- `unspent` left the books with the debt it was owed for, `lost` was ours to bear, `returned` came
-- back by a later inclusion of the same deposit.
create table reorg_entries (
  deposit_id   uuid not null references deposits (id),
  sighting     integer not null,
  kind         text not null check (kind in ('unspent', 'lost', 'returned')),
  asset        asset_code not null,
  amount_minor positive_minor not null,
  at           timestamptz not null,
  primary key (deposit_id, sighting, kind)
);

-- What of a deposit is anybody's to give away: all but what this sighting of it gave back to the
-- loss account.
create function left_of(d deposits) returns numeric language sql stable as $$
  select d.amount_minor - coalesce((select sum(r.amount_minor) from reorg_entries r
    where r.deposit_id = d.id and r.sighting = d.sightings and r.kind = 'returned'), 0)
$$;

do $$
declare t text;
begin
  foreach t in array array['confirmation_policies', 'inclusion_evidence', 'reorg_entries'] loop
    execute format('create trigger facts_never_change before update or delete on %I for each row execute function forbid_change()', t);
    execute format('create trigger facts_never_truncated before truncate on %I for each statement execute function forbid_change()', t);
    execute format('grant select, insert on %I to chukta_app', t);
  end loop;
  foreach t in array array['block_disputes', 'early_acceptances'] loop
    execute format('grant select, insert, update on %I to chukta_app', t);
  end loop;
end $$;
create trigger frozen before update on block_disputes for each row execute function
  keep_frozen('network', 'block_hash', 'height', 'opened_at');
create trigger frozen before update on early_acceptances for each row execute function
  keep_frozen('payment_id', 'quote_id', 'network', 'asset', 'amount_minor', 'policy_version', 'accepted_at');

-- ---------------------------------------------------------------- the books
set local role ledger_owner;

-- Memorandum accounts, per network, in rupees: headroom + taken = granted, always.
insert into ledger.roles (id, code, class, guard) values
  (710, 'risk.headroom', 'asset', 1),      -- what early acceptance may still take
  (711, 'risk.taken',    'asset', 1),      -- what it has taken and not given back
  (712, 'risk.granted',  'liability', 2);  -- the limit

insert into ledger.transfer_kinds (id, code, is_reversal) values
  (710, 'risk', false), (711, 'reorg.returned', false);

insert into ledger.kind_legs (kind_id, debit_role_id, credit_role_id)
select k.id, d.id, c.id from (values
  ('risk', 'risk.headroom', 'risk.granted'),   -- granted
  ('risk', 'risk.granted', 'risk.headroom'),   -- withdrawn
  ('risk', 'risk.taken', 'risk.headroom'),     -- accepted early
  ('risk', 'risk.headroom', 'risk.taken'),     -- final: given back
  ('risk', 'risk.granted', 'risk.taken'),      -- honoured at a loss: the limit shrinks
  ('convert', 'loss', 'trading'),              -- an honoured payment, at the house's cost
  ('reorg.returned', 'suspense', 'loss'), ('reorg.returned', 'deposit', 'loss')
) v(kind, debit, credit)
left join ledger.transfer_kinds k on k.code = v.kind
left join ledger.roles d on d.code = v.debit
left join ledger.roles c on c.code = v.credit;
reset role;
