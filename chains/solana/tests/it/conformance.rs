//! The suite every chain passes, on a local Solana.

use chains_conformance::Subject;

use crate::world::World;

async fn start() -> Subject {
    let World { node, payer, chain } = World::start().await;
    Subject { chain: Box::new(chain), sandbox: Box::new(payer), node: Box::new(node) }
}

chains_conformance::suite!(start);
