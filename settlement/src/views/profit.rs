//! What one day earned and cost, from ledger rows alone.
//!
//! Invariant: nothing is estimated and nothing is valued: every line is a sum of legs in the asset
//! they are in, and the lines of an asset add up to what the accounts of result and trading changed
//! by that day, which is read in another way (their running balances). A leg that no line knows
//! would be shown as `other`, never left out.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, FixedOffset, NaiveDate, TimeZone as _, Utc};
use primitives::{Amount, Asset};
use serde::Serialize;
use sqlx::{PgConnection, Row};

use crate::{Error, money_column};

/// India's time zone has no summer time.
const IST_S: i32 = 5 * 3_600 + 1_800;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Rupees promised to shops at their quotes. Below zero.
    Quoted,
    /// Crypto taken over from payers for that.
    Bought,
    /// Crypto, or dollar coins of a first leg, that left in fills. Below zero.
    Sold,
    /// What fills brought, in rupees or dollar coins, before anything was taken.
    RealisedGross,
    VenueFees,
    NetworkFees,
    RailCosts,
    FeeIncome,
    Rounding,
    Losses,
    /// Between trading and its result: nothing, seen together.
    TradingClosed,
    Other,
}

/// One line: the sum of its legs, as it changed our result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProfitLine {
    /// What payers brought, or what was sold for it; none for costs of the house.
    pub of: Option<Asset>,
    pub what: Kept,
    /// Below zero where it cost.
    pub amount: Amount,
    pub legs: i64,
}

/// Taxes are no result: they are claims on, or debts to, the tax office.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountChange {
    pub account: String,
    pub asset: Asset,
    pub change: Amount,
}

/// A day, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profit {
    /// In India.
    pub day: NaiveDate,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub lines: Vec<ProfitLine>,
    /// The lines of each asset together.
    pub totals: Vec<Amount>,
    /// Result and trading accounts that changed, above zero where it is to our good.
    pub accounts: Vec<AccountChange>,
    /// GST paid and TDS withheld that day, by account.
    pub taxes: Vec<AccountChange>,
    /// True when lines and accounts say the same of every asset.
    pub adds_up: bool,
}

/// Explains a day of India by the legs posted in it.
///
/// # Errors
/// `Database`, `Inconsistent` for a day outside the calendar.
pub async fn profit_of_day(conn: &mut PgConnection, day: NaiveDate) -> Result<Profit, Error> {
    let odd = || Error::Inconsistent(format!("the day {day}"));
    let starts = |day: NaiveDate| {
        let zone = FixedOffset::east_opt(IST_S)?;
        let start = zone.from_local_datetime(&day.and_hms_opt(0, 0, 0)?).single()?;
        Some(start.with_timezone(&Utc))
    };
    let from = starts(day).ok_or_else(odd)?;
    let next = day.checked_add_days(Days::new(1)).ok_or_else(odd)?;
    let until = starts(next).ok_or_else(odd)?;
    let lines = lines_in(conn, (from, until)).await?;
    let (accounts, taxes) = changes_in(conn, (from, until)).await?;
    let mut totals: BTreeMap<Asset, Amount> = BTreeMap::new();
    for line in &lines {
        add(&mut totals, line.amount)?;
    }
    let mut changed: BTreeMap<Asset, Amount> = BTreeMap::new();
    for account in &accounts {
        add(&mut changed, account.change)?;
    }
    let said = |sums: &BTreeMap<Asset, Amount>| -> Vec<Amount> {
        sums.values().copied().filter(|sum| !sum.is_zero()).collect()
    };
    let adds_up = said(&totals) == said(&changed);
    let totals = totals.into_values().collect();
    Ok(Profit { day, from, until, lines, totals, accounts, taxes, adds_up })
}

fn add(sums: &mut BTreeMap<Asset, Amount>, amount: Amount) -> Result<(), Error> {
    let sum = sums.entry(amount.asset()).or_insert_with(|| Amount::zero(amount.asset()));
    *sum = sum.checked_add(amount)?;
    Ok(())
}

/// Each leg touches a result account on one side or both; a contra entry counts in the line of what
/// it takes back. A fill belongs to what the first leg of its batch sold.
const LEGS: &str = "
    with legs as (
      select coalesce(o.kind_id, t.kind_id) as kind_id,
        coalesce(b.asset, f.asset, q.asset)::text as of,
        l.asset_id, d.role_id as debit_role, c.role_id as credit_role, l.amount::numeric as amount,
        o.id is not null as is_contra
      from ledger.legs l
      join ledger.transfers t on t.id = l.transfer_id
      left join ledger.transfers o on o.id = t.reverses_id
      join ledger.accounts d on d.id = l.debit_id
      join ledger.accounts c on c.id = l.credit_id
      left join conversions f on f.id = t.correlation_id
      left join conversions b on b.id = f.root
      left join conversion_queue q on q.payment_id = t.correlation_id
      where l.phase in (0, 2) and l.posted_at >= $1 and l.posted_at < $2),
    result as (
      select id, code from ledger.roles where code in ('trading', 'trading.result', 'fee',
        'rounding', 'network.fee', 'venue.fee', 'payout.fee', 'loss'))
    select k.code as kind, l.of, s.code as asset, side.role,
      (side.signed > 0) <> l.is_contra as came, sum(side.signed)::text as amount, count(*) as legs
    from legs l
    join ledger.transfer_kinds k on k.id = l.kind_id
    join ledger.assets s on s.id = l.asset_id
    cross join lateral (
      select r.code as role, l.amount as signed from result r where r.id = l.credit_role
      union all
      select r.code, -l.amount from result r where r.id = l.debit_role) side
    group by 1, 2, 3, 4, 5 order by 2 nulls last, 3, 4, 1, 5";

async fn lines_in(
    conn: &mut PgConnection,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Vec<ProfitLine>, Error> {
    let rows = sqlx::query(LEGS).bind(from).bind(until).fetch_all(conn).await?;
    let mut lines: BTreeMap<(Option<Asset>, Kept, Asset), (Amount, i64)> = BTreeMap::new();
    for row in &rows {
        let asset = money_column::asset(row.try_get("asset")?)?;
        let of: Option<&str> = row.try_get("of")?;
        let of = of.map(money_column::asset).transpose()?;
        let kind = (row.try_get("kind")?, row.try_get("role")?);
        let what = kept(kind, asset, row.try_get("came")?);
        let amount = money_column::amount(row.try_get("amount")?, asset)?;
        let line = lines.entry((of, what, asset)).or_insert((Amount::zero(asset), 0));
        line.0 = line.0.checked_add(amount)?;
        line.1 = line.1.saturating_add(row.try_get::<i64, _>("legs")?);
    }
    let line = |((of, what, _), (amount, legs))| ProfitLine { of, what, amount, legs };
    Ok(lines.into_iter().map(line).collect())
}

/// `came`: it came to the account, or would have without its contra entry.
fn kept((kind, role): (&str, &str), asset: Asset, came: bool) -> Kept {
    match (kind, role) {
        ("convert" | "clawback", "trading") if asset == Asset::Inr => Kept::Quoted,
        ("convert" | "clawback", "trading") => Kept::Bought,
        ("fill", "trading") if came => Kept::RealisedGross,
        ("fill", "trading") => Kept::Sold,
        ("trading.close", _) => Kept::TradingClosed,
        (_, "venue.fee") => Kept::VenueFees,
        (_, "network.fee") => Kept::NetworkFees,
        (_, "payout.fee") => Kept::RailCosts,
        (_, "fee") => Kept::FeeIncome,
        (_, "rounding") => Kept::Rounding,
        (_, "loss") => Kept::Losses,
        _ => Kept::Other,
    }
}

type Changes = (Vec<AccountChange>, Vec<AccountChange>);

/// What each account changed by, from its running balance at both ends of the day.
async fn changes_in(
    conn: &mut PgConnection,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Changes, Error> {
    // A balance as of a moment includes what was posted in it: the moment before counts.
    let rows = sqlx::query(
        "select a.code, r.code as role, s.code as asset,
           (ledger.net_as_of(a.id, $1 - interval '1 microsecond')
             - ledger.net_as_of(a.id, $2 - interval '1 microsecond'))::text as change
         from ledger.accounts a
         join ledger.roles r on r.id = a.role_id
         join ledger.assets s on s.id = a.asset_id
         where r.code in ('trading', 'trading.result', 'fee', 'rounding', 'network.fee',
           'venue.fee', 'payout.fee', 'loss', 'gst.input', 'tds.receivable', 'gst.payable')
         order by s.id, a.code",
    )
    .bind(from)
    .bind(until)
    .fetch_all(conn)
    .await?;
    let (mut results, mut taxes) = (Vec::new(), Vec::new());
    for row in &rows {
        let asset = money_column::asset(row.try_get("asset")?)?;
        let change = money_column::amount(row.try_get("change")?, asset)?;
        if change.is_zero() {
            continue;
        }
        let role: &str = row.try_get("role")?;
        let account = AccountChange { account: row.try_get("code")?, asset, change };
        match role {
            "gst.payable" => taxes.push(account),
            // What the tax office owes us grows by debits.
            "gst.input" | "tds.receivable" => {
                let change = Amount::zero(asset).checked_sub(account.change)?;
                taxes.push(AccountChange { change, ..account });
            }
            _ => results.push(account),
        }
    }
    Ok((results, taxes))
}
