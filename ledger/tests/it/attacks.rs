//! Everything a buggy or hostile worker could try, as the application's own role, and what a
//! migration gone wrong could try as the owner or the superuser. Each attack is refused, and for
//! the reason named beside it: a misspelt attack does not count as stopped.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit_db::TestDb;

/// What the attacks aim at: accounts a to f, the posted transfer t0, the open holds t1 and t2.
const TARGETS: &str = "
    insert into ledger.transfer_kinds (id, code) values (1, 'test');
    insert into ledger.roles (id, code, class, guard) values
      (901, 't.open', 'asset', 0), (902, 't.liab', 'liability', 2), (903, 't.asset', 'asset', 1),
      (904, 't.equity', 'equity', 0);
    insert into ledger.kind_legs values (1, 901, 902), (1, 902, 901), (1, 903, 904), (1, 901, 901);
    create table public.target (name text primary key, id bigint not null);
    insert into public.target
      select 'a', ledger.open_account('t:a:INR', 'INR', 't.open') union all
      select 'b', ledger.open_account('t:b:INR', 'INR', 't.liab') union all
      select 'c', ledger.open_account('t:c:USDC', 'USDC', 't.open') union all
      select 'd', ledger.open_account('t:d:ETH', 'ETH', 't.asset') union all
      select 'e', ledger.open_account('t:e:ETH', 'ETH', 't.equity') union all
      select 'f', ledger.open_account('t:f:ETH', 'ETH', 't.equity');
    create function public.id_of(text) returns bigint language sql
      as 'select id from public.target where name = $1';
    insert into public.target select 't0', transfer_id from ledger.post('seed-1', 1::smallint,
        now(),
      null, 'test', null, array[public.id_of('a')], array[public.id_of('b')], array[1000]);
    insert into public.target select 't1', transfer_id from ledger.post('seed-2', 1::smallint,
        now(),
      null, 'test', null, array[public.id_of('b')], array[public.id_of('a')], array[300],
      array[1]::smallint[]);
    insert into public.target select 't2', transfer_id from ledger.post('seed-3', 1::smallint,
        now(),
      null, 'test', null, array[public.id_of('b')], array[public.id_of('a')], array[100],
      array[1]::smallint[]);
    grant select on public.target to public;";

/// `(what, refused with, statements)`. `{a}` … `{f}`, `{t0}` … `{t2}` are ids. `POST` and `MANY`
/// stand for a call whose last lists follow.
type Attack = (&'static str, &'static str, &'static str);

const POST: &str = "'x-try', 1::smallint, now(), null, 'w', null";
const MANY: &str = "array['x-try'], array[1]::smallint[], array[now()], array[null]::uuid[],
    array['w'], array[null]::jsonb[], array[1]";

const AROUND_THE_DOORS: &[Attack] = &[
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

const THROUGH_THE_DOORS: &[Attack] = &[
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

const SECOND_ACTS: &[Attack] = &[
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

const BATCHES: &[Attack] = &[
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

const BY_THE_OWNER: &[Attack] = &[
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

const BY_THE_SUPERUSER: &[Attack] = &[
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

/// Runs one attack in a transaction that would commit, and returns how it was refused.
async fn attempt(conn: &mut PgConnection, role: Option<&str>, sql: &str) -> Option<String> {
    let mut tx = conn.begin().await.unwrap();
    if let Some(role) = role {
        let become_role = format!("set local role {role}");
        sqlx::raw_sql(AssertSqlSafe(become_role)).execute(&mut *tx).await.unwrap();
    }
    // What is checked at commit is checked here, so that a success can still be undone.
    let sql = format!("{sql}; set constraints all immediate");
    let result = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await;
    tx.rollback().await.unwrap();
    match result {
        Ok(_) => None,
        Err(error) => Some(error.as_database_error().unwrap().code().unwrap().into_owned()),
    }
}

async fn all_are_refused(
    conn: &mut PgConnection,
    role: Option<&str>,
    names: &[(String, i64)],
    attacks: &[Attack],
) {
    let mut wrong = Vec::new();
    for (what, want, sql) in attacks {
        let mut sql = sql.replace("{POST}", POST).replace("{MANY}", MANY);
        for (name, id) in names {
            sql = sql.replace(&format!("{{{name}}}"), &id.to_string());
        }
        let got = attempt(conn, role, &sql).await;
        if got.as_deref() != Some(*want) {
            let got = got.as_deref().unwrap_or("NOT REFUSED");
            wrong.push(format!("{what}: {got} instead of {want}\n  {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_attack_is_refused() {
    let db = TestDb::create().await.unwrap();
    sqlx::raw_sql(TARGETS).execute(&db.owner).await.unwrap();
    let names: Vec<(String, i64)> =
        sqlx::query_as("select name, id from public.target").fetch_all(&db.owner).await.unwrap();

    let mut app = db.app.acquire().await.unwrap();
    for attacks in [AROUND_THE_DOORS, THROUGH_THE_DOORS, SECOND_ACTS, BATCHES] {
        all_are_refused(&mut app, None, &names, attacks).await;
    }
    let mut owner = db.owner.acquire().await.unwrap();
    all_are_refused(&mut owner, Some("ledger_owner"), &names, BY_THE_OWNER).await;
    all_are_refused(&mut owner, None, &names, BY_THE_OWNER).await;
    all_are_refused(&mut owner, None, &names, BY_THE_SUPERUSER).await;
    assert_eq!(ledger::audit(&mut app).await.unwrap(), []);
}

// The header's check holds at a real commit too, not only when it is called early.
#[tokio::test]
async fn a_header_without_legs_does_not_commit() {
    let db = TestDb::create().await.unwrap();
    let mut tx = db.owner.begin().await.unwrap();
    sqlx::query(
        "insert into ledger.transfers (key, fingerprint, kind_id, leg_count, effective_at, actor)
         values ('yyyy', sha256('x'), 11, 1, now(), 'w')",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    let refused = tx.commit().await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("LG002"));
}

// The application can reach nothing in the schema but by looking and through the doors.
#[tokio::test]
async fn the_application_may_look_and_use_the_doors() {
    let db = TestDb::create().await.unwrap();
    let writable: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c where c.relnamespace = 'ledger'::regnamespace
           and c.relkind in ('r', 'v', 'p') and (has_table_privilege('chukta_app', c.oid,
             'insert, update, delete, truncate, references, trigger')
             or has_any_column_privilege('chukta_app', c.oid, 'insert, update, references'))",
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    assert_eq!(writable, Vec::<String>::new());
    let mut doors: Vec<String> = sqlx::query_scalar(
        "select p.proname::text from pg_proc p where p.pronamespace = 'ledger'::regnamespace
           and p.prosecdef and has_function_privilege('chukta_app', p.oid, 'execute')",
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    doors.sort();
    assert_eq!(doors, ["open_account", "post", "post_many", "reverse", "seal_next"]);
    let loose: Vec<String> = sqlx::query_scalar(
        "select p.proname::text from pg_proc p where p.pronamespace = 'ledger'::regnamespace
           and p.prosecdef and not coalesce(array_to_string(p.proconfig, ','), '')
             like '%search_path=ledger, pg_temp%'",
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    assert_eq!(loose, Vec::<String>::new(), "SECURITY DEFINER without a pinned search_path");
    let special: Option<bool> = sqlx::query_scalar(
        "select bool_or(rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)
         from pg_roles where rolname in
           ('chukta_app', 'ledger_owner', 'ledger_poster', 'ledger_reader')",
    )
    .fetch_one(&db.owner)
    .await
    .unwrap();
    assert_eq!(special, Some(false));
}
