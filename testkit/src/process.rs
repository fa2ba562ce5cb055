//! One process of the fleet: its own pool, its own adapters, its own runner.
//!
//! Invariant: nothing is shared between two processes but the database and the outside, so one can
//! die without the other.

use std::sync::Arc;

use outbound::webhook::{Policy, Sender};
use primitives::{Entropy, ManualClock};
use queue::Runner;
use settlement::{Base, Settings, rates::Board};
use sqlx::PgPool;
use workers::Ctx;

use crate::{Node, Outside};

/// A worker process.
#[derive(Debug)]
pub struct Process {
    pub ctx: Ctx,
    pub runner: Runner,
}

/// What every process of a fleet is built from.
#[derive(Debug)]
pub(crate) struct Plant<'a> {
    pub(crate) clock: &'a ManualClock,
    pub(crate) settings: &'a Arc<Settings>,
    pub(crate) node: &'a Node,
    pub(crate) outside: &'a Outside,
}

impl Plant<'_> {
    pub(crate) fn base(&self, pool: PgPool, entropy: Entropy) -> Base {
        Base {
            pool,
            clock: Arc::new(self.clock.clone()),
            entropy: Arc::new(entropy),
            settings: Arc::clone(self.settings),
        }
    }

    /// A process over this pool that knows the jobs `wanted` says yes to.
    pub(crate) fn process(
        &self,
        base: Base,
        board: Board,
        wanted: &dyn Fn(&str) -> bool,
    ) -> anyhow::Result<Process> {
        let connectors = self.outside.connectors(self.clock, self.node, self.settings)?;
        let policy = Policy {
            allow_loopback: self.settings.webhook_loopback,
            trusted_hosts: self.settings.webhook_hosts.clone(),
        };
        let ctx = Ctx::new(base, board, connectors, Sender::try_new(policy)?);
        let runner = workers::runner(&ctx, "test", wanted);
        Ok(Process { ctx, runner })
    }
}
