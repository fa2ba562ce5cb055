//! What every handler may reach, and the assembled router.

use std::{ops::Deref, sync::Arc};

use axum::{Router, middleware};
use primitives::ApiKeyId;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::{containment, rate_limit::RateLimit, routes, settings::ApiSettings};

/// What this room is given by the composition root.
#[derive(Clone, Debug)]
pub struct ApiState {
    pub base: settlement::Base,
    pub board: settlement::rates::Board,
    pub settings: ApiSettings,
    /// Versions of every migration this build knows; readiness wants them all applied.
    pub migrations: Vec<i64>,
}

/// Shared by all handlers; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) given: ApiState,
    pub(crate) key_limit: RateLimit<ApiKeyId>,
    pub(crate) webhook_limit: RateLimit<String>,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) streams: Arc<Semaphore>,
    /// Turns true when the process stops: streams end, readiness says no.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Every task that must end before a graceful stop is over holds a clone.
    pub(crate) at_work: mpsc::Sender<()>,
}

impl Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// The router alone, for a process that brings its own server. It never learns of a stop.
pub fn router(state: ApiState) -> Router {
    let (_, stopping) = watch::channel(false);
    let (at_work, _) = mpsc::channel(1);
    assemble(state, stopping, at_work)
}

pub(crate) fn assemble(
    given: ApiState,
    stopping: watch::Receiver<bool>,
    at_work: mpsc::Sender<()>,
) -> Router {
    let settings = &given.settings;
    let api = Api(Arc::new(Inner {
        key_limit: RateLimit::new(settings.key_rate_per_s, settings.key_burst),
        webhook_limit: RateLimit::new(settings.webhook_rate_per_s, settings.webhook_burst),
        in_flight: Arc::new(Semaphore::new(settings.in_flight_max)),
        streams: Arc::new(Semaphore::new(settings.streams_max)),
        given,
        stopping,
        at_work,
    }));
    // The last layer is the outermost: headers and the log see every answer, bounds come before
    // the body is read, and the body is whole before a task is started for it.
    routes::router()
        .layer(middleware::from_fn_with_state(api.clone(), containment::run_to_the_end))
        .layer(middleware::from_fn_with_state(api.clone(), containment::read_body))
        .layer(middleware::from_fn(containment::bound))
        .layer(middleware::from_fn_with_state(api.clone(), containment::dress))
        .with_state(api)
}
