//! What may be concluded about a transaction of ours: only what every configured node says.
//!
//! Invariants: one node's word ends nothing. A node that is down, behind or of another opinion is a
//! reason to wait, with a sentence; silence is never agreement, and no nodes agree on nothing. The
//! tips told with a conclusion are the lowest of all nodes: whoever counts depth from them counts
//! what every node has. How deep is deep enough is deliberately elsewhere: `settlement`.

use std::collections::BTreeSet;

use crate::{Head, ReadError, TxPlace, carrier::Carrier};

/// Where it is not found who took the place of ours, one node's word is too little.
const WITHOUT_A_NAME: usize = 2;

/// One node's word on a transaction of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Testimony {
    /// Host and port; never the whole URL, which may carry a key.
    pub node: String,
    pub says: Result<Told, ReadError>,
}

/// What a node says by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub place: TxPlace,
    /// Read before the place was: never further than what the place was told from.
    pub tips: Tips,
}

/// How far a chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tips {
    pub latest: u64,
    pub safe: Option<u64>,
    pub finalized: Option<u64>,
}

impl From<&Head> for Tips {
    fn from(head: &Head) -> Self {
        Self { latest: head.latest.height, safe: head.safe, finalized: head.finalized }
    }
}

impl Tips {
    /// What both have.
    fn lowest(self, other: Self) -> Self {
        Self {
            latest: self.latest.min(other.latest),
            // Nothing is the lowest: what one node does not call final is not.
            safe: self.safe.min(other.safe),
            finalized: self.finalized.min(other.finalized),
        }
    }
}

/// Why nothing is concluded now: a sentence that names a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotYet(pub String);

/// The place a transaction of ours is said to have in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    pub block_hash: &'a str,
    pub height: u64,
    pub succeeded: bool,
}

/// One version of a move that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    pub tx_id: String,
    /// What no second transaction can spend, as [`crate::Chain::locate`] takes it.
    pub spends: Vec<String>,
}

/// Something foreign stands where ours would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overtaken {
    pub by: Option<String>,
    /// The highest block any node found it in, or knows it below.
    pub height: u64,
    pub tips: Tips,
}

/// A carrier whose every configured node is asked before anything is concluded.
#[derive(Clone, Copy)]
pub struct Witnessed<'a>(&'a dyn Carrier);

impl<'a> Witnessed<'a> {
    #[must_use]
    pub const fn new(carrier: &'a dyn Carrier) -> Self {
        Self(carrier)
    }

    /// That every node holds the transaction in this very block, with this outcome.
    ///
    /// # Errors
    /// The first node that does not, or cannot tell.
    pub async fn stands(&self, tx_id: &str, at: Standing<'_>) -> Result<Tips, NotYet> {
        stands(&self.0.testimonies(tx_id, &[]).await, at)
    }

    /// That no node holds the transaction in this block any more: the chain of each reaches its
    /// height, and has it elsewhere or nowhere.
    ///
    /// # Errors
    /// The first node that holds it there, or cannot tell.
    pub async fn left(&self, tx_id: &str, block: (&str, u64)) -> Result<(), NotYet> {
        left(&self.0.testimonies(tx_id, &[]).await, block)
    }

    /// That none of ours will ever be in a block: at every node a foreign transaction in a block
    /// spends what each of them would spend. Whether that block is final is the caller's question.
    ///
    /// # Errors
    /// The first node that says otherwise of one of them, or cannot tell.
    pub async fn overtaken(&self, ours: &[Ours]) -> Result<Overtaken, NotYet> {
        let ids: Vec<&str> = ours.iter().map(|one| one.tx_id.as_str()).collect();
        let mut all = Vec::new();
        for one in ours {
            let said = self.0.testimonies(&one.tx_id, &one.spends).await;
            all.push(gone(&said, &ids)?);
        }
        together(all)
    }
}

fn told(said: &[Testimony]) -> Result<Vec<(&str, &Told)>, NotYet> {
    if said.is_empty() {
        return Err(NotYet("no node is asked".to_owned()));
    }
    let one = |testimony: &Testimony| match &testimony.says {
        Ok(_) => None,
        Err(error) => Some(NotYet(format!("{}: {error}", testimony.node))),
    };
    if let Some(silent) = said.iter().find_map(one) {
        return Err(silent);
    }
    let words = said.iter().filter_map(|t| Some((t.node.as_str(), t.says.as_ref().ok()?)));
    Ok(words.collect())
}

fn stands(said: &[Testimony], at: Standing<'_>) -> Result<Tips, NotYet> {
    let mut least: Option<Tips> = None;
    for (node, told) in told(said)? {
        let is_there = matches!(
            &told.place,
            TxPlace::Included { height, block_hash, succeeded }
                if *height == at.height
                    && block_hash == at.block_hash
                    && *succeeded == at.succeeded
        );
        if !is_there {
            return Err(NotYet(format!("{node}: {}", described(&told.place))));
        }
        least = Some(least.map_or(told.tips, |least| least.lowest(told.tips)));
    }
    least.ok_or_else(|| NotYet("no node is asked".to_owned()))
}

fn left(said: &[Testimony], (hash, height): (&str, u64)) -> Result<(), NotYet> {
    for (node, told) in told(said)? {
        if told.tips.latest < height {
            let end = told.tips.latest;
            return Err(NotYet(format!("{node}: its chain ends at block {end}")));
        }
        if matches!(&told.place, TxPlace::Included { block_hash, .. } if block_hash == hash) {
            return Err(NotYet(format!("{node}: {}", described(&told.place))));
        }
    }
    Ok(())
}

/// What the nodes say of one version.
struct Gone {
    by: BTreeSet<String>,
    nodes: usize,
    height: u64,
    tips: Tips,
}

fn gone(said: &[Testimony], ours: &[&str]) -> Result<Gone, NotYet> {
    let mut sum: Option<Gone> = None;
    let mut nodes = BTreeSet::new();
    for (node, told) in told(said)? {
        let TxPlace::Replaced { by, mined: Some(height) } = &told.place else {
            return Err(NotYet(format!("{node}: {}", described(&told.place))));
        };
        if by.as_deref().is_some_and(|by| ours.contains(&by)) {
            return Err(NotYet(format!("{node}: another one of ours stands in its place")));
        }
        nodes.insert(node);
        let (height, tips) = (*height, told.tips);
        let first = Gone { by: BTreeSet::new(), nodes: 0, height, tips };
        let gone = sum.get_or_insert(first);
        gone.by.extend(by.clone());
        gone.height = gone.height.max(height);
        gone.tips = gone.tips.lowest(tips);
        gone.nodes = nodes.len();
    }
    sum.ok_or_else(|| NotYet("no node is asked".to_owned()))
}

fn together(all: Vec<Gone>) -> Result<Overtaken, NotYet> {
    let nodes = all.iter().map(|gone| gone.nodes).min().unwrap_or(0);
    let sum = all.into_iter().reduce(|mut sum, more| {
        sum.by.extend(more.by);
        sum.height = sum.height.max(more.height);
        sum.tips = sum.tips.lowest(more.tips);
        sum
    });
    let Some(Gone { mut by, height, tips, .. }) = sum else {
        return Err(NotYet("nothing of ours was ever sent".to_owned()));
    };
    if by.len() > 1 {
        return Err(NotYet("the nodes do not agree on what stands in its place".to_owned()));
    }
    if by.is_empty() && nodes < WITHOUT_A_NAME {
        let sentence = "what stands in its place is not found, and one node's word is too little";
        return Err(NotYet(sentence.to_owned()));
    }
    Ok(Overtaken { by: by.pop_first(), height, tips })
}

fn described(place: &TxPlace) -> String {
    match place {
        TxPlace::Included { height, succeeded: true, .. } => format!("it is in block {height}"),
        TxPlace::Included { height, .. } => format!("it failed in block {height}"),
        TxPlace::Pending => "it waits for a block".to_owned(),
        TxPlace::Replaced { mined: Some(height), .. } => {
            format!("another one stands in its place, in block {height} or below")
        }
        TxPlace::Replaced { .. } => "another one waits in its place".to_owned(),
        TxPlace::Absent => "it is not known there".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Standing<'_> = Standing { block_hash: "b7", height: 7, succeeded: true };

    fn tips(latest: u64, finalized: Option<u64>) -> Tips {
        Tips { latest, safe: Some(latest), finalized }
    }

    fn says(node: &str, place: TxPlace, tips: Tips) -> Testimony {
        Testimony { node: node.to_owned(), says: Ok(Told { place, tips }) }
    }

    fn silent(node: &str) -> Testimony {
        let says = Err(ReadError::Unavailable("no connection".to_owned()));
        Testimony { node: node.to_owned(), says }
    }

    fn included(block_hash: &str, height: u64, succeeded: bool) -> TxPlace {
        TxPlace::Included { height, block_hash: block_hash.to_owned(), succeeded }
    }

    fn replaced(by: Option<&str>, mined: Option<u64>) -> TxPlace {
        TxPlace::Replaced { by: by.map(str::to_owned), mined }
    }

    fn no<T: std::fmt::Debug>(answer: Result<T, NotYet>, word: &str) {
        assert!(matches!(&answer, Err(NotYet(why)) if why.contains(word)), "{word}: {answer:?}");
    }

    fn over(said: &[Testimony]) -> Result<Overtaken, NotYet> {
        together(vec![gone(said, &["ours", "older"])?])
    }

    #[test]
    fn it_stands_where_every_node_has_it() {
        let one = says("a", included("b7", 7, true), tips(20, Some(9)));
        let two = says("b", included("b7", 7, true), tips(12, Some(8)));
        assert_eq!(stands(&[one.clone(), two], AT), Ok(tips(12, Some(8))));
        // What one of them does not call final is not.
        let plain = says("b", included("b7", 7, true), tips(30, None));
        assert_eq!(stands(&[one.clone(), plain], AT).unwrap().finalized, None);
        no(stands(&[], AT), "no node");
        no(stands(&[one.clone(), silent("b")], AT), "b: node unavailable: no connection");
        for (place, word) in [
            (included("c7", 7, true), "b: it is in block 7"),
            (included("b7", 8, true), "b: it is in block 8"),
            (included("b7", 7, false), "b: it failed in block 7"),
            (TxPlace::Pending, "b: it waits"),
            (TxPlace::Absent, "b: it is not known"),
            (replaced(None, None), "b: another one waits"),
            (replaced(None, Some(7)), "b: another one stands"),
        ] {
            no(stands(&[one.clone(), says("b", place, tips(20, None))], AT), word);
        }
    }

    #[test]
    fn it_has_left_a_block_where_no_node_holds_it_there() {
        let block = ("b7", 7);
        let gone = says("a", TxPlace::Absent, tips(20, None));
        assert_eq!(left(std::slice::from_ref(&gone), block), Ok(()));
        for place in [TxPlace::Pending, included("c8", 8, true), replaced(Some("x"), Some(7))] {
            assert_eq!(left(&[gone.clone(), says("b", place, tips(7, None))], block), Ok(()));
        }
        no(left(&[], block), "no node");
        no(left(&[gone.clone(), silent("b")], block), "b: node unavailable: no connection");
        for succeeded in [true, false] {
            let holds = says("b", included("b7", 7, succeeded), tips(20, None));
            no(left(&[gone.clone(), holds], block), "in block 7");
        }
        // What does not reach the height has nothing to say about it.
        no(left(&[gone, says("b", TxPlace::Absent, tips(6, None))], block), "b: its chain ends");
    }

    #[test]
    fn it_is_over_where_every_node_names_the_same() {
        let one = says("a", replaced(Some("x"), Some(5)), tips(20, Some(9)));
        let two = says("b", replaced(None, Some(6)), tips(12, Some(8)));
        let by = Some("x".to_owned());
        let both = Overtaken { by: by.clone(), height: 6, tips: tips(12, Some(8)) };
        assert_eq!(over(&[one.clone(), two.clone()]), Ok(both));
        let alone = Overtaken { by, height: 5, tips: tips(20, Some(9)) };
        assert_eq!(over(std::slice::from_ref(&one)), Ok(alone));
        no(over(&[]), "no node");
        no(together(vec![]), "ever sent");
        no(over(&[one.clone(), silent("b")]), "b: ");
        for (place, word) in [
            (included("b7", 7, true), "b: it is in block 7"),
            (included("b7", 7, false), "b: it failed"),
            (TxPlace::Pending, "b: it waits"),
            (TxPlace::Absent, "b: it is not known"),
            (replaced(Some("x"), None), "b: another one waits"),
            (replaced(Some("older"), Some(7)), "b: another one of ours"),
            (replaced(Some("y"), Some(7)), "do not agree"),
        ] {
            no(over(&[one.clone(), says("b", place, tips(20, None))]), word);
        }
    }

    // A nonce that is used may be used by ours: without a name there must be a second node.
    #[test]
    fn without_a_name_one_node_is_too_little() {
        let nameless = |node| says(node, replaced(None, Some(5)), tips(20, Some(9)));
        no(over(&[nameless("a")]), "too little");
        no(over(&[nameless("a"), nameless("a")]), "too little");
        assert!(over(&[nameless("a"), nameless("b")]).is_ok());
    }

    // Every version of a move has to be over, not only the newest.
    #[test]
    fn one_version_that_lives_keeps_the_move() {
        let gone_at = |height| {
            let said = [says("a", replaced(Some("x"), Some(height)), tips(20, None))];
            gone(&said, &["ours", "older"])
        };
        assert_eq!(together(vec![gone_at(5).unwrap(), gone_at(8).unwrap()]).unwrap().height, 8);
        no(gone(&[says("a", TxPlace::Pending, tips(20, None))], &["ours"]).map(|_| ()), "waits");
    }
}
