//! What the nodes say of a block, and what follows from it.
//!
//! Invariant: silence is not agreement and not disagreement. One node that holds another block at
//! the same height stops every credit of its network until that very node holds the block, until
//! the chain has left it, or until a person decides; time resolves nothing, and neither does taking
//! the node away. What a credit rested on is written down in the transaction of the credit.

use std::collections::BTreeSet;

use primitives::NetworkId;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::Applied;
use crate::{
    Base, Error, case,
    deposit::{Deposit, Depth},
};

/// The longest sentence of a node that is kept.
const SENTENCE_MAX: usize = 200;

/// What one node says of a block we hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Same,
    /// It holds this block there.
    Other(String),
    /// It has not come that far.
    Behind,
    /// No usable answer, and why.
    Silent(String),
}

/// One node's word. `node` is host and port, never a whole URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub node: String,
    pub says: Said,
}

/// What a worker found out about the block a deposit stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub block_hash: String,
    pub depth: Depth,
    pub witnesses: Vec<Word>,
}

/// What the words add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Agreed,
    /// Somebody holds another block.
    Disputed,
    /// Too few have said anything.
    Unknown,
}

impl Finding {
    /// Counts nodes, not answers: the same node asked twice is one witness.
    #[must_use]
    pub fn verdict(&self, wanted: u16) -> Verdict {
        if self.witnesses.iter().any(|word| matches!(word.says, Said::Other(_))) {
            return Verdict::Disputed;
        }
        let agreeing: BTreeSet<&str> = self.nodes(|says| *says == Said::Same).into_iter().collect();
        if agreeing.len() >= usize::from(wanted.max(1)) {
            Verdict::Agreed
        } else {
            Verdict::Unknown
        }
    }

    fn nodes(&self, held: impl Fn(&Said) -> bool) -> Vec<&str> {
        let said = |word: &&Word| held(&word.says);
        self.witnesses.iter().filter(said).map(|word| word.node.as_str()).collect()
    }

    fn told(&self) -> Value {
        let told = self.witnesses.iter().map(|word| {
            let (says, what) = match &word.says {
                Said::Same => ("same", None),
                Said::Other(hash) => ("other", Some(cut(hash))),
                Said::Behind => ("behind", None),
                Said::Silent(why) => ("silent", Some(cut(why))),
            };
            json!({ "node": cut(&word.node), "says": says, "what": what })
        });
        told.collect()
    }
}

fn cut(text: &str) -> String {
    text.chars().take(SENTENCE_MAX).collect()
}

/// The two decisions that need evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Accept,
    Final,
}

impl Level {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Final => "final",
        }
    }
}

/// Weighs a finding about a locked deposit whose block is deep enough. `true`, and the evidence
/// written, when the deposit may be credited.
pub(crate) async fn weigh_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    applied: &Applied,
    finding: &Finding,
    level: Level,
) -> Result<bool, Error> {
    match finding.verdict(applied.tier.min_witnesses) {
        Verdict::Unknown => return Ok(false),
        Verdict::Disputed => {
            dispute_in(conn, base, deposit, applied, finding).await?;
            return Ok(false);
        }
        Verdict::Agreed => {}
    }
    let block = Some(finding.block_hash.as_str());
    let same = finding.nodes(|says| *says == Said::Same);
    settle_in(conn, base, &deposit.network, block, End::Agreed(&same)).await?;
    if stopped_in(conn, &deposit.network).await? {
        return Ok(false);
    }
    keep_in(conn, base, deposit, applied, finding, level.name()).await?;
    sqlx::query("update deposits set policy_version = $2 where id = $1")
        .bind(deposit.id.uuid())
        .bind(applied.version)
        .execute(conn)
        .await?;
    Ok(true)
}

/// True while a block of the network is disputed: nothing of it may be credited.
///
/// # Errors
/// `Database`.
pub async fn stopped_in(conn: &mut PgConnection, network: &NetworkId) -> Result<bool, Error> {
    let stopped = sqlx::query_scalar(
        "select exists (select from block_disputes where network = $1 and resolved_at is null)",
    )
    .bind(network.as_str())
    .fetch_one(conn)
    .await?;
    Ok(stopped)
}

async fn dispute_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    applied: &Applied,
    finding: &Finding,
) -> Result<(), Error> {
    let dissent: Vec<String> =
        finding.nodes(|says| matches!(says, Said::Other(_))).into_iter().map(cut).collect();
    let opened = sqlx::query(
        "insert into block_disputes (network, block_hash, height, opened_at, dissent)
         values ($1, $2, $3, $4, $5)
         on conflict (network, block_hash) where resolved_at is null do nothing",
    )
    .bind(deposit.network.as_str())
    .bind(&finding.block_hash)
    .bind(deposit.height)
    .bind(base.now())
    .bind(&dissent)
    .execute(&mut *conn)
    .await?;
    if opened.rows_affected() == 0 {
        sqlx::query(
            "update block_disputes
             set dissent = (select array_agg(distinct node) from unnest(dissent || $3) as node)
             where network = $1 and block_hash = $2 and resolved_at is null
               and not dissent @> $3",
        )
        .bind(deposit.network.as_str())
        .bind(&finding.block_hash)
        .bind(&dissent)
        .execute(conn)
        .await?;
        return Ok(());
    }
    keep_in(conn, base, deposit, applied, finding, "dispute").await?;
    let new = case::NewCase {
        kind: "nodes_disagree",
        subject: &format!("{}:{}", deposit.network, finding.block_hash),
        payment: deposit.payment,
        amount: Some(deposit.amount),
        detail: json!({ "height": deposit.height, "witnesses": finding.told() }),
    };
    case::open_in(conn, base, new).await
}

async fn keep_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    applied: &Applied,
    finding: &Finding,
    level: &'static str,
) -> Result<(), Error> {
    let number = |height: u64| i64::try_from(height).unwrap_or(i64::MAX);
    sqlx::query(
        "insert into inclusion_evidence (deposit_id, sighting, block_hash, height, level,
           policy_version, min_witnesses, latest, safe, finalized, witnesses, at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing",
    )
    .bind(deposit.id.uuid())
    .bind(deposit.sightings)
    .bind(&finding.block_hash)
    .bind(deposit.height)
    .bind(level)
    .bind(applied.version)
    .bind(i16::try_from(applied.tier.min_witnesses).unwrap_or(i16::MAX))
    .bind(number(finding.depth.latest))
    .bind(finding.depth.safe.map(number))
    .bind(finding.depth.finalized.map(number))
    .bind(finding.told())
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// How a dispute ends.
#[derive(Debug, Clone, Copy)]
enum End<'a> {
    /// By the word of these nodes.
    Agreed(&'a [&'a str]),
    Orphaned,
    Operator(&'a str),
}

impl<'a> End<'a> {
    const fn name(self) -> &'static str {
        match self {
            Self::Agreed(_) => "agreed",
            Self::Orphaned => "orphaned",
            Self::Operator(_) => "operator",
        }
    }

    const fn note(self) -> &'a str {
        match self {
            Self::Agreed(_) => "every node that held another block holds this one now",
            Self::Orphaned => "the chain we follow has left the block",
            Self::Operator(note) => note,
        }
    }
}

/// The chain we follow has left a block: whoever disputed it was right, or it does not matter.
pub(crate) async fn orphaned_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    block: &str,
) -> Result<(), Error> {
    settle_in(conn, base, network, Some(block), End::Orphaned).await.map(|_| ())
}

/// A person has looked: the network credits again. Answers how many disputes that ended.
///
/// # Errors
/// `Database`.
pub async fn resume_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    note: &str,
) -> Result<usize, Error> {
    settle_in(conn, base, network, None, End::Operator(note)).await
}

async fn settle_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    block: Option<&str>,
    end: End<'_>,
) -> Result<usize, Error> {
    let same: Option<Vec<String>> = match end {
        End::Agreed(nodes) => Some(nodes.iter().map(|node| cut(node)).collect()),
        End::Orphaned | End::Operator(_) => None,
    };
    let ended: Vec<String> = sqlx::query_scalar(
        "update block_disputes set resolved_at = $3, resolution = $4, note = $5
         where network = $1 and ($2::text is null or block_hash = $2) and resolved_at is null
           and ($6::text[] is null or dissent <@ $6)
         returning block_hash",
    )
    .bind(network.as_str())
    .bind(block)
    .bind(base.now())
    .bind(end.name())
    .bind(end.note())
    .bind(same)
    .fetch_all(&mut *conn)
    .await?;
    for hash in &ended {
        let subject = format!("{network}:{hash}");
        super::close_case_in(conn, base, "nodes_disagree", &subject, end.note()).await?;
    }
    Ok(ended.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(words: &[(&str, Said)]) -> Finding {
        let word = |(node, says): &(&str, Said)| Word { node: (*node).into(), says: says.clone() };
        let depth = Depth { latest: 1, safe: None, finalized: None };
        let witnesses = words.iter().map(word).collect();
        Finding { block_hash: "0xa".into(), depth, witnesses }
    }

    #[test]
    fn silence_is_neither_yes_nor_no() {
        let (same, gone) = (Said::Same, Said::Silent("down".into()));
        let one = finding(&[("a", same.clone()), ("b", gone.clone()), ("c", Said::Behind)]);
        assert_eq!((one.verdict(1), one.verdict(2)), (Verdict::Agreed, Verdict::Unknown));
        assert_eq!(finding(&[("a", gone)]).verdict(1), Verdict::Unknown);
        assert_eq!(finding(&[]).verdict(1), Verdict::Unknown);
        assert_eq!(finding(&[]).verdict(0), Verdict::Unknown, "nobody's word is no evidence");
        let twice = finding(&[("a", same.clone()), ("a", same.clone())]);
        assert_eq!(twice.verdict(2), Verdict::Unknown, "one node is one witness");
        let other = Said::Other("0xb".into());
        let split = finding(&[("a", same.clone()), ("b", same), ("c", other)]);
        assert_eq!(split.verdict(2), Verdict::Disputed, "a majority does not outvote a block");
    }
}
