//! Whose rupees are whose: what a batch brought for its payments, and what the house's own dust
//! brought beside them.
//!
//! Invariant: every part of a batch gives the house its share for the dust that very part took
//! along, in whatever asset; what is left belongs to what the part was given to sell. Shares are
//! whole paise and add up to what the batch brought.

use primitives::{Amount, Asset, ConversionId, PaymentId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error,
    conversion::{self, Conversion, Part},
};

/// What a part of a batch brought and sold, with the parts that came out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Brought {
    /// Rupees of the last legs, before their fees and taxes; of the first part, for its own input
    /// and the dust it took along.
    pub gross: i128,
    /// The part of them that belongs to its input.
    pub for_input: i128,
    /// What was sold of the part's own asset, wherever it was sold.
    pub sold: i128,
}

fn odd() -> Error {
    Error::Inconsistent("batch share".into())
}

/// What a batch brought: `gross` is what each part was paid in rupees, in the order of `parts`.
pub(super) async fn brought_in(
    conn: &mut PgConnection,
    parts: &[Conversion],
    gross: &[Amount],
) -> Result<Brought, Error> {
    let first = parts.first().ok_or_else(odd)?;
    let parents: Vec<(Uuid, Uuid)> =
        sqlx::query_as("select id, parent from conversions where root = $1 and parent is not null")
            .bind(first.id.uuid())
            .fetch_all(conn)
            .await?;
    let mut tree = Vec::new();
    for (part, gross) in parts.iter().zip(gross) {
        let parent = parents.iter().find(|(id, _)| *id == part.id.uuid());
        let gross = if gross.asset() == Asset::Inr { gross.minor() } else { 0 };
        tree.push(Node {
            id: part.id,
            parent: parent.map(|(_, parent)| ConversionId::from_uuid(*parent)),
            is_rest: part.part == Part::Rest,
            input: part.input.minor(),
            taken: part.taken.minor(),
            sold: part.sold.minor(),
            dust: part.dust.minor(),
            gross,
        });
    }
    brought(&tree, first.id, DEPTH_MAX).ok_or_else(odd)
}

/// One part, in numbers.
#[derive(Debug, Clone)]
struct Node {
    id: ConversionId,
    parent: Option<ConversionId>,
    is_rest: bool,
    input: i128,
    taken: i128,
    sold: i128,
    dust: i128,
    gross: i128,
}

/// A batch that was moved on more often than this is not explained.
const DEPTH_MAX: u32 = 64;

fn brought(tree: &[Node], id: ConversionId, depth: u32) -> Option<Brought> {
    let deeper = depth.checked_sub(1)?;
    let node = tree.iter().find(|node| node.id == id)?;
    let (mut gross, mut sold) = (node.gross, node.sold);
    for child in tree.iter().filter(|child| child.parent == Some(id)) {
        let of_child = brought(tree, child.id, deeper)?;
        gross = gross.checked_add(of_child.for_input)?;
        if child.is_rest {
            // What it sold beside, of dust it took along itself, was never this part's.
            sold = sold.checked_add(without(of_child.sold, child, node.dust)?)?;
        }
    }
    let parent = tree.iter().find(|above| Some(above.id) == node.parent);
    let crumb = parent.filter(|_| node.is_rest).map_or(0, |above| above.dust);
    Some(Brought { gross, for_input: without(gross, node, crumb)?, sold })
}

/// The part of an amount that belongs to what a part was given, and not to the dust it took along.
/// The `crumb` that the sale before it had left over is the batch's own, taken up again.
fn without(all: i128, of: &Node, crumb: i128) -> Option<i128> {
    let total = of.input.checked_add(of.taken)?;
    let own = of.input.checked_add(crumb.clamp(0, of.taken.max(0)))?;
    if own == total || total <= 0 { Some(all) } else { proportion(all, own, total) }
}

/// Cumulative rounding: a payment's crypto, and its part of the rupees that belong to all of them.
pub(super) async fn share_of(
    conn: &mut PgConnection,
    batch: &Conversion,
    id: PaymentId,
    for_payments: i128,
) -> Result<(Amount, Amount), Error> {
    let payments = conversion::payments_of(conn, batch).await?;
    let sum = payments.iter().try_fold(0_i128, |sum, (_, a)| sum.checked_add(a.minor()));
    let total = sum.ok_or_else(odd)?;
    let part = |upto: i128| proportion(for_payments, upto, total).ok_or_else(odd);
    let mut before = 0_i128;
    for (payment, amount) in payments {
        let upto = before.checked_add(amount.minor()).ok_or_else(odd)?;
        if payment == id {
            let share = part(upto)?.checked_sub(part(before)?).ok_or_else(odd)?;
            return Ok((amount, Amount::try_new(share, Asset::Inr)?));
        }
        before = upto;
    }
    Err(Error::Inconsistent("payment not in its batch".into()))
}

/// `floor(all × part / total)` without overflow: quotient and remainder apart.
fn proportion(all: i128, part: i128, total: i128) -> Option<i128> {
    let whole = part.checked_div(total)?.checked_mul(all)?;
    let rest = part.checked_rem(total)?;
    if let Some(product) = all.checked_mul(rest) {
        return whole.checked_add(product.checked_div(total)?);
    }
    let shift = 10_i128.checked_pow(12)?;
    let (rest, total) = if total > shift.checked_mul(shift)? {
        (rest.checked_div(shift)?, total.checked_div(shift)?)
    } else {
        (rest, total)
    };
    whole.checked_add(all.checked_mul(rest)?.checked_div(total)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Whatever the parts are, their shares and the house's add up to the paisa.
        #[test]
        fn shares_add_up(
            gross in 0_i128..10_i128.pow(13), taken in 0_i128..10_i128.pow(21),
            parts in proptest::collection::vec(1_i128..10_i128.pow(21), 1..40),
        ) {
            let of_payments: i128 = parts.iter().sum();
            let root = node(1, None, (of_payments, taken, 0), gross);
            let all = brought(std::slice::from_ref(&root), root.id, 9).unwrap();
            prop_assert!(all.for_input <= gross);
            let (mut before, mut shared) = (0, 0);
            for part in parts {
                let upto = before + part;
                let of = |upto| proportion(all.for_input, upto, of_payments).unwrap();
                prop_assert!(of(upto) >= of(before));
                shared += of(upto) - of(before);
                before = upto;
            }
            prop_assert_eq!(shared, all.for_input);
            prop_assert!(taken > 0 || all.for_input == gross);
        }
    }

    fn node(
        id: u128,
        parent: Option<u128>,
        (input, taken, sold): (i128, i128, i128),
        gross: i128,
    ) -> Node {
        let name = |id| ConversionId::from_uuid(Uuid::from_u128(id));
        let (id, parent) = (name(id), parent.map(name));
        Node { id, parent, is_rest: false, input, taken, sold, dust: 0, gross }
    }

    #[test]
    fn dust_that_a_later_leg_took_along_is_the_houses() {
        let tree = [node(1, None, (100, 0, 100), 0), node(2, Some(1), (900, 100, 1_000), 50_000)];
        let all = brought(&tree, tree[0].id, 9).unwrap();
        assert_eq!(all, Brought { gross: 45_000, for_input: 45_000, sold: 100 });
    }

    #[test]
    fn dust_that_a_moved_rest_took_along_was_never_sold_for_the_batch() {
        let first = node(1, None, (90, 10, 40), 4_000);
        let rest = Node { is_rest: true, ..node(2, Some(1), (60, 20, 80), 8_000) };
        let all = brought(&[first.clone(), rest], first.id, 9).unwrap();
        // A quarter of the rest's 8000 is its own dust's; a tenth of all of it the first's.
        assert_eq!(all, Brought { gross: 10_000, for_input: 9_000, sold: 100 });
    }

    #[test]
    fn a_crumb_of_the_batch_that_its_rest_took_up_is_its_own() {
        let first = Node { dust: 5, ..node(1, None, (100, 0, 40), 4_000) };
        let rest = |taken| Node {
            is_rest: true,
            ..node(2, Some(1), (55, taken, 55 + taken), 100 * (55 + taken))
        };
        let all = brought(&[first.clone(), rest(5)], first.id, 9).unwrap();
        assert_eq!(all, Brought { gross: 10_000, for_input: 10_000, sold: 100 });
        let all = brought(&[first.clone(), rest(25)], first.id, 9).unwrap();
        assert_eq!(all, Brought { gross: 10_000, for_input: 10_000, sold: 100 }, "not the others'");
    }

    #[test]
    fn a_ring_is_no_batch() {
        let tree = [node(1, Some(2), (1, 0, 1), 1), node(2, Some(1), (1, 0, 1), 1)];
        assert_eq!(brought(&tree, tree[0].id, 9), None);
    }
}
