-- The ledger's tables and everything that keeps them true. The doors (post, reverse, …) and the
-- readers follow in the next files.
--
-- Rights needed to run this: CREATE on the database, and either superuser or CREATEROLE.
-- Nobody logs in as ledger_owner; the fleet logs in as chukta_app and as nothing else.
-- Passwords are not set here: who may connect is pg_hba.conf's or the operator's business.

-- Roles belong to the whole server, and several databases (tests) migrate at once. An advisory lock
-- is per database and would not help; a concurrent creation is caught instead.
do $$
declare r text;
begin
  foreach r in array array['ledger_owner', 'ledger_poster', 'ledger_reader', 'chukta_app'] loop
    if not exists (select from pg_roles where rolname = r) then
      begin
        execute format('create role %I %s', r,
                       case r when 'chukta_app' then 'login' else 'nologin' end);
      exception when duplicate_object or unique_violation then null;
      end;
    end if;
  end loop;
  if not exists (select from pg_auth_members
                 where roleid = 'ledger_poster'::regrole and member = 'chukta_app'::regrole) then
    begin
      grant ledger_poster to chukta_app;
    exception when duplicate_object or unique_violation then null;
    end;
  end if;
  if not pg_has_role(current_user, 'ledger_owner', 'member') then
    begin
      execute format('grant ledger_owner to %I', current_user);
    exception when duplicate_object or unique_violation then null;
    end;
  end if;
end $$;

create schema ledger;
alter schema ledger owner to ledger_owner;
set local role ledger_owner;

-- Single-column rules live in domains: PostgreSQL caches those per session, while a table CHECK is
-- parsed again by every statement. The upper bounds also shut out NaN, which sorts above every
-- number.
create domain ledger.amount   as numeric(38,0) check (value > 0 and value < 1e38);
create domain ledger.counter  as numeric(38,0) check (value >= 0 and value < 1e38);
create domain ledger.key      as text     check (length(value) between 4 and 200);
create domain ledger.actor    as text     check (length(value) between 1 and 200);
create domain ledger.meta     as jsonb    check (octet_length(value::text) <= 16384);
create domain ledger.digest32 as bytea    check (length(value) = 32);
create domain ledger.leg_no   as smallint check (value between 1 and 200);
-- 0 posted, 1 hold, 2 capture of a hold, 3 release of a hold
create domain ledger.phase    as smallint check (value between 0 and 3);

create table ledger.assets (
  id    smallint primary key,
  code  text     not null unique check (code ~ '^[A-Z0-9.]{2,20}$'),
  scale smallint not null check (scale between 0 and 30),     -- 1 unit = 10^scale minor units
  kind  text     not null check (kind in ('fiat', 'native', 'token'))
);

create type ledger.account_class as enum ('asset', 'liability', 'equity', 'income', 'expense');

-- A role is a line of the chart of accounts. Class and guard follow from it, so no caller can open
-- a liability that may go negative.
create table ledger.roles (
  id    smallint primary key,
  code  text     not null unique,
  class ledger.account_class not null,
  -- 1: credits may not exceed debits (assets); 2: debits may not exceed credits (liabilities)
  guard smallint not null check (guard in (0, 1, 2)),
  unique (id, guard)
);

create table ledger.accounts (
  id         bigint generated always as identity primary key,
  code       text     not null unique check (code ~ '^[A-Za-z0-9_.:-]{3,120}$'),
  asset_id   smallint not null references ledger.assets,
  role_id    smallint not null references ledger.roles,
  owner_id   uuid,
  created_at timestamptz not null default clock_timestamp(),
  unique (id, asset_id),                                      -- targets of composite foreign keys
  unique (id, asset_id, role_id)
);
create index accounts_owner on ledger.accounts (owner_id) where owner_id is not null;

-- The only table that is ever updated. Four counters: nothing is ever subtracted from the posted
-- ones, so gross turnover stays visible and a floor is a plain CHECK. Pending counts against you.
create table ledger.balances (
  account_id      bigint   primary key,
  asset_id        smallint not null,
  role_id         smallint not null,
  guard           smallint not null,
  frozen          boolean  not null default false,
  debits_posted   ledger.counter not null default 0,
  credits_posted  ledger.counter not null default 0,
  debits_pending  ledger.counter not null default 0,
  credits_pending ledger.counter not null default 0,
  version         bigint   not null default 0,
  foreign key (account_id, asset_id, role_id) references ledger.accounts (id, asset_id, role_id),
  foreign key (role_id, guard) references ledger.roles (id, guard),
  constraint overdraft check (
    case guard when 1 then credits_posted + credits_pending <= debits_posted
               when 2 then debits_posted + debits_pending <= credits_posted
               else true end)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

create table ledger.transfer_kinds (
  id          smallint primary key,
  code        text     not null unique,
  is_reversal boolean  not null default false
);
create unique index transfer_kinds_one_reversal on ledger.transfer_kinds (is_reversal)
  where is_reversal;

-- Posting rules as data: which roles may meet in a leg of which kind of transfer.
create table ledger.kind_legs (
  kind_id        smallint not null references ledger.transfer_kinds,
  debit_role_id  smallint not null references ledger.roles,
  credit_role_id smallint not null references ledger.roles,
  primary key (kind_id, debit_role_id, credit_role_id)
);

create table ledger.transfers (
  id             bigint generated always as identity primary key,
  key            ledger.key      not null,
  fingerprint    ledger.digest32 not null,
  kind_id        smallint        not null references ledger.transfer_kinds,
  leg_count      ledger.leg_no   not null,
  correlation_id uuid,
  reverses_id    bigint          references ledger.transfers,
  effective_at   timestamptz     not null,                    -- when it happened outside
  xact           bigint          not null default pg_current_xact_id()::text::bigint,
  actor          ledger.actor    not null,
  meta           ledger.meta,
  constraint transfers_key_once unique (key)
);
create unique index transfers_reversed_once on ledger.transfers (reverses_id)
  where reverses_id is not null;
create index transfers_correlation on ledger.transfers (correlation_id)
  where correlation_id is not null;
create index transfers_xact on ledger.transfers using brin (xact)
  with (pages_per_range = 16, autosummarize = on);
create index transfers_effective on ledger.transfers using brin (effective_at)
  with (pages_per_range = 16, autosummarize = on);

-- One movement = one row = one asset, one debit account, one credit account, one positive amount.
-- An unbalanced movement has no representation in this table.
create table ledger.legs (
  transfer_id      bigint        not null references ledger.transfers,
  leg              ledger.leg_no not null,
  phase            ledger.phase  not null default 0,
  asset_id         smallint      not null,
  debit_id         bigint        not null,
  credit_id        bigint        not null,
  amount           ledger.amount not null,
  hold_transfer_id bigint,
  hold_leg         smallint,
  debit_seq        bigint        not null,
  credit_seq       bigint        not null,
  -- Posted debits - posted credits of each account right after this row.
  debit_net        numeric(38,0) not null,
  credit_net       numeric(38,0) not null,
  -- The clock, read while both accounts are locked: never falls along an account's sequence.
  posted_at        timestamptz   not null,
  primary key (transfer_id, leg),
  constraint legs_shape check (
    debit_id <> credit_id and (phase > 1) = (hold_transfer_id is not null)
    and (hold_transfer_id is null) = (hold_leg is null)),
  foreign key (debit_id,  asset_id) references ledger.accounts (id, asset_id),
  foreign key (credit_id, asset_id) references ledger.accounts (id, asset_id),
  foreign key (hold_transfer_id, hold_leg) references ledger.legs (transfer_id, leg)
);
create unique index legs_debit_seq  on ledger.legs (debit_id,  debit_seq);
create unique index legs_credit_seq on ledger.legs (credit_id, credit_seq);
create unique index legs_hold_once  on ledger.legs (hold_transfer_id, hold_leg)
  where hold_transfer_id is not null;

-- One row: everything effective up to this moment is closed.
create table ledger.closings (
  one            boolean primary key default true check (one),
  closed_through timestamptz not null default '-infinity'
);
insert into ledger.closings default values;

-- ------------------------------------------------------------ immutability, also for the owner
create function ledger.deny() returns trigger language plpgsql as $$
begin
  raise exception 'ledger: % on %.% is forbidden', tg_op, tg_table_schema, tg_table_name
    using errcode = 'LG000';
end $$;

-- ENABLE ALWAYS: also when session_replication_role = replica.
do $$
declare t text;
begin
  foreach t in array array['transfers', 'legs', 'accounts', 'roles', 'transfer_kinds', 'assets',
                           'balances', 'closings'] loop
    execute format('create trigger no_truncate before truncate on ledger.%I
                    for each statement execute function ledger.deny()', t);
    execute format('create trigger no_change before %s on ledger.%I
                    for each row execute function ledger.deny()',
                   case when t in ('balances', 'closings') then 'delete'
                        else 'update or delete' end, t);
    execute format('alter table ledger.%I enable always trigger no_truncate,
                    enable always trigger no_change', t);
  end loop;
end $$;

-- Posted counters and the version only grow; nothing changes without a new version but the freeze,
-- and a freeze changes nothing else. Account, asset, role and guard are held by the foreign keys.
create function ledger.only_forward() returns trigger language plpgsql as $$
begin
  raise exception 'ledger: % may only move forward', tg_table_name using errcode = 'LG000';
end $$;
create trigger forward before update on ledger.balances for each row
  when (new.debits_posted < old.debits_posted or new.credits_posted < old.credits_posted
        or new.version < old.version
        or (new.version = old.version
            and (new.frozen = old.frozen
                 or new.debits_posted <> old.debits_posted
                 or new.credits_posted <> old.credits_posted
                 or new.debits_pending <> old.debits_pending
                 or new.credits_pending <> old.credits_pending)))
  execute function ledger.only_forward();
create trigger forward before update on ledger.closings for each row
  when (new.closed_through < old.closed_through)
  execute function ledger.only_forward();
alter table ledger.balances enable always trigger forward;
alter table ledger.closings enable always trigger forward;

-- A header without its legs would swallow the key for ever: checked at commit. It runs under the
-- caller's search_path, so every name is qualified (cheaper than SET search_path).
create function ledger.transfer_complete() returns trigger language plpgsql as $$
begin
  if (select pg_catalog.count(*) from ledger.legs l
      where l.transfer_id operator(pg_catalog.=) new.id) operator(pg_catalog.<>) new.leg_count then
    raise exception 'ledger: transfer % has not % legs', new.id, new.leg_count
      using errcode = 'LG002';
  end if;
  return null;
end $$;
create constraint trigger complete after insert on ledger.transfers deferrable initially deferred
  for each row execute function ledger.transfer_complete();
alter table ledger.transfers enable always trigger complete;

-- Every account gets its balance row in the same statement.
create function ledger.make_balance() returns trigger
language plpgsql set search_path = ledger, pg_temp as $$
begin
  insert into balances (account_id, asset_id, role_id, guard)
    select new.id, new.asset_id, new.role_id, r.guard from roles r where r.id = new.role_id;
  return null;
end $$;
create trigger make_balance after insert on ledger.accounts
  for each row execute function ledger.make_balance();
alter table ledger.accounts enable always trigger make_balance;

-- ------------------------------------------------------------ privileges: look, do not touch
revoke all on all tables in schema ledger from public;
revoke all on all functions in schema ledger from public;
grant usage on schema ledger to ledger_poster, ledger_reader;
grant select on all tables in schema ledger to ledger_poster, ledger_reader;
reset role;
