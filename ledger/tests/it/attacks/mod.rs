//! Everything a buggy or hostile worker could try, as the application's own role, and what a
//! migration gone wrong could try as the owner or the superuser. Each attack is refused, and for
//! the reason named beside it: a misspelt attack does not count as stopped.

mod by_its_owners;
mod by_the_app;

use by_its_owners::{BY_THE_OWNER, BY_THE_SUPERUSER};
use by_the_app::{AROUND_THE_DOORS, BATCHES, SECOND_ACTS, THROUGH_THE_DOORS};
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
