//! Payments that are not what they look like: each is a case the reader must get right.
//!
//! Deliberately not here: what the reader makes of them; see `tests/it`.

use alloy::{
    primitives::{Bytes, U256, bytes},
    sol_types::SolCall,
};
use primitives::Amount;

use super::{
    Payer, SandboxError,
    artefacts::{
        self, delegateCall, destroyCall, payAndUndoCall, payCall, payTokenTwiceCall, payTwiceCall,
        transferFromCall,
    },
    payer::{address, coins, value},
};

/// `revert(0, 0)`, whatever is asked.
const REFUSAL: Bytes = bytes!("60006000fd");

impl Payer {
    /// A token whose logs announce transfers that never happen.
    ///
    /// # Errors
    /// As [`Payer::deploy_token`].
    pub async fn deploy_lying_token(&self) -> Result<String, SandboxError> {
        self.deploy("LyingToken", &[]).await
    }

    /// A token that keeps one per cent; its logs state the net, or the gross.
    ///
    /// # Errors
    /// As [`Payer::deploy_token`].
    pub async fn deploy_fee_token(&self, announces_gross: bool) -> Result<String, SandboxError> {
        self.deploy("FeeToken", &artefacts::flag_argument(announces_gross)).await
    }

    /// A wallet that is a contract. Anybody may command it; it pays what it holds.
    ///
    /// # Errors
    /// As [`Payer::deploy_token`].
    pub async fn deploy_wallet(&self) -> Result<String, SandboxError> {
        self.deploy("Wallet", &[]).await
    }

    /// A contract that refuses every payment.
    ///
    /// # Errors
    /// As [`Payer::deploy_token`].
    pub async fn deploy_reverter(&self) -> Result<String, SandboxError> {
        self.deploy("Reverter", &[]).await
    }

    /// A failed transaction with value straight to `to`: its `to` and value look like a payment,
    /// its receipt says it never happened. Refuses for `to` while one block is mined.
    ///
    /// # Errors
    /// When the node refuses, or mines no block.
    pub async fn send_failing_native(
        &self,
        to: &str,
        amount: Amount,
    ) -> Result<String, SandboxError> {
        let payee = address(to)?;
        let before: Bytes = self.ask("eth_getCode", (payee, "latest")).await?;
        let _: Option<bool> = self.ask("anvil_setCode", (payee, REFUSAL)).await?;
        let sent = self.send_native(to, amount).await;
        let mined = match &sent {
            Ok(tx) => self.wait_or_mine(tx).await,
            Err(_) => Ok(()),
        };
        let _: Option<bool> = self.ask("anvil_setCode", (payee, before)).await?;
        mined?;
        sent
    }

    /// Pays from a contract: `to` gets coins by an internal call.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn wallet_pay(
        &self,
        wallet: &str,
        to: &str,
        amount: Amount,
    ) -> Result<String, SandboxError> {
        let (to, coins) = (address(to)?, coins(amount)?);
        self.command(wallet, coins, &payCall { to, value: coins }).await
    }

    /// Two internal payments to `to` in one transaction.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn wallet_pay_twice(
        &self,
        wallet: &str,
        to: &str,
        (first, second): (Amount, Amount),
    ) -> Result<String, SandboxError> {
        let (first, second) = (coins(first)?, coins(second)?);
        let call = payTwiceCall { to: address(to)?, first, second };
        self.command(wallet, first.saturating_add(second), &call).await
    }

    /// An internal payment that is undone one frame up, in a transaction that succeeds.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn wallet_pay_and_undo(
        &self,
        wallet: &str,
        to: &str,
        amount: Amount,
    ) -> Result<String, SandboxError> {
        let (to, coins) = (address(to)?, coins(amount)?);
        self.command(wallet, coins, &payAndUndoCall { to, value: coins }).await
    }

    /// Two token transfers to `to` in one transaction, from what the wallet holds.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn wallet_pay_token_twice(
        &self,
        wallet: &str,
        token: &str,
        to: &str,
        (first, second): (Amount, Amount),
    ) -> Result<String, SandboxError> {
        let (first, second) = (value(first)?, value(second)?);
        let call = payTokenTwiceCall { token: address(token)?, to: address(to)?, first, second };
        self.command(wallet, U256::ZERO, &call).await
    }

    /// Leaves everything the wallet holds to `to`, without a call to it.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn wallet_destroy(&self, wallet: &str, to: &str) -> Result<String, SandboxError> {
        self.command(wallet, U256::ZERO, &destroyCall { to: address(to)? }).await
    }

    /// Runs the code of `to` with value in scope: a trace shows the value, nothing moves.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn wallet_delegate(
        &self,
        wallet: &str,
        to: &str,
        amount: Amount,
    ) -> Result<String, SandboxError> {
        let call = delegateCall { to: address(to)? };
        self.command(wallet, coins(amount)?, &call).await
    }

    /// Address poisoning: a log of zero tokens from a forged sender to `to`.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn poison(&self, token: &str, from: &str, to: &str) -> Result<String, SandboxError> {
        let call = transferFromCall { from: address(from)?, to: address(to)?, value: U256::ZERO };
        self.command(token, U256::ZERO, &call).await
    }

    pub(super) async fn command<C: SolCall>(
        &self,
        contract: &str,
        coins: U256,
        call: &C,
    ) -> Result<String, SandboxError> {
        self.send(address(contract)?, coins, call.abi_encode()).await
    }

    /// Without automatic mining nobody else will make the block.
    async fn wait_or_mine(&self, tx: &str) -> Result<(), SandboxError> {
        if !self.automine().await? {
            self.mine(1).await?;
        }
        self.wait(tx).await.map(|_| ())
    }
}
