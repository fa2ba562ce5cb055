//! The venue does not hold what is to be sold: the payment stays accepted, a person is called; when
//! inventory comes in, the sale goes by itself.

use anyhow::Result;
use primitives::{Amount, Asset};
use testkit::{Fleet, Options};

use super::net;

#[tokio::test]
async fn until_it_is_refilled() -> Result<()> {
    let venue = vec![(Asset::Eth, rust_decimal::Decimal::new(1, 3))];
    let fleet = Fleet::with(Options { venue, ..Options::new()? }).await?;
    let asked = fleet.ask(150_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(30).await?;
    assert_eq!(fleet.story(&asked).await?.state, "accepted");
    assert_eq!(fleet.cases().await?, ["venue_inventory_short"]);
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (0, 0));
    fleet.check_books().await?;
    fleet.put_into_venue(Amount::parse_units("10", Asset::Eth)?).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(150_000));
    fleet.check_books().await
}
