//! What providers send us.

pub(crate) mod receive;
