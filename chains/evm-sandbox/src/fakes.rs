//! Contracts and commands made to deceive: logs of any shape, from any address, with or without
//! value behind them.
//!
//! Invariant: everything here is executed by the node, so its blocks, blooms and receipts are as
//! true as any. Deliberately not here: what the reader makes of it; see `tests/it/fakes.rs`.

use alloy::{
    primitives::{B256, Bytes, U256},
    sol_types::SolCall,
};
use primitives::Amount;

use super::{
    Payer, SandboxError,
    artefacts::{
        self, borrowCall, mintCall, payThenFailCall, sayAndFailCall, sayAndUndoCall, sayCall,
        seizeCall,
    },
    payer::{address, coins, value},
};

/// A log as somebody wants it to look, and what its token really gives before it.
#[derive(Debug, Clone)]
pub struct Saying {
    /// Who gains.
    pub to: String,
    /// How much, as a big-endian number.
    pub gain: [u8; 32],
    /// At most four.
    pub topics: Vec<[u8; 32]>,
    pub data: Vec<u8>,
}

impl Payer {
    /// A token whose `transfer` answers `false` and moves nothing; its logs announce the transfer
    /// all the same, or not.
    ///
    /// # Errors
    /// As [`Payer::deploy_token`].
    pub async fn deploy_refusing_token(&self, announces: bool) -> Result<String, SandboxError> {
        self.deploy("RefusingToken", &artefacts::flag_argument(announces)).await
    }

    /// A token that logs what it is told to; see [`Payer::say`].
    ///
    /// # Errors
    /// As [`Payer::deploy_token`].
    pub async fn deploy_talking_token(&self) -> Result<String, SandboxError> {
        self.deploy("TalkingToken", &[]).await
    }

    /// A contract that runs other contracts' code as its own.
    ///
    /// # Errors
    /// As [`Payer::deploy_token`].
    pub async fn deploy_puppet(&self) -> Result<String, SandboxError> {
        self.deploy("Puppet", &[]).await
    }

    /// Lets a talking token log.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn say(&self, token: &str, saying: &Saying) -> Result<String, SandboxError> {
        let (to, gain, topics, data) = parts(saying)?;
        self.command(token, U256::ZERO, &sayCall { to, gain, topics, data }).await
    }

    /// Lets a talking token log, and undo it one frame down; the transaction succeeds.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn say_and_undo(&self, token: &str, saying: &Saying) -> Result<String, SandboxError> {
        let (to, gain, topics, data) = parts(saying)?;
        self.command(token, U256::ZERO, &sayAndUndoCall { to, gain, topics, data }).await
    }

    /// Lets a talking token log, and fail.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn say_and_fail(&self, token: &str, saying: &Saying) -> Result<String, SandboxError> {
        let (to, gain, topics, data) = parts(saying)?;
        self.command(token, U256::ZERO, &sayAndFailCall { to, gain, topics, data }).await
    }

    /// Takes all of a talking token away from somebody, without a log.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn seize(&self, token: &str, from: &str) -> Result<String, SandboxError> {
        self.command(token, U256::ZERO, &seizeCall { from: address(from)? }).await
    }

    /// Runs a token's `mint` inside a puppet: the log is true to the token's code, and the
    /// puppet's.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn puppet_mint(
        &self,
        puppet: &str,
        token: &str,
        to: &str,
        amount: Amount,
    ) -> Result<String, SandboxError> {
        let mint = mintCall { to: address(to)?, value: value(amount)? }.abi_encode();
        let call = borrowCall { code: address(token)?, input: mint.into() };
        self.command(puppet, U256::ZERO, &call).await
    }

    /// Pays by an internal call, and fails afterwards: the trace shows a payment that worked.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn wallet_pay_then_fail(
        &self,
        wallet: &str,
        to: &str,
        amount: Amount,
    ) -> Result<String, SandboxError> {
        let (to, coins) = (address(to)?, coins(amount)?);
        self.command(wallet, coins, &payThenFailCall { to, value: coins }).await
    }

    /// Gives `contract` the code of `like`: an upgrade, or a contract where none can be deployed.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn replace_code(&self, contract: &str, like: &str) -> Result<(), SandboxError> {
        let code: Bytes = self.ask("eth_getCode", (address(like)?, "latest")).await?;
        let _: Option<bool> = self.ask("anvil_setCode", (address(contract)?, code)).await?;
        Ok(())
    }
}

type Parts = (alloy::primitives::Address, U256, Vec<B256>, Bytes);

fn parts(saying: &Saying) -> Result<Parts, SandboxError> {
    let topics = saying.topics.iter().copied().map(B256::new).collect();
    let gain = U256::from_be_bytes(saying.gain);
    Ok((address(&saying.to)?, gain, topics, Bytes::copy_from_slice(&saying.data)))
}
