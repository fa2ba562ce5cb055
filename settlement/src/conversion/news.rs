//! What a venue's push may be about: our orders that still live there.
//!
//! Invariant: a push is a hint. It moves a look forward and is no part of any proof; an order whose
//! sender still waits for its answer is left to the sender.

use primitives::ConversionId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Base, Error, jobs::ResolveConversion};

/// Looks read at most after one gap of a stream.
const HINTED_MAX: i64 = 500;

/// Has our live orders at a venue looked at now: the one with this reference, or all of them.
/// Returns how many conversions that are.
///
/// # Errors
/// `Database`, `Queue`.
pub async fn hinted_in(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
    client_ref: Option<&str>,
) -> Result<usize, Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select distinct a.conversion_id from order_attempts a
         join conversions c on c.id = a.conversion_id
         where c.venue = $1 and a.state in ('unknown', 'open')
           and ($2::text is null or a.client_ref = $2) limit $3",
    )
    .bind(venue)
    .bind(client_ref)
    .bind(HINTED_MAX)
    .fetch_all(&mut *conn)
    .await?;
    for id in &ids {
        let job = ResolveConversion { conversion: ConversionId::from_uuid(*id) };
        queue::enqueue(conn, &job, base.now()).await?;
    }
    Ok(ids.len())
}
