//! Moving our own money on Solana: `chains::carrier::Carrier`.
//!
//! Invariants: no key is here; there is one place to move from, the wallet, and it keeps what an
//! account must hold and a reserve; a transaction is made anew only where the old one is in no
//! final block and its blockhash is over in final blocks, because nothing else on this network
//! keeps two transfers from both happening. What is to be moved, and its booking, are deliberately
//! elsewhere: `settlement`.

mod bump;
mod cost;
mod draft;
mod message;
mod price;
mod send;
mod state;

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
    chain::{self, SolanaChain, is_signature},
    wire::garbage,
};

pub use message::bytes as message_bytes;

/// Bounds from the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    /// Lamports.
    pub(crate) reserve: u64,
    /// Micro-lamports per compute unit.
    pub(crate) unit_price: u64,
}

/// What has been decided, or why not; what could not be read is for another node.
fn decided(draft: Result<Draft, DraftError>) -> Result<Result<Draft, DraftError>, ReadError> {
    match draft {
        Err(DraftError::Read(error)) => Err(error),
        draft => Ok(draft),
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, DraftError> {
    Err(DraftError::Refused(why.into()))
}

fn amount(minor: u64, asset: Asset) -> Result<Amount, ReadError> {
    Amount::try_new(i128::from(minor), asset).map_err(|_| garbage("an impossible amount"))
}

impl SolanaChain {
    fn is_wallet(&self, source: &Source) -> bool {
        source.key == KeyRef::Deposit(0) && source.address == self.scope.wallet
    }

    /// The mint of a token; `None` for the coin.
    fn token(&self, asset: Asset) -> Result<Option<&str>, String> {
        match self.mint(asset) {
            None if asset != Asset::Sol => {
                Err(format!("{asset} does not exist on {}", self.network))
            }
            mint => Ok(mint),
        }
    }
}

#[async_trait]
impl Carrier for SolanaChain {
    fn network(&self) -> &NetworkId {
        &self.network
    }

    fn native(&self) -> Asset {
        Asset::Sol
    }

    fn gas_station(&self) -> Option<Source> {
        None
    }

    /// The wallet is the only place. Of coins, what is above the least an account must hold and the
    /// reserve; of a token, what its associated account holds while nobody has frozen it.
    async fn movable(&self, sources: &[Source], asset: Asset) -> Result<Vec<Movable>, ReadError> {
        let mint = self.token(asset).map_err(ReadError::Unavailable)?;
        let Some(source) = sources.first() else { return Ok(Vec::new()) };
        if !sources.iter().all(|source| self.is_wallet(source)) {
            return Err(ReadError::Unavailable("not the wallet of this network".to_owned()));
        }
        let (wallet, caps) = (self.scope.wallet.as_str(), &self.caps);
        let units = match mint {
            None => self.nodes.ask(|node| Box::pin(state::spare_coins(node, wallet, caps))).await?,
            Some(mint) => {
                let asked = (mint, asset);
                self.nodes.ask(|node| Box::pin(state::spare_token(node, wallet, asked))).await?
            }
        };
        if units == 0 {
            return Ok(Vec::new());
        }
        let (source, amount) = (source.clone(), amount(units, asset)?);
        Ok(vec![Movable { source, amount, outpoint: None }])
    }

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
        bump::prove(self.nodes.all(), old).await?;
        self.nodes
            .ask(|node| Box::pin(async move { decided(bump::decide(node, old).await) }))
            .await?
    }

    async fn send(&self, signed: &SignedTx) -> Result<(), SendError> {
        is_signature(&signed.tx_id).map_err(|error| SendError::Refused(error.to_string()))?;
        let tx = send::Raw::try_new(signed).map_err(SendError::Refused)?;
        let tx = &tx;
        match self.nodes.ask(|node| Box::pin(send::to(node, tx))).await {
            Ok(send::Sent::Taken) => Ok(()),
            Ok(send::Sent::Refused(why)) => Err(SendError::Refused(why)),
            Ok(send::Sent::NoBlockhash(why)) => send::over(self.nodes.all(), tx, why).await,
            Err(error) => Err(SendError::Unknown(error.to_string())),
        }
    }

    /// Of the payer and the blockhash: by these it is found and proven to be over. What it moves is
    /// what its block shows.
    fn read_signed(&self, like: &Draft, signed: &SignedTx) -> Result<Draft, String> {
        send::read(like, signed)
    }

    async fn cost(&self, tx_id: &str) -> Result<Option<Amount>, ReadError> {
        is_signature(tx_id)?;
        let scope = &self.scope;
        self.nodes.ask(|node| Box::pin(cost::of(node, tx_id, scope))).await
    }

    async fn testimonies(&self, tx_id: &str, _spends: &[String]) -> Vec<Testimony> {
        let said = self.nodes.each(|node| {
            Box::pin(async move {
                is_signature(tx_id)?;
                let tips = Tips::from(&node.head().await?);
                Ok(Told { place: chain::locate(node, tx_id).await?, tips })
            })
        });
        said.await.into_iter().map(|(node, says)| Testimony { node, says }).collect()
    }
}
