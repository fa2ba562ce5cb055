//! Is the process alive, and may it be sent requests.

pub(crate) mod live;
pub(crate) mod ready;

use serde::Serialize;
use utoipa::ToSchema;

/// A short word for a load balancer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}
