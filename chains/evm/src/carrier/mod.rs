//! Moving our own coins on an EVM network: `chains::carrier::Carrier`.
//!
//! Invariants: no key is here; every draft is from an address that our public key derives; a draft
//! takes the nonce the chain itself counts, so two drafts of one address can never both be in it.
//! What is to be moved, when, and its booking are deliberately elsewhere: `settlement`.

mod bump;
mod cost;
mod draft;
mod fees;
mod send;
mod signed;
mod transfer;

use alloy::primitives::Address;
use async_trait::async_trait;
use chains::{
    ReadError,
    carrier::{
        Carrier, Draft, DraftError, KeyRef, Movable, SendError, SignedTx, Source, Testimony, Tips,
        Told, Wish,
    },
};
use primitives::{Amount, Asset, NetworkId};

use crate::{
    chain::EvmChain,
    held, locate,
    node::Node,
    wire::{address_of, amount_of, garbage, hash_of, text_of_address},
};

pub use transfer::{Call, Fees};

/// Balances asked for at once: a hundred round trips.
const MOST_SOURCES: usize = 10_000;

/// What has been decided, or why not; what could not be read is for another node.
type Decided = Result<Result<Draft, DraftError>, ReadError>;

fn decided(draft: Result<Draft, DraftError>) -> Decided {
    match draft {
        Err(DraftError::Read(error)) => Err(error),
        draft => Ok(draft),
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, DraftError> {
    Err(DraftError::Refused(why.into()))
}

impl EvmChain {
    /// Whose key it is decides where it is.
    fn own(&self, source: &Source) -> Result<Address, DraftError> {
        let ours = match source.key {
            KeyRef::Deposit(index) => self.deriver.deposit(index).map_err(DraftError::Refused)?,
            KeyRef::Gas => self.deriver.gas(),
        };
        if address_of(&source.address) == Some(ours) {
            return Ok(ours);
        }
        refused("the source is not the address of its key")
    }

    /// The contract of a token; `None` for the coin.
    fn token(&self, asset: Asset) -> Result<Option<Address>, String> {
        match self.contract(asset) {
            None if asset != self.scope.native => {
                Err(format!("{asset} does not exist on {}", self.network))
            }
            token => Ok(token),
        }
    }
}

async fn held_by(
    node: &Node,
    token: Option<Address>,
    sources: &[Source],
    asset: Asset,
) -> Result<Vec<Movable>, ReadError> {
    let owners: Option<Vec<Address>> = sources.iter().map(|one| address_of(&one.address)).collect();
    let owners = owners.ok_or_else(|| no("not an address of this network"))?;
    let mut movable = Vec::new();
    for (source, held) in sources.iter().zip(held::each(node, token, &owners).await?) {
        let amount = amount_of(held, asset);
        let amount = amount.ok_or_else(|| garbage("a balance beyond what can exist"))?;
        if amount.is_positive() {
            movable.push(Movable { source: source.clone(), amount, outpoint: None });
        }
    }
    Ok(movable)
}

fn no(why: &str) -> ReadError {
    ReadError::Unavailable(why.to_owned())
}

#[async_trait]
impl Carrier for EvmChain {
    fn network(&self) -> &NetworkId {
        &self.network
    }

    fn native(&self) -> Asset {
        self.scope.native
    }

    fn gas_station(&self) -> Option<Source> {
        let address = text_of_address(self.deriver.gas());
        Some(Source { address, key: KeyRef::Gas })
    }

    /// A hundred places per round trip. Places that hold nothing are left out.
    async fn movable(&self, sources: &[Source], asset: Asset) -> Result<Vec<Movable>, ReadError> {
        let token = self.token(asset).map_err(ReadError::Unavailable)?;
        if sources.len() > MOST_SOURCES {
            return Err(ReadError::Unavailable(format!("more than {MOST_SOURCES} places at once")));
        }
        self.nodes.ask(|node| Box::pin(held_by(node, token, sources, asset))).await
    }

    /// Everything of the coin leaves nothing behind where the receiver has no code: all that is
    /// offered is then paid, because what would be given back stays on an address nobody pays to
    /// again, and costs more to fetch than it is.
    async fn draft(&self, wish: &Wish) -> Result<Draft, DraftError> {
        let plan = draft::Plan::try_new(self, wish)?;
        let plan = &plan;
        self.nodes
            .ask(|node| Box::pin(async move { decided(draft::decide(node, plan).await) }))
            .await?
    }

    async fn bump(&self, draft: &Draft) -> Result<Draft, DraftError> {
        let old = bump::Old::try_new(self, draft)?;
        let old = &old;
        self.nodes
            .ask(|node| Box::pin(async move { decided(bump::decide(node, old).await) }))
            .await?
    }

    async fn send(&self, signed: &SignedTx) -> Result<(), SendError> {
        let tx = send::Raw::try_new(signed, self.chain_id).map_err(SendError::Refused)?;
        let tx = &tx;
        match self.nodes.ask(|node| Box::pin(send::to(node, tx))).await {
            Ok(send::Sent::Taken) => Ok(()),
            Ok(send::Sent::Refused(why)) => Err(SendError::Refused(why)),
            Err(error) => Err(SendError::Unknown(error.to_string())),
        }
    }

    fn read_signed(&self, like: &Draft, signed: &SignedTx) -> Result<Draft, String> {
        signed::read(like, signed, self.chain_id)
    }

    async fn cost(&self, tx_id: &str) -> Result<Option<Amount>, ReadError> {
        let tx = hash_of(tx_id).ok_or_else(|| no("not the id of a transaction"))?;
        let native = self.scope.native;
        self.nodes.ask(|node| Box::pin(cost::of(node, tx, native))).await
    }

    async fn testimonies(&self, tx_id: &str, spends: &[String]) -> Vec<Testimony> {
        let tx = hash_of(tx_id);
        let spent = spends.first().and_then(|spent| locate::sender_and_nonce(spent));
        let said = self.nodes.each(|node| {
            Box::pin(async move {
                let tx = tx.ok_or_else(|| no("not the id of a transaction"))?;
                let tips = Tips::from(&node.head().await?);
                Ok(Told { place: locate::transaction(node, tx, spent).await?, tips })
            })
        });
        said.await.into_iter().map(|(node, says)| Testimony { node, says }).collect()
    }
}
