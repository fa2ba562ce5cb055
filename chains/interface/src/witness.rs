//! What several nodes of one network say: agreement is evidence, silence is none.

/// One node's word on a block we hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Host and port; never the whole URL, which may carry a key.
    pub node: String,
    pub says: Says,
}

/// What a node says of our block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// It holds the same block at that height, on its canonical chain.
    Same,
    /// It holds another block there: this hash.
    Other(String),
    /// It has not come that far, or has nothing at that height yet.
    Behind,
    /// No usable answer, and why.
    Silent(String),
}

/// The state of one configured node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    pub node: String,
    /// Its tip, if it answered.
    pub tip: Option<u64>,
    /// A sentence; `None` when nothing is wrong.
    pub problem: Option<String>,
}
