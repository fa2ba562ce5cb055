-- Venues take fees in whatever asset they like: Binance in BNB, where an account chose so. BNB is
-- kept with the venue's eight places and held there alone; no network carries it.
set local role ledger_owner;

-- The scale equals primitives::Asset; a test compares them.
insert into ledger.assets (id, code, scale, kind) values (7, 'BNB', 8, 'token');

reset role;

alter domain asset_code drop constraint asset_code_check;
alter domain asset_code add constraint asset_code_check
  check (value in ('INR', 'BTC', 'ETH', 'SOL', 'USDC', 'USDT', 'BNB'));
