//! What a buggy or hostile worker could try, as the application's own role: around the doors of the
//! ledger, through them, as a second act, and in batches.

use super::Attack;

pub(super) const AROUND_THE_DOORS: &[Attack] = &[
    (
        "insert a leg",
        "42501",
        "insert into ledger.legs values
            ({t0}, 9, 0, 1, {a}, {b}, 5, null, null, 99, 99, 0, 0, now())",
    ),
    (
        "insert a header",
        "42501",
        "insert into ledger.transfers (key, fingerprint, kind_id, leg_count, effective_at, actor)
            values ('zzzz', sha256('x'), 1, 1, now(), 'w')",
    ),
    (
        "insert an account",
        "42501",
        "insert into ledger.accounts (code, asset_id, role_id) values ('xyz', 1, 901)",
    ),
    ("insert a balance", "42501", "insert into ledger.balances values ({a}, 1, 901, 0)"),
    ("update an amount", "42501", "update ledger.legs set amount = 1 where transfer_id = {t0}"),
    ("delete a leg", "42501", "delete from ledger.legs where transfer_id = {t0}"),
    ("delete a header", "42501", "delete from ledger.transfers where id = {t0}"),
    ("truncate legs", "42501", "truncate ledger.legs cascade"),
    ("drop the legs", "42501", "drop table ledger.legs cascade"),
    ("drop the schema", "42501", "drop schema ledger cascade"),
    (
        "set a balance",
        "42501",
        "update ledger.balances set debits_posted = 1e9 where account_id = {a}",
    ),
    ("thaw an account", "42501", "update ledger.balances set frozen = false"),
    ("lock the balances", "42501", "select * from ledger.balances for update"),
    ("open a closed period", "42501", "update ledger.closings set closed_through = '-infinity'"),
    ("allow itself a leg", "42501", "insert into ledger.kind_legs values (1, 904, 904)"),
    ("lift a floor", "42501", "update ledger.roles set guard = 0 where id = 902"),
    ("change a scale", "42501", "update ledger.assets set scale = 8 where id = 1"),
    ("forge a seal", "42501", "insert into ledger.seals values (9, 0, 9, 0, '', 'x')"),
    ("disable a trigger", "42501", "alter table ledger.legs disable trigger all"),
    ("drop a constraint", "42501", "alter table ledger.balances drop constraint overdraft"),
    ("become the owner", "42501", "set local role ledger_owner"),
    ("become a superuser", "42501", "set local role postgres"),
    ("skip the triggers", "42501", "set local session_replication_role = replica"),
    (
        "replace a function",
        "42501",
        "create or replace function ledger.deny() returns trigger language plpgsql
            as 'begin return old; end'",
    ),
    (
        "call an inner function",
        "42501",
        "select ledger.fingerprint(1::smallint, '{}', '{}', '{}', null, null, null, null)",
    ),
    ("create something in the schema", "42501", "create table ledger.mine (n int)"),
    ("create something anywhere", "42501", "create table public.mine (n int)"),
    ("create a schema", "42501", "create schema mine"),
    (
        "shadow the rules with a temporary table",
        "LG007",
        "create temp table kind_legs (kind_id smallint, debit_role_id smallint,
            credit_role_id smallint);
         insert into pg_temp.kind_legs values (1, 904, 904);
         set local search_path = pg_temp;
         select ledger.post({POST}, array[{e}], array[{f}], array[5])",
    ),
    (
        "shadow the completeness check with a temporary table",
        "42501",
        "create temp table legs (transfer_id bigint); set local search_path = pg_temp, ledger;
         insert into transfers (key, fingerprint, kind_id, leg_count, effective_at, actor)
            values ('zzzz', sha256('x'), 1, 1, now(), 'w')",
    ),
];

pub(super) const THROUGH_THE_DOORS: &[Attack] = &[
    (
        "two assets in one leg",
        "LG003",
        "select ledger.post({POST}, array[{a}], array[{c}],
        array[5])",
    ),
    (
        "two assets in one of two legs",
        "LG003",
        "select ledger.post({POST}, array[{a}, {a}], array[{b}, {c}], array[5, 5])",
    ),
    (
        "one account on both sides",
        "LG007",
        "select ledger.post({POST}, array[{e}], array[{e}],
        array[5])",
    ),
    (
        "one account on both sides, allowed roles",
        "23514",
        "select ledger.post({POST}, array[{a}],
        array[{a}], array[5])",
    ),
    ("zero", "LG003", "select ledger.post({POST}, array[{a}], array[{b}], array[0])"),
    ("negative", "LG003", "select ledger.post({POST}, array[{a}], array[{b}], array[-5])"),
    ("fraction", "LG003", "select ledger.post({POST}, array[{a}], array[{b}], array[1.5])"),
    (
        "not a number",
        "LG003",
        "select ledger.post({POST}, array[{a}], array[{b}],
        array['NaN'::numeric])",
    ),
    (
        "infinity",
        "LG003",
        "select ledger.post({POST}, array[{a}], array[{b}],
        array['infinity'::numeric])",
    ),
    (
        "null amount",
        "LG003",
        "select ledger.post({POST}, array[{a}], array[{b}],
        array[null::numeric])",
    ),
    ("40 digits", "LG003", "select ledger.post({POST}, array[{a}], array[{b}], array[1e40])"),
    (
        "a turnover beyond the books",
        "22003",
        "select ledger.post({POST}, array[{a}], array[{b}],
            array[99999999999999999999999999999999999999])",
    ),
    ("no legs", "LG003", "select ledger.post({POST}, '{}', '{}', '{}')"),
    (
        "fewer debits than amounts",
        "LG003",
        "select ledger.post({POST}, array[{a}], array[{b},
        {b}], array[5, 5])",
    ),
    (
        "201 legs",
        "23514",
        "select ledger.post({POST}, array_fill({a}::bigint, array[201]),
            array_fill({b}::bigint, array[201]), array_fill(1::numeric, array[201]))",
    ),
    ("unknown account", "LG003", "select ledger.post({POST}, array[{a}], array[999999], array[5])"),
    (
        "null account",
        "LG003",
        "select ledger.post({POST}, array[{a}], array[null::bigint],
        array[5])",
    ),
    ("overdraw", "23514", "select ledger.post({POST}, array[{b}], array[{a}], array[601])"),
    (
        "overdraw in two legs",
        "23514",
        "select ledger.post({POST}, array[{b}, {b}], array[{a}, {a}], array[300, 301])",
    ),
    (
        "hold more than is there",
        "23514",
        "select ledger.post({POST}, array[{b}], array[{a}],
        array[601], array[1]::smallint[])",
    ),
    (
        "an unknown phase",
        "23502",
        "select ledger.post({POST}, array[{a}], array[{b}], array[5],
        array[9]::smallint[])",
    ),
    (
        "a null phase",
        "LG003",
        "select ledger.post({POST}, array[{a}], array[{b}], array[5],
        array[null]::smallint[])",
    ),
    (
        "an unknown kind",
        "23503",
        "select ledger.post('x-kind', 77::smallint, now(), null, 'w',
        null, array[{a}], array[{b}], array[5])",
    ),
    (
        "no kind",
        "23502",
        "select ledger.post('x-kind', null, now(), null, 'w', null, array[{a}],
        array[{b}], array[5])",
    ),
    (
        "no actor",
        "23502",
        "select ledger.post('x-actor', 1::smallint, now(), null, null, null,
        array[{a}], array[{b}], array[5])",
    ),
    (
        "a short key",
        "23514",
        "select ledger.post('x', 1::smallint, now(), null, 'w', null,
        array[{a}], array[{b}], array[5])",
    ),
    (
        "same key, other content",
        "LG001",
        "select ledger.post('seed-1', 1::smallint, now(), null, 'w', null, array[{a}], array[{b}],
            array[999])",
    ),
    (
        "same key, the hold's list passed off as phases",
        "LG001",
        "select ledger.post('seed-2', 1::smallint, now(), null, 'w', null, array[{b}], array[{a}],
            array[300],
            null, array[1]::bigint[], array[1]::smallint[])",
    ),
    (
        "a closed period",
        "LG004",
        "select ledger.post('x-per', 1::smallint, '-infinity', null, 'w', null, array[{a}],
            array[{b}], array[5])",
    ),
    (
        "next week",
        "LG004",
        "select ledger.post('x-fut', 1::smallint, now() + interval '7 days', null, 'w', null,
            array[{a}], array[{b}], array[5])",
    ),
    (
        "no time at all",
        "23502",
        "select ledger.post('x-nil', 1::smallint, null, null, 'w', null, array[{a}], array[{b}],
            array[5])",
    ),
    (
        "a leg the rules do not allow",
        "LG007",
        "select ledger.post({POST}, array[{e}], array[{f}],
        array[5])",
    ),
    (
        "two legs, one of them not allowed",
        "LG007",
        "select ledger.post({POST}, array[{d}, {e}], array[{e}, {f}], array[5, 5])",
    ),
    (
        "an account with a made-up role",
        "LG003",
        "select ledger.open_account('t:z:INR', 'INR',
        'no.such.role')",
    ),
    (
        "an account under another asset",
        "LG003",
        "select ledger.open_account('t:a:INR', 'USDC',
        't.open')",
    ),
    (
        "an account with a blank in its code",
        "23514",
        "select ledger.open_account('t z:INR', 'INR',
        't.open')",
    ),
];

pub(super) const SECOND_ACTS: &[Attack] = &[
    (
        "capture more than the hold",
        "LG005",
        "select ledger.post({POST}, array[null]::bigint[], array[null]::bigint[], array[301],
            array[2]::smallint[], array[{t1}], array[1]::smallint[])",
    ),
    (
        "release a part of a hold",
        "LG005",
        "select ledger.post({POST}, array[null]::bigint[], array[null]::bigint[], array[100],
            array[3]::smallint[], array[{t1}], array[1]::smallint[])",
    ),
    (
        "resolve something that is no hold",
        "LG005",
        "select ledger.post({POST}, array[null]::bigint[], array[null]::bigint[], array[100],
            array[2]::smallint[], array[{t0}], array[1]::smallint[])",
    ),
    (
        "capture into another account",
        "LG005",
        "select ledger.post({POST}, array[{b}], array[{c}], array[300],
            array[2]::smallint[], array[{t1}], array[1]::smallint[])",
    ),
    (
        "capture without a hold",
        "LG003",
        "select ledger.post({POST}, array[{b}], array[{a}], array[300], array[2]::smallint[])",
    ),
    (
        "resolve a hold twice",
        "LG008",
        "select ledger.post('x-one', 1::smallint, now(), null, 'w', null, array[null]::bigint[],
            array[null]::bigint[], array[300], array[2]::smallint[], array[{t1}],
                array[1]::smallint[]);
         select ledger.post('x-two', 1::smallint, now(), null, 'w', null, array[null]::bigint[],
            array[null]::bigint[], array[300], array[3]::smallint[], array[{t1}],
                array[1]::smallint[])",
    ),
    (
        "resolve a hold twice in one transfer",
        "23505",
        "select ledger.post({POST}, array[null, null]::bigint[], array[null, null]::bigint[],
            array[10, 10], array[2, 2]::smallint[], array[{t2}, {t2}], array[1, 1]::smallint[])",
    ),
    (
        "check one hold and mark another (a list that starts at 0)",
        "LG003",
        "select ledger.post({POST}, array[null, {a}]::bigint[], array[null, {b}]::bigint[],
            array[100, 1], array[2, 0]::smallint[],
                ('[0:1]={' || {t1} || ',' || {t2} || '}')::bigint[],
            array[1, 1]::smallint[])",
    ),
    (
        "a reversal with other legs",
        "LG005",
        "select ledger.post('x-rev', 99::smallint, now(), null, 'w', null, array[{b}], array[{a}],
            array[5], p_reverses => {t0})",
    ),
    (
        "a reversal under another name",
        "LG007",
        "select ledger.post({POST}, array[{b}], array[{a}], array[1000], p_reverses => {t0})",
    ),
    (
        "a reversal as a hold, to dodge the rules later",
        "LG003",
        "select ledger.post('x-rev', 99::smallint, now(), null, 'w', null, array[{b}], array[{a}],
            array[1000], array[1]::smallint[], p_reverses => {t0})",
    ),
    (
        "a reversal of nothing",
        "LG005",
        "select ledger.reverse('x-rev', 99::smallint, {t1}, now(), 'w', null)",
    ),
    (
        "the kind of a reversal without an original",
        "LG007",
        "select ledger.post('x-rev', 99::smallint, now(), null, 'w', null, array[{a}], array[{b}],
            array[5])",
    ),
    (
        "a second reversal",
        "23505",
        "select ledger.post('x-dep', 1::smallint, now(), null, 'w', null, array[{d}], array[{e}],
            array[5]);
         select ledger.reverse('x-one', 99::smallint,
            (select id from ledger.transfers where key = 'x-dep'), now(), 'w', null);
         select ledger.reverse('x-two', 99::smallint,
            (select id from ledger.transfers where key = 'x-dep'), now(), 'w', null)",
    ),
    (
        "reverse money that is spoken for",
        "23514",
        "select ledger.reverse('x-rev', 99::smallint,
        {t0}, now(), 'w', null)",
    ),
];

pub(super) const BATCHES: &[Attack] = &[
    (
        "same key, other content",
        "LG001",
        "select ledger.post_many(array['seed-1'], array[1]::smallint[], array[now()],
            array[null]::uuid[],
            array['w'], array[null]::jsonb[], array[1], array[{a}], array[{b}], array[999])",
    ),
    (
        "two assets in one leg",
        "23503",
        "select ledger.post_many({MANY}, array[{a}], array[{c}],
        array[9])",
    ),
    (
        "unknown account",
        "LG007",
        "select ledger.post_many({MANY}, array[{a}], array[888888],
        array[9])",
    ),
    (
        "only unknown accounts",
        "LG007",
        "select ledger.post_many({MANY}, array[888887],
        array[888888], array[9])",
    ),
    ("fraction", "LG003", "select ledger.post_many({MANY}, array[{a}], array[{b}], array[9.5])"),
    ("negative", "LG003", "select ledger.post_many({MANY}, array[{a}], array[{b}], array[-9])"),
    (
        "not a number",
        "LG003",
        "select ledger.post_many({MANY}, array[{a}], array[{b}],
        array['NaN'::numeric])",
    ),
    (
        "one account on both sides",
        "23514",
        "select ledger.post_many({MANY}, array[{a}],
        array[{a}], array[9])",
    ),
    ("overdraw", "23514", "select ledger.post_many({MANY}, array[{b}], array[{a}], array[601])"),
    (
        "a leg the rules do not allow",
        "LG007",
        "select ledger.post_many({MANY}, array[{e}],
        array[{f}], array[9])",
    ),
    (
        "a header without legs",
        "LG003",
        "select ledger.post_many(array['xb-4', 'xb-5'], array[1, 1]::smallint[], array[now(),
            now()],
            array[null, null]::uuid[], array['w', 'w'], array[null, null]::jsonb[],
            array[1], array[{a}], array[{b}], array[9])",
    ),
    (
        "a leg without a header",
        "LG003",
        "select ledger.post_many(array['xb-6'], array[1]::smallint[], array[now()],
            array[null]::uuid[],
            array['w'], array[null]::jsonb[], array[1, 2], array[{a}, {a}], array[{b}, {b}],
                array[9, 9])",
    ),
    (
        "next week",
        "LG004",
        "select ledger.post_many(array['xb-7'], array[1]::smallint[],
            array[now() + interval '7 days'],
            array[null]::uuid[], array['w'], array[null]::jsonb[], array[1], array[{a}],
                array[{b}], array[9])",
    ),
];
