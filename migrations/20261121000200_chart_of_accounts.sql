-- The chart of accounts: assets, roles, kinds of transfers, and which roles may meet in which kind.
-- docs/LEDGER.md draws every event. New kinds, roles and rules are new rows in a new migration.
set local role ledger_owner;

-- The scales equal primitives::Asset; a test compares them.
insert into ledger.assets (id, code, scale, kind) values
  (1, 'INR',   2, 'fiat'),
  (2, 'USDC',  6, 'token'),
  (3, 'ETH',  18, 'native'),
  (4, 'BTC',   8, 'native'),
  (5, 'SOL',   9, 'native'),
  (6, 'USDT',  6, 'token');

insert into ledger.roles (id, code, class, guard) values
  (100, 'escrow',         'asset', 1),      -- deposit addresses, per network and asset
  (101, 'treasury',       'asset', 1),      -- own hot and cold wallets
  (102, 'gas',            'asset', 1),      -- native coin kept to pay network fees
  (110, 'venue.free',     'asset', 1),      -- exchange balance, free (rupees included)
  (111, 'venue.order',    'asset', 1),      -- exchange balance locked in open orders
  (120, 'transit',        'asset', 1),      -- left one place, not yet seen at the other, per route
  (130, 'bank',           'asset', 1),      -- payout float and bank accounts
  (140, 'receivable',     'asset', 1),      -- claims: reorged deposits, disputes with providers
  (150, 'tds.receivable', 'asset', 1),      -- tax an exchange withheld from us
  (151, 'gst.input',      'asset', 1),      -- tax we paid to others and may set off
  (200, 'deposit',        'liability', 2),  -- crypto received and owed, per merchant and asset
  (201, 'suspense',       'liability', 2),  -- received, belongs to nobody yet
  (202, 'refund',         'liability', 2),  -- promised back to a payer
  (210, 'merchant',       'liability', 2),  -- rupees owed to a merchant
  (220, 'tds.payable',    'liability', 2),
  (221, 'gst.payable',    'liability', 2),
  (300, 'trading',        'equity', 0),     -- the currency-trading account, one per asset
  (301, 'capital',        'equity', 0),
  (400, 'fee',            'income', 0),
  (401, 'trading.result', 'income', 0),     -- realised price gain (credit) or loss (debit)
  (402, 'rounding',       'income', 0),
  (500, 'network.fee',    'expense', 0),
  (501, 'venue.fee',      'expense', 0),
  (502, 'payout.fee',     'expense', 0),
  (503, 'loss',           'expense', 0);

insert into ledger.transfer_kinds (id, code, is_reversal) values
  (10, 'capital', false), (11, 'deposit', false), (13, 'deposit.unidentified', false),
  (14, 'suspense.assign', false), (15, 'deposit.reorg', false), (20, 'transfer.out', false),
  (22, 'transfer.in', false), (23, 'order', false), (25, 'fill', false), (26, 'convert', false),
  (27, 'trading.close', false), (40, 'payout', false), (41, 'payout.cost', false),
  (42, 'payout.returned', false), (50, 'refund.reserve', false), (51, 'refund.sent', false),
  (60, 'tax.paid', false), (70, 'write.off', false), (71, 'clawback', false),
  (99, 'reversal', true);

insert into ledger.kind_legs (kind_id, debit_role_id, credit_role_id)
select k.id, d.id, c.id from (values
  -- Owners put money in: at the bank, as gas, in the treasury, as inventory at a venue.
  ('capital', 'bank', 'capital'), ('capital', 'gas', 'capital'),
  ('capital', 'treasury', 'capital'), ('capital', 'venue.free', 'capital'),
  ('capital', 'escrow', 'capital'),
  -- Crypto arrives: held when seen, posted when final, released when gone.
  ('deposit', 'escrow', 'deposit'),
  ('deposit.unidentified', 'escrow', 'suspense'),
  ('suspense.assign', 'suspense', 'deposit'), ('suspense.assign', 'suspense', 'refund'),
  ('deposit.reorg', 'deposit', 'escrow'), ('deposit.reorg', 'suspense', 'escrow'),
  ('deposit.reorg', 'receivable', 'escrow'),
  -- Our own crypto and rupees move between places.
  ('transfer.out', 'transit', 'escrow'), ('transfer.out', 'transit', 'treasury'),
  ('transfer.out', 'transit', 'venue.free'), ('transfer.out', 'transit', 'bank'),
  ('transfer.out', 'network.fee', 'gas'), ('transfer.out', 'venue.fee', 'venue.free'),
  ('transfer.in', 'venue.free', 'transit'), ('transfer.in', 'treasury', 'transit'),
  ('transfer.in', 'gas', 'transit'), ('transfer.in', 'bank', 'transit'),
  -- Selling on a venue.
  ('order', 'venue.order', 'venue.free'), ('order', 'venue.free', 'venue.order'),
  ('fill', 'trading', 'venue.order'), ('fill', 'venue.free', 'trading'),
  ('fill', 'venue.fee', 'venue.free'), ('fill', 'gst.input', 'venue.free'),
  ('fill', 'tds.receivable', 'venue.free'),
  ('fill', 'venue.free', 'rounding'), ('fill', 'rounding', 'venue.free'),
  ('trading.close', 'trading', 'trading.result'), ('trading.close', 'trading.result', 'trading'),
  -- The payer's crypto becomes the merchant's rupees at the quote.
  ('convert', 'deposit', 'trading'), ('convert', 'trading', 'merchant'),
  ('convert', 'merchant', 'fee'), ('convert', 'merchant', 'gst.payable'),
  ('convert', 'merchant', 'tds.payable'),
  ('convert', 'merchant', 'rounding'), ('convert', 'rounding', 'merchant'),
  -- Rupees leave: held when planned, posted when paid, released when failed.
  ('payout', 'merchant', 'bank'),
  ('payout.cost', 'payout.fee', 'bank'), ('payout.cost', 'gst.input', 'bank'),
  ('payout.returned', 'bank', 'merchant'),
  ('payout.returned', 'bank', 'payout.fee'), ('payout.returned', 'bank', 'gst.input'),
  -- Crypto goes back to payers.
  ('refund.reserve', 'deposit', 'refund'), ('refund.reserve', 'suspense', 'refund'),
  ('refund.sent', 'refund', 'escrow'), ('refund.sent', 'refund', 'treasury'),
  ('refund.sent', 'refund', 'fee'), ('refund.sent', 'network.fee', 'gas'),
  -- Taxes, claims, losses.
  ('tax.paid', 'tds.payable', 'bank'), ('tax.paid', 'gst.payable', 'bank'),
  ('tax.paid', 'gst.payable', 'gst.input'),
  ('write.off', 'loss', 'receivable'), ('write.off', 'loss', 'escrow'),
  ('write.off', 'merchant', 'receivable'),
  ('clawback', 'trading', 'receivable'), ('clawback', 'merchant', 'trading')
) v(kind, debit, credit)
-- Left joins: a misspelt role is a null and stops the migration instead of losing its rule.
left join ledger.transfer_kinds k on k.code = v.kind
left join ledger.roles d on d.code = v.debit
left join ledger.roles c on c.code = v.credit;
reset role;
