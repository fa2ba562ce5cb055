//! What a migration gone wrong could try, as the owner of the schema or the superuser.

use super::Attack;

pub(super) const BY_THE_OWNER: &[Attack] = &[
    ("update an amount", "LG000", "update ledger.legs set amount = 1 where transfer_id = {t0}"),
    ("delete a leg", "LG000", "delete from ledger.legs where transfer_id = {t0}"),
    ("delete a header", "LG000", "delete from ledger.transfers where id = {t0}"),
    ("truncate", "LG000", "truncate ledger.legs cascade"),
    ("rename an account", "LG000", "update ledger.accounts set code = 'xyz' where id = {a}"),
    ("change a scale", "LG000", "update ledger.assets set scale = 8 where id = 1"),
    ("lift a floor", "LG000", "update ledger.roles set guard = 0 where id = 902"),
    (
        "lift the floor of one balance",
        "23503",
        "update ledger.balances set guard = 0,
        version = version + 1 where account_id = {b}",
    ),
    ("delete a balance", "LG000", "delete from ledger.balances where account_id = {a}"),
    (
        "cross a floor",
        "23514",
        "update ledger.balances set debits_posted = 9999,
        version = version + 1 where account_id = {b}",
    ),
    (
        "lower a posted counter",
        "LG000",
        "update ledger.balances set debits_posted = debits_posted - 1, version = version + 1
            where account_id = {a}",
    ),
    (
        "change a counter without a version",
        "LG000",
        "update ledger.balances set debits_posted = debits_posted + 1 where account_id = {a}",
    ),
    (
        "change a counter under cover of a freeze",
        "LG000",
        "update ledger.balances set debits_posted = debits_posted + 1, frozen = true
            where account_id = {a}",
    ),
    (
        "set the version back under cover of a freeze",
        "LG000",
        "update ledger.balances set version = 0, frozen = true where account_id = {a}",
    ),
    ("remove the closing", "LG000", "delete from ledger.closings"),
    (
        "open a closed period",
        "LG000",
        "update ledger.closings set closed_through = now() - interval '1 day';
         update ledger.closings set closed_through = '-infinity'",
    ),
    (
        "a header without legs",
        "LG002",
        "insert into ledger.transfers (key, fingerprint, kind_id, leg_count, effective_at, actor)
            values ('yyyy', sha256('x'), 1, 1, now(), 'w')",
    ),
    (
        "an unbalanced leg",
        "23502",
        "insert into ledger.legs (transfer_id, leg, asset_id, debit_id, amount, debit_seq,
            credit_seq,
            debit_net, credit_net, posted_at) values ({t0}, 2, 1, {a}, 5, 99, 99, 0, 0, now())",
    ),
    (
        "reuse a sequence number",
        "23505",
        "insert into ledger.transfers (key, fingerprint, kind_id, leg_count, effective_at, actor)
            values ('wwww', sha256('x'), 1, 1, now(), 'w');
         insert into ledger.legs values (currval(pg_get_serial_sequence('ledger.transfers', 'id')),
            1, 0, 1, {a}, {b}, 5, null, null, 1, 99, 0, 0, now())",
    ),
    (
        "change a seal",
        "LG000",
        "insert into ledger.seals values (1, 0, 9, 0, '',
        'x'); delete from ledger.seals",
    ),
];

pub(super) const BY_THE_SUPERUSER: &[Attack] = &[
    (
        "delete with the triggers in replica mode",
        "LG000",
        "set local session_replication_role = replica; delete from ledger.legs where transfer_id =
            {t0}",
    ),
    (
        "update with the triggers in replica mode",
        "LG000",
        "set local session_replication_role = replica; update ledger.legs set amount = 1",
    ),
    (
        "lower a counter in replica mode",
        "LG000",
        "set local session_replication_role = replica;
         update ledger.balances set debits_posted = 1,
             version = version + 1 where account_id = {a}",
    ),
    (
        "a leg across assets",
        "23503",
        "insert into ledger.transfers (key, fingerprint, kind_id, leg_count, effective_at, actor)
            values ('vvvv', sha256('x'), 1, 1, now(), 'w');
         insert into ledger.legs values (currval(pg_get_serial_sequence('ledger.transfers', 'id')),
            1, 0, 1, {a}, {c}, 5, null, null, 98, 98, 0, 0, now())",
    ),
];
