//! Kill switches. A closed switch stops new work of its kind within one transaction: it is read,
//! locked against change, by the transaction that plans the work.

use sqlx::PgConnection;

use crate::{Base, Error};

/// What can be stopped by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    Quotes,
    Conversions,
    Payouts,
    /// Our own coins between our addresses and venues.
    Moves,
}

impl Switch {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quotes => "quotes",
            Self::Conversions => "conversions",
            Self::Payouts => "payouts",
            Self::Moves => "moves",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Quotes, Self::Conversions, Self::Payouts, Self::Moves]
            .into_iter()
            .find(|s| s.name() == name)
    }
}

/// True when work may be planned. Fails closed: a missing row is a closed switch.
///
/// # Errors
/// `Database`.
pub async fn is_open_in(conn: &mut PgConnection, switch: Switch) -> Result<bool, Error> {
    let closed: Option<bool> =
        sqlx::query_scalar("select closed from switches where name = $1 for share")
            .bind(switch.name())
            .fetch_optional(conn)
            .await?;
    Ok(closed == Some(false))
}

/// Opens or closes a switch.
///
/// # Errors
/// `Database`.
pub async fn set_in(
    conn: &mut PgConnection,
    base: &Base,
    switch: Switch,
    closed: bool,
    reason: &str,
) -> Result<(), Error> {
    sqlx::query("update switches set closed = $2, reason = $3, at = $4 where name = $1")
        .bind(switch.name())
        .bind(closed)
        .bind(reason)
        .bind(base.now())
        .execute(conn)
        .await?;
    Ok(())
}
