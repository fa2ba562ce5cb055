//! Where a merchant wants to be told of events.

pub(crate) mod set;
