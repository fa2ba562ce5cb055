//! Somebody who pays on a local Solana, and commands its block producer.
//!
//! Invariant: every payment is a signed transaction that the runtime executes; only blocks that are
//! taken back again are the harness's doing.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use async_trait::async_trait;
use chains::sandbox::{Keep, Sandbox};
use chains_solana::rpc::{self, Limits};
use primitives::{Amount, Asset};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use solana_client::{
    nonblocking::rpc_client::RpcClient, rpc_client::SerializableTransaction,
    rpc_config::RpcSendTransactionConfig, rpc_request::RpcRequest,
};
use solana_commitment_config::{CommitmentConfig, CommitmentLevel};
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_message::{AddressLookupTableAccount, Hash, VersionedMessage, v0};
use solana_pubkey::Pubkey;
use solana_signer::Signer as _;
use solana_system_interface::instruction as system;
use solana_transaction::{Transaction, versioned::VersionedTransaction};
use spl_associated_token_account_interface::{
    address::get_associated_token_address_with_program_id,
    instruction::create_associated_token_account_idempotent,
};
use tokio::sync::{Mutex, MutexGuard};

use super::{LOOKALIKE, PAYER, SandboxError, TAXED, USDC, USDT, keypair, sentence, tokens};

/// What the payer makes of each of his tokens, in base units.
const SUPPLY: u64 = 1_000_000_000_000_000;
/// Hundredths of a per cent the taxed token keeps.
const TAX_BPS: u16 = 100;

/// The payer of one local node.
pub struct Payer {
    client: RpcClient,
    keys: Keypair,
    wallet: Pubkey,
    /// One payment at a time, in the order they are asked for.
    turn: Mutex<()>,
}

/// A token as it is sent.
#[derive(Clone, Copy)]
struct Token {
    mint: Pubkey,
    program: Pubkey,
}

impl Payer {
    /// A payer with coins and with every token, for payments to `wallet`.
    ///
    /// # Errors
    /// When the node does not answer or is not our local one.
    pub async fn connect(rpc_url: &str, wallet: &str) -> Result<Self, SandboxError> {
        let url = rpc_url.parse().map_err(|_| SandboxError("not a URL".to_owned()))?;
        let limits = Limits { timeout: Duration::from_secs(60), max_bytes: 64 * 1024 * 1024 };
        let client = rpc::client(url, limits, Arc::new(AtomicU64::new(0))).map_err(sentence)?;
        let wallet = wallet.parse().map_err(|_| SandboxError("not a wallet".to_owned()))?;
        let keys = keypair(PAYER);
        let payer = Self { client, keys, wallet, turn: Mutex::new(()) };
        // Only our own block producer knows this; anything else refuses here.
        payer
            .command("sandbox_automine", json!([true]))
            .await
            .map_err(|_| SandboxError("the sandbox pays on its own local node only".to_owned()))?;
        for seed in [USDC, USDT, LOOKALIKE, TAXED] {
            payer.make_token(seed).await?;
        }
        Ok(payer)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: RpcRequest,
        params: Value,
    ) -> Result<T, SandboxError> {
        self.client.send(request, params).await.map_err(sentence)
    }

    async fn command(&self, method: &'static str, params: Value) -> Result<(), SandboxError> {
        self.ask::<Value>(RpcRequest::Custom { method }, params).await.map(drop)
    }

    async fn make_token(&self, seed: u8) -> Result<(), SandboxError> {
        let (mint, token) = (keypair(seed), token_of(seed)?);
        let known: Value =
            self.ask(RpcRequest::GetAccountInfo, json!([mint.pubkey().to_string()])).await?;
        if !known.get("value").is_none_or(Value::is_null) {
            return Ok(());
        }
        let (me, taxed) = (self.keys.pubkey(), seed == TAXED);
        let length = if taxed { tokens::TAXED_MINT_LENGTH } else { tokens::MINT_LENGTH };
        let rent: u64 =
            self.ask(RpcRequest::GetMinimumBalanceForRentExemption, json!([length])).await?;
        let purse = account(&me, token);
        let mut steps =
            vec![system::create_account(&me, &token.mint, rent, length, &token.program)];
        if taxed {
            steps.push(tokens::initialize_fee(&token.mint, TAX_BPS)?);
        }
        steps.push(tokens::initialize_mint(token.program, &token.mint, &me)?);
        steps.push(create_associated_token_account_idempotent(
            &me,
            &me,
            &token.mint,
            &token.program,
        ));
        steps.push(tokens::mint_to(token.program, &token.mint, &purse, &me, SUPPLY)?);
        self.send(steps, &[&mint]).await.map(drop)
    }

    /// Signs and sends; answers the signature. A transaction that fails is an answer as well.
    ///
    /// # Errors
    /// When the node refuses it.
    pub async fn send(
        &self,
        steps: Vec<Instruction>,
        more: &[&Keypair],
    ) -> Result<String, SandboxError> {
        let (steps, hash, _turn) = self.prepare(steps).await?;
        let mut signers = vec![&self.keys];
        signers.extend_from_slice(more);
        let tx =
            Transaction::new_signed_with_payer(&steps, Some(&self.keys.pubkey()), &signers, hash);
        self.submit(&tx).await
    }

    /// Signs and sends a versioned transaction whose accounts come from a lookup table where they
    /// may.
    ///
    /// # Errors
    /// When the node refuses it.
    pub async fn send_by_table(
        &self,
        steps: Vec<Instruction>,
        addresses: &[Pubkey],
    ) -> Result<String, SandboxError> {
        let table = Keypair::new().pubkey();
        let program: Pubkey =
            "AddressLookupTab1e1111111111111111111111111".parse().map_err(sentence)?;
        self.set_account(&table, 10_000_000, &program, &lookup_table(addresses)).await?;
        let (steps, hash, _turn) = self.prepare(steps).await?;
        let tables = [AddressLookupTableAccount { key: table, addresses: addresses.to_vec() }];
        let message = v0::Message::try_compile(&self.keys.pubkey(), &steps, &tables, hash);
        let message = VersionedMessage::V0(message.map_err(sentence)?);
        let tx = VersionedTransaction::try_new(message, &[&self.keys]).map_err(sentence)?;
        self.submit(&tx).await
    }

    /// Writes an account as if programs had made it.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn set_account(
        &self,
        account: &Pubkey,
        lamports: u64,
        owner: &Pubkey,
        data: &[u8],
    ) -> Result<(), SandboxError> {
        self.command("surfnet_setAccount", account_params(account, lamports, owner, data)).await
    }

    /// What makes two transactions with the same content two transactions, and the blockhash to
    /// sign. The turn ends when the guard is dropped.
    async fn prepare(
        &self,
        mut steps: Vec<Instruction>,
    ) -> Result<(Vec<Instruction>, Hash, MutexGuard<'_, ()>), SandboxError> {
        let turn = self.turn.lock().await;
        // Two payments of the same amount are two transactions: a limit of compute no other one
        // has makes them differ. The node counts, because several processes pay with one key.
        // SetComputeUnitLimit is 2.
        let method = "sandbox_turn";
        let count: u32 = self.ask(RpcRequest::Custom { method }, json!([])).await?;
        let limit = (count % 1_000_000).saturating_add(400_000);
        let mut data = vec![2_u8];
        data.extend_from_slice(&limit.to_le_bytes());
        let budget = "ComputeBudget111111111111111111111111111111".parse().map_err(sentence)?;
        steps.insert(0, Instruction { program_id: budget, accounts: vec![], data });
        let hash = self
            .client
            .get_latest_blockhash_with_commitment(CommitmentConfig::confirmed())
            .await
            .map_err(sentence)?
            .0;
        Ok((steps, hash, turn))
    }

    async fn submit(&self, tx: &impl SerializableTransaction) -> Result<String, SandboxError> {
        let config = RpcSendTransactionConfig {
            // What must fail must be executed, not be refused beforehand.
            skip_preflight: true,
            preflight_commitment: Some(CommitmentLevel::Confirmed),
            ..RpcSendTransactionConfig::default()
        };
        let sent = self.client.send_transaction_with_config(tx, config).await;
        Ok(sent.map_err(sentence)?.to_string())
    }

    /// The instructions of a payment of coins, with references.
    ///
    /// # Errors
    /// When a reference is no key.
    pub fn coins(
        &self,
        to: &str,
        lamports: u64,
        references: &[&str],
    ) -> Result<Vec<Instruction>, SandboxError> {
        let to: Pubkey = to.parse().map_err(sentence)?;
        let transfer = system::transfer(&self.keys.pubkey(), &to, lamports);
        Ok(vec![with_references(transfer, references)?])
    }

    fn tokens(
        &self,
        token: Token,
        units: u64,
        references: &[&str],
    ) -> Result<Vec<Instruction>, SandboxError> {
        let me = self.keys.pubkey();
        let (from, to) = (account(&me, token), account(&self.wallet, token));
        let transfer = tokens::transfer(token.program, (&token.mint, &from, &to), &me, units)?;
        Ok(vec![
            create_associated_token_account_idempotent(
                &me,
                &self.wallet,
                &token.mint,
                &token.program,
            ),
            with_references(transfer, references)?,
        ])
    }

    /// The instructions of a payment to the wallet with any number of references.
    ///
    /// # Errors
    /// When the asset does not exist here or a reference is no key.
    pub fn payment(
        &self,
        amount: Amount,
        references: &[&str],
    ) -> Result<Vec<Instruction>, SandboxError> {
        let units = u64::try_from(amount.minor()).map_err(sentence)?;
        match amount.asset() {
            Asset::Sol => self.coins(&self.wallet.to_string(), units, references),
            Asset::Usdc => self.tokens(token_of(USDC)?, units, references),
            Asset::Usdt => self.tokens(token_of(USDT)?, units, references),
            other => Err(SandboxError(format!("{other} does not exist on Solana"))),
        }
    }

    /// The mint of the token that keeps one per cent of every transfer (Token-2022).
    #[must_use]
    pub fn taxed_mint() -> String {
        keypair(TAXED).pubkey().to_string()
    }

    /// A payment in that token; what arrives is less.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn pay_taxed(&self, units: u64, reference: &str) -> Result<String, SandboxError> {
        let steps = self.tokens(token_of(TAXED)?, units, &[reference])?;
        self.send(steps, &[]).await
    }

    /// Puts a transaction into the next block as if the runtime had executed it: for what no honest
    /// payer can make here.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn inject(&self, tx: Value) -> Result<(), SandboxError> {
        self.command("sandbox_inject", json!([tx])).await
    }

    /// A block per transaction, or only on command: until then it is nowhere but in a leader's
    /// hands.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn set_automine(&self, on: bool) -> Result<(), SandboxError> {
        self.command("sandbox_automine", json!([on])).await
    }

    /// From now on the blockhashes given so far grow old: a transaction with one of them can get
    /// into the next 150 blocks.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn new_blockhash(&self) -> Result<(), SandboxError> {
        self.command("sandbox_blockhash", json!([])).await
    }

    #[must_use]
    pub fn address(&self) -> String {
        self.keys.pubkey().to_string()
    }
}

fn account_params(account: &Pubkey, lamports: u64, owner: &Pubkey, data: &[u8]) -> Value {
    let hex = data.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json!([account.to_string(), { "lamports": lamports, "owner": owner.to_string(), "data": hex }])
}

/// A lookup table as its program stores it: in use, without an authority, complete since slot 0.
fn lookup_table(addresses: &[Pubkey]) -> Vec<u8> {
    let mut data = vec![1, 0, 0, 0];
    data.extend_from_slice(&u64::MAX.to_le_bytes());
    data.extend_from_slice(&[0; 44]);
    for address in addresses {
        data.extend_from_slice(&address.to_bytes());
    }
    data
}

fn token_of(seed: u8) -> Result<Token, SandboxError> {
    let program = if seed == TAXED { tokens::token_2022() } else { tokens::token_program() };
    Ok(Token { mint: keypair(seed).pubkey(), program: program? })
}

fn account(owner: &Pubkey, token: Token) -> Pubkey {
    get_associated_token_address_with_program_id(owner, &token.mint, &token.program)
}

/// A reference is a read-only account that signs nothing, added to the transfer.
fn with_references(
    mut transfer: Instruction,
    references: &[&str],
) -> Result<Instruction, SandboxError> {
    for reference in references {
        let key = reference.parse().map_err(|_| SandboxError("not a reference".to_owned()))?;
        transfer.accounts.push(AccountMeta::new_readonly(key, false));
    }
    Ok(transfer)
}

#[async_trait]
impl Sandbox for Payer {
    async fn pay(&self, to: &str, amount: Amount) -> Result<String, SandboxError> {
        let references: &[&str] = if to == self.wallet.to_string() { &[] } else { &[to] };
        let steps = self.payment(amount, references)?;
        self.send(steps, &[]).await
    }

    async fn pay_lookalike(&self, to: &str, amount: Amount) -> Result<String, SandboxError> {
        let units = u64::try_from(amount.minor()).map_err(sentence)?;
        let steps = self.tokens(token_of(LOOKALIKE)?, units, &[to])?;
        self.send(steps, &[]).await
    }

    /// A token account is closed and its coins go to the wallet: how many those are is not in the
    /// transaction. A payment of tokens names its amount.
    async fn pay_changeable(
        &self,
        to: &str,
        first: Amount,
        second: Amount,
    ) -> Result<Option<String>, SandboxError> {
        if first.asset() != Asset::Sol || second.asset() != Asset::Sol {
            return Ok(None);
        }
        let (purse, me) = (Keypair::new().pubkey(), self.keys.pubkey());
        let mint = token_of(USDC)?;
        let data = tokens::account_data(&mint.mint, &me, 0);
        let holding = |amount: Amount| {
            let lamports = u64::try_from(amount.minor()).map_err(sentence)?;
            Ok::<_, SandboxError>(account_params(&purse, lamports, &mint.program, &data))
        };
        self.command("surfnet_setAccount", holding(first)?).await?;
        let close = tokens::close(&purse, &self.wallet, &me)?;
        let tx = self.send(vec![with_references(close, &[to])?], &[]).await?;
        let again = json!([tx, [holding(second)?]]);
        self.command("sandbox_differently", again).await?;
        Ok(Some(tx))
    }

    async fn mine(&self, blocks: u32) -> Result<(), SandboxError> {
        self.command("sandbox_mine", json!([blocks])).await
    }

    async fn reorg(&self, depth: u32, keep: Keep) -> Result<(), SandboxError> {
        let keep = keep == Keep::Everything;
        self.command("sandbox_reorg", json!([depth, keep])).await
    }

    async fn finalize(&self) -> Result<(), SandboxError> {
        // The cluster roots a block when 31 more are on top.
        self.mine(32).await
    }

    fn assets(&self) -> Vec<Asset> {
        vec![Asset::Sol, Asset::Usdc, Asset::Usdt]
    }
}
