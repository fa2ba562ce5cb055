//! What a person says of a transfer between venues, beside what the venue's own list says.
//!
//! Invariant: a word that the sending venue contradicts is refused, and where the venue itself
//! tells the end, that is what is booked. A venue that cannot be asked is no agreement: only a
//! person who says that it is gone for good goes on without it.

use exchanges::{
    ClientRef,
    custody::{Passage, Withdrawal},
};
use primitives::TransferId;
use settlement::{
    Base,
    treasury::{self, Evidence, Left, PersonError, Transfer},
};

use crate::Connectors;

/// What the venue's list says of a withdrawal, as we book it.
pub(crate) fn told(withdrawal: &Withdrawal) -> Left {
    Left {
        venue_id: withdrawal.venue_id.clone(),
        net: withdrawal.net,
        fee: withdrawal.fee,
        tx_id: withdrawal.tx_id.clone(),
        done: match withdrawal.passage {
            Passage::Pending => None,
            Passage::Done => Some(true),
            Passage::Failed => Some(false),
        },
    }
}

pub(crate) fn client_ref(of: &Transfer) -> Option<ClientRef> {
    ClientRef::new(&of.client_ref)
}

/// Books that a transfer left, unless the venue's list says otherwise.
///
/// # Errors
/// `PersonError`: `VenueSays` with what the venue says instead.
pub async fn transfer_left(
    (connectors, base): (&Connectors, &Base),
    id: TransferId,
    evidence: &Evidence,
    is_gone: bool,
    by: (&str, &str),
) -> Result<(), PersonError> {
    let of = read(base, id).await?;
    if let Some(known) = listed(connectors, &of, is_gone).await? {
        agrees(&known, evidence)?;
    }
    let mut tx = base.pool.begin().await?;
    treasury::transfer_left_in(&mut tx, base, id, evidence, by).await?;
    tx.commit().await?;
    Ok(())
}

/// Frees what never left, unless the venue's list shows it.
///
/// # Errors
/// `PersonError`: `VenueSays` with what the venue says instead.
pub async fn transfer_never_left(
    (connectors, base): (&Connectors, &Base),
    id: TransferId,
    is_gone: bool,
    by: (&str, &str),
) -> Result<(), PersonError> {
    let of = read(base, id).await?;
    if let Some(known) = listed(connectors, &of, is_gone).await?
        && known.passage != Passage::Failed
    {
        let why = format!("{} is {}", known.venue_id, name(known.passage));
        return Err(PersonError::VenueSays(why));
    }
    let mut tx = base.pool.begin().await?;
    treasury::transfer_never_left_in(&mut tx, base, &of, by).await?;
    tx.commit().await?;
    Ok(())
}

async fn read(base: &Base, id: TransferId) -> Result<Transfer, PersonError> {
    let mut conn = base.pool.acquire().await?;
    match treasury::get_transfer_in(&mut conn, id).await {
        Err(settlement::Error::Database(sqlx::Error::RowNotFound)) => {
            Err(PersonError::NotThere("no such transfer"))
        }
        read => Ok(read?),
    }
}

/// The venue's own list; `None` when it shows nothing, or is never asked again.
async fn listed(
    connectors: &Connectors,
    of: &Transfer,
    is_gone: bool,
) -> Result<Option<Withdrawal>, PersonError> {
    let silent = |why: String| if is_gone { Ok(None) } else { Err(PersonError::VenueSilent(why)) };
    let custody = match connectors.custody(&of.from) {
        Ok(custody) => custody,
        Err(error) => return silent(error.to_string()),
    };
    let Some(reference) = client_ref(of) else {
        return silent("a stored reference that is none".to_owned());
    };
    match custody.find_withdrawal(of.amount.asset(), &reference).await {
        Ok(found) => Ok(found),
        Err(error) => silent(error.to_string()),
    }
}

fn agrees(known: &Withdrawal, said: &Evidence) -> Result<(), PersonError> {
    let no = |why: String| Err(PersonError::VenueSays(why));
    if known.passage != Passage::Done {
        return no(format!("{} is {}", known.venue_id, name(known.passage)));
    }
    if known.venue_id != said.venue_id {
        return no(format!("it knows it as {}", known.venue_id));
    }
    if let Some(tx_id) = &known.tx_id
        && said.tx_id.as_ref().is_some_and(|said| said != tx_id)
    {
        return no(format!("it went in {tx_id}"));
    }
    if known.net != said.net {
        return no(format!("{} left, less its fee", known.net));
    }
    Ok(())
}

const fn name(passage: Passage) -> &'static str {
    match passage {
        Passage::Pending => "still pending",
        Passage::Done => "done",
        Passage::Failed => "failed",
    }
}
