//! `chukta seed`: a merchant with a payout destination and an API key.

use std::process::ExitCode;

use anyhow::Context as _;
use identity::{KeyKind, NewApiKey, Scopes};
use primitives::{MerchantId, Secret, Vpa};
use serde_json::json;
use settlement::{Base, destination, notice};

use crate::{config::Config, wiring};

#[derive(Debug, clap::Args)]
pub struct Seed {
    /// The shop's name.
    #[arg(long)]
    pub name: String,
    /// The UPI id its rupees go to.
    #[arg(long)]
    pub vpa: String,
    /// The name at the bank; the shop's name when absent.
    #[arg(long)]
    pub payee: Option<String>,
    /// Where its events go.
    #[arg(long, requires = "webhook_secret")]
    pub webhook_url: Option<String>,
    /// What signs them: `whsec_` and base64.
    #[arg(long)]
    pub webhook_secret: Option<String>,
}

/// A merchant that can take payments, with the key that is shown once.
#[derive(Debug)]
pub struct Seeded {
    pub merchant: MerchantId,
    pub api_key: Secret,
}

/// Makes the merchant in one transaction.
///
/// # Errors
/// When a name or the UPI id is refused, or the database is.
pub async fn seed(base: &Base, options: &Seed) -> anyhow::Result<Seeded> {
    let vpa = Vpa::parse(&options.vpa).context("--vpa")?;
    let payee = options.payee.as_deref().unwrap_or(&options.name);
    let mut tx = base.pool.begin().await?;
    let merchant =
        identity::create_merchant_in(&mut tx, &base.entropy, base.now(), &options.name).await?;
    destination::set_in(&mut tx, base, merchant, &vpa, payee).await?;
    let secret = options.webhook_secret.as_deref().map(Secret::new);
    let url = options.webhook_url.as_deref();
    notice::set_endpoint_in(&mut tx, base, merchant, url, secret.as_ref()).await?;
    let new = NewApiKey {
        merchant,
        name: "seed".to_owned(),
        kind: KeyKind::Test,
        scopes: Scopes::all(),
        expires_at: None,
    };
    let (_, api_key) =
        identity::create_api_key_in(&mut tx, &base.entropy, base.now(), &new).await?;
    tx.commit().await?;
    Ok(Seeded { merchant, api_key })
}

pub async fn run(config: &Config, options: Seed) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let seeded = seed(&base, &options).await?;
    let shown = json!({ "merchant": seeded.merchant, "api_key": seeded.api_key.expose() });
    println!("{shown}");
    Ok(ExitCode::SUCCESS)
}
