//! What is wrong with each configured node.
//!
//! Invariant: all nodes are asked, none stands in for another, and one that cannot be read is a
//! witness that says nothing.

use chains::{
    NodeReport,
    nodes::{Node as _, Nodes},
};
use futures::future::join_all;

use crate::{node::Node, scan::Scope, verify};

pub(crate) async fn examine(nodes: &Nodes<Node>, scope: &Scope) -> Vec<NodeReport> {
    join_all(nodes.all().iter().map(|node| async move {
        let tip = node.latest().await.ok().map(|latest| latest.height());
        let problem = verify::node(node, &scope.tokens, scope.trace).await.err();
        NodeReport {
            node: node.host().to_owned(),
            tip,
            problem: problem.map(|error| error.to_string()),
        }
    }))
    .await
}
