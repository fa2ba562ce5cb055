-- What the treasury was still missing: several transactions of one gas station at a time, top-ups
-- that let a stuck move go on, cold storage, and transactions adopted from the signer's log.

-- ---------------------------------------------------------------- moves
alter table moves drop constraint moves_purpose_check;
alter table moves add constraint moves_purpose_check
  check (purpose in ('fund_venue', 'gas', 'to_cold'));
-- Of a top-up: the move that waits for it to be sent at a higher fee.
alter table moves add column serves uuid references moves (id);
create index moves_serving on moves (serves) where serves is not null;
-- Nothing goes to cold storage twice within its day: the newest are added up.
create index moves_to_cold on moves (network, asset, planned_at) where purpose = 'to_cold';

-- A gas station's transactions stand behind each other: each live one has a nonce of its own. One
-- that is `spent` was used up in a block; one that is neither may be given again.
alter table move_sources add column nonce bigint check (nonce >= 0);
update move_sources s set
    nonce = (select (a.draft #>> '{unsigned,nonce}')::bigint from move_attempts a
      where a.move_id = s.move_id order by a.attempt desc limit 1),
    spent = m.state in ('final', 'credited', 'failed', 'replaced')
  from moves m where m.id = s.move_id and m.purpose = 'gas';
create unique index move_sources_one_nonce on move_sources (network, address, nonce)
  where live and nonce is not null;
create index move_sources_nonces on move_sources (network, address, nonce)
  where nonce is not null;

-- The attempt in whose place the signer's log holds another transaction under the same id.
alter table move_attempts add column adopts integer;
create unique index move_attempts_adopted_once on move_attempts (move_id, adopts)
  where adopts is not null;

drop trigger frozen on moves;
create trigger frozen before update on moves for each row execute function
  keep_frozen('purpose', 'network', 'asset', 'venue', 'to_address', 'takes_all', 'fee_asset',
    'planned_at', 'serves');
drop trigger frozen on move_sources;
create trigger frozen before update on move_sources for each row execute function
  keep_frozen('network', 'source', 'address', 'amount_minor', 'nonce');
drop trigger frozen on move_attempts;
create trigger frozen before update on move_attempts for each row execute function
  keep_frozen('intent_id', 'amount_minor', 'fee_max_minor', 'fee_paise', 'draft',
    'planned_at', 'adopts');

-- ---------------------------------------------------------------- the books
set local role ledger_owner;
insert into ledger.kind_legs (kind_id, debit_role_id, credit_role_id)
select k.id, d.id, c.id from (values
  -- Deposits to cold storage.
  ('transfer.out', 'treasury', 'escrow'),
  -- What people bring back out of it pays its own fee.
  ('transfer.out', 'network.fee', 'treasury')
) v(kind, debit, credit)
left join ledger.transfer_kinds k on k.code = v.kind
left join ledger.roles d on d.code = v.debit
left join ledger.roles c on c.code = v.credit;
reset role;
