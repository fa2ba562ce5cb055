//! What somebody may want back in kind on one network: deposits that became no rupees yet, what is
//! set aside, and promises.
//!
//! Invariant: what is owed is covered on the network it is owed on. The books know how much is owed
//! and the rows know where; what the books owe beyond the rows is covered on every network.

use primitives::{Amount, Asset, NetworkId, PaymentId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, bookkeeping::promises, money_column, payment};

/// What a payment holds of an asset on one network, by rows.
#[derive(Debug, sqlx::FromRow)]
struct Held {
    payment_id: Uuid,
    network: String,
    /// Final deposits, less what was promised back out of them.
    minor: String,
    /// What became rupees, wherever it lay.
    converted: String,
}

/// What has to stay on this network.
pub(super) async fn owed_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
) -> Result<Amount, Error> {
    let mut deposits = Amount::zero(asset);
    let mut set_aside = Amount::zero(asset);
    for line in ledger::trial_balance(conn).await?.into_iter().filter(|l| l.asset == asset) {
        // Liabilities: debits − credits is negative.
        let owed = Amount::zero(asset).checked_sub(line.net)?;
        match line.role.as_str() {
            "deposit" => deposits = deposits.checked_add(owed)?,
            "suspense" | "refund" => set_aside = set_aside.checked_add(owed)?,
            _ => {}
        }
    }
    let of_deposits = match deposits.is_zero() {
        true => deposits,
        false => here(deposits, unsold_in(conn, network, asset).await?)?,
    };
    let of_rest = here(set_aside, set_aside_in(conn, network, asset).await?)?;
    Ok(of_deposits.checked_add(of_rest)?)
}

/// What of a debt stays here: what the rows place here, and what they place nowhere.
fn here(owed: Amount, (here, everywhere): (Amount, Amount)) -> Result<Amount, Error> {
    let unplaced = owed.checked_sub(everywhere)?;
    Ok(if unplaced.is_positive() { here.checked_add(unplaced)? } else { here })
}

/// Deposits of payments that became no rupees and were not promised back: here, and everywhere.
async fn unsold_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
) -> Result<(Amount, Amount), Error> {
    // A payment that went its way without a surplus owes no coins.
    let held: Vec<Held> = sqlx::query_as(
        "with came as (
           select d.payment_id, d.network, sum(left_of(d)) as minor from deposits d
             join payments p on p.id = d.payment_id
             where d.asset = $1 and d.state = 'confirmed' and d.purpose = 'payment'
               and (p.over or p.state not in ('settling', 'settled', 'refunded'))
             group by 1, 2),
         held as (
           select c.payment_id, c.network, c.minor - coalesce((select sum(r.amount_minor)
               from refunds r where r.payment_id = c.payment_id and r.deposit_id is null
                 and r.network = c.network and r.asset = $1 and r.state <> 'withdrawn'), 0)
               as minor
           from came c),
         sold as (
           select h.payment_id, h.network, h.minor, coalesce((select sum(l.amount::numeric)
               from ledger.transfers t
               join ledger.transfer_kinds k on k.id = t.kind_id
               join ledger.legs l on l.transfer_id = t.id
               join ledger.accounts a on a.id = l.debit_id
               join ledger.roles r on r.id = a.role_id
               join ledger.assets s on s.id = l.asset_id
               where t.correlation_id = h.payment_id and k.code = 'convert'
                 and r.code = 'deposit' and s.code = $1 and l.phase in (0, 2)
                 and not exists (select from ledger.transfers u where u.reverses_id = t.id)), 0)
               as converted
           from held h)
         select payment_id, network::text as network, minor::text as minor,
           converted::text as converted
         from sold where minor > 0 and minor <> converted",
    )
    .bind(asset.code())
    .fetch_all(&mut *conn)
    .await?;
    let mut sums = (Amount::zero(asset), Amount::zero(asset));
    for row in held {
        let mut left = money_column::amount(&row.minor, asset)?;
        let converted = money_column::amount(&row.converted, asset)?;
        if converted.is_positive() && converts_here(conn, &row).await? {
            left = left.checked_sub(converted)?;
        }
        if !left.is_positive() {
            continue;
        }
        sums.1 = sums.1.checked_add(left)?;
        if row.network == network.as_str() {
            sums.0 = sums.0.checked_add(left)?;
        }
    }
    Ok(sums)
}

/// True when what became rupees was paid on this row's network: the same asset can come on two.
async fn converts_here(conn: &mut PgConnection, row: &Held) -> Result<bool, Error> {
    let payment = payment::get_in(conn, PaymentId::from_uuid(row.payment_id)).await?;
    let Some(quote) = promises::converting_quote_in(conn, &payment).await? else {
        return Ok(false);
    };
    Ok(crate::quote::get_in(conn, quote).await?.network.as_str() == row.network)
}

/// Suspense and promises: here, and everywhere.
async fn set_aside_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
) -> Result<(Amount, Amount), Error> {
    let (here, everywhere): (String, String) = sqlx::query_as(
        "with owed as (
           select r.network, r.amount_minor as minor from refunds r
             where r.asset = $2 and r.state in ('promised', 'addressed')
           union all
           select d.network, greatest(0, left_of(d) - coalesce((select sum(r.amount_minor)
               from refunds r where r.deposit_id = d.id and r.state <> 'withdrawn'), 0))
             from deposits d
             where d.asset = $2 and d.state = 'confirmed' and d.purpose = 'suspense')
         select coalesce(sum(minor) filter (where network = $1), 0)::text,
                coalesce(sum(minor), 0)::text from owed",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .fetch_one(conn)
    .await?;
    Ok((money_column::amount(&here, asset)?, money_column::amount(&everywhere, asset)?))
}
