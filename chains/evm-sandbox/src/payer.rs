//! Somebody with money: signs with a private key and sends to a local anvil.
//!
//! Invariants: one payment at a time takes a nonce, so two tasks never send the same one; amounts
//! must be in the asset's own minor units, nothing is scaled here.

use std::time::Duration;

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718 as _,
    network::TxSignerSync as _,
    primitives::{Address, B256, Bytes, TxKind, U64, U256},
    rpc::{
        client::RpcClient,
        json_rpc::{RpcRecv, RpcSend},
    },
    signers::local::PrivateKeySigner,
    sol_types::SolCall as _,
};
use chains_evm::raw::{Limits, address_of, client, hash_of, text_of_address, text_of_hash};
use primitives::{Amount, Asset, Secret};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    SandboxError,
    artefacts::{self, mintCall, transferCall, transferFromCall},
};

const LIMITS: Limits = Limits { timeout: Duration::from_secs(30), max_bytes: 64 * 1024 * 1024 };
/// Enough for every call of the sandbox's contracts. Estimating would refuse what must fail.
const CALL_GAS: u64 = 400_000;
const CREATION_GAS: u64 = 3_000_000;
/// How long to wait for a block that includes a transaction.
const PATIENCE: u32 = 6_000;
const BREATH: Duration = Duration::from_millis(5);

/// The part of a receipt that says whether a transaction did what it should.
#[derive(Debug, Deserialize)]
struct Receipt {
    status: U64,
}

/// Pays on a local node.
pub struct Payer {
    pub(super) node: RpcClient,
    signer: PrivateKeySigner,
    chain_id: u64,
    turn: Mutex<()>,
}

impl Payer {
    /// # Errors
    /// When the node does not answer or is not an anvil, or the key is none.
    pub async fn connect(rpc_url: &str, private_key: Secret) -> Result<Self, SandboxError> {
        let url = rpc_url.parse().map_err(|_| SandboxError("not a URL".to_owned()))?;
        let signer: PrivateKeySigner = private_key
            .expose()
            .parse()
            .map_err(|_| SandboxError("not a private key".to_owned()))?;
        let node = client(url, LIMITS).map_err(SandboxError)?;
        let version: String = ask(&node, "web3_clientVersion", ()).await?;
        if !version.starts_with("anvil/") {
            let sentence = "the sandbox pays on a local anvil only, and this node is none";
            return Err(SandboxError(sentence.to_owned()));
        }
        let chain_id: U64 = ask(&node, "eth_chainId", ()).await?;
        Ok(Self { node, signer, chain_id: chain_id.to::<u64>(), turn: Mutex::new(()) })
    }

    #[must_use]
    pub fn address(&self) -> String {
        text_of_address(self.signer.address())
    }

    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Deploys an ERC-20 that anybody may mint; answers its address once it is in a block.
    ///
    /// # Errors
    /// When the node refuses, or mines no block.
    pub async fn deploy_token(
        &self,
        name: &str,
        symbol: &str,
        decimals: u8,
    ) -> Result<String, SandboxError> {
        self.deploy("SandboxToken", &artefacts::token_arguments(name, symbol, decimals)).await
    }

    /// Makes tokens out of nothing. Like all sends below it answers the transaction's id: once it
    /// is in a block when the node mines one per transaction, at once when it does not.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn mint(
        &self,
        token: &str,
        to: &str,
        amount: Amount,
    ) -> Result<String, SandboxError> {
        let call = mintCall { to: address(to)?, value: value(amount)? };
        self.send(address(token)?, U256::ZERO, call.abi_encode()).await
    }

    /// # Errors
    /// When the node refuses.
    pub async fn send_native(&self, to: &str, amount: Amount) -> Result<String, SandboxError> {
        self.send(address(to)?, coins(amount)?, Vec::new()).await
    }

    /// # Errors
    /// When the node refuses. A token's own refusal is a failed transaction, not an error.
    pub async fn send_token(
        &self,
        token: &str,
        to: &str,
        amount: Amount,
    ) -> Result<String, SandboxError> {
        let call = transferCall { to: address(to)?, value: value(amount)? };
        self.send(address(token)?, U256::ZERO, call.abi_encode()).await
    }

    /// A token transfer that reverts: it takes from somebody who allowed nothing.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn send_failing_token(
        &self,
        token: &str,
        to: &str,
        amount: Amount,
    ) -> Result<String, SandboxError> {
        let from = Address::repeat_byte(0xee);
        let call = transferFromCall { from, to: address(to)?, value: value(amount)? };
        self.send(address(token)?, U256::ZERO, call.abi_encode()).await
    }

    /// Waits until the transaction is in a block; true when it succeeded.
    ///
    /// # Errors
    /// When no block includes it for half a minute.
    pub async fn wait(&self, tx_id: &str) -> Result<bool, SandboxError> {
        let tx = hash_of(tx_id).ok_or_else(|| SandboxError("not a tx id".to_owned()))?;
        for _ in 0..PATIENCE {
            let receipt: Option<Receipt> = self.ask("eth_getTransactionReceipt", (tx,)).await?;
            if let Some(Receipt { status }) = receipt {
                return Ok(status == U64::ONE);
            }
            tokio::time::sleep(BREATH).await;
        }
        Err(SandboxError("no block includes the transaction".to_owned()))
    }

    pub(super) async fn deploy(
        &self,
        contract: &str,
        arguments: &[u8],
    ) -> Result<String, SandboxError> {
        let code = artefacts::creation(contract, arguments)?;
        let (tx, nonce) = self.sign_and_send(TxKind::Create, U256::ZERO, code).await?;
        if !self.wait(&text_of_hash(tx)).await? {
            return Err(SandboxError(format!("{contract} could not be deployed")));
        }
        Ok(text_of_address(self.signer.address().create(nonce)))
    }

    pub(super) async fn send(
        &self,
        to: Address,
        coins: U256,
        input: Vec<u8>,
    ) -> Result<String, SandboxError> {
        let (tx, _) = self.sign_and_send(TxKind::Call(to), coins, input.into()).await?;
        let tx_id = text_of_hash(tx);
        // Anvil mines a moment after it accepted; whoever asked for a block per transaction expects
        // the block to be there.
        if self.automine().await? {
            self.wait(&tx_id).await?;
        }
        Ok(tx_id)
    }

    /// The bytes of the payment that would be sent next, not sent.
    pub(super) async fn signed_native(
        &self,
        to: &str,
        amount: Amount,
    ) -> Result<String, SandboxError> {
        let nonce = self.next_nonce().await?;
        let to = TxKind::Call(address(to)?);
        Ok(self.signed(nonce, to, coins(amount)?, Bytes::new())?.to_string())
    }

    async fn next_nonce(&self) -> Result<u64, SandboxError> {
        let nonce: U64 =
            self.ask("eth_getTransactionCount", (self.signer.address(), "pending")).await?;
        Ok(nonce.to())
    }

    fn signed(
        &self,
        nonce: u64,
        to: TxKind,
        value: U256,
        input: Bytes,
    ) -> Result<Bytes, SandboxError> {
        let mut unsigned = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: if to.is_create() { CREATION_GAS } else { CALL_GAS },
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to,
            value,
            input,
            ..TxEip1559::default()
        };
        let signature = self
            .signer
            .sign_transaction_sync(&mut unsigned)
            .map_err(|_| SandboxError("the transaction cannot be signed".to_owned()))?;
        let signed = TxEnvelope::from(unsigned.into_signed(signature));
        Ok(Bytes::from(signed.encoded_2718()))
    }

    async fn sign_and_send(
        &self,
        to: TxKind,
        value: U256,
        input: Bytes,
    ) -> Result<(B256, u64), SandboxError> {
        let _turn = self.turn.lock().await;
        let nonce = self.next_nonce().await?;
        let raw = self.signed(nonce, to, value, input)?;
        let tx: B256 = self.ask("eth_sendRawTransaction", (raw,)).await?;
        Ok((tx, nonce))
    }

    pub(super) async fn ask<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<R, SandboxError> {
        ask(&self.node, method, params).await
    }
}

async fn ask<P: RpcSend, R: RpcRecv>(
    node: &RpcClient,
    method: &'static str,
    params: P,
) -> Result<R, SandboxError> {
    node.request(method, params).await.map_err(|error| SandboxError(format!("{method}: {error}")))
}

pub(super) fn address(text: &str) -> Result<Address, SandboxError> {
    address_of(text).ok_or_else(|| SandboxError("not an address".to_owned()))
}

/// The minor units of a token's amount.
pub(super) fn value(amount: Amount) -> Result<U256, SandboxError> {
    let minor = u128::try_from(amount.minor());
    minor.map(U256::from).map_err(|_| SandboxError("an amount below zero".to_owned()))
}

/// The minor units of an amount of the native coin.
pub(super) fn coins(amount: Amount) -> Result<U256, SandboxError> {
    if amount.asset() != Asset::Eth {
        return Err(SandboxError("the coin of the sandbox is ETH".to_owned()));
    }
    value(amount)
}
