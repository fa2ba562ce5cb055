//! What is wrong with each configured node.
//!
//! Invariant: all nodes are asked, none stands in for another, and one that cannot be read is a
//! witness that says nothing.

use chains::{
    NodeReport, ReadError,
    nodes::{Node as _, Nodes},
};
use futures::future::{join, join_all};

use crate::{node::Node, scan::Scope, verify};

pub(crate) async fn examine(nodes: &Nodes<Node>, scope: &Scope) -> Vec<NodeReport> {
    join_all(nodes.all().iter().map(|node| async move {
        let (tip, problems) = join(node.latest(), verify::problems(node, scope)).await;
        let mut sentences: Vec<String> = problems.into_iter().map(sentence).collect();
        sentences.dedup();
        NodeReport {
            node: node.host().to_owned(),
            tip: tip.ok().map(|latest| latest.height()),
            problem: (!sentences.is_empty()).then(|| sentences.join("; ")),
        }
    }))
    .await
}

/// What is wrong, without the words that every error of its kind begins with.
fn sentence(error: ReadError) -> String {
    match error {
        ReadError::Unavailable(why) | ReadError::Untrusted(why) => why,
        ReadError::UnknownBlock => error.to_string(),
    }
}
